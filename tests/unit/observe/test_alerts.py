"""Told once when it begins and once when it is over, whatever the value and the channel do."""

from __future__ import annotations

import asyncio
import json
import logging
from itertools import pairwise
from typing import Any

import pytest

from voicekit import Alerts, ClosedError, InvalidArgumentError
from voicekit.observe import Alert, Rule
from voicekit.observe.alerts_rule import Condition, values_of
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL


class Seen:
    """What is looked at: a number, in a snapshot."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def snapshot(self) -> dict[str, Any]:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value if isinstance(self.value, dict) else {"total": {"p95": self.value}}


class Channel:
    """Keeps what it is told; fails or waits if it is to."""

    def __init__(self) -> None:
        self.told: list[Alert] = []
        self.tried: list[float] = []
        self.fails = 0
        self.takes = 0.0
        self.error: BaseException = RuntimeError("what the channel said")

    async def __call__(self, alert: Alert) -> None:
        self.tried.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if self.fails:
            self.fails -= 1
            raise self.error
        self.told.append(alert)

    @property
    def words(self) -> list[str]:
        return [str(alert) for alert in self.told]


SLOW = Rule(name="slow", value="total.p95", above=5.0)


def alerts(*rules: Rule, seen: Seen, channel: Channel, **options: Any) -> Alerts:
    options = {"every": 10, "least_gap": 0.0} | options
    return Alerts(rules or (SLOW,), send=channel, metrics=seen, **options)


async def test_only_changes_are_told() -> None:
    """However long it lasts."""
    seen, channel = Seen(), Channel()
    async with alerts(seen=seen, channel=channel):
        await asyncio.sleep(35)
        seen.value = 7.0
        await asyncio.sleep(300)
        seen.value = 8.0
        await asyncio.sleep(300)
        seen.value = 1.0
        await asyncio.sleep(300)
    assert channel.words == ["firing: slow: 7", "resolved: slow: 1"]
    fired, resolved = channel.told
    assert (fired.threshold, fired.severity) == (5.0, "warning")
    assert resolved.worst == 8.0
    assert (resolved.at - resolved.since).total_seconds() == 600
    assert json.loads(json.dumps(resolved.to_dict()))["state"] == "resolved"


async def test_it_must_last() -> None:
    """A peak is none; and it must be good for as long as was said."""
    rule = Rule(name="slow", value="total.p95", above=5.0, lasting=60, clear_lasting=30)
    seen, channel = Seen(), Channel()
    async with alerts(rule, seen=seen, channel=channel):
        for value, seconds in ((9.0, 50), (1.0, 10), (9.0, 50), (1.0, 20)):
            seen.value = value
            await asyncio.sleep(seconds)
        assert channel.told == []
        seen.value = 9.0
        await asyncio.sleep(75)
        assert channel.words == ["firing: slow: 9"]
        for value in (1.0, 9.0, 1.0, 9.0):
            seen.value = value
            await asyncio.sleep(20)
        assert len(channel.told) == 1
        seen.value = 1.0
        await asyncio.sleep(45)
        assert channel.words[1:] == ["resolved: slow: 1"]


@pytest.mark.parametrize(
    ("rule", "values", "firing"),
    [
        (Rule(name="r", value="v", above=5, clear_at=3), [4, 6, 4, 6, 3], [0, 1, 1, 1, 0]),
        (Rule(name="r", value="v", below=5, clear_at=8), [6, 4, 6, 4, 8], [0, 1, 1, 1, 0]),
        (Rule(name="r", value="v", above=5), [5, 5.1, 5, None, 6], [0, 1, 0, 0, 1]),
        (Rule(name="r", value="v", above=5), [float("nan"), "x", True], [0, 0, 0]),
        (Rule(name="r", value="v", equals="down"), ["ok", "down", None, "down"], [0, 1, 0, 1]),
        (Rule(name="r", value="v", equals=("a", "b")), ["b", "a", "c"], [1, 1, 0]),
    ],
)
def test_hysteresis(rule: Rule, values: list[Any], firing: list[int]) -> None:
    """What lies between both thresholds changes nothing."""
    condition = Condition(rule, "")
    found = []
    for now, value in enumerate(values):
        condition.see(value, float(now))
        found.append(int(condition.firing))
    assert found == firing


async def test_what_flaps_does_not_flood() -> None:
    """At most one message in the gap; what came and went in between is left out."""
    seen, channel = Seen(), Channel()
    async with alerts(seen=seen, channel=channel, every=1, least_gap=60):
        for second in range(600):
            seen.value = 9.0 * (second % 2)
            await asyncio.sleep(1)
        seen.value = 0.0
        await asyncio.sleep(130)
    assert 2 <= len(channel.told) <= 13
    assert all(b - a >= 60 for a, b in pairwise(channel.tried))
    states = [alert.state for alert in channel.told]
    assert all(a != b for a, b in pairwise(states))
    assert states[-1] == "resolved"


async def test_a_channel_that_fails_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    """After longer and longer pauses; logged by type; nothing else suffers."""
    seen, channel = Seen(9.0), Channel()
    channel.fails = 9
    async with alerts(seen=seen, channel=channel) as running:
        await asyncio.sleep(70)
        assert running.firing == (("slow", ""),)
        assert running.unsent == 1
        await asyncio.sleep(600)
        assert running.unsent == 0
        assert running.failures == 9
    assert channel.words == ["firing: slow: 9"]
    pauses = [b - a for a, b in pairwise(channel.tried)]
    assert all(0.8 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses[:6]))
    assert all(48 <= pause <= 60 for pause in pauses[6:])
    assert "an alert could not be sent: RuntimeError" in caplog.text
    assert "what the channel said" not in caplog.text


async def test_they_hear_what_is_true_by_then() -> None:
    """Over before the channel works again: they may have heard, so they hear that it is over."""
    seen, channel = Seen(9.0), Channel()
    channel.fails = 5
    async with alerts(seen=seen, channel=channel):
        await asyncio.sleep(5)
        seen.value = 1.0
        await asyncio.sleep(200)
    assert [alert.state for alert in channel.told] == ["resolved"]
    assert channel.told[0].worst == 9.0


async def test_a_slow_channel_is_given_up_and_nothing_waits_for_it() -> None:
    """Looks go on; a message that takes too long counts as failed; changes meanwhile are kept."""
    seen, channel = Seen(9.0), Channel()
    channel.takes = 15.0
    async with alerts(seen=seen, channel=channel, every=1, send_timeout=10) as running:
        await asyncio.sleep(10.5)
        assert running.failures == 1
        channel.takes = 5.0
        await asyncio.sleep(3)
        seen.value = 1.0  # while it is being told of the trouble
        await asyncio.sleep(60)
    assert [alert.state for alert in channel.told] == ["firing", "resolved"]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyError("x")])
async def test_nothing_that_send_raises_ends_it(error: BaseException) -> None:
    """Not even a cancellation of its own."""
    seen, channel = Seen(9.0), Channel()
    channel.fails, channel.error = 1, error
    async with alerts(seen=seen, channel=channel) as running:
        await asyncio.sleep(5)
        assert channel.words == ["firing: slow: 9"]
        assert running.failures == 1


async def test_one_that_cannot_be_sent_does_not_hold_up_the_others() -> None:
    """They take turns."""
    seen = Seen({"a": 9, "b": 9})
    told: list[str] = []

    async def send(alert: Alert) -> None:
        if alert.rule == "a":
            raise ValueError
        told.append(alert.rule)

    rules = [Rule(name=name, value=name, above=5) for name in "ab"]
    async with Alerts(rules, send=send, metrics=seen, every=10):
        await asyncio.sleep(30)
        assert told == ["b"]


async def test_a_star_is_an_alert_of_its_own_each() -> None:
    """By place; what is no longer there is over."""
    rule = Rule(name="errors", value="ops.*.*.rate", above=0.5)
    seen = Seen({"ops": {"a": {"x": {"rate": 0.9}, "y": {"rate": 0.1}}, "b": {"x": {"rate": 0.8}}}})
    channel = Channel()
    async with alerts(rule, seen=seen, channel=channel):
        await asyncio.sleep(5)
        assert sorted(channel.words) == ["firing: errors (a/x): 0.9", "firing: errors (b/x): 0.8"]
        seen.value = {"ops": {"a": {"x": {"rate": 0.9}}}}
        await asyncio.sleep(10)
        assert channel.words[2:] == ["resolved: errors (b/x): None"]


def test_values() -> None:
    """A path, with or without stars; what is no value is not there; not without end."""

    def at(value: Any, tree: dict[str, Any]) -> dict[str, Any]:
        return values_of(Rule(name="r", value=value, above=1), tree)

    assert at("a.b", {"a": {"b": 2}}) == {"": 2}
    assert at("a.b", {"a": {"b": {"c": 1}}}) == {}
    assert at("a.b", {"a": 3}) == {}
    assert at("a.*", {"a": {"x": 1, "y": None, "z": [1]}}) == {"x": 1, "y": None}
    assert at(lambda tree: tree["a"] * 2, {"a": 3}) == {"": 6}
    assert len(at("*", {str(n): n for n in range(5000)})) == 256


async def test_memory_is_bounded() -> None:
    """New places all the time: what is over is forgotten."""
    rule = Rule(name="r", value="*.v", above=0)
    seen, channel = Seen(), Channel()
    running = alerts(rule, seen=seen, channel=channel)
    for n in range(3000):
        seen.value = {f"place{n}": {"v": 1}}
        await running.check()
        await asyncio.sleep(1)
    assert len(running._conditions) <= 2
    assert len(running._outbox._told) <= 4
    assert len(channel.told) > 5000
    await running.aclose()


async def test_a_rule_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Its function raises, or the whole look does; the next one may do better."""
    broken = Rule(name="broken", value=lambda seen: seen["none"], above=1)
    seen, channel = Seen(9.0), Channel()
    async with alerts(broken, SLOW, seen=seen, channel=channel):
        await asyncio.sleep(5)
        assert channel.words == ["firing: slow: 9"]
        seen.value = OSError("disk")
        await asyncio.sleep(20)
        seen.value = 1.0
        await asyncio.sleep(20)
    assert len(channel.told) == 2
    assert "the value of rule 'broken' failed: KeyError" in caplog.text
    assert "a look for alerts failed: OSError" in caplog.text
    assert "disk" not in caplog.text


