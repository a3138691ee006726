"""Frozen records of what happened, for whoever observes a client.

Records hold names, counts and times: never a key, never speech. They are built
only when somebody observes, and an observer that fails never breaks a call. Nor are their
classes made before: thirty of them take as long as a connection does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from voicekit.checks import wrong
from voicekit.lazy import loader

if TYPE_CHECKING:
    from voicekit.events.records import (
        AttemptStarted,
        BreakerChanged,
        CacheAnswered,
        CacheStored,
        CallEnded,
        CallStarted,
        ConnectionAcquired,
        CredentialCircuitChanged,
        Event,
        FirstOutput,
        HedgeEnded,
        HedgeStarted,
        LimitChanged,
        MemberChosen,
        MemberFailed,
        PoolOpened,
        Queued,
        Reconnected,
        RetryScheduled,
        SessionReplaced,
        SpeechResumed,
        Waited,
        Warmed,
    )

__all__ = [
    "AttemptStarted",
    "BreakerChanged",
    "CacheAnswered",
    "CacheStored",
    "CallEnded",
    "CallStarted",
    "ConnectionAcquired",
    "CredentialCircuitChanged",
    "Event",
    "FirstOutput",
    "HedgeEnded",
    "HedgeStarted",
    "LimitChanged",
    "MemberChosen",
    "MemberFailed",
    "Observer",
    "Observers",
    "PoolOpened",
    "Queued",
    "Reconnected",
    "RetryScheduled",
    "SessionReplaced",
    "SpeechResumed",
    "Waited",
    "Warmed",
]

if not TYPE_CHECKING:
    # Records all; the other two are below.
    __getattr__ = loader(__name__, dict.fromkeys(__all__, ".records"))

_log = logging.getLogger("voicekit.events")


@runtime_checkable
class Observer(Protocol):
    """Sees the records of a client, in order, on its event loop. Must not block."""

    def on_event(self, event: Event, /) -> None:
        """One thing happened."""
        ...


class Observers:
    """Fans one record out to several observers; what they raise is logged and dropped."""

    __slots__ = ("_observers",)

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    @classmethod
    def of(cls, observers: Iterable[Observer], *more: Observer) -> Observers | None:
        """Those that a caller gave, and ``more``; None of none.

        Raises:
            InvalidArgumentError: They are no observers.
        """
        given = tuple(observers) if isinstance(observers, Iterable) else (None,)
        if not all(callable(getattr(each, "on_event", None)) for each in given):
            raise wrong("observers", observers, "a sequence of observers, as [LogObserver()]")
        return cls(*given, *more) if given or more else None

    def on_event(self, event: Event, /) -> None:
        """Hand ``event`` to each observer."""
        for observer in self._observers:
            try:
                observer.on_event(event)
            except Exception as error:  # noqa: BLE001 - a broken observer must not break a call
                _log.warning(
                    "observer %s failed: %s", type(observer).__name__, type(error).__name__
                )
