"""Settings: options checked, merged once, and frozen into a request."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from voicekit.clients.openai.options import (
    CHECKS,
    DEFAULT_STREAM_OPTIONS,
    ChatDefaults,
    ChatOptions,
    wrong,
)
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits

__all__ = [
    "CHAT_PATH",
    "ChatDefaults",
    "ChatOptions",
    "ChatRequest",
    "ChatSettings",
    "Messages",
    "account_headers",
    "base_url_of",
]

Messages = str | Sequence[Mapping[str, Any]]
"""A conversation in the vendor's shape, or the text of one user message."""

BASE_URL = "https://api.openai.com/v1"
REGIONS = ("us", "eu", "ae", "au", "in", "jp")
"""Keys of ``https://<key>.api.openai.com/v1``.

Source: SDK openai 3.52.0, _data_residency.py. That the project must have been made for
the region is unverified.
"""
CHAT_PATH = "/chat/completions"

_ROLES = ("developer", "system", "user", "assistant", "tool", "function")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_DELIVERY = ("stream", "stream_options")
"""Fields that say how the answer comes, not which: the method called decides them."""


def _plain(value: Any) -> Any:
    """Mappings and sequences of the caller's own kinds, as JSON knows them."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    raise TypeError


# UTF-8 as it is: shorter on the wire than escapes, and the vendor's SDK sends it so.
_dumps = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What will be asked: validated, and JSON already, so that nothing changes it any more.

    Made by ``OpenAIClient.request()``; may be sent any number of times.

    Attributes:
        model: Which model is asked.
        choices: How many choices the answer will hold.
        body: JSON of everything but how the answer is delivered.
        stream_options: JSON of that field, sent with streams only; None is not to send it.
        query: Encoded, without the question mark.
        headers: The caller's own; they may hold secrets.
        limits: Replaces the limits of the operation and of the client.
    """

    model: str
    choices: int = 1
    body: str = field(repr=False)
    stream_options: str | None = field(default=None, repr=False)
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation as it will be sent; a copy."""
        messages: list[dict[str, Any]] = json.loads(self.body)["messages"]
        return messages

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the answer. Holds content: never log it.

        Streamed or whole is no part of it: the answer is the same.
        """
        return json.dumps(
            {
                "provider": "openai",
                "path": CHAT_PATH,
                "query": self.query,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": json.loads(self.body),
            },
            sort_keys=True,
            separators=(",", ":"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """Checked options: the constructor's, or those with one call's on top.

    Attributes:
        options: The provider's own, by name.
        extra_query: Added to the URL.
        extra_headers: Added to the headers, over ours.
        extra_body: Added to the body, over ours.
        limits: Replaces the limits of the operation.
    """

    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra_query: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    limits: Limits | None = None

    def updated(self, given: Mapping[str, Any]) -> ChatSettings:
        """These settings with ``given`` on top; the extras are merged name by name.

        Raises:
            InvalidArgumentError: An option is unknown, or its value is not allowed.
        """
        if not given:
            return self
        options = dict(self.options)
        extras: dict[str, Any] = {}
        for name, value in given.items():
            if check := CHECKS.get(name):
                if value is not None:
                    check(name, value)
                options[name] = value
            elif extra := _EXTRAS.get(name):
                if value is not None:
                    extra(name, value)
                    extras[name] = {**getattr(self, name), **value}
            elif name == "limits":
                if value is not None and not isinstance(value, Limits):
                    raise wrong(name, value, "Limits(…)")
                extras[name] = value
            else:
                raise InvalidArgumentError(
                    "is no option of a chat",
                    argument=name[:64],
                    allowed=", ".join([*CHECKS, *_EXTRAS, "limits"]),
                )
        return replace(self, options=options, **extras)

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
        model, choices = body.get("model"), body.get("n", 1)
        if not isinstance(model, str) or not model:
            raise InvalidArgumentError(
                "is required, in the constructor or in the call",
                argument="model",
                allowed="the name of a model",
            )
        stream_options = self.options.get("stream_options", DEFAULT_STREAM_OPTIONS)
        return ChatRequest(
            model=model,
            choices=choices if isinstance(choices, int) else 1,
            body=_json_of(body),
            stream_options=None if stream_options is None else _json_of(stream_options),
            query=urlencode(self.extra_query, doseq=True) if self.extra_query else "",
            headers=self.extra_headers,
            limits=self.limits,
        )


def base_url_of(base_url: str | None, region: str | None) -> str:
    """Where the API is.

    Raises:
        InvalidArgumentError: The region is unknown, or both are given.
    """
    if region is None:
        return base_url or os.environ.get("OPENAI_BASE_URL") or BASE_URL
    if base_url is not None:
        raise InvalidArgumentError("has its own base_url", argument="region", allowed="one of both")
    if region not in REGIONS:
        raise wrong("region", region, ", ".join(REGIONS))
    return BASE_URL.replace("//", f"//{region}.", 1)


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
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise wrong(argument, value, "printable ASCII")
        headers[header] = value
    return headers


def _json_of(value: Mapping[str, Any]) -> str:
    try:
        text = _dumps(value)
        text.encode()  # a lone surrogate is no text, and only this finds it
    except (TypeError, ValueError, RecursionError):
        text = ""
    if not text:  # raised out here, because the errors above quote the content
        raise InvalidArgumentError(
            "hold something that is not JSON",
            argument="messages or options",
            allowed="str, int, float, bool, None, sequences and mappings",
        )
    return text


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
        if role not in _ROLES:
            raise wrong(f"{where}.role", role, ", ".join(_ROLES))
        # An assistant's message may consist of tool calls or a refusal alone.
        if role != "assistant" and not isinstance(message.get("content"), str | Sequence):
            raise wrong(f"{where}.content", message.get("content"), "a str or a list of parts")
        if role == "tool" and not isinstance(message.get("tool_call_id"), str):
            raise wrong(f"{where}.tool_call_id", message.get("tool_call_id"), "a str")
    return messages


def _extra_query(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise wrong(name, value, "a mapping")


def _extra_headers(name: str, value: Any) -> None:
    allowed = "a mapping of header names to printable ASCII"
    if not isinstance(value, Mapping):
        raise wrong(name, value, allowed)
    for header, text in value.items():
        if not isinstance(header, str) or not _HEADER_NAME.fullmatch(header):
            raise wrong(f"{name} key", header, allowed)
        if not isinstance(text, str) or not (text.isascii() and text.isprintable()):
            raise wrong(f"{name} value", text, allowed)


def _extra_body(name: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise wrong(name, value, "a mapping with str keys")
    for field_name in _DELIVERY:
        if field_name in value:
            raise InvalidArgumentError(
                "is not for extra_body",
                argument=f"{name}.{field_name}",
                allowed="chat() or stream_chat(), and the option stream_options",
            )


_EXTRAS = {
    "extra_query": _extra_query,
    "extra_headers": _extra_headers,
    "extra_body": _extra_body,
}
