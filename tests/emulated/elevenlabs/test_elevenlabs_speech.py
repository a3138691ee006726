"""Whole texts over HTTP: the audio, its evidence, and every way in which it goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from speaking import INSTANT, KEY, RATE, VOICE, heard, right, speaking

from fault_limits import limits_of
from settling import call_tasks, eventually
from voicekit.clients.elevenlabs import ElevenLabsClient, VoiceSettings
from voicekit.emulator import Fault, Scenario
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    FirstOutputTimeout,
    InvalidRequestError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES
from voicekit.transport.transport import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "Your order has shipped. "
STREAM = "speech.stream"


async def test_a_clip_and_its_evidence() -> None:
    """Exactly the voice's audio; what it cost, how long it took, over which connection."""
    async with speaking() as (world, tts):
        report = await tts.warm(1)
        assert (report.opened, report.failures) == (2, ()), "one for HTTP, one socket"
        clip = await tts.synthesize(TEXT, voice_settings=VoiceSettings.fast(), seed=7)
        assert right(clip.data, TEXT)
        assert clip.duration == len(TEXT) * 0.06
        assert clip.usage is not None
        assert clip.usage.characters == len(TEXT)
        record = world.journal.requests_for("elevenlabs", STREAM)[0]
        assert clip.request_id == f"req_{record.id:012d}"
        assert clip.connection is not None
        assert clip.connection.reused
        assert clip.timings is not None
        assert clip.timings.first_output is not None
        assert record.path == f"/v1/text-to-speech/{VOICE}/stream"
        assert record.headers["accept-encoding"] == "identity"
        assert record.json()["voice_settings"]["stability"] == 0.35
        assert record.notes == []
        assert record.outcome == "complete"


async def test_a_stream_as_it_is_made() -> None:
    """Chunks of whole samples, awaited, entered or simply iterated."""
    async with speaking(
        Scenario(name="odd", speech_chunk_bytes=1001, speech_real_time_factor=0.1)
    ) as (world, tts):
        async with tts.stream_speech(TEXT) as speech:
            chunks = [chunk async for chunk in speech]
        assert len(chunks) > 1
        assert all(len(chunk) % 2 == 0 for chunk in chunks)
        assert chunks[0].format.name == f"pcm_{RATE}"
        assert right(b"".join(chunks), TEXT)
        assert speech.delivered_bytes == len(b"".join(chunks))
        assert speech.usage is not None
        opened = await tts.stream_speech(TEXT)
        assert right(await heard(opened), TEXT)
        assert right(await heard(tts.stream_speech(tts.request(TEXT))), TEXT)
        assert len(world.connections("elevenlabs")) == 1, "a stream read to its end is reused"


@pytest.mark.parametrize("name", ["mulaw_8000", "alaw_8000", "mp3_44100_128", "pcm_48000"])
async def test_formats(name: str) -> None:
    """What was asked for is what the chunks say and what was sent."""
    if name.startswith("mp3"):
        pytest.importorskip("lameenc")
    async with speaking() as (world, tts):
        clip = await tts.synthesize(TEXT, format=name)
        assert clip.format.name == name
        record = world.journal.requests_for("elevenlabs", STREAM)[0]
        assert world.journal.audio(record) == clip.data
        assert clip.duration == pytest.approx(len(TEXT) * 0.06, abs=0.15)


REFUSALS: list[tuple[int, Any, type[VoicekitError], str | None]] = [
    (401, {"detail": {"status": "invalid_api_key", "message": "m"}}, AuthenticationError,
     "invalid_api_key"),
    (401, {"detail": {"status": "quota_exceeded", "message": "m"}}, QuotaError, "quota_exceeded"),
    (429, {"detail": {"code": "concurrent_limit_exceeded", "status":
     "too_many_concurrent_requests"}}, RateLimitError, "concurrent_limit_exceeded"),
    (422, {"detail": [{"loc": ["body", "text"], "type": "missing"}]}, InvalidRequestError,
     "missing"),
    (404, {"detail": "Not Found"}, InvalidRequestError, None),
    (502, "<html>Bad gateway", UnavailableError, None),
    (307, "elsewhere", RemoteProtocolError, None),
    (204, "", RemoteProtocolError, None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "code"), REFUSALS)
