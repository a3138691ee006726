"""What the emulator and its speech workers say to each other: a header, and bytes.

A message is two lengths (4 bytes each, big-endian), a JSON object, and a payload of PCM or of
what a client sent. Both ends are this package's own; the socket pair between them is private.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

LENGTHS: Final = struct.Struct(">II")

Message = tuple[dict[str, Any], bytes]


def pack(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """Return one message's bytes."""
    head = json.dumps(header).encode()
    return LENGTHS.pack(len(head), len(payload)) + head + payload


class Splitter:
    """Cuts the byte stream into messages again."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are whole by now."""
        self._data += data
        messages: list[Message] = []
        at = 0
        while len(self._data) - at >= LENGTHS.size:
            head, payload = LENGTHS.unpack_from(self._data, at)
            start = at + LENGTHS.size
            if len(self._data) < start + head + payload:
                break
            header = json.loads(self._data[start : start + head])
            at = start + head + payload
            messages.append((header, bytes(self._data[start + head : at])))
        del self._data[:at]
        return messages
