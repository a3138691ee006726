"""What ``TextStream.events()`` yields besides the text itself.

Text deltas of the first choice are plain ``str``, and token counts are a
``voicekit.Usage``; everything else that a chat stream says is one of these. None
shows what the model said in its repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """Text of a choice other than the first; only with ``n`` above 1."""

    text: str = field(repr=False)
    choice: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalDelta:
    """The model declines, and this is a piece of how it says so."""

    text: str = field(repr=False)
    choice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A tool call opens (with its id and name) or goes on (with more arguments).

    Attributes:
        index: Which of the answer's calls; later pieces carry nothing else to tell.
        id: Given back with the tool's result; None in later pieces.
        name: Which tool; None in later pieces.
        arguments: The next piece of the JSON text, or of a custom tool's input.
        choice: Which choice calls.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = field(default="", repr=False)
    choice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDelta:
    """A piece of a spoken answer; only with ``modalities=["text", "audio"]``.

    Attributes:
        data: Base64, as it came; None in pieces that hold a transcript only.
        transcript: What is spoken; None in pieces that hold audio only.
        choice: Which choice speaks.
    """

    data: str | None = field(default=None, repr=False)
    transcript: str | None = field(default=None, repr=False)
    choice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProbs:
    """Probabilities of the tokens beside it; only with ``logprobs=True``.

    Attributes:
        raw: The provider's own object, with ``content`` and ``refusal``.
        choice: Which choice it belongs to.
    """

    raw: Mapping[str, Any] = field(repr=False)
    choice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation:
    """The provider's verdict on input and output; only with ``moderation=…``."""

    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """A choice is complete.

    Attributes:
        reason: ``"stop"``, ``"length"``, ``"tool_calls"``, ``"content_filter"``,
            ``"function_call"`` or a newer word of the provider.
        choice: Which one.
    """

    reason: str
    choice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """A piece of what a model tells of its reasoning; of responses only.

    Attributes:
        text: The piece.
        index: Which of the response's output items.
        part: Which of the item's parts.
        summary: Whether it is of a summary, which is what most models tell; else of the
            reasoning itself.
    """

    text: str = field(repr=False)
    index: int = 0
    part: int = 0
    summary: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEvent:
    """An event of a response that is no delta of the above, whatever it is.

    Attributes:
        type: The provider's name of it, such as ``"response.output_item.done"``.
        raw: The provider's own object.
    """

    type: str
    raw: Mapping[str, Any] = field(repr=False)
