"""The keeper's shell over the HTTP connections, on virtual time and a connector of nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from voicekit.errors import ClosedError, RemoteProtocolError
from voicekit.testing.clock import VIRTUAL
from voicekit.transport import http_pool
from voicekit.transport.config import PoolConfig
from voicekit.transport.http_pool import HttpPool

pytestmark = pytest.mark.anyio


class Key(NamedTuple):
    host: str


KEY: Any = Key("host")


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


class FakeConnector:
    """Idle and leased connections without a network."""

    def __init__(self, *, on_change: Any, on_idle_lost: Any, on_reused: Any, **_: Any) -> None:
        self.on_change, self.on_idle_lost, self.on_reused = on_change, on_idle_lost, on_reused
        self.conns: list[Any] = []
        self.held: list[Any] = []
        self.opened = self.reused = self.waiting = 0
        self.closed_by: dict[str, int] = {}
        self.dials: list[float] = []
        self.takes: Any = 0.05
        self.shut_down = False

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def key_of(self, url: Any, ssl: Any) -> Any:
        return KEY

    async def dial(self, key: Any) -> None:
        self.dials.append(self.now())
        if isinstance(self.takes, Exception):
            await asyncio.sleep(0.01)
            raise self.takes
        await asyncio.sleep(self.takes)
        self.opened += 1
        self.conns.append(
            SimpleNamespace(
                connection_id=self.opened,
                idle_since=self.now(),
                opened_at=self.now(),
                jitter=(self.opened * 0.37) % 1,
            )
        )
        self.on_change(key, False)

    def idle(self, key: Any) -> list[Any]:
        return list(self.conns)

    def leased(self, key: Any) -> tuple[int, int]:
        return len(self.held), len(self.held)

    def lease(self) -> Any:
        conn = self.conns.pop()
        self.held.append(conn)
        return conn

    def give_back(self, conn: Any) -> None:
        self.held.remove(conn)
        conn.idle_since = self.now()
        self.conns.append(conn)
        self.on_change(KEY, False)

    def lose(self, conn: Any) -> None:
        """A leased one is aborted."""
        self.held.remove(conn)
        self.on_change(KEY, True)

    def peer_closes(self) -> None:
        conn = self.conns.pop()
        self.on_idle_lost(KEY, self.now() - conn.idle_since)
        self.on_change(KEY, True)

    def drop_idle(self, key: Any, ids: frozenset[int], cause: str) -> None:
        self.closed_by[cause] = self.closed_by.get(cause, 0) + len(ids)
        self.conns = [conn for conn in self.conns if conn.connection_id not in ids]

    def counts(self) -> tuple[int, int]:
        return len(self.conns), len(self.held)

    def abandon(self) -> None:
        self.shut_down = True

    async def shut(self) -> None:
        self.shut_down = True


class FakeResolver:
    closed = False

    async def close(self) -> None:
        self.closed = True

    def abandon(self) -> None:
        self.closed = True


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes pools, called on the test's loop."""
    monkeypatch.setattr(http_pool, "WarmConnector", FakeConnector)

    def make(**config: Any) -> Any:
        clock = asyncio.get_running_loop().time
        monkeypatch.setattr(http_pool, "time", SimpleNamespace(monotonic=clock))
        return HttpPool(PoolConfig(**config), FakeResolver())  # type: ignore[arg-type]

    return make


async def warm(pool: Any, n: int, **options: Any) -> Any:
    return await pool.warm("url", True, n, **options)


async def test_kept_for_an_hour(pool: Any) -> None:
    """Somebody is ready at every moment, nobody older than the cut-off, and few dials."""
    kept = pool(idle_cutoff=50.0)
    await warm(kept, 2)
    least, oldest = 2, 0.0
    for _ in range(3600):
        await asyncio.sleep(1)
        now = kept.connector.now()
        least = min(least, kept.stats().ready)
        oldest = max([oldest, *(now - conn.idle_since for conn in kept.connector.conns)])
    assert least >= 2
    assert oldest < 50.0
    assert 2 * 3600 / 50 <= len(kept.connector.dials) <= 2 * 3600 / 37 + 4
    await kept.aclose()


