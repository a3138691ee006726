"""What a voice has said lately, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict

Key = tuple[str, str, int]
"""Text, voice, sample rate."""


class PcmCache:
    """Keeps the most recently used readings. Not thread-safe beyond what one GIL step gives.

    Args:
        max_bytes: Of audio kept altogether; a reading longer than that is not kept.
    """

    def __init__(self, max_bytes: int = 32 << 20) -> None:
        self.max_bytes = max_bytes
        self._size = 0
        self._kept: OrderedDict[Key, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of audio kept."""
        return self._size

    def get(self, key: Key) -> bytes | None:
        """Return what was said, and count it as used."""
        pcm = self._kept.get(key)
        if pcm is not None:
            self._kept.move_to_end(key)
        return pcm

    def put(self, key: Key, pcm: bytes) -> None:
        """Keep a reading; the least recently used ones make room."""
        self._size -= len(self._kept.pop(key, b""))
        if len(pcm) > self.max_bytes:
            return
        self._kept[key] = pcm
        self._size += len(pcm)
        while self._size > self.max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest)
