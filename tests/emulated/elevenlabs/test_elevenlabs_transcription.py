"""Recordings to text: every kind of recording, evidence, refusals, faults, cancellation."""

from __future__ import annotations

import asyncio
import io
import time
from pathlib import Path
from typing import Any

import pytest
from speaking import KEY, speaking

from fault_limits import limits_of
from settling import call_tasks, eventually, library_tasks
from voicekit.emulator import Fault, Scenario
from voicekit.emulator.forms import Form, read_form
from voicekit.errors import (
    AuthenticationError,
    ConnectionLostError,
    DeadlineError,
    FirstOutputTimeout,
    InvalidRequestError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    TransportError,
    UnavailableError,
    VoicekitError,
)
from voicekit.resilience import NO_POLICIES
from voicekit.speech import AudioClip, AudioFormat, AudioURL

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

HEARD = "good morning\nhow may I help (laughter) you"
TEXT = "Good morning. How may I help (laughter) you."
SCENARIO = Scenario(name="heard", heard=HEARD)
SAMPLES = bytes(16_000 * 2 * 6)
CLIP = AudioClip(data=SAMPLES, format=AudioFormat.parse("pcm_16000"))
WAV = AudioClip(data=SAMPLES, format=AudioFormat.parse("pcm_8000")).wav()
OPERATION = "transcription"


def forms(world: Any) -> list[Form]:
    return [
        read_form(record.headers["content-type"], record.body)
        for record in world.journal.requests_for("elevenlabs", OPERATION)
    ]


async def test_every_kind_of_recording(tmp_path: Path) -> None:
    """Bytes, a file, an open file from where it stands, a clip, an address."""
    path = tmp_path / "a call.wav"
    path.write_bytes(WAV)
    async with speaking(SCENARIO) as (world, client):
        with path.open("rb") as handle:
            for audio in (WAV, path, handle, io.BytesIO(WAV), CLIP):
                heard = await client.transcribe(audio)
                assert heard.text == TEXT
            assert not handle.closed
        assert (await client.transcribe(AudioURL("https://example.com/a.wav"))).text == TEXT
        uploaded = [form.file("file") for form in forms(world)[:4]]
        assert all(file is not None and file.data == WAV for file in uploaded)
        assert uploaded[1] is not None
        assert uploaded[1].filename == "a call.wav"
        assert [form.get("source_url") for form in forms(world)][-1] == "https://example.com/a.wav"
        assert len(world.journal.connections) == 1


async def test_evidence() -> None:
    """Where the time went, what it cost, what the vendor said."""
    async with speaking(SCENARIO) as (world, client):
        heard = await client.transcribe(WAV, diarize=True)
        (record,) = world.journal.requests_for("elevenlabs", OPERATION)
        assert record.notes == []
        assert record.outcome == "complete"
        assert heard.request_id == heard.headers["request-id"]
        assert heard.timings is not None
        assert heard.timings.first_output is not None
        assert heard.timings.total is not None
        assert heard.connection is not None
        assert not heard.connection.reused
        assert heard.duration == 12.0
        assert heard.usage is not None
        assert heard.usage.audio_seconds == 12.0
        assert heard.raw["language_probability"] == 0.98
        assert [each.speaker for each in heard.utterances] == [0, 1]
        assert heard.utterances[1].text == "How may I help (laughter) you."
        again = await client.transcribe(WAV)
        assert again.connection is not None
        assert again.connection.reused


async def test_channels_are_told_apart() -> None:
    """Separately, or in one transcript: the same channels."""
    stereo = AudioClip(data=SAMPLES, format=AudioFormat.parse("pcm_8000_2ch"))
    async with speaking(SCENARIO) as (_, client):
        for style in ("separate", "combined"):
            heard = await client.transcribe(
                stereo, use_multi_channel=True, multichannel_output_style=style
            )
            assert [channel.index for channel in heard.channels] == [0, 1]
            assert [channel.text for channel in heard.channels] == [TEXT, TEXT]
            assert {each.channel for each in heard.utterances} == {0, 1}


async def test_a_webhook_gets_the_transcript() -> None:
    """The answer says under which ids."""
    async with speaking(SCENARIO) as (world, client):
        pending = await client.submit_transcription(WAV, webhook_metadata={"call": "1"})
        assert pending.request_id == "req_000000000001"
        assert pending.transcription_id == "tr_000000000001"
        assert pending.timings is not None
        assert pending.timings.total is not None
        assert forms(world)[0].get("webhook") == "true"
        assert forms(world)[0].get("webhook_metadata") == '{"call":"1"}'


async def test_a_request_made_before() -> None:
    """May be sent again; takes no options then. The role asks the same way."""
    async with speaking(SCENARIO, transcription={"seed": 3}) as (world, client):
        request = client.transcription_request(WAV, diarize=True)
        role = client.as_transcriber()
        assert (await client.transcribe(request)).text == (await role.transcribe(request)).text
        assert role.request(WAV, diarize=True).identity == request.identity
        with pytest.raises(VoicekitError):
            await client.transcribe(request, seed=4)
        assert [form.get("seed") for form in forms(world)] == ["3", "3"]


