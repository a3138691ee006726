"""What is in a recording sent to ElevenLabs: its channels."""

from __future__ import annotations

from voicekit.emulator.codecs import PcmReader, UnsupportedFormat, read_wav_header
from voicekit.emulator.providers.elevenlabs_request import HttpRefusalError
from voicekit.emulator.providers.recording import Recording, is_compressed, unheard
from voicekit.emulator.voice_notes import said_in

PCM_RATE = 16_000
"""Hz of ``file_format=pcm_s16le_16``, which is mono."""

MAX_CHANNELS = 5
"""Source: the vendor's SDK 2.78.0, `use_multi_channel`."""

UNFETCHED_S = 2.0
"""Seconds that a recording at an address is taken to have; the emulator fetches nothing."""


def unfetched() -> Recording:
    """Return what stands in for a recording at an address."""
    return unheard(seconds=UNFETCHED_S)


def read_recording(body: bytes, *, pcm: bool, split: bool, scripted: bool) -> Recording:
    """Decode a file; compressed audio only for scripted ears, which need but its duration.

    Args:
        body: The file.
        pcm: It is said to be samples without a container.
        split: Keep the channels apart.
        scripted: Nobody listens to it.

    Raises:
        HttpRefusalError: 400, for what is no audio; the vendor's code is unverified.
    """
    if pcm:
        channels, rate = [body[: len(body) // 2 * 2]], PCM_RATE
    elif is_compressed(body) and (scripted or said_in(body) is not None):
        return unheard(body=body)
    else:
        channels, rate = _contained(body, split=split)
    if not channels[0]:
        raise _refused("The uploaded file is empty.")
    if len(channels) > MAX_CHANNELS:
        raise _refused(f"The file has more than {MAX_CHANNELS} channels.")
    return Recording(
        channels=tuple(channels), sample_rate=rate, duration=len(channels[0]) / 2 / rate
    )


def _contained(body: bytes, *, split: bool) -> tuple[list[bytes], int]:
    corrupt = _refused("File upload is corrupted. Please ensure it is playable audio.")
    try:
        header = read_wav_header(body)
    except UnsupportedFormat:
        raise corrupt from None
    if header is None:
        raise corrupt
    samples = body[header.size :]
    if header.data_bytes is not None:  # chunks after the samples are not samples
        samples = samples[: header.data_bytes]
    if not split or header.channels == 1:
        reader = PcmReader(
            header.encoding, sample_rate=header.sample_rate, channels=header.channels
        )
        return [reader.feed(samples)], header.sample_rate
    plain = PcmReader(header.encoding, sample_rate=header.sample_rate).feed(samples)
    count = header.channels
    frames = len(plain) // (2 * count)
    channels = []
    for index in range(count):
        single = bytearray(2 * frames)
        single[0::2] = plain[2 * index :: 2 * count][:frames]
        single[1::2] = plain[2 * index + 1 :: 2 * count][:frames]
        channels.append(bytes(single))
    return channels, header.sample_rate


def _refused(message: str) -> HttpRefusalError:
    return HttpRefusalError.coded(400, "invalid_content", message, param="file")
