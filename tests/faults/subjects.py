"""Who is put through the grid: voicekit. The baselines, which must fail in it, join here."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from operations import KEY, Row, Taken
from scaled import policies

from voicekit.events import Observer
from voicekit.transport.config import PoolConfig, PoolStats

POOL = PoolConfig(max_connections=20, min_ready=2, max_idle=10, max_wait=0.2)


class Subject(Protocol):
    """Makes clients, and asks them.

    Attributes:
        typed: Its errors, events and figures are voicekit's, and are checked as such.
        work: Seconds that one step of the loop may take beyond the invariant's bound.
    """

    name: str
    typed: bool
    work: float

    def make(
        self, row: Row, *, url: str, ca: str | None, observer: Observer, **options: Any
    ) -> Any:
        """A client of ``row``; an async context manager."""
        ...

    def stats(self, client: Any) -> PoolStats | None:
        """Its connections; None where it does not tell."""
        ...

    async def warm(self, client: Any, url: str, n: int) -> None:
        """Have so many connections open, where it can."""
        ...

    def cached(self, row: Row, client: Any, **options: Any) -> Any:
        """A cache around ``client``; an async context manager."""
        ...

    def ask(self, row: Row, client: Any, got: Taken) -> Awaitable[None]:
        """Do it once, adding to ``got`` what the caller receives."""
        ...


class Voicekit:
    """Our own clients, with their default policies, a tenth as patient."""

    name = "voicekit"
    typed = True
    work = 0.0

    def make(
        self, row: Row, *, url: str, ca: str | None, observer: Observer, **options: Any
    ) -> Any:
        given: dict[str, Any] = {
            "api_key": KEY,
            "pool": POOL,
            "limits": {row.name: row.limits},
            "policies": policies(),
        }
        return row.make(base_url=url + row.path, ca=ca, observers=[observer], **given | options)

    def stats(self, client: Any) -> PoolStats | None:
        found: PoolStats = client.stats()
        return found

    async def warm(self, client: Any, url: str, n: int) -> None:
        await client.transport.warm(url, n)  # the client's own would open sockets as well

    def cached(self, row: Row, client: Any, **options: Any) -> Any:
        assert row.cached is not None
        return row.cached(client, **options)

    def ask(self, row: Row, client: Any, got: Taken) -> Awaitable[None]:
        return row.ask(client, got)


VOICEKIT = Voicekit()
