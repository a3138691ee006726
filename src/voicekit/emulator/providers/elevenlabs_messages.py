"""The grammar of ElevenLabs' speech sockets: a client's JSON text frame to a checked value.

Written from the vendor's AsyncAPI pages and the message types of its SDK; nothing here does I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicekit.emulator.providers.elevenlabs_request import (
    ADVISED_SPEED,
    RATIO_SETTINGS,
    SPEED_NOTE,
)
from voicekit.emulator.providers.elevenlabs_schedule import SCHEDULE_LIMITS

KNOWN_FIELDS = frozenset(
    {
        "text",
        "try_trigger_generation",
        "flush",
        "voice_settings",
        "generation_config",
        "pronunciation_dictionary_locators",
        "xi_api_key",
        "xi-api-key",
        "authorization",
    }
)
CONTEXT_FIELDS = frozenset({"context_id", "contextId", "close_context", "close_socket"})

POLICY_VIOLATION = 1008


class PolicyViolationError(Exception):
    """A message that the vendor answers with an error frame (token and prose) and a close."""

    def __init__(self, error: str, message: str, code: int = POLICY_VIOLATION) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.code = code

    def wire(self, context: str | None = None) -> dict[str, Any]:
        """Return the error frame; with the context's id when it concerns one."""
        frame: dict[str, Any] = {"message": self.message, "error": self.error, "code": self.code}
        if context is not None:
            frame["contextId"] = context
        return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """What may be set by the first message only. None and absent fields are the same."""

    voice_settings: Mapping[str, Any] | None = None
    generation_config: Mapping[str, Any] | None = None
    pronunciation_dictionary_locators: tuple[Any, ...] | None = None

    @property
    def schedule(self) -> tuple[int, ...] | None:
        """The chunk lengths asked for, in characters."""
        counts = (self.generation_config or {}).get("chunk_length_schedule")
        return tuple(counts) if counts else None

    def changed_by(self, later: ContextSettings) -> str | None:
        """Return the name of a field that a later message changes; repeating it is no change."""
        for name in self.__slots__:
            value = getattr(later, name)
            if value and value != getattr(self, name):
                return name
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMessage:
    """One client message.

    Attributes:
        text: None when absent. On single-context sockets "" ends the utterance, on multi-context
            ones it only resets the inactivity clock.
        context: None for the default context.
        credential: A key or bearer token sent in the message instead of a header.
        notes: Advice that the client ignored.
    """

    text: str | None = None
    context: str | None = None
    flush: bool = False
    trigger: bool = False
    close_context: bool = False
    close_socket: bool = False
    settings: ContextSettings = field(default_factory=ContextSettings)
    credential: str | None = None
    notes: tuple[str, ...] = ()


def parse(raw: str | bytes, *, multi: bool) -> ClientMessage:
    """Parse and check one client frame; a binary one is no message of this grammar.

    Raises:
        PolicyViolationError: Not a JSON object, a field of the wrong type, or a value out of range.
    """
    fields = _json_object(raw)
    known = KNOWN_FIELDS | CONTEXT_FIELDS if multi else KNOWN_FIELDS
    notes = [f"unknown field {name!r} ignored" for name in fields if name not in known]
    context = fields.get("context_id", fields.get("contextId")) if multi else None
    if context is not None and not isinstance(context, str):
        raise _invalid("context_id must be a string")
    text = fields.get("text")
    if text is not None and not isinstance(text, str):
        raise _invalid("text must be a string")
    if text is None and not multi:
        raise _invalid("text is required")
    settings = _settings(fields, notes)
    if text and not text.endswith(" "):
        notes.append("text does not end with a space: words of two messages may merge")
    return ClientMessage(
        text=text,
        context=context,
        flush=_flag(fields, "flush"),
        trigger=_flag(fields, "try_trigger_generation"),
        close_context=multi and _flag(fields, "close_context"),
        close_socket=multi and _flag(fields, "close_socket"),
        settings=settings,
        credential=_credential(fields),
        notes=tuple(notes),
    )


def _json_object(raw: str | bytes) -> dict[str, Any]:
    if isinstance(raw, bytes):
        raise _invalid("messages must be JSON text frames")
    try:
        fields = json.loads(raw)
    except ValueError:
        raise _invalid("message is not valid JSON") from None
    if not isinstance(fields, dict):
        raise _invalid("message must be a JSON object")
    return fields


def _settings(fields: Mapping[str, Any], notes: list[str]) -> ContextSettings:
    voice = _mapping(fields, "voice_settings")
    for name in RATIO_SETTINGS:
        value = (voice or {}).get(name)
        if value is not None and not (_number(value) and 0 <= value <= 1):
            raise _invalid(f"voice_settings.{name} must be between 0 and 1")
    speed = (voice or {}).get("speed")
    if speed is not None:
        if not _number(speed):
            raise _invalid("voice_settings.speed must be a number")
        if not ADVISED_SPEED[0] <= speed <= ADVISED_SPEED[1]:
            notes.append(SPEED_NOTE)
    generation = _mapping(fields, "generation_config")
    counts = (generation or {}).get("chunk_length_schedule")
    low, high = SCHEDULE_LIMITS
    if counts is not None and not (
        isinstance(counts, list)
        and counts
        and all(_number(count) and low <= count <= high for count in counts)
    ):
        raise _invalid(f"chunk_length_schedule takes counts between {low} and {high}")
    locators = fields.get("pronunciation_dictionary_locators")
    if locators is not None and not isinstance(locators, list):
        raise _invalid("pronunciation_dictionary_locators must be a list")
    return ContextSettings(
        voice_settings=voice,
        generation_config=generation,
        pronunciation_dictionary_locators=None if locators is None else tuple(locators),
    )


def _credential(fields: Mapping[str, Any]) -> str | None:
    """Return the key; the specification spells it with hyphens, its examples with underscores."""
    for name in ("xi_api_key", "xi-api-key", "authorization"):
        value = fields.get(name)
        if isinstance(value, str) and value:
            scheme, _, token = value.partition(" ")
            return token if scheme.lower() == "bearer" and token else value
    return None


def _mapping(fields: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise _invalid(f"{name} must be an object")
    return value or None


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise _invalid(f"{name} must be a boolean")
    return bool(value)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _invalid(message: str) -> PolicyViolationError:
    return PolicyViolationError("invalid_input_message", message)
