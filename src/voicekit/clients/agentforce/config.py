"""Settings: options checked, merged once, and frozen into what goes out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from voicekit.checks import Check, text, without, wrong
from voicekit.clients.agentforce.errors import PROVIDER
from voicekit.clients.agentforce.options import MESSAGE_CHECKS, MESSAGE_TAKEN, SESSION_CHECKS
from voicekit.clients.settings import EXTRAS, Settings, identity_of, json_of
from voicekit.clients.urls import query_of
from voicekit.errors import InvalidArgumentError, MissingCredentialError
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies

API_URL: Final = "https://api.salesforce.com"
"""Where the API is when the token does not say. Source: sheet §2."""
API_PATH: Final = "/einstein/ai-agent/v1"

_ALLOWED_DOMAIN: Final = (
    "the org's My Domain: its name, such as acme or acme--uat.sandbox, or its address, such as "
    "https://acme.my.salesforce.com"
)
_LABELS: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
# Client credentials are refused there, or it is no host of the API at all. Source: sheet §2.
_NO_DOMAIN: Final = frozenset({"login.salesforce.com", "test.salesforce.com"})
_NO_DOMAINS: Final = (
    ".lightning.force.com",
    ".my.salesforce-setup.com",
    ".salesforce-setup.com",
    ".lightning.com",
)


def given_or_set(what: str, argument: str, given: Any) -> Any:
    """An argument, by default the environment's.

    Raises:
        MissingCredentialError: There is none.
    """
    env = f"AGENTFORCE_{argument.upper()}"
    value = os.environ.get(env) if given is None else given
    if value is None or value == "":
        raise MissingCredentialError(f"no {what}: pass {argument}= or set {env}", provider=PROVIDER)
    return value


def domain_of(domain: str | None) -> str:
    """The address of the org, without a trailing slash; ``AGENTFORCE_DOMAIN``'s by default.

    Raises:
        MissingCredentialError: There is none.
        InvalidArgumentError: It is no My Domain.
    """
    given = given_or_set("org", "domain", domain)
    if not isinstance(given, str):
        raise wrong("domain", given, _ALLOWED_DOMAIN)
    address = given.strip()
    if "://" not in address:
        host = address.rstrip("/").lower()
        if "." not in host or host.endswith(".sandbox"):
            host += ".my.salesforce.com"
        address = f"https://{host}"
    return _checked(address)


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, _port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    plain = parts.scheme in {"http", "https"} and parts.path in {"", "/"}
    if not plain or parts.query or parts.fragment or "@" in parts.netloc or not _is_host(host):
        raise InvalidArgumentError(
            "is no address of an org", argument="domain", allowed=_ALLOWED_DOMAIN
        )
    if host in _NO_DOMAIN or host.endswith(_NO_DOMAINS):
        raise InvalidArgumentError(
            f"{host} answers no agents", argument="domain", allowed=_ALLOWED_DOMAIN
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _is_host(host: str) -> bool:
    return bool(_LABELS.fullmatch(host)) or (":" in host and "%" not in host)


def api_url_of(named: object, domain: str) -> str:
    """Where the API is, as a token's ``api_instance_url`` says; the default if it says nothing.

    A token for an org over TLS is never taken to an address without.
    """
    if isinstance(named, str):
        try:
            parts = urlsplit(named.strip())
            fine = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        except ValueError:
            return API_URL
        schemes = {"https"} if domain.startswith("https:") else {"http", "https"}
        if fine and parts.scheme in schemes:
            return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    return API_URL


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """With what a session is started: validated, and JSON already.

    Made by ``AgentforceClient.session_request()``; may be used any number of times.

    Attributes:
        agent_id: Which agent.
        variables: Names of the variables that are fixed into it.
        body: JSON of everything but the key of the session, which is new for each.
        query: Encoded, without the question mark.
        headers: The caller's own; they may hold secrets.
        limits: Replaces the limits of the operation and of the client.
        policies: Replaces those of the client.
    """

    agent_id: str
    variables: tuple[str, ...] = ()
    body: str = field(repr=False)
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    @property
    def identity(self) -> str:
        """Canonical text of all that can change an answer. Holds content: never log it."""
        return identity_of(
            PROVIDER,
            self.headers,
            agent=self.agent_id,
            query=self.query,
            body=json.loads(self.body),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRequest:
    """One message to the agent: validated, and JSON already.

    Attributes:
        text: What is said.
        variables: Names of those that go with it.
        message: JSON of the message but its number, which is new for each attempt.
        rest: JSON of the body's other fields.
        query: Encoded, without the question mark.
        headers: The caller's own; they may hold secrets.
        limits: Replaces the limits of the operation and of the client.
        policies: Replaces those of the client.
    """

    text: str = field(repr=False)
    variables: tuple[str, ...] = ()
    message: str = field(repr=False)
    rest: str = field(default="{}", repr=False)
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the answer. Holds content: never log it."""
        return identity_of(
            PROVIDER,
            self.headers,
            query=self.query,
            message=json.loads(self.message),
            rest=json.loads(self.rest),
        )

    def body(self, number: int) -> bytes:
        """The body with the number of the message, which grows within a session."""
        rest = self.rest[1:-1]
        return (
            f'{{"message":{{"sequenceId":{number},{self.message[1:]}{"," + rest if rest else ""}}}'
        ).encode()


