"""What is in a recording sent to Deepgram: its channels."""

from __future__ import annotations

from voicekit.emulator.providers.deepgram_query import ListenOptions, QueryRefusalError
from voicekit.emulator.providers.recording import Recording, decode

CORRUPT = "Bad Request: failed to process audio: corrupt or unsupported data"


def read_recording(body: bytes, options: ListenOptions, *, scripted: bool) -> Recording:
    """Decode a body, or refuse it: it is empty, or no audio."""
    recording = decode(
        body,
        encoding=options.encoding,
        sample_rate=options.sample_rate,
        channels=options.channels,
        split=options.multichannel,
        scripted=scripted,
    )
    if recording is None or not recording.duration:
        raise QueryRefusalError(CORRUPT, code="Bad Request")
    return recording
