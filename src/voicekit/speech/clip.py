"""A whole piece of audio: measured, saved, played in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voicekit.errors import InvalidArgumentError
from voicekit.speech.audio_format import AudioFormat
from voicekit.speech.duration import mp3_duration_s, ogg_opus_duration_s
from voicekit.speech.evidence import Evidence
from voicekit.speech.wav import WavError, parse_wav, wav_header

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from voicekit.speech.character import Character
    from voicekit.speech.usage import Usage
    from voicekit.speech.word import Word
    from voicekit.timing import ConnectionInfo, Timings

# What a file of that name must hold; other names take the bytes as they are.
_SUFFIXES: Final[dict[str, str]] = {
    ".wav": "wav",
    ".mp3": "mp3",
    ".ogg": "ogg_opus",
    ".opus": "ogg_opus",
    ".flac": "flac",
    ".aac": "aac",
}
_HEADERLESS: Final = frozenset({"pcm", "mulaw", "alaw"})
# Source: ours. Beyond it a data: URL makes the notebook file heavy and browsers slow.
_MAX_INLINE_BYTES: Final = 16 << 20


async def clip_of(speech: Any) -> AudioClip:
    """What is still to come of a stream or session of audio; closes it, failed or not."""
    async with speech:
        parts = [chunk async for chunk in speech]
        return AudioClip(
            data=b"".join(parts),
            format=speech.format,
            words=tuple(word for part in parts for word in part.words),
            characters=tuple(each for part in parts for each in part.characters),
            timings=speech.timings,
            connection=speech.connection,
            attempts=speech.attempts,
            hedged=speech.hedged,
            cache=getattr(speech, "cache", None),
            usage=speech.usage,
            request_id=speech.request_id,
            headers=speech.headers,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AudioClip(Evidence):
    """Audio with its format and the evidence of how it came about.

    As the last value of a notebook cell it shows a player, and where the time went.

    Attributes:
        data: The audio, container headers included where the format has them.
        format: What the bytes are.
        words: Words with their times in seconds, when asked for.
        characters: Characters with their times in seconds, when asked for and the provider
            tells them.
        resumed: How often it broke off and was asked for from a sentence on.
        cache: ``"hit"`` when a cache had it, ``"joined"`` when it was being made for another
            caller; else None.
        usage: What it cost.
    """

    data: bytes
    format: AudioFormat
    words: tuple[Word, ...] = ()
    characters: tuple[Character, ...] = ()
    timings: Timings | None = field(default=None, compare=False)
    connection: ConnectionInfo | None = field(default=None, compare=False)
    attempts: int = field(default=0, compare=False)
    hedged: bool = field(default=False, compare=False)
    resumed: int = field(default=0, compare=False)
    cache: str | None = field(default=None, compare=False)
    usage: Usage | None = None
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)
    raw: Any = field(default=None, compare=False)

    @classmethod
    def from_wav(cls, source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> AudioClip:
        """The recording in a WAV file, as headerless PCM.

        Args:
            source: A path (read at once, so not on the event loop), or the file's bytes.
                16-bit PCM, mono or stereo, 8 to 48 kHz.

        Raises:
            InvalidArgumentError: It is not such a file.
            OSError: The path cannot be read.
        """
        if isinstance(source, (bytes, bytearray, memoryview)):
            data = bytes(source)
        else:
            data = Path(source).read_bytes()
        try:
            info = parse_wav(data)
        except WavError as error:
            raise _not_wav(str(error)) from error
        if info.encoding != "pcm" or info.bits_per_sample != 16:
            raise _not_wav(f"its samples are {info.bits_per_sample}-bit {info.encoding}")
        if info.channels not in (1, 2):
            raise _not_wav(f"it has {info.channels} channels")
        if not 8_000 <= info.sample_rate_hz <= 48_000:
            raise _not_wav(f"its rate is {info.sample_rate_hz} Hz")
        samples = info.data_bytes - info.data_bytes % (2 * info.channels)
        return cls(
            data=data[info.data_offset : info.data_offset + samples],
            format=AudioFormat(
                encoding="pcm", sample_rate_hz=info.sample_rate_hz, channels=info.channels
            ),
        )

    @property
    def duration(self) -> float | None:
        """Seconds of sound; None where neither the bytes nor the format tell.

        Exact for PCM, G.711, WAV and Ogg Opus; MP3 by counting its frames, which
        includes the encoder's padding. Counted anew on each access.
        """
        if self.format.encoding == "wav":
            try:
                return parse_wav(self.data).duration_s
            except WavError:
                return None
        counted = None
        if self.format.encoding == "mp3":
            counted = mp3_duration_s(self.data)
        elif self.format.encoding == "ogg_opus":
            counted = ogg_opus_duration_s(self.data)
        return self.format.duration_s(len(self.data)) if counted is None else counted

    def wav(self) -> bytes:
        """The clip as a WAV file; PCM and G.711 get a header, a streamed WAV its true sizes.

        Raises:
            InvalidArgumentError: The audio is compressed otherwise.
        """
        if self.format.encoding in _HEADERLESS:
            return _with_header(self.format, self.data)
        if self.format.encoding != "wav":
            raise InvalidArgumentError(
                f"{self.format.name} audio cannot go into a WAV file",
                argument="format",
                allowed="pcm, mulaw, alaw or wav",
            )
        try:
            info = parse_wav(self.data)
        except WavError:
            return self.data  # whatever the provider called WAV stays what it is
        if not info.streamed or info.encoding not in _HEADERLESS:
            return self.data
        return _with_header(info, self.data[info.data_offset :])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the audio to a file and return its path. Blocks while it writes.

        A ``.wav`` path gets the header that PCM and G.711 lack; any other name takes
        the bytes as they are.

        Raises:
            InvalidArgumentError: The name promises another format than the clip has.
            OSError: The file cannot be written.
        """
        target = Path(path)
        promised = _SUFFIXES.get(target.suffix.lower())
        held = self.format.encoding
        if promised == "wav" and held in _HEADERLESS | {"wav"}:
            target.write_bytes(self.wav())
            return target
        if promised is not None and promised != held:
            raise InvalidArgumentError(
                f"{self.format.name} audio is no {target.suffix} file",
                argument="path",
                allowed=f"{_suffix_of(held)}, or a name without a known suffix",
            )
        target.write_bytes(self.data)
        return target

    def __repr__(self) -> str:
        seconds = self.duration
        length = f"{len(self.data)} bytes" if seconds is None else f"{seconds:.3f} s"
        request = "" if self.request_id is None else f" request_id={self.request_id!r}"
        return f"<AudioClip {length} {self.format.name}{request}>"

    def _repr_html_(self) -> str:
        from base64 import b64encode  # only a notebook needs these two
        from html import escape

        if len(self.data) > _MAX_INLINE_BYTES:
            return f"<code>{escape(repr(self))}</code> (too long to play here; see save())"
        if self.format.encoding in _HEADERLESS | {"wav"}:
            data, media_type = self.wav(), "audio/wav"
        else:
            data, media_type = self.data, self.format.media_type
        source = f"data:{media_type};base64,{b64encode(data).decode('ascii')}"
        shown = f'<audio controls src="{source}"></audio>'
        return f"{shown}<br><small>{escape(self._evidence())}</small>"

    def _evidence(self) -> str:
        """Length, format, and where the time went; nothing of what is said."""
        seconds = self.duration
        told = [f"{len(self.data)} bytes" if seconds is None else f"{seconds:.2f} s"]
        told.append(self.format.name)
        if self.timings is not None:
            told += [
                f"{name} {1000 * spent:.0f} ms"
                for name, spent in (
                    ("connect", self.timings.connect + self.timings.tls),
                    ("first output", self.timings.first_output),
                    ("total", self.timings.total),
                )
                if spent is not None
            ]
        if self.connection is not None:
            told.append("warm connection" if self.connection.reused else "cold connection")
        return " · ".join(told)


def _with_header(audio_format: Any, samples: bytes) -> bytes:
    padding = b"\0" if len(samples) % 2 else b""  # RIFF chunks start on even bytes
    return wav_header(audio_format, len(samples)) + samples + padding


def _suffix_of(encoding: str) -> str:
    if encoding in _HEADERLESS:
        return ".wav"
    return next(suffix for suffix, held in _SUFFIXES.items() if held == encoding)


def _not_wav(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"not a PCM16 WAV: {why}",
        argument="source",
        allowed="16-bit PCM, mono or stereo, 8 to 48 kHz",
    )