async def test_a_refusal_is_typed(
    status: int, body: Any, kind: type[VoicekitError], code: str | None
) -> None:
    """Class, status, code, request id, attempts: all on the error, and no secret."""
    async with speaking(policies=NO_POLICIES) as (world, tts):
        headers = (("Location", "http://elsewhere/"), ("Retry-After", "7"))
        fault = Fault("status", operation=STREAM, status=status, body=body, headers=headers)
        world.inject("elevenlabs", fault)
        with pytest.raises(kind) as caught:
            await tts.synthesize("the marked text")
        error = caught.value
        assert (error.provider, error.operation, error.attempts) == ("elevenlabs", "synthesize", 1)
        assert error.request_id == "req_000000000001"
        assert "marked" not in str(error) + repr(error)
        if status >= 400:
            assert getattr(error, "status", None) == status
            assert getattr(error, "code", None) == code
            assert error.retry_after == 7.0
        assert right((await tts.synthesize(TEXT)).data, TEXT), "the next call succeeds"


FAULTS: list[tuple[Fault, type[VoicekitError]]] = [
    (Fault("html"), RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError),
    (Fault("wrong_type", body=b'{"detail":{"code":"quota_exceeded"}}'), QuotaError),
    (Fault("empty"), RemoteProtocolError),
    (Fault("silence"), FirstOutputTimeout),
    (Fault("stall"), FirstOutputTimeout),
    (Fault("drip", delay=0.01), FirstOutputTimeout),
    (Fault("reset"), ConnectionLostError),
    (Fault("close"), ConnectionLostError),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=lambda each: getattr(each, "kind", ""))
async def test_a_bad_server_before_the_first_audio(fault: Fault, kind: type[VoicekitError]) -> None:
    """A typed error within the limits, nothing played, and the next call is fine."""
    limits = limits_of(("synthesize", "stream_speech"), fault)
    async with speaking(limits=limits, policies=NO_POLICIES) as (world, tts):
        for attempt in (tts.synthesize, lambda text: heard(tts.stream_speech(text))):
            world.inject("elevenlabs", fault)
            started = time.monotonic()
            with pytest.raises(kind) as caught:
                await attempt(TEXT)
            assert time.monotonic() - started < 5.0
            assert caught.value.provider == "elevenlabs"
        assert right((await tts.synthesize(TEXT)).data, TEXT)
        assert await eventually(lambda: not call_tasks())


@pytest.mark.parametrize(
    "fault",
    [
        Fault("stall", after_bytes=2000),
        Fault("reset", after_bytes=2000),
        Fault("close", after_bytes=2000),
    ],
    ids=lambda each: each.kind,
)
async def test_a_bad_server_after_the_first_audio(fault: Fault) -> None:
    """What came is delivered, in order; then an error says exactly how much that was."""
    async with speaking(limits={"stream_speech": Limits(first_output=5.0, gap=1.0)}) as (
        world,
        tts,
    ):
        whole = (await tts.synthesize(TEXT)).data
        world.inject("elevenlabs", fault)
        got: list[bytes] = []

        async def read() -> None:
            async for chunk in tts.stream_speech(TEXT):
                got.append(chunk)

        with pytest.raises(StreamInterruptedError) as caught:
            await read()
        audio = b"".join(got)
        assert len(audio) >= 2000
        assert whole.startswith(audio)
        assert caught.value.delivered_bytes == len(audio)
        assert caught.value.delivered_s == len(audio) / 16000
        assert not caught.value.retryable
        assert right((await tts.synthesize(TEXT)).data, TEXT)


async def test_a_whole_synthesis_is_limited_in_all() -> None:
    """However steadily its audio comes."""
    async with speaking(
        Scenario(name="slow", speech_chunk_bytes=500, speech_real_time_factor=1.0)
    ) as (
        _,
        tts,
    ):
        with pytest.raises(StreamInterruptedError) as caught:
            await tts.synthesize(TEXT, limits=Limits(first_output=1.0, gap=1.0, total=0.3))
        assert isinstance(caught.value.__cause__, TotalTimeout)


async def test_a_hundred_megabytes_are_no_speech() -> None:
    """What is more than the text can take is an error after a bounded part of it."""
    async with speaking() as (world, tts):
        for attempt in (tts.synthesize, lambda text: heard(tts.stream_speech(text))):
            world.inject("elevenlabs", Fault("huge"))
            with pytest.raises(StreamInterruptedError, match="more audio") as caught:
                await attempt(TEXT)
            assert caught.value.delivered_bytes < 16_000 * 90
        assert right((await tts.synthesize(TEXT)).data, TEXT)


async def test_a_consumer_that_pauses_loses_nothing() -> None:
    """Back-pressure instead of a false alarm: limits do not count while nobody waits."""
    long = "A sentence that is said again and again. " * 40
    limits = {"stream_speech": Limits(first_output=5.0, gap=0.5)}
    async with speaking(limits=limits) as (world, tts):
        got = []
        async with tts.stream_speech(long, format="pcm_16000") as speech:
            got.append(await anext(speech))
            await asyncio.sleep(1.5)  # three times the gap limit, with audio under way
            got += [chunk async for chunk in speech]
        record = world.journal.requests_for("elevenlabs")[0]
        assert b"".join(got) == world.journal.audio(record)
        assert speech.delivered_s == pytest.approx(len(long) * 0.06)


