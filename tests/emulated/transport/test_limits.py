"""Every limit is typed, kept, and counts what it says; the tolerance is the loop's own lag."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from seams import (
    CHUNKED,
    Canary,
    RawServer,
    answers,
    chunk,
    deaf_listener,
    full_listener,
    post,
    read_request,
    response,
    stream,
    transports,
)

from settling import until
from voicekit.deadlines import deadline
from voicekit.errors import (
    ConnectTimeout,
    DeadlineError,
    FirstOutputTimeout,
    GapTimeout,
    StreamInterruptedError,
    TotalTimeout,
)
from voicekit.operation import Limits
from voicekit.testing import RecordingObserver

pytestmark = [pytest.mark.anyio, pytest.mark.emulated, pytest.mark.timing]

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}
LIMIT = 0.3


@pytest.fixture(params=sorted(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


@contextlib.asynccontextmanager
async def takes(seconds: float) -> AsyncIterator[None]:
    """The block ends that many seconds after it began, but for the loop's lag."""
    async with Canary() as canary:
        started = time.monotonic()
        yield
        took = time.monotonic() - started
    assert seconds - 0.01 <= took <= seconds + canary.tolerance


# -- connecting ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listener", "scheme"),
    [(deaf_listener, "https"), (full_listener, "https"), (full_listener, "http")],
)
async def test_connect(listener: Any, scheme: str) -> None:
    """A TLS handshake that stalls, a SYN that nobody answers: ConnectTimeout at its limit."""
    with listener() as port:
        async with transports() as transport:
            await transport._ssl(f"{scheme}://x")  # building the context is no part of it
            recorder = RecordingObserver()
            async with takes(LIMIT):
                with pytest.raises(ConnectTimeout) as caught:
                    await stream(
                        transport,
                        post(f"{scheme}://127.0.0.1:{port}"),
                        Limits(connect=LIMIT, first_output=5),
                        recorder,
                    )
            error = caught.value
            assert (error.limit, error.outcome, error.retryable) == (LIMIT, "not_applied", True)
            assert [end.error for end in recorder.ended] == ["ConnectTimeout"]
            assert transport.stats().open == 0


async def test_connect_counts_once_over_a_joined_dial() -> None:
    """Waiting for the pool's dial and then for one's own is one connect, not two."""
    with deaf_listener() as port:
        url = f"https://127.0.0.1:{port}"
        async with transports() as transport:
            warming = asyncio.create_task(transport.warm(url, 1, timeout=LIMIT / 2))
            await until(lambda: transport.stats().dialing)
            pool = transport._opened()
            asking = asyncio.create_task(
                stream(transport, post(url), Limits(connect=LIMIT)).__aenter__()
            )
            async with takes(LIMIT):
                await asyncio.sleep(LIMIT / 2)
                for task in list(pool.background._tasks):
                    task.cancel()  # the pool's dial fails half way
                with pytest.raises(ConnectTimeout):
                    await asking
            await warming


async def test_a_dead_first_address() -> None:
    """The second is tried after a tenth of a second, not after the connect limit."""
    with full_listener() as port:
        handler = answers(response(b"{}"), then="")
        async with RawServer(handler, address=("127.0.0.2", port)), transports() as transport:
            transport._opened()._resolver._lookup = lambda host, port, family: [
                {"hostname": host, "host": f"127.0.0.{n}", "port": port} for n in (1, 2)
            ]
            async with takes(0.1):
                speech = await stream(transport, post(f"http://name.test:{port}"))
            assert speech.timings.connect >= 0.09
            await speech.aclose()


async def test_a_slow_name_server() -> None:
    """Cold calls end at their connect limit; warm ones never ask."""
    asked = threading.Event()
    answer = threading.Event()

    def slow(host: str, port: int, family: Any) -> Any:
        asked.set()
        answer.wait(10)
        return [{"hostname": host, "host": "127.0.0.1", "port": port}]

    async with RawServer(answers(response(b"{}"), then="")) as server, transports() as transport:
        url = server.url.replace("127.0.0.1", "name.test")
        resolver = transport._opened()._resolver
        resolver._lookup = slow
        try:
            async with takes(LIMIT):
                with pytest.raises(ConnectTimeout):
                    await stream(transport, post(url), Limits(connect=LIMIT, first_output=5))
            answer.set()
            await transport.warm(url, 1)
            answer.clear()
            asked.clear()
            resolver._answers.clear()
            async with takes(0.0):
                speech = await stream(transport, post(url), Limits(connect=LIMIT, first_output=5))
            assert not asked.is_set()
            await speech.aclose()
        finally:
            answer.set()


