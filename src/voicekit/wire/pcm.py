"""Headerless audio in the sizes that its users need."""

from __future__ import annotations

__all__ = ["Aligner", "Framer"]


class Aligner:
    """Keeps a sample together that the network has cut in two.

    Args:
        frame_bytes: Bytes of one sample of all channels, ``AudioFormat.frame_bytes``.

    Attributes:
        pending: The beginning of a sample whose end has not come. Left over at the
            end of a stream, it means that the stream was cut.
    """

    __slots__ = ("_frame_bytes", "pending")

    def __init__(self, frame_bytes: int) -> None:
        if frame_bytes < 1:
            msg = f"frame_bytes is {frame_bytes}"
            raise ValueError(msg)
        self._frame_bytes = frame_bytes
        self.pending = b""

    def feed(self, data: bytes) -> bytes:
        """Whole samples: what was pending and the new bytes; ``data`` itself when it is whole."""
        if self.pending:
            data = self.pending + data
        odd = len(data) % self._frame_bytes
        if not odd:
            self.pending = b""
            return data
        self.pending = data[-odd:]
        return data[:-odd]


class Framer:
    """Cuts audio of any sizes into frames of one size, such as the 20 ms of a phone call.

    Args:
        frame_bytes: Bytes of one frame, ``AudioFormat.bytes_for(0.02)`` say.
    """

    __slots__ = ("_frame_bytes", "_held")

    def __init__(self, frame_bytes: int) -> None:
        if frame_bytes < 1:
            msg = f"frame_bytes is {frame_bytes}"
            raise ValueError(msg)
        self._frame_bytes = frame_bytes
        self._held = bytearray()  # always shorter than a frame between calls

    @property
    def pending(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that the new bytes complete."""
        size = self._frame_bytes
        held = self._held
        frames: list[bytes] = []
        start = 0
        if held:
            start = size - len(held)
            held += data[:start]
            if len(held) < size:
                return frames
            frames.append(bytes(held))
            held.clear()
        end = len(data) - (len(data) - start) % size
        frames += [data[at : at + size] for at in range(start, end, size)]
        held += data[end:]
        return frames

    def flush(self) -> bytes:
        """The last, shorter frame; empty when there is none."""
        rest = bytes(self._held)
        self._held.clear()
        return rest
