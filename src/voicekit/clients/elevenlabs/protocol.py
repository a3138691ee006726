"""Speech over HTTP: the request, and the reading of the audio that comes back. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from voicekit.clients.elevenlabs.errors import error_of
from voicekit.clients.refusals import body_of
from voicekit.errors import ConnectionLostError, RemoteProtocolError, VoicekitError
from voicekit.speech import AudioChunk, AudioFormat, Usage
from voicekit.transport.messages import Request
from voicekit.wire.pcm import Aligner

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.config import SpeechRequest

__all__ = [
    "AudioDecoder",
    "checked_type",
    "http_headers",
    "http_request",
    "most_bytes",
    "request_ids",
    "socket_url",
    "usage_of",
    "usage_of_all",
]

_NO_AUDIO: Final = (b'{"detail"', b"<!doctype", b"<html")
"""How a body begins that is no audio whatever its type says. PCM may begin with any bytes,
but not with these by chance: nine given bytes come once in 2 ** 72."""
_LONGEST: Final = max(map(len, _NO_AUDIO))

_REFUSAL_BYTES: Final = 1 << 16

_NAMED: Final = 3
"""How many earlier requests may be named. Source: OpenAPI file, ``previous_request_ids``."""

_MOST_S: Final = 60.0
_MOST_PER_CHARACTER_S: Final = 1.0
"""More audio than this is no speech of the text but a fault of the server. Source: ours;
slow speech takes a quarter of a second per character, and pauses are written out."""


def http_headers(
    key: str, extra: Mapping[str, str], *, content_type: str | None = "application/json"
) -> dict[str, str]:
    """The headers of a request, ``extra`` over ours; without a body it has no type."""
    headers = {
        "xi-api-key": key,
        "Accept-Encoding": "identity",  # audio does not compress
    }
    if content_type is not None:
        headers["Content-Type"] = content_type
    if extra:
        ours = {name.lower(): name for name in headers}
        for name, value in extra.items():
            headers.pop(ours.get(name.lower(), ""), None)
            headers[name] = value
    return headers


def http_request(base_url: str, request: SpeechRequest, headers: Mapping[str, str]) -> Request:
    """The POST for a request."""
    return Request("POST", base_url + request.target, headers, request.body)


def socket_url(base_url: str, target: str) -> str:
    """The address of a socket: ``http`` becomes ``ws``, ``https`` ``wss``."""
    return f"ws{base_url.removeprefix('http')}{target}"


def usage_of(headers: Mapping[str, str]) -> Usage | None:
    """What a response says that it costs, in characters."""
    cost = headers.get("character-cost", "")
    return Usage(characters=int(cost)) if cost.isascii() and cost.isdigit() else None


def usage_of_all(headers: Iterable[Mapping[str, str]]) -> Usage | None:
    """What several responses say that they cost together."""
    costs = [usage.characters or 0 for usage in map(usage_of, headers) if usage is not None]
    return Usage(characters=sum(costs)) if costs else None


def request_ids(headers: Sequence[Mapping[str, str]]) -> list[str]:
    """The ids of the last requests, as many as may be named in the next one."""
    ids = [each.get("request-id", "") for each in headers]
    return [each for each in ids if each and each.isprintable()][-_NAMED:]


def most_bytes(format: AudioFormat, characters: int) -> int:  # noqa: A002
    """The most bytes of audio that so many characters can take."""
    rate = format.bytes_per_second or (format.bit_rate_kbps or 192) * 125
    return int(rate * (_MOST_S + _MOST_PER_CHARACTER_S * characters))


def checked_type(headers: Mapping[str, str]) -> str:
    """The media type of an answer, in small letters; empty where it has none.

    Raises:
        RemoteProtocolError: The headers say that the body is a text, or compressed.
    """
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.startswith("text/") or "html" in kind or "xml" in kind:
        raise RemoteProtocolError(f"the answer is of type {kind[:64]!r}, not audio")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RemoteProtocolError("the answer is compressed, unasked")
    return kind


class AudioDecoder:
    """Reads a body of raw audio: whole samples as they come, and never anything else.

    A content type is not relied upon, since the vendor documents none but MP3's; but JSON
    in place of audio is an error of the vendor's, and a page is a proxy's.

    Args:
        format: What was asked for.
        headers: Of the response.
        most: Bytes of audio beyond which it cannot be the speech of the text.

    Attributes:
        progress: Grows each time 10 ms of audio have come, so that a drip of bytes never
            passes for speech.

    Raises:
        RemoteProtocolError: The headers say that the body is a text, or compressed.
    """

    __slots__ = (
        "_aligner",
        "_format",
        "_head",
        "_headers",
        "_heard",
        "_json",
        "_left",
        "_uncounted",
        "_useful",
        "done",
        "progress",
    )

    def __init__(
        self,
        format: AudioFormat,  # noqa: A002
        headers: Mapping[str, str],
        *,
        most: int,
    ) -> None:
        self._json = "json" in checked_type(headers)
        self.progress = 0
        self.done = False
        self._format = format
        self._headers = headers
        self._useful = format.useful_bytes
        self._uncounted = 0
        self._heard = False
        self._left = most
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
        self._heard = True
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
        if self._json or head[:_LONGEST].lower().startswith(_NO_AUDIO):
            if len(head) > _REFUSAL_BYTES:
                raise self._refusal(head)
            self._json, self._head = True, head  # its end is needed to read it
            return b""
        if len(head) < _LONGEST:
            self._head = head
            return b""
        self._head = None
        return head

    def _refusal(self, body: bytes) -> VoicekitError:
        value = body_of(body)
        if not isinstance(value, dict):
            return RemoteProtocolError("the answer is a document, not audio")
        return error_of(value, 200, self._headers)

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
                self._heard = True
                rest = (AudioChunk(data, self._format),)
        if not delimited:
            raise ConnectionLostError("the audio may be cut short: its end is not framed")
        if self._aligner.pending:
            raise ConnectionLostError("the audio was cut inside a sample")
        if not self._heard:
            raise RemoteProtocolError("the answer holds no audio")
        self.done = True
        return rest
