"""Columns 20c, 26c, 27c, 48 and 49: what acting takes, and only some providers have.

Which rows a column is for, the rows' tables say: by what ``Row.column`` holds for it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from operations import Row, Taken
from operations_agentforce import document, ended, session_of, whole_turn
from operations_twilio import MESSAGE, webhook
from world import patched

from faults import LIVE, OK, UNKNOWN, Fault, expect, fails
from voicekit.cache import MemoryStorage
from voicekit.clients.agentforce import resending
from voicekit.clients.agentforce.errors import SessionLostError
from voicekit.clients.twilio import Once, media
from voicekit.errors import InvalidRequestError, RemoteProtocolError, SignatureError

if TYPE_CHECKING:
    from cell import Cell
    from servers import Seen, Visit

_CALLERS = 4
_ELSEWHERE = "127.0.0.4"


def _turns(row: Row) -> str:
    return LIVE if row.turns else "it is no turn of a conversation"


def _fetches(row: Row) -> str:
    return LIVE if row.follows else "it fetches no file"


def _outlives(row: Row) -> str:
    return LIVE if row.outlives else "whoever leaves ends it: columns 15 and 41"


def _replies(row: Row) -> str:
    return LIVE if row.id == "twilio.send_message" else "it is no answer to a webhook"


def _saying(status: str, body: Any) -> Any:
    async def say(visit: Visit) -> None:
        await visit.read()
        await visit.say(status, json.dumps(body).encode())

    return say


# -- files that came with messages --------------------------------------------------------------

_NOT_THERE = _saying("404 Not Found", {"code": 20404, "message": "not found", "status": 404})


async def _not_there_yet(cell: Cell) -> None:
    """Right after the webhook it is not there: asked for again, then there, or not at all."""
    with patched(media, NOT_THERE_YET=(0.05, 0.1, 0.2)):
        cell.server.script = cell.first(_NOT_THERE, 2)
        expect(cell, await cell.call(), OK)
        assert len(cell.server.seen) == 3
        times = [seen.at for seen in cell.server.seen]
        for (sooner, later), wait in zip(itertools.pairwise(times), (0.05, 0.1), strict=True):
            assert later - sooner >= wait - 0.002, f"asked again after {later - sooner:.3f} s"
        cell.server.script = _NOT_THERE
        result = await cell.call(await cell.make())
        expect(cell, result, fails(InvalidRequestError))
        assert len(cell.server.seen) == 3 + 4, "three times again, and then it is known"
        result = await cell.call(await cell.make(media={"fresh": False}))
        expect(cell, result, fails(InvalidRequestError))
        assert len(cell.server.seen) == 3 + 4 + 1, "an old file is not waited for"
    cell.hops = len(cell.server.seen) - 3


async def _lies_elsewhere(cell: Cell) -> None:
    """It is redirected to a store, which gets no credential; and nowhere else."""
    target = f"http://{_ELSEWHERE}:{cell.server.port}/file"

    async def redirect(visit: Visit) -> None:
        await visit.read()
        await visit.say("307 Elsewhere", b"", headers=f"Location: {target}\r\n")

    async def loop(visit: Visit) -> None:
        await visit.read()
        await visit.say("307 Elsewhere", b"", headers="Location: /loop\r\n")

    with cell.another(_ELSEWHERE) as store:
        cell.server.script = redirect
        client = await cell.make(media_hosts=[_ELSEWHERE])
        expect(cell, await cell.call(client), OK)
        [seen] = store.seen
        assert not seen.header("authorization"), "the credential went to the store"
        assert cell.server.seen[0].header("authorization")
        result = await cell.call(await cell.make())
        expect(cell, result, fails(RemoteProtocolError))
        assert len(store.seen) == 1, "it went to a host that nobody allowed"
        cell.server.script = loop
        result = await cell.call(await cell.make())
        expect(cell, result, fails(RemoteProtocolError))
        assert len(cell.server.seen) <= 2 + 2, "round and round"
    cell.hops = 1


# -- turns --------------------------------------------------------------------------------------


async def _busy(cell: Cell) -> None:
    """Somebody else's request of the session runs: asked again, later and later."""
    busy = _saying("423 Locked", {"status": 423, "error": "LockedException", "message": "busy"})
    cell.server.script = cell.first(busy, 3)
    with patched(resending, _FIRST_WAIT=0.03, _LONGEST_WAIT=0.1):
        expect(cell, await cell.call(), OK)
    times = [seen.at for seen in cell.server.seen]
    assert len(times) == 4, f"{len(times)} requests"
    for (sooner, later), wait in zip(itertools.pairwise(times), (0.03, 0.06, 0.1), strict=True):
        assert later - sooner >= wait - 0.002, f"asked again after {later - sooner:.3f} s"
    numbers = [json.loads(seen.body)["message"]["sequenceId"] for seen in cell.server.seen]
    assert sorted(set(numbers)) == numbers, "numbers do not rise"
    cell.hops = 3  # which the provider did not look at


