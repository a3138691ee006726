"""A speech socket and its utterances, with the network's side played by the test."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from deepgram_speech_fakes import Room, ScriptedSocket, room, steps

from voicekit.clients.deepgram.speech import sockets
from voicekit.clients.deepgram.speech.sockets import SpeakSocket
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    InvalidArgumentError,
    RemoteProtocolError,
    StreamInterruptedError,
    VoicekitError,
)

pytestmark = pytest.mark.anyio

AUDIO = bytes(range(256)) * 2
FIRST = "This is the first sentence. "
SECOND = "And this is the second one. "


async def rest(session: Any) -> bytes:
    return b"".join([chunk async for chunk in session])


async def spoken(made: Room, text: str, audio: bytes = AUDIO) -> bytes:
    """One utterance on the socket that was used last, whole."""
    async with made.utterance() as session:
        await session.send(text)
        await session.finish()
        made.sockets[-1].audio(audio)
        made.sockets[-1].flushed()
        return await rest(session)


async def test_a_flushed_that_comes_twice_is_not_the_next_ones() -> None:
    """The next utterance on the socket waits for its own audio."""
    async with room() as made:
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.finish()
            made.sockets[0].audio(AUDIO)
            made.sockets[0].flushed()
            assert await rest(session) == AUDIO
        async with made.utterance() as session:
            made.sockets[0].flushed()
            await session.send(SECOND)
            await session.finish()
            made.sockets[0].audio(AUDIO)
            made.sockets[0].flushed()
            assert await rest(session) == AUDIO
        assert len(made.sockets) == 1


# -- what belongs to whom -------------------------------------------------------------------------


async def test_audio_after_clear_is_nobodys() -> None:
    """What was on its way when an utterance was cut off is dropped until ``Cleared``."""
    async with room() as made:
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.finish()
            made.sockets[0].audio(AUDIO)
            await session.cancel()
        (socket,) = made.sockets
        assert socket.types == ["Speak", "Flush", "Clear"]
        late = made.utterance()
        opening = asyncio.ensure_future(late._opened())
        await steps()
        assert not opening.done()  # nothing is said before what comes can be told apart
        socket.audio(b"late" * 100)
        socket.flushed()  # of the flush that was cut off
        socket.cleared()
        await opening
        await late.send(SECOND)
        await late.finish()
        socket.audio(AUDIO)
        socket.flushed()
        assert await rest(late) == AUDIO
        assert len(made.sockets) == 1


async def test_flushed_before_cleared_is_not_the_next_ones_end() -> None:
    """A confirmation of the utterance that was cut off does not end the next one."""
    async with room() as made:
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.finish()
            await session.cancel()
        (socket,) = made.sockets
        socket.cleared()
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.finish()
            socket.audio(AUDIO)
            assert not session.ended
            socket.flushed()
            assert await rest(session) == AUDIO


async def test_who_clears_hears_no_more() -> None:
    """From the ``Clear`` on nothing is heard, also while its sender still holds the socket."""

    class Speaker:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def hear(self, audio: bytes) -> None:
            self.heard.append(audio)

        def told(self, message: Any) -> None:
            self.heard.append(message["type"])

        def lost(self, error: VoicekitError) -> None:
            self.heard.append(error)

    inner, speaker = ScriptedSocket(), Speaker()
    socket = SpeakSocket(inner)
    socket.begin(speaker)
    await socket.send('{"type":"Flush"}')
    inner.audio(AUDIO)
    await socket.clear()
    inner.audio(AUDIO)
    inner.flushed()
    inner.cleared()
    inner.cleared()  # one too many is nobody's
    inner.audio(b"next")
    assert speaker.heard == [AUDIO, b"next"]
    socket.abort()


async def test_clear_only_what_there_is() -> None:
    """Nothing said, or all of it spoken: no ``Clear``, which the vendor would have to answer."""
    async with room() as made:
        async with made.utterance() as session:
            await session.cancel()
        assert await spoken(made, FIRST) == AUDIO
        async with made.utterance() as session:
            await session.send("Half a sen")  # held back, so that nothing was sent
        assert made.sockets[0].types == ["Speak", "Flush"]
        assert made.pool.stats().ready == 1


async def test_clear_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is given up, and whoever waits for it gets another one."""
    monkeypatch.setattr(sockets, "CLEAR_LIMIT", 0.02)
    async with room() as made:
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.finish()
            await session.cancel()
        async with made.utterance() as session:
            await session.send(SECOND)
            await session.finish()
            assert len(made.sockets) == 2
            made.sockets[1].audio(AUDIO)
            made.sockets[1].flushed()
            assert await rest(session) == AUDIO
        assert session.attempts == 1
        assert made.sockets[0].ended[:1] == ["abort"]


