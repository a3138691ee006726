"""Clips at public addresses, for as long as a messaging provider needs to fetch them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from voicekit import checks
from voicekit.asgi import Receive, Scope, Send, idle_lifespan
from voicekit.errors import ClosedError, InvalidArgumentError, UnavailableError
from voicekit.media import answers
from voicekit.media.channels import CHANNELS, CONTENT_TYPES, Channel
from voicekit.media.names import ForgedName, Names, UnknownName
from voicekit.speech.clip import AudioClip

if TYPE_CHECKING:
    from aiohttp import web

    from voicekit.cache.storage import Storage, StorageStats

__all__ = ["MediaHost"]

TTL: Final = 900.0
"""Seconds. Source: ours. A provider may queue a message for minutes before it fetches the media
(Twilio's sheet: "short-lived signed URLs must survive the queue time (minutes)")."""

SHORTEST_SECRET: Final = 16
"""Bytes."""

MEMORY: Final = 64 << 20
"""Bytes that the storage of one's own may hold."""

_ENTRY: Final = 1024
"""Bytes that a storage may count besides the clip: its key, the entry itself."""

REMEMBERED: Final = 4096
"""Addresses of which it is known whether they were fetched."""

_TYPES: Final = dict(CONTENT_TYPES.values())


class MediaHost:
    """Serves clips at addresses that nobody can guess and that stop working after a while.

    An address is signed (HMAC-SHA256), names its content by a keyed digest, and needs no
    look-up to be refused: 403 for one that was not issued here, 410 for one that has expired,
    404 for anything else and for a clip that is no longer kept. Equal clips are kept once.

    The same object answers at every place where it is mounted::

        Mount("/media", app=host.asgi)                                    # Starlette, FastAPI
        app.router.add_route("*", "/media/{name}", host.aiohttp_handler)  # aiohttp.web

    Expiry follows the clock of the process's start and goes on with its monotonic clock, so
    that a clock which is set later neither ends addresses early nor keeps them alive.

    Args:
        base_url: Where it is mounted, as the provider reaches it: ``https://…/media``.
        secret: At least 16 bytes, the same for every process that serves the addresses of
            another; None draws one, and addresses end with this object.
        storage: Where clips are kept, shared by such processes; None keeps at most 64 MiB in
            memory, and the oldest go when there are more. One that was given stays open.
        ttl: Seconds for which an address is good.
        channel: Where clips are played, which says what may be published: ``"whatsapp"``, or a
            `Channel` of one's own.

    Raises:
        InvalidArgumentError: An argument is not one of those.
    """

    def __init__(
        self,
        base_url: str,
        *,
        secret: str | bytes | None = None,
        storage: Storage | None = None,
        ttl: float = TTL,
        channel: str | Channel = "whatsapp",
    ) -> None:
        self._base = _base(base_url)
        self._names = Names(_secret(secret))
        self._ttl = _ttl(ttl)
        self._channel = _channel(channel)
        self._own = storage is None
        if storage is None:
            from voicekit.cache import MemoryStorage

            storage = MemoryStorage(most=MEMORY)
        self._storage: Storage = storage
        self._closed = False
        self._served: OrderedDict[str, asyncio.Event] = OrderedDict()
        self._offset = time.time() - time.monotonic()

    async def publish(
        self, clip: AudioClip, *, ttl: float | None = None, channel: str | Channel | None = None
    ) -> str:
        """Keep a clip and return its public address.

        Cancelling it publishes nothing that anybody could find.

        Args:
            clip: Audio in a format that the channel plays; nothing is converted.
            ttl: Seconds; None takes the host's.
            channel: Where it is played; None takes the host's.

        Raises:
            InvalidArgumentError: The channel does not play it, or the storage cannot hold it;
                nothing is kept.
            UnavailableError: The storage failed.
            ClosedError: After ``aclose``.
        """
        if self._closed:
            raise ClosedError("the media host is closed")
        if not isinstance(clip, AudioClip):
            raise checks.wrong("clip", clip, "an AudioClip")
        (self._channel if channel is None else _channel(channel)).check(clip)
        seconds = self._ttl if ttl is None else _ttl(ttl)
        most = self._storage.stats().most
        if most is not None and len(clip.data) + _ENTRY > most:
            raise InvalidArgumentError(
                f"{len(clip.data)} bytes are more than the storage holds",
                argument="clip",
                allowed=f"at most {most - _ENTRY} bytes",
            )
        kept = self._names.id_of(clip.data, seconds)
        suffix = CONTENT_TYPES[clip.format.encoding][0]
        # The address ends first: what it answers is then "expired", not "not found".
        expires = int(self._now() + seconds)
        try:
            await self._storage.put(_key(kept), clip.data, ttl=seconds + 2)
        except Exception as error:
            raise UnavailableError("the storage failed", operation="publish") from error
        name = self._names.sign(kept, expires, suffix)
        self._served[name] = asyncio.Event()
        while len(self._served) > REMEMBERED:
            self._served.popitem(last=False)
        return f"{self._base}/{name}"

    async def fetched(self, url: str, *, within: float) -> bool:
        """Wait until somebody has got the end of a clip from this object.

        Work that has sent an address is not over before: a process that ends takes the clips in
        its memory along. Cancelling it is harmless.

        Args:
            url: Of ``publish``.
            within: Seconds to wait.

        Returns:
            False when it was not fetched in time, was fetched from another process, or when
            thousands of clips have been published since.

        Raises:
            InvalidArgumentError: ``within`` is no time.
        """
        checks.number(0, 86_400)("within", within)
        served = self._served.get(checks.text("url", url).rpartition("/")[2])
        if served is None:
            return False
        try:
            async with asyncio.timeout(within):
                await served.wait()
        except TimeoutError:
            return False
        return True

    async def answer(self, method: str, path: str, headers: Mapping[str, str]) -> answers.Answer:
        """What a request is answered, for a framework that is not served already.

        Args:
            method: Of the request.
            path: Of the request; its last part names the clip.
            headers: Of the request, names in lower case.
        """
        if method not in {"GET", "HEAD"}:
            return answers.refusal(405, method=method)
        try:
            name = self._names.read(path.rpartition("/")[2])
        except UnknownName:
            return answers.refusal(404, method=method)
        except ForgedName:
            return answers.refusal(403, method=method)
        now = self._now()
        content_type = _TYPES.get(name.suffix)
        if content_type is None or now >= name.expires:
            return answers.refusal(404 if content_type is None else 410, method=method)
        try:
            data = None if self._closed else await self._storage.get(_key(name.id))
        except Exception:  # noqa: BLE001 - whatever a storage raises, the client may come again
            return answers.refusal(503, method=method)
        if data is None:
            return answers.refusal(404, method=method)
        return answers.content(
            data,
            method=method,
            asked=headers,
            content_type=content_type,
            tag=name.id,
            expires_in=name.expires - now,
            now=now,
        )

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application; needs nothing of a framework."""
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)  # its owner closes it
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        answer = await self.answer(scope["method"], scope["path"], headers)
        coded = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers
        ]
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": coded})
            for piece in answer.pieces():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            self._has_served(scope["path"], answer)
        except OSError:
            return  # Source: ASGI 2.4: that is how a server says that the client has gone

    async def aiohttp_handler(self, request: web.Request) -> web.StreamResponse:
        """The handler for ``aiohttp.web``."""
        from aiohttp import web

        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = await self.answer(request.method, request.path, headers)
        response = web.StreamResponse(status=answer.status, headers=dict(answer.headers))
        await response.prepare(request)
        for piece in answer.pieces():
            await response.write(piece)
        await response.write_eof()
        self._has_served(request.path, answer)
        return response

    def stats(self) -> StorageStats:
        """A look at what is kept: for ``metrics.watch(host)``; no I/O."""
        return self._storage.stats()

    async def aclose(self) -> None:
        """End every address; frees the storage if it is its own. May be called twice."""
        self._closed = True
        if self._own:
            await self._storage.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<MediaHost {self._base} ttl={self._ttl:g} {self._channel.name}>"

    def _has_served(self, path: str, answer: answers.Answer) -> None:
        # Some fetch the parts in turn: who has got the last byte has the clip.
        if answer.status in {200, 206} and 0 < answer.stop == len(answer.body):
            served = self._served.get(path.rpartition("/")[2])
            if served is not None:
                served.set()

    def _now(self) -> float:
        return self._offset + time.monotonic()


def _key(kept: str) -> str:
    return f"media:{kept}"


def _base(url: str) -> str:
    allowed = "an http or https URL without query, fragment or credentials"
    if not isinstance(url, str):
        raise checks.wrong("base_url", url, allowed)
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - says whether it is a number
    except ValueError as error:
        raise checks.wrong("base_url", url, allowed) from error
    plain = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    if not plain or "?" in url or "#" in url or not url.isascii() or not url.isprintable():
        raise checks.wrong("base_url", url, allowed)
    return url.rstrip("/")


def _secret(secret: str | bytes | None) -> bytes:
    if secret is None:
        return secrets.token_bytes(32)
    given = secret.encode("utf-8") if isinstance(secret, str) else secret
    if not isinstance(given, bytes) or not SHORTEST_SECRET <= len(given) <= 1024:
        raise checks.wrong("secret", secret, f"{SHORTEST_SECRET} to 1024 bytes")
    # A key of blake2b's input; the length that it may have is not that of a secret.
    return given


def _ttl(ttl: float) -> float:
    return float(checks.number(1, 7 * 86_400)("ttl", ttl))


def _channel(channel: str | Channel) -> Channel:
    if isinstance(channel, Channel):
        return channel
    return CHANNELS[checks.word(*CHANNELS)("channel", channel)]