# -- the first output ---------------------------------------------------------------------------


async def test_first_output_silence() -> None:
    """A server that reads and never answers."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        async with takes(LIMIT):
            with pytest.raises(FirstOutputTimeout) as caught:
                await stream(
                    transport, post(server.url), Limits(first_output=LIMIT, gap=5, total=9)
                )
        assert caught.value.outcome == "unknown"
        assert caught.value.limit == LIMIT


async def test_first_output_useless() -> None:
    """A stream of dots, which is no output, trips the same limit at the same time."""
    dots = answers(CHUNKED, *[chunk(b".")] * 200, pause=0.02, then="hang")
    async with RawServer(dots) as server, transports() as transport, takes(LIMIT):
        with pytest.raises(FirstOutputTimeout):
            await stream(transport, post(server.url), Limits(first_output=LIMIT, gap=5))


async def test_first_output_counts_from_dispatch() -> None:
    """The time that connecting took is not taken from it."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        real = transport._opened().connector._wrap_create_connection

        async def slow(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0.2)
            return await real(*args, **kwargs)

        transport._opened().connector._wrap_create_connection = slow  # type: ignore[method-assign]
        async with takes(0.2 + LIMIT):
            with pytest.raises(FirstOutputTimeout):
                await stream(transport, post(server.url), Limits(connect=1, first_output=LIMIT))


# -- gaps -----------------------------------------------------------------------------------------


async def test_gap() -> None:
    """A hung peer is noticed inside the gap limit, with an exact account and the cause."""
    hangs = answers(CHUNKED, chunk(b"one"), then="hang")
    async with RawServer(hangs) as server, transports() as transport:
        recorder = RecordingObserver()
        limits = Limits(first_output=5, gap=LIMIT)
        speech = stream(transport, post(server.url), limits, recorder)
        assert await anext(speech) == b"one"
        async with takes(LIMIT):
            with pytest.raises(StreamInterruptedError) as caught:
                await anext(speech)
        assert isinstance(caught.value.__cause__, GapTimeout)
        assert caught.value.outcome == "partial"
        assert not caught.value.retryable
        assert [(end.result, end.error) for end in recorder.ended] == [
            ("error", "StreamInterruptedError")
        ]
        with pytest.raises(StopAsyncIteration):
            await anext(speech)


async def test_gap_useless() -> None:
    """Dots after the first output do not restart the gap's clock."""
    dots = answers(CHUNKED, chunk(b"one"), *[chunk(b".")] * 200, pause=0.02, then="hang")
    async with RawServer(dots) as server, transports() as transport:
        speech = stream(transport, post(server.url), Limits(first_output=5, gap=LIMIT))
        await anext(speech)
        async with takes(LIMIT):
            with pytest.raises(StreamInterruptedError) as caught:
                await anext(speech)
        assert isinstance(caught.value.__cause__, GapTimeout)


async def test_useful_output_restarts_the_gap() -> None:
    """A stream that is slow but alive is never cut off."""
    pieces = [chunk(b"%d" % n) for n in range(6)]
    alive = answers(CHUNKED, *pieces, b"0\r\n\r\n", pause=0.15, then="")
    async with RawServer(alive) as server, transports() as transport:
        speech = stream(transport, post(server.url), Limits(first_output=5, gap=LIMIT))
        assert [piece async for piece in speech] == [b"%d" % n for n in range(6)]


async def test_a_consumer_may_pause() -> None:
    """Longer than the gap limit, and longer than the read backstop: no limit runs meanwhile,
    and nothing is lost, however much came.
    """
    big = b"x" * 300_000  # more than is read ahead
    much = answers(CHUNKED, chunk(b"one"), chunk(big), chunk(b"END"), b"0\r\n\r\n", then="")
    async with RawServer(much) as server, transports() as transport:
        limits = Limits(first_output=0.2, gap=0.2)
        recorder = RecordingObserver()
        speech = stream(transport, post(server.url), limits, recorder)
        got = await anext(speech)
        await asyncio.sleep(1.5)
        got += b"".join([piece async for piece in speech])
        assert got == b"one" + big + b"END"
        assert [end.result for end in recorder.ended] == ["ok"]


