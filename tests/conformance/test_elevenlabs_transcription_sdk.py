"""The vendor's own SDK, unmodified, is the judge of the ElevenLabs twin's ears."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Fault, Scenario

elevenlabs = sdk_of("elevenlabs")

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:elevenlabs.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

HEARD = "good morning\nhow may I help (laughter) you"
SCENARIO = Scenario(name="heard", heard=HEARD)
TEXT = "Good morning. How may I help (laughter) you."


@pytest.fixture(scope="module")
def world() -> Iterator[Any]:
    """An emulator in a thread, for blocking and asynchronous clients alike."""
    with Emulator.in_thread(providers=("elevenlabs",), scenario=SCENARIO) as served:
        yield served


@pytest.fixture(autouse=True)
def fresh(world: Any) -> None:
    """Every test begins with an empty journal."""
    world.journal.clear()
    world.clear_faults()


@pytest.fixture
def client(world: Any) -> Iterator[Any]:
    """The blocking client; it has no `close`, so the connections are handed in and closed here."""
    with httpx.Client() as connections:
        yield elevenlabs.ElevenLabs(**world.sdk("elevenlabs"), httpx_client=connections)


def wav(seconds: float = 8.0, *, channels: int = 1, rate: int = 8000) -> bytes:
    samples = bytes(int(seconds * rate) * 2 * channels)
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    size = len(samples)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE"
    return (
        head + b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size) + samples
    )


def test_sync_convert(world: Any, client: Any) -> None:
    """Words, the spaces between them, sounds, and their times; nothing is noted."""
    heard = client.speech_to_text.convert(model_id="scribe_v2", file=io.BytesIO(wav()))
    assert heard.text == TEXT
    assert heard.language_code == "eng"
    assert heard.audio_duration_secs == 8.0
    assert "".join(word.text for word in heard.words) == TEXT
    assert {word.type for word in heard.words} == {"word", "spacing", "audio_event"}
    assert heard.words[0].start == 0.0
    assert heard.words[-1].end == pytest.approx(8.0)
    assert all(a.end <= b.start for a, b in zip(heard.words, heard.words[1:], strict=False))
    (record,) = world.journal.requests_for("elevenlabs", "transcription")
    assert record.notes == []


@pytest.mark.anyio
async def test_async_convert(world: Any) -> None:
    """The asynchronous client gets the same; a raw recording needs no header."""
    async with httpx.AsyncClient() as connections:
        client = elevenlabs.AsyncElevenLabs(**world.sdk("elevenlabs"), httpx_client=connections)
        heard = await client.speech_to_text.convert(
            model_id="scribe_v2", file=bytes(16000 * 2 * 8), file_format="pcm_s16le_16"
        )
    assert heard.text == TEXT
    assert heard.audio_duration_secs == 8.0


def test_speakers_characters_and_quiet_events(client: Any) -> None:
    """Each sentence is the next speaker's; characters have times; sounds may be left out."""
    heard = client.speech_to_text.convert(
        model_id="scribe_v3",
        file=("call.wav", wav(), "audio/wav"),
        diarize=True,
        tag_audio_events=False,
        timestamps_granularity="character",
        language_code="en",
        secondary_language_codes=["de", "fr"],
        keyterms=["voicekit", "speech client"],
        temperature=0.5,
        seed=7,
        num_speakers=2,
        numbers_format="words",
        additional_formats=[{"format": "txt"}],
        entity_detection=["pii", "phi"],
    )
    assert heard.text == "Good morning. How may I help you."
    assert heard.words[0].speaker_id == "speaker_0"
    assert heard.words[-1].speaker_id == "speaker_1"
    characters = heard.words[0].characters
    assert "".join(each.text for each in characters) == "Good"
    assert characters[-1].end == pytest.approx(heard.words[0].end)
    assert heard.additional_formats[0].content == heard.text
    assert heard.entities == []


def test_roles(client: Any) -> None:
    """Speakers by what they do."""
    heard = client.speech_to_text.convert(
        model_id="scribe_v2", file=wav(), diarize=True, detect_speaker_roles=True
    )
    assert {word.speaker_id for word in heard.words} == {"agent", "customer"}