async def test_health_is_looked_at_too() -> None:
    """Its report is under ``health``; it alone is enough."""

    class Report:
        def to_dict(self) -> dict[str, Any]:
            return {"state": "down", "clients": {"deepgram": {"state": "down"}}}

    class Status:
        async def check(self) -> Any:
            return Report()

    channel = Channel()
    rule = Rule(name="down", value="health.clients.*.state", equals="down", severity="critical")
    async with Alerts([rule], send=channel, health=Status()):
        await asyncio.sleep(1)
    assert channel.words == ["firing: down (deepgram): down"]


async def test_closing_tells_what_is_still_to_be_told() -> None:
    """At once and for a bounded time; a channel that hangs holds nobody up. Twice is fine."""
    loop = asyncio.get_running_loop()
    seen, channel = Seen(9.0), Channel()
    running = alerts(seen=seen, channel=channel, least_gap=1000)
    await running.check()
    await asyncio.sleep(1)
    seen.value = 1.0
    await running.check()
    await running.aclose()
    await running.aclose()
    assert [alert.state for alert in channel.told] == ["firing", "resolved"]
    with pytest.raises(ClosedError):
        await running.check()
    with pytest.raises(ClosedError):
        running.start()

    seen.value, channel.takes = 9.0, 100.0
    running = alerts(seen=seen, channel=channel)
    await running.check()
    began = loop.time()
    await running.aclose(3)
    assert loop.time() - began == 3


