"""What an HTTP request for a clip is answered: status, headers, which bytes. No I/O.

Source: RFC 9110 §13.1.2 (If-None-Match), §13.1.5 (If-Range), §14 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

PIECE: Final = 64 << 10
"""Bytes written at once: a slow client holds one piece of its own, not a copy of the clip."""

_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
_REASONS: Final = {
    403: "This address was not issued here.",
    404: "There is nothing here.",
    405: "Only GET and HEAD.",
    410: "This address has expired.",
    503: "Try again in a moment.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response: the bytes from ``start`` to before ``stop`` of ``body``, a whole clip."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    start: int = 0
    stop: int = 0

    def pieces(self) -> Iterator[bytes]:
        """The body, in pieces that are small against a clip."""
        view = memoryview(self.body)
        for at in range(self.start, self.stop, PIECE):
            yield bytes(view[at : min(at + PIECE, self.stop)])


def refusal(status: int, *, method: str) -> Answer:
    """An answer without a clip; it may become one, so nobody shall keep it."""
    text = _REASONS[status].encode("ascii") + b"\n"
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(text))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ]
    if status == 405:
        headers.append(("allow", "GET, HEAD"))
    if status == 503:
        headers.append(("retry-after", "1"))
    return Answer(
        status=status,
        headers=tuple(headers),
        body=text,
        stop=0 if method == "HEAD" else len(text),
    )


def content(
    data: bytes,
    *,
    method: str,
    asked: Mapping[str, str],
    content_type: str,
    tag: str,
    expires_in: float,
    now: float,
) -> Answer:
    """The clip, a part of it, or that the client has it already.

    ``asked`` are the request's headers, names in lower case; ``tag`` comes without its quotes.
    The address is good for ``expires_in`` seconds from ``now``, seconds since the epoch.
    """
    tag = f'"{tag}"'
    common = [
        ("etag", tag),
        # Whoever may fetch it fetches it here: what expires must not live on in a proxy.
        ("cache-control", "private, no-store"),
        ("expires", formatdate(now + expires_in, usegmt=True)),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex"),
    ]
    known = asked.get("if-none-match")
    if known is not None and (known.strip() == "*" or tag in _TAG.findall(known)):
        return Answer(status=304, headers=tuple(common))
    size = len(data)
    common.append(("content-type", content_type))
    span = _span(asked, tag, size) if method == "GET" else None
    if span is None:
        common.append(("content-length", str(size)))
        return Answer(
            status=200, headers=tuple(common), body=data, stop=0 if method == "HEAD" else size
        )
    start, stop = span
    if start >= stop:
        # The length of what is asked for is none; the clip's own is in content-range.
        unsatisfied = [header for header in common if header[0] != "content-type"]
        unsatisfied += [("content-range", f"bytes */{size}"), ("content-length", "0")]
        return Answer(status=416, headers=tuple(unsatisfied))
    common += [
        ("content-range", f"bytes {start}-{stop - 1}/{size}"),
        ("content-length", str(stop - start)),
    ]
    return Answer(status=206, headers=tuple(common), body=data, start=start, stop=stop)


def _span(asked: Mapping[str, str], tag: str, size: int) -> tuple[int, int] | None:
    """The bytes that are asked for; empty when there are none; None for the whole.

    More than one range, another unit, and what is no range at all are answered with the whole,
    as a server may.
    """
    wanted = asked.get("range")
    if wanted is None or asked.get("if-range", tag).strip() != tag:
        return None
    found = _RANGE.fullmatch(wanted)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return size - min(int(found[2]), size), size
    first = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    return first, min(last + 1, size)
