"""An utterance on a socket that the test plays: replay, barge-in, late audio, bad peers."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest
from scripted import ScriptedSocket, room

from voicekit.clients.elevenlabs.contexts import MAX_UNFINISHED
from voicekit.deadlines import deadline
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    InvalidArgumentError,
    InvalidRequestError,
    LocalProtocolError,
    QuotaError,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Limits

pytestmark = pytest.mark.anyio

LONG = "A text that is longer than the fifty characters of the first piece. "
SOUND = bytes(range(256)) * 10  # 160 ms at 8 kHz


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_whole_words_go_out_as_they_are_written() -> None:
    """Nothing waits but the word under way, and the end is flushed and closed."""
    async with room() as r, r.utterance() as speech:
        socket = r.sockets[0]
        assert [m["text"] for m in socket.heard] == [" "], "the context is open before any text"
        for piece in ("Hel", "lo wor", "ld. ", "By", "e"):
            await speech.send(piece)
        assert socket.texts == ["Hello ", "world. "]
        await speech.finish()
        await speech.finish()
        assert socket.texts == ["Hello ", "world. ", "Bye "]
        assert socket.heard[-2]["flush"] is True
        assert socket.heard[-1] == {"context_id": socket.context, "close_context": True}
        socket.audio(SOUND)
        socket.final()
        assert [bytes(chunk) for chunk in [c async for c in speech]] == [SOUND]
        assert speech.delivered_bytes == len(SOUND)
        assert speech.delivered_s == 0.16


async def test_flush_sends_the_word_under_way() -> None:
    """What was sent is spoken now; more may follow."""
    async with room() as r, r.utterance() as speech:
        await speech.send("Hello the")
        await speech.flush()
        await speech.flush()
        socket = r.sockets[0]
        assert [(m.get("text"), m.get("flush")) for m in socket.heard[1:]] == [
            ("Hello ", None),
            ("the ", True),
            (None, True),
        ]
        await speech.send("re. ")
        assert socket.texts[-1] == "re. "


async def test_the_socket_is_used_again_under_another_context() -> None:
    """One after the other, ids never twice, and no handshake between them."""
    async with room() as r:
        seen = set()
        for _ in range(10):
            async with r.utterance() as speech:
                await speech.send("Hi. ")
                await speech.finish()
                socket = r.sockets[0]
                seen.add(socket.context)
                socket.audio(SOUND)
                socket.final()
                assert b"".join([c async for c in speech]) == SOUND
        assert len(r.sockets) == 1
        assert len(seen) == 10


async def test_a_cancelled_utterance_keeps_its_socket_warm() -> None:
    """Barge-in: the context is closed, iteration ends quietly, the lease is back at once."""
    async with room() as r:
        speech = await r.utterance()
        await speech.send(LONG)
        r.sockets[0].audio(SOUND)
        waiting = asyncio.create_task(collect(speech))
        await settle()
        await speech.cancel()
        assert r.pool.stats().ready == 1
        assert r.sockets[0].heard[-1] == {
            "context_id": r.sockets[0].context,
            "close_context": True,
        }
        assert await waiting == SOUND
        assert speech.cancelled
        await speech.cancel()
        with pytest.raises(ClosedError):
            await speech.send("more")


async def collect(speech: Any) -> bytes:
    return b"".join([chunk async for chunk in speech])


async def test_late_audio_of_a_cancelled_utterance_is_dropped() -> None:
    """Whether it comes while nobody holds the socket or to the next one."""
    async with room() as r:
        first = await r.utterance()
        await first.send(LONG)
        socket = r.sockets[0]
        old = socket.context
        await first.cancel()
        socket.audio(b"late" * 10, context=old)
        async with r.utterance() as second:
            socket.audio(b"late" * 10, context=old)
            await second.send(LONG)
            await second.finish()
            socket.audio(SOUND)
            socket.audio(b"late" * 10, context=old)
            socket.final(old)
            socket.final()
            assert await collect(second) == SOUND
        assert len(r.sockets) == 1


async def test_closing_early_is_as_polite_as_cancelling() -> None:
    """Leaving ``async with`` in the middle closes the context and keeps the socket."""
    async with room() as r:
        async with r.utterance() as speech:
            await speech.send(LONG)
        assert r.sockets[0].heard[-1]["close_context"] is True
        assert r.pool.stats().ready == 1
        assert not speech.cancelled


async def test_a_socket_with_too_many_unfinished_contexts_is_given_up() -> None:
    """A server that does not end cancelled contexts costs a socket, never an utterance."""
    async with room() as r:
        for number in range(MAX_UNFINISHED):
            assert len(r.sockets) <= 1, number
            speech = await r.utterance()
            await speech.send(LONG)
            await speech.cancel()
        await settle()
        assert not r.sockets[0].alive
        await (await r.utterance()).cancel()
        assert len(r.sockets) == 2


async def test_finals_make_room_again() -> None:
    """Also when they come while nobody holds the socket."""
    async with room() as r:
        for _ in range(20):
            speech = await r.utterance()
            await speech.send(LONG)
            await speech.cancel()
            r.sockets[0].final()
        assert len(r.sockets) == 1


@pytest.mark.parametrize("code", [None, 1000, 1001, 1011])
async def test_a_socket_lost_before_the_first_audio_is_replaced(code: int | None) -> None:
    """Everything is said once more on a fresh one; the caller sees nothing of it."""
    async with room() as r, r.utterance() as speech:
        await speech.send("One tw")
        lost = r.sockets[0]
        lost.loses() if code is None else lost.closes(code)
        await speech.send("o. Three")
        await speech.finish()
        await settle()
        fresh = r.sockets[1]
        assert fresh.texts == ["One ", "two. ", "Three "]
        assert fresh.heard[0]["generation_config"]
        fresh.audio(SOUND)
        fresh.final()
        assert await collect(speech) == SOUND
        assert speech.attempts == 2
        assert r.pool.stats().ready == 1


async def test_it_is_replayed_once() -> None:
    """A second loss is an error, which says that it may be tried again."""
    async with room() as r, r.utterance() as speech:
        await speech.send(LONG)
        r.sockets[0].closes(1011)
        await settle()
        r.sockets[1].closes(1011)
        with pytest.raises(UnavailableError) as caught:
            await anext(speech)
        assert caught.value.retryable
        assert caught.value.status == 1011
        assert caught.value.provider == "elevenlabs"
        assert len(r.sockets) == 2


async def test_a_failed_replay_is_an_error() -> None:
    """When no other socket can be had, the dial's error surfaces."""
    async with room() as r, r.utterance() as speech:
        await speech.send(LONG)
        r.refuse = AuthenticationError("status 401", status=401)
        r.sockets[0].loses()
        with pytest.raises(AuthenticationError):
            await anext(speech)