async def test_over_tls_from_a_file_larger_than_any_buffer(tmp_path: Path) -> None:
    """Byte for byte."""
    path = tmp_path / "long.wav"
    path.write_bytes(AudioClip(data=bytes(range(256)) * 8_000, format=CLIP.format).wav())
    pytest.importorskip("trustme")
    async with speaking(SCENARIO, emulator={"tls": True}) as (world, client):
        heard = await client.transcribe(path)
        assert heard.duration == pytest.approx(64.0)
        (record,) = world.journal.requests_for("elevenlabs", OPERATION)
        assert record.outcome == "complete"


ROWS: list[tuple[int, str, type[VoicekitError], bool]] = [
    (400, "max_character_limit_exceeded", InvalidRequestError, False),
    (401, "invalid_api_key", AuthenticationError, False),
    (401, "quota_exceeded", QuotaError, False),
    (401, "detected_unusual_activity", AuthenticationError, False),
    (403, "only_for_creator+", AuthenticationError, False),
    (404, "not_found", InvalidRequestError, False),
    (429, "concurrent_limit_exceeded", RateLimitError, True),
    (429, "system_busy", RateLimitError, True),
    (500, "internal_error", UnavailableError, True),
    (503, "system_busy", UnavailableError, True),
]


@pytest.mark.parametrize(("status", "code", "kind", "retryable"), ROWS)
async def test_every_refusal_is_typed(
    status: int, code: str, kind: type[VoicekitError], retryable: bool
) -> None:
    """Class, code, retryability and wait, and the connection serves the next one."""
    async with speaking(SCENARIO, policies=NO_POLICIES) as (world, client):
        body = {"detail": {"code": code, "message": "No."}}
        headers = (("retry-after", "3"),)
        world.inject("elevenlabs", Fault("status", status=status, body=body, headers=headers))
        with pytest.raises(kind) as caught:
            await client.transcribe(WAV)
        error: Any = caught.value
        assert (error.code, error.retryable, error.status) == (code, retryable, status)
        assert error.retry_after == 3.0
        assert (error.operation, error.provider) == ("transcribe", "elevenlabs")
        assert KEY not in str(error)
        assert (await client.transcribe(WAV)).text == TEXT


async def test_the_twins_own_refusals() -> None:
    """A schema failure says of which field; what is no audio is refused, too."""
    async with speaking(SCENARIO) as (_, client):
        with pytest.raises(InvalidRequestError) as caught:
            await client.transcribe(WAV, extra_body={"seed": "many"})
        assert (caught.value.status, caught.value.param) == (422, "seed")
        with pytest.raises(InvalidRequestError) as caught:
            await client.transcribe(b"no audio at all")
        assert caught.value.code == "invalid_content"


FAULTS: list[tuple[Fault, type[VoicekitError]]] = [
    (Fault("html"), RemoteProtocolError),
    (Fault("wrong_type"), RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError),
    (Fault("empty"), RemoteProtocolError),
    (Fault("status", status=202, body={"request_id": "r"}), RemoteProtocolError),
    (Fault("status", status=302), RemoteProtocolError),
    (Fault("huge"), RemoteProtocolError),
    (Fault("reset"), TransportError),
    (Fault("close", after_bytes=20), ConnectionLostError),
    (Fault("reset", after_bytes=20), ConnectionLostError),
    (Fault("silence"), FirstOutputTimeout),
    (Fault("drip", delay=0.05), DeadlineError),
    (Fault("stall", after_bytes=20), DeadlineError),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=lambda each: getattr(each, "kind", ""))
async def test_faults_are_typed_and_quick(fault: Fault, kind: type[VoicekitError]) -> None:
    """Nothing of what was sent or received is in the error; the next one is right."""
    limits = limits_of(("transcribe",), fault)
    async with speaking(SCENARIO, limits=limits, policies=NO_POLICIES) as (world, client):
        world.inject("elevenlabs", fault)
        began = time.monotonic()
        with pytest.raises(kind) as caught:
            await client.transcribe(WAV, diarize=True)
        assert time.monotonic() - began < 5.0
        assert "morning" not in str(caught.value)
        assert caught.value.operation == "transcribe"
        assert (await client.transcribe(WAV)).text == TEXT
        assert await eventually(lambda: call_tasks() == [])


async def transcribed(client: Any, path: Path) -> Any:
    return (await client.transcribe(path)).text


async def submitted(client: Any, path: Path) -> Any:
    return bool((await client.submit_transcription(path)).request_id) and TEXT


@pytest.mark.parametrize("operation", [transcribed, submitted], ids=lambda each: each.__name__)
async def test_cancelled_after_k_steps(operation: Any, tmp_path: Path) -> None:
    """For growing k until it completes: prompt, no task, and the next one is right."""
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    async with speaking(SCENARIO) as (world, client):
        completed = step = 0
        while completed < 3:
            task = asyncio.create_task(operation(client, path))
            for _ in range(step):
                if task.done():
                    break
                await asyncio.sleep(0)
            step += 1 if step < 60 else 5
            if task.done():
                completed += 1
                assert await task == TEXT
                continue
            completed = 0
            task.cancel()
            began = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < 0.5
        assert await eventually(lambda: not [each for each in call_tasks() if "drain" not in each])
        assert await operation(client, path) == TEXT
        assert await eventually(lambda: len(world.connections("elevenlabs")) <= 20)
    assert await eventually(lambda: library_tasks() == [])
