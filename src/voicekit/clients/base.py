"""What every client does around its calls: credential, transport, observers, warm-up, close."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import warnings
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict
from urllib.parse import urlsplit

from voicekit import events
from voicekit.clients.checks import is_header_text
from voicekit.errors import (
    ClosedError,
    ConnectError,
    InvalidArgumentError,
    MissingCredentialError,
    VoicekitError,
    WrongLoopError,
)
from voicekit.operation import Call, Limits, Operation, Pipeline
from voicekit.transport.config import PoolConfig, PoolStats, WarmReport
from voicekit.transport.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ApiKey = str | Callable[[], Awaitable[str]]
"""A key, or an async callable that returns the key to use for the next request."""


class Extras(TypedDict, total=False):
    """The escape hatches of every constructor and every call, for what has no option yet.

    Attributes:
        extra_query: Added to the URL's query, over ours.
        extra_headers: Added to the headers, over ours.
        extra_body: Added to the JSON body, over ours.
    """

    extra_query: Mapping[str, Any]
    extra_headers: Mapping[str, str]
    extra_body: Mapping[str, Any]


class CallOptions(Extras, total=False):
    """What every call takes besides the provider's own options.

    Attributes:
        limits: Replaces the operation's limits. (A constructor's are by operation.)
    """

    limits: Limits


class Credential:
    """Where the key comes from. Never shows it."""

    __slots__ = ("_ask", "_key")

    def __init__(self, api_key: ApiKey | None, *, env: str, provider: str) -> None:
        if api_key is None:
            api_key = os.environ.get(env)
        if callable(api_key):
            self._ask: Callable[[], Awaitable[str]] | None = api_key
            self._key = ""
            return
        if not api_key:
            raise MissingCredentialError(
                f"no API key: pass api_key= or set {env}", provider=provider
            )
        self._ask = None
        self._key = _checked(api_key)

    async def get(self) -> str:
        """The key for the next request.

        Raises:
            InvalidArgumentError: The callable returned what no header can hold.
        """
        if self._ask is not None:
            self._key = _checked(await self._ask())
        return self._key

    def last(self) -> str:
        """The key given out last, so that it can be kept out of what is said; empty before."""
        return self._key

    @property
    def fingerprint(self) -> Hashable:
        """Equal for equal credentials, so that their sockets can be shared; shows no key."""
        if self._ask is not None:
            return self._ask
        return hashlib.blake2b(self._key.encode(), digest_size=16).hexdigest()

    def __repr__(self) -> str:
        return "<Credential>"


def _checked(key: object) -> str:
    if is_header_text(key) and key:
        return key
    raise InvalidArgumentError(
        f"a {type(key).__name__} that no HTTP header can hold",
        argument="api_key",
        allowed="printable ASCII, not empty",
    )


def _check_base_url(base_url: object) -> None:
    allowed = "http(s)://host[:port][/path]"
    try:
        parts = urlsplit(base_url) if isinstance(base_url, str) else None
        fine = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port if parts is not None else None
    except ValueError:
        parts, fine = None, False
    if parts is not None and "@" in parts.netloc:
        # Not shown: it is a secret, and every repr of the client would be one.
        raise InvalidArgumentError(
            "holds a user name or password", argument="base_url", allowed=allowed
        )
    if parts is None or not fine or parts.query or parts.fragment:
        raise InvalidArgumentError(f"got {base_url!r}", argument="base_url", allowed=allowed)


class Client:
    """Base of the clients. Constructing does no I/O and needs no event loop.

    Args:
        credential: The key.
        base_url: Where the provider is, without a trailing slash.
        transport: A transport to share; the client makes (and closes) its own otherwise.
        pool: Sizes and ages of its own transport's connections.
        ca: PEM file of certificate authorities for its own transport.
        limits: Replaces the limits of single operations, by name.
        observers: See every event of this client.
    """

    provider: ClassVar[str]

    def __init__(
        self,
        *,
        credential: Credential,
        base_url: str,
        transport: Transport | None,
        pool: PoolConfig | None,
        ca: str | None,
        limits: Mapping[str, Limits] | None,
        observers: Sequence[events.Observer],
    ) -> None:
        _check_base_url(base_url)
        if transport is not None and (pool is not None or ca is not None):
            raise InvalidArgumentError(
                "is the transport's own affair when one is shared", argument="pool, ca"
            )
        self.base_url = base_url.rstrip("/")
        self._credential = credential
        self._own_transport = transport is None
        self.transport = transport or Transport(pool=pool, ca=ca)
        self._limits = dict(limits or {})
        self._observer = events.Observers(*observers) if observers else None
        self._closed = False
        self._used = False

    # -- for subclasses ---------------------------------------------------------------

    def _call(self, operation: Operation, limits: Limits | None = None) -> Call:
        """Begin a call.

        Raises:
            ClosedError: The client is closed.
        """
        if self._closed:
            raise ClosedError("the client is closed", provider=self.provider)
        self._used = True
        return Call(
            operation,
            limits=limits or self._limits.get(operation.name),
            observer=self._observer,
            secret=self._credential.last,
        )

    def pipeline(self, _operation: Operation, /) -> Pipeline:
        """The policies around an operation, outermost first."""
        return _NO_POLICIES

    async def _warm(self, n: int) -> WarmReport:
        """Open what this provider's calls will need; see the sheet for what is free."""
        return await self.transport.warm(self.base_url, n)

    # -- for users ----------------------------------------------------------------------

    async def warm(self, n: int | None = None, /, *, strict: bool = False) -> WarmReport:
        """Open connections before the first call needs them, and keep them open.

        Never billed. Limited to 10 s. Cancelled, its dials go on, owned by the pool.

        Args:
            n: How many; the pool's ``min_ready`` by default.
            strict: Raise when a dial failed, instead of saying so in the report.

        Raises:
            InvalidArgumentError: ``n`` is below 1.
            ConnectError: ``strict``, and a dial failed.
            ClosedError: The client is closed.
        """
        n = self._count(n)
        self._used = True
        started = time.monotonic()
        report = await self._warm(n)
        if self._observer is not None:
            self._observer.on_event(
                events.Warmed(
                    at=started,
                    provider=self.provider,
                    operation="warm",
                    opened=report.opened,
                    reused=report.reused,
                    failed=len(report.failures),
                    elapsed=report.elapsed,
                )
            )
        if strict and report.failures:
            raise ConnectError(
                f"{len(report.failures)} connections failed: "
                + ", ".join(sorted(set(report.failures))),
                provider=self.provider,
                operation="warm",
            )
        return report

    def _count(self, n: int | None) -> int:
        if self._closed:
            raise ClosedError("the client is closed", provider=self.provider)
        if n is None:
            return max(1, self.transport.config.min_ready)
        if type(n) is not int or n < 1:
            raise InvalidArgumentError(f"got {n!r}", argument="n", allowed="an int ≥ 1")
        return n

    def start_warming(self, n: int | None = None, /) -> None:
        """``warm()`` in the background; returns at once. Needs a running event loop.

        Raises:
            InvalidArgumentError: ``n`` is below 1.
            ClosedError: The client is closed.
        """
        n = self._count(n)
        self._used = True
        self.transport.background.spawn(self._quietly(n), f"voicekit-warm-{self.provider}")

    async def _quietly(self, n: int | None) -> None:
        with contextlib.suppress(VoicekitError):  # closed meanwhile; the rest is in the report
            await self.warm(n)

    def stats(self) -> PoolStats:
        """The connections of this client's transport."""
        return self.transport.stats()

    async def __aenter__(self) -> Self:
        if self._closed:
            raise ClosedError("the client is closed", provider=self.provider)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self, drain: float = 0.0) -> None:
        """Free everything that this client made; may be called twice.

        Args:
            drain: Seconds that sessions in progress may take to end first.
        """
        if not self._closed:
            self._closed = True
            try:
                if self._own_transport:
                    await self.transport.aclose(drain)
            except WrongLoopError:
                self._closed = False  # to be closed where it was opened
                raise

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if getattr(self, "_used", False) and not self._closed and self._own_transport:
            _warn(f"{type(self).__name__} was never closed", ResourceWarning, source=self)
            self.transport.abandon()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<{type(self).__name__} {self.base_url}{state}>"


_NO_POLICIES = Pipeline()
