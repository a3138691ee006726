"""Policies over real wires: handshakes that fail, tokens that expire, blocking clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from two_worlds import RATE, VOICE, right

from settling import call_tasks, eventually
from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient, deadline, sync
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    RateLimitError,
    UnavailableError,
)
from voicekit.resilience import NO_POLICIES, Breaker, Policies
from voicekit.testing import no_waits

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "A text that is longer than the fifty characters of the first piece. "
HEARD = "one two three four"
INSTANT = Scenario(name="test", speech_chunk_bytes=2000, heard=HEARD)
PCM = bytes(16_000)


@asynccontextmanager
async def world_of(*providers: str) -> AsyncIterator[Emulator]:
    async with Emulator(providers=providers, scenario=INSTANT) as world:
        yield world
    assert await eventually(lambda: call_tasks() == [])


def eleven(world: Emulator, key: Any = "key", **options: Any) -> ElevenLabsClient:
    settings: dict[str, Any] = {"voice": VOICE, "format": f"pcm_{RATE}", **options}
    return ElevenLabsClient(key, base_url=world.elevenlabs.url, **settings)


def deep(world: Emulator, key: Any = "key", **options: Any) -> DeepgramClient:
    settings: dict[str, Any] = {"speech": {"format": f"pcm_{RATE}"}, **options}
    return DeepgramClient(key, base_url=world.deepgram.url, **settings)


async def pieces() -> AsyncIterator[str]:
    for word in TEXT.split():
        yield word + " "


async def spoken(session: Any, model: str) -> None:
    await session.send(TEXT)
    await session.finish()
    clip = await session.clip()
    assert right(clip.data, TEXT, voice=model)
    assert clip.attempts == session.attempts


async def elevenlabs(world: Emulator, **options: Any) -> tuple[Any, Any]:
    async with eleven(world, **options) as tts, tts.open_speech() as session:
        await spoken(session, VOICE)
    return tts, session


async def elevenlabs_single(world: Emulator, **options: Any) -> tuple[Any, Any]:
    return await elevenlabs(world, socket="stream-input", **options)


async def elevenlabs_fed(world: Emulator, **options: Any) -> tuple[Any, Any]:
    async with eleven(world, **options) as tts, tts.stream_speech(pieces()) as session:
        audio = (await session.clip()).data
    # Cut by the schedule of its pieces, so the twin's own record says what is right.
    assert audio == world.journal.audio(world.journal.requests_for("elevenlabs")[-1])
    assert session.delivered_bytes == len(audio) > 0
    return tts, session


async def deepgram(world: Emulator, **options: Any) -> tuple[Any, Any]:
    async with deep(world, **options) as tts, tts.open_speech() as session:
        await spoken(session, "aura-2-thalia-en")
    return tts, session


async def deepgram_live(world: Emulator, **options: Any) -> tuple[Any, Any]:
    async with deep(world, **options) as stt, stt.open_transcription(format="pcm_16000") as session:
        await session.send(PCM)
        await session.finish()
        assert (await session.result()).attempts == session.attempts
    return stt, session


Use = Callable[..., Awaitable[tuple[Any, Any]]]
SESSIONS = [
    pytest.param("elevenlabs", elevenlabs, id="elevenlabs"),
    pytest.param("elevenlabs", elevenlabs_single, id="elevenlabs-single"),
    pytest.param("elevenlabs", elevenlabs_fed, id="elevenlabs-fed"),
    pytest.param("deepgram", deepgram, id="deepgram"),
    pytest.param("deepgram", deepgram_live, id="deepgram-live"),
]


# -- sessions -------------------------------------------------------------------------------


@pytest.mark.parametrize(("provider", "use"), SESSIONS)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_handshake_that_is_refused_for_now(provider: Any, use: Use, status: int) -> None:
    """Is repeated as any request, and the evidence says so; nothing is said twice or lost."""
    async with world_of(provider) as world:
        world.inject(provider, Fault("ws_refuse", status=status))
        with no_waits():
            _, session = await use(world)
        assert session.attempts == 2
        assert session.hedged is False


@pytest.mark.parametrize(("provider", "use"), SESSIONS)
async def test_retry_after_of_a_handshake(provider: Any, use: Use) -> None:
    """Is waited for if there is time, else said at once."""
    wait = (("Retry-After", "1"),)
    async with world_of(provider) as world:
        world.inject(provider, Fault("ws_refuse", status=429, headers=wait))
        began = time.monotonic()
        with deadline(0.5), pytest.raises(RateLimitError) as caught:
            await use(world)
        assert time.monotonic() - began < 0.4
        assert (caught.value.retry_stopped, caught.value.retry_after) == ("retry_after", 1.0)
        assert caught.value.attempts == 1
        world.inject(provider, Fault("ws_refuse", status=429, headers=wait))
        began = time.monotonic()
        _, session = await use(world)
        assert session.attempts == 2
        assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize(("provider", "use"), SESSIONS)
async def test_a_handshake_that_is_refused_for_good(provider: Any, use: Use) -> None:
    """A wrong key is not tried again, by this session or by the next."""
    async with world_of(provider) as world:
        with pytest.raises(AuthenticationError) as caught:
            await use(world, key="bad-key")
        assert caught.value.attempts == 1
        assert len(world.journal.requests) == 1
        # NO_POLICIES is one attempt, whatever was seen.
        world.inject(provider, Fault("ws_refuse", status=503))
        with pytest.raises(UnavailableError) as unrepeated:
            await use(world, policies=NO_POLICIES)
        assert unrepeated.value.attempts == 1


@pytest.mark.parametrize(("provider", "use"), SESSIONS)
@pytest.mark.parametrize(
    "fault",
    [Fault("ws_close", code=1011), Fault("reset"), Fault("close"), Fault("in_stream_error")],
    ids=lambda each: each.kind,
)
async def test_a_socket_that_is_lost_at_once(provider: Any, use: Use, fault: Fault) -> None:
    """Whoever notices first, the attempt or the reader: everything is said exactly once."""
    if use is deepgram_live and fault.kind == "in_stream_error":
        return  # its twin has no such message before audio
    async with world_of(provider) as world:
        world.inject(provider, fault)
        with no_waits():
            await use(world)


@pytest.mark.parametrize(("provider", "use"), SESSIONS)
async def test_a_breaker_that_is_forced_open(provider: Any, use: Use) -> None:
    """Sessions are refused like requests: nothing is dialled."""
    async with world_of(provider) as world:
        breaker = Policies(breaker=Breaker(least_calls=1, failure_rate=0.1), retry=None)
        make = eleven if provider == "elevenlabs" else deep
        async with make(world, policies=breaker) as client:
            name = "open_transcription" if use is deepgram_live else "open_speech"
            client.breaker(name).force_open()
            handle: Any = getattr(client, name)()
            with pytest.raises(CircuitOpenError):
                await handle
            assert world.journal.requests == []
            client.breaker(name).reset()
            assert client.health().operations[name].breaker.rejected == 1


# -- tokens -----------------------------------------------------------------------------------


class Token:
    """Expired until it is asked for once more than it was used."""

    def __init__(self, good_from: int) -> None:
        self.asked = 0
        self._good_from = good_from

    async def __call__(self) -> str:
        self.asked += 1
        return "good-key" if self.asked >= self._good_from else "bad-key"


@pytest.mark.parametrize(
    ("provider", "use", "asked"),
    [
        # A pooled socket's dial, which may serve another, asks for itself.
        ("elevenlabs", elevenlabs, 3),
        ("deepgram", deepgram, 3),
        ("deepgram", deepgram_live, 2),
    ],
)
async def test_an_expired_token_of_a_session(provider: Any, use: Use, asked: int) -> None:
    """Is asked for again, and the handshake repeated once."""
    token = Token(asked)
    async with world_of(provider) as world:
        client, session = await use(world, key=token)
        assert session.attempts == 2
        assert token.asked >= asked
        assert client.health().credential.state == "closed"
        assert [each.outcome for each in world.journal.requests].count("complete") >= 1


async def test_an_expired_token_and_many_callers() -> None:
    """One refresh for all who were refused, and each of them is repeated once."""
    async with Emulator(providers=("openai",), scenario=INSTANT) as world:
        current, refreshes, used = "bad-key", 0, 0

        async def token() -> str:
            nonlocal current, refreshes, used
            used += 1
            if used > 20:  # the refusals are known by now
                refreshes += 1
                await asyncio.sleep(0.02)
                current = "good-key"
            return current

        async with OpenAIClient(token, base_url=world.openai.url, model="m") as llm:
            answers = await asyncio.gather(*(llm.chat("Hi") for _ in range(20)))
        assert {answer.attempts for answer in answers} == {2}
        assert refreshes == 1
        assert len(world.journal.requests) == 40


# -- blocking clients -----------------------------------------------------------------------------


def test_blocking_clients_have_them_too() -> None:
    """Policies in the constructor, in a view and in a call; breakers and health."""
    with Emulator.in_thread(providers=("openai",), scenario=INSTANT) as world:
        settings: dict[str, Any] = {"base_url": world.openai.url, "model": "m"}
        with sync.OpenAIClient("key", policies={"chat": NO_POLICIES}, **settings) as llm:
            assert "retry" not in repr(llm.pipeline("chat"))
            assert "retry" in repr(llm.with_options(policies=Policies()).pipeline("chat"))
            world.inject("openai", Fault("status", status=503))
            with pytest.raises(UnavailableError):
                llm.chat("Hi")
            world.inject("openai", Fault("status", status=503))
            assert llm.chat("Hi", policies=Policies()).attempts == 2
            with llm.stream_chat("Hi") as reply:
                assert "".join(reply)
                assert (reply.attempts, reply.hedged) == (1, False)
            llm.breaker("stream_chat").force_open()
            with pytest.raises(CircuitOpenError), llm.stream_chat("Hi"):
                pass
            health = llm.health()
            assert health.operations["stream_chat"].breaker.state == "forced_open"  # type: ignore[union-attr]
            assert health.pool.open >= 1
