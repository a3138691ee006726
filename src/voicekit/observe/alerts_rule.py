"""What a rule says, and when it holds: pure, on a clock that is handed in.

::

    well ──bad──▶ pending ──bad for `lasting`──▶ firing
      ▲             │                              │  ▲
      └────well─────┘                              │  └──bad──┐
      ▲                                           good         │
      └──────────good for `clear_lasting`────── clearing ──────┘

Between ``above`` and ``clear_at`` lies neither good nor bad: a firing alert stays, and one that is
not does not come.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from voicekit import checks
from voicekit.errors import InvalidArgumentError

Value = float | int | str | bool | None

_MOST: Final = 256
"""Places that a path with stars may lead to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When somebody is to be told.

    One of ``above``, ``below`` and ``equals`` says what is bad.

    Attributes:
        name: For people and for whoever sorts alerts.
        value: Where to look: a path of keys, such as ``"total_time.recent.p95"``, in the
            snapshot of ``Metrics``; that of a health report is under ``health``. A star stands for
            every key, ``"operations.*.*.recent.error_rate"``, and each place has an alert of its
            own. Or a function of that mapping.
        above: Bad from beyond this number.
        below: Bad from under this number.
        equals: Bad when it is this, or one of these.
        clear_at: The number at which it is good again; the threshold by default. A gap between
            both keeps what hovers about the threshold from firing again and again.
        lasting: Seconds for which it must be bad before it fires.
        clear_lasting: Seconds for which it must be good before it is resolved.
        severity: ``"warning"``, ``"critical"``, or a word of your own.
        summary: A sentence for whoever is woken up.

    Raises:
        InvalidArgumentError: There is not one condition, or an argument makes no sense.

    Example:
        >>> Rule(name="slow answers", value="total_time.recent.p95", above=6.0, clear_at=5.0,
        ...      lasting=60)
        >>> Rule(name="provider down", value="health.clients.*.state", equals="down", lasting=30,
        ...      severity="critical")
    """

    name: str
    value: str | Callable[[Mapping[str, Any]], Value]
    above: float | None = None
    below: float | None = None
    equals: str | bool | int | tuple[str | bool | int, ...] | None = None
    clear_at: float | None = None
    lasting: float = 0.0
    clear_lasting: float = 0.0
    severity: str = "warning"
    summary: str = ""

    def __post_init__(self) -> None:
        checks.text_up_to(200)("name", self.name)
        checks.text("severity", self.severity)
        if not callable(self.value):
            path = checks.text("value", self.value)
            if not all(path.split(".")):
                raise checks.wrong("value", path, "keys with dots between them, or a function")
        given = [name for name in ("above", "below", "equals") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidArgumentError(
                f"got {' and '.join(given) or 'none'}",
                argument="above, below, equals",
                allowed="one of them",
            )
        for name in ("above", "below", "clear_at"):
            number = getattr(self, name)
            if number is not None and not (checks.is_number(number) and math.isfinite(number)):
                raise checks.wrong(name, number, "a number")
        for name in ("lasting", "clear_lasting"):
            checks.number(0.0, 7 * 86400.0)(name, getattr(self, name))
        clear = self.clear_at
        fine = (
            clear is None
            or (self.above is not None and clear <= self.above)
            or (self.below is not None and clear >= self.below)
        )
        if not fine:
            raise checks.wrong("clear_at", clear, "a number on the good side of the other")

    def judge(self, value: Value) -> Literal["bad", "good", "between"]:
        """What a value is. One that is not there is good: of nothing nothing is wrong."""
        if self.equals is not None:
            bad = self.equals if isinstance(self.equals, tuple) else (self.equals,)
            return "bad" if value is not None and value in bad else "good"
        if not checks.is_number(value) or math.isnan(value):
            return "good"
        if self.above is not None:
            limit, clear = self.above, self.clear_at
            bad_now, good_now = value > limit, value <= (limit if clear is None else clear)
        else:
            assert self.below is not None  # noqa: S101 - checked above
            limit, clear = self.below, self.clear_at
            bad_now, good_now = value < limit, value >= (limit if clear is None else clear)
        return "bad" if bad_now else "good" if good_now else "between"


@dataclass(slots=True)
class Condition:
    """One place at which a rule looks, and since when it has been how.

    Attributes:
        firing: Whether somebody is to be told.
        value: The last one seen.
        worst: The one furthest beyond, since it became bad; the first one where none is further.
        since: When it began to be bad, while it is or was.
        seen_at: When it was last looked at.
    """

    rule: Rule
    place: str
    firing: bool = False
    value: Value = None
    worst: Value = None
    since: float = 0.0
    seen_at: float = 0.0
    _bad_from: float | None = field(default=None)
    _good_from: float | None = field(default=None)

    def see(self, value: Value, now: float) -> None:
        """The value now."""
        self.value, self.seen_at = value, now
        verdict = self.rule.judge(value)
        if verdict == "bad":
            self._good_from = None
            if self._bad_from is None:
                self._bad_from = now
                if not self.firing:
                    self.since, self.worst = now, value
            worst = self.worst
            if checks.is_number(value) and checks.is_number(worst):
                further = max if self.rule.above is not None else min
                self.worst = further(value, worst)
            if now - self._bad_from >= self.rule.lasting:
                self.firing = True
        elif verdict == "good":
            self._bad_from = None
            if self._good_from is None:
                self._good_from = now
            if now - self._good_from >= self.rule.clear_lasting:
                self.firing = False
        else:
            self._bad_from = self._good_from = None

    @property
    def idle(self) -> bool:
        """Whether nothing is to be remembered of it."""
        return not self.firing and self._bad_from is None


def values_of(rule: Rule, seen: Mapping[str, Any]) -> dict[str, Value]:
    """What a rule looks at, by place; the place of a path without a star is empty."""
    if callable(rule.value):
        return {"": rule.value(seen)}
    keys = rule.value.split(".")
    return dict(itertools.islice(_walk(seen, keys, ()), _MOST))


def _walk(at: Any, keys: list[str], stars: tuple[str, ...]) -> Iterator[tuple[str, Value]]:
    if not keys:
        if at is None or isinstance(at, str | int | float | bool):
            yield "/".join(stars), at
        return
    if not isinstance(at, Mapping):
        return
    key, *rest = keys
    if key == "*":
        for name, below in at.items():
            yield from _walk(below, rest, (*stars, str(name)))
    elif key in at:
        yield from _walk(at[key], rest, stars)
