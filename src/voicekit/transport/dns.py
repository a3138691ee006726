"""Host names to addresses: cached, looked up once at a time, stale rather than failing.

aiohttp's own cache forgets an address after 10 s and then fails with the name
server, although good addresses were known; its look-ups queue behind whatever
blocks the loop's default executor (measured: 3 s for localhost).
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    from collections.abc import Callable


STALE_AFTER = 0.25
"""Seconds that a new look-up may take before the old answer is used instead."""


@dataclass(frozen=True, slots=True)
class _Answer:
    addresses: list[ResolveResult]
    fresh_until: float


class ServeStaleResolver(AbstractResolver):
    """Resolves with ``getaddrinfo`` in threads of its own.

    An answer is fresh for ``ttl`` seconds. Later it is looked up again, and served
    as it was when that fails or takes long. Concurrent look-ups of one name share one; a caller
    who is cancelled does not cancel it for the others.

    Args:
        lookup: Blocking look-up, for tests; ``getaddrinfo`` otherwise.
    """

    def __init__(
        self,
        *,
        ttl: float = 300.0,
        lookup: Callable[[str, int, socket.AddressFamily], list[ResolveResult]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl = ttl
        self._lookup = lookup or _getaddrinfo
        self._clock = clock
        self._answers: dict[tuple[str, int, int], _Answer] = {}
        self._pending: dict[tuple[str, int, int], asyncio.Task[list[ResolveResult]]] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of ``host``.

        Raises:
            OSError: The look-up failed and no earlier answer is known.
        """
        key = (host, port, int(family))
        known = self._answers.get(key)
        if known is not None and self._clock() < known.fresh_until:
            return known.addresses
        task = self._pending.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(
                self._ask(key, family), name=f"voicekit-dns-{host}", context=contextvars.Context()
            )
            task.add_done_callback(_seen)
            self._pending[key] = task
        if known is None:
            return await asyncio.shield(task)
        # A name server that is down mostly says nothing, for longer than a turn can wait.
        await asyncio.wait([task], timeout=STALE_AFTER)
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()
        return known.addresses

    async def _ask(
        self, key: tuple[str, int, int], family: socket.AddressFamily
    ) -> list[ResolveResult]:
        try:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(2, thread_name_prefix="voicekit-dns")
            addresses = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._lookup, key[0], key[1], family
            )
            self._answers[key] = _Answer(addresses, self._clock() + self._ttl)
            return addresses
        except UnicodeError:
            raise OSError("not a host name") from None
        finally:
            self._pending.pop(key, None)

    async def close(self) -> None:
        """Stop the look-ups; a thread stuck in the system's resolver is left to finish."""
        tasks, threads = list(self._pending.values()), self._threads
        self.abandon()
        if tasks:
            await asyncio.wait(tasks)
        elif threads is not None:
            threads.shutdown()  # they have nothing to do, so it takes no time

    def abandon(self) -> None:
        """As ``close``, without waiting for anything."""
        for task in self._pending.values():
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


def _seen(task: asyncio.Task[list[ResolveResult]]) -> None:
    if not task.cancelled():
        task.exception()  # whoever waited has it; with nobody left it needs no report


def _getaddrinfo(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    results = []
    for kind, _, proto, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
    ):
        if kind == socket.AF_INET6 and len(address) == 4 and address[3]:
            continue  # scoped link-local addresses are no API hosts
        results.append(
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
        )
    return results