async def test_after_the_first_audio_nothing_is_said_twice() -> None:
    """The loss is reported with an exact account of what was delivered."""
    async with room() as r, r.utterance() as speech:
        await speech.send(LONG)
        r.sockets[0].audio(SOUND)
        r.sockets[0].loses()
        assert await anext(speech) == SOUND
        with pytest.raises(StreamInterruptedError) as caught:
            await anext(speech)
        assert caught.value.delivered_bytes == len(SOUND)
        assert caught.value.delivered_s == 0.16
        assert isinstance(caught.value.__cause__, ConnectionLostError)
        await settle()
        assert len(r.sockets) == 1


async def test_a_clean_close_before_the_end_is_a_truncation() -> None:
    """1000 is not the protocol's own end marker."""
    async with room() as r, r.utterance() as speech:
        await speech.send(LONG)
        await speech.finish()
        r.sockets[0].audio(SOUND)
        r.sockets[0].closes(1000)
        with pytest.raises(StreamInterruptedError):
            await collect(speech)


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        ("quota_exceeded", 1008, QuotaError),
        ("invalid_api_key", 1008, AuthenticationError),
        ("invalid_input_message", 1008, InvalidRequestError),
    ],
)
async def test_a_refusal_is_typed_and_never_repeated(
    error: str, code: int, kind: type[VoicekitError]
) -> None:
    """An error frame of this context, or of the socket: the table's error, one attempt."""
    for with_id in (True, False):
        async with room() as r, r.utterance() as speech:
            await speech.send("marked text ")
            frame: dict[str, Any] = {"message": "marked", "error": error, "code": code}
            if with_id:
                frame["contextId"] = r.sockets[0].context
            r.sockets[0].says(frame)
            with pytest.raises(kind) as caught:
                await anext(speech)
            assert "marked" not in str(caught.value) + repr(caught.value)
            with pytest.raises(ClosedError):
                await speech.send("more ")
            await settle()
            assert len(r.sockets) == 1
            assert r.pool.stats().ready == 0, "its socket is about to be closed"


