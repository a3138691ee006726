"""The pool after barge-ins: back at its minimum soon, nothing more and nothing less."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest
from seams import (
    CHUNKED,
    HEADERS,
    LIMITS,
    RawServer,
    answers,
    chunk,
    dials_wait,
    make_call,
    post,
    read_request,
    response,
    stream,
    transports,
)

from settling import open_sockets, until
from voicekit.errors import ConnectionLostError, PoolTimeout, VoicekitError
from voicekit.transport.config import PoolConfig
from voicekit.transport.messages import Request

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}


@pytest.fixture(params=sorted(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


ENDLESS = answers(CHUNKED, chunk(b"audio"), then="hang")
QUICK = answers(response(b'{"ok":true}'), then="")


async def ask(transport: Any, url: str) -> Any:
    """One request whose body is read to its end."""
    call = make_call()
    got = await transport.send(post(url), call)
    while await got.chunk():
        pass
    return got


async def test_fifty_barge_ins() -> None:
    """Fifty aborted streams in a row leave the pool at its minimum within two seconds, with no
    socket and no task more than before.
    """
    async with RawServer(ENDLESS) as server, transports() as transport:
        await transport.warm(server.url, 2)
        await until(lambda: transport.stats().ready == 2)
        sockets, tasks = open_sockets(), len(asyncio.all_tasks())
        for n in range(50):
            speech = stream(transport, post(server.url))
            async with speech:
                assert await anext(speech) == b"audio"
                if n % 2:
                    await speech.cancel()
        ended = time.monotonic()
        await until(lambda: transport.stats().ready == 2 and not transport.stats().dialing)
        assert time.monotonic() - ended < 2.0
        stats = transport.stats()
        assert (stats.open, stats.leased) == (2, 0)
        await until(lambda: open_sockets() <= sockets and len(asyncio.all_tasks()) <= tasks)


async def test_cancelled_openings_are_replaced_too() -> None:
    """A call given up before its first output takes its connection with it; the pool refills."""
    silent = answers(then="hang")
    async with RawServer(silent) as server, transports() as transport:
        await transport.warm(server.url, 2)
        for _ in range(10):
            task = asyncio.create_task(ask(transport, server.url))
            await asyncio.sleep(0.005)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        await until(lambda: transport.stats().ready == 2 and not transport.stats().dialing)
        assert transport.stats().leased == 0


async def test_a_cold_pool_keeps_one_ready_after_an_abort() -> None:
    """Without warm() the connection given up is still replaced, so that the next call is warm."""
    async with RawServer(ENDLESS) as server, transports() as transport:
        async with stream(transport, post(server.url)) as speech:
            await anext(speech)
        await until(lambda: transport.stats().ready == 1)
        async with stream(transport, post(server.url)) as speech:
            assert speech.connection is not None
            assert speech.connection.reused
            await anext(speech)


async def test_a_cold_pool_keeps_one_ready_after_a_cancelled_call() -> None:
    """Given up before its headers came, a connection is replaced as well."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        task = asyncio.create_task(ask(transport, server.url))
        await until(lambda: transport.stats().leased == 1)
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: transport.stats().ready == 1)
        assert transport.stats().closed == {"failed": 1}


async def test_a_half_read_response_that_is_released() -> None:
    """Its connection is no connection any more, and nobody is offered it."""
    async with RawServer(ENDLESS) as server, transports() as transport:
        response = await transport.send(post(server.url), make_call())
        response._response.release()  # type: ignore[attr-defined]
        connector = transport._opened().connector
        assert not connector._conns
        assert transport.stats().leased == 0


async def test_warm_dials_only_what_is_missing() -> None:
    """warm(n) has n connections ready; a second one dials nothing, a larger one the difference."""
    async with RawServer(QUICK) as server, transports() as transport:
        first = await transport.warm(server.url, 2)
        again = await transport.warm(server.url, 2)
        more = await transport.warm(server.url, 5)
        assert (first.opened, first.reused) == (2, 0)
        assert (again.opened, again.reused) == (0, 2)
        assert (more.opened, more.reused) == (3, 2)
        await until(lambda: server.served == 5)


