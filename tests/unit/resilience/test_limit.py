"""The concurrency limit around calls: places, the queue, who is turned away."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from limited import OPERATION, busy, make, refusal, turns, workers

from voicekit import events
from voicekit.deadlines import deadline
from voicekit.errors import InvalidArgumentError, OverloadedError, UnavailableError
from voicekit.operation import Call
from voicekit.resilience.limit import Limit, LimitStats
from voicekit.testing import RecordingObserver
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


@pytest.fixture
def seen() -> RecordingObserver:
    return RecordingObserver()


async def test_no_more_than_the_limit_are_under_way() -> None:
    """The others wait, and begin in the order in which they came."""
    limit = make(2)
    made = await workers(limit, 4)
    assert [w.started for w in made] == [True, True, False, False]
    assert busy(limit) == (2, 2)
    await made[1].go()
    assert [w.started for w in made] == [True, True, True, False]
    await made[0].fail(UnavailableError("status 503"))
    assert made[3].started
    await made[2].go()
    await made[3].go()
    assert busy(limit) == (0, 0)


async def test_a_place_is_held_until_the_call_ends() -> None:
    """An open stream occupies the provider; its opening is not its end."""
    limit = make(1)
    first, second = await workers(limit, 2)
    await first.answer()
    await turns()
    assert not second.started
    first.call.end()
    first.call.end()
    await turns()
    assert second.started
    await second.cancel()
    assert busy(limit) == (0, 0)


async def test_alone_around_any_function() -> None:
    """``run`` holds the place as long as the function runs, and hands its errors through."""
    limit = make(3)
    running = most = 0

    async def work() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return running

    await asyncio.gather(*(limit.run(work) for _ in range(10)))
    assert most == 3

    async def broken() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await limit.run(broken)
    assert busy(limit) == (0, 0)


async def test_a_full_queue_turns_away_at_once() -> None:
    """Without waiting, saying how full it is and when to come again."""
    limit = make(1, queue=1)
    first, _, third = made = await workers(limit, 3)
    assert third.task.done()
    with pytest.raises(OverloadedError, match=r"1 calls wait already \(at most 1 at a time\)") as e:
        await third.task
    assert e.value.retry_after == 5.0  # nothing is known yet
    assert (e.value.provider, e.value.outcome, e.value.attempts) == ("testing", "not_applied", 0)
    await asyncio.sleep(2)
    await first.go()
    (fourth,) = await workers(limit, 1)
    (fifth,) = await workers(limit, 1)
    with pytest.raises(OverloadedError) as e:
        await fifth.task
    assert e.value.retry_after == pytest.approx(4.0)  # two are before it, each for 2 s
    assert limit.stats().rejected == 2
    await made[1].go()
    await fourth.go()


async def test_nobody_waits_longer_than_allowed() -> None:
    """Then the call is turned away; the wait is counted, and the queue forgets it."""
    limit = make(1, max_wait=3.0)
    first, second = await workers(limit, 2)
    before = asyncio.get_running_loop().time()
    with pytest.raises(OverloadedError, match=r"no place came free within 3 s \(") as e:
        await second.task
    assert asyncio.get_running_loop().time() - before == pytest.approx(3.0)
    assert e.value.timings is not None
    assert e.value.timings.queue == pytest.approx(3.0)
    assert busy(limit) == (1, 0)
    await first.go()
    assert limit.stats() == LimitStats(
        limit=1, in_flight=0, queued=0, rejected=1, known_maximum=1, waited_s=pytest.approx(3.0)
    )


async def test_nobody_waits_longer_than_its_deadline() -> None:
    """The smaller of the two; the error says which it was."""
    limit = make(1)
    (first,) = await workers(limit, 1)
    with deadline(0.5):
        (second,) = await workers(limit, 1)
    with pytest.raises(OverloadedError, match="all that the call had left"):
        await second.task
    with deadline(0.0):
        (third,) = await workers(limit, 1)
    with pytest.raises(OverloadedError, match="no place is free"):
        await third.task
    await first.go()


@pytest.mark.parametrize("settings", [{"queue": 0}, {"max_wait": 0}])
async def test_it_need_not_queue_at_all(settings: dict[str, Any]) -> None:
    """No queue, or no time to wait: turned away at once."""
    limit = make(1, **settings)
    first, second = await workers(limit, 2)
    assert second.task.done()
    with pytest.raises(OverloadedError):
        await second.task
    await first.go()


async def test_what_was_waited_is_told(seen: RecordingObserver) -> None:
    """Depth and seconds, on the call that waited; nothing on one that did not."""
    limit = make(1)
    first, second, third = await workers(limit, 3, seen)
    await asyncio.sleep(0.5)
    await first.go()
    await asyncio.sleep(0.25)
    await second.go()
    await third.go()
    assert [(e.call, e.depth) for e in seen.of(events.Queued)] == [
        (second.call.id, 1),
        (third.call.id, 2),
    ]
    assert [(e.call, e.seconds) for e in seen.of(events.Waited)] == [
        (second.call.id, pytest.approx(0.5)),
        (third.call.id, pytest.approx(0.75)),
    ]
    assert second.call.timings.queue == pytest.approx(0.5)
    assert first.call.timings.queue == 0.0
    assert limit.stats().waited_s == pytest.approx(1.25)


async def test_two_attempts_of_a_call_hold_two_places() -> None:
    """A hedge's loser frees its own; the winner's is held until the call ends."""
    limit = make(3)
    call = Call(OPERATION)
    twin = call.twin()
    won = asyncio.Event()

    async def step(attempt: Call) -> str:
        if attempt is call:
            await asyncio.sleep(3600)
        await won.wait()
        return "won"

    async def step_again(_: Call) -> str:
        return "again"

    loser = asyncio.create_task(limit(call, step))
    winner = asyncio.create_task(limit(twin, step))
    await turns()
    assert busy(limit) == (2, 0)
    won.set()
    assert await winner == "won"
    call.adopt(twin)
    loser.cancel()
    await asyncio.gather(loser, return_exceptions=True)
    assert busy(limit) == (1, 0)
    assert await limit(call, step_again) == "again"
    assert busy(limit) == (1, 0), "the loser has taken the winner's mark with it"
    call.end()
    assert busy(limit) == (0, 0)


async def test_both_attempts_of_a_call_may_be_answered() -> None:
    """In one turn of the loop; the call's end frees both places."""
    limit = make(3)
    call = Call(OPERATION)

    async def step(_: Call) -> None:
        await asyncio.sleep(1)

    await asyncio.gather(limit(call, step), limit(call.twin(), step))
    assert busy(limit) == (2, 0)
    call.end()
    assert busy(limit) == (0, 0)


