"""A file of a message: as bytes that know what they are, and as a stream of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self, cast

from voicekit.errors import (
    ConnectionLostError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamInterruptedError,
)
from voicekit.streams import Opened, Stream

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo, Timings

_PAGES: Final = ("text/html", "application/json", "application/xml", "text/xml")
"""What a proxy or a store says in place of a file: it is one only where the message said so."""
_LONGEST_TYPE: Final = 128
_LONGEST_LENGTH: Final = 18
_UNKNOWN: Final = "application/octet-stream"


class Media(bytes):
    """A file of a message, usable wherever bytes are: ``transcribe`` takes it as it is.

    Slices, sums and ``bytes(media)`` are plain bytes.

    Attributes:
        content_type: What it is, such as ``"audio/ogg"``.
        headers: Of the response.
        timings: Where the time went.
        connection: Which connection carried it.
        attempts: How many requests were made, those for a file that was not there included;
            redirects are not counted.
        hedged: Whether a second attempt was made beside a slow first one.
        request_id: ``RQ…``, for Twilio's support.
    """

    # A bytes subclass can have no slots.
    content_type: str
    headers: Mapping[str, str]
    timings: Timings | None = None
    connection: ConnectionInfo | None = None
    attempts: int = 0
    hedged: bool = False
    request_id: str | None = None

    def __new__(  # noqa: D102
        cls, data: bytes, content_type: str = _UNKNOWN, *, headers: Mapping[str, str] | None = None
    ) -> Self:
        media = bytes.__new__(cls, data)
        media.content_type = content_type
        media.headers = headers or {}
        return media

    @property
    def data(self) -> bytes:
        """The bytes; this is them already."""
        return self

    def __repr__(self) -> str:
        return f"<Media {len(self)} bytes {self.content_type}>"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return Media, (bytes(self), self.content_type)


class MediaDecoder:
    """Reads the body of a file, up to ``most`` bytes.

    ``expected`` is what the message said that it is.

    Raises:
        LocalProtocolError: The response says that it is larger.
        RemoteProtocolError: What came is a page in place of a file, or compressed unasked.
    """

    __slots__ = ("_left", "_most", "content_type", "done", "progress", "size")

    def __init__(self, headers: Mapping[str, str], *, most: int, expected: str | None) -> None:
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        wanted = (expected or "").partition(";")[0].strip().lower()
        if kind in _PAGES and kind != wanted:
            raise RemoteProtocolError(f"the answer is of type {kind!r}, not the file")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RemoteProtocolError("the file is compressed, unasked")
        said = headers.get("Content-Type", "").strip()
        fine = said.isascii() and said.isprintable() and kind not in ("", _UNKNOWN)
        # As it is, its parameters included; a store that does not know says that it is bytes.
        self.content_type = said[:_LONGEST_TYPE] if fine else expected or _UNKNOWN
        length = headers.get("Content-Length", "")
        # Of more digits Python makes no number.
        digits = length.isascii() and length.isdecimal()
        self.size = int(length) if digits and len(length) <= _LONGEST_LENGTH else None
        self._most = self._left = most
        self.progress = 0
        self.done = False
        if digits and (self.size is None or self.size > most):
            raise _too_large(most)

    def feed(self, data: bytes, /) -> Iterable[bytes]:
        """The next bytes, as they are.

        Raises:
            LocalProtocolError: They are too many.
        """
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._most)
        self.progress += 1
        return (data,)

    def eof(self, *, delimited: bool) -> Iterable[bytes]:
        """The body ended.

        Raises:
            ConnectionLostError: Nothing proves that this is the end.
            RemoteProtocolError: It was empty.
        """
        if not delimited:
            raise ConnectionLostError("the file may be cut short: its end is not framed")
        if not self.progress:
            raise RemoteProtocolError("the file is empty")
        self.done = True
        return ()


def _too_large(most: int) -> LocalProtocolError:
    return LocalProtocolError(f"the file is larger than max_bytes={most}", outcome="unknown")


class MediaStream(Stream[bytes]):
    """A file as it comes: iterate for ``bytes``.

    Handed to ``transcribe``, it is opened there, uploaded as it arrives and closed at its end;
    it can be sent only once, so a transcription that fails once that has begun is not repeated.

    Attributes:
        delivered_bytes: How many bytes iteration has handed out.
    """

    def __init__(
        self,
        open: Callable[[], Awaitable[Opened[bytes]]],  # noqa: A002
        expected: str | None,
    ) -> None:
        super().__init__(open)
        self.delivered_bytes = 0
        self._expected = expected

    def _count(self, item: bytes) -> None:
        self.delivered_bytes += len(item)

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        error.delivered_bytes = self.delivered_bytes
        return super()._account(error)

    @property
    def _read(self) -> MediaDecoder | None:
        opened = self._opened
        return None if opened is None else cast("MediaDecoder", opened.decoder)

    @property
    def content_type(self) -> str:
        """What it is: as the message said, and once it is open as the response says."""
        read = self._read
        return (self._expected or _UNKNOWN) if read is None else read.content_type

    @property
    def size(self) -> int | None:
        """Bytes of the whole file; None before it is open, or where nothing tells."""
        read = self._read
        return None if read is None else read.size
