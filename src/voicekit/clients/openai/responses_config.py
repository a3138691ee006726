"""Settings of a response: options checked, those of a chat beneath them, frozen once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from voicekit import checks
from voicekit.checks import Check, without, wrong
from voicekit.clients.openai.config import ROLES, JsonRequest, model_of
from voicekit.clients.openai.responses_options import (
    CHECKS,
    DEFAULT_STREAM_OPTIONS,
    RESPONSES_PATH,
    SAME_AS_CHAT,
)
from voicekit.clients.settings import EXTRAS, Settings, json_of
from voicekit.clients.urls import query_of
from voicekit.errors import InvalidArgumentError

if TYPE_CHECKING:
    from voicekit.clients.openai.config import ChatSettings
    from voicekit.operation import Limits
    from voicekit.resilience.policies import Policies

Input = str | Sequence[Mapping[str, Any]]
"""Items in the vendor's shape (messages, calls and their outputs), or one user's text."""

_CONTENT: Final = "input or options"
_DELIVERY: Final = dict.fromkeys(
    ("stream", "stream_options"), "respond() or stream_response(), and the option stream_options"
)
"""Fields that say how the answer comes, not which: the method called decides them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRequest(JsonRequest):
    """What will be asked: validated, and JSON already, so that nothing changes it any more.

    Made by ``OpenAIClient.response_request()``; may be sent any number of times.

    Attributes:
        model: Which model is asked.
        body: JSON of everything but how the answer is delivered.
        stream_options: JSON of that field, sent with streams only; None is not to send it.
    """

    path: ClassVar[str] = RESPONSES_PATH

    model: str
    body: str = field(repr=False)
    stream_options: str | None = field(default=None, repr=False)
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    @property
    def input(self) -> Input:
        """What is asked, as it will be sent; a copy."""
        asked: Input = json.loads(self.body)["input"]
        return asked


class ResponseSettings(Settings):
    """Checked options of a response."""

    purpose = "a response"
    option_checks = CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {**EXTRAS, "extra_body": without(_DELIVERY)}

    def _displaced(self, given: Mapping[str, Any]) -> Collection[str]:
        # Both say what comes before, and the vendor takes one.
        pair = ("previous_response_id", "conversation")
        return pair if any(given.get(name) is not None for name in pair) else ()

    def request(self, asked: Input, chat: ChatSettings) -> ResponseRequest:
        """Freeze these settings with what is asked.

        Raises:
            InvalidArgumentError: No model was named, the input is empty or holds no items,
                or two options exclude each other.
        """
        options = {**self.options, **_of_chat(chat.options, self.options)}
        body = {name: value for name, value in options.items() if value is not None}
        body.pop("stream_options", None)
        if "previous_response_id" in body and "conversation" in body:
            raise InvalidArgumentError(
                "exclude each other",
                argument="previous_response_id, conversation",
                allowed="one of both",
            )
        body["input"] = _items(asked)
        body.update(self.extra_body)
        stream_options = self.options.get("stream_options", DEFAULT_STREAM_OPTIONS)
        return ResponseRequest(
            model=model_of(body),
            body=json_of(body, _CONTENT),
            stream_options=None if stream_options is None else json_of(stream_options, _CONTENT),
            query=query_of(self.extra_query),
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )


def _of_chat(chat: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """A chat's options in the words of a response, where ``ours`` name none."""
    options = {name: chat[name] for name in SAME_AS_CHAT if name in chat and name not in ours}
    if "max_completion_tokens" in chat and "max_output_tokens" not in ours:
        options["max_output_tokens"] = chat["max_completion_tokens"]
    for theirs, name, inner in (
        ("reasoning_effort", "reasoning", "effort"),
        ("verbosity", "text", "verbosity"),
    ):
        # A mapping for responses that does not name it leaves it to the chat's, too; but
        # None takes all of it back.
        wanted = ours.get(name, {})
        if chat.get(theirs) is not None and wanted is not None and inner not in wanted:
            options[name] = {inner: chat[theirs], **wanted}
    return options


def _items(asked: object) -> Input:
    if isinstance(asked, str):
        if not asked.strip():
            raise wrong("input", asked, "text that is not empty")
        return asked
    if not checks.is_sequence(asked) or not asked:
        raise wrong("input", asked, "a sequence of at least one item, or a str")
    for number, item in enumerate(asked):
        where = f"input[{number}]"
        if not isinstance(item, Mapping):
            raise wrong(where, item, "a mapping with role and content, or with a type")
        kind = item.get("type", "message")
        if not isinstance(kind, str):
            raise wrong(f"{where}.type", kind, "a str")
        if kind != "message":
            continue
        if item.get("role") not in ROLES:
            raise wrong(f"{where}.role", item.get("role"), ", ".join(ROLES))
        if not isinstance(item.get("content"), str | Sequence):
            raise wrong(f"{where}.content", item.get("content"), "a str or a list of parts")
    return asked
