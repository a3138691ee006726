"""What every blocking client does: stand for an asynchronous one, on the portal's loop."""

from __future__ import annotations

import copy
import functools
import os
import warnings
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from voicekit.checks import number, wrong
from voicekit.clients import base
from voicekit.errors import ClosedError
from voicekit.sync.delegation import Evidence, Facade, blocking, on_loop
from voicekit.sync.keys import ApiKey, asked
from voicekit.sync.portal import Portal, inherit, portal
from voicekit.transport import transport
from voicekit.transport.config import PoolConfig
from voicekit.transport.interfaces import HttpTransport

A = TypeVar("A", bound="base.Client | transport.Transport")


class Owner(Facade, Generic[A]):
    """Stands for something that lives on the loop, and is made again in a forked child.

    It is made without I/O or a loop. What it ``uses`` the connections of is kept, and open for
    as long.
    """

    _closed = False
    _home: Portal | None = None
    _source: Owner[Any] | None = None

    def __init__(self, make: Callable[[], A], uses: Owner[Any] | None = None) -> None:
        self._make = make
        self._uses = uses
        self._there = make()
        self._process = os.getpid()

    @property
    def _inner(self) -> A:
        if self._process != os.getpid():
            # What the parent opened is the parent's: here it is made anew.
            inherit(self._there)
            self._there, self._home, self._process = self._make(), None, os.getpid()
        return self._there

    @property
    def _portal(self) -> Portal:
        inner = self._inner
        if self._closed:
            raise ClosedError("the client is closed", provider=getattr(inner, "provider", None))
        if self._source is not None:
            return self._source._portal  # whose end is a view's end
        home = self._home
        if home is None:
            if self._uses is not None:
                _ = self._uses._portal
            home = self._home = portal()
            home.open()
        return home

    def __enter__(self) -> Self:
        if self._closed:
            raise ClosedError("the client is closed")
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self, drain: float = 0.0) -> None:
        """Free everything that this one made; may be called twice.

        Args:
            drain: Seconds that what is under way may take to end first; nothing new begins.

        Raises:
            InvalidArgumentError: ``drain`` is no number ≥ 0; nothing is closed.
        """
        number(0.0)("drain", drain)
        inner = self._inner
        if self._closed:
            return
        self._closed = True
        home, self._home = self._home, None
        if home is not None:
            try:
                home.run(inner.aclose, drain)
            finally:
                home.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        home = self._home
        if home is None or self._closed or self._process != os.getpid():
            return
        self._closed = True
        there = self._there
        if there.in_use:
            _warn(f"{type(self).__name__} was never closed", ResourceWarning, source=self)
            # The collector runs on any thread; the loop ends what is its own.
            home.post(there.abandon)
        home.close()

    def __repr__(self) -> str:
        return f"<blocking {self._there!r}>"


class Transport(Owner["transport.Transport"]):
    """Warm connections to share between blocking clients; see ``voicekit.Transport``."""

    def __init__(
        self,
        *,
        pool: PoolConfig | None = None,
        ca: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
        http: HttpTransport | None = None,
    ) -> None:
        super().__init__(lambda: transport.Transport(pool=pool, ca=ca, proxy=proxy, http=http))

    config = Evidence[PoolConfig](doc="Sizes and ages of its connections.")
    stats = on_loop(transport.Transport.stats)


def inner_of(shared: Transport | None) -> transport.Transport | None:
    """The asynchronous transport behind a blocking one.

    Raises:
        InvalidArgumentError: It is another object.
    """
    if shared is not None and not isinstance(shared, Transport):
        raise wrong("transport", shared, "a voicekit.sync.Transport")
    return None if shared is None else shared._inner


P = ParamSpec("P")
C = TypeVar("C", bound=base.Client)
V = TypeVar("V", bound="Client[Any]")
D = TypeVar("D", bound=Callable[..., None])


class Client(Owner[C]):
    """Base of the blocking clients."""

    _kind: Any

    provider = Evidence[str](doc="Whose service it is.")
    base_url = Evidence[str](doc="Where it is, without a trailing slash.")
    warm = blocking(base.Client.warm)
    start_warming = on_loop(base.Client.start_warming)
    stats = on_loop(base.Client.stats)
    pipeline = on_loop(base.Client.pipeline)
    breaker = on_loop(base.Client.breaker)
    health = on_loop(base.Client.health)
    probe = blocking(base.Client.probe)

    def rotate_key(self, api_key: ApiKey) -> None:
        """See the asynchronous client's ``rotate_key``."""
        self._portal.call(self._inner.rotate_key, asked(api_key))

    def _view(self, make: Callable[[], C]) -> Self:
        """A facade of one of this client's views."""
        view = copy.copy(self)
        view._make, view._there = make, make()
        view._home, view._source = None, self
        return view


def declared(constructor: D) -> D:
    """A constructor of which only the parameters are said: the asynchronous one gets them.

    Keys may block; for a blocking transport it gets the one behind it.
    """
    hints = constructor.__annotations__
    keys = {name for name, hint in hints.items() if hint.startswith(("ApiKey", "Ask"))}

    @functools.wraps(constructor)
    def init(
        self: Client[Any], *given: Any, transport: Transport | None = None, **named: Any
    ) -> None:
        kind, first = self._kind, [asked(each) for each in given]
        others = {name: asked(each) if name in keys else each for name, each in named.items()}
        # Without a word of this facade, whose end the collector must see at once.
        Owner.__init__(
            self, lambda: kind(*first, transport=inner_of(transport), **others), uses=transport
        )

    return cast("D", init)


def viewing(method: Callable[Concatenate[Any, P], base.Client]) -> Callable[Concatenate[V, P], V]:
    """The same ``with_options``: a facade of the view that it makes. No crossing."""

    @functools.wraps(method)
    def call(self: V, /, *args: P.args, **kwargs: P.kwargs) -> V:
        return self._view(lambda: self._inner.with_options(*args, **kwargs))

    return call
