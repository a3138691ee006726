"""The spoken question: a WAV file, cut into the frames in which a microphone would give it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioClip, AudioFormat

FRAME_S = 0.02
"""Seconds of sound in one frame; 20 ms is what telephony and WebRTC deliver."""

_SAID = "What are your opening hours today"


@dataclass(frozen=True, slots=True)
class Question:
    """Something spoken.

    Attributes:
        format: Headerless PCM, 16 bit.
        frames: 20 ms each; the last is filled up with silence.
        said: The words, where they are known.
    """

    format: AudioFormat
    frames: tuple[bytes, ...]
    said: str | None

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the end of the last frame."""
        return len(self.frames) * FRAME_S


def load_question(path: str | Path | None = None) -> Question:
    """The built-in question, or a recording of the caller's.

    Args:
        path: A PCM16 WAV file, 8 to 48 kHz, mono or stereo.

    Raises:
        InvalidArgumentError: The file cannot be read, is not such a WAV, or holds no sound.
    """
    source: bytes
    try:
        if path is None:
            source = (resources.files("voicekit.demo") / "question.wav").read_bytes()
        else:
            source = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidArgumentError(f"cannot be read ({reason})", argument="question") from error
    clip = AudioClip.from_wav(source)
    rate, channels = clip.format.sample_rate_hz or 0, clip.format.channels
    if not 8000 <= rate <= 48000 or channels > 2:
        raise InvalidArgumentError(
            f"{rate} Hz, {channels} channels",
            argument="question",
            allowed="a PCM16 WAV file, 8 to 48 kHz, mono or stereo",
        )
    size = round(rate * FRAME_S) * 2 * channels
    frames = tuple(
        clip.data[start : start + size].ljust(size, b"\0")
        for start in range(0, len(clip.data), size)
    )
    if not frames:
        raise InvalidArgumentError("holds no sound", argument="question")
    plain = AudioFormat(encoding="pcm", sample_rate_hz=rate, channels=channels)
    return Question(plain, frames, _SAID if path is None else None)