async def test_cancelling_a_stream_frees_its_connection_at_once() -> None:
    """Iteration ends quietly, in another task too, and the pool is refilled."""
    slow = Scenario(name="slow", speech_chunk_bytes=500, speech_real_time_factor=1.0)
    async with speaking(slow) as (world, tts):
        speech = await tts.stream_speech(TEXT)
        reading = asyncio.create_task(heard(speech))
        await asyncio.sleep(0.05)
        await speech.cancel()
        await reading
        assert speech.cancelled
        record = world.journal.requests_for("elevenlabs")[0]
        assert await eventually(lambda: record.finished_at is not None)
        assert record.outcome == "aborted"


async def test_three_tasks() -> None:
    """Entered, iterated and closed in different tasks: the same result."""
    async with speaking() as (_, tts):
        speech = tts.stream_speech(TEXT)
        await asyncio.create_task(speech.__aenter__())
        audio = await asyncio.create_task(heard(speech))
        await asyncio.create_task(speech.__aexit__(None, None, None))
        assert right(audio, TEXT)


async def test_tls() -> None:
    """The same over TLS, with an authority of the caller's."""
    async with speaking(emulator={"tls": True}) as (_, tts):
        async with tts.open_speech() as cold:
            assert cold.timings.connect > 0
            assert cold.timings.tls > 0
        assert (await tts.warm(1)).failures == ()
        assert right((await tts.synthesize(TEXT)).data, TEXT)
        async with tts.open_speech() as speech:
            assert (speech.timings.connect, speech.timings.tls) == (0.0, 0.0)
            await speech.send(TEXT)
            await speech.finish()
            assert right(await heard(speech), TEXT)
    async with speaking(emulator={"tls": True}, ca=None) as (_, tts):
        with pytest.raises(ConnectError):
            await tts.synthesize(TEXT)


async def test_a_key_from_a_callable() -> None:
    """Asked for each request, so that a rotated key is used at once; again, if it is refused."""
    keys = iter(["one", "bad-key", "three", "four"])

    async def next_key() -> str:
        return next(keys)

    async with speaking() as (world, _):
        async with ElevenLabsClient(
            next_key, base_url=world.elevenlabs.url, voice=VOICE, format="pcm_8000"
        ) as tts:
            assert (await tts.synthesize(TEXT)).attempts == 1
            assert (await tts.synthesize(TEXT)).attempts == 2
            assert (await tts.synthesize(TEXT)).attempts == 1
        digests = [
            r.headers["xi-api-key"] for r in world.journal.requests_for("elevenlabs", STREAM)
        ]
        assert len(set(digests)) == len(digests) == 4


async def test_a_closed_client() -> None:
    """Says so, whatever is asked of it; closing twice is fine."""
    async with speaking() as (_, tts):
        await tts.aclose()
        for attempt in (
            tts.synthesize(TEXT),
            heard(tts.stream_speech(TEXT)),
            heard(tts.open_speech()),
            tts.warm(1),
        ):
            with pytest.raises(ClosedError):
                await attempt


async def test_clients_share_a_transport() -> None:
    """Two clients of one host and key use the same connections; who made it closes it."""
    async with speaking() as (world, _), Transport() as transport:
        options: dict[str, Any] = {
            "base_url": world.elevenlabs.url,
            "voice": VOICE,
            "format": "pcm_8000",
            "transport": transport,
        }
        for _ in range(2):
            async with ElevenLabsClient(KEY, **options) as tts:
                assert right((await tts.synthesize(TEXT)).data, TEXT)
                async with tts.open_speech() as speech:
                    await speech.send(TEXT)
                    await speech.finish()
                    assert right(await heard(speech), TEXT)
        assert len(world.journal.requests_for("elevenlabs", "speech.socket")) == 1
        async with ElevenLabsClient("another", **options) as other, other.open_speech() as speech:
            await speech.finish()
            await heard(speech)
        assert len(world.journal.requests_for("elevenlabs", "speech.socket")) == 2


async def test_a_session_of_the_journal_holds_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor what is said shows in a log line."""
    caplog.set_level("DEBUG")
    async with speaking(INSTANT, policies=NO_POLICIES) as (world, tts):
        await tts.synthesize("marked text")
        world.inject("elevenlabs", Fault("reset"))
        with pytest.raises(ConnectionLostError) as caught:
            await tts.synthesize("marked text")
        shown = caplog.text + repr(caught.value) + str(caught.value) + repr(tts)
        assert KEY not in shown
        assert "marked" not in shown
        assert KEY not in json.dumps(world.journal.to_json(audio=False))
