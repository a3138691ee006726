"""``health``: whether an application can do its work, told by the clients that it needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from voicekit import checks
from voicekit.errors import ClosedError, InvalidArgumentError, WrongLoopError
from voicekit.observe.availability import DAY, HOUR, Availability
from voicekit.observe.health_report import ClientHealth, HealthReport
from voicekit.observe.health_state import State, has_evidence, of_all, of_members, state_of
from voicekit.observe.snapshot_sources import itself, members_of, name_of, plain, unused
from voicekit.tasks import Background

__all__ = ["Health", "Probe", "health"]

Probe = Callable[[], Awaitable[object]]
"""Asks a provider for something that is free. What it raises, or False, means that it is down; so
does a result that says so itself with ``up``."""

_DEEPEST: Final = 6
_REFUSALS: Final = frozenset(
    {
        "AuthenticationError",
        "CircuitOpenError",
        "InvalidRequestError",
        "RateLimitError",
        "UnavailableError",
    }
)
"""By a provider, in a report of ``warm``: connections that opened beside are of no use then, where
a failed dial beside others that went well says little."""


def health(
    *clients: Any,
    optional: Iterable[Any] = (),
    names: Sequence[str] | None = None,
    probes: Mapping[str, Probe | None] | None = None,
    every: float = 10.0,
    timeout: float = 2.0,
    clock: Callable[[], float] = time.monotonic,
) -> Health:
    """Watch these clients. Constructing does no I/O.

    How a client is follows from what happened anyway: its circuit breakers, its credential, the
    share of its calls that failed. Only one that was not used lately and has no connection ready
    is probed, by ``warm(1)``: a handshake (for some a token), which no provider bills.

    Args:
        *clients: Those that the application needs; wrappers (``fallback``, ``spread``, caches)
            are looked through. Of a wrapper's members one must be there.
        optional: Those of them without which it lives: down, they degrade it only.
        names: For all of them, in order; their providers' by default.
        probes: By name, what to ask instead of ``warm(1)``; None asks nothing. Must be free.
        every: Seconds for which a report stands.
        timeout: Seconds for all probes together.
        clock: Monotonic seconds.

    Raises:
        InvalidArgumentError: There is no client, one cannot be watched, or an argument makes no
            sense.

    Example:
        >>> status = voicekit.health(stt, agents, twilio, optional=[tts])
        >>> report = await status.check()
        >>> report.state, report.clients["deepgram"].availability["1h"]
        ('ok', 1.0)
    """
    return Health(
        clients,
        optional=optional,
        names=names,
        probes=probes,
        every=every,
        timeout=timeout,
        clock=clock,
    )


class _Watched:
    """One client, with what is remembered of it."""

    __slots__ = ("availability", "client", "members", "name", "optional", "probe", "since", "state")

    def __init__(self, client: Any, name: str, *, optional: bool, depth: int = 0) -> None:
        self.client, self.name, self.optional = itself(client), name, optional
        self.probe: Probe | None = None
        self.state: State | None = None
        self.since = 0.0
        self.availability = Availability()
        members = members_of(client) if depth < _DEEPEST else {}
        self.members = [
            _Watched(each, key, optional=False, depth=depth + 1) for key, each in members.items()
        ]
        if not members and callable(getattr(client, "warm", None)):
            self.probe = lambda: client.warm(1)

    def leaves(self, path: str = "") -> dict[str, _Watched]:
        """The clients themselves, by the way to them."""
        path = f"{path}{self.name}"
        if not self.members:
            return {path: self}
        return {k: v for each in self.members for k, v in each.leaves(f"{path}/").items()}

    def become(self, state: State, now: float) -> None:
        """It is in this state, as of now."""
        if state != self.state:
            self.state, self.since = state, now
        self.availability.look(now, up=state != "down")

    def shares(self, now: float) -> dict[str, float | None]:
        """Of the time that it was there."""
        return {"1h": self.availability.share(now, HOUR), "24h": self.availability.share(now, DAY)}


class Health:
    """Watches clients; ``health(…)`` makes it. For one event loop.

    ``check`` may be called by everybody at any time: a report stands for ``every`` seconds, and
    callers in between share one look. Availability is of the time that somebody looked; inside
    ``async with`` it looks by itself.

    Attributes:
        latest: The last report, however old; None before the first.
    """

    def __init__(
        self,
        clients: Sequence[Any],
        *,
        optional: Iterable[Any] = (),
        names: Sequence[str] | None = None,
        probes: Mapping[str, Probe | None] | None = None,
        every: float = 10.0,
        timeout: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        spare = list(optional)
        all_of_them = [*clients, *(each for each in spare if not _among(each, clients))]
        self._every = checks.number(0.0, 3600.0)("every", every)
        self._timeout = checks.number(0.001, 60.0)("timeout", timeout)
        self._clock = clock
        self._watched = [
            _Watched(client, name, optional=_among(client, spare))
            for client, name in zip(all_of_them, _names(all_of_them, names), strict=True)
        ]
        self._leaves = {k: v for each in self._watched for k, v in each.leaves().items()}
        for name, probe in (probes or {}).items():
            if name not in self._leaves:
                raise InvalidArgumentError(
                    f"{str(name)[:64]!r} is none of them",
                    argument="probes",
                    allowed=", ".join(self._leaves),
                )
            self._leaves[name].probe = probe
        self._all = _Watched(None, "", optional=False)
        self.latest: HealthReport | None = None
        self._looked_at = 0.0
        self._background = Background()
        self._flight: asyncio.Task[HealthReport] | None = None
        self._probing: dict[str, asyncio.Task[str]] = {}
        self._closed = False

    async def check(self, *, fresh: bool = False) -> HealthReport:
        """How they are. Takes at most ``timeout`` seconds, and never fails because they do.

        Cancelled, the look goes on for the others who wait for it.

        Args:
            fresh: Look now, even if the last report still stands.

        Raises:
            ClosedError: It is closed.
            WrongLoopError: Another event loop is looking just now.
        """
        self._check_open()
        flight = self._flight
        if flight is not None and not flight.done():
            if flight.get_loop() is not asyncio.get_running_loop():
                raise WrongLoopError("this health belongs to another event loop")
        else:
            latest = self.latest
            if latest is not None and not fresh and self._clock() - self._looked_at < self._every:
                return latest
            flight = self._flight = self._background.spawn(self._look(), "voicekit-health")
        await asyncio.wait({flight})
        if flight.cancelled():
            raise ClosedError("closed while it looked")
        return flight.result()

    async def _look(self) -> HealthReport:
        failures = await self._probe()
        now = self._clock()
        at = datetime.now(UTC)
        clients = {each.name: _judged(each, each.name, failures, now, at) for each in self._watched}
        state = of_all((each.state, each.optional) for each in clients.values())
        self._all.become(state, now)
        self._looked_at = now
        self.latest = HealthReport(
            state=state,
            since=_ago(at, now - self._all.since),
            at=at,
            availability=self._all.shares(now),
            clients=clients,
        )
        return self.latest

    async def _probe(self) -> Mapping[str, str]:
        """What went wrong with those that had to be probed; empty for what went well."""
        for path, watched in self._leaves.items():
            running = self._probing.get(path)
            if running is not None and not running.done():
                continue  # one that ignores its cancellation is not asked twice
            self._probing.pop(path, None)
            if watched.probe is not None and not has_evidence(_seen(watched.client)):
                self._probing[path] = self._background.spawn(
                    _probed(watched.probe), f"voicekit-probe-{path}"
                )
        if not self._probing:
            return {}
        done, late = await asyncio.wait(self._probing.values(), timeout=self._timeout)
        for task in late:
            task.cancel()
        return {
            path: task.result() if task in done and not task.cancelled() else "no answer in time"
            for path, task in self._probing.items()
        }

    async def _keep_looking(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(max(self._every, 0.1))

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the health is closed")

    async def __aenter__(self) -> Self:
        self._check_open()
        self._background.spawn(self._keep_looking(), "voicekit-health-watch")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop looking; the clients stay open. May be called twice."""
        self._closed = True
        await self._background.aclose()

    def __repr__(self) -> str:
        state = "not looked yet" if self.latest is None else self.latest.state
        return f"<Health of {', '.join(each.name for each in self._watched)}: {state}>"


