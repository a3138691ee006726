"""Frozen records of what happened, for whoever observes a client.

Records hold names, counts and times: never a key, never speech. They are built
only when somebody observes, and an observer that fails never breaks a call. Nor are their
classes made before: thirty of them take as long as a connection does.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from voicekit.events.records import (
        AttemptStarted as AttemptStarted,
    )
    from voicekit.events.records import (
        BreakerChanged as BreakerChanged,
    )
    from voicekit.events.records import (
        CacheAnswered as CacheAnswered,
    )
    from voicekit.events.records import (
        CacheStored as CacheStored,
    )
    from voicekit.events.records import (
        CallEnded as CallEnded,
    )
    from voicekit.events.records import (
        CallStarted as CallStarted,
    )
    from voicekit.events.records import (
        ConnectionAcquired as ConnectionAcquired,
    )
    from voicekit.events.records import (
        CredentialCircuitChanged as CredentialCircuitChanged,
    )
    from voicekit.events.records import (
        Event as Event,
    )
    from voicekit.events.records import (
        FirstOutput as FirstOutput,
    )
    from voicekit.events.records import (
        HedgeEnded as HedgeEnded,
    )
    from voicekit.events.records import (
        HedgeStarted as HedgeStarted,
    )
    from voicekit.events.records import (
        LimitChanged as LimitChanged,
    )
    from voicekit.events.records import (
        MemberChosen as MemberChosen,
    )
    from voicekit.events.records import (
        MemberFailed as MemberFailed,
    )
    from voicekit.events.records import (
        PoolOpened as PoolOpened,
    )
    from voicekit.events.records import (
        Queued as Queued,
    )
    from voicekit.events.records import (
        Reconnected as Reconnected,
    )
    from voicekit.events.records import (
        RetryScheduled as RetryScheduled,
    )
    from voicekit.events.records import (
        SessionReplaced as SessionReplaced,
    )
    from voicekit.events.records import (
        SpeechResumed as SpeechResumed,
    )
    from voicekit.events.records import (
        Waited as Waited,
    )
    from voicekit.events.records import (
        Warmed as Warmed,
    )

else:

    def __getattr__(name: str) -> object:
        if name.startswith("_"):
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(import_module(f"{__name__}.records"), name)
        globals()[name] = value
        return value


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

    def on_event(self, event: Event, /) -> None:
        """Hand ``event`` to each observer."""
        for observer in self._observers:
            try:
                observer.on_event(event)
            except Exception as error:  # noqa: BLE001 - a broken observer must not break a call
                _log.warning(
                    "observer %s failed: %s", type(observer).__name__, type(error).__name__
                )
