"""What is said on a socket of its own, what ends it, and what becomes of the socket."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from scripted import Room, ScriptedSocket, room

from voicekit.clients.elevenlabs.config import SpeechSettings
from voicekit.clients.elevenlabs.sessions import Utterance
from voicekit.clients.elevenlabs.single import SingleScript
from voicekit.errors import (
    ConnectionLostError,
    InvalidArgumentError,
    InvalidRequestError,
    QuotaError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)

pytestmark = pytest.mark.anyio


def written(script: SingleScript) -> list[dict[str, Any]]:
    messages = []
    while (message := script.take()) is not None:
        messages.append(json.loads(message))
    return messages


def single(made: Room, **options: Any) -> Utterance:
    return made.utterance(socket="stream-input", **options)


def audio(socket: ScriptedSocket, data: bytes, **fields: Any) -> None:
    encoded = base64.b64encode(data).decode()
    socket.says({"audio": encoded, "isFinal": None, "alignment": None, **fields})


# -- the words of the protocol -----------------------------------------------------------------


def test_an_utterance_is_said_as_the_sheet_has_it() -> None:
    """No ids; a space opens, flushes and keeps alive; an empty text is the end."""
    script = SingleScript('"voice_settings":{"speed":1.1}')
    script.say("Hello")
    script.say("there. ", flush=True)
    script.flush()
    script.keep_alive()
    script.finish(speak=True)
    script.finish()
    assert script.finished
    assert script.goodbye is None
    assert written(script) == [
        {"text": " ", "voice_settings": {"speed": 1.1}},
        {"text": "Hello "},
        {"text": "there. ", "flush": True},
        {"text": " ", "flush": True},
        {"text": " "},
        {"text": ""},
    ]
    assert script.begun


def test_it_can_be_said_again() -> None:
    """As it is in contexts: the same idea, in other words."""
    script = SingleScript("")
    script.say("Hello. ")
    first = written(script)
    script.rewind()
    script.finish()
    assert written(script) == [*first, {"text": ""}]
    script.settle()
    assert not script.replayable


def test_the_option_chooses_the_endpoint() -> None:
    """In the constructor and per call; of sessions alone."""
    settings = SpeechSettings().updated({"voice": "v"})
    assert urlsplit(settings.session.target).path.endswith("/v/multi-stream-input")
    assert not settings.session.single
    chosen = settings.updated({"socket": "stream-input"}, where="session").session
    assert urlsplit(chosen.target).path.endswith("/v/stream-input")
    assert chosen.single
    for wrong in ("single", 1, ""):
        with pytest.raises(InvalidArgumentError):
            settings.updated({"socket": wrong})
    with pytest.raises(InvalidArgumentError):
        settings.updated({"socket": "stream-input"}, where="text")


# -- an utterance ------------------------------------------------------------------------------


async def test_to_the_end_and_the_socket_is_spent() -> None:
    """Final, then nobody gets the socket again."""
    async with room(one_use=True) as made:
        async with single(made) as speech:
            await speech.send("Hello. ")
            await speech.finish()
            (socket,) = made.sockets
            assert socket.texts == ["Hello. "]
            assert socket.heard[-1] == {"text": ""}
            audio(socket, bytes(800))
            socket.says({"audio": None, "isFinal": True})
            assert b"".join([chunk async for chunk in speech]) == bytes(800)
        assert made.pool.stats().leased == 0
        assert made.pool.stats().ready == 0
        async with single(made) as speech:
            await speech.send("Again. ")
        assert len(made.sockets) == 2


async def test_cancel_closes_the_socket() -> None:
    """There is no word for it; nothing else is written."""
    async with room(one_use=True) as made:
        async with single(made) as speech:
            await speech.send("Hello. ")
            await speech.flush()
            (socket,) = made.sockets
            audio(socket, bytes(800))
            await anext(speech)
            said = list(socket.heard)
            await speech.cancel()
            assert [chunk async for chunk in speech] == []
        await asyncio.sleep(0)
        assert socket.heard == said
        assert not socket.alive
        audio(socket, bytes(800))  # what was on its way is nobody's
        assert made.pool.stats().leased == 0


async def test_a_spare_takes_its_place_at_once() -> None:
    """Dialled beside the caller's path: the next utterance finds it ready."""
    async with room(one_use=True) as made:
        await made.pool.warm(1)
        for number in range(1, 6):
            async with single(made) as speech:
                assert speech.connection is not None
                assert speech.connection.reused
                await speech.send("Hello. ")
                for _ in range(5):
                    await asyncio.sleep(0)
                assert made.pool.stats().ready == 1
                assert len(made.sockets) == number + 1
                await speech.cancel()


