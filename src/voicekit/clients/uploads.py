"""Recordings on their way to a provider: what was given, as a body with its facts."""

from __future__ import annotations

import inspect
import os
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn, cast

from voicekit.checks import wrong
from voicekit.errors import InvalidArgumentError
from voicekit.speech.audio_format import AudioFormat
from voicekit.speech.clip import AudioClip
from voicekit.speech.duration import mp3_duration_s, ogg_opus_duration_s
from voicekit.speech.wav import WavError, WavHeaderReader, WavInfo
from voicekit.transport.files import FileUpload, HandleUpload, StreamUpload
from voicekit.transport.held import in_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.operation import Limits
    from voicekit.speech.audio_format import Encoding
    from voicekit.speech.audio_source import AudioSource, AudioStream
    from voicekit.transport.messages import Upload

ALLOWED: Final = "Path(…), bytes, an open binary file, an AudioClip"
OR_URL: Final = f"{ALLOWED}, an AudioURL"
"""For a provider that fetches recordings by itself."""
_HEAD_BYTES: Final = 4096  # WAV headers with their notes fit.
_COUNTED_BYTES: Final = 1 << 20
"""MP3 frames are counted one by one; more of them would hold the event loop."""
_UNKNOWN: Final = "application/octet-stream"
# It goes into a header.
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,64}")
_HEADERLESS: Final = frozenset({"pcm", "mulaw", "alaw"})
# Not the system's table: it differs from machine to machine.
_BY_SUFFIX: Final = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".mpga": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".aac": "audio/aac",
    ".webm": "audio/webm",
    ".amr": "audio/amr",
}
_SUFFIX_OF: Final = {
    "audio/wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/aac": ".aac",
    "audio/webm": ".webm",
    "audio/amr": ".amr",
}

_ENCODINGS: Final[Mapping[str, Encoding]] = {
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg_opus",
    "audio/flac": "flac",
    "audio/aac": "aac",
}

# Source: design, "total = 30 s + 0.1 s per second of audio".
_PATIENCE_S: Final = 30.0
_PATIENCE_PER_SECOND: Final = 0.1
_LEAST_BYTES_PER_SECOND: Final = 2000
"""16 kbit/s: recordings of speech are hardly ever smaller, so no file lasts longer than this says.
Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is to be transcribed, ready to be sent.

    Attributes:
        upload: The bytes, or a file that is read while it is sent.
        format: What they are, where they (or a clip) tell; None otherwise.
        media_type: For a ``Content-Type``; ``application/octet-stream`` when unknown.
        filename: The file's own name without its folder, or one made up for the format.
        duration_s: Seconds, where the bytes tell at once; else None.
        size: Bytes; None for a file that cannot seek.
    """

    upload: bytes | Upload = field(repr=False)
    format: AudioFormat | None = None
    media_type: str
    filename: str = field(repr=False)
    duration_s: float | None = None
    size: int | None

    @property
    def content(self) -> bytes | Upload:
        """The upload for a form around it, which holds no copy of what is large."""
        return in_pieces(self.upload)


def upload_of(audio: AudioSource, allowed: str = ALLOWED) -> Recording:
    """``audio`` as a body to send; ``allowed`` is what the caller takes.

    A path is only looked up here; the file is opened for each attempt, and read in a
    thread. An open file is sent from its current position, which is taken now: again for
    each attempt if it can seek, once otherwise; nobody closes it but its owner. A clip of
    headerless samples becomes a WAV file. A stream is sent on as it comes, once.

    Raises:
        InvalidArgumentError: Not of a kind that can be sent, empty, no such file, not a
            regular file, opened as text or for writing only. No content is quoted.
    """
    if isinstance(audio, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(audio))
    if isinstance(audio, AudioClip):
        return _of_clip(audio)
    if isinstance(audio, os.PathLike):
        return _of_path(Path(os.fsdecode(audio)))
    if hasattr(audio, "__aiter__"):
        return _of_stream(cast("AudioStream", audio))
    if callable(getattr(audio, "read", None)):
        return _of_handle(cast("BinaryIO", audio))
    raise wrong("audio", audio, allowed)


