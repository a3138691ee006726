"""The breaker's states are pybreaker's; what counts as a failure too many is our window's.

Imported when a breaker sees its first failure, not before. pybreaker is used through its own
hooks: a storage that lets a window stand for its counter, a listener that hears the changes,
and the number of successes that close. Everything that waits stays outside: a result is told
when it is there. So none is judged by a state that a call once entered in, no lock is
held and no context variable needed, and no decision reads the wall clock.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import pybreaker


def _load() -> Any:
    """Import pybreaker without its adapters for Redis and Tornado.

    By itself it imports either where it is installed: 15 to 100 ms, which would stop the event
    loop in the middle of somebody's first failure. One that the application has imported is
    taken as it is; ours stays out of ``sys.modules``, for the application may want adapters.
    """
    if "pybreaker" in sys.modules:
        return sys.modules["pybreaker"]
    spec = importlib.util.find_spec("pybreaker")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("pybreaker is not installed", name="pybreaker")

    def without_adapters(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in {"redis", "tornado"}:
            raise ImportError(name)
        return builtins.__import__(name, *args, **kwargs)

    module = importlib.util.module_from_spec(spec)
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": without_adapters}
    spec.loader.exec_module(module)
    return module


if not TYPE_CHECKING:
    pybreaker = _load()


class _FailedError(Exception):
    """Stands for a failure inside pybreaker, so that the caller's own error is left alone."""


def _fail() -> NoReturn:
    raise _FailedError


def _succeed() -> None:
    pass


class _Storage(pybreaker.CircuitBreakerStorage):
    """Its failure counter is 1 when the window has seen too many, else 0."""

    state = pybreaker.STATE_CLOSED
    success_counter = 0

    def __init__(self, too_many: Callable[[], bool]) -> None:
        super().__init__("window")
        self._too_many = too_many

    @property
    def counter(self) -> int:
        return int(self._too_many())

    def increment_success_counter(self) -> None:
        self.success_counter += 1

    def reset_success_counter(self) -> None:
        self.success_counter = 0

    @property
    def opened_at(self) -> datetime | None:
        return None  # the breaker's own, monotonic clock says when an open period is over

    @opened_at.setter
    def opened_at(self, when: datetime) -> None:
        pass


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        del cb, old_state  # the owner has the one and knows the other
        self._changed(new_state.name.replace("-", "_"))


class States:
    """closed → open → half_open → closed or open, and what moves it on.

    ``too_many`` says whether the window holds failures or slow calls enough to open, ``probes``
    how many successes close it when it is half open; ``changed`` is told each new state.
    """

    __slots__ = ("_breaker",)

    def __init__(
        self, *, too_many: Callable[[], bool], probes: int, changed: Callable[[str], None]
    ) -> None:
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=1,
            success_threshold=probes,
            listeners=[_Listener(changed)],
            state_storage=_Storage(too_many),
            throw_new_error_on_trip=False,
        )

    def failed(self) -> None:
        """A call failed or was slow: opens, if it is closed and that is one too many."""
        try:
            self._breaker.call(_fail)
        except _FailedError as failure:
            # pybreaker's frames hold it, and it them and the caller's error: none of that is
            # to wait for the collector.
            failure.__traceback__ = failure.__context__ = None

    def succeeded(self) -> None:
        """A probe succeeded: closes, if it is the last one needed."""
        self._breaker.call(_succeed)

    def half_open(self) -> None:
        """The open period is over."""
        self._breaker.half_open()
