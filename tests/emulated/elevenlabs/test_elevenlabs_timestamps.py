"""Speech with the times of its words and characters, and WAV, from the endpoints that make them."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from speaking import INSTANT, VOICE, heard, right, speaking

from fault_limits import limits_for
from settling import call_tasks, eventually
from voicekit.emulator import Fault, Scenario
from voicekit.errors import (
    ConnectionLostError,
    FirstOutputTimeout,
    InvalidArgumentError,
    QuotaError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "Room 5 is ready now."
TIMED = "speech.stream.timed"


async def test_a_clip_with_words_and_characters() -> None:
    """Every character of the text with its time, every word, and exactly the audio."""
    async with speaking() as (world, tts):
        clip = await tts.synthesize(TEXT, timestamps=True)
        assert right(clip.data, TEXT)
        assert "".join(each.text for each in clip.characters) == TEXT
        assert [word.text for word in clip.words] == TEXT.split()
        assert clip.characters[0].start == 0.0
        assert clip.characters[-1].end == pytest.approx(clip.duration, abs=0.002)
        assert clip.words[1].start == pytest.approx(5 * 0.06)
        assert clip.words[1].end == pytest.approx(6 * 0.06)
        (record,) = world.journal.requests_for("elevenlabs", TIMED)
        assert record.path == f"/v1/text-to-speech/{VOICE}/stream/with-timestamps"
        assert clip.request_id == f"req_{record.id:012d}"
        assert clip.usage is not None
        assert clip.usage.characters == len(TEXT)
        assert clip.connection is not None
        assert record.notes == []


async def test_a_stream_with_words() -> None:
    """Times go on from chunk to chunk; a character is with the audio in which it begins."""
    async with speaking() as (_, tts):
        async with tts.stream_speech(TEXT, timestamps=True) as speech:
            chunks = [chunk async for chunk in speech]
        assert len(chunks) > 3
        assert right(b"".join(chunks), TEXT)
        assert "".join(each.text for chunk in chunks for each in chunk.characters) == TEXT
        assert [word.text for chunk in chunks for word in chunk.words] == TEXT.split()
        begun = 0.0
        for chunk in chunks:
            for each in chunk.characters:
                assert begun - 0.001 <= each.start <= begun + (chunk.duration or 0.0) + 0.001
            begun += chunk.duration or 0.0


async def test_the_normalised_text() -> None:
    """On request the characters are those that were read out."""
    async with speaking() as (_, tts):
        clip = await tts.synthesize(TEXT, timestamps=True, alignment="normalized")
        assert [word.text for word in clip.words] == ["Room", "five", "is", "ready", "now."]


async def test_wav_comes_whole() -> None:
    """The endpoint that makes WAV is used for it, with and without times."""
    async with speaking() as (world, tts):
        clip = await tts.synthesize(TEXT, format="wav_8000")
        assert clip.data[:4] == b"RIFF"
        assert clip.duration == pytest.approx(len(TEXT) * 0.06)
        assert right(clip.data[44:], TEXT)
        timed = await tts.synthesize(TEXT, format="wav_8000", timestamps=True)
        assert timed.data == clip.data
        assert [word.text for word in timed.words] == TEXT.split()
        paths = [record.path for record in world.journal.requests_for("elevenlabs")]
        base = f"/v1/text-to-speech/{VOICE}"
        assert paths == [base, f"{base}/with-timestamps"]


async def test_wav_waits_as_long_as_it_takes() -> None:
    """Nothing comes before all of it is made, so the first-output limit is the total."""
    slow = Scenario(name="slow", speech_first_audio=0.2)
    async with speaking(slow, limits={"stream_speech": Limits(first_output=0.1)}) as (_, tts):
        assert (await tts.synthesize(TEXT, format="wav_8000")).data[:4] == b"RIFF"


async def test_wav_is_not_streamed() -> None:
    """Refused before any I/O, from a text and from a request; what is allowed is named."""
    async with speaking() as (world, tts):
        for text in (TEXT, tts.request(TEXT, format="wav_8000")):
            with pytest.raises(InvalidArgumentError) as caught:
                tts.stream_speech(text, **({"format": "wav_8000"} if text == TEXT else {}))
            assert caught.value.argument == "format"
            given, _, allowed = str(caught.value).partition("allowed")
            assert "wav_8000" in given
            assert "pcm_24000" in allowed
            assert "wav" not in allowed
        assert world.journal.requests == []


FAULTS: list[tuple[Fault, type[VoicekitError]]] = [
    (Fault("html"), RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError),
    (Fault("wrong_type"), RemoteProtocolError),
    (Fault("empty"), RemoteProtocolError),
    (Fault("empty", body=b'{"detail":{"code":"quota_exceeded"}}'), QuotaError),
    (Fault("empty", body=b'{"message":"m","error":"quota_exceeded","code":1008}'), QuotaError),
    (Fault("empty", body=b"[1]"), RemoteProtocolError),
    (Fault("empty", body=b'{"audio_base64":"no base 64"}'), RemoteProtocolError),
    (Fault("empty", body=b'{"audio_base64":5}'), RemoteProtocolError),
    (Fault("empty", body=b'{"audio_base64":""}'), RemoteProtocolError),
    (Fault("empty", body=b'{"audio_base64":"AA=="}'), ConnectionLostError),
    (Fault("huge"), RemoteProtocolError),
    (Fault("silence"), FirstOutputTimeout),
    (Fault("stall"), FirstOutputTimeout),
    (Fault("drip", delay=0.01), FirstOutputTimeout),
    (Fault("reset"), ConnectionLostError),
    (Fault("close"), ConnectionLostError),
    (Fault("close", after_bytes=200), ConnectionLostError),
    (Fault("in_stream_error"), UnavailableError),
]


# One JSON object has no line for an error and never drips; a WAV has no samples of a fixed place.
WHOLE_FAULTS = [
    (fault, kind)
    for fault, kind in FAULTS
    if fault.kind not in {"in_stream_error", "drip"} and fault.body != b'{"audio_base64":"AA=="}'
]


@pytest.mark.parametrize(
    ("fault", "kind", "whole"),
    [(*each, False) for each in FAULTS] + [(*each, True) for each in WHOLE_FAULTS],
    ids=lambda each: getattr(each, "kind", ""),
)
async def test_a_bad_server(fault: Fault, kind: type[VoicekitError], whole: bool) -> None:
    """A typed error within the limits, nothing played, and the next call is fine."""
    options: dict[str, Any] = {"timestamps": True, "limits": limits_for(fault)}
    if whole:
        options["format"] = "wav_8000"
    async with speaking(policies=NO_POLICIES) as (world, tts):
        world.inject("elevenlabs", fault)
        started = time.monotonic()
        with pytest.raises(kind) as caught:
            await tts.synthesize(TEXT, **options)
        assert time.monotonic() - started < 5.0
        assert caught.value.provider == "elevenlabs"
        assert "Room" not in str(caught.value) + repr(caught.value)
        assert right((await tts.synthesize(TEXT)).data, TEXT)
        assert await eventually(lambda: not call_tasks())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("close", after_events=3), ConnectionLostError),
        (Fault("reset", after_events=3), ConnectionLostError),
        (Fault("in_stream_error", after_events=3), UnavailableError),
        (
            Fault("in_stream_error", after_events=3, body={"detail": {"code": "quota_exceeded"}}),
            QuotaError,
        ),
    ],
    ids=["close", "reset", "error", "quota"],
)
async def test_a_bad_server_after_the_first_audio(fault: Fault, kind: type[VoicekitError]) -> None:
    """What came is delivered, in order; then an error says exactly how much that was."""
    async with speaking() as (world, tts):
        whole = (await tts.synthesize(TEXT)).data
        # Each piece is read before the next is sent, on a busy machine too.
        world.set_scenario(replace(INSTANT, speech_real_time_factor=3.0))
        world.inject("elevenlabs", fault)
        got: list[bytes] = []

        async def read() -> None:
            async for chunk in tts.stream_speech(TEXT, timestamps=True):
                got.append(chunk)

        with pytest.raises(StreamInterruptedError) as caught:
            await read()
        assert isinstance(caught.value.__cause__, kind)
        assert whole.startswith(b"".join(got))
        assert caught.value.delivered_bytes == len(b"".join(got)) == 3 * INSTANT.speech_chunk_bytes


async def test_a_line_beyond_the_bound_is_refused() -> None:
    """Memory is bounded whatever a line holds."""
    async with speaking(policies=NO_POLICIES) as (world, tts):
        body = json.dumps({"audio_base64": "A" * (17 << 20)}).encode()
        world.inject("elevenlabs", Fault("empty", body=body))
        with pytest.raises(RemoteProtocolError, match="longer than"):
            await heard(tts.stream_speech(TEXT, timestamps=True))
