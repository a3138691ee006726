"""The checks for engines: passed by every built-in role, failed by broken engines."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

import pytest

from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.clients.openai import AzureOpenAIClient
from voicekit.emulator import Emulator
from voicekit.errors import ClosedError, InvalidArgumentError
from voicekit.own_engine import EngineSpeech
from voicekit.speech import AudioFormat
from voicekit.testing.conformance import (
    CHAT_MODEL_CHECKS,
    SYNTHESIZER_CHECKS,
    TRANSCRIBER_CHECKS,
)
from voicekit.testing.conformance import chat as chatting
from voicekit.testing.conformance import speech as speaking
from voicekit.testing.conformance import transcription as hearing
from voicekit.transport.config import WarmReport

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

Make = Callable[[], Any]
Check = Callable[[Make], Awaitable[None]]


@pytest.fixture
async def world() -> AsyncIterator[Emulator]:
    async with Emulator(scenario="instant") as world:
        yield world


def elevenlabs(world: Emulator) -> Any:
    return ElevenLabsClient(voice="v", api_key="k", base_url=world.elevenlabs.url)


def deepgram(world: Emulator) -> Any:
    return DeepgramClient(api_key="k", base_url=world.deepgram.url)


def openai(world: Emulator) -> Any:
    return OpenAIClient(
        model="gpt-test",
        api_key="k",
        base_url=world.openai.url,
        speech={"model": "gpt-4o-mini-tts", "voice": "alloy"},
        transcription={"model": "gpt-4o-transcribe"},
    )


def azure(world: Emulator) -> Any:
    return AzureOpenAIClient(
        model="gpt-test",
        api_key="k",
        azure_endpoint=world.openai.url.removesuffix("/v1"),
        api_version="2025-04-01-preview",
    )


SYNTHESIZERS: dict[str, Callable[[Emulator], Any]] = {
    "elevenlabs": elevenlabs,
    "deepgram": lambda world: deepgram(world).as_synthesizer(),
    "openai": lambda world: openai(world).as_synthesizer(),
}
TRANSCRIBERS: dict[str, Callable[[Emulator], Any]] = {
    "elevenlabs": lambda world: elevenlabs(world).as_transcriber(),
    "deepgram": deepgram,
    "openai": lambda world: openai(world).as_transcriber(),
}
CHAT_MODELS: dict[str, Callable[[Emulator], Any]] = {"openai": openai, "azure": azure}


def name(check: Any) -> str:
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("check", SYNTHESIZER_CHECKS, ids=name)
@pytest.mark.parametrize("engine", SYNTHESIZERS)
async def test_synthesizers(engine: str, check: Check, world: Emulator) -> None:
    """Every built-in ``Synthesizer`` keeps what the interface promises."""
    await check(lambda: SYNTHESIZERS[engine](world))


@pytest.mark.parametrize("check", TRANSCRIBER_CHECKS, ids=name)
@pytest.mark.parametrize("engine", TRANSCRIBERS)
async def test_transcribers(engine: str, check: Check, world: Emulator) -> None:
    """Every built-in ``Transcriber`` keeps what the interface promises."""
    await check(lambda: TRANSCRIBERS[engine](world))


@pytest.mark.parametrize("check", CHAT_MODEL_CHECKS, ids=name)
@pytest.mark.parametrize("engine", CHAT_MODELS)
async def test_chat_models(engine: str, check: Check, world: Emulator) -> None:
    """Every built-in ``ChatModel`` keeps what the interface promises."""
    await check(lambda: CHAT_MODELS[engine](world))


# -- engines of users, good and bad ----------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class OwnRequest:
    """As a user would write it."""

    text: str
    format: AudioFormat

    @property
    def identity(self) -> str:
        return f"{self.format.name} {self.text}"


class Own:
    """A user's engine: a click per letter."""

    def __init__(self) -> None:
        self._closed = False

    def request(self, text: str, /, *, format: str = "pcm_16000") -> Any:  # noqa: A002
        if not text:
            raise InvalidArgumentError("nothing to say", argument="text")
        return OwnRequest(text=text, format=AudioFormat.parse(format))

    def stream_speech(self, text: Any, /, **options: Any) -> Any:
        if self._closed:
            raise ClosedError("the engine is closed")
        request = self.request(text, **options) if isinstance(text, str) else text
        return EngineSpeech(self.clicks(request.text), format=request.format, provider="own")

    async def clicks(self, text: str) -> AsyncIterator[bytes]:
        for letter in text:
            await asyncio.sleep(0)
            yield bytes([ord(letter) % 128]) * 320

    async def synthesize(self, text: Any, /, **options: Any) -> Any:
        return await self.stream_speech(text, **options).clip()

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        return WarmReport(opened=0, reused=n)

    async def aclose(self) -> None:
        self._closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


@pytest.mark.parametrize("check", SYNTHESIZER_CHECKS, ids=name)
async def test_an_engine_of_ones_own(check: Check) -> None:
    """``EngineSpeech`` is all that an engine needs to keep the promises of a handle."""
    await check(Own)


