"""How a client is, decided from what its policies have seen and from a probe; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

State = Literal["ok", "degraded", "down"]
Verdict = tuple[State, tuple[str, ...]]
"""A state, and the reasons for it: names and figures, never content."""

_ORDER: Final[dict[str, int]] = {"ok": 0, "degraded": 1, "down": 2}
_FAILING: Final = 0.2
"""Share of failed calls from which a client is not well, though its breaker is closed."""
_ENOUGH: Final = 5
"""Calls before any share counts."""


def state_of(seen: Any, probe: str | None) -> Verdict:
    """One client's.

    Args:
        seen: What its ``health()`` says; None for one that has none.
        probe: None when none was made; empty when it went well; else what it failed with.
    """
    failed: list[str] = []
    ill: list[str] = []
    token = getattr(seen, "token", None)
    credential = getattr(seen, "credential", None)
    if credential is not None and credential.state != "closed":
        text = f"credential refused: {credential.reason or 'no reason given'}"
        (failed if _refuses(credential) and not token else ill).append(text)
    breakers = _breakers(seen)
    heard = {  # what nobody has asked for lately says nothing
        name: stats
        for name, stats in breakers.items()
        if stats.calls or stats.state not in {"closed", "disabled"}
    }
    opened = [name for name, stats in heard.items() if _refuses(stats)]
    if opened:
        nothing = len(opened) == len(heard) or ("token" in opened and token is False)
        refuses = failed if nothing else ill
        refuses.append(f"circuit open: {', '.join(sorted(opened))}")
    for name, stats in heard.items():
        if stats.state in {"half_open", "open"} and name not in opened:
            ill.append(f"on probation: {name}")
        elif stats.state == "closed" and stats.calls >= _ENOUGH and stats.failure_rate >= _FAILING:
            ill.append(f"failing: {name}, {stats.failure_rate:.0%} of {stats.calls} calls")
    if probe:
        # Calls that go well know better than a handshake that did not.
        works = any(s.state == "closed" and s.failure_rate < _FAILING for s in heard.values())
        (ill if works else failed).append(f"probe: {probe}")
    if failed:
        return "down", (*failed, *ill)
    return ("degraded" if ill else "ok"), tuple(ill)


def _refuses(stats: Any) -> bool:
    """Whether a circuit lets nobody through.

    One whose period is over lets the next call through, though it says "open" until that comes.
    If it were down until then, and nobody were sent to who is down, it would be down for ever.
    """
    if stats.state == "open":
        return stats.retry_in is None or stats.retry_in > 0
    return bool(stats.state == "forced_open")


def _breakers(seen: Any) -> Mapping[str, Any]:
    operations = getattr(seen, "operations", None) or {}
    return {
        name: operation.breaker
        for name, operation in operations.items()
        if operation.breaker is not None
    }


def has_evidence(seen: Any) -> bool:
    """Whether a client needs no probe: a connection is ready, or a call went well just now.

    Neither says anything while a circuit is not closed.
    """
    pool = getattr(seen, "pool", None)
    if any(stats.state in {"open", "half_open"} for stats in _breakers(seen).values()):
        return False
    if pool is not None and pool.ready > 0:
        return True
    return any(
        stats.state == "closed" and stats.calls and stats.failure_rate < _FAILING
        for stats in _breakers(seen).values()
    )


def of_members(states: Mapping[str, State]) -> Verdict:
    """Several behind one interface: as long as one is there, it answers."""
    reasons = tuple(f"{name} is {state}" for name, state in states.items() if state != "ok")
    if not reasons:
        return "ok", ()
    gone = all(state == "down" for state in states.values())
    return ("down" if gone else "degraded"), reasons


def of_all(states: Iterable[tuple[State, bool]]) -> State:
    """Several that each do a part: the worst one's; an optional one degrades at most."""
    worst: State = "ok"
    for state, optional in states:
        known: State = "degraded" if optional and state == "down" else state
        if _ORDER[known] > _ORDER[worst]:
            worst = known
    return worst
