"""``fallback`` over real wires: what the servers saw, fault by fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from two_worlds import OTHER_VOICE, PACED, RATE, heard, right, spoken, twins, two_providers

from settling import call_tasks, eventually
from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient, deadline
from voicekit.clients.openai import AzureOpenAIClient
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.errors import (
    InvalidRequestError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)
from voicekit.resilience.members.fallback import fallback
from voicekit.resilience.members.spread import spread
from voicekit.resilience.members.trail import errors_of
from voicekit.testing.conformance import (
    CHAT_MODEL_CHECKS,
    SYNTHESIZER_CHECKS,
    TRANSCRIBER_CHECKS,
)

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "A text that is longer than the fifty characters of the first piece. "
PCM = f"pcm_{RATE}"

# For as long as the test lasts: the client itself may repeat before the next member is asked.
BEFORE = [
    Fault("status", status=500, times=None),
    Fault("status", status=429, times=None),
    Fault("status", status=401, times=None),
    Fault("html", times=None),
    Fault("empty", times=None),
    Fault("reset", times=None),
    Fault("silence", times=None),
    Fault("stall", times=None),
]


@pytest.mark.parametrize("fault", BEFORE, ids=lambda each: f"{each.kind}{each.status or ''}")
async def test_before_the_commit_point_the_second_speaks(fault: Fault) -> None:
    """Its audio is whole, and it was asked once."""
    async with two_providers(timeout=0.3) as (world, tts):
        world.inject("elevenlabs", fault)
        async with tts.stream_speech(TEXT, format=PCM) as speech:
            assert (speech.member, list(speech.errors)) == ("deepgram", ["elevenlabs"])
            assert right(await heard(speech), TEXT, voice=OTHER_VOICE)
        assert len(spoken(world, "elevenlabs")) >= 1
        (asked,) = spoken(world, "deepgram")
        assert asked.json() == {"text": TEXT}
        clip = await tts.synthesize(TEXT, format=PCM)
        assert clip.member == "deepgram"
        assert len(spoken(world, "elevenlabs")) < 10  # it rests
        # Whoever was given up is not spoken to any more.
        assert await eventually(
            lambda: (
                all(each.outcome is not None for each in spoken(world, "elevenlabs"))
                or fault.kind in {"silence", "stall"}
            )
        )


async def test_a_request_that_is_refused_surfaces() -> None:
    """Nothing reaches the second."""
    async with two_providers() as (world, tts):
        world.inject("elevenlabs", Fault("status", status=400, times=None))
        with pytest.raises(InvalidRequestError):
            await heard(tts.stream_speech(TEXT, format=PCM))
        assert spoken(world, "deepgram") == []
        assert tts.stats()[0].state == "well"


@pytest.mark.parametrize("kind", ["reset", "close"])
async def test_after_the_commit_point_nothing_moves(kind: Any) -> None:
    """The error says what was delivered; the second was never asked."""
    async with two_providers(PACED) as (world, tts):
        world.inject("elevenlabs", Fault(kind, after_bytes=4000, times=None))
        async with tts.stream_speech(TEXT, format=PCM) as speech:
            first = await anext(speech)
            with pytest.raises(StreamInterruptedError) as caught:
                await heard(speech)
        assert caught.value.delivered_bytes == speech.delivered_bytes >= len(first) > 0
        assert spoken(world, "deepgram") == []


async def test_both_fail() -> None:
    """The last error, with the first on it."""
    async with two_providers() as (world, tts):
        for provider in ("elevenlabs", "deepgram"):
            world.inject(provider, Fault("status", status=503, times=None))
        with pytest.raises(UnavailableError) as caught:
            await tts.synthesize(TEXT, format=PCM)
        assert caught.value.provider == "deepgram"
        assert [each.provider for each in errors_of(caught.value).values()] == ["elevenlabs"]


async def test_the_deadline_bounds_both() -> None:
    """A silent first member leaves the second what is left."""
    async with two_providers(timeout=0.2) as (world, tts):
        for provider in ("elevenlabs", "deepgram"):
            world.inject(provider, Fault("silence", times=None))
        began = time.monotonic()
        with deadline(0.3), pytest.raises(VoicekitError):
            await heard(tts.stream_speech(TEXT, format=PCM))
        assert time.monotonic() - began < 0.6
        assert len(spoken(world, "deepgram")) == 1


async def test_it_comes_back() -> None:
    """After a probe that no request pays for."""
    async with two_providers(probe_after=0.05) as (world, tts):
        world.inject("elevenlabs", Fault("status", status=503, times=None))
        assert (await tts.synthesize(TEXT, format=PCM)).member == "deepgram"
        failed = len(spoken(world, "elevenlabs"))
        world.clear_faults()
        await asyncio.sleep(0.06)
        assert (await tts.synthesize(TEXT, format=PCM)).member == "deepgram"
        assert await eventually(lambda: tts.stats()[0].state == "trial")
        (probed,) = spoken(world, "elevenlabs")[failed:]
        assert (probed.method, probed.path) == ("GET", "/v1/models")
        assert (await tts.synthesize(TEXT, format=PCM)).member == "elevenlabs"


async def test_a_dead_member() -> None:
    """Nobody listens there: the next answers, and the probe says it is still dead."""
    async with Emulator(providers=("deepgram",), scenario="instant") as world:
        dead = ElevenLabsClient("key-eleven", voice="v", base_url="http://127.0.0.1:9")
        second = DeepgramClient("key", base_url=world.deepgram.url).as_synthesizer()
        async with fallback(dead, second, probe_after=0.01) as tts:
            assert (await tts.synthesize("Hello")).member == "deepgram"
            await asyncio.sleep(0.02)
            assert (await tts.synthesize("Hello")).member == "deepgram"
            assert await eventually(lambda: tts.stats()[0].failures == 2)


# -- text in pieces ------------------------------------------------------------------------------


SHORT = "Too short to be spoken in two parts."


async def pieces() -> AsyncIterator[str]:
    for word in SHORT.split():
        await asyncio.sleep(0.001)
        yield word + " "


SOCKET_FAULTS = [
    Fault("ws_refuse", status=503, times=None),
    Fault("ws_close", code=1011, times=None),
    Fault("ws_hang", times=None),
    Fault("reset", times=None),
]


def said(world: Emulator) -> str:
    """What a server was asked to say over its sockets."""
    return " ".join(" ".join(world.journal.speech_texts()).split())


@pytest.mark.parametrize("fault", SOCKET_FAULTS, ids=lambda each: each.kind)
@pytest.mark.parametrize("how", ["fed", "session"])
async def test_text_in_pieces_is_said_to_the_second(how: str, fault: Fault) -> None:
    """All of it, once."""
    async with twins(timeout=0.5) as (one, two, tts):
        one.inject("elevenlabs", fault)
        if how == "fed":
            async with tts.stream_speech(pieces()) as speech:
                audio = await heard(speech)
        else:
            async with tts.open_speech() as speech:
                async for word in pieces():
                    await speech.send(word)
                await speech.finish()
                audio = await heard(speech)
        assert speech.member == "two"
        assert right(audio, SHORT + " ")
        assert said(two) == SHORT
        assert [each.outstanding for each in tts.stats()] == [0, 0]
    assert await eventually(lambda: call_tasks() == [])


@pytest.mark.parametrize("how", ["fed", "session"])
async def test_text_in_pieces_stays_after_its_first_audio(how: str) -> None:
    """Nothing reaches the second."""
    async with twins(PACED) as (one, two, tts):
        one.inject("elevenlabs", Fault("reset", after_events=3, times=None))
        speech = tts.stream_speech(pieces()) if how == "fed" else tts.open_speech()
        async with speech:
            if how == "session":
                await speech.send(TEXT)
                await speech.finish()
            await anext(speech)
            assert speech.member == "one"
            with pytest.raises(StreamInterruptedError):
                await heard(speech)
        assert said(two) == ""


# -- probes --------------------------------------------------------------------------------------


async def test_a_probe_asks_the_provider_itself() -> None:
    """A connection that is warm says nothing: no caller's call is spent on who is still ill."""
    now = 0.0
    async with Emulator(providers=("openai",)) as one, Emulator(providers=("openai",)) as two:
        clients = [
            OpenAIClient("key", model="gpt-5.5", base_url=each.openai.url) for each in (one, two)
        ]
        async with fallback(*clients, names=("one", "two"), clock=lambda: now) as llm:
            await llm.chat("Hi")
            one.inject("openai", Fault("status", status=503, times=None))
            assert (await llm.chat("Hi")).member == "two"

            async def later() -> Any:
                """When the rest is over: who calls first has the other one probed."""
                nonlocal now
                now += 100.0
                assert (await llm.chat("Hi")).member == "two"
                assert await eventually(lambda: call_tasks() == [])
                assert await eventually(lambda: llm.stats()[0].state in {"resting", "trial"})
                return llm.stats()[0].state

            seen = len(one.journal.requests)
            assert [await later() for _ in range(3)] == ["resting"] * 3
            asked = one.journal.requests[seen:]
            assert {(each.method, each.path) for each in asked} == {("GET", "/v1/models")}
            one.clear_faults()
            assert await later() == "trial"
            assert (await llm.chat("Hi")).member == "one"


