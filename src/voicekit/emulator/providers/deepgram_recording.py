"""What is in a recording sent to Deepgram: its channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.emulator.providers.deepgram_audio import StreamDecoder, UnsupportedFormat
from voicekit.emulator.providers.deepgram_query import QueryRefusalError
from voicekit.emulator.providers.recording import Recording, is_compressed, unheard
from voicekit.emulator.voice_notes import said_in

if TYPE_CHECKING:
    from voicekit.emulator.providers.deepgram_query import ListenOptions

CORRUPT = "Bad Request: failed to process audio: corrupt or unsupported data"


def read_recording(body: bytes, options: ListenOptions, *, scripted: bool) -> Recording:
    """Decode a body; compressed audio only for scripted ears, which need but its duration.

    A voice note of the emulator is for any ears.

    Raises:
        QueryRefusalError: It is empty, or no audio.
    """
    decoder = StreamDecoder(
        options.encoding,
        sample_rate=options.sample_rate,
        channels=options.channels,
        split=options.multichannel,
    )
    heard = scripted or said_in(body) is not None
    if heard and options.encoding is None and is_compressed(body):
        return unheard(body=body)
    try:
        channels = decoder.feed(body)
    except UnsupportedFormat:
        channels = []
    if not channels or not channels[0]:
        raise QueryRefusalError(CORRUPT, code="Bad Request")
    return Recording(
        channels=tuple(channels),
        sample_rate=decoder.sample_rate,
        duration=len(channels[0]) / 2 / decoder.sample_rate,
    )
