"""What Twilio does with a `MediaUrl` before WhatsApp gets it: HEAD, GET, and a look at the bytes.

Source: fact sheet of 2026-11, §8.2 (types, sizes) and §8.3 (how it is fetched).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import aiohttp
from yarl import URL

DOWNLOAD_FAILED = 63019
INVALID_CONTENT = 63021

MAX_WHATSAPP_BYTES = 16 << 20
MAX_IMAGE_BYTES = 5 << 20
MAX_MMS_BYTES = 5 << 20
_TIMEOUT_S = 15.0

_WHATSAPP = frozenset(
    {
        "image/jpeg", "image/png", "image/webp", "audio/ogg", "audio/amr", "audio/3gpp",
        "audio/aac", "audio/mp4", "audio/mpeg", "video/mp4", "video/3gpp", "application/pdf",
        "application/msword", "text/vcard", "text/x-vcard",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    }
)  # fmt: skip

_BEGINNINGS: dict[str, Callable[[bytes], bool]] = {
    "audio/ogg": lambda data: data.startswith(b"OggS") and b"OpusHead" in data[:128],
    "audio/mpeg": lambda data: data.startswith((b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")),
    "audio/amr": lambda data: data.startswith(b"#!AMR"),
    "audio/aac": lambda data: data.startswith((b"\xff\xf1", b"\xff\xf9")),
    "audio/mp4": lambda data: data[4:8] == b"ftyp",
    "video/mp4": lambda data: data[4:8] == b"ftyp",
    "image/jpeg": lambda data: data.startswith(b"\xff\xd8"),
    "image/png": lambda data: data.startswith(b"\x89PNG"),
    "image/webp": lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP",
    "application/pdf": lambda data: data.startswith(b"%PDF"),
}


async def fetch(
    session: aiohttp.ClientSession, url: str, *, whatsapp: bool
) -> tuple[dict[str, Any], bytes | None]:
    """Fetch one file as the vendor does.

    Returns:
        What the journal keeps of it (`url`, `status`, `content_type`, `size`, `sha256`, `error`),
        and the bytes of a good one.
    """
    found: dict[str, Any] = {"url": url, "error": None}
    limit = MAX_WHATSAPP_BYTES if whatsapp else MAX_MMS_BYTES
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    headers = {"User-Agent": "TwilioProxy/1.1", "Accept": "*/*"}
    target = URL(url, encoded=True)
    try:
        async with session.head(target, headers=headers, timeout=timeout) as response:
            found["head"] = response.status
        ranged = {**headers, "Range": "bytes=0-"}
        async with session.get(target, headers=ranged, timeout=timeout) as response:
            found["status"] = response.status
            content_type = response.headers.get("Content-Type", "")
            found["content_type"] = content_type
            found["length_told"] = "Content-Length" in response.headers
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > limit:
                    break
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as broken:
        found["error"], found["failure"] = DOWNLOAD_FAILED, type(broken).__name__
        return found, None
    found["size"], found["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    if found["status"] not in {200, 206} or found["head"] >= 400:
        found["error"] = DOWNLOAD_FAILED
    else:
        found["error"] = judge(content_type, bytes(data), whatsapp=whatsapp)
    return found, bytes(data) if found["error"] is None else None


def judge(content_type: str, data: bytes, *, whatsapp: bool) -> int | None:
    """Return the code with which a file is refused, or None."""
    kind = content_type.partition(";")[0].strip().lower()
    most = MAX_MMS_BYTES
    if whatsapp:
        most = MAX_IMAGE_BYTES if kind.startswith("image/") else MAX_WHATSAPP_BYTES
    if not data or len(data) > most:
        return DOWNLOAD_FAILED
    if whatsapp and kind not in _WHATSAPP:
        return INVALID_CONTENT
    fits = _BEGINNINGS.get(kind)
    return None if fits is None or fits(data) else INVALID_CONTENT
