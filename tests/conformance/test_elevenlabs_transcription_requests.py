"""The same transcription asked for by us and by the vendor's SDK: what differs, and why."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from requests_alike import differences
from vendors import sdk_of

from voicekit.clients.elevenlabs import ElevenLabsClient
from voicekit.emulator import Emulator
from voicekit.speech import AudioClip, AudioFormat, AudioURL

elevenlabs = sdk_of("elevenlabs")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.sdk,
    pytest.mark.emulated,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:elevenlabs.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

SAMPLES = bytes(3200)
CLIP = AudioClip(data=SAMPLES, format=AudioFormat.parse("pcm_16000"))

# The SDK sends the word "null" for these when they are not set; we leave them out.
NULLS = {
    "body.webhook_metadata": (None, "null"),
    "body.entity_detection": (None, "null"),
    "body.entity_redaction": (None, "null"),
}
# A label without a meaning: what the SDK's HTTP library calls bytes, and what we do.
FILENAME = {"body.file.filename": ("audio.pcm", "upload")}


async def both(
    ours: Any, options: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, tuple[Any, Any]]:
    async with Emulator(providers=("elevenlabs",)) as world:
        async with ElevenLabsClient("test-key", base_url=world.elevenlabs.url) as client:
            if options.pop("submit", False):
                await client.submit_transcription(ours, **options)
            else:
                await client.transcribe(ours, **options)
        async with httpx.AsyncClient() as connections:
            sdk = elevenlabs.AsyncElevenLabs(
                base_url=world.elevenlabs.url, api_key="test-key", httpx_client=connections
            )
            await sdk.speech_to_text.convert(**theirs)
        mine, other = world.journal.requests_for("elevenlabs", "transcription")
        return differences(mine, other)


async def test_the_least() -> None:
    """A recording and nothing else."""
    found = await both(
        CLIP, {}, {"model_id": "scribe_v2", "file": SAMPLES, "file_format": "pcm_s16le_16"}
    )
    assert found == {**NULLS, **FILENAME}


async def test_every_option() -> None:
    """Under its name, as the same text."""
    shared: dict[str, Any] = {
        "enable_logging": False,
        "language_code": "en",
        "secondary_language_codes": ["de", "fr"],
        "numbers_format": "words",
        "tag_audio_events": False,
        "num_speakers": 2,
        "timestamps_granularity": "character",
        "diarize": True,
        "temperature": 0.5,
        "seed": 7,
        "entity_detection": ["pii", "phi"],
        "entity_redaction": "pii",
        "entity_redaction_mode": "entity_type",
        "no_verbatim": True,
        "use_speaker_library": True,
        "detect_speaker_roles": True,
        "keyterms": ["voicekit", "speech client"],
        "additional_formats": [{"format": "txt"}],
        "file_format": "pcm_s16le_16",
    }
    found = await both(
        CLIP,
        {"model": "scribe_v3", **shared},
        {"model_id": "scribe_v3", "file": SAMPLES, **shared},
    )
    assert found == {
        "body.webhook_metadata": (None, "null"),
        **FILENAME,
        # The same JSON, with and without spaces.
        "body.entity_detection": ('["pii","phi"]', '["pii", "phi"]'),
        "body.additional_formats": ('[{"format":"txt"}]', '[{"format": "txt"}]'),
    }


async def test_channels_an_edit_and_a_threshold() -> None:
    """The options that exclude those above."""
    shared = {"use_multi_channel": True, "multichannel_output_style": "combined"}
    theirs = {"model_id": "scribe_v2", "file": SAMPLES, "file_format": "pcm_s16le_16", **shared}
    assert await both(CLIP, dict(shared), theirs) == {**NULLS, **FILENAME}
    shared = {"diarize": True, "diarization_threshold": 0.3, "transcript_edit": "Be brief."}
    theirs = {"model_id": "scribe_v2", "file": SAMPLES, "file_format": "pcm_s16le_16", **shared}
    assert await both(CLIP, dict(shared), theirs) == {**NULLS, **FILENAME}


async def test_a_file_with_a_header() -> None:
    """Which says by itself what it is; we say so in the form, too."""
    recording = AudioClip(data=SAMPLES, format=AudioFormat.parse("pcm_8000")).wav()
    found = await both(recording, {}, {"model_id": "scribe_v2", "file": recording})
    assert found == {
        **NULLS,
        "body.file.filename": ("audio.wav", "upload"),
        "body.file.type": ("audio/wav", "application/octet-stream"),
    }


async def test_an_address() -> None:
    """In place of a file."""
    url = "https://example.com/call.wav"
    found = await both(AudioURL(url), {}, {"model_id": "scribe_v2", "source_url": url})
    assert found == NULLS


async def test_a_webhook() -> None:
    """With what it is to get along with the transcript."""
    shared = {"webhook_id": "w1", "webhook_metadata": {"call": "4711"}}
    theirs = {"model_id": "scribe_v2", "file": SAMPLES, "file_format": "pcm_s16le_16"}
    found = await both(CLIP, {"submit": True, **shared}, {**theirs, "webhook": True, **shared})
    assert found == {
        **FILENAME,
        "body.entity_detection": (None, "null"),
        "body.entity_redaction": (None, "null"),
        # The same JSON, with and without spaces.
        "body.webhook_metadata": ('{"call":"4711"}', '{"call": "4711"}'),
    }