async def test_started_twice_it_looks_once() -> None:
    """The second ``start`` changes nothing."""
    seen, channel = Seen(9.0), Channel()
    looks: list[int] = []
    rule = Rule(name="r", value=lambda _: looks.append(1) or 0, above=1)
    running = alerts(rule, seen=seen, channel=channel)
    running.start()
    running.start()
    await asyncio.sleep(35)
    assert len(looks) == 4
    await running.aclose()


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"value": ""},
        {"value": "a..b"},
        {"value": 5},
        {"above": None},
        {"above": 1.0, "below": 2.0},
        {"above": float("nan")},
        {"above": True},
        {"clear_at": 6.0},
        {"above": None, "equals": "x", "clear_at": 6.0},
        {"lasting": -1},
        {"clear_lasting": float("inf")},
        {"severity": ""},
    ],
)
def test_a_bad_rule(arguments: dict[str, Any]) -> None:
    """Refused where it is written, not when it should have fired."""
    with pytest.raises(InvalidArgumentError):
        Rule(**{"name": "r", "value": "v", "above": 5.0} | arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"rules": [SLOW, SLOW]},
        {"rules": ["slow"]},
        {"send": None},
        {"metrics": None},
        {"every": 0},
        {"least_gap": -1},
        {"send_timeout": 0},
    ],
)
def test_bad_arguments(arguments: dict[str, Any]) -> None:
    """Before anything is looked at."""
    given = {"rules": [SLOW], "send": Channel(), "metrics": Seen()} | arguments
    with pytest.raises(InvalidArgumentError):
        Alerts(given.pop("rules"), **given)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "voicekit")
