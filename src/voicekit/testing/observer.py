"""An observer that keeps what it sees."""

from __future__ import annotations

from typing import TypeVar

from voicekit.events import CallEnded, CallStarted, Event

E = TypeVar("E", bound=Event)


class RecordingObserver:
    """Keeps every event of the clients it is given to, in order.

    Attributes:
        events: All of them.

    Example:
        >>> seen = RecordingObserver()
        >>> llm = OpenAIClient(model="…", observers=[seen])
        >>> ...
        >>> assert [end.result for end in seen.ended] == ["ok"]
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event, /) -> None:
        """Keep ``event``."""
        self.events.append(event)

    def of(self, kind: type[E], /) -> list[E]:
        """Those of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def calls(self) -> list[CallStarted]:
        """The calls that began."""
        return self.of(CallStarted)

    @property
    def ended(self) -> list[CallEnded]:
        """How the calls ended; one for each call."""
        return self.of(CallEnded)

    def clear(self) -> None:
        """Forget what was seen."""
        self.events.clear()

    def __repr__(self) -> str:
        return f"<RecordingObserver {len(self.events)} events>"