async def test_a_probe_of_who_has_no_free_list_dials() -> None:
    """However many connections are ready."""
    async with Emulator(providers=("deepgram",)) as world:
        async with DeepgramClient("key", base_url=world.deepgram.url) as client:
            await client.warm(1)
            for wrapped in (client, client.as_synthesizer()):
                opened = client.stats().opened
                await wrapped.probe()
                assert client.stats().opened == opened + 1
        assert world.journal.requests == []


# -- cancelled at each await ---------------------------------------------------------------------


async def whole(tts: Any) -> Any:
    return (await tts.synthesize(TEXT)).data


async def streamed(tts: Any) -> Any:
    async with tts.stream_speech(TEXT) as speech:
        return await heard(speech)


async def not_entered(tts: Any) -> Any:
    return await heard(tts.stream_speech(TEXT))


async def session(tts: Any) -> Any:
    async with tts.open_speech() as speech:
        await speech.send(TEXT)
        await speech.finish()
        return await heard(speech)


async def fed(tts: Any) -> Any:
    async with tts.stream_speech(one_piece()) as speech:
        return await heard(speech)


async def fed_not_entered(tts: Any) -> Any:
    return await heard(tts.stream_speech(one_piece()))


async def one_piece() -> AsyncIterator[str]:
    await asyncio.sleep(0)
    yield TEXT