async def test_warm_is_bounded_by_the_pool() -> None:
    """More than max_connections are not dialled, and more than max_idle are not thrown away."""
    pool = PoolConfig(max_connections=6, max_idle=2)
    async with RawServer(QUICK) as server, transports(pool=pool) as transport:
        report = await transport.warm(server.url, 50)
        assert report.opened == 6
        await asyncio.sleep(0.05)
        assert transport.stats().ready == 6
        assert transport.stats().opened == 6


async def test_two_warm_ups_share_their_dials() -> None:
    """Asked at the same time by two callers, the dials are made once, and both wait for them."""
    async with RawServer(QUICK) as server, transports() as transport:
        one, other = await asyncio.gather(
            transport.warm(server.url, 3), transport.warm(server.url, 3)
        )
        assert one.opened + other.opened == 3
        assert transport.stats().ready == 3
        assert not one.failures
        assert not other.failures


async def test_warm_and_calls_share_their_dials() -> None:
    """Calls that come while the pool warms up take the connections that are on their way."""
    async with RawServer(QUICK) as server, transports() as transport:
        with dials_wait(transport) as gate:
            warming = asyncio.create_task(transport.warm(server.url, 3))
            await until(lambda: transport.stats().dialing == 3)
            asking = [asyncio.create_task(ask(transport, server.url)) for _ in range(3)]
            await asyncio.sleep(0.01)
            gate.set()
            answers = await asyncio.gather(*asking, warming)
        assert transport.stats().opened == 3
        assert len({answer.connection.id for answer in answers[:3]}) == 3
        assert not any(answer.connection.reused for answer in answers[:3])


async def test_each_caller_waits_for_a_dial_of_its_own() -> None:
    """When the first of two dials ends, one caller takes it and the other waits for the second."""
    async with RawServer(QUICK) as server, transports() as transport:
        connector = transport._opened().connector
        real, doors = connector._wrap_create_connection, asyncio.Semaphore(0)

        async def waits(*args: Any, **kwargs: Any) -> Any:
            await doors.acquire()
            return await real(*args, **kwargs)

        connector._wrap_create_connection = waits  # type: ignore[method-assign]
        warming = asyncio.create_task(transport.warm(server.url, 2))
        await until(lambda: len(connector._dials.get(next(iter(connector._dials), None), ())) == 2)
        streams = [
            asyncio.create_task(stream(transport, post(server.url)).__aenter__()) for _ in range(2)
        ]
        await asyncio.sleep(0.01)
        doors.release()
        done, waiting = await asyncio.wait(streams, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.02)
        assert len(done) == len(waiting) == 1
        assert connector.dialing(next(iter(connector._dials))) == 1
        doors.release()
        opened = [await each for each in streams]
        await warming
        assert transport.stats().opened == 2
        for each in opened:
            await each.aclose()
        doors.release()
        doors.release()


async def test_a_joined_dial_that_fails_is_made_again() -> None:
    """Who waits for the warm-up's dial is not failed with it."""
    async with RawServer(QUICK) as server, transports() as transport:
        pool = transport._opened()
        real = pool.connector._wrap_create_connection
        gate = asyncio.Event()

        async def fails_once(*args: Any, **kwargs: Any) -> Any:
            pool.connector._wrap_create_connection = real  # type: ignore[method-assign]
            await gate.wait()
            raise ConnectionRefusedError

        pool.connector._wrap_create_connection = fails_once  # type: ignore[method-assign]
        warming = asyncio.create_task(transport.warm(server.url, 1))
        await until(lambda: pool.connector._dials)
        asking = asyncio.create_task(ask(transport, server.url))
        await asyncio.sleep(0)
        gate.set()
        assert (await asking).status == 200
        assert (await warming).failures == ("ConnectionLostError",)


