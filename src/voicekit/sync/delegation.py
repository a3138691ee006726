"""How a blocking class says what it takes over from its asynchronous one: a line each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

if TYPE_CHECKING:
    from voicekit.sync.portal import Portal

P = ParamSpec("P")
T = TypeVar("T")


class Facade:
    """Something that stands for an asynchronous object on the portal's loop."""

    _inner: Any

    @property
    def _portal(self) -> Portal:
        raise NotImplementedError


class Part(Facade):
    """What a client has opened, and ``with`` closes; it lives on the loop of that client."""

    close: Callable[..., None]

    def __init__(self, client: Facade, inner: Any) -> None:
        self._client = client
        self._inner = inner

    @property
    def _portal(self) -> Portal:
        return self._client._portal

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<blocking {self._inner!r}>"


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """The same method, awaited on the portal's loop: one crossing.

    Name, parameters, defaults, annotations and docs are the asynchronous method's.
    """
    return _crossing(method, "run")


def on_loop(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """The same method, which awaits nothing but belongs on the loop: one crossing."""
    return _crossing(method, "call")


def _crossing(
    method: Callable[Concatenate[Any, P], Any], how: str
) -> Callable[Concatenate[Any, P], Any]:
    name = method.__name__

    @functools.wraps(method)
    def call(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        return getattr(self._portal, how)(getattr(self._inner, name), *args, **kwargs)

    return call


def directly(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """The same method, which does no I/O and may be called from any thread: no crossing."""
    name = method.__name__

    @functools.wraps(method)
    def call(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = getattr(self._inner, name)(*args, **kwargs)
        return result

    return call


class Evidence(Generic[T]):
    """An attribute of the asynchronous object, read as it is now: no crossing.

    Type and docs are those of the asynchronous class's property; an attribute that is none has
    its ``doc`` said.
    """

    def __init__(self, of: Callable[[Any], T] | None = None, *, doc: str | None = None) -> None:
        self.of = of
        self.__doc__ = of.__doc__ if of is not None else doc

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, facade: None, owner: type) -> Self: ...

    @overload
    def __get__(self, facade: Facade, owner: type) -> T: ...

    def __get__(self, facade: Facade | None, owner: type) -> T | Self:
        if facade is None:
            return self
        value: T = getattr(facade._inner, self._name)
        return value
