"""What an agent is scripted to do in a turn, and how its event stream is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTurn:
    """One scripted turn of an agent.

    Attributes:
        text: What the agent says. Of a streamed turn it comes in chunks, and once more whole.
        chunks: The exact deltas of the text, when the split itself matters; `()` is a turn
            without any. None splits the text as the scenario says.
        progress: Texts of the progress indicators that come before the first text.
        retracted: Deltas that are said first, and then declared void by a
            `ValidationFailureChunk`; the text follows.
        interludes: Messages sent between the chunks and the end of a streamed turn, as they
            are written here: those of an unknown type, for one.
        messages: What the turn answers in place of one `Inform`: mappings with a `type`
            (`Inform`, `Inquire`, `Confirm`, `Failure`, `Escalate`, `SessionEnded`, `Error`, or
            any other) and whatever else is to differ; the fields that its type always has are
            filled in, `message` with the text. After `SessionEnded` the session is gone.
    """

    text: str = ""
    chunks: tuple[str, ...] | None = None
    progress: tuple[str, ...] = ()
    retracted: tuple[str, ...] = ()
    interludes: tuple[Mapping[str, Any], ...] = ()
    messages: tuple[Mapping[str, Any], ...] | None = None


AgentReplies = str | AgentTurn | Mapping[str, str | AgentTurn] | Callable[[str], str | AgentTurn]
"""One answer, a mapping by the user's text (its default under ""), or a function of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFraming:
    """How the event stream is written: whatever its specification allows a server to choose.

    Attributes:
        line_end: Ends a line.
        wrapped: Whether an `INFORM` holds the envelope of captured traffic, or, as in the
            vendor's guide, `{"messages": […], "_links": {…}}`.
        offsets: Whether the offsets of chunks count chunks or characters; the vendor does not
            say.
        heartbeat_every: Seconds between comments while nothing else is sent, the first one at
            once; None is none.
        piece_bytes: Bytes written at a time, whatever they cut apart; None is whole events.
    """

    line_end: Literal["\n", "\r\n", "\r"] = "\n"
    wrapped: bool = True
    offsets: Literal["chunks", "characters"] = "chunks"
    heartbeat_every: float | None = None
    piece_bytes: int | None = None