async def test_an_internal_error_frame_is_replayed() -> None:
    """1011 is the server's own failure."""
    async with room() as r, r.utterance() as speech:
        await speech.send(LONG)
        r.sockets[0].says({"error": "internal_error", "code": 1011})
        await settle()
        r.sockets[1].audio(SOUND)
        assert await anext(speech) == SOUND


@pytest.mark.parametrize(
    "frame",
    ["garbage", "[]", '{"audio": "!!!!"}', '{"audio": 5}', '{"audio": ["x"]}'],
)
async def test_what_makes_no_sense_ends_the_session_and_the_socket(frame: str) -> None:
    """Typed, and the socket is not used again."""
    async with room() as r:
        async with r.utterance() as speech:
            await speech.send(LONG)
            r.sockets[0].says(frame)
            with pytest.raises(RemoteProtocolError):
                await anext(speech)
        await settle()
        assert not r.sockets[0].alive
        assert r.pool.stats().open == 0


@pytest.mark.parametrize(
    "frame",
    ["{}", '{"type":"flush_done"}', '{"isFinal":null,"contextId":"x"}', '{"contextId":5}'],
)
async def test_unknown_frames_are_ignored(frame: str) -> None:
    """What is newer than this file does no harm."""
    async with room() as r, r.utterance() as speech:
        await speech.send(LONG)
        r.sockets[0].says(frame)
        await speech.finish()
        r.sockets[0].audio(SOUND)
        r.sockets[0].final()
        assert await collect(speech) == SOUND


async def test_samples_stay_whole_across_frames() -> None:
    """And a sample that stays half is a truncation."""
    async with room() as r, r.utterance() as speech:
        await speech.send(LONG)
        await speech.finish()
        r.sockets[0].audio(b"abc")
        r.sockets[0].audio(b"def")
        assert [await anext(speech), await anext(speech)] == [b"ab", b"cdef"]
        r.sockets[0].audio(b"g" * 1601)
        r.sockets[0].final()
        assert len(await anext(speech)) == 1600
        with pytest.raises(StreamInterruptedError, match="inside a sample"):
            await anext(speech)


async def test_an_end_without_audio_is_an_error_if_there_was_text() -> None:
    """Missing audio is never silent; without text there is nothing to miss."""
    async with room() as r:
        async with r.utterance() as speech:
            await speech.send("Hello.")
            await speech.finish()
            r.sockets[0].final()
            with pytest.raises(RemoteProtocolError, match="without any audio"):
                await anext(speech)
        async with r.utterance() as silent:
            await silent.finish()
            r.sockets[-1].final()
            assert await collect(silent) == b""


async def test_a_final_before_our_end_ends_nothing_that_goes_on() -> None:
    """It says that everything so far was spoken; if no more text comes, it was the end."""
    async with room() as r:
        async with r.utterance() as speech:
            await speech.send(LONG)
            r.sockets[0].audio(SOUND)
            r.sockets[0].final()
            await speech.finish()
            assert await collect(speech) == SOUND
        async with r.utterance() as speech:
            await speech.send(LONG)
            r.sockets[0].audio(SOUND)
            r.sockets[0].final()
            await speech.send("More. ")
            await speech.finish()
            r.sockets[0].audio(SOUND)
            r.sockets[0].final()
            assert await collect(speech) == SOUND * 2