async def _lost(cell: Cell) -> None:
    """The session is forgotten: one resend in a new one. What is not proven is not said again."""
    lost = _saying(
        "404 Not Found", {"status": 404, "error": "V6SessionNotFoundException", "message": "gone"}
    )
    cell.server.script = cell.first(lost)
    expect(cell, await cell.call(), OK)
    assert len(cell.server.seen) == 2, f"{len(cell.server.seen)} requests"
    [start] = [seen for seen in cell.server.others if seen.path.endswith("/sessions")]
    assert start.at < cell.server.seen[1].at
    cell.server.script = lost
    result = await cell.call(await cell.make())
    expect(cell, result, fails(SessionLostError, outcome="not_applied"))
    assert len(cell.server.seen) == 4, "said in more than one new session"
    starts = len([seen for seen in cell.server.others if seen.path.endswith("/sessions")])
    cell.server.script = _saying("500 Oops", {"status": 500, "error": "Oops", "message": "oops"})
    expect(cell, await cell.call(await cell.make()), UNKNOWN)
    assert len(cell.server.seen) == 5, "said again although it may have been heard"
    now = len([seen for seen in cell.server.others if seen.path.endswith("/sessions")])
    assert now == starts, "a new session for what may have been heard"


async def _left_in_the_middle(cell: Cell) -> None:
    """A barge-in leaves a turn which the provider does not stop: the next one waits for it."""
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    running: list[Seen] = []
    met = 0

    async def turn(visit: Visit) -> None:
        nonlocal met
        await visit.read()
        if running:
            met += 1
            await visit.say("423 Locked", b'{"status": 423, "error": "Locked", "message": "busy"}')
            return
        running.append(visit.seen)
        reply = visit.reply
        try:
            half = len(reply.body) // 2
            await visit.write(reply.head(reply.framed()) + reply.wire(reply.body[:half], end=False))
            loop.call_soon_threadsafe(begun.set)
            await asyncio.sleep(0.15)
            await visit.write(reply.wire(reply.body[half:]))
            visit.seen.answered = True
        finally:
            until = visit.seen.at + 0.2
            while time.monotonic() < until:  # the agent does not hear that nobody listens
                await asyncio.sleep(0.005)
            running.clear()

    cell.server.script = turn
    client = await cell.client()
    session = session_of(client)
    usual = cell.row
    cell.row = replace(usual, ask=partial(_in_session, usual, session))
    leaves = asyncio.create_task(cell.call(client))
    await begun.wait()
    await asyncio.sleep(0.02)
    leaves.cancel()
    await asyncio.wait([leaves])
    assert leaves.result().cancelled
    took = time.monotonic() - cell.server.seen[0].at
    assert took < 0.12 + cell.canary.tolerance, f"took {took:.3f} s"
    expect(cell, await cell.call(client), OK)
    assert met == 0, "it met the turn that was left"
    assert len(cell.server.seen) == 2
    session._turns.close()
    cell.row = usual


async def _in_session(row: Row, session: Any, _client: Any, got: Taken) -> None:
    got += await whole_turn(row, session)


async def _expired_token(cell: Cell) -> None:
    """The org's token ends: one login for all who were refused, each says it once more."""
    logins = itertools.count(1)
    usual = cell.row.aside
    assert usual is not None

    def aside(seen: Seen) -> Any:
        if seen.path.endswith("/token"):
            return document({"access_token": f"token-{next(logins)}", "token_type": "Bearer"})
        return usual(seen)

    async def checked(visit: Visit) -> None:
        await visit.read()
        if b"token-1" not in visit.seen.head:
            return await cell.good(visit)
        while len(cell.server.seen) < _CALLERS:
            await asyncio.sleep(0.002)
        return await visit.say("401 Unauthorized", b'{"error": "Unauthorized", "message": "old"}')

    cell.server.script, cell.server.aside = checked, aside
    client = await cell.make(api_key=None, client_id="grid", client_secret="s-1", domain=cell.url)
    for result in await cell.together(_CALLERS, client):
        expect(cell, result, OK)
    assert next(logins) == 3, "not one login, and one more"
    assert len(cell.server.seen) == 2 * _CALLERS, "each is said once more"


