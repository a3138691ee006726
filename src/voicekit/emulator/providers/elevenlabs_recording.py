"""What is in a recording sent to ElevenLabs: its channels."""

from __future__ import annotations

from voicekit.emulator.providers.elevenlabs_request import HttpRefusalError
from voicekit.emulator.providers.recording import Recording, decode

PCM_RATE = 16_000
"""Hz of ``file_format=pcm_s16le_16``, which is mono."""

MAX_CHANNELS = 5
"""Source: the vendor's SDK 2.78.0, `use_multi_channel`."""

UNFETCHED_S = 2.0
"""Seconds that a recording at an address is taken to have; the emulator fetches nothing."""


def read_recording(body: bytes, *, pcm: bool, split: bool, scripted: bool) -> Recording:
    """Decode a file, which may be said to be samples without a container (`pcm`).

    400 for what is no audio; the vendor's code is unverified.
    """
    encoding = "linear16" if pcm else None
    recording = decode(
        body, encoding=encoding, sample_rate=PCM_RATE, split=split, scripted=scripted
    )
    if recording is None:
        raise _refused("File upload is corrupted. Please ensure it is playable audio.")
    if not recording.duration:
        raise _refused("The uploaded file is empty.")
    if len(recording.channels) > MAX_CHANNELS:
        raise _refused(f"The file has more than {MAX_CHANNELS} channels.")
    return recording


def _refused(message: str) -> HttpRefusalError:
    return HttpRefusalError.coded(400, "invalid_content", message, param="file")
