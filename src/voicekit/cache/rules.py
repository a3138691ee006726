"""What may be answered from a cache, and under which name: pure decisions, no I/O.

A rule says no with its name, which events and tests know it by. In doubt the answer is no:
that costs a call, the other way tells one customer what was said to another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voicekit.checks import is_number
from voicekit.speech import AgentAnswer, ChatResult

Scope = Mapping[str, Any] | Callable[["Question"], Mapping[str, Any]]


class NotCached(Exception):  # noqa: N818 - a decision, never a caller's error
    """This one goes to the provider; ``reason`` is the rule's name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, for the functions that a cache is given.

    Attributes:
        text: As it was asked.
        normalized: The one spelling that stands for it.
        turns: What was said before, oldest first: ``{"role": …, "content": …}``.
        key: Whose conversation it is, at an agent.
        variables: What was sent to the agent with the session and with this message.
        request: What a chat model is asked.
    """

    text: str = field(repr=False)
    normalized: str = field(repr=False)
    turns: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    key: str | None = field(default=None, repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    request: Any = field(default=None, repr=False)


def canonical(value: object, reason: str) -> str:
    """``value`` as JSON, one text for what is the same.

    Raises:
        NotCached: It cannot be, for ``reason``.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise NotCached(reason) from None


LONGEST_TTL: Final = 10 * 365 * 86_400.0


def lifetime(told: object) -> float:
    """For how many seconds to keep what was made, as a ``ttl=`` says; 0 for what is no number."""
    return float(min(told, LONGEST_TTL)) if is_number(told) and told > 0 else 0.0


# -- chats --

_LEADING: Final = ("system", "developer")
_SPOKEN: Final = ("user", "assistant")


def conversation_of(
    messages: Sequence[Mapping[str, Any]],
) -> tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...], Mapping[str, Any]]:
    """Instructions, what was said before, and the question.

    Raises:
        NotCached: ``"messages"``: it does not end with a question, or something else than people
            and a model speaks in it.
    """
    if not messages or messages[-1].get("role") != "user":
        raise NotCached("messages")
    begin = 0
    while messages[begin].get("role") in _LEADING:
        begin += 1
    before = tuple(messages[begin:-1])
    for each in before:
        if each.get("role") not in _SPOKEN or any(
            each.get(name) for name in ("tool_calls", "function_call", "audio")
        ):
            raise NotCached("messages")
    return tuple(messages[:begin]), before, messages[-1]


def spoken_part(message: Mapping[str, Any]) -> tuple[str, Callable[[str], Mapping[str, Any]]]:
    """The words of a message, and what makes the same message of other words.

    Raises:
        NotCached: ``"content"``: there is more than words in it.
    """
    content = message.get("content")
    if isinstance(content, str):
        return content, lambda text: {**message, "content": text}
    if isinstance(content, Sequence) and len(content) == 1:
        (part,) = content
        if isinstance(part, Mapping) and isinstance(text := part.get("text"), str):
            return text, lambda text: {**message, "content": [{**part, "text": text}]}
    raise NotCached("content")


_ACTING: Final = re.compile(
    r'(?<!\\)"(?:'
    r"(?:tools|functions|mcp_servers|previous_response_id|conversation"
    r'|prompt|audio|top_logprobs)"\s*:\s*(?!\s|null\b|\[\s*\]|\{\s*\}|0\b|"")'
    # Empty, it is how the option is passed.
    r'|web_search_options"\s*:\s*(?!\s|null\b)'
    r'|logprobs"\s*:\s*true'
    r'|n"\s*:\s*(?!1\b(?!\.)|null\b)\d'
    r")"
)
"""Names in a request with which a model may do something, knows more than it was told, or answers
with more than words: its own tools, a conversation that the provider keeps, several choices.
A quotation mark inside a text is escaped, so that no text is taken for a name."""


def acts(identity: str) -> bool:
    """Whether a request with this identity may do more than answer with words."""
    return _ACTING.search(identity) is not None


def unstorable_chat(result: ChatResult) -> str | None:
    """Why this answer is for nobody else, or None."""
    if result.cache is not None:
        return "cached"
    if result.tool_calls:
        return "tool_calls"
    if result.refusal:
        return "refusal"
    if result.finish_reason != "stop":
        return "finish_reason"
    return None if result.text.strip() else "empty"


# -- agents --


def unstorable_answer(answer: AgentAnswer) -> str | None:
    """Why this answer is for nobody else, or None."""
    if answer.cache is not None:
        return "cached"
    if not answer.plain:
        return "not_plain"
    if answer.ended:
        return "ended"
    return None if answer.text.strip() else "empty"
