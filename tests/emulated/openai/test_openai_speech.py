"""Speech against the emulated vendor: every byte of it, with its evidence; bad servers; leaving."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import traceback
from typing import Any

import pytest
from aiohttp import web
from audio_world import APART, INSTANT, OPERATIONS, PACED, SPEECH, audio_world, right

from fault_limits import BEGUN, SHORT, limits_of
from settling import settled, steps
from voicekit import events
from voicekit.clients.openai import AzureOpenAIClient, OpenAIClient
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.errors import (
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    InvalidRequestError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)
from voicekit.resilience import NO_POLICIES
from voicekit.speech.wav import parse_wav
from voicekit.testing import RecordingObserver
from voicekit.transport.config import PoolConfig

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "Hello there."
KEY = "MARKEDKEY"
MARKED = "MARKEDTEXT"


# -- what is right -----------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_a_whole_speech(tls: bool) -> None:
    """A clip with every sample, and the evidence of how it came."""
    async with audio_world(tls=tls) as (world, client):
        await client.warm(1)
        clip = await client.synthesize(TEXT)
        assert right(clip.data, TEXT)
        assert clip.format.name == "pcm_24000"
        assert clip.duration == pytest.approx(0.06 * len(TEXT))
        assert clip.request_id == clip.headers["x-request-id"]
        assert clip.headers["x-ratelimit-remaining-requests"] == "29999"
        assert clip.connection is not None
        assert clip.connection.reused
        assert clip.timings is not None
        assert clip.timings.first_output is not None
        (request,) = world.journal.requests_for("openai", "speech")
        assert request.path == "/v1/audio/speech"
        assert request.json()["response_format"] == "pcm"


async def test_a_streamed_speech() -> None:
    """Chunks of whole samples as they are made, before the end is."""
    async with audio_world(PACED) as (world, client):
        async with client.stream_speech(TEXT) as speech:
            chunks = [chunk async for chunk in speech]
            assert len(chunks) > 3
            assert all(len(chunk) % 2 == 0 for chunk in chunks)
            assert right(b"".join(chunks), TEXT)
            assert speech.delivered_bytes == sum(map(len, chunks))
            assert speech.delivered_s == pytest.approx(0.72)
            assert speech.usage is None
        (request,) = world.journal.requests
        assert request.first_byte_at is not None
        assert speech.timings.first_output < speech.timings.total


WITH_MP3 = pytest.mark.skipif(
    importlib.util.find_spec("lameenc") is None, reason="lameenc of an extra is not installed"
)


@pytest.mark.parametrize("name", ["wav_24000", pytest.param("mp3", marks=WITH_MP3)])
async def test_other_formats(name: str) -> None:
    """What they are called is what they are; a WAV gets its sizes when it is whole."""
    async with audio_world() as (world, client):
        clip = await client.synthesize(TEXT, format=name)
        (request,) = world.journal.requests
        assert clip.data == world.journal.audio(request)
        assert clip.duration == pytest.approx(0.72, abs=0.06)
        if name == "wav_24000":
            assert parse_wav(clip.data).streamed
            assert not parse_wav(clip.wav()).streamed
            assert right(clip.wav()[44:], TEXT)


async def test_a_role_and_a_request_speak_the_same() -> None:
    """The interface's names, and a request made once."""
    async with audio_world() as (world, client):
        tts = client.as_synthesizer()
        request = tts.request(TEXT)
        clips = [await tts.synthesize(request), await client.synthesize(request)]
        async with tts.stream_speech(request) as speech:
            clips.append(await speech.clip())
        assert all(right(clip.data, TEXT) for clip in clips)
        assert len({record.body for record in world.journal.requests}) == 1


