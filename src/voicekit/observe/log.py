"""What happened, a line each, in the standard ``logging``.

Lines hold names, counts and times, as the events do: never a key, never speech.
"""

from __future__ import annotations

import logging
import os
from typing import Final

from voicekit import events
from voicekit.errors import InvalidArgumentError

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
ENVIRONMENT: Final = "VOICEKIT_LOG"
"""Its value is a level: each client made from then on logs to the standard error."""


class LogObserver:
    """Logs a client's events: pools, warm-ups and calls at INFO, failures at WARNING.

    What happens within a call is at DEBUG.

    Args:
        logger: Where to; ``logging.getLogger("voicekit")`` by default, which prints nothing
            at INFO unless the application says so. ``VOICEKIT_LOG=info`` says so without code.

    Example:
        >>> logging.basicConfig(level=logging.INFO)
        >>> async with ElevenLabsClient(voice="…", observers=[LogObserver()]) as tts:
        ...     await tts.synthesize("Hello")
        INFO:voicekit:elevenlabs synthesize: ok in 412 ms, first output 187 ms, warm connection
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("voicekit")

    def on_event(self, event: events.Event, /) -> None:
        """Log one event, if its level is wanted."""
        level = level_of(event)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s %s: %s", event.provider, event.operation, words_of(event))

    def __repr__(self) -> str:
        return f"LogObserver({self._logger.name!r})"


def level_of(event: events.Event) -> int:
    """How much an event matters to who reads a log."""
    match event:
        case events.CallEnded(result="error"):
            return logging.WARNING
        case events.Reconnected(lost=lost) if lost > 0:
            return logging.WARNING
        case events.Reconnected() | events.SpeechResumed():
            return logging.INFO
        case events.CallEnded() | events.Warmed() | events.PoolOpened():
            return logging.INFO
        case _:
            return logging.DEBUG


def words_of(event: events.Event) -> str:
    """One event in words."""
    match event:
        case events.CallEnded():
            return _ended(event)
        case events.PoolOpened():
            whose = "shared connections" if event.shared else "connections"
            return f"opened to {event.host}, at most {event.max_connections} {whose}"
        case events.Warmed():
            failed = f", {event.failed} failed" if event.failed else ""
            return (
                f"{event.opened} opened, {event.reused} ready before{failed}, "
                f"in {_ms(event.elapsed)}"
            )
        case events.Reconnected():
            lost = f", {event.lost:.2f} s lost" if event.lost else ""
            return (
                f"reconnected {_ms(event.outage)} after {event.error}, dials: {event.attempt}, "
                f"{event.replayed:.2f} s sent again{lost}"
            )
        case events.SpeechResumed():
            return f"resumed at segment {event.sentence} after {event.error}"
        case events.FirstOutput():
            return f"first output after {_ms(event.after)}"
        case events.AttemptStarted():
            return f"attempt {event.attempt}"
        case events.ConnectionAcquired():
            return "on a warm connection" if event.connection.reused else "on a new connection"
        case _:
            return type(event).__name__


def _ended(event: events.CallEnded) -> str:
    timings = event.timings
    parts: list[str] = [event.result]
    if event.error is not None:
        parts[0] = event.error + (f" {event.status}" if event.status is not None else "")
        parts.append(f"outcome {event.outcome}")
    if timings.total is not None:
        parts[0] += f" in {_ms(timings.total)}"
    if timings.first_output is not None:
        parts.append(f"first output {_ms(timings.first_output)}")
    if event.connection is not None:
        dial = timings.connect + timings.tls
        warm = event.connection.reused
        parts.append("warm connection" if warm else f"new connection ({_ms(dial)})")
    if event.attempts > 1:
        parts.append(f"{event.attempts} attempts")
    if event.request_id is not None:
        parts.append(f"request {event.request_id}")
    return ", ".join(parts)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def observers_of_environment() -> tuple[LogObserver, ...]:
    """A log observer, if ``VOICEKIT_LOG`` asks for one; it prints unless the application does.

    Raises:
        InvalidArgumentError: Its value is no level.
    """
    wanted = os.environ.get(ENVIRONMENT, "").strip().lower()
    if not wanted:
        return ()
    level = _LEVELS.get(wanted)
    if level is None:
        raise InvalidArgumentError(
            f"got {wanted[:20]!r}", argument=ENVIRONMENT, allowed=", ".join(_LEVELS)
        )
    logger = logging.getLogger("voicekit")
    if not logger.isEnabledFor(level):
        logger.setLevel(level)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        logger.addHandler(handler)
    return (LogObserver(logger),)
