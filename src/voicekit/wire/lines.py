"""Newline-delimited records: bytes in, whole lines out. No I/O."""

from __future__ import annotations

from voicekit.errors import RemoteProtocolError

__all__ = ["LineDecoder"]


class LineDecoder:
    r"""Cuts a body into its lines, such as those of newline-delimited JSON.

    Lines end with LF or CRLF; blank ones are left out. What has come is never searched
    twice, so bytes that drip in one by one cost no more than their number.

    Args:
        max_line_bytes: Bound on one line, which is what a decoder holds.
    """

    __slots__ = ("_held", "_max", "_size")

    def __init__(self, max_line_bytes: int = 1 << 20) -> None:
        self._max = max_line_bytes
        self._held: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether a line has begun and not ended."""
        return self._size > 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that the new bytes complete, without their ends.

        Raises:
            RemoteProtocolError: A line is longer than the bound.
        """
        pieces = data.split(b"\n")
        self._hold(pieces[0])
        if len(pieces) == 1:
            return []
        lines = [self.flush(), *pieces[1:-1]]
        self._hold(pieces[-1])
        if any(len(line) > self._max for line in lines):
            raise self._too_long()
        return [line for line in map(bytes.strip, lines) if line]

    def flush(self) -> bytes:
        """What follows the last line end; empty where nothing does."""
        line = b"".join(self._held)
        self._held, self._size = [], 0
        return line.strip()

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._held.append(piece)
            self._size += len(piece)
            if self._size > self._max:
                raise self._too_long()

    def _too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"a line is longer than {self._max} bytes")