@pytest.mark.timing
async def test_a_stuck_peer_does_not_hold_up_who_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ``Clear`` may wait for the network only so long; the socket is not used again."""
    from voicekit.clients import utterance

    monkeypatch.setattr(utterance, "GOODBYE_LIMIT", 0.02)
    async with room() as made:
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.finish()
            made.sockets[0].stuck = True
            began = time.monotonic()
            await session.cancel()
            assert time.monotonic() - began < 0.5
        await steps()
        assert made.pool.stats().open == 0


async def test_close_comes_before_the_close_frame() -> None:
    """A socket says ``Close``, and ``Clear`` before it where text is left that nobody hears."""
    inner = ScriptedSocket()
    socket = SpeakSocket(inner)
    await socket.aclose()
    assert inner.types == ["Close"]
    inner = ScriptedSocket()
    socket = SpeakSocket(inner)
    await socket.send('{"type":"Speak","text":"Never heard."}')
    await socket.aclose()
    assert inner.types == ["Speak", "Clear", "Close"]
    assert inner.ended == ["aclose"]


async def test_close_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer ``Close`` gets the close frame all the same."""
    monkeypatch.setattr(sockets, "CLOSE_LIMIT", 0.02)
    inner = ScriptedSocket()
    inner.polite = False
    await SpeakSocket(inner).aclose()
    assert inner.types == ["Close"]
    assert inner.ended == ["aclose"]


@pytest.mark.parametrize("noise", ["no json", "[]", '"text"', "1"])
async def test_noise_ends_the_socket(noise: str) -> None:
    """A message that is none cannot be told from one that was meant for the next utterance."""
    async with room() as made:
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.finish()
            made.sockets[0].says(noise)
            with pytest.raises(RemoteProtocolError):
                await anext(session)
        assert made.sockets[0].ended
        assert made.pool.stats().leased == 0


async def test_messages_that_are_not_known_are_no_error() -> None:
    """A type from the vendor's future, or a warning of something else, changes nothing."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST)
        await session.finish()
        made.sockets[0].says({"type": "Metadata", "request_id": "r1", "model_name": "m"})
        made.sockets[0].says({"type": "SpeechStarted"})
        made.sockets[0].says({"type": "Warning", "code": "SPEED", "description": "ignored"})
        made.sockets[0].says({})
        made.sockets[0].audio(AUDIO)
        assert session.metadata["model_name"] == "m"
        made.sockets[0].flushed()
        assert await rest(session) == AUDIO
        assert session.metadata["model_name"] == "m", "it went back with the socket"


# -- samples --------------------------------------------------------------------------------------


async def test_samples_stay_whole() -> None:
    """Frames of odd lengths are put together again."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST)
        await session.finish()
        for part in (AUDIO[:1], AUDIO[1:4], AUDIO[4:5], b"", AUDIO[5:]):
            made.sockets[0].audio(part)
        made.sockets[0].flushed()
        chunks = [chunk async for chunk in session]
        assert all(len(chunk) % 2 == 0 for chunk in chunks)
        assert b"".join(chunks) == AUDIO