async def test_the_last_word_is_not_lost() -> None:
    """An alignment without a space at its end has its last word come with the end."""
    async with room() as r, r.utterance() as speech:
        await speech.send("Hi you")
        await speech.finish()
        alignment = {
            "chars": list("Hi you"),
            "charStartTimesMs": [0, 10, 20, 30, 40, 50],
            "charDurationsMs": [10] * 6,
        }
        r.sockets[0].audio(SOUND, alignment=alignment)
        r.sockets[0].final()
        clip = await speech.clip()
        assert [word.text for word in clip.words] == ["Hi", "you"]
        assert clip.data == SOUND


async def test_a_slow_consumer_loses_nothing_up_to_the_bound() -> None:
    """Beyond it the session fails typed, after what was buffered."""
    async with room() as r, r.utterance(max_buffered_s=1.0) as speech:
        await speech.send(LONG)
        for _ in range(6):
            r.sockets[0].audio(SOUND)
        assert [await anext(speech) for _ in range(6)] == [SOUND] * 6
        for _ in range(7):
            r.sockets[0].audio(SOUND)
        got = [await anext(speech) for _ in range(7)]
        assert got == [SOUND] * 7
        with pytest.raises(StreamInterruptedError) as caught:
            await anext(speech)
        assert isinstance(caught.value.__cause__, LocalProtocolError)


async def test_silence_counts_only_while_speech_is_owed() -> None:
    """A model that pauses is no fault of the voice; text past the schedule is owed."""
    async with room() as r:
        r.limits = Limits(first_output=0.05, gap=0.05)
        async with r.utterance() as speech:
            await speech.send("Short. ")
            waiting = asyncio.create_task(anext(speech))
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            assert not done
            await speech.send(LONG)
            with pytest.raises(FirstOutputTimeout):
                await waiting
        async with r.utterance() as speech:
            await speech.send(LONG)
            r.sockets[-1].audio(SOUND)
            assert await anext(speech)
            waiting = asyncio.create_task(anext(speech))
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            assert not done
            await speech.finish()
            with pytest.raises(StreamInterruptedError) as caught:
                await waiting
            assert isinstance(caught.value.__cause__, GapTimeout)


async def test_a_deadline_ends_the_wait_for_what_nobody_owes() -> None:
    """The ambient deadline bounds every wait, also for speech of a text that never comes."""
    async with room() as r:
        with deadline(0.1):
            speech = await r.utterance()
        with pytest.raises(TotalTimeout):
            await anext(speech)
        await speech.aclose()


async def test_a_drip_is_no_speech() -> None:
    """Frames of a sample each trip the first-output limit."""
    async with room() as r:
        r.limits = Limits(first_output=0.1, gap=0.1)
        async with r.utterance() as speech:
            await speech.send(LONG)

            async def drip() -> None:
                while r.sockets[0].alive:
                    r.sockets[0].audio(b"\1\2")
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(drip())
            with pytest.raises(FirstOutputTimeout):
                await collect(speech)
            await task


async def test_a_stuck_network_does_not_hold_up_a_barge_in() -> None:
    """The closing message waits a second at most, then the socket is given up."""
    async with room() as r:
        speech = await r.utterance()
        r.sockets[0].stuck = True
        sending = asyncio.create_task(speech.send(LONG))
        await settle()
        waiting = asyncio.create_task(collect(speech))
        await settle()
        cancelling = asyncio.create_task(speech.cancel())
        assert await waiting == b"", "iteration ends at once"
        cancelling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelling
        assert r.pool.stats().open == 0
        sending.cancel()
        await asyncio.wait([sending])


async def test_a_pooled_socket_that_is_dead_at_the_first_word_costs_nothing() -> None:
    """The next one is taken, and at last one is dialled."""
    async with room() as r:
        await (await r.utterance()).cancel()
        r.sockets[0].final()
        r.sockets[0].fail_send = ConnectionLostError("gone")
        async with r.utterance() as speech:
            assert len(r.sockets) == 2
            assert speech.attempts == 1
            assert speech.connection is not None
            assert not speech.connection.reused


