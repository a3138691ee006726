"""Events as clients make them, and clocks that are set by hand."""

from __future__ import annotations

from typing import Any

from voicekit import events
from voicekit.timing import ConnectionInfo, Timings

WHERE: dict[str, Any] = {"at": 1.0, "provider": "elevenlabs", "operation": "synthesize", "call": 1}
WARM = ConnectionInfo(reused=True)


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def started(**where: Any) -> events.CallStarted:
    return events.CallStarted(**WHERE | where)


def ended(
    total: float = 0.25,
    *,
    result: Any = "ok",
    error: str | None = None,
    timings: Timings | None = None,
    attempts: int = 1,
    connection: ConnectionInfo | None = WARM,
    **where: Any,
) -> events.CallEnded:
    return events.CallEnded(
        **WHERE | where,
        result=result,
        outcome="applied" if result == "ok" else "unknown",
        error=error,
        timings=timings or Timings(total=total),
        attempts=attempts,
        connection=connection,
    )


def failed(error: str = "UnavailableError", total: float = 1.0, **where: Any) -> events.CallEnded:
    return ended(total, result="error", error=error, **where)


def answered(
    result: str, cache: str = "speech", size: int = 0, **where: Any
) -> events.CacheAnswered:
    return events.CacheAnswered(**WHERE | where, cache=cache, result=result, size=size)
