"""What an option's value may be, and the error that says so before any I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

from voicekit.errors import InvalidArgumentError

Check = Callable[[str, Any], Any]
"""Takes the option's name and value, returns the value's normal form, which most often is
the value itself; raises InvalidArgumentError."""


def wrong(name: str, value: object, allowed: str) -> InvalidArgumentError:
    """The error for a value. Shows numbers as they are; of all else only what it is."""
    if value is None or isinstance(value, bool | int | float):
        given = repr(value)[:40]
    elif isinstance(value, str | Sequence | Mapping):
        given = f"a {type(value).__name__} of length {len(value)}"
    else:
        given = f"a {type(value).__name__}"
    return InvalidArgumentError(f"got {given}", argument=name, allowed=allowed)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number, which a bool is in Python only."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: object) -> TypeGuard[int]:
    """Whether it is a whole number, which a bool is in Python only."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether it is several things; text and bytes are one."""
    return isinstance(value, Sequence) and not isinstance(
        value, str | bytes | bytearray | memoryview
    )


def is_header_text(value: object) -> TypeGuard[str]:
    """Whether a header can hold it, so that nobody writes a header of their own with it."""
    return isinstance(value, str) and value.isascii() and value.isprintable()


def no_options(options: Mapping[str, Any], *, allowed: str) -> None:
    """A finished request has its options already.

    Raises:
        InvalidArgumentError: There are more, and ``allowed`` says where they belong.
    """
    if options:
        names = ", ".join(options)[:200]
        text = "a finished request takes no further options"
        raise InvalidArgumentError(text, argument=names, allowed=allowed)


def text(name: str, value: Any) -> str:
    """Some text."""
    if not isinstance(value, str) or not value:
        raise wrong(name, value, "a str that is not empty")
    return value


UTF8: Final = "text that UTF-8 can carry (no lone surrogates)"


def encodable(name: str, value: str) -> str:
    """Some text, perhaps empty, that goes out as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        # Without the cause: it quotes the content.
        raise wrong(name, value, UTF8) from None
    return value


def text_up_to(most: int) -> Check:
    """Some text of at most this many characters."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise wrong(name, value, f"a str that is not empty, at most {most} characters")
        return value

    return check


def flag(name: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one."""
    if not isinstance(value, bool):
        raise wrong(name, value, "a bool")
    return value


def number(low: float, high: float = math.inf) -> Check:
    """A number, not below ``low`` and not above ``high``."""
    allowed = f"a number from {low:g} to {high:g}" if high < math.inf else f"a number ≥ {low:g}"

    def check(name: str, value: Any) -> float:
        if not is_number(value) or not low <= value <= high:
            raise wrong(name, value, allowed)
        return value

    return check


def integer(low: int, high: int | None = None) -> Check:
    """A whole number, not below ``low`` and not above ``high``."""
    allowed = f"an int from {low} to {high}" if high is not None else f"an int ≥ {low}"

    def check(name: str, value: Any) -> int:
        if not is_integer(value) or value < low or (high is not None and value > high):
            raise wrong(name, value, allowed)
        return value

    return check


def word(*words: str) -> Check:
    """One of these."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise wrong(name, value, ", ".join(words))
        return value

    return check


def mapping(name: str, value: Any) -> Mapping[Any, Any]:
    """A mapping, whatever it holds."""
    if not isinstance(value, Mapping):
        raise wrong(name, value, "a mapping")
    return value


def fields(name: str, value: Any) -> Mapping[str, Any]:
    """A mapping of names."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise wrong(name, value, "a mapping with str keys")
    return value


def sequence_of(kind: type, what: str, most: int | None = None) -> Check:
    """Several of a kind, at most ``most``; ``what`` is their plural."""
    allowed = f"a sequence of {what}" + (f", at most {most}" if most else "")

    def check(name: str, value: Any) -> Sequence[Any]:
        if not is_sequence(value) or (most and len(value) > most):
            raise wrong(name, value, allowed)
        if not all(isinstance(each, kind) for each in value):
            raise wrong(name, value, allowed)
        return value

    return check


def str_or(plain: Check, other: Check) -> Check:
    """A str that passes ``plain``, or what passes ``other``."""

    def check(name: str, value: Any) -> Any:
        return (plain if isinstance(value, str) else other)(name, value)

    return check


_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def headers(name: str, value: Any) -> Mapping[str, str]:
    """Headers that can be sent as they are."""
    allowed = "a mapping of header names to printable ASCII"
    if not isinstance(value, Mapping):
        raise wrong(name, value, allowed)
    for header, content in value.items():
        if not isinstance(header, str) or not _HEADER_NAME.fullmatch(header):
            raise wrong(f"{name} key", header, allowed)
        if not is_header_text(content):
            raise wrong(f"{name} value", content, allowed)
    return value


def without(taken: Mapping[str, str]) -> Check:
    """Fields, but none of those in ``taken``, which says for each what is to be used instead."""

    def check(name: str, value: Any) -> Mapping[str, Any]:
        given = fields(name, value)
        for field, instead in taken.items():
            if field in given:
                raise InvalidArgumentError(
                    f"is not for {name}", argument=f"{name}.{field}", allowed=instead
                )
        return given

    return check
