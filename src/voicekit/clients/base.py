"""What every client does around its calls: credential, transport, observers, warm-up, close."""

from __future__ import annotations

import contextlib
import copy
import os
import time
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, TypeVar, cast
from urllib.parse import urlsplit

from voicekit import events
from voicekit.checks import fields, is_header_text, number, wrong
from voicekit.clients.credential import ApiKey, Credential
from voicekit.clients.policed import Given, Policed, by_name
from voicekit.errors import (
    ClosedError,
    ConnectError,
    InvalidArgumentError,
    VoicekitError,
    WrongLoopError,
)
from voicekit.operation import Call, Limits, Operation
from voicekit.resilience.policies import Policies
from voicekit.transport.config import PoolConfig, PoolStats, WarmReport
from voicekit.transport.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicekit.clients.settings import Settings

__all__ = ["ApiKey", "CallOptions", "Client", "Credential", "Extras", "by_name"]

S = TypeVar("S", bound="Settings")


class Extras(TypedDict, total=False):
    """The escape hatches of every constructor and every call, for what has no option yet.

    Of all options that derive from this, one that is absent or None is not sent, so that the
    provider's default holds, which is in brackets; None in a call takes the constructor's value
    back.

    Attributes:
        extra_query: Added to the URL's query, over ours: sequences as repeated names, booleans in
            small letters, None left out.
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
        policies: Replaces the client's, for this call.
    """

    limits: Limits
    policies: Policies


def _check_base_url(base_url: object) -> None:
    allowed = "http(s)://host[:port][/path]"
    try:
        parts = urlsplit(base_url) if is_header_text(base_url) else None
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
        raise wrong("base_url", base_url, allowed)  # not shown either: it may be a key