async def test_half_a_sample_at_the_end_is_a_cut() -> None:
    """It cannot be all of the speech."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST)
        await session.finish()
        made.sockets[0].audio(AUDIO + b"x")
        made.sockets[0].flushed()
        with pytest.raises(StreamInterruptedError) as broken:
            await rest(session)
        assert isinstance(broken.value.__cause__, ConnectionLostError)


async def test_no_audio_for_words_is_an_error() -> None:
    """Words that are confirmed without a sound were not spoken; signs may be."""
    async with room() as made:
        async with made.utterance() as session:
            await session.send("Hello.")
            await session.finish()
            made.sockets[0].flushed()
            with pytest.raises(RemoteProtocolError):
                await rest(session)
        async with made.utterance() as session:
            await session.send("… !")
            await session.finish()
            made.sockets[-1].flushed()
            assert await rest(session) == b""


async def test_more_audio_than_the_text_can_take() -> None:
    """A server that never stops is stopped."""
    async with room() as made, made.utterance(max_buffered_s=1e6) as session:
        await session.send("Hi.")
        await session.finish()
        for _ in range(70):
            if not session._ended:
                made.sockets[0].audio(bytes(16_000))
        with pytest.raises(StreamInterruptedError) as broken:
            await rest(session)
        assert isinstance(broken.value.__cause__, RemoteProtocolError)


# -- text -----------------------------------------------------------------------------------------


async def test_pieces_of_words_go_out_in_sentences() -> None:
    """Wherever the pieces end, messages are whole sentences, and joined they are the text."""
    text = "Dr. Smith pays 3.50 for it. Is that all? Yes! Really"
    async with room() as made, made.utterance() as session:
        for letter in text:
            await session.send(letter)
        await session.finish()
        assert made.sockets[0].texts == [
            "Dr. Smith pays 3.50 for it. ",
            "Is that all? ",
            "Yes! ",
            "Really",
        ]


async def test_first_sentence_is_flushed_alone() -> None:
    """It is spoken at once; those after it wait until the server has said it."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST + SECOND + SECOND + "And")
        (socket,) = made.sockets
        assert socket.types == ["Speak", "Flush", "Speak", "Speak"]
        socket.audio(AUDIO)
        socket.flushed()
        await steps()
        assert socket.types == ["Speak", "Flush", "Speak", "Speak", "Flush"]
        socket.audio(AUDIO)
        socket.flushed()
        await session.finish()
        assert socket.types[-2:] == ["Speak", "Flush"]
        socket.audio(AUDIO)
        socket.flushed()
        assert await rest(session) == AUDIO * 3


async def test_short_first_sentence_waits_for_the_second() -> None:
    """A greeting alone would be over before the next flush is spoken."""
    async with room() as made, made.utterance() as session:
        await session.send("Hi! And")
        assert made.sockets[0].types == ["Speak"]
        await session.send(" this is longer. So")
        assert made.sockets[0].types == ["Speak", "Speak", "Flush"]


async def test_finish_without_a_rest_flushes_no_more() -> None:
    """All was flushed already: its confirmation ends the utterance."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST + " ")
        await session.send("\n")
        await session.flush()
        await session.finish()
        await session.finish()
        assert made.sockets[0].types == ["Speak", "Flush"]
        made.sockets[0].audio(AUDIO)
        made.sockets[0].flushed()
        assert await rest(session) == AUDIO


async def test_what_takes_no_text() -> None:
    """Before it is open, after ``finish``, after its end; and what is no text."""
    async with room() as made:
        session = made.utterance()
        with pytest.raises(ClosedError):
            await session.send(FIRST)
        async with session:
            for wrong in (5, None, b"bytes", "\ud800"):
                with pytest.raises(InvalidArgumentError):
                    await session.send(wrong)  # type: ignore[arg-type]
            await session.finish()
            with pytest.raises(ClosedError):
                await session.send(FIRST)
            with pytest.raises(ClosedError):
                await session.flush()
        with pytest.raises(ClosedError):
            await session.send(FIRST)


# -- flushes --------------------------------------------------------------------------------------


async def test_later_sentences_leave_flushes_to_others() -> None:
    """Only the first sentence may take of the last eight."""
    async with room() as made:
        made.most = 9
        async with made.utterance() as session:
            for _ in range(4):
                await session.send(FIRST)
                made.sockets[0].audio(AUDIO)
                for _ in range(made.sockets[0].types.count("Flush") - session._flushed):
                    made.sockets[0].flushed()
                await steps()
            assert made.sockets[0].types.count("Flush") == 2
            await session.finish()
            assert made.sockets[0].types.count("Flush") == 3


async def test_deferred_flush_comes_by_itself() -> None:
    """``flush()`` without a flush to spare: sent when the window has passed."""
    async with room() as made:
        made.most, made.window = 2, 0.05
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.flush()
            await session.send(SECOND)
            await session.flush()
            assert made.sockets[0].types == ["Speak", "Flush", "Speak"]
            async with asyncio.timeout(2):
                while made.sockets[0].types.count("Flush") < 2:
                    await asyncio.sleep(0.005)
        assert made.pool.stats().leased == 0


async def test_deferred_flush_ends_with_its_session() -> None:
    """No timer of a session that was closed stays behind."""
    async with room() as made:
        made.most = 2
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.flush()
            await session.send(SECOND)
            await session.flush()
            assert session._later is not None
        assert session._later is None


async def test_flushes_that_wait_for_the_network_are_counted() -> None:
    """Those that were not written yet are as good as sent."""
    async with room() as made:
        made.most = 2
        async with made.utterance() as session:
            made.sockets[0].stuck = True
            stuck = [asyncio.ensure_future(session.send(FIRST + SECOND + "And"))]
            await steps()
            stuck.append(asyncio.ensure_future(session.flush()))
            await steps()
            assert session._script.flushes == 1
            for task in stuck:
                task.cancel()
            await asyncio.wait(stuck)
            made.sockets[0].stuck = False


async def test_flush_while_it_is_said_again() -> None:
    """What is flushed while there is no socket is spoken once there is another."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST + "And")
        made.sockets[0].loses()
        await session.flush()
        await steps()
        assert made.sockets[1].types == ["Speak", "Flush", "Speak", "Flush"]


