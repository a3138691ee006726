"""What was sent and is not settled yet, to be sent again on another connection. Sans-IO."""

from __future__ import annotations

from collections import deque
from typing import Final

from voicekit.speech.wav import WavError, WavHeaderReader, WavInfo

MAX_REPLAY_BYTES: Final = 16 << 20
"""Ours: 60 s of 48 kHz stereo are 11.5 MB."""

LEAD_S: Final = 1.0
"""Seconds of settled audio that are sent again ahead of the rest, for a word that a final
result has cut in two, and for the recogniser to hear it in context. Ours; longer than most
words."""

_MAX_HEADER_BYTES: Final = 1 << 16


class ReplayBuffer:
    """Frames in the order in which the caller sent them, and what was to happen between them.

    The hot path appends to ``items`` itself; everything else happens when results come and
    when a connection is lost. Positions are bytes of the caller's audio since the session
    began; what they mean in seconds is ``rate``, which is None where bytes do not tell.

    Attributes:
        items: Audio as bytes, messages as str.
        start: Position of the first frame that is kept.
        removed: How many items have gone from the front.
        preamble: What each connection must hear first.
    """

    __slots__ = ("items", "max_bytes", "preamble", "rate", "removed", "start")

    def __init__(self, rate: int | None, max_bytes: int) -> None:
        self.items: deque[bytes | str] = deque()
        self.rate = rate
        self.max_bytes = max_bytes
        self.start = 0
        self.removed = 0
        self.preamble = b""

    @property
    def start_s(self) -> float:
        """Seconds of the session at which the first frame that is kept begins."""
        return self.start / self.rate if self.rate else 0.0

    def settle(self, until_s: float) -> None:
        """Forget what lies wholly before this second of the session."""
        if self.rate is not None:
            self._drop(int(until_s * self.rate))

    def bound(self, end: int) -> None:
        """Forget the oldest, so that no more than ``max_bytes`` are kept before ``end``."""
        if end - self.start > self.max_bytes:
            self._drop(end - self.max_bytes, partly=True)

    def restart(self, position: int) -> None:
        """Forget everything; what comes next begins at this position."""
        self.removed += len(self.items)
        self.items.clear()
        self.start = position

    def _drop(self, until: int, *, partly: bool = False) -> None:
        items = self.items
        while items:
            first = items[0]
            size = len(first) if isinstance(first, bytes) else 0
            if self.start + size > until and not (partly and self.start < until):
                return
            self.start += size
            self.removed += 1
            items.popleft()


class WavLead:
    """Takes the header off a WAV stream that a caller sends in pieces.

    Attributes:
        info: What it says, once it is complete.
        header: It.
    """

    __slots__ = ("_reader", "header", "info")

    def __init__(self) -> None:
        self._reader = WavHeaderReader()
        self.info: WavInfo | None = None
        self.header = b""

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """What of this chunk is header, and what is audio; None: this is no WAV."""
        held = self.header + data
        try:
            info = self._reader.read(held)
        except WavError:
            return None
        if info is None:
            self.header = held
            return (data, b"") if len(held) <= _MAX_HEADER_BYTES else None
        split = info.data_offset - len(self.header)
        self.info, self.header = info, held[: info.data_offset]
        return data[:split], data[split:]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of each channel."""
        info = self.info
        return max(1, info.channels * info.bits_per_sample // 8) if info is not None else 1

    @property
    def byte_rate(self) -> int:
        """Bytes of one second."""
        return self.info.sample_rate_hz * self.frame_bytes if self.info is not None else 1


def room_for(seconds: float, rate: int | None) -> int:
    """Bytes that hold so many seconds, and the settled ones ahead of them; bounded."""
    if rate is None:
        return MAX_REPLAY_BYTES
    return max(1, min(int((seconds + LEAD_S) * rate), MAX_REPLAY_BYTES))
