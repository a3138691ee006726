"""Bodies that go out in pieces: large ones held in memory, and what all of them share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from voicekit.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voicekit.transport.messages import Upload

_LARGE_BODY: Final = 1 << 18
"""Bytes; a larger body in one write would hold the event loop."""
_PIECE_BYTES: Final = 1 << 16


class Bytes:
    """A large body in memory, in pieces as the peer takes them. See ``messages.Upload``."""

    __slots__ = ("_data", "size")
    replayable = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    async def open(self) -> AsyncIterator[bytes]:
        """The pieces, each in a turn of the event loop, which a fast peer could else hold up."""
        view = memoryview(self._data)
        for at in range(0, self.size, _PIECE_BYTES):
            yield view[at : at + _PIECE_BYTES]  # type: ignore[misc]
            await asyncio.sleep(0)


def in_pieces(body: bytes | Upload) -> bytes | Upload:
    """A large body as an upload; any other as it is."""
    return Bytes(body) if isinstance(body, bytes) and len(body) > _LARGE_BODY else body


def unreadable(what: str, error: Exception) -> LocalProtocolError:
    """The error for an upload that failed by itself: ``what`` cannot be read."""
    return LocalProtocolError(
        f"the {what} cannot be read ({type(error).__name__})", outcome="unknown"
    )


def wrong_length(given: str) -> LocalProtocolError:
    """The error for an upload of another length than it said."""
    return LocalProtocolError(f"the upload gave {given} bytes", outcome="unknown")


async def let_go(pieces: object) -> None:
    """Close what was iterated, if it can be."""
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()
