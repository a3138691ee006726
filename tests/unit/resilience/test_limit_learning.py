"""What refusals and answers teach the concurrency limit, and what a pause does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from limited import busy, make, refusal, turns, workers

from voicekit import events
from voicekit.deadlines import deadline
from voicekit.errors import OverloadedError
from voicekit.testing import RecordingObserver, no_waits
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


@pytest.fixture
def seen() -> RecordingObserver:
    return RecordingObserver()


async def test_a_refusal_lowers_the_limit_and_successes_raise_it(
    seen: RecordingObserver,
) -> None:
    """Once for all calls of that moment; each change is told with its cause."""
    limit = make()
    made = await workers(limit, 10, seen)
    for worker in made[:4]:
        await worker.fail(refusal())
    assert limit.stats().limit == 7
    for worker in made[4:]:
        await worker.go()
    for _ in range(7):
        batch = await workers(limit, 4, seen)
        for worker in batch:
            await worker.answer()
        for worker in batch:
            worker.call.end()
    changes = seen.of(events.LimitChanged)
    assert [(e.limit, e.previous, e.cause) for e in changes] == [
        (7, None, "refused"),
        (8, 7, "recovered"),
        (9, 8, "recovered"),
    ]
    assert changes[0].call == made[0].call.id


async def test_what_the_provider_tells_is_the_limit(seen: RecordingObserver) -> None:
    """From the first answer on; more than it, and who waits begins at once."""
    limit = make()
    (first,) = await workers(limit, 1, seen)
    await first.answer((1, 2))
    made = await workers(limit, 3)
    assert [w.started for w in made] == [True, False, False]
    await made[0].answer((2, 3))
    await turns()
    assert [w.started for w in made] == [True, True, False]
    first.call.end()
    made[0].call.end()
    await turns()
    await made[1].go((2, 3))
    await made[2].go((1, 3))
    assert limit.stats().known_maximum == 3
    assert [(e.limit, e.cause) for e in seen.of(events.LimitChanged)] == [(2, "told")]


async def test_a_refusal_per_minute_pauses_instead() -> None:
    """Fewer at a time would not help; nobody asks before the time that the provider named."""
    limit = make(5)
    first, running = await workers(limit, 2)
    await first.fail(refusal("rate_limit_exceeded", retry_after=2.0))
    assert limit.stats().limit == 5
    made = await workers(limit, 2)
    assert not any(w.started for w in made)
    await asyncio.sleep(1.9)
    await running.go()
    assert not any(w.started for w in made)
    await asyncio.sleep(0.2)
    assert all(w.started for w in made)
    for worker in made:
        await worker.go()
    assert busy(limit) == (0, 0)


async def test_tests_need_not_wait_for_a_pause() -> None:
    """Nor does anybody else for one that a test was told to make."""
    limit = make()
    with no_waits():
        (first,) = await workers(limit, 1)
    await first.fail(refusal("rate_limit_exceeded", retry_after=2.0))
    (second,) = await workers(limit, 1)
    assert second.started
    await second.go()


async def test_a_pause_grows_with_later_refusals() -> None:
    """Who waits for its end waits for the later one."""
    limit = make(5)
    first, second = await workers(limit, 2)
    await first.fail(refusal("tokens", retry_after=1.0))
    (waiting,) = await workers(limit, 1)
    await asyncio.sleep(0.5)
    await second.fail(refusal("tokens", retry_after=2.0))
    await asyncio.sleep(1.0)
    assert not waiting.started
    await asyncio.sleep(1.1)
    assert waiting.started
    await waiting.go()


@pytest.mark.parametrize(
    ("code", "retry_after", "limit", "paused"),
    [
        ("concurrent_limit_exceeded", 1.0, 2, False),
        (None, None, 2, False),
        (None, 1.0, 2, True),
        ("rate_limit_exceeded", None, None, False),
        ("rate_limit_exceeded", 60.0, None, False),
        ("rate_limit_exceeded", 0.0, None, False),
    ],
)
async def test_what_a_refusal_does(
    code: str | None, retry_after: float | None, limit: int | None, paused: bool
) -> None:
    """By what the provider counted, and for how long it asks us to stay away."""
    bound = make()
    made = await workers(bound, 4)
    await made[0].fail(refusal(code, retry_after=retry_after))
    assert bound.stats().limit == limit
    for worker in made[1:]:
        await worker.go()
    (next_one,) = await workers(bound, 1)
    assert next_one.started is not paused
    await asyncio.sleep(1.1)
    assert next_one.started
    await next_one.go()


async def test_a_pause_that_is_too_long_is_not_waited_for() -> None:
    """Turned away at once, with the seconds that are left of it."""
    limit = make(5)
    (first,) = await workers(limit, 1)
    await first.fail(refusal("tokens", retry_after=4.0))
    with deadline(1.0):
        (second,) = await workers(limit, 1)
    assert second.task.done()
    with pytest.raises(OverloadedError, match="asked for a pause, of which 4 s are left") as e:
        await second.task
    assert e.value.retry_after == pytest.approx(4.0)