@pytest.mark.parametrize("wrapper", [fallback, spread], ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    "operation",
    [whole, streamed, not_entered, session, fed, fed_not_entered],
    ids=lambda each: each.__name__,
)
async def test_cancelled_after_k_steps(
    operation: Callable[[Any], Awaitable[Any]], wrapper: Any
) -> None:
    """While the first fails and the second takes over: prompt, nothing left, the next is right."""
    scenario = Scenario(name="cut", speech_chunk_bytes=20_000)
    async with twins(scenario) as (one, two, tts):
        members = [member.engine for member in tts._group.members]
        if wrapper is fallback:
            for refusal in (
                Fault("status", status=401, operation="speech.stream", times=None),
                Fault("ws_refuse", status=401, operation="speech.socket", times=None),
            ):
                one.inject("elevenlabs", refusal)
        completed, step = 0, 0
        while completed < 2:
            async with wrapper(*members, close=False) as fresh:  # the first one leads again
                task = asyncio.create_task(operation(fresh))
                for _ in range(step):
                    if task.done():
                        break
                    await asyncio.sleep(0)
                step += 1 if step < 60 else 7
                if task.done():
                    completed += 1
                    await task
                    continue
                completed = 0
                task.cancel()
                began = time.monotonic()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert time.monotonic() - began < 0.5
                assert [each.outstanding for each in fresh.stats()] == [0, 0]
        assert len(two.journal.requests_for("elevenlabs")) > 0
        one.clear_faults()
        assert await eventually(lambda: not [n for n in call_tasks() if "drain" not in n])
        assert right(await operation(tts), TEXT)
    assert await eventually(lambda: call_tasks() == [])


# -- the checks of every engine ------------------------------------------------------------------


def name(check: Any) -> str:
    return str(getattr(check, "__name__", check))


@pytest.fixture
async def world() -> AsyncIterator[Emulator]:
    async with Emulator(scenario="instant") as world:
        yield world