def test_channels(client: Any) -> None:
    """One transcript per channel, or one of all in the order of time."""
    options = {"model_id": "scribe_v2", "file": wav(channels=2), "use_multi_channel": True}
    heard = client.speech_to_text.convert(**options)
    assert [each.channel_index for each in heard.transcripts] == [0, 1]
    assert [each.text for each in heard.transcripts] == [TEXT, TEXT]
    assert heard.transcripts[1].words[0].channel_index == 1
    heard = client.speech_to_text.convert(**options, multichannel_output_style="combined")
    starts = [word.start for word in heard.words]
    assert starts == sorted(starts)
    assert {word.channel_index for word in heard.words} == {0, 1}


def test_an_address_and_a_webhook(client: Any) -> None:
    """A recording somewhere else; a transcript that goes somewhere else."""
    heard = client.speech_to_text.convert(
        model_id="scribe_v2", source_url="https://example.com/call.wav"
    )
    assert heard.text == TEXT
    pending = client.speech_to_text.convert(
        model_id="scribe_v2",
        file=wav(),
        webhook=True,
        webhook_id="w1",
        webhook_metadata={"call": "4711"},
    )
    assert pending.request_id
    assert pending.transcription_id


def test_without_times(client: Any) -> None:
    """What has no time has none."""
    heard = client.speech_to_text.convert(
        model_id="scribe_v2", file=wav(), timestamps_granularity="none"
    )
    assert heard.text == TEXT
    assert {word.start for word in heard.words} == {None}


def test_refusals(world: Any, client: Any) -> None:
    """A schema failure is the SDK's 422 type; what excludes one another is its ApiError."""
    from elevenlabs.core.api_error import ApiError
    from elevenlabs.errors import UnprocessableEntityError

    convert = client.speech_to_text.convert
    wrong: dict[str, Any]
    for wrong in (
        {"model_id": "scribe_v0"},
        {"num_speakers": 33},
        {"temperature": 2.5},
        {"seed": -1},
        {"timestamps_granularity": "syllable"},
        {"keyterms": ["x" * 51]},
    ):
        with pytest.raises(UnprocessableEntityError) as invalid:
            convert(**{"model_id": "scribe_v2", "file": wav(0.1), **wrong})
        assert invalid.value.body["detail"][0]["loc"] == ["body", next(iter(wrong))]
    for wrong in (
        {"file": wav(0.1), "source_url": "https://example.com/a.wav"},
        {},
        {"file": wav(0.1), "diarize": True, "use_multi_channel": True},
        {"file": wav(0.1), "detect_speaker_roles": True},
        {"file": wav(0.1), "webhook_id": "w1"},
        {"file": b"no audio at all"},
        {"file": wav(0.0)},
    ):
        with pytest.raises(ApiError) as refused:
            convert(model_id="scribe_v2", **wrong)
        assert refused.value.status_code == 400
    once = {"max_retries": 0}
    world.inject("elevenlabs", Fault("status", status=503))
    with pytest.raises(ApiError) as refused:
        convert(model_id="scribe_v2", file=wav(0.1), request_options=once)
    assert refused.value.status_code == 503


def test_the_literal_null(world: Any, client: Any) -> None:
    """The SDK sends the word for what is not set; the twin takes it for absent."""
    client.speech_to_text.convert(model_id="scribe_v2", file=wav(0.1))
    (record,) = world.journal.requests_for("elevenlabs", "transcription")
    assert record.body.count(b"\r\n\r\nnull\r\n") == 3
    assert json.dumps("null").encode() not in record.body


def test_a_token_in_place_of_a_key(world: Any) -> None:
    """As a browser would ask."""
    with httpx.Client() as connections:
        client = elevenlabs.ElevenLabs(
            base_url=world.elevenlabs.url, api_key="k", httpx_client=connections
        )
        heard = client.speech_to_text.convert(
            model_id="scribe_v2", file=wav(0.1), token="sutkn_1", enable_logging=False
        )
    assert heard.text == TEXT
    (record,) = world.journal.requests_for("elevenlabs", "transcription")
    assert record.query["enable_logging"] == ["false"]