async def test_at_azure() -> None:
    """The same codec at another address."""
    async with (
        Emulator(providers=("openai",), scenario=INSTANT) as world,
        AzureOpenAIClient(
            azure_endpoint=world.openai.url.removesuffix("/v1"),
            api_version="2025-04-01",
            api_key="key",
            speech=SPEECH,
        ) as client,
    ):
        assert right((await client.synthesize(TEXT)).data, TEXT)
        with pytest.raises(InvalidRequestError) as missing:
            await client.synthesize(TEXT, model="no-such-deployment")
        assert missing.value.code == "DeploymentNotFound"


async def test_what_the_vendor_refuses_is_typed() -> None:
    """Its words in ``detail`` alone."""
    async with audio_world() as (_, client):
        with pytest.raises(InvalidRequestError) as refused:
            await client.synthesize(TEXT, voice="bob")
        assert "Input should be 'alloy'" in str(refused.value.detail)
        assert "alloy" not in str(refused.value)
        with pytest.raises(InvalidRequestError) as missing:
            await client.synthesize(TEXT, model="no-such-model")
        assert (missing.value.code, missing.value.status) == ("model_not_found", 404)


# -- servers that imitate the vendor -----------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        ({"Content-Type": "audio/pcm"}, bytes(4800), None),
        ({"Content-Type": ""}, bytes(4800), None),
        ({"Content-Type": "application/octet-stream"}, bytes(4800), None),
        ({"Content-Type": "audio/pcm;rate=24000"}, bytes(4800), None),
        ({"Content-Type": "audio/mpeg"}, bytes(4800), RemoteProtocolError),
        ({"Content-Type": "text/html"}, bytes(4800), RemoteProtocolError),
        ({"Content-Type": "audio/pcm"}, b'{"detail":{"error":"x"}}', VoicekitError),
        ({"Content-Type": "application/json"}, b'{"detail":"x"}', VoicekitError),
        # Kokoro's answer to a text that nobody can speak.
        ({"Content-Type": "audio/pcm"}, b"", RemoteProtocolError),
    ],
)
async def test_compatible_servers(headers: Any, body: bytes, error: Any) -> None:
    """Audio by any name that may be it; a page, an error and another codec by none."""
    asked = []

    async def speak(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        if not headers["Content-Type"]:
            response.headers.pop("Content-Type", None)
        await response.write(body)
        await response.write_eof()
        return response

    app = web.Application()
    app.router.add_post("/v1/audio/speech", speak)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with OpenAIClient(
            "none", base_url=f"http://127.0.0.1:{port}/v1", speech={"model": "k", "voice": "v"}
        ) as client:
            long = "Long. " * 1000
            if error is None:
                clip = await client.synthesize(long, extra_body={"stream": True, "lang_code": "a"})
                assert clip.data == body
            else:
                with pytest.raises(error):
                    await client.synthesize(long)
        assert asked[0]["input"] == long
    finally:
        await runner.cleanup()


# -- bad servers -------------------------------------------------------------------------------

QUOTA = {"error": {"message": MARKED, "type": "insufficient_quota", "param": None, "code": "x"}}

BEFORE_COMMIT = [
    (Fault("html"), RemoteProtocolError),
    (Fault("html", headers=(("Content-Type", "audio/pcm"),)), RemoteProtocolError),
    (Fault("wrong_type"), RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError),
    (Fault("empty"), RemoteProtocolError),
    (Fault("drip", delay=0.05), FirstOutputTimeout),
    (Fault("silence"), FirstOutputTimeout),
    (Fault("stall"), FirstOutputTimeout),
    (Fault("reset"), ConnectionLostError),
    (Fault("close"), ConnectionLostError),
    (Fault("reset", after_bytes=100), ConnectionLostError),
    (Fault("close", after_bytes=100), ConnectionLostError),
    (Fault("status", status=500), UnavailableError),
    (Fault("status", status=503), UnavailableError),
    (Fault("status", status=429), RateLimitError),
    (Fault("status", status=429, body=QUOTA), QuotaError),
    (Fault("status", status=200, body=QUOTA), QuotaError),
    (Fault("status", status=413), InvalidRequestError),
]


@pytest.mark.parametrize(
    ("fault", "error"), BEFORE_COMMIT, ids=[f"{f.kind}-{f.status or ''}" for f, _ in BEFORE_COMMIT]
)
async def test_a_fault_before_the_first_audio(fault: Fault, error: Any, caplog: Any) -> None:
    """The typed error, one request on the wire, no key or text shown, and the next call works."""
    caplog.set_level(logging.DEBUG)
    seen = RecordingObserver()
    limits = limits_of(OPERATIONS, fault)
    async with audio_world(api_key=KEY, limits=limits, observers=(seen,), policies=NO_POLICIES) as (
        world,
        client,
    ):
        world.inject("openai", fault)
        started = world.journal.now()
        with pytest.raises(error) as caught:
            await client.stream_speech(MARKED)
        assert world.journal.now() - started < 5.0
        assert not isinstance(caught.value, StreamInterruptedError)
        assert (caught.value.provider, caught.value.attempts) == ("openai", 1)
        assert len(world.journal.requests_for("openai", "speech")) == 1
        assert right((await client.synthesize(TEXT)).data, TEXT)
        assert [event.result for event in seen.of(events.CallEnded)] == ["error", "ok"]
    shown = repr(caught.value) + caplog.text + repr(seen.events)
    shown += "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert MARKED not in shown


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("stall", after_bytes=4000), GapTimeout),
        (Fault("reset", after_bytes=4000), ConnectionLostError),
        (Fault("close", after_bytes=4000), ConnectionLostError),
        (Fault("close", after_bytes=4001), ConnectionLostError),
        (Fault("huge"), RemoteProtocolError),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_a_fault_after_the_first_audio(fault: Fault, cause: Any) -> None:
    """What came is handed out, in whole samples, then the error says how much, and why."""
    async with audio_world(PACED, limits=dict.fromkeys(OPERATIONS, BEGUN)) as (world, client):
        world.inject("openai", fault)
        got = []
        async with client.stream_speech(TEXT) as speech:
            with pytest.raises(StreamInterruptedError) as caught:
                await collect(speech, got)
        assert caught.value.delivered_bytes == sum(map(len, got))
        assert sum(map(len, got)) % 2 == 0
        if fault.kind != "huge":
            assert sum(map(len, got)) == 4000
        assert isinstance(caught.value.__cause__, cause)
        assert right((await client.synthesize(TEXT)).data, TEXT)


