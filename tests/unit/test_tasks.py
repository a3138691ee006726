"""Background tasks: owned, named, in an empty context, awaited at close."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from voicekit.deadlines import ambient_deadline, deadline
from voicekit.tasks import Background

pytestmark = pytest.mark.anyio


async def test_it_knows_its_tasks() -> None:
    """By name, and only while they run."""
    background = Background()
    task = background.spawn(asyncio.sleep(0), "voicekit-test")
    assert len(background) == 1
    assert task.get_name() == "voicekit-test"
    await task
    await asyncio.sleep(0)
    assert len(background) == 0


async def test_nobodys_deadline_reaches_it() -> None:
    """Shared work does not run out of one caller's time."""
    seen: list[float | None] = []

    async def look() -> None:
        seen.append(ambient_deadline())

    with deadline(1):
        await Background().spawn(look(), "voicekit-test")
    assert seen == [None]


async def test_a_failure_is_said_without_content(caplog: pytest.LogCaptureFixture) -> None:
    """The task and the type, never the text of the exception."""
    background = Background()

    async def fail() -> None:
        raise ValueError("marked secret")

    with contextlib.suppress(ValueError):
        await background.spawn(fail(), "voicekit-test")
    await asyncio.sleep(0)
    assert caplog.record_tuples == [
        ("voicekit.tasks", logging.WARNING, "voicekit-test failed: ValueError")
    ]


async def test_close_cancels_and_waits() -> None:
    """When aclose returns, nothing runs any more, and every task had its finally."""
    background = Background()
    ended: list[int] = []

    async def work(n: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            ended.append(n)

    for n in range(3):
        background.spawn(work(n), "voicekit-test")
    await asyncio.sleep(0)
    await background.aclose()
    assert sorted(ended) == [0, 1, 2]
    assert len(background) == 0
    await background.aclose()


async def test_a_task_may_close_its_own_background() -> None:
    """It does not wait for itself."""
    background = Background()
    await asyncio.wait_for(background.spawn(background.aclose(), "voicekit-test"), 1)


async def test_after_close_nothing_starts() -> None:
    """What is spawned too late is cancelled before its first step."""
    background = Background()
    await background.aclose()
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    task = background.spawn(work(), "voicekit-test")
    await asyncio.wait([task])
    assert task.cancelled()
    assert ran == []


async def test_abandon_cancels_without_waiting() -> None:
    """For an owner who is being collected."""
    background = Background()
    task = background.spawn(asyncio.sleep(3600), "voicekit-test")
    background.abandon()
    await asyncio.wait([task])
    assert task.cancelled()