async def test_words_count_from_the_start_of_the_utterance() -> None:
    """Each frame's times from its own start, under both spellings of the vendor."""
    aligned = {"chars": list("Hi "), "charStartTimesMs": [0, 10, 40]}
    async with room(one_use=True) as made:
        async with single(made, sync_alignment=True) as speech:
            await speech.send("Hi Hi Hi ")
            await speech.finish()
            (socket,) = made.sockets
            for name in ("charDurationsMs", "charsDurationsMs", "charDurationsMs"):
                audio(socket, bytes(800), alignment={**aligned, name: [10, 30, 10]})
            socket.says({"isFinal": True})
            clip = await speech.clip()
        assert [word.text for word in clip.words] == ["Hi", "Hi", "Hi"]
        assert [word.start for word in clip.words] == pytest.approx([0.0, 0.05, 0.1])
        assert [word.end for word in clip.words] == pytest.approx([0.04, 0.09, 0.14])


BEFORE: list[tuple[int, str, type[VoicekitError] | None]] = [
    (1000, "", None),
    (1006, "", None),
    (1011, "Internal server error", None),
    (1008, "quota_exceeded", QuotaError),
    (1008, "voice_settings field must be provided in the first message", InvalidRequestError),
    (1008, "input_timeout_exceeded", InvalidRequestError),
]


@pytest.mark.parametrize(("code", "reason", "kind"), BEFORE)
async def test_closed_before_the_first_audio(
    code: int, reason: str, kind: type[VoicekitError] | None
) -> None:
    """Said once more on a spare where that may help; else it is that error."""
    async with room(one_use=True) as made:
        await made.pool.warm(1)
        async with single(made) as speech:
            await speech.send("Hello. ")
            await speech.finish()
            made.sockets[0].closes(code, reason)
            if kind is not None:
                with pytest.raises(kind):
                    await anext(speech)
                return
            for _ in range(5):
                await asyncio.sleep(0)
            again = made.sockets[1]
            assert again.heard == made.sockets[0].heard
            audio(again, bytes(800))
            again.says({"isFinal": True})
            assert b"".join([chunk async for chunk in speech]) == bytes(800)
            assert speech.attempts == 2


@pytest.mark.parametrize(("code", "cause"), [(1000, ConnectionLostError), (1011, UnavailableError)])
async def test_closed_after_the_first_audio(code: int, cause: type[VoicekitError]) -> None:
    """A truncation, even if the close is a polite one; never said twice."""
    async with room(one_use=True) as made:
        async with single(made) as speech:
            await speech.send("Hello. ")
            await speech.finish()
            audio(made.sockets[0], bytes(800))
            made.sockets[0].closes(code)
            assert await anext(speech) == bytes(800)
            with pytest.raises(StreamInterruptedError) as caught:
                await anext(speech)
            assert isinstance(caught.value.__cause__, cause)
            assert caught.value.delivered_bytes == 800
        assert len(made.sockets) == 1


async def test_an_error_frame_is_typed() -> None:
    """Its code decides, before the close that follows."""
    async with room(one_use=True) as made, single(made) as speech:
        await speech.send("Hello. ")
        made.sockets[0].says({"message": "No.", "error": "quota_exceeded", "code": 1008})
        made.sockets[0].closes(1008, "No.")
        with pytest.raises(QuotaError):
            await anext(speech)


async def test_no_text_is_no_speech() -> None:
    """Opened and ended without a word: an empty utterance, and no error."""
    async with room(one_use=True) as made, single(made) as speech:
        await speech.finish()
        assert made.sockets[0].heard[-1] == {"text": ""}
        made.sockets[0].says({"audio": None, "isFinal": True})
        assert [chunk async for chunk in speech] == []
