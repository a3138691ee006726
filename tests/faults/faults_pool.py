"""Columns 10 to 15: what happens to connections between two calls, and to the pool of them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import scaled
from operations import Row

from faults import (
    OK,
    OK_OR_UNKNOWN,
    UNKNOWN,
    Fault,
    attempts_of,
    by_kind,
    expect,
    fails,
    http,
    sockets,
)
from settling import open_sockets
from voicekit.errors import OverloadedError, PoolTimeout, VoicekitError
from voicekit.transport.config import PoolConfig

if TYPE_CHECKING:
    from cell import Cell
    from servers import Visit

_CALLERS = 4
_BARGE_INS = 20
_STALE = 4


def _no_namespace(_row: Row) -> str:
    return (
        "needs a network namespace, which the machines of CI do not give: a peer that vanishes "
        "without a FIN cannot be made on loopback"
    )


async def _idle_close(cell: Cell) -> None:
    expect(cell, await cell.call(), OK)
    cell.drop(cell.rng.choice(["fin", "rst"]), idle=not cell.row.socket)
    await asyncio.sleep(0.01)  # our loop runs, and hears of it
    await cell.jitter()
    expect(cell, await cell.call(), OK)
    assert cell.row.socket or len(cell.server.seen) == 2, "one request per call"


async def _idle_close_unheard(cell: Cell) -> None:
    """All idle connections die while the loop stands still; then callers come at once."""
    client = await cell.client()
    await cell.together(_CALLERS)
    how = cell.rng.choice(["fin", "rst"])
    with cell.canary.forgiving():
        until = time.monotonic() + 0.1
        dropped = cell.drop(how, idle=False) if cell.row.socket else 0
        while time.monotonic() < until and cell.ready(client):
            found = cell.drop(how)
            dropped += found
            if dropped and not found:
                break
            time.sleep(0.005)
    if not cell.row.one_use:
        assert dropped, "nothing was idle"
    for result in await cell.together(_CALLERS):
        expect(cell, result, OK)
    assert cell.row.socket or len(cell.server.seen) == 2 * _CALLERS, "no request was sent twice"


async def _forgotten(cell: Cell) -> None:
    """A box on the way forgets connections that are idle for 0.2 s, and tells nobody."""
    silent = PoolConfig(max_connections=20, min_ready=2, max_idle=10, max_wait=0.2, idle_cutoff=0.2)
    client = await cell.make(pool=silent)
    used: dict[int, float] = {}

    async def forgets(visit: Visit) -> None:
        line, now = visit.seen.connection, time.monotonic()
        last, used[line] = used.get(line, now), now
        if now - last > 0.25:
            await visit.read()
            await visit.hang()
        else:
            await visit.good()

    cell.server.script = forgets
    for _ in range(3):
        expect(cell, await cell.call(client), OK)
        await asyncio.sleep(0.3)
    assert len(cell.server.seen) == 3, "a connection was used that nobody knows any more"


async def _hangs_up_after(cell: Cell) -> None:
    """After each second answer the server closes, and does not say that it will."""

    async def after_two(visit: Visit) -> None:
        await visit.good()
        if visit.on_line == 2:
            visit.writer.close()

    cell.server.script = after_two
    # An effect may go out before the end is seen to come, and is not repeated then.
    for _ in range(6):
        expect(cell, await cell.call(), by_kind(OK, OK_OR_UNKNOWN))
        await cell.jitter()
    assert len(cell.server.seen) <= 6 + 3, "no more than what met a closed connection"
    await asyncio.sleep(0.02)


async def _hangs_up_instead(cell: Cell) -> None:
    """The second request on a connection is read, and the connection closed."""

    async def instead(visit: Visit) -> None:
        if visit.on_line < 2:
            return await visit.good()
        await visit.read()
        return visit.reset() if cell.rng.random() < 0.5 else visit.writer.close()

    cell.server.script = instead
    expect(cell, await cell.call(), OK)
    expect(cell, await cell.call(), by_kind(OK, UNKNOWN))
    if cell.row.kind == "E":
        return
    # A connection that was gone is no sign of a server that is ill: no back-off.
    client = await cell.make(policies=scaled.policies(retry=scaled.retry(base=0.4)))
    expect(cell, await cell.call(client), OK)
    before = len(cell.server.seen)
    for _ in range(_STALE):
        expect(cell, await cell.call(client), OK)
    ats = [seen.at for seen in cell.server.seen[before:]]
    assert len(ats) == 2 * _STALE
    waited = sum(again - lost for lost, again in zip(ats[::2], ats[1::2], strict=True))
    assert waited < 0.1 + cell.canary.tolerance, f"repeats were waited for, {waited:.3f} s"


async def _hangs_up_on_handshakes(cell: Cell) -> None:
    """Handshakes are read, and the connection closed. Each is one attempt, and no more."""

    async def instead(visit: Visit) -> None:
        await visit.read()
        visit.writer.close()

    cell.server.script = instead
    result = await cell.call()
    expect(cell, result, fails(VoicekitError))
    seen, told = len(cell.server.seen), attempts_of(result)
    if cell.subject.typed and not cell.row.also:  # what a pool dials is no attempt
        assert seen == told, f"{seen - told} handshakes were sent behind our back"
    assert seen <= 1 + cell.row.repeats, f"{seen} handshakes"


async def _exhausted(cell: Cell) -> None:
    """Every place is taken by callers whose answers do not come."""
    # So quick that four attempts are over before a place is free.
    quick = scaled.policies(retry=scaled.retry(base=0.005))
    pool = PoolConfig(max_connections=2, max_wait=0.04, min_ready=0)
    client = await cell.make(pool=pool, policies=quick)
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def hold(visit: Visit) -> None:
        await visit.read()
        loop.call_soon_threadsafe(held.set)
        await asyncio.sleep(0.3)
        await visit.good()

    cell.server.script = cell.first(hold, 2)
    holding = [asyncio.create_task(cell.call(client)) for _ in range(2)]
    await held.wait()
    await asyncio.sleep(0.02)
    refused = await cell.together(3, client)
    await asyncio.gather(*holding)
    for result in refused:
        expect(cell, result, fails(PoolTimeout, OverloadedError, outcome="not_applied"))
        assert result.elapsed < 0.3 + cell.canary.tolerance, f"took {result.elapsed:.3f} s"
    assert cell.waiting(client) == 0


async def _barge_ins(cell: Cell) -> None:
    """Twenty callers leave in the middle; the pool is warm again soon after."""
    client = await cell.client()
    target = 2
    await cell.subject.warm(client, cell.url, target)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def slowly(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        if cell.row.s:
            await visit.write(
                reply.head(reply.framed()) + reply.wire(reply.body[: _half(reply.body)], end=False)
            )
        if visit.number % 2:
            visit.writer.transport.pause_reading()  # it hangs, and answers no farewell either
        loop.call_soon_threadsafe(begun.set)
        await visit.hang()

    before = open_sockets() - len(cell.server.lines)
    cell.server.script = slowly
    for _ in range(_BARGE_INS):
        begun.clear()
        call = asyncio.create_task(cell.call())
        await begun.wait()
        await cell.jitter()
        call.cancel()
        await asyncio.wait([call])
    assert all(result.cancelled for result in cell.results)
    until = time.monotonic() + 2.0
    while (stats := cell.subject.stats(client)) is not None:
        if stats.ready >= target and not stats.leased and not stats.dialing:
            assert stats.open <= target + 2, stats
            break
        assert time.monotonic() < until, f"not warm again: {stats}"
        await asyncio.sleep(0.005)
    ours = open_sockets() - len(cell.server.lines)
    assert ours <= before + target + 2, f"{ours - before} sockets more than before"
    await asyncio.sleep(0.02)  # the server hears of a connection a little later than we do
    dialled = cell.server.opened
    cell.server.script = cell.good
    expect(cell, await cell.call(), OK)
    assert cell.server.opened == dialled, "the next caller had to dial"
    cell.server.script = slowly
    await _replaced(cell, begun)


async def _replaced(cell: Cell, begun: asyncio.Event) -> None:
    """Whoever leaves takes a connection with him; also where none was asked for, one follows."""
    client = await cell.make()
    begun.clear()
    call = asyncio.create_task(cell.call(client))
    await begun.wait()
    call.cancel()
    await asyncio.wait([call])
    until = time.monotonic() + 1.0
    while (stats := cell.subject.stats(client)) is not None and not stats.ready:
        assert time.monotonic() < until, "the connection was not replaced"
        await asyncio.sleep(0.005)


def _half(body: bytes) -> int:
    return len(body) // 4 * 2


def _given_up(row: Row) -> str:
    if row.outlives:
        return "what nobody waits for goes on, to be undone: column 48a"
    return http(row)


_BOTH = (False, True)
_TLS = (True,)

COLUMNS = (
    Fault(number="10", title="idle close, loop idle", run=_idle_close, racy=True, tls=_BOTH),
    Fault(
        number="11", title="idle close, loop blocked, N at once", run=_idle_close_unheard,
        racy=True, tls=_BOTH,
    ),
    Fault(number="12", title="idle peer vanishes", run=_idle_close, applies=_no_namespace),
    Fault(number="12b", title="a box on the way forgets it", run=_forgotten, applies=http),
    Fault(
        number="13a", title="closes after every second answer", run=_hangs_up_after,
        applies=http, racy=True, tls=_TLS,
    ),
    Fault(
        number="13b", title="closes instead of answering", run=_hangs_up_instead,
        applies=http, racy=True, tls=_BOTH,
    ),
    Fault(
        number="13c", title="closes instead of a handshake's answer", run=_hangs_up_on_handshakes,
        applies=sockets,
    ),
    Fault(number="14", title="pool exhausted", run=_exhausted, applies=http, tls=_TLS),
    Fault(
        number="15", title="twenty barge-ins", run=_barge_ins, applies=_given_up, racy=True,
        tls=_TLS,
    ),
)  # fmt: skip