async def test_failed_warm_ups_say_so() -> None:
    """A host that refuses: the report has a failure per dial, and nothing is left behind."""
    async with RawServer(QUICK) as server:
        url = server.url
    async with transports() as transport:
        report = await transport.warm(url, 2)
        assert report.opened == report.reused == 0
        assert report.failures == ("ConnectError", "ConnectError")
        assert transport.stats().open == 0


async def test_a_cancelled_warm_up_leaves_its_dials_to_the_pool() -> None:
    """The caller stops waiting at once; the connections come all the same."""
    async with RawServer(QUICK) as server, transports() as transport:
        with dials_wait(transport):
            warming = asyncio.create_task(transport.warm(server.url, 2))
            await until(lambda: transport.stats().dialing)
            warming.cancel()
            await asyncio.wait([warming])
            assert warming.cancelled()
        await until(lambda: transport.stats().ready == 2)


# -- the keeper ---------------------------------------------------------------------------


async def test_connections_are_replaced_before_the_cut_off() -> None:
    """Idle ones are replaced while the old are still there: somebody is ready at every moment."""
    pool = PoolConfig(idle_cutoff=0.4)
    async with RawServer(QUICK) as server, transports(pool=pool) as transport:
        await transport.warm(server.url, 2)
        until_ = time.monotonic() + 1.2
        least = 2
        while time.monotonic() < until_:
            least = min(least, transport.stats().ready)
            await asyncio.sleep(0.01)
        stats = transport.stats()
        assert least >= 1
        assert stats.opened >= 4
        assert stats.closed.get("expired", 0) >= 2
        assert "peer" not in stats.closed


async def test_the_cut_off_is_learned_from_the_server() -> None:
    """A server that drops idle connections brings the cut-off below what it does."""

    async def drops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.1)  # the shortest idleness that teaches anything is a second

    async with RawServer(drops) as server, transports() as transport:
        await transport.warm(server.url, 1)
        assert transport.stats().idle_cutoff == 50.0
        await until(lambda: transport.stats().closed.get("peer"))
        assert 0.8 <= transport.stats().idle_cutoff < 1.1


async def test_what_the_server_closes_is_replaced() -> None:
    """Connections that close under the pool are dialled again without anybody asking."""
    doors = asyncio.Event()

    async def closes_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (asyncio.sleep(3600) if doors.is_set() else doors.wait())

    async with RawServer(closes_once) as server, transports() as transport:
        await transport.warm(server.url, 3)
        doors.set()
        await until(lambda: transport.stats().closed.get("peer") == 3)
        await until(lambda: transport.stats().ready == 3)


async def test_a_host_that_is_down_is_not_hammered() -> None:
    """The keeper's dials back off; the callers' own do not wait for it."""
    async with RawServer(QUICK) as server:
        url = server.url
        async with transports() as transport:
            await transport.warm(url, 2)
            pool = transport._opened()
            dials = 0
            real = pool.connector.dial

            async def counted(key: Any) -> None:
                nonlocal dials
                dials += 1
                await real(key)

            pool.connector.dial = counted  # type: ignore[method-assign]
            await server.__aexit__()
            await until(lambda: transport.stats().ready == 0)
            await asyncio.sleep(0.3)
            assert dials <= 4
            with pytest.raises(VoicekitError):
                await ask(transport, url)


# -- sizes ----------------------------------------------------------------------------------


async def test_an_exhausted_pool_says_so_in_time() -> None:
    """With every connection busy a call waits max_wait and no longer, nothing having been sent."""
    pool = PoolConfig(max_connections=2, max_wait=0.2)
    async with RawServer(ENDLESS) as server, transports(pool=pool) as transport:
        streams = [stream(transport, post(server.url)) for _ in range(2)]
        for each in streams:
            await anext(each)
        started = time.monotonic()
        with pytest.raises(PoolTimeout) as caught:
            await stream(transport, post(server.url))
        assert 0.18 <= time.monotonic() - started < 0.5
        assert caught.value.outcome == "not_applied"
        assert caught.value.timings is not None
        assert caught.value.timings.queue >= 0.18
        waiting = asyncio.create_task(stream(transport, post(server.url)).__aenter__())
        await asyncio.sleep(0.01)
        await streams[0].aclose()  # gives a place back: who waits takes it
        third = await waiting
        assert third.timings.queue > 0
        for each in (*streams, third):
            await each.aclose()


