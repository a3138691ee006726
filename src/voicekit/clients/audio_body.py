"""A body of raw audio, sans-IO: whole samples as they come, and never anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from voicekit.clients.refusals import body_of
from voicekit.errors import ConnectionLostError, RemoteProtocolError, VoicekitError
from voicekit.speech import AudioChunk, AudioFormat, Usage
from voicekit.wire.pcm import Aligner

_NO_AUDIO: Final = re.compile(
    rb'\s*(?:\{\s*"(?:error|detail|message|type)"|data: ?\{|<!doctype|<html|<\?xml)', re.IGNORECASE
)
"""How a body begins that is no audio whatever its type says. PCM may begin with any bytes,
but not with these by chance: the shortest are seven given bytes, once in 2 ** 56."""
_HEAD: Final = 24
"""Bytes held back until that is settled: half a millisecond of the slowest PCM in use."""

_REFUSAL_BYTES: Final = 1 << 16

_MOST_S: Final = 60.0
_MOST_PER_CHARACTER_S: Final = 1.0
"""More audio than this is no speech of the text but a fault of the server. Source: ours;
slow speech takes a quarter of a second per character, and pauses are written out."""

_WAV_HEADER: Final = 44
"""Bytes; the shortest that a WAV's samples can stand behind."""

# Media types that name one encoding beyond doubt, for the refusal of another one's bytes.
_NAMED: Final[Mapping[str, str]] = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/vnd.wave": "wav",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/aac": "aac",
    "audio/opus": "ogg_opus",
    "audio/ogg": "ogg_opus",
    "application/ogg": "ogg_opus",
    "audio/pcm": "pcm",
    "audio/l16": "pcm",
}
_NEVER: Final = ("text/", "image/", "font/", "message/", "model/", "multipart/")
_UNNAMED: Final = ("", "application/octet-stream", "binary/octet-stream")
_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,48}")  # It goes into a message.


def most_bytes(format: AudioFormat, characters: int) -> int:  # noqa: A002 - the option's name
    """The most bytes of audio that so many characters can take."""
    rate = format.bytes_per_second or (format.bit_rate_kbps or 192) * 125
    return int(rate * (_MOST_S + _MOST_PER_CHARACTER_S * characters))


def characters_of(name: str, headers: Mapping[str, str]) -> Usage | None:
    """The characters that a response counts in the header of that name."""
    count = headers.get(name, "")
    return Usage(characters=int(count)) if count.isascii() and count.isdigit() else None


def summed(usages: Iterable[Usage | None]) -> Usage | None:
    """The characters of several responses."""
    counts = [usage.characters or 0 for usage in usages if usage is not None]
    return Usage(characters=sum(counts)) if counts else None


class AudioDecoder:
    """Reads a body of raw audio.

    A content type is not relied upon: servers leave it out, or say that it is bytes. But
    one that names another encoding than was asked for would be noise to whoever plays it,
    JSON in place of audio is an error of the server's, and a page is a proxy's.

    More than ``most`` bytes of audio cannot be the speech of the text. Where it is not known
    whether the content type tells what the audio is (``type_tells``), only what can be no audio
    at all is refused by its type.

    Attributes:
        progress: Grows each time 10 ms of audio have come, so that a drip of bytes never
            passes for speech.

    Raises:
        RemoteProtocolError: The headers say that the body is no such audio, or compressed.
    """

    __slots__ = (
        "_aligner",
        "_error_of",
        "_format",
        "_head",
        "_headers",
        "_json",
        "_left",
        "_most",
        "_silent",
        "_uncounted",
        "_useful",
        "done",
        "progress",
    )

    def __init__(
        self,
        format: AudioFormat,  # noqa: A002 - the option's name
        headers: Mapping[str, str],
        *,
        most: int,
        error_of: Callable[[Any, int, Mapping[str, str]], VoicekitError],
        type_tells: bool = True,
    ) -> None:
        kind = checked_type(headers)
        self._json = "json" in kind
        if type_tells and not self._json:
            _check_named(kind, format)
        self.progress = 0
        self.done = False
        self._format = format
        self._headers = headers
        self._error_of = error_of
        self._useful = format.useful_bytes
        # A header of a WAV is no sound yet.
        self._silent = _WAV_HEADER if format.encoding == "wav" else 0
        self._uncounted = -self._silent
        self._most = self._left = most
        self._head: bytes | None = b""
        self._aligner = Aligner(format.frame_bytes)

    def feed(self, data: bytes, /) -> Iterable[AudioChunk]:
        """The audio in one piece of the body.

        Raises:
            VoicekitError: It is no audio.
        """
        if self._head is not None:
            data = self._begin(data)
        data = self._aligner.feed(data)
        if not data:
            return ()
        self._left -= len(data)
        if self._left < 0:
            raise RemoteProtocolError("the answer is more audio than the text can take")
        self._uncounted += len(data)
        if self._uncounted >= self._useful:
            self._uncounted = 0
            self.progress += 1
        return (AudioChunk(data, self._format),)

    def _begin(self, data: bytes) -> bytes:
        """Hold back the first bytes until they can be told from an error in audio's place."""
        assert self._head is not None  # noqa: S101 - checked by the caller
        head = self._head + data
        if self._json or _NO_AUDIO.match(head, 0, _HEAD):
            if len(head) > _REFUSAL_BYTES:
                raise RemoteProtocolError("the answer is a document, not audio")
            self._json, self._head = True, head  # its end is needed to read it
            return b""
        if len(head) < _HEAD:
            self._head = head
            return b""
        self._head = None
        return head

    def _refusal(self, body: bytes) -> VoicekitError:
        value = body_of(body)
        if not isinstance(value, dict):
            return RemoteProtocolError("the answer is a document, not audio")
        return self._error_of(value, 200, self._headers)

    def eof(self, *, delimited: bool) -> Iterable[AudioChunk]:
        """The body ended.

        Raises:
            VoicekitError: It was no audio, or it ended too early: inside a sample, without
                any audio, or without a framing that proves the end.
        """
        if self.done:
            return ()
        rest: Iterable[AudioChunk] = ()
        if self._head is not None:
            if self._json:
                raise self._refusal(self._head)
            data, self._head = self._aligner.feed(self._head), None
            if data:
                self._left -= len(data)
                rest = (AudioChunk(data, self._format),)
        if not delimited:
            raise ConnectionLostError("the audio may be cut short: its end is not framed")
        if self._aligner.pending:
            raise ConnectionLostError("the audio was cut inside a sample")
        if self._most - self._left <= self._silent:
            raise RemoteProtocolError("the answer holds no audio")
        self.done = True
        return rest


def checked_type(headers: Mapping[str, str]) -> str:
    """The media type of an answer, in small letters; empty where it has none.

    Raises:
        RemoteProtocolError: The headers say that the body is a text or a picture, or compressed.
    """
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.startswith(_NEVER) or "html" in kind or "xml" in kind:
        raise _no_audio(kind)
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RemoteProtocolError("the answer is compressed, unasked")
    return kind


def _check_named(kind: str, format: AudioFormat) -> None:  # noqa: A002 - the option's name
    named = _NAMED.get(kind)
    if named is not None and named != format.encoding:
        raise RemoteProtocolError(f"the answer is {named}, not {format.encoding}")
    if kind not in _UNNAMED and named is None and not kind.startswith(("audio/", "video/")):
        raise _no_audio(kind)


def _no_audio(kind: str) -> RemoteProtocolError:
    said = kind if _TYPE.fullmatch(kind) else "unreadable"
    return RemoteProtocolError(f"the answer is of type {said!r}, not audio")
