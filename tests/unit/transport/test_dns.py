"""Names: looked up once, remembered, served stale rather than failing, in threads of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

import pytest

from voicekit.transport.dns import STALE_AFTER, ServeStaleResolver

pytestmark = [pytest.mark.anyio, pytest.mark.timing]


class Names:
    """A name server: answers, fails or hangs."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Any = "10.0.0.1"
        self.hang = threading.Event()
        self.hang.set()
        self.threads: set[str] = set()
        self.now = 0.0

    def lookup(self, host: str, port: int, family: socket.AddressFamily) -> Any:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        self.hang.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return [{"hostname": host, "host": self.answer, "port": port}]

    def resolver(self) -> ServeStaleResolver:
        return ServeStaleResolver(ttl=300.0, lookup=self.lookup, clock=lambda: self.now)


async def host_of(resolver: ServeStaleResolver, name: str = "api.example.com") -> str:
    return str((await resolver.resolve(name, 443))[0]["host"])


async def test_an_answer_is_remembered() -> None:
    """For its time; then it is asked again. Ports are apart."""
    names = Names()
    resolver = names.resolver()
    for _ in range(3):
        assert await host_of(resolver) == "10.0.0.1"
    assert names.asked == 1
    names.now, names.answer = 301.0, "10.0.0.2"
    assert await host_of(resolver) == "10.0.0.2"
    await resolver.resolve("api.example.com", 80)
    assert names.asked == 3
    await resolver.close()


async def test_stale_rather_than_failing() -> None:
    """A name server that is down does not take known addresses with it, and is asked again."""
    names = Names()
    resolver = names.resolver()
    await host_of(resolver)
    names.now, names.answer = 301.0, OSError("no name server")
    for _ in range(2):
        assert await host_of(resolver) == "10.0.0.1"
    assert names.asked == 3
    names.answer = "10.0.0.3"
    assert await host_of(resolver) == "10.0.0.3"
    await resolver.close()


async def test_stale_rather_than_hanging() -> None:
    """One that says nothing is waited for briefly; its answer is used when it comes."""
    names = Names()
    resolver = names.resolver()
    await host_of(resolver)
    names.now, names.answer = 301.0, "10.0.0.4"
    names.hang.clear()
    started = time.monotonic()
    assert await host_of(resolver) == "10.0.0.1"
    assert STALE_AFTER - 0.05 <= time.monotonic() - started < STALE_AFTER + 0.5
    names.hang.set()
    deadline = time.monotonic() + 2
    while await host_of(resolver) != "10.0.0.4":
        assert time.monotonic() < deadline
    assert names.asked == 2
    await resolver.close()


async def test_the_first_failure_is_an_error() -> None:
    """There is nothing to serve; the next caller asks anew."""
    names = Names()
    names.answer = OSError(-2, "unknown")
    resolver = names.resolver()
    for _ in range(2):
        with pytest.raises(OSError, match="unknown"):
            await host_of(resolver)
    names.answer = "10.0.0.1"
    assert await host_of(resolver) == "10.0.0.1"
    await resolver.close()


async def test_a_name_that_is_none() -> None:
    """Is an OSError like any other failed look-up, not the codec's."""
    names = Names()
    names.answer = UnicodeError("label empty or too long")
    resolver = names.resolver()
    with pytest.raises(OSError, match="not a host name"):
        await host_of(resolver)
    await resolver.close()


async def test_concurrent_look_ups_share_one() -> None:
    """And its failure."""
    names = Names()
    names.hang.clear()
    resolver = names.resolver()
    asking = [asyncio.create_task(host_of(resolver)) for _ in range(5)]
    await asyncio.sleep(0.02)
    names.answer = OSError("unknown")
    names.hang.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(result, OSError) for result in results)
    assert names.asked == 1
    await resolver.close()


async def test_a_cancelled_waiter_cancels_nobody() -> None:
    """The look-up goes on for the others."""
    names = Names()
    names.hang.clear()
    resolver = names.resolver()
    first, second = (asyncio.create_task(host_of(resolver)) for _ in range(2))
    await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    names.hang.set()
    assert await second == "10.0.0.1"
    assert names.asked == 1
    await resolver.close()


async def test_a_failure_nobody_waits_for_is_no_noise() -> None:
    """Everybody left; the loop has nothing to complain of."""
    names = Names()
    names.hang.clear()
    names.answer = OSError("unknown")
    resolver = names.resolver()
    said: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    asking = asyncio.create_task(host_of(resolver))
    await asyncio.sleep(0.02)
    asking.cancel()
    await asyncio.wait([asking])
    names.hang.set()
    await asyncio.sleep(0.05)
    asyncio.get_running_loop().set_exception_handler(None)
    assert said == []
    await resolver.close()


async def test_threads_of_its_own() -> None:
    """Not the loop's default executor, which may be full of somebody's blocking work."""
    names = Names()
    loop = asyncio.get_running_loop()
    block = threading.Event()
    blocked = [loop.run_in_executor(None, block.wait, 10) for _ in range(64)]
    resolver = names.resolver()
    try:
        async with asyncio.timeout(2):
            assert await host_of(resolver) == "10.0.0.1"
    finally:
        block.set()
        await asyncio.gather(*blocked)
    assert all(name.startswith("voicekit-dns") for name in names.threads)
    await resolver.close()
    assert not any(t.name.startswith("voicekit-dns") for t in threading.enumerate())


async def test_closing_does_not_wait_for_a_name_server() -> None:
    """Who waits is told; the thread is left to finish by itself."""
    names = Names()
    names.hang.clear()
    resolver = names.resolver()
    asking = asyncio.create_task(host_of(resolver))
    await asyncio.sleep(0.02)
    started = time.monotonic()
    await resolver.close()
    assert time.monotonic() - started < 0.5
    await asyncio.wait([asking])
    assert asking.cancelled()
    names.hang.set()
    await resolver.close()


async def test_the_systems_own_look_up() -> None:
    """Localhost is somewhere here."""
    resolver = ServeStaleResolver()
    found = await resolver.resolve("localhost", 80, socket.AF_UNSPEC)
    assert {each["host"] for each in found} & {"127.0.0.1", "::1"}
    assert all(each["port"] == 80 for each in found)
    await resolver.close()