class _WithVariables(Settings):
    """Settings whose variables are merged name by name."""

    def updated(self, given: Mapping[str, Any]) -> Self:
        """See ``Settings.updated``."""
        settings = super().updated(given)
        before, now = self.options.get("variables"), settings.options.get("variables")
        if not before or not now or before is now:
            return settings
        options = {**settings.options, "variables": {**before, **now}}
        return replace(settings, options=options)


class SessionSettings(_WithVariables):
    """Checked options of a session."""

    purpose = "a session"
    option_checks = SESSION_CHECKS

    @property
    def agent(self) -> str:
        """The record id of the agent; empty where none was named."""
        return self.options.get("agent_id") or os.environ.get("AGENTFORCE_AGENT_ID") or ""

    def request(self, domain: str) -> SessionRequest:
        """Freeze these settings for an org.

        Raises:
            InvalidArgumentError: No agent was named.
        """
        options = self.options
        agent = self.agent
        if not agent:
            raise InvalidArgumentError(
                "is required, in the constructor, in the call, or as AGENTFORCE_AGENT_ID",
                argument="agent_id",
                allowed="the record id of an agent",
            )
        SESSION_CHECKS["agent_id"]("agent_id", agent)
        variables = options.get("variables") or {}
        bypass = options.get("bypass_user")
        body: dict[str, Any] = {
            "instanceConfig": {"endpoint": domain},
            "variables": list(variables.values()),
            # Deprecated in the reference, and still in all examples. Source: sheet §5.
            "featureSupport": "Streaming",
            # Without it no text comes before all of it is there. Source: sheet §7.
            "streamingCapabilities": {"chunkTypes": ["Text"]},
            "bypassUser": True if bypass is None else bypass,
        }
        if options.get("tz"):
            body["tz"] = options["tz"]
        body.update(self.extra_body)
        return SessionRequest(
            agent_id=agent,
            variables=tuple(variables),
            body=json_of(body, "variables or extra_body"),
            query=query_of(self.extra_query),
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )


class MessageSettings(_WithVariables):
    """Checked options of a message."""

    purpose = "a message"
    option_checks = MESSAGE_CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {**EXTRAS, "extra_body": without(MESSAGE_TAKEN)}

    def request(self, said: object) -> MessageRequest:
        """Freeze these settings with what is said.

        Raises:
            InvalidArgumentError: It is no text, or blank.
        """
        words = text("text", said)
        if not words.strip():
            raise wrong("text", words, "text that is not blank")
        variables = self.options.get("variables") or {}
        message: dict[str, Any] = {"type": "Text", "text": words}
        if self.options.get("in_reply_to"):
            message["inReplyToMessageId"] = self.options["in_reply_to"]
        rest = {"variables": list(variables.values()), **self.extra_body}
        return MessageRequest(
            text=words,
            variables=tuple(variables),
            message=json_of(message, "text"),
            rest=json_of(rest, "variables or extra_body"),
            query=query_of(self.extra_query),
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )


class RequestSettings(Settings):
    """Checked options of what has none but the extras: feedback, the end, the status."""

    purpose = "this request"
    option_checks: ClassVar[Mapping[str, Check]] = {}