class Client(Policed):
    """Base of the clients. Constructing does no I/O and needs no event loop.

    Attributes:
        families: The kinds of settings that this client has, by name. The options of the
            first are given as they are; those of the others as a mapping under the
            family's name. ``extra_headers`` and ``extra_query`` go with all of them.
    """

    provider: ClassVar[str]
    families: ClassVar[Mapping[str, type[Settings]]]

    def __init__(
        self,
        *,
        credential: Credential,
        base_url: str,
        transport: Transport | None,
        pool: PoolConfig | None,
        ca: str | None,
        proxy: str | None,
        limits: Mapping[str, Limits] | None,
        policies: Policies | Mapping[str, Policies] | None,
        observers: Sequence[events.Observer],
        options: Mapping[str, Any],
    ) -> None:
        _check_base_url(base_url)
        if transport is not None and not isinstance(transport, Transport):
            raise wrong("transport", transport, _SHARED)
        if transport is not None and (pool, ca, proxy) != (None, None, None):
            raise InvalidArgumentError(
                "is the transport's own affair when one is shared", argument="pool, ca, proxy"
            )
        self._settings = self._merged({kind: kind() for kind in self.families.values()}, options)
        self.base_url = base_url.rstrip("/")
        self._credential = credential
        self._own_transport = transport is None
        self.transport = transport or Transport(pool=pool, ca=ca, proxy=proxy)
        self._limits = self._named("limits", limits or {}, Limits)
        self._adopt(policies)
        self._observer = events.Observers.of(observers, *_observers_of_environment())
        self._closed = False
        self._used = False
        self._source: Client | None = None

    # -- for subclasses --

    def _call(
        self, operation: Operation, given: Given | None = None, *, limits: Limits | None = None
    ) -> Call:
        """Begin a call.

        Raises:
            ClosedError: The client is closed.
        """
        if self._closed:
            raise ClosedError("the client is closed", provider=self.provider)
        if not self._used:
            self._begin()
        name, policies = operation.name, None
        if given is not None:
            limits, policies = limits or given.limits, given.policies
        policies = policies or self._policies_of.get(name) or self._policies
        return Call(
            operation,
            limits=limits or self._limits.get(name),
            observer=self._observer,
            secret=self._credential.last,
            pipeline=self._scopes.kept.get((name, policies))
            or self._scopes.pipeline(operation, policies),
        )

    async def _warm(self, n: int) -> WarmReport:
        """Open what this provider's calls will need; see the sheet for what is free."""
        return await self.transport.warm(self.base_url, n)

    def _begin(self) -> None:
        """The first use: from now on there is something to close.

        A view opens in its source's transport, so the source is used as well, and it is the
        source that must be closed. Observers that both have are told once.
        """
        self._used = True
        source = self._source
        if source is not None and not source._used:
            source._begin()
            if self._observer is source._observer:
                return
        if self._observer is not None:
            self._observer.on_event(
                events.PoolOpened(
                    at=time.monotonic(),
                    provider=self.provider,
                    operation="pool",
                    host=urlsplit(self.base_url).netloc,
                    max_connections=self.transport.config.max_connections,
                    shared=not self._own_transport,
                )
            )

    def _family(self, kind: type[S]) -> S:
        """The client's settings of that kind."""
        return cast("S", self._settings[kind])

    def _merged(
        self, settings: Mapping[type[Settings], Settings], given: Mapping[str, Any]
    ) -> dict[type[Settings], Settings]:
        """``settings`` with what a caller gave on top."""
        own, *others = self.families.items()
        flat, merged = dict(given), {}
        common = {name: flat[name] for name in _EVERYWHERE if name in flat}
        for name, kind in others:
            given_here = flat.pop(name, None)
            options = {} if given_here is None else fields(name, given_here)
            merged[kind] = settings[kind].updated(common).updated(options)
        return {own[1]: settings[own[1]].updated(flat), **merged}

    def _view(
        self,
        options: Mapping[str, Any],
        limits: Mapping[str, Limits] | None,
        policies: Policies | Mapping[str, Policies] | None,
        observers: Sequence[events.Observer] | None,
    ) -> Self:
        """This client with other defaults; what ``with_options`` of each client returns."""
        view = copy.copy(self)
        view._own_transport = False
        view._source = self  # whose end would close what both use
        view._settings = self._merged(self._settings, options)
        if limits:
            view._limits = {**self._limits, **self._named("limits", limits, Limits)}
        view._policies, view._policies_of = self._with_policies(policies)
        if observers is not None:
            view._observer = events.Observers.of(observers)
        return view

    # -- for users --

    def rotate_key(self, api_key: ApiKey) -> None:
        """Use this key from the next request on.

        Requests and sessions in progress end as they began. Connections that were opened
        with the old key go when they come back. A key that changes by itself is better
        given as an async callable, which is asked before each request.

        Raises:
            InvalidArgumentError: No header can hold it.
        """
        self._credential.replace(api_key)

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
        if not self._used:
            self._begin()
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
        if not self._used:
            self._begin()
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
            drain: Seconds that what is under way may take to end first; nothing new begins.

        Raises:
            InvalidArgumentError: ``drain`` is no number ≥ 0; nothing is closed.
        """
        number(0.0)("drain", drain)
        if not self._closed:
            self._closed = True
            try:
                if self._own_transport:
                    await self.transport.aclose(drain)
            except WrongLoopError:
                self._closed = False  # to be closed where it was opened
                raise

    @property
    def in_use(self) -> bool:
        """Whether it holds anything that only ``aclose`` frees."""
        return self._used and not self._closed and self._own_transport

    def abandon(self) -> None:
        """As ``aclose``, for an owner who cannot wait; in its event loop, if that still runs."""
        self._closed = True
        if self._own_transport:
            self.transport.abandon()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if hasattr(self, "_used") and self.in_use:
            _warn(f"{type(self).__name__} was never closed", ResourceWarning, source=self)
            self.abandon()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<{type(self).__name__} {self.base_url}{state}>"


def _observers_of_environment() -> Sequence[events.Observer]:
    if "VOICEKIT_LOG" not in os.environ:
        return ()
    from voicekit.observe.log import observers_of_environment

    return observers_of_environment()


_SHARED = (
    "a voicekit.Transport, such as Transport(http=HttpxTransport(client)); "
    "for a client of voicekit.sync, a voicekit.sync.Transport"
)
_EVERYWHERE = ("extra_headers", "extra_query")
