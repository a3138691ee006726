"""Voice notes that say what is in them: Ogg/Opus, made by hand, a few lines long.

A player hears silence. Every page carries the checksum that Ogg asks for, every packet a piece of
a digest of the text, in the padding that Opus decoders skip; the comment header holds the text, so
that scripted ears hear it. Nothing is encoded: both are bytes put together.

Source: RFC 3533 (Ogg pages, their CRC), RFC 7845 (Opus in Ogg), RFC 6716 §3 (packets, padding).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import lru_cache

_TICKS_PER_S = 48_000
"""Granule positions count at 48 kHz whatever the input was. Source: RFC 7845 §4."""

_PACKET_TICKS = 960  # 20 ms
_PRE_SKIP = 312
_PACKETS_PER_PAGE = 50
_SERIAL = 0x564B
_MS_PER_CHARACTER = 60
_TAG = "VOICEKIT_SAYS="
_VENDOR = b"voicekit emulator"

# One frame of 20 ms, CELT, fullband, mono, code 3 (§3.2.5); one frame, with padding; and the two
# bytes that every encoder sends for silence.
_PACKET_HEAD = b"\xfb\x41"
_SILENCE = b"\xff\xfe"
_DIGEST_BYTES = 36


class VoiceNoteError(ValueError):
    """It is no Ogg stream, or not the one that was made."""


def voice_note(text: str, *, seconds: float | None = None) -> bytes:
    """Return an Ogg/Opus file in which the emulated ears hear a text.

    Args:
        text: What is said.
        seconds: How long it is; None for 60 ms per character, and at least 20 ms.

    Raises:
        ValueError: Not more than 0 seconds.
    """
    if seconds is None:
        seconds = max(1, len(text)) * _MS_PER_CHARACTER / 1000
    if seconds <= 0:
        raise ValueError("a voice note lasts more than 0 seconds")
    packets = max(1, round(seconds * _TICKS_PER_S / _PACKET_TICKS))
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, _PRE_SKIP, 16_000, 0, 0)
    tag = (_TAG + text).encode()
    tags = b"OpusTags" + struct.pack("<I", len(_VENDOR)) + _VENDOR
    tags += struct.pack("<II", 1, len(tag)) + tag
    pages = [_page([head], number=0, granule=0, first=True), *_tag_pages(tags)]
    digest = hashlib.shake_128(tag).digest(packets * _DIGEST_BYTES)
    made = [
        _PACKET_HEAD
        + bytes([_DIGEST_BYTES])
        + _SILENCE
        + digest[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES]
        for at in range(packets)
    ]
    for start in range(0, packets, _PACKETS_PER_PAGE):
        end = min(packets, start + _PACKETS_PER_PAGE)
        pages.append(
            _page(
                made[start:end],
                number=len(pages),
                granule=_PRE_SKIP + end * _PACKET_TICKS,
                last=end == packets,
            )
        )
    return b"".join(pages)


def said_in(data: bytes) -> tuple[str, float] | None:
    """Return the text of a voice note made here and its seconds; None for any other bytes."""
    try:
        return _read(data)
    except VoiceNoteError:
        return None


def check_voice_note(data: bytes, text: str, *, seconds: float | None = None) -> None:
    """Check received bytes against the voice note of a text.

    Raises:
        VoiceNoteError: They differ; the message tells the first wrong byte.
    """
    expected = voice_note(text, seconds=seconds)
    if data == expected:
        return
    pairs = zip(data, expected, strict=False)
    wrong = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
    at = min(len(data), len(expected)) if wrong is None else wrong
    raise VoiceNoteError(f"byte {at} differs; {len(data)} bytes, not {len(expected)}")


def _read(data: bytes) -> tuple[str, float]:
    packets: list[bytes] = []
    ticks, pending, text = 0, b"", None
    for segments, granule, body in _pages(data):
        ticks, at = granule, 0
        for size in segments:
            pending += body[at : at + size]
            at += size
            if size < 255:
                packets.append(pending)
                pending = b""
        if text is None and len(packets) > 1:
            text = _text(packets)  # before the rest of a long file of others is looked at
    if text is None:
        raise VoiceNoteError("no Opus stream")
    return text, (ticks - _PRE_SKIP) / _TICKS_PER_S


def _text(packets: list[bytes]) -> str:
    head, tags = packets[:2]
    start = 8 + 4 + len(_VENDOR)
    if not head.startswith(b"OpusHead") or tags[12:start] != _VENDOR or len(tags) < start + 8:
        raise VoiceNoteError("not made here")
    tag = tags[start + 8 :].decode("utf-8", "replace")
    if not tag.startswith(_TAG):
        raise VoiceNoteError("not made here")
    return tag.removeprefix(_TAG)


def _pages(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Lacing values, granule position and content of each page, its checksum verified."""
    at = 0
    while at < len(data):
        header = data[at : at + 27]
        if len(header) < 27 or not header.startswith(b"OggS\0"):
            raise VoiceNoteError(f"no Ogg page at byte {at}")
        (granule,) = struct.unpack("<q", header[6:14])
        segments = data[at + 27 : at + 27 + header[26]]
        body_at = at + 27 + len(segments)
        end = body_at + sum(segments)
        page = data[at:end]
        if len(page) < end - at or page[22:26] != _checksum(page[:22] + bytes(4) + page[26:]):
            raise VoiceNoteError(f"a damaged page at byte {at}")
        yield segments, granule, data[body_at:end]
        at = end


def _tag_pages(tags: bytes) -> list[bytes]:
    # A page holds 255 segments; a text that long is no voice note's.
    if len(tags) >= 255 * 255:
        raise ValueError("the text is too long for a voice note")
    return [_page([tags], number=1, granule=0)]


def _page(
    packets: list[bytes], *, number: int, granule: int, first: bool = False, last: bool = False
) -> bytes:
    lacing = b"".join(b"\xff" * (len(each) // 255) + bytes([len(each) % 255]) for each in packets)
    kind = 2 * first + 4 * last
    head = struct.pack("<4sBBqII", b"OggS", 0, kind, granule, _SERIAL, number)
    rest = bytes([len(lacing)]) + lacing + b"".join(packets)
    return head + _checksum(head + bytes(4) + rest) + rest


@lru_cache(maxsize=1)
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


def _checksum(page: bytes) -> bytes:
    """Ogg's CRC-32: not reflected, begins at zero. Source: RFC 3533 §6."""
    table, value = _table(), 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ table[(value >> 24) ^ byte]
    return struct.pack("<I", value)