async def collect(stream: Any, into: list[Any]) -> None:
    async for chunk in stream:
        into.append(chunk)


# -- leaving -----------------------------------------------------------------------------------


async def entered(client: OpenAIClient) -> bytes:
    async with client.stream_speech(TEXT) as speech:
        return b"".join([chunk async for chunk in speech])


async def iterated(client: OpenAIClient) -> bytes:
    return b"".join([chunk async for chunk in client.stream_speech(TEXT)])


async def whole(client: OpenAIClient) -> bytes:
    return (await client.synthesize(TEXT)).data


@pytest.mark.parametrize("use", [entered, iterated, whole])
async def test_cancelled_at_every_await(use: Any) -> None:
    """After any number of steps: CancelledError at once, no leased connection left."""
    async with audio_world(pool=PoolConfig(min_ready=1)) as (_, client):
        for count in range(3000):
            task = asyncio.create_task(use(client), name="victim")
            await steps(task, count)
            task.cancel()
            try:
                assert right(await task, TEXT)
                break
            except asyncio.CancelledError:
                pass
            await settled(client)
        assert count > 5
        assert right(await whole(client), TEXT)
        assert not {t for t in asyncio.all_tasks() if t.get_name() == "victim"}


async def test_barge_in() -> None:
    """``cancel()`` from another task ends iteration quietly, and the server's work."""
    async with audio_world(APART) as (world, client):
        async with client.stream_speech(TEXT * 4) as speech:
            got = []
            async for chunk in speech:
                got.append(chunk)
                if len(got) == 2:
                    asyncio.get_running_loop().call_soon(
                        lambda: asyncio.ensure_future(speech.cancel())
                    )
            assert speech.cancelled
            assert 2 <= len(got) < 20
        async with asyncio.timeout(2):
            while any(record.finished_at is None for record in world.journal.requests):
                await asyncio.sleep(0.005)
        assert world.journal.requests[0].outcome == "aborted"