def longest_s(recording: Recording) -> float | None:
    """The most seconds that it can last; None where neither its bytes nor its size tell."""
    if recording.duration_s is not None or recording.size is None:
        return recording.duration_s
    return recording.size / _LEAST_BYTES_PER_SECOND


def limits_of(recording: Recording, limits: Limits) -> Limits:
    """``limits`` with the time that a recording of this length takes to be transcribed.

    First output and total become 30 s and 0.1 s per second of sound, or more where they
    were more; counted from the last uploaded byte. Where the bytes do not tell the
    seconds, the size says how many they can be. Without a limit there stays none.
    """
    seconds = longest_s(recording)
    if seconds is None:
        return replace(limits, first_output=None, total=None)
    patience = _PATIENCE_S + _PATIENCE_PER_SECOND * seconds
    first, total = limits.first_output, limits.total
    return replace(
        limits,
        first_output=None if first is None else max(first, patience),
        total=None if total is None else max(total, patience),
    )


def _refuse(message: str) -> NoReturn:
    raise InvalidArgumentError(message, argument="audio", allowed=ALLOWED)


# -- by kind --


def _of_bytes(data: bytes) -> Recording:
    if not data:
        _refuse("is empty")
    media_type = _sniffed(data)
    wav = _wav_of(data, len(data)) if media_type == "audio/wav" else None
    return Recording(
        upload=data,
        format=_format_of(media_type, wav, data),
        media_type=media_type,
        filename=_made_up(media_type),
        duration_s=_seconds_of(media_type, wav, data),
        size=len(data),
    )


def _of_clip(clip: AudioClip) -> Recording:
    if not clip.data:
        _refuse("is an empty clip")
    if clip.format.encoding in _HEADERLESS:
        data = clip.wav()
        # A WAV of G.711 is no ``wav`` format, which means 16-bit samples.
        wav = replace(clip.format, encoding="wav") if clip.format.encoding == "pcm" else None
        seconds = clip.format.duration_s(len(clip.data))
        media_type = "audio/wav"
    else:
        data, wav = clip.data, clip.format
        media_type = clip.format.media_type.partition(";")[0]
        seconds = None if len(data) > _COUNTED_BYTES else clip.duration
    return Recording(
        upload=data,
        format=wav,
        media_type=media_type,
        filename=_made_up(media_type),
        duration_s=seconds,
        size=len(data),
    )


def _of_path(path: Path) -> Recording:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise InvalidArgumentError(why, argument="audio", allowed=ALLOWED) from None
    if not stat.S_ISREG(found.st_mode):
        _refuse("is a directory" if stat.S_ISDIR(found.st_mode) else "is not a regular file")
    if not found.st_size:
        _refuse("is an empty file")
    if not os.access(path, os.R_OK):
        _refuse("the file may not be read")
    media_type = _named(path.name) or _UNKNOWN
    return Recording(
        upload=FileUpload(path, found.st_size),
        media_type=media_type,
        filename=path.name,
        size=found.st_size,
    )


def _of_handle(handle: BinaryIO) -> Recording:
    name = getattr(handle, "name", None)
    filename = Path(name).name if isinstance(name, str) else ""
    try:
        _check_binary(handle)
        start, size, head = _measured(handle)
    except InvalidArgumentError:
        raise
    except Exception:  # noqa: BLE001 - somebody's object may raise anything
        why = "is closed" if getattr(handle, "closed", False) else "cannot be read"
        raise InvalidArgumentError(why, argument="audio", allowed=ALLOWED) from None
    if size == 0:
        _refuse("has nothing after its position")
    media_type = _sniffed(head)
    wav = None if size is None else _wav_of(head, size) if media_type == "audio/wav" else None
    if media_type == _UNKNOWN:
        media_type = _named(filename) or _UNKNOWN
    return Recording(
        upload=HandleUpload(handle, start=start, size=size),
        format=_format_of(media_type, wav, head),
        media_type=media_type,
        filename=filename or _made_up(media_type),
        duration_s=None if wav is None else wav.duration_s,
        size=size,
    )


