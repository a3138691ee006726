"""Options, checked and merged once: what all clients' settings share, and how they freeze.

The tables of checks refuse only what a vendor documents; words and fields that are newer than
they are go through the extras.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Self

from voicekit import checks
from voicekit.checks import Check, wrong
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies

EXTRAS: Final[Mapping[str, Check]] = {
    "extra_query": checks.mapping,
    "extra_headers": checks.headers,
    "extra_body": checks.fields,
}
"""The check of each escape hatch, where a provider has no stricter one."""


_OF_THE_CALL: Final[Mapping[str, type]] = {"limits": Limits, "policies": Policies}
"""What says how a call is made, and nothing of what is asked for: no part of its identity."""


# No slots: subclasses keep what they work out, with cached_property.
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked options: the constructor's, or those with one call's on top.

    A provider's subclass gives the tables of checks, and names what they are options of
    (``purpose``, for the refusal of others).

    The extras are as ``Extras`` has them, limits and policies as ``CallOptions``.

    Attributes:
        options: The provider's own, by name.
    """

    purpose: ClassVar[str]
    option_checks: ClassVar[Mapping[str, Check]]
    extra_checks: ClassVar[Mapping[str, Check]] = EXTRAS

    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra_query: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    def updated(self, given: Mapping[str, Any]) -> Self:
        """These settings with ``given`` on top; the extras are merged name by name.

        None takes an option back, and leaves an extra as it was.

        Raises:
            InvalidArgumentError: An option is unknown, or its value is not allowed.
        """
        if not given:
            return self
        options = dict(self.options)
        for name in self._displaced(given):
            options.pop(name, None)
        others: dict[str, Any] = {}
        for name, value in given.items():
            if check := self.option_checks.get(name):
                options[name] = None if value is None else check(name, value)
            elif check := self.extra_checks.get(name):
                if value is not None:
                    others[name] = {**getattr(self, name), **check(name, value)}
            elif kind := _OF_THE_CALL.get(name):
                if value is not None and not isinstance(value, kind):
                    raise wrong(name, value, f"{kind.__name__}(…)")
                others[name] = value
            else:
                raise InvalidArgumentError(
                    f"is no option of {self.purpose}",
                    argument=name[:64],
                    allowed=", ".join([*self.option_checks, *self.extra_checks, *_OF_THE_CALL]),
                )
        return replace(self, options=options, **others)

    def _displaced(self, _given: Mapping[str, Any]) -> Collection[str]:
        """Earlier options that ``given`` makes void, beside those of the same name."""
        return ()


class Asked:
    """What a frozen request carries besides what is asked. Some have no query.

    Attributes:
        query: Encoded, without the question mark.
        headers: The caller's own; they may hold secrets.
        limits: Replaces the limits of the operation and of the client.
        policies: Replaces those of the client.
    """

    __slots__ = ()


class PlacedSettings(Settings):
    """Checked options of which some have an effect in one place only.

    Attributes:
        out_of_place: By place, the options that have no effect there, what they are, and what
            is allowed.
    """

    out_of_place: ClassVar[Mapping[str, tuple[Container[str], str, str]]]

    def updated(self, given: Mapping[str, Any], *, where: str | None = None) -> Self:
        """As the base's; an option that has no effect ``where`` it is given is refused, too.

        None is the constructor, whose options are for all places.
        """
        if not given:
            return self
        if where is not None:
            for name, value in given.items():
                self._check_place(name, value, where)
        return super().updated(given)

    def _check_place(self, name: str, _value: Any, where: str) -> None:
        names, what, allowed = self.out_of_place[where]
        if name in names:
            raise InvalidArgumentError(what, argument=name, allowed=allowed)


def split_above(shortest: int) -> Check:
    """The check of the option ``split``: whether, or the most characters of a part."""

    def check(name: str, value: Any) -> bool | int:
        if isinstance(value, bool):
            return value
        if not checks.is_integer(value) or value < shortest:
            raise wrong(name, value, f"a bool, or an int ≥ {shortest}")
        return value

    return check


def missing(argument: str, allowed: str) -> InvalidArgumentError:
    """The error for what neither the constructor nor the call names."""
    return InvalidArgumentError(
        "is required, in the constructor or in the call", argument=argument, allowed=allowed
    )


def base_url_of(
    base_url: str | None,
    region: str | None,
    *,
    env: str,
    default: str,
    regions: Mapping[str, str],
) -> str:
    """Where the API is: an address, else a region's, else the environment's, else the default.

    Raises:
        InvalidArgumentError: The region is unknown, or both are given.
    """
    if region is None:
        return base_url or os.environ.get(env) or default
    if base_url is not None:
        raise InvalidArgumentError("has its own base_url", argument="region", allowed="one of both")
    return regions[checks.word(*regions)("region", region)]


def identity_of(provider: str, headers: Mapping[str, str], **facts: object) -> str:
    """Canonical JSON text of all that can change an answer. Holds content: never log it."""
    lowered = {name.lower(): value for name, value in headers.items()}
    return json.dumps(
        {"provider": provider, "headers": lowered, **facts},
        sort_keys=True,
        separators=(",", ":"),
    )


def _plain(value: Any) -> Any:
    """Mappings and sequences of the caller's own kinds, as JSON knows them."""
    if isinstance(value, Mapping):
        return dict(value)
    if checks.is_sequence(value):
        return list(value)
    raise TypeError


# UTF-8 as it is: shorter on the wire than escapes, and the vendors' SDKs send it so.
dumps: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode
"""JSON text of a body; a lone surrogate passes, and is found where it is encoded."""


def json_of(value: Mapping[str, Any], argument: str) -> str:
    """JSON text of a body, which UTF-8 can carry.

    Raises:
        InvalidArgumentError: Something in it is not JSON; names ``argument``.
    """
    try:
        text = dumps(value)
        text.encode()  # a lone surrogate is no text, and only this finds it
    except (TypeError, ValueError, RecursionError):
        text = ""
    if not text:  # raised out here, because the errors above quote the content
        raise InvalidArgumentError(
            "hold something that is not JSON",
            argument=argument,
            allowed="str, int, float, bool, None, sequences and mappings",
        )
    return text