async def test_three_tasks_may_share_the_life_of_a_handle() -> None:
    """Entered in one, iterated in another, closed in a third."""
    async with audio_world(PACED) as (_, client):
        speech = client.stream_speech(TEXT)
        await asyncio.create_task(speech.__aenter__())
        got: list[bytes] = []
        await asyncio.create_task(collect(speech, got))
        await asyncio.create_task(speech.__aexit__(None, None, None))
        assert right(b"".join(got), TEXT)


async def test_a_slow_first_byte_is_a_first_output_timeout() -> None:
    """The limits are of the operation, and of one call where it says so."""
    slow = Scenario(name="test", speech_first_audio=30.0)
    async with audio_world(slow, limits={"synthesize": SHORT}) as (_, client):
        with pytest.raises(FirstOutputTimeout):
            await client.synthesize(TEXT)


async def test_the_limit_of_a_whole_speech_grows_with_the_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """15 ms per character; a stream has none in all."""
    asked: list[Any] = []
    async with audio_world() as (_, client):
        make = client._call

        def call(operation: Any, request: Any, *, limits: Any) -> Any:
            made = make(operation, request, limits=limits)
            asked.append(made.limits)
            return made

        monkeypatch.setattr(client, "_call", call)
        await client.synthesize("x" * 100)
        async with client.stream_speech(TEXT) as speech:
            await speech.clip()
        await client.synthesize(TEXT, limits=SHORT)
    assert [limits.total for limits in asked] == [31.5, None, SHORT.total]
    assert [limits.first_output for limits in asked] == [5.0, 5.0, SHORT.first_output]


# -- in parts ----------------------------------------------------------------------------------

LONG = "This is one of many sentences. " * 6


async def test_a_long_text_in_parts_is_one_speech() -> None:
    """Asked for one after the other, over one connection, without a seam."""
    async with audio_world() as (world, client):
        async with client.stream_speech(LONG, split=100) as speech:
            audio = b"".join([chunk async for chunk in speech])
        sent = [record.json()["input"] for record in world.journal.requests]
        assert "".join(sent) == LONG
        assert len(sent) == 2
        assert right(audio, *sent)
        assert len(world.journal.connections) <= 2
        clip = await client.synthesize(LONG, split=100)
        assert clip.data == audio
        assert clip.request_id == clip.headers["x-request-id"]


async def test_a_part_that_fails() -> None:
    """Ends the speech with an exact account; a first one, before any audio."""
    async with audio_world(policies=NO_POLICIES) as (world, client):
        stream = client.stream_speech(LONG, split=100)
        got: list[bytes] = []
        async with stream:
            world.inject("openai", Fault("reset"))
            with pytest.raises(StreamInterruptedError) as caught:
                await collect(stream, got)
        assert caught.value.delivered_bytes == sum(map(len, got)) > 0
        world.clear_faults()
        world.inject("openai", Fault("status", status=429))
        with pytest.raises(RateLimitError):
            await client.synthesize(LONG, split=100)


async def in_parts(client: OpenAIClient) -> bytes:
    return (await client.synthesize(LONG, split=100)).data


async def test_parts_are_cancelled_at_every_await() -> None:
    """Between them, too; nothing reads on."""
    async with audio_world(pool=PoolConfig(min_ready=1)) as (_, client):
        for count in range(0, 3000, 2):
            task = asyncio.create_task(in_parts(client), name="victim")
            await steps(task, count)
            task.cancel()
            try:
                await task
                break
            except asyncio.CancelledError:
                pass
            await settled(client)
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert "voicekit-speech-parts" not in names
        assert count > 10