async def test_max_idle() -> None:
    """Of many connections that come back at once only max_idle stay."""
    pool = PoolConfig(max_connections=10, max_idle=3)
    async with RawServer(QUICK) as server, transports(pool=pool) as transport:
        await asyncio.gather(*(ask(transport, server.url) for _ in range(8)))
        await until(lambda: transport.stats().ready == 3)
        assert transport.stats().open == 3


async def test_newest_first() -> None:
    """The connection used last is the one used next; the others stay idle."""
    async with RawServer(QUICK) as server, transports() as transport:
        await transport.warm(server.url, 3)
        ids = {(await ask(transport, server.url)).connection.id for _ in range(5)}
        assert len(ids) == 1


async def test_retire() -> None:
    """After a key rotation nothing is used that was opened before: idle ones close now, leased
    ones when they come back; work in progress goes on.
    """
    release = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(CHUNKED + chunk(b"one"))
            await release.wait()
            writer.write(chunk(b"two") + b"0\r\n\r\n")

    async with RawServer(handle) as server, transports() as transport:
        await transport.warm(server.url, 2)
        old = stream(transport, post(server.url))
        assert await anext(old) == b"one"
        assert old.connection is not None
        transport.retire()
        await until(lambda: transport.stats().ready == 2)
        release.set()
        assert [piece async for piece in old] == [b"two"]
        await until(lambda: transport.stats().closed.get("retired") == 2)
        fresh = stream(transport, post(server.url))
        await anext(fresh)
        assert fresh.connection is not None
        assert fresh.connection.generation == old.connection.generation + 1
        await fresh.aclose()


async def test_connections_are_evidence() -> None:
    """A call says whether it waited for a dial, how old and how idle its connection was."""
    async with RawServer(QUICK) as server, transports() as transport:
        cold, warm = make_call(), make_call()
        for call in (cold, warm):
            got = await transport.send(post(server.url), call)
            while await got.chunk():
                pass
            await asyncio.sleep(0.02)
        assert cold.connection is not None
        assert warm.connection is not None
        assert not cold.connection.reused
        assert cold.timings.connect > 0
        assert warm.connection.reused
        assert warm.timings.connect == 0
        assert warm.connection.idle >= 0.015
        assert warm.connection.age >= warm.connection.idle
        assert warm.connection.id == cold.connection.id


# -- what is left to the collector -------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", [LOOPS["asyncio"]])
async def test_a_forgotten_stream_warns_once_and_frees_its_connection() -> None:
    """Neither closed nor read to its end: one ResourceWarning, and the connection is not lost."""
    async with RawServer(ENDLESS) as server, transports() as transport:
        speech = stream(transport, post(server.url))
        await anext(speech)
        assert transport.stats().leased == 1
        gc.collect()
        with pytest.warns(ResourceWarning, match="never closed") as caught:  # noqa: PT031
            del speech
            gc.collect()
        assert len(caught) == 1
        await until(lambda: transport.stats().leased == 0)


async def test_get_is_not_repeated_behind_our_back() -> None:
    """A server that hangs up instead of answering sees a GET once, as it does a POST."""

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.requests.append(await read_request(reader))

    async with RawServer(hangs_up) as server, transports() as transport:
        for method in ("GET", "POST"):
            request = Request(method, server.url, HEADERS, None if method == "GET" else b"{}")
            with pytest.raises(ConnectionLostError) as caught:
                await transport.send(request, make_call(LIMITS))
            assert caught.value.outcome == "unknown"
        assert len(server.requests) == 2
