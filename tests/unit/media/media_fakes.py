"""Clips that a channel plays, a storage in a dict, and a client of ASGI by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicekit.cache import StorageStats
from voicekit.media import MediaHost
from voicekit.speech.audio_format import AudioFormat
from voicekit.speech.clip import AudioClip

SECRET = "a secret of many characters"
BASE = "https://bot.example.com/media"

OGG_HEAD = b"OggS\x00\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x01" + bytes(9)


def ogg(n_bytes: int = 4000, fill: bytes = b"o") -> AudioClip:
    """Begins as Ogg Opus does."""
    data = OGG_HEAD + fill * (n_bytes - len(OGG_HEAD))
    return AudioClip(data=data, format=AudioFormat.parse("ogg_opus"))


def mp3(n_bytes: int = 4000) -> AudioClip:
    """Begins as MP3 does, and no byte is as the one before it."""
    data = (b"\xff\xfb\x90\x00" + bytes(range(251)) * (n_bytes // 251 + 1))[:n_bytes]
    return AudioClip(data=data, format=AudioFormat.parse("mp3_44100_128"))


@dataclass
class DictStorage:
    """A storage that never forgets by itself, and fails when it is told to."""

    kept: dict[str, bytes] = field(default_factory=dict)
    ttls: dict[str, float] = field(default_factory=dict)
    most: int | None = None
    broken: bool = False
    closed: int = 0

    async def get(self, key: str, /) -> bytes | None:
        self._work()
        return self.kept.get(key)

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        self._work()
        self.kept[key] = value
        self.ttls[key] = ttl

    async def add(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        raise NotImplementedError

    async def delete(self, key: str, /) -> bool:
        return self.kept.pop(key, None) is not None

    def stats(self) -> StorageStats:
        return StorageStats(kind="dict", entries=len(self.kept), most=self.most)

    async def aclose(self) -> None:
        self.closed += 1

    def _work(self) -> None:
        if self.broken:
            raise OSError("no storage today")


@dataclass
class Answered:
    """What an ASGI application has sent."""

    status: int
    headers: dict[str, str]
    pieces: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


async def ask(
    host: MediaHost, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answered:
    """One request to the application, as a server would hand it over."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    path = "/" + url.split("/", 3)[3] if "://" in url else url
    coded = [(n.lower().encode(), v.encode("latin-1")) for n, v in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "headers": coded}
    await host.asgi(scope, receive, send)
    start, *rest = sent
    assert start["type"] == "http.response.start"
    assert [m.get("more_body", False) for m in rest] == [True] * (len(rest) - 1) + [False]
    names = [name for name, _ in start["headers"]]
    assert len(names) == len(set(names))
    return Answered(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        [m["body"] for m in rest if m["body"]],
    )