def elevenlabs(world: Emulator) -> Any:
    return ElevenLabsClient("k", voice="v", base_url=world.elevenlabs.url)


def deepgram(world: Emulator) -> Any:
    return DeepgramClient("k", base_url=world.deepgram.url)


def broken() -> Any:
    """A member that nobody answers for."""
    return ElevenLabsClient("k", voice="v", base_url="http://127.0.0.1:9")


@pytest.mark.parametrize("check", SYNTHESIZER_CHECKS, ids=name)
@pytest.mark.parametrize("wrapper", [fallback, spread], ids=name)
async def test_synthesizers(wrapper: Any, check: Any, world: Emulator) -> None:
    """A wrapper keeps every promise of what it wraps."""
    await check(lambda: wrapper(elevenlabs(world), deepgram(world).as_synthesizer()))


@pytest.mark.parametrize("check", SYNTHESIZER_CHECKS, ids=name)
async def test_synthesizers_of_which_the_first_is_dead(check: Any, world: Emulator) -> None:
    """Also while it moves on."""
    await check(lambda: fallback(broken(), elevenlabs(world)))


@pytest.mark.parametrize("check", TRANSCRIBER_CHECKS, ids=name)
@pytest.mark.parametrize("wrapper", [fallback, spread], ids=name)
async def test_transcribers(wrapper: Any, check: Any, world: Emulator) -> None:
    """A wrapper keeps every promise of what it wraps."""
    await check(lambda: wrapper(elevenlabs(world).as_transcriber(), deepgram(world)))


@pytest.mark.parametrize("check", CHAT_MODEL_CHECKS, ids=name)
@pytest.mark.parametrize("wrapper", [fallback, spread], ids=name)
async def test_chat_models(wrapper: Any, check: Any, world: Emulator) -> None:
    """A wrapper keeps every promise of what it wraps."""

    def make() -> Any:
        azure = AzureOpenAIClient(
            model="gpt-test",
            api_key="k",
            azure_endpoint=world.openai.url.removesuffix("/v1"),
            api_version="2025-04-01-preview",
        )
        return wrapper(OpenAIClient("k", model="gpt-test", base_url=world.openai.url), azure)

    await check(make)


async def test_chat_moves_on_and_tells_all(world: Emulator) -> None:
    """A ``TextStream`` as every other: text, events, the whole result."""
    async with Emulator(providers=("openai",), scenario="instant") as other:
        members = [
            OpenAIClient("k", model="gpt-test", base_url=each.openai.url) for each in (world, other)
        ]
        async with fallback(*members, names=("one", "two")) as llm:
            world.inject("openai", Fault("status", status=503, times=None))
            async with llm.stream_chat("Are you open?") as reply:
                text = "".join([piece async for piece in reply])
            assert (reply.member, reply.text, reply.finish_reason) == ("two", text, "stop")
            assert reply.delivered_characters == len(text)
            assert "gpt-test" in reply.identity
            result = await llm.stream_chat("Are you open?").result()
            assert (result.text, result.member) == (text, "two")
            assert result.usage is not None
            stream = llm.stream_chat("Are you open?")
            events = [event async for event in stream.events()]
            assert "".join(event for event in events if isinstance(event, str)) == text
            taken = []
            stream = llm.stream_chat("Are you open?")
            while items := await stream.take_events():
                taken += items
            assert taken == events
            assert (await llm.chat("Are you open?")).text == text
            assert [each.outstanding for each in llm.stats()] == [0, 0]


async def test_live_transcription_moves_until_it_is_accepted(world: Emulator) -> None:
    """Afterwards the member has it; what only its sessions have is found as well."""
    async with Emulator(providers=("deepgram",), scenario="instant") as other:
        members = [DeepgramClient("k", base_url=each.deepgram.url) for each in (world, other)]
        async with fallback(*members, names=("one", "two")) as stt:
            world.inject("deepgram", Fault("ws_refuse", status=401, times=None))
            async with stt.open_transcription(format="pcm_16000") as live:
                assert live.member == "two"
                for _ in range(10):
                    await live.send(bytes(3200))
                await live.finish()
                results = [result async for result in live]
            assert results
            assert live.transcript
            assert other.journal.requests_for("deepgram")
            assert [each.outstanding for each in stt.stats()] == [0, 0]
