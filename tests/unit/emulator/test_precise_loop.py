"""A link's legs are on time: timers are not rounded to milliseconds."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import pytest

from voicekit.emulator.precise_loop import new_event_loop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")


def test_a_timer_of_a_third_of_a_millisecond_can_be_that_short():
    """Epoll would round it up to one; the best of many tries shows which clock counts."""

    async def shortest() -> float:
        took = []
        for _ in range(50):
            started = time.perf_counter()
            await asyncio.sleep(0.0003)
            took.append(time.perf_counter() - started)
        return min(took)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(shortest()) < 0.0009


def test_what_arrives_ends_the_wait():
    """A wait for a late timer is not a wait past what can be read now."""

    async def received() -> bytes:
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe()
        got: asyncio.Future[bytes] = loop.create_future()
        loop.add_reader(ours, lambda: got.done() or got.set_result(os.read(ours, 1)))
        try:
            loop.call_later(30, got.cancel)
            loop.run_in_executor(None, os.write, theirs, b"x")
            return await got
        finally:
            loop.remove_reader(ours)
            os.close(ours)
            os.close(theirs)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(received()) == b"x"
