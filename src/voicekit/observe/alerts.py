"""``Alerts``: tells somebody when something goes wrong, and when it is over. Once each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

from voicekit import checks
from voicekit.errors import ClosedError, InvalidArgumentError
from voicekit.observe.alerts_outbox import Outbox
from voicekit.observe.alerts_rule import Condition, Rule, Value, values_of
from voicekit.tasks import Background, at_most

if TYPE_CHECKING:
    from voicekit.observe.health_report import HealthReport

__all__ = ["Alert", "Alerts", "Rule", "Send"]

_log = logging.getLogger("voicekit.observe")

_MOST: Final = 1024
"""Places that are looked at, of all rules together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What ``send`` is given.

    Attributes:
        rule: Its name.
        place: What the stars of the rule's path stood for, with slashes; empty without any.
        state: ``"firing"`` or ``"resolved"``.
        severity: The rule's.
        summary: The rule's.
        value: The value now.
        worst: The furthest beyond that it was.
        threshold: What it is compared with.
        since: When it became bad.
        at: Now.
    """

    rule: str
    place: str
    state: Literal["firing", "resolved"]
    severity: str
    summary: str
    value: Value
    worst: Value
    threshold: Any
    since: datetime
    at: datetime

    def __str__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        shown = f"{self.value:.4g}" if isinstance(self.value, float) else self.value
        return f"{self.state}: {self.rule}{where}: {shown}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "since": self.since.isoformat(timespec="seconds"),
            "at": self.at.isoformat(timespec="seconds"),
        }


Send = Callable[[Alert], Awaitable[object]]
"""Tells somebody. What it raises is logged by type, and it is asked again later."""


class Snapshots(Protocol):
    """What has a snapshot: ``Metrics``."""

    def snapshot(self) -> dict[str, Any]:
        """Everything as plain values."""
        ...


class Checks(Protocol):
    """What can be asked how it is: ``Health``."""

    async def check(self) -> HealthReport:
        """How it is."""
        ...


class Alerts:
    """Looks at metrics and health, and sends a message when a rule begins or ceases to hold.

    Only changes are sent. One alert sends at most one message in ``least_gap`` seconds: what comes
    and goes in between is left out, and nobody hears of it twice. A ``send`` that fails or takes
    too long is repeated, after 1, 2, 4 … 60 seconds, with what is true by then; nothing else is
    held up by it. Memory is bounded.

    Used with ``async with``, or ``start()`` and ``aclose()``. Belongs to one event loop.

    Args:
        rules: Each with a name of its own.
        send: Tells somebody: an async function of an ``Alert``.
        metrics: Whose snapshot is looked at.
        health: Whose report is looked at, under ``health``.
        every: Seconds between two looks.
        least_gap: Seconds between two messages of the same alert.
        send_timeout: Seconds that ``send`` may take.

    Raises:
        InvalidArgumentError: An argument makes no sense.

    Example:
        >>> rules = [Rule(name="slow", value="total_time.recent.p95", above=6.0, lasting=60)]
        >>> async with Alerts(rules, send=post_to_slack, metrics=metrics, health=status):
        ...     await serve()
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        send: Send,
        metrics: Snapshots | None = None,
        health: Checks | None = None,
        every: float = 10.0,
        least_gap: float = 60.0,
        send_timeout: float = 10.0,
    ) -> None:
        checks.sequence_of(Rule, "Rule(…)")("rules", rules)
        self._rules = tuple(rules)
        if len({rule.name for rule in self._rules}) != len(self._rules):
            raise InvalidArgumentError("two have the same name", argument="rules")
        if not callable(send):
            raise checks.wrong("send", send, "an async function of an Alert")
        if metrics is None and health is None:
            raise InvalidArgumentError(
                "there is nothing to look at", argument="metrics, health", allowed="one or both"
            )
        self._metrics, self._health = metrics, health
        self._every = checks.number(0.01, 86400.0)("every", every)
        self._outbox = Outbox(
            send,
            least_gap=checks.number(0.0, 86400.0)("least_gap", least_gap),
            timeout=checks.number(0.01, 600.0)("send_timeout", send_timeout),
        )
        self._conditions: dict[tuple[str, str], Condition] = {}
        self._background = Background()
        self._started = self._closed = False

    @property
    def firing(self) -> tuple[tuple[str, str], ...]:
        """Rule and place of what is wrong now, whether it was sent or not."""
        return tuple(key for key, each in self._conditions.items() if each.firing)

    @property
    def unsent(self) -> int:
        """Messages that wait: since ``send`` fails, or for ``least_gap``."""
        return len(self._outbox)

    @property
    def failures(self) -> int:
        """How often ``send`` failed."""
        return self._outbox.failures

    async def check(self) -> None:
        """Look once, now. What has changed is sent in the background.

        Raises:
            ClosedError: It is closed.
        """
        self._check_open()
        seen: dict[str, Any] = {}
        if self._metrics is not None:
            seen.update(self._metrics.snapshot())
        if self._health is not None:
            seen["health"] = (await self._health.check()).to_dict()
        now = asyncio.get_running_loop().time()
        at = datetime.now(UTC)
        for rule in self._rules:
            self._apply(rule, seen, now, at)
        for key in [key for key, each in self._conditions.items() if each.idle]:
            del self._conditions[key]
        self._outbox.forget(now)
        if len(self._outbox) and not self._outbox.running:
            self._outbox.running = True
            self._background.spawn(self._outbox.run(), "voicekit-alerts-send")

    def _apply(self, rule: Rule, seen: Mapping[str, Any], now: float, at: datetime) -> None:
        try:
            found = values_of(rule, seen)
        except Exception as error:  # noqa: BLE001 - one rule must not stop the others
            _log.warning("the value of rule %r failed: %s", rule.name, type(error).__name__)
            return
        for place, value in found.items():
            key = (rule.name, place)
            condition = self._conditions.get(key)
            if condition is None:
                if rule.judge(value) != "bad" or len(self._conditions) >= _MOST:
                    continue
                condition = self._conditions[key] = Condition(rule, place)
            self._see(condition, value, now, at)
        for (name, place), condition in self._conditions.items():
            if name == rule.name and place not in found:
                self._see(condition, None, now, at)  # it is no longer there

    def _see(self, condition: Condition, value: Value, now: float, at: datetime) -> None:
        was = condition.firing
        condition.see(value, now)
        if condition.firing != was:
            key = (condition.rule.name, condition.place)
            self._outbox.put(key, _alert(condition, now, at))

    def start(self) -> None:
        """Look every so often from now on. Needs a running event loop.

        Raises:
            ClosedError: It is closed.
        """
        self._check_open()
        if not self._started:
            self._started = True
            self._background.spawn(self._keep_looking(), "voicekit-alerts")

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self.check()
            except Exception as error:  # noqa: BLE001 - the next look may do better
                _log.warning("a look for alerts failed: %s", type(error).__name__)
            await asyncio.sleep(max(began + self._every - loop.time(), 0.01))

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the alerts are closed")

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self, seconds: float = 2.0) -> None:
        """Stop looking. May be called twice.

        Args:
            seconds: For what is still to be sent. What waits for ``least_gap`` is sent at once.
        """
        first, self._closed = not self._closed, True
        try:
            if first and len(self._outbox):
                await at_most(seconds, self._outbox.flush())
        finally:
            await self._background.aclose()

    def __repr__(self) -> str:
        return f"<Alerts of {len(self._rules)} rules, {len(self.firing)} firing>"


def _alert(condition: Condition, now: float, at: datetime) -> Alert:
    rule = condition.rule
    threshold = next(each for each in (rule.above, rule.below, rule.equals) if each is not None)
    return Alert(
        rule=rule.name,
        place=condition.place,
        state="firing" if condition.firing else "resolved",
        severity=rule.severity,
        summary=rule.summary,
        value=condition.value,
        worst=condition.worst,
        threshold=threshold,
        since=at - timedelta(seconds=max(now - condition.since, 0.0)),
        at=at,
    )