async def test_a_host_that_is_down(pool: Any) -> None:
    """Dials back off to one in half a minute, and a success brings the minimum back."""
    kept = pool()
    kept.connector.takes = OSError(111, "refused")
    report = await warm(kept, 3)
    assert report.failures == ("ConnectionLostError",) * 3
    await asyncio.sleep(600)
    assert 15 <= len(kept.connector.dials) <= 60
    kept.connector.takes = 0.05
    await asyncio.sleep(61)
    assert kept.stats().ready == 3
    await kept.aclose()


async def test_a_dial_that_hangs(pool: Any) -> None:
    """Ends at its own limit, as a failure."""
    kept = pool()
    kept.connector.takes = 3600.0
    start = kept.connector.now()
    report = await warm(kept, 1, timeout=60)
    assert report.failures == ("ConnectTimeout",)
    assert kept.connector.now() - start == pytest.approx(10, abs=0.1)
    await kept.aclose()


async def test_warm_stops_waiting_at_its_timeout(pool: Any) -> None:
    """The dial goes on, and its connection comes."""
    kept = pool()
    kept.connector.takes = 5.0
    report = await warm(kept, 2, timeout=1.0)
    assert (report.opened, report.failures) == (0, ("ConnectTimeout",) * 2)
    assert report.elapsed == pytest.approx(1.0)
    await asyncio.sleep(5)
    assert kept.stats().ready == 2
    await kept.aclose()


async def test_what_is_aborted_is_replaced(pool: Any) -> None:
    """With a minimum by the keeper at once; leasing alone starts no dial."""
    kept = pool()
    await warm(kept, 2)
    conn = kept.connector.lease()
    await asyncio.sleep(1)
    assert len(kept.connector.dials) == 2
    kept.connector.lose(conn)
    assert kept.stats().dialing == 1
    await asyncio.sleep(0.1)
    assert kept.stats().ready == 2
    await kept.aclose()


async def test_refill_without_a_minimum(pool: Any) -> None:
    """One is dialled where none is left, and none where one is ready, coming or lent."""
    kept = pool()
    kept.refill(KEY)
    kept.refill(KEY)
    assert kept.stats().dialing == 1
    await asyncio.sleep(0.1)
    kept.refill(KEY)
    conn = kept.connector.lease()
    kept.refill(KEY)
    assert len(kept.connector.dials) == 1
    kept.connector.give_back(conn)
    await asyncio.sleep(3600)
    assert kept.stats().open == 0  # without a minimum it is not kept for ever
    await kept.aclose()


async def test_min_ready_zero_refills_nothing(pool: Any) -> None:
    """Who wants no spare connections gets none."""
    kept = pool(min_ready=0)
    kept.refill(KEY)
    assert kept.stats().dialing == 0
    await kept.aclose()


async def test_the_cut_off_learns(pool: Any) -> None:
    """Down at once by what the peer closed, up slowly by what survived."""
    kept = pool(idle_cutoff=50.0)
    await warm(kept, 1)
    await asyncio.sleep(20)
    kept.connector.peer_closes()
    assert kept.stats().idle_cutoff == pytest.approx(16.0)
    kept.connector.on_reused(KEY, 15.0)
    assert kept.stats().idle_cutoff > 16.0
    await kept.aclose()


async def test_closed(pool: Any) -> None:
    """No timer, dial or task goes on; every error means that from then on."""
    kept = pool()
    await warm(kept, 2)
    kept.connector.takes = 99.0
    kept.connector.peer_closes()
    assert kept.stats().dialing == 1
    assert isinstance(kept.failure(RuntimeError()), RemoteProtocolError)
    await kept.aclose()
    dials = len(kept.connector.dials)
    kept.connector.on_change(KEY, True)
    kept.refill(KEY)
    await asyncio.sleep(3600)
    assert len(kept.connector.dials) == dials
    assert kept.connector.shut_down
    assert kept._resolver.closed
    assert isinstance(kept.failure(RuntimeError()), ClosedError)
    await kept.aclose()


async def test_abandoned(pool: Any) -> None:
    """The same for an owner who cannot wait."""
    kept = pool()
    await warm(kept, 2)
    kept.connector.takes = 99.0
    kept.connector.peer_closes()
    kept.abandon()
    await asyncio.sleep(3600)
    assert kept.stats().dialing == 0
    assert kept.connector.shut_down
    assert kept._resolver.closed
