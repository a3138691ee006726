"""Columns 50 to 52: several members in one place, and speech that goes on after a break."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operations import Row

from faults import LIVE, OK, Fault, expect, fails
from voicekit import events, fallback, spread
from voicekit.errors import StreamInterruptedError
from voicekit.testing import RecordingObserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cell import Cell
    from servers import FaultServer, Script, Visit

_ELSEWHERE = "127.0.0.4"
_LATE = 0.15
"""Seconds that a member may take; a tenth of the how-to's."""
_CALLERS = 8


async def _down(visit: Visit) -> None:
    await visit.read()
    await visit.say("503 Unavailable", b'{"error": {"message": "down"}}')


async def _silent(visit: Visit) -> None:
    await visit.read()
    await visit.hang()


async def _dropped(visit: Visit) -> None:
    await visit.read()
    visit.reset()


async def _not_listed(visit: Visit) -> None:
    """Well, but without what a probe asks for."""
    await visit.read()
    await visit.say("404 None", b'{"error": {"message": "no such list"}}')


def _well(cell: Cell) -> Script:
    async def script(visit: Visit) -> None:
        probe = visit.seen.path.endswith("/models")
        await (_not_listed if probe else cell.good)(visit)

    return script


@dataclass(frozen=True)
class _Two:
    """A wrapper of two clients. The second is the cell's own, whose events are the cell's."""

    wrapper: Any
    first: Any
    server: FaultServer


@asynccontextmanager
async def _two(cell: Cell, make: Any, **options: Any) -> AsyncIterator[_Two]:
    assert cell.row.member is not None
    seen = RecordingObserver()
    async with AsyncExitStack() as stack:
        other = stack.enter_context(cell.another(_ELSEWHERE))
        url = f"http://{_ELSEWHERE}:{other.port}"
        first = cell.subject.make(cell.row, url=url, ca=None, observer=seen)
        members = [cell.row.member(each) for each in (first, await cell.client())]
        await stack.enter_async_context(first)
        wrapper = make(*members, names=("first", "second"), close=False, **options)
        yield _Two(await stack.enter_async_context(wrapper), first, other)
    began, ended = (len(seen.of(kind)) for kind in (events.CallStarted, events.CallEnded))
    assert began == ended, f"I4 at the first member {began} calls began and {ended} ended"


async def _asked(cell: Cell, wrapper: Any) -> None:
    """A call that counts in the cell if it was the second's."""
    before = len(cell.ends)
    result = await cell.call(wrapper, counts=False)
    if len(cell.ends) > before:
        cell.results.append(result)
    expect(cell, result, OK)


# -- fallback -----------------------------------------------------------------------------------


async def _first_fails(cell: Cell) -> None:
    """Before its first output: the second answers, in time, and the first is left to rest."""
    for script in (_down, _silent, _dropped):
        async with _two(cell, fallback, timeout=_LATE) as two:
            two.server.script = script
            seen = len(cell.server.seen)
            result = await cell.call(two.wrapper)
            expect(cell, result, OK)
            most = _LATE + 0.1 + cell.canary.tolerance
            assert result.elapsed < most, f"took {result.elapsed:.3f} s"
            assert len(cell.server.seen) == seen + 1, "the second was not asked once"
            asked = len(two.server.seen)
            expect(cell, await cell.call(two.wrapper), OK)
            assert len(two.server.seen) == asked, "who failed was asked again at once"


async def _first_is_ill_for_long(cell: Cell) -> None:
    """No caller's call is spent on finding out, and it leads again when it is well."""
    now = [0.0]
    async with _two(cell, fallback, timeout=_LATE, clock=lambda: now[0]) as two:
        await _asked(cell, two.wrapper)  # its connections are warm
        two.server.script = _down
        await _asked(cell, two.wrapper)
        failed = len(two.server.seen)
        for _ in range(2):
            now[0] += 100.0
            await _probed(cell, two.wrapper)
        spent = [each for each in two.server.seen[failed:] if not each.path.endswith("/models")]
        if hasattr(two.first, "models"):
            assert not spent, f"{len(spent)} requests of callers went to a member that is ill"
        two.server.script = _well(cell)
        now[0] += 100.0
        await _probed(cell, two.wrapper)
        answered = len(two.server.seen)
        await _asked(cell, two.wrapper)
        assert len(two.server.seen) == answered + 1, "it does not lead again"
        assert two.wrapper.stats()[0].state == "well"