def _of_stream(stream: AudioStream) -> Recording:
    said = getattr(stream, "content_type", None)
    media_type = said.partition(";")[0].strip().lower() if isinstance(said, str) else ""
    if not _MEDIA_TYPE.fullmatch(media_type):
        media_type = _UNKNOWN
    size = getattr(stream, "size", None)
    if size == 0:
        _refuse("is empty")
    return Recording(
        upload=StreamUpload(stream, size),
        media_type=media_type,
        filename=_made_up(media_type),
        size=size,
    )


def _check_binary(handle: BinaryIO) -> None:
    readable = getattr(handle, "readable", None)
    if callable(readable) and readable() is False:
        _refuse("is open for writing only")
    nothing: Any = handle.read(0)
    if inspect.iscoroutine(nothing):
        nothing.close()
        _refuse("its read() is async: pass the file behind it")
    if isinstance(nothing, str):
        _refuse("is open as text")


def _measured(handle: BinaryIO) -> tuple[int | None, int | None, bytes]:
    """Position, bytes from there and the first of them; nothing of a file that cannot seek."""
    seekable = getattr(handle, "seekable", None)
    if not callable(seekable) or not seekable():
        return None, None, b""
    start = handle.tell()
    try:
        size = max(0, handle.seek(0, os.SEEK_END) - start)
        handle.seek(start)
        head = handle.read(_HEAD_BYTES)
    finally:
        handle.seek(start)
    return start, size, bytes(head or b"")


# -- what they are --


def _sniffed(head: bytes) -> str:
    """The media type that the first bytes tell.

    Source: the formats' own signatures: RIFF, RFC 3533 §6 (Ogg), RFC 9639 §6 (FLAC),
    RFC 8794 §11.2.1 (EBML), ISO/IEC 14496-12 §4.3 (ftyp), RFC 4867 §5.1 (AMR).
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[4:8] == b"ftyp":
        return "audio/mp4"
    for magic, media_type in (
        (b"OggS", "audio/ogg"),
        (b"fLaC", "audio/flac"),
        (b"ID3", "audio/mpeg"),
        (b"\x1aE\xdf\xa3", "audio/webm"),
        (b"#!AMR", "audio/amr"),
    ):
        if head.startswith(magic):
            return media_type
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "audio/aac"  # ADTS: the layer is 0
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] & 0xF0 != 0xF0:
        return "audio/mpeg"  # Layer III with a bit rate
    return _UNKNOWN


def _wav_of(head: bytes, size: int) -> WavInfo | None:
    """The header, with the bytes of sound that a file of ``size`` can hold."""
    try:
        info = WavHeaderReader().read(head)
    except WavError:
        return None
    if info is None:
        return None
    held = max(0, size - info.data_offset)
    return replace(info, data_bytes=held if info.streamed else min(info.data_bytes, held))


def _format_of(media_type: str, wav: WavInfo | None, head: bytes) -> AudioFormat | None:
    try:
        if wav is not None and wav.encoding == "pcm" and wav.bits_per_sample == 16:
            return AudioFormat(
                encoding="wav", sample_rate_hz=wav.sample_rate_hz, channels=wav.channels
            )
    except InvalidArgumentError:
        return None  # a rate or channels beyond what we name
    if media_type == "audio/ogg" and b"OpusHead" not in head[:_HEAD_BYTES]:
        return None
    encoding = _ENCODINGS.get(media_type)
    return None if encoding is None else AudioFormat(encoding=encoding)


def _seconds_of(media_type: str, wav: WavInfo | None, data: bytes) -> float | None:
    if wav is not None:
        return wav.duration_s
    if media_type == "audio/mpeg" and len(data) <= _COUNTED_BYTES:
        return mp3_duration_s(data)
    if media_type == "audio/ogg":
        return ogg_opus_duration_s(data)
    return None


def _named(filename: str) -> str | None:
    """The media type that a name promises."""
    return _BY_SUFFIX.get(Path(filename).suffix.lower())


def _made_up(media_type: str) -> str:
    return "audio" + _SUFFIX_OF.get(media_type, "")