class Changeable(Own):
    def request(self, text: str, /, **options: Any) -> Any:
        return SimpleNamespace(**{"identity": text, **vars(super().request(text, **options))})


class Dials(Own):
    def request(self, text: str, /, **options: Any) -> Any:
        socket.getaddrinfo("localhost", 80)
        return super().request(text, **options)


class ForgetsTheFormat(Own):
    def request(self, text: str, /, **options: Any) -> Any:
        request = super().request(text, **options)

        class Forgetful(OwnRequest):
            identity = request.text

        return Forgetful(text=request.text, format=request.format)


class TakesNothing(Own):
    def request(self, text: str, /, **options: Any) -> Any:
        return super().request(text or " ", **options)


class HalfSamples(Own):
    def stream_speech(self, text: Any, /, **options: Any) -> Any:
        stream = super().stream_speech(text, **options)
        following = stream.__anext__

        async def cut() -> bytes:
            return bytes(await following())[:-1]

        return Wrapped(stream, cut)


class Wrapped:
    """A handle with another ``__anext__``."""

    def __init__(self, stream: Any, following: Callable[[], Awaitable[bytes]]) -> None:
        self._stream = stream
        self._following = following

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __await__(self) -> Any:
        return self._opened().__await__()

    async def _opened(self) -> Self:
        await self._stream
        return self

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stream.__aexit__(*exc)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await self._following()


class BoundToATask(Own):
    def stream_speech(self, text: Any, /, **options: Any) -> Any:
        stream = super().stream_speech(text, **options)
        following, owner = stream.__anext__, []

        async def mine() -> Any:
            owner.append(asyncio.current_task())
            return await following()

        class Bound(Wrapped):
            async def __aenter__(self) -> Self:
                owner.append(asyncio.current_task())
                return await super().__aenter__()

            async def __anext__(self) -> bytes:
                if owner and owner[0] is not asyncio.current_task():
                    raise RuntimeError("another task")
                return await super().__anext__()

        return Bound(stream, mine)


class Eager(Own):
    def stream_speech(self, text: Any, /, **options: Any) -> Any:
        self.early = asyncio.ensure_future(asyncio.sleep(0.5))
        return super().stream_speech(text, **options)


class LoudCancel(Own):
    def stream_speech(self, text: Any, /, **options: Any) -> Any:
        stream = super().stream_speech(text, **options)
        following = stream.__anext__
        told: list[bool] = []

        async def loud() -> Any:
            await asyncio.sleep(0)
            if stream.cancelled and not told:
                told.append(True)
                raise ClosedError("cancelled")
            return await following()

        return Wrapped(stream, loud)


class NeverClosed(Own):
    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (Changeable, speaking.request_is_frozen_and_does_no_io),
        (Dials, speaking.request_is_frozen_and_does_no_io),
        (ForgetsTheFormat, speaking.identity_tells_requests_apart),
        (TakesNothing, speaking.empty_text_is_refused_before_io),
        (HalfSamples, speaking.speech_is_whole_and_as_it_is_made),
        (Eager, speaking.handle_is_made_without_io),
        (BoundToATask, speaking.handle_moves_between_tasks),
        (LoudCancel, speaking.cancel_ends_iteration_quietly),
        (NeverClosed, speaking.closing_twice_and_using_afterwards),
    ],
    ids=name,
)
async def test_a_broken_synthesizer_fails(make: Make, check: Check) -> None:
    """Each check sees the fault it is for, and says the promise in words."""
    with pytest.raises((AssertionError, RuntimeError)) as caught:
        await check(make)
    assert isinstance(caught.value, AssertionError) or make is BoundToATask
    assert str(caught.value)


async def test_a_broken_chat_model_and_transcriber_fail(world: Emulator) -> None:
    """The other kits look as closely."""

    def broken(make: Make, **parts: Any) -> Make:
        def made() -> Any:
            engine = make()
            for part, other in parts.items():
                setattr(engine, part, other)
            return engine

        return made

    def say_same(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(identity="same", messages=[{"content": "x"}], audio=b"x")

    async def nothing(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(text="")

    llm = lambda: openai(world)  # noqa: E731
    stt = lambda: deepgram(world)  # noqa: E731
    cases = [
        (chatting.request_is_frozen_and_does_no_io, broken(llm, request=say_same)),
        (chatting.identity_tells_requests_apart, broken(llm, request=say_same)),
        (chatting.no_messages_are_refused_before_io, broken(llm, request=say_same)),
        (chatting.answers_are_whole_and_as_they_are_written, broken(llm, chat=nothing)),
        (chatting.closing_twice_and_using_afterwards, broken(llm, chat=nothing)),
        (hearing.request_is_frozen_and_does_no_io, broken(stt, request=say_same)),
        (hearing.identity_tells_requests_apart, broken(stt, request=say_same)),
        (hearing.empty_audio_is_refused_before_io, broken(stt, request=say_same)),
        (hearing.transcripts_are_values, broken(stt, transcribe=nothing)),
        (hearing.closing_twice_and_using_afterwards, broken(stt, transcribe=nothing)),
    ]
    for check, make in cases:
        with pytest.raises(AssertionError):
            await check(make)
