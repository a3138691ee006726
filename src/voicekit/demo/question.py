"""The spoken question: a WAV file, cut into the frames in which a microphone would give it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioClip, AudioFormat

FRAME_S = 0.02
"""Seconds of sound in one frame; 20 ms is what telephony and WebRTC deliver."""

LONGEST_S = 60.0
"""Seconds of a question that is still one: it is sent in real time, once per turn."""

_MAX_BYTES = 1 << 24
"""More than a minute of 48 kHz stereo takes; what is larger is not read whole."""

_ALLOWED = "a PCM16 WAV file, 8 to 48 kHz, mono or stereo, of at most a minute"
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
        path: A PCM16 WAV file, 8 to 48 kHz, mono or stereo, of at most a minute.

    Raises:
        InvalidArgumentError: The file cannot be read, is not such a WAV, or holds no sound.
    """
    if path is None:
        try:
            import lzma
        except ImportError as error:
            raise _refusal("the built-in one needs a Python that was built with lzma") from error
        packed = (resources.files("voicekit.demo") / "question.wav.xz").read_bytes()
        return _cut(lzma.decompress(packed), _SAID)
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _refusal(f"cannot be read ({error.strerror or type(error).__name__})") from error
    if len(content) > _MAX_BYTES:
        raise _refusal("is too long")
    return _cut(content, None)


def _cut(content: bytes, said: str | None) -> Question:
    try:
        clip = AudioClip.from_wav(content)
    except InvalidArgumentError as error:
        # It speaks of bytes; whoever started the demo named a file.
        reason = error.message.partition(": ")[2].partition(";")[0]
        raise _refusal(reason) from error
    rate, channels = clip.format.sample_rate_hz or 0, clip.format.channels
    if len(clip.data) > LONGEST_S * rate * channels * 2:
        raise _refusal("is too long")
    size = round(rate * FRAME_S) * 2 * channels
    frames = tuple(
        clip.data[start : start + size].ljust(size, b"\0")
        for start in range(0, len(clip.data), size)
    )
    if not frames:
        raise _refusal("holds no sound")
    return Question(clip.format, frames, said)


def _refusal(reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(reason, argument="question", allowed=_ALLOWED)
