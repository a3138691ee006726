"""Variables of a session: Python values as the wire's ``{"name", "type", "value"}``.

Source: Agentforce fact sheet of 2026-11, §5.2.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from voicekit import checks
from voicekit.checks import wrong
from voicekit.errors import InvalidArgumentError

TYPES: Final = (
    "Object",
    "Json",
    "Boolean",
    "Date",
    "DateTime",
    "Money",
    "Number",
    "Text",
    "Ref",
    "List",
)

LANGUAGE: Final = "$Context.EndUserLanguage"
"""The one context variable that may change after the start of a session."""

# Unverified which names exist; this one refuses what can be none.
_NAME: Final = re.compile(r"\$?[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*")
_MOST: Final = 128
_ALLOWED_NAME: Final = (
    "letters, digits, _ and dots, at most 128; a custom field of the context without its __c"
)
_ALLOWED_VALUE: Final = (
    "str, bool, int, float, Decimal, date, datetime with a time zone, sequence, mapping, "
    "or Variable(type, value)"
)


@dataclass(frozen=True, slots=True)
class Variable:
    """A value whose type Python does not tell: ``Variable("Money", "12.50")``.

    Attributes:
        type: One of ``Object``, ``Json``, ``Boolean``, ``Date``, ``DateTime``, ``Money``,
            ``Number``, ``Text``, ``Ref``, ``List``.
        value: As it goes out.

    Raises:
        InvalidArgumentError: There is no such type.
    """

    type: str
    value: Any = field(repr=False)

    def __post_init__(self) -> None:
        checks.word(*TYPES)("type", self.type)


def variables(name: str, value: Any) -> dict[str, dict[str, Any]]:
    """Check variables by name; their normal form is what goes out, by name.

    Raises:
        InvalidArgumentError: A name or a value is not allowed; shows neither value.
    """
    if not isinstance(value, Mapping):
        raise wrong(name, value, "a mapping of names to values")
    return {key: _one(name, key, each) for key, each in value.items()}


def changeable(name: str, value: Any) -> dict[str, dict[str, Any]]:
    """The same for a message: of the context, only the language may change then.

    Raises:
        InvalidArgumentError: As for ``variables``, or one is read-only by now.
    """
    found = variables(name, value)
    for key in found:
        if key.lower().startswith("$context.") and key.lower() != LANGUAGE.lower():
            raise InvalidArgumentError(
                "is read-only after the session's start",
                argument=f"{name}[{key!r}]",
                allowed=f"{LANGUAGE}, and variables of the agent",
            )
    return found


def _one(argument: str, name: object, value: Any) -> dict[str, Any]:
    if not isinstance(name, str) or len(name) > _MOST or not _NAME.fullmatch(name):
        raise wrong(f"{argument} name", name, _ALLOWED_NAME)
    if name.lower().startswith("$context.") and name.endswith("__c"):
        raise wrong(f"{argument} name", name, _ALLOWED_NAME)
    kind, plain = _typed(f"{argument}[{name!r}]", value)
    return {"name": name, "type": kind, "value": plain}


def _typed(argument: str, value: Any) -> tuple[str, Any]:
    match value:
        case Variable(kind, plain):
            return kind, plain
        case bool():
            return "Boolean", value
        case int():
            return "Number", value
        case float() if math.isfinite(value):
            return "Number", value
        case Decimal() if value.is_finite():
            return "Number", float(value)
        case str():
            return "Text", value
        case dt.datetime() if value.tzinfo is not None:
            return "DateTime", value.isoformat()
        case dt.date() if not isinstance(value, dt.datetime):
            return "Date", value.isoformat()
        case Mapping():
            return "Object", dict(value)
        case _ if checks.is_sequence(value):
            return "List", list(value)
    raise wrong(argument, value, _ALLOWED_VALUE)
