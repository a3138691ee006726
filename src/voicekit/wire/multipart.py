"""``multipart/form-data`` bodies: text fields and at most one file. Sans-IO.

Source: RFC 7578; quoting of names as in the HTML standard, "multipart form data".
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from voicekit.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from voicekit.transport.messages import Upload

_MEDIA_TYPE = re.compile(r"[\x21-\x7e]+/[\x21-\x7e]+(?:;[\x20-\x7e]*)?")
# As httpx writes them, which the vendors' SDKs use, so servers know how to read it.
_QUOTED = {0x22: "%22", 0x5C: "\\\\", 0x7F: "%7F", **{c: f"%{c:02X}" for c in range(0x20)}}


def multipart(
    fields: Sequence[tuple[str, str]],
    file: tuple[str, str, str, bytes | Upload] | None = None,
) -> tuple[str, bytes | Upload]:
    """A form with the fields in their order, then the file.

    Args:
        fields: Names and values; a name may come more than once. Values are any text.
        file: Name of its field, file name, media type, content.

    Returns:
        The ``Content-Type``, and the body: an upload when the file is one, of known
        size when the file's is known.

    Raises:
        InvalidArgumentError: Text that UTF-8 cannot hold (a lone surrogate), or a media
            type that no header can hold.
    """
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n'.encode()
        + _encoded(name, value)
        + b"\r\n"
        for name, value in fields
    ]
    content_type = f"multipart/form-data; boundary={boundary}"
    end = f"--{boundary}--\r\n".encode()
    if file is None:
        return content_type, b"".join([*parts, end])
    name, filename, media_type, content = file
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidArgumentError(
            f"a media type of {len(media_type)} characters that no header can hold",
            argument="media_type",
            allowed="type/subtype, printable ASCII",
        )
    parts.append(
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{_quoted(name)}"; filename="{_quoted(filename)}"'
        f"\r\nContent-Type: {media_type}\r\n\r\n".encode()
    )
    head, tail = b"".join(parts), b"\r\n" + end
    if isinstance(content, bytes):
        return content_type, b"".join((head, content, tail))
    return content_type, _Form(head, content, tail)


class _Form:
    """A form around a file that is not held in memory. See ``transport.messages.Upload``."""

    __slots__ = ("_content", "_head", "_tail")

    def __init__(self, head: bytes, content: Upload, tail: bytes) -> None:
        self._head = head
        self._content = content
        self._tail = tail

    @property
    def size(self) -> int | None:
        size = self._content.size
        return None if size is None else len(self._head) + size + len(self._tail)

    @property
    def replayable(self) -> bool:
        return self._content.replayable

    def open(self) -> AsyncIterator[bytes]:
        # Here and not in the generator: it may be refused, and that at once.
        return self._pieces(self._content.open())

    async def _pieces(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            yield self._head
            async for piece in content:
                yield piece
            yield self._tail
        finally:
            close = getattr(content, "aclose", None)
            if close is not None:
                await close()

    def __repr__(self) -> str:
        size = self.size
        return f"<form {'of unknown size' if size is None else f'of {size} bytes'}>"


def _quoted(text: str) -> str:
    # A file name may hold bytes that are no text (surrogates); it is only a label.
    return text.translate(_QUOTED).encode("utf-8", "replace").decode()


def _encoded(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentError(
            "holds a lone surrogate, which UTF-8 cannot", argument=name
        ) from None