async def _probed(probe: Probe) -> str:
    try:
        result = await probe()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the probe found
        return type(error).__name__
    failures = getattr(result, "failures", ())
    if failures and (
        not (result.opened or result.reused)  # type: ignore[attr-defined]
        or not _REFUSALS.isdisjoint(failures)
    ):
        return ", ".join(sorted(set(failures)))
    return "said no" if result is False or getattr(result, "up", True) is False else ""


def _judged(
    watched: _Watched, path: str, failures: Mapping[str, str], now: float, at: datetime
) -> ClientHealth:
    members: dict[str, ClientHealth] = {}
    detail: Any = {}
    if watched.members:
        members = {
            each.name: _judged(each, f"{path}/{each.name}", failures, now, at)
            for each in watched.members
        }
        state, reasons = of_members({name: each.state for name, each in members.items()})
    else:
        seen = _seen(watched.client)
        state, reasons = state_of(seen, failures.get(path))
        detail = plain(seen) if seen is not None else {}
    watched.become(state, now)
    return ClientHealth(
        name=watched.name,
        state=state,
        since=_ago(at, now - watched.since),
        reasons=reasons,
        availability=watched.shares(now),
        optional=watched.optional,
        members=members,
        detail=detail,
    )


def _seen(client: Any) -> Any:
    look = getattr(client, "health", None)
    if not callable(look):
        return None
    try:
        return look()
    except Exception:  # noqa: BLE001 - a client that cannot tell is judged by its probe
        return None


def _ago(at: datetime, seconds: float) -> datetime:
    return at - timedelta(seconds=max(seconds, 0.0))


def _among(client: Any, others: Iterable[Any]) -> bool:
    return any(client is other for other in others)


def _names(clients: Sequence[Any], names: Sequence[str] | None) -> list[str]:
    if not clients:
        raise InvalidArgumentError("there is none", argument="clients", allowed="at least one")
    for client in clients:
        watchable = ("health", "warm", "members", "inner")
        blocking = hasattr(client, "__enter__") and not hasattr(client, "__aenter__")
        if (
            blocking
            or isinstance(client, type)
            or not any(hasattr(client, name) for name in watchable)
        ):
            raise InvalidArgumentError(
                f"a {type(client).__name__} cannot be watched",
                argument="clients",
                allowed="asynchronous clients, caches, fallback(…), spread(…)",
            )
    if names is not None:
        if len(names) != len(clients) or len(set(names)) != len(names):
            raise InvalidArgumentError(
                f"{len(names)} names for {len(clients)} clients",
                argument="names",
                allowed="one of its own for each",
            )
        return [checks.text("names", name) for name in names]
    found: list[str] = []
    for client in clients:
        found.append(unused(name_of(client), found))
    return found