async def test_a_socket_without_flushes_is_passed_over() -> None:
    """It stays in the pool; another one is dialled, and later it serves again."""
    async with room() as made:
        made.most, made.window = 3, 0.2
        for _ in range(2):
            await spoken(made, FIRST)
        assert len(made.sockets) == 1
        await spoken(made, FIRST)
        assert len(made.sockets) == 2
        assert made.pool.stats().ready == 2
        await asyncio.sleep(0.21)
        await spoken_on_any(made)
        assert len(made.sockets) == 2


async def spoken_on_any(made: Room) -> None:
    async with made.utterance() as session:
        await session.send(FIRST)
        await session.finish()
        for socket in made.sockets:
            socket.audio(AUDIO)
            socket.flushed()
        assert await rest(session) == AUDIO


async def test_warning_after_audio_is_an_error() -> None:
    """An ignored flush after the first audio: what was promised cannot come any more."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST)
        await session.finish()
        made.sockets[0].audio(AUDIO)
        made.sockets[0].says({"type": "Warning", "description": "too many flushes", "code": "F"})
        with pytest.raises(StreamInterruptedError) as broken:
            await rest(session)
        assert broken.value.delivered_bytes == len(AUDIO)


# -- losses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [True, False])
async def test_said_again_once(closed: bool) -> None:
    """Lost before the first audio: the same messages on another socket."""
    async with room() as made:
        async with made.utterance() as session:
            await session.send(FIRST + SECOND)
            if closed:
                made.sockets[0].closes(1011, "NET-0000")
            else:
                made.sockets[0].loses()
            await steps()
            assert made.sockets[1].heard[:2] == made.sockets[0].heard[:2]
            await session.finish()
            made.sockets[1].audio(AUDIO)
            for _ in range(made.sockets[1].types.count("Flush")):
                made.sockets[1].flushed()
            assert await rest(session) == AUDIO
        assert session.attempts == 2


async def test_said_again_is_confirmed_again() -> None:
    """What the lost socket had confirmed without a sound counts no more."""
    async with room() as made, made.utterance() as session:
        await session.send("… ")
        await session.flush()
        made.sockets[0].flushed()
        await session.send(FIRST)
        await session.finish()
        made.sockets[0].loses()
        await steps()
        assert made.sockets[1].types == ["Speak", "Flush", "Speak", "Flush"]
        made.sockets[1].flushed()
        made.sockets[1].audio(AUDIO)
        made.sockets[1].flushed()
        assert await rest(session) == AUDIO


async def test_our_fault_is_not_said_again() -> None:
    """What the vendor refuses it would refuse again."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST)
        await session.finish()
        made.sockets[0].closes(1009, "BIG-0001")
        with pytest.raises(VoicekitError) as refused:
            await anext(session)
        assert getattr(refused.value, "code", None) == "BIG-0001"
        assert len(made.sockets) == 1


async def test_dead_at_the_first_word() -> None:
    """A pooled socket that cannot be written to costs neither an attempt nor the replay."""
    async with room() as made:
        await spoken(made, FIRST)
        made.sockets[0].fail_send = ConnectionLostError("gone")
        async with made.utterance() as session:
            await session.send(FIRST)
            await session.finish()
            await steps()
            made.sockets[1].audio(AUDIO)
            made.sockets[1].flushed()
            assert await rest(session) == AUDIO
        assert len(made.sockets) == 2


async def test_error_message_before_audio() -> None:
    """An ``Error`` of the newer grammar that may pass is tried once more; else it is raised."""
    async with room() as made, made.utterance() as session:
        await session.send(FIRST)
        await session.finish()
        made.sockets[0].says({"type": "Error", "code": "NET-0000", "description": "d"})
        await steps()
        made.sockets[1].says({"type": "Error", "code": "NET-0000", "description": "d"})
        with pytest.raises(VoicekitError) as refused:
            await anext(session)
        assert getattr(refused.value, "code", None) == "NET-0000"
