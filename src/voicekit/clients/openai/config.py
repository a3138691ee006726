"""Settings: options checked, merged once, and frozen into a request."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from voicekit.checks import Check, is_header_text, without, wrong
from voicekit.clients.openai.errors import PROVIDER
from voicekit.clients.openai.options import (
    CHAT_PATH,
    CHECKS,
    DEFAULT_STREAM_OPTIONS,
    ChatDefaults,
    ChatOptions,
)
from voicekit.clients.settings import EXTRAS, Asked, Settings, identity_of, json_of, missing
from voicekit.clients.urls import query_of
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies

__all__ = [
    "BASE_URL",
    "CHAT_PATH",
    "REGIONS",
    "ROLES",
    "ChatDefaults",
    "ChatOptions",
    "ChatRequest",
    "ChatSettings",
    "Messages",
    "account_headers",
    "model_of",
]

Messages = str | Sequence[Mapping[str, Any]]
"""A conversation in the vendor's shape, or the text of one user message."""

BASE_URL = "https://api.openai.com/v1"
REGIONS: Final[Mapping[str, str]] = {
    key: f"https://{key}.api.openai.com/v1" for key in ("us", "eu", "ae", "au", "in", "jp")
}
"""Where data stays: the API's address by region.

Source: SDK openai 3.52.0, _data_residency.py. That the project must have been made for
the region is unverified.
"""
ROLES: Final = ("developer", "system", "user", "assistant", "tool", "function")
_DELIVERY = dict.fromkeys(
    ("stream", "stream_options"), "chat() or stream_chat(), and the option stream_options"
)
"""Fields that say how the answer comes, not which: the method called decides them."""


class JsonRequest(Asked):
    """What every request with a body of JSON can say of itself."""

    __slots__ = ()

    path: ClassVar[str]
    body: str
    query: str
    headers: Mapping[str, str]

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the answer. Holds content: never log it.

        Streamed or whole is no part of it: the answer is the same.
        """
        body = json.loads(self.body)
        return identity_of(PROVIDER, self.headers, path=self.path, query=self.query, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(JsonRequest):
    """What will be asked: validated, and JSON already, so that nothing changes it any more.

    Made by ``OpenAIClient.request()``; may be sent any number of times.

    Attributes:
        model: Which model is asked.
        choices: How many choices the answer will hold.
        body: JSON of everything but how the answer is delivered.
        stream_options: JSON of that field, sent with streams only; None is not to send it.
    """

    path: ClassVar[str] = CHAT_PATH

    model: str
    choices: int = 1
    body: str = field(repr=False)
    stream_options: str | None = field(default=None, repr=False)
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation as it will be sent; a copy."""
        messages: list[dict[str, Any]] = json.loads(self.body)["messages"]
        return messages


class ChatSettings(Settings):
    """Checked options of a chat."""

    purpose = "a chat"
    option_checks = CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {**EXTRAS, "extra_body": without(_DELIVERY)}

    def request(self, messages: Messages) -> ChatRequest:
        """Freeze these settings with a conversation.

        Raises:
            InvalidArgumentError: No model was named, the conversation is empty, or one
                of its messages is none.
        """
        body = {name: value for name, value in self.options.items() if value is not None}
        body.pop("stream_options", None)
        body["messages"] = _conversation(messages)
        body.update(self.extra_body)
        choices = body.get("n", 1)
        stream_options = self.options.get("stream_options", DEFAULT_STREAM_OPTIONS)
        return ChatRequest(
            model=model_of(body),
            choices=choices if isinstance(choices, int) else 1,
            body=json_of(body, "messages or options"),
            stream_options=None
            if stream_options is None
            else json_of(stream_options, "messages or options"),
            query=query_of(self.extra_query),
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )


def model_of(body: Mapping[str, Any]) -> str:
    """The model that a body names.

    Raises:
        InvalidArgumentError: It names none.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise missing("model", "the name of a model")
    return model


def account_headers(organization: str | None, project: str | None) -> dict[str, str]:
    """The headers that choose an account, from the arguments or the environment.

    Raises:
        InvalidArgumentError: An id holds what no header can.
    """
    headers = {}
    for argument, given, env, header in (
        ("organization", organization, "OPENAI_ORG_ID", "OpenAI-Organization"),
        ("project", project, "OPENAI_PROJECT_ID", "OpenAI-Project"),
    ):
        value = os.environ.get(env) if given is None else given
        if not value:
            continue
        if not is_header_text(value):
            raise wrong(argument, value, "printable ASCII")
        headers[header] = value
    return headers


def _conversation(messages: object) -> Sequence[Mapping[str, Any]]:
    if isinstance(messages, str):
        if not messages.strip():
            raise wrong("messages", messages, "text that is not empty")
        return [{"role": "user", "content": messages}]
    if not isinstance(messages, Sequence) or not messages:
        raise wrong("messages", messages, "a sequence of at least one message, or a str")
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, Mapping):
            raise wrong(where, message, "a mapping with role and content")
        role = message.get("role")
        if role not in ROLES:
            raise wrong(f"{where}.role", role, ", ".join(ROLES))
        # An assistant's message may consist of tool calls or a refusal alone.
        if role != "assistant" and not isinstance(message.get("content"), str | Sequence):
            raise wrong(f"{where}.content", message.get("content"), "a str or a list of parts")
        if role == "tool" and not isinstance(message.get("tool_call_id"), str):
            raise wrong(f"{where}.tool_call_id", message.get("tool_call_id"), "a str")
    return messages