async def test_a_sessions_next_connection_takes_no_second_place() -> None:
    """The one before is gone; waiting for its own place would be for ever."""
    limit = make(1)
    (session,) = await workers(limit, 1)
    await session.answer()

    async def dial_again(_: Call) -> str:
        return "again"

    assert await limit(session.call, dial_again) == "again"
    assert busy(limit) == (1, 0)
    session.call.end()
    assert busy(limit) == (0, 0)


async def test_a_call_that_has_ended_keeps_no_place() -> None:
    """An answer that comes too late has nobody to free its place later."""
    limit = make(1)
    (late,) = await workers(limit, 1)
    late.call.end()
    await late.answer()
    assert busy(limit) == (0, 0)


def test_fresh_keeps_the_settings_and_nothing_else() -> None:
    """Each credential learns for itself."""

    async def main() -> Limit:
        limit = Limit(9, least=2, queue=3, max_wait=1.5, decrease=0.5)
        (worker,) = await workers(limit, 1)
        await worker.fail(refusal())
        assert limit.stats().limit == 2
        return limit.fresh()

    fresh = asyncio.run(main())
    assert fresh.stats() == LimitStats(
        limit=9, in_flight=0, queued=0, rejected=0, known_maximum=9, waited_s=0.0
    )
    assert (fresh.most, fresh.least, fresh.queue) == (9, 2, 3)
    assert (fresh.max_wait, fresh.decrease) == (1.5, 0.5)
    assert fresh.settings == fresh.fresh().settings != Limit(9).settings


def test_it_reads_like_a_part_of_a_sentence() -> None:
    """In the pipeline's repr."""
    assert repr(Limit(10)) == "limit (≤ 10, queue 100 for 5 s)"
    assert repr(Limit(max_wait=0.5)) == "limit (as the provider allows, queue 100 for 0.5 s)"


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"most": 0}, "most"),
        ({"most": 2, "least": 3}, "most"),
        ({"most": 2.5}, "most"),
        ({"most": True}, "most"),
        ({"least": 0}, "least"),
        ({"queue": -1}, "queue"),
        ({"max_wait": -1}, "max_wait"),
        ({"max_wait": float("inf")}, "max_wait"),
        ({"max_wait": float("nan")}, "max_wait"),
        ({"max_wait": "5"}, "max_wait"),
        ({"decrease": 0}, "decrease"),
        ({"decrease": 1}, "decrease"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], argument: str) -> None:
    """Before anything is limited."""
    with pytest.raises(InvalidArgumentError) as e:
        Limit(**settings)
    assert e.value.argument == argument