# -- the whole ----------------------------------------------------------------------------------


async def test_total_while_opening() -> None:
    """The total limit holds before the first output."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        async with takes(LIMIT):
            with pytest.raises(TotalTimeout) as caught:
                await stream(transport, post(server.url), Limits(first_output=5, total=LIMIT))
        assert caught.value.outcome == "unknown"


async def test_total_while_streaming() -> None:
    """And after it, however lively the stream."""
    lively = answers(CHUNKED, *[chunk(b"a")] * 500, pause=0.01, then="hang")
    async with RawServer(lively) as server, transports() as transport:
        async with takes(LIMIT):
            with pytest.raises(StreamInterruptedError) as caught:
                async for _ in stream(
                    transport, post(server.url), Limits(first_output=5, gap=5, total=LIMIT)
                ):
                    pass
        assert isinstance(caught.value.__cause__, TotalTimeout)


async def test_deadline() -> None:
    """The ambient deadline bounds a call whose own limits are longer, and is nobody else's."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        limits = Limits(first_output=5, total=9)
        async with takes(LIMIT):
            with deadline(LIMIT), pytest.raises(TotalTimeout) as caught:
                await stream(transport, post(server.url), limits)
        assert caught.value.limit == pytest.approx(LIMIT, abs=0.01)
        outside = asyncio.create_task(stream(transport, post(server.url), limits).__aenter__())
        await asyncio.sleep(LIMIT * 1.5)
        assert not outside.done()
        outside.cancel()
        await asyncio.wait([outside])


async def test_deadline_is_spent_down() -> None:
    """The second call of the block has what the first left; a third is refused unsent."""

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            await asyncio.sleep(0.6)
            writer.write(response(b"{}"))

    async with RawServer(late) as server, transports() as transport:
        limits = Limits(first_output=5)
        async with takes(1.0):
            with deadline(1.0), deadline(10):  # an inner one only shortens
                first = stream(transport, post(server.url), limits)
                assert await anext(first) == b"{}"
                await first.aclose()
                with pytest.raises(TotalTimeout):
                    await stream(transport, post(server.url), limits)
                with pytest.raises(TotalTimeout) as caught:
                    await stream(transport, post(server.url), limits)
        assert caught.value.outcome == "not_applied"
        assert server.served == 1


async def test_deadline_is_not_seen_by_shared_work() -> None:
    """Dials, refills and look-ups that a hurried caller started go on without its deadline."""
    from voicekit.deadlines import ambient_deadline

    seen: list[float | None] = []
    handler = answers(CHUNKED, chunk(b"a"), then="hang")
    async with RawServer(handler) as server, transports() as transport:
        connector = transport._opened().connector
        real = connector.dial

        async def spy(key: Any) -> None:
            seen.append(ambient_deadline())
            await real(key)

        connector.dial = spy  # type: ignore[method-assign]
        with deadline(5):
            await transport.warm(server.url, 2)
            async with stream(transport, post(server.url)) as speech:
                await anext(speech)
            await until(lambda: transport.stats().ready == 2)
        assert len(seen) >= 3
        assert set(seen) == {None}


async def test_a_cancellation_is_not_a_limit() -> None:
    """Cancelled from outside just before its limit, a call is cancelled and nothing else."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        recorder = RecordingObserver()
        limits = Limits(first_output=LIMIT)
        task = asyncio.create_task(
            stream(transport, post(server.url), limits, recorder).__aenter__()
        )
        await asyncio.sleep(LIMIT - 0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert [end.result for end in recorder.ended] == ["cancelled"]


async def test_asyncio_timeout_around_a_call() -> None:
    """A user's own asyncio.timeout keeps its meaning."""
    async with RawServer(answers(then="hang")) as server, transports() as transport:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await stream(transport, post(server.url), Limits(first_output=5))
        assert not isinstance(caught.value, DeadlineError)