async def test_a_fresh_socket_that_is_dead_at_the_first_word_costs_the_replay() -> None:
    """There is no sense in dialling for ever: two in all, whatever happens later."""
    async with room() as r:
        bad = 2

        async def broken(facts: Any) -> Any:
            socket = await r._dial(facts)
            if len(r.sockets) <= bad:
                r.sockets[-1].fail_send = ConnectionLostError("gone")
            return socket

        r.pool._dial = broken
        with pytest.raises(ConnectionLostError):
            await r.utterance()
        assert len(r.sockets) == 2
        assert r.pool.stats().leased == 0
        bad = 3
        async with r.utterance() as speech:
            assert len(r.sockets) == 4
            r.sockets[-1].loses()
            with pytest.raises(ConnectionLostError):
                await anext(speech)
        assert len(r.sockets) == 4


async def test_the_pool_may_close_under_a_session() -> None:
    """A client that is closed ends its sessions with an error, not with silence."""
    async with room() as r:
        speech = await r.utterance()
        await speech.send(LONG)
        waiting = asyncio.create_task(anext(speech))
        await settle()
        await r.pool.aclose()
        with pytest.raises(ClosedError):
            await waiting
        await speech.aclose()


async def test_a_forgotten_session_warns_and_gives_its_place_back() -> None:
    """Nothing of ours keeps it alive once the caller has dropped it."""
    async with room() as r:
        speech = await r.utterance()
        await speech.send(LONG)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del speech
            gc.collect()
        assert any("never closed" in str(each.message) for each in caught)
        await settle()
        assert r.pool.stats().leased == 0


async def test_bad_text_is_refused_and_harms_nothing() -> None:
    """Wrong types and lone surrogates are refused unquoted; the session goes on."""
    async with room() as r, r.utterance() as speech:
        for bad in (5, b"x", None, "half \ud800"):
            with pytest.raises(InvalidArgumentError) as caught:
                await speech.send(bad)  # type: ignore[arg-type]
            assert "half" not in str(caught.value)
        await speech.send("Good. ")
        assert r.sockets[0].texts == ["Good. "]
        await speech.finish()
        with pytest.raises(ClosedError, match="finish"):
            await speech.send("More. ")
        with pytest.raises(ClosedError, match="finish"):
            await speech.flush()


async def test_a_session_must_be_open() -> None:
    """Before and after, input is refused; closing an unopened one is fine."""
    async with room() as r:
        speech = r.utterance()
        with pytest.raises(ClosedError, match="open the session"):
            await speech.send("x ")
        await speech.aclose()
        with pytest.raises(ClosedError):
            await speech
        assert r.sockets == []


async def test_a_session_closed_while_it_opens_wastes_no_socket() -> None:
    """The opening ends at once, and the dial goes on for the pool."""
    async with room() as r:
        gate = asyncio.Event()

        async def slow(facts: Any) -> Any:
            await gate.wait()
            return await r._dial(facts)

        r.pool._dial = slow
        speech = r.utterance()
        opening = asyncio.create_task(speech.__aenter__())
        await settle()
        await speech.aclose()
        with pytest.raises(ClosedError):
            await opening
        gate.set()
        await settle()
        assert (r.pool.stats().ready, r.pool.stats().leased) == (1, 0)


async def test_a_replay_ends_with_its_session() -> None:
    """Cancelled while it is being said again, nothing goes on in the background."""
    async with room() as r:
        speech = await r.utterance()
        await speech.send(LONG)
        gate = asyncio.Event()

        async def slow(facts: Any) -> ScriptedSocket:
            await gate.wait()
            raise AssertionError("nobody waits for it")

        r.pool._dial = slow
        r.sockets[0].loses()
        await settle()
        await speech.cancel()
        await settle()
        assert not any("replay" in task.get_name() for task in asyncio.all_tasks())


async def test_audio_without_end_is_refused() -> None:
    """More than the text can take is no speech of it, however fast it is consumed."""
    async with room() as r, r.utterance() as speech:
        await speech.send(LONG)
        minute = bytes(16_000 * 60)
        r.sockets[0].audio(minute)
        r.sockets[0].audio(minute)
        assert await anext(speech)
        assert await anext(speech)
        r.sockets[0].audio(minute)
        with pytest.raises(StreamInterruptedError, match="more audio"):
            await anext(speech)