async def _probed(cell: Cell, wrapper: Any) -> None:
    """Who calls first has the other one probed; and somebody calls after that."""
    until = time.monotonic() + 1.0
    await _asked(cell, wrapper)
    while wrapper.stats()[0].state == "probing":
        assert time.monotonic() < until, "the probe does not end"
        await asyncio.sleep(0.002)
    await _asked(cell, wrapper)


# -- spread -------------------------------------------------------------------------------------


async def _equals(cell: Cell) -> None:
    """Each has half of the callers; one that refuses by hand, or is gone, has none."""
    async with _two(cell, spread) as two:
        for server in (two.server, cell.server):
            server.script = _late(cell)
        for result in await cell.together(_CALLERS, two.wrapper):
            expect(cell, result, OK)
        asked = len(two.server.seen), len(cell.server.seen)
        assert asked == (_CALLERS // 2, _CALLERS // 2), f"they were asked {asked} times"
        cell.results[:] = cell.results[: len(cell.ends)]
        two.server.script = cell.server.script = cell.good
        two.first.breaker(cell.row.name).force_open()
        for _ in range(3 * _CALLERS):
            expect(cell, await cell.call(two.wrapper), OK)
        refused = two.first.breaker(cell.row.name).stats().rejected
        assert refused <= 2, f"the open circuit was asked {refused} times"
        two.first.breaker(cell.row.name).reset()
    async with _two(cell, spread, rng=_FirstOfEquals()) as two:
        cell.there(two.server.stop())
        expect(cell, await cell.call(two.wrapper), OK)


class _FirstOfEquals(random.Random):
    def choice(self, seq: Any) -> Any:
        return seq[0]


def _late(cell: Cell) -> Script:
    async def script(visit: Visit) -> None:
        await visit.read()
        await asyncio.sleep(0.05)
        await cell.good(visit)

    return script


# -- resume -------------------------------------------------------------------------------------


async def _broken_off(cell: Cell) -> None:
    """A clip of which nobody has anything yet goes on by itself; not without end."""
    assert cell.row.resumes is not None
    client = (await cell.client()).with_options(**cell.row.resumes)

    cell.server.script = cell.first(_cut)
    expect(cell, await cell.call(client), OK)
    assert len(cell.server.seen) == 2
    assert cell.recorder.of(events.SpeechResumed), "it goes on, and says nothing"
    cell.server.script = _cut
    expect(cell, await cell.call(client), fails(StreamInterruptedError, outcome="partial"))
    asked = len(cell.server.seen) - 2
    assert asked == 2, f"asked for {asked} times"
    cell.results += cell.results  # the rest is a call of its own, and comes out as the whole does


async def _heard_in_part(cell: Cell) -> None:
    """Somebody has a part of the sentence that broke off: it is not said again."""
    assert cell.row.resumes is not None
    client = (await cell.client()).with_options(**cell.row.resumes)
    cell.server.script = cell.first(_cut)
    expect(cell, await cell.call(client), fails(StreamInterruptedError, outcome="partial"))
    assert len(cell.server.seen) == 1, "what the caller has was asked for again"


async def _cut(visit: Visit) -> None:
    await visit.read()
    reply = visit.reply
    await visit.write(reply.head(f"Content-Length: {len(reply.body)}"))
    await visit.write(reply.body[: len(reply.body) // 2])
    await asyncio.sleep(0.02)
    visit.writer.close()


def _members(row: Row) -> str:
    return LIVE if row.member else "its client has no interface in common with others"


def _resumes(row: Row) -> str:
    return LIVE if row.resumes else "nothing proves where it could go on"


def _clips(row: Row) -> str:
    return "the caller has what came: column 52b" if row.streams else _resumes(row)


def _streams(row: Row) -> str:
    return _resumes(row) if row.streams else "nobody has anything before all is there: column 52a"


COLUMNS: tuple[Fault, ...] = (
    Fault(
        number="50a", title="fallback, the first fails", run=_first_fails, applies=_members,
        ours=True,
    ),
    Fault(
        number="50b", title="fallback, the first is ill for long", run=_first_is_ill_for_long,
        applies=_members, ours=True,
    ),
    Fault(
        number="51", title="spread, one is closed or gone", run=_equals, applies=_members,
        ours=True,
    ),
    Fault(
        number="52a", title="resume, a clip breaks off", run=_broken_off, applies=_clips,
        ours=True,
    ),
    Fault(
        number="52b", title="resume, a stream breaks off", run=_heard_in_part,
        applies=_streams, ours=True,
    ),
)  # fmt: skip
