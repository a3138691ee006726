"""What an agent says in a turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicekit.speech.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.timing import ConnectionInfo, Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentProgress:
    """The agent is at work and has nothing to say yet: time for a filler phrase.

    Attributes:
        text: What it says that it does, for people to read; often empty.
        raw: The provider's own object.
    """

    text: str = field(repr=False)
    raw: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRetraction:
    """What the agent said so far in this turn is void: a filter of its own refused it.

    What is still in a queue must not be spoken; what was heard cannot be unsaid.

    Attributes:
        delivered_characters: How much of it iteration had handed out.
        raw: The provider's own object.
    """

    delivered_characters: int = 0
    raw: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAnswer(Evidence):
    """A whole turn of an agent, with the evidence of how it came about.

    Attributes:
        text: What it said; retracted text is not part of it.
        plain: Whether it is words and nothing else: no record, no action's result, no question
            back, no escalation. Only such an answer may be given to somebody else.
        ended: Whether the agent ended the session with it, or handed it over to a person.
        feedback_id: What feedback on this answer refers to, when the provider gives one.
        session_id: Of which session; empty for one from a cache.
        cache: ``"hit"`` or ``"joined"`` when it is a cache's, else None.
        attempts: How often it was put on a wire; 0 for one from a cache.
        raw: The provider's own messages, in order.
    """

    text: str = field(repr=False)
    plain: bool = False
    ended: bool = False
    feedback_id: str | None = None
    session_id: str = ""
    request_id: str | None = None
    cache: str | None = None
    timings: Timings | None = field(default=None, compare=False)
    connection: ConnectionInfo | None = field(default=None, compare=False)
    attempts: int = field(default=0, compare=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    raw: Any = field(default=None, repr=False, compare=False)