# -- sessions -----------------------------------------------------------------------------------


async def _nobody_waits(cell: Cell) -> None:
    """Whoever leaves is gone at once; a session that starts all the same is ended, each one."""
    saw = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def slowly(visit: Visit) -> None:
        await visit.read()
        loop.call_soon_threadsafe(saw.set)
        await asyncio.sleep(0.03)
        await visit.good()

    cell.server.script = slowly
    client = await cell.client()
    for _ in range(8):
        saw.clear()
        call = asyncio.create_task(cell.call(client))
        await saw.wait()
        at = time.monotonic()
        call.cancel()
        await asyncio.wait([call])
        assert time.monotonic() - at <= 0.02 + cell.canary.tolerance, "leaving took its time"
    until = time.monotonic() + 1.0
    while len(ended(cell.server.others)) < 8:
        assert time.monotonic() < until, f"{len(ended(cell.server.others))} of 8 were ended"
        await asyncio.sleep(0.005)
    answered = [seen for seen in cell.server.seen if seen.answered]
    assert len(answered) == len(ended(cell.server.others)) == 8


# -- webhooks -----------------------------------------------------------------------------------

_URL = "https://example.com/webhook?tenant=1"


async def _delivered_again(cell: Cell) -> None:
    """While its reply is on the way, after that, after it failed, and after it was given up."""
    loop = asyncio.get_running_loop()
    client = await cell.client()
    saw = asyncio.Event()

    async def later(visit: Visit) -> None:
        await visit.read()
        loop.call_soon_threadsafe(saw.set)
        await asyncio.sleep(0.05)
        await visit.good()

    async def unknown(visit: Visit) -> None:
        await visit.read()
        loop.call_soon_threadsafe(saw.set)
        await asyncio.sleep(0.02)
        visit.reset()

    once = Once(MemoryStorage())

    async def handle(number: int, *, harmless: bool = False) -> Any:
        """One delivery, as an app handles it."""
        headers, body = webhook(_URL, f"SM{number:032x}")
        came = client.parse_webhook(_URL, headers, body)
        async with once(came.token) as first:
            if first:
                with first.before_effects():
                    if harmless:
                        raise ValueError("no transcript")
                result = await cell.call(client)
                if result.error is not None:
                    raise result.error
                return result
        return None

    for number, script in enumerate((later, unknown, later)):
        saw.clear()
        cell.server.script = script
        before = len(cell.server.seen)
        first = asyncio.create_task(handle(number))
        await saw.wait()
        again = [asyncio.create_task(handle(number)) for _ in range(3)]  # while it runs
        await asyncio.wait(again)
        if number == 2:
            first.cancel()
        await asyncio.wait([first])
        ran = [task.result() for task in again if task.result() is not None]
        assert not ran, "a delivery ran again while the first was running"
        for _ in range(3):  # and after
            assert await handle(number) is None
        assert len(cell.server.seen) == before + 1, "answered more than once"
    cell.server.script = cell.good
    before = len(cell.server.seen)
    harmless = asyncio.create_task(handle(9, harmless=True))
    await asyncio.wait([harmless])
    assert isinstance(harmless.exception(), ValueError)
    assert await handle(9) is not None, "nothing was done, and it is taken for done"
    assert await handle(9) is None
    assert len(cell.server.seen) == before + 1
    headers, body = webhook(_URL, MESSAGE)
    try:
        client.parse_webhook(_URL, headers, body + b"&Body=another")
    except SignatureError:
        return
    raise AssertionError("a forged webhook was read")


COLUMNS: tuple[Fault, ...] = (
    Fault(number="20c", title="the file is not there yet", run=_not_there_yet, applies=_fetches),
    Fault(number="27c", title="the file lies elsewhere", run=_lies_elsewhere, applies=_fetches),
    Fault(number="26c", title="the org's token expires", run=_expired_token, applies=_turns),
    Fault(number="48a", title="started, and nobody waits", run=_nobody_waits, applies=_outlives),
    Fault(number="48b", title="the session is busy", run=_busy, applies=_turns),
    Fault(number="48c", title="the session is forgotten", run=_lost, applies=_turns),
    Fault(number="48d", title="a turn is left", run=_left_in_the_middle, applies=_turns),
    Fault(
        number="49", title="a webhook is delivered again", run=_delivered_again, applies=_replies,
        racy=True,
    ),
)  # fmt: skip
