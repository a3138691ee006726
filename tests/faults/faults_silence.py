"""Columns 38 and 39: WebSockets on which nothing is said, by the peer or by us."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial as bound
from typing import TYPE_CHECKING, Any

from live import listening_only, listens, spans, spoken_to
from operations import TEXT, Row, Taken
from recording import FRAME, PCM, RATE, WORDS
from struck import RECONNECT, amid, before, partial, socketed, struck, survived
from world import patched

from faults import LIVE, OK, Fault, expect, fails, sockets
from frames import CLOSE, Frame, Line, framed, striking
from voicekit import events
from voicekit.clients.deepgram.replay import LEAD_S
from voicekit.clients.elevenlabs import sessions
from voicekit.emulator.providers.deepgram import Deepgram
from voicekit.emulator.providers.elevenlabs import ElevenLabs
from voicekit.errors import FirstOutputTimeout, GapTimeout, VoicekitError

if TYPE_CHECKING:
    from cell import Cell, Result

_CLOSING = 1.0
_PROMPT = 0.05
_KEPT = 0.5
"""Seconds of audio that are kept for another socket; those that are settled come on top."""

# -- 38: the peer hangs -------------------------------------------------------------------------


async def _hang(line: Line) -> None:
    await line.hang()


async def _hangs_before(cell: Cell) -> None:
    result, lines = await struck(cell, _hang, before)
    limit = cell.row.limits.first_output or 0.0
    if listens(cell.row):
        survived(cell, result, lines)
    else:
        expect(cell, result, fails(FirstOutputTimeout))
    _noticed(cell, result, lines, limit)


async def _hangs_amid(cell: Cell) -> None:
    result, lines = await struck(cell, _hang, amid)
    if listens(cell.row):
        survived(cell, result, lines)
    else:
        partial(cell, result, GapTimeout)
    _noticed(cell, result, lines, cell.row.limits.gap or 0.0)


def _noticed(cell: Cell, result: Result, lines: list[Line], limit: float) -> None:
    """It took its limit, and no longer, until somebody knew."""
    at = lines[0].struck_at or 0.0
    slack = cell.canary.tolerance
    if listens(cell.row):
        took, slack = lines[1].visit.seen.at - at, slack + RECONNECT
    else:
        took = result.started_at + result.elapsed - at
    assert abs(took - limit) <= slack, f"noticed after {took:.3f} s, with a limit of {limit:g} s"


async def _left_hanging(cell: Cell) -> None:
    """Who leaves, and who closes the client, does not wait for a peer that is gone."""
    loop = asyncio.get_running_loop()
    for leave in ("cancel", "close"):
        begun = asyncio.Event()

        async def hang(line: Line, begun: asyncio.Event = begun) -> None:
            loop.call_soon_threadsafe(begun.set)
            await line.hang()

        cell.server.script = striking([], hang, at=amid, times=9)
        client = await cell.make()
        call = asyncio.create_task(cell.call(client))
        await begun.wait()
        await cell.jitter()
        at = time.monotonic()
        if leave == "cancel":
            call.cancel()
            await asyncio.wait([call])
            took = time.monotonic() - at
            assert took <= _PROMPT + cell.canary.tolerance, f"left after {took:.3f} s"
        await client.aclose()
        took = time.monotonic() - at
        assert took <= _CLOSING + cell.canary.tolerance, f"closed after {took:.3f} s"
        result = await call
        took = time.monotonic() - at
        assert took <= _CLOSING + cell.canary.tolerance, f"told after {took:.3f} s"
        if leave == "close":
            expect(cell, result, fails(VoicekitError))


async def _kept_within_bounds(cell: Cell) -> None:
    """Of what a hung peer was sent, so much is kept as was agreed; the rest is a gap."""
    spoken: list[float] = []

    def speaks(_number: int) -> float:
        spoken.append(time.monotonic())
        return 0.0

    spoken_to(cell, max_replay_s=_KEPT, pause=speaks)
    result, lines = await struck(cell, _hang, before)
    expect(cell, result, OK)
    again = spans(lines)[-1]
    [told] = [event for event in cell.events if isinstance(event, events.Reconnected)]
    # On a slow machine he speaks on after that: what he says then is heard, and was not kept.
    dialled = lines[-1].visit.seen.at
    held = FRAME * sum(at <= dialled for at in spoken[: len(PCM) // FRAME]) - again[0]
    most = (_KEPT + LEAD_S) * 2 * RATE + FRAME
    assert again[1] == len(PCM)
    assert held <= most, f"{held} bytes were kept, of {most:g}"
    assert abs(told.lost - again[0] / (2 * RATE)) < 0.01, "the gap is another one"


async def _reads_nothing(cell: Cell) -> None:
    """Who only sends, and reads no results, is not held up for ever."""
    hung: list[Line] = []

    async def hang(line: Line, _frame: Frame) -> None:
        if not hung:
            hung.append(line)
            line.struck_at = time.monotonic()
            await line.hang()

    lines: list[Line] = []
    cell.server.script = framed(lines, into=hang)
    usual = cell.row
    cell.row = replace(usual, ask=_sending_on)
    result = await cell.call(await cell.make())
    cell.row = usual
    expect(cell, result, OK)
    again = lines[1].visit.seen.at - (lines[0].struck_at or 0.0)
    limit = (usual.limits.gap or 0.0) + _SIGN_OF_LIFE + RECONNECT
    assert again <= limit + cell.canary.tolerance, f"noticed after {again:.3f} s"


async def _sending_on(client: Any, got: Taken) -> None:
    """More than the network holds; it is not of interest what is heard of it."""
    session = client.open_transcription(format="pcm_16000")
    _with_signs_of_life(session)
    async with session:
        until = time.monotonic() + 1.5
        while not session.reconnects and time.monotonic() < until:
            await session.send(bytes(RATE // 2))
            await asyncio.sleep(0)
        assert session.reconnects == 1
    await got.took(WORDS)


# -- 39: the caller says nothing ----------------------------------------------------------------

_SILENCE = 3.0
_LIMIT = 0.3
_SIGN_OF_LIFE = 0.1
_PATIENT = 6.0


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """The vendors' idle limits and our signs of life, both 0.3 s and less."""
    with (
        patched(Deepgram, time_scale=_LIMIT / 10.0, speech_idle_limit=10.0),
        patched(ElevenLabs, time_scale=_LIMIT),  # of an inactivity timeout of 1 s
        patched(sessions, _KEEP_ALIVE_SHARE=_SIGN_OF_LIFE),
    ):
        yield


def _with_signs_of_life(session: Any) -> None:
    session._pulse.keep_alive = session._pulse.first_audio = _SIGN_OF_LIFE


async def _halting(
    client: Any, got: Taken, *, before_it: float, within: float, **options: Any
) -> None:
    """Speech whose text is written with pauses."""
    async with client.open_speech(inactivity_timeout=1, **options) as utterance:
        await asyncio.sleep(before_it)
        first, rest = TEXT.split(" ", 1)
        await utterance.send(f"{first} ")
        await asyncio.sleep(within)
        await utterance.send(rest)
        await utterance.finish()
        async for chunk in utterance:
            await got.took(chunk)


def _halted(row: Row, silence: float) -> Row:
    ask = bound(_halting, before_it=silence / 2, within=silence / 2)
    if "single" in row.label:  # a sign of life is a space, which would be a part of the text
        ask = bound(_halting, before_it=silence, within=0.0, socket="stream-input")
    return replace(row, ask=ask)


async def _silent_caller(cell: Cell) -> None:
    """Longer than the vendor bears it, again and again; one socket carries it all."""
    usual = replace(cell.row, limits=replace(cell.row.limits, total=_PATIENT))
    lines: list[Line] = []
    cell.server.script = framed(lines)
    if listens(usual):
        pauses = dict.fromkeys((0, len(PCM) // FRAME // 2), _SILENCE / 2)
        spoken_to(cell, pause=lambda number: pauses.get(number, 0.0), opened=_with_signs_of_life)
        cell.row = replace(cell.row, limits=usual.limits)
    else:
        cell.row = _halted(usual, _SILENCE)
    with _impatient():
        result = await cell.call(await cell.make())
    expect(cell, result, OK)
    [line] = [line for line in lines if line.told]
    times = [frame.at for frame in line.told]
    longest = max(later - sooner for sooner, later in itertools.pairwise(times))
    assert longest < _LIMIT, f"nothing was said for {longest:.3f} s"
    if listens(usual):
        assert line.audio.endswith(PCM)
        spoken_to(cell)
    else:
        cell.row = usual


async def _idle_in_the_pool(cell: Cell) -> None:
    """A pooled socket gets a close frame for its idleness; the next call has another."""
    usual = cell.row
    if usual.provider == "elevenlabs":
        cell.row = _halted(usual, 0.0)
    lines: list[Line] = []
    cell.server.script = framed(lines)
    client = await cell.client()
    with _impatient():
        for _ in range(2):
            expect(cell, await cell.call(client), OK)
            await asyncio.sleep(_LIMIT * 1.3)
    closed = [line for line in lines if any(frame.kind == CLOSE for frame in line.given)]
    assert len(closed) == len(lines) == 2, "it was not closed for its idleness"
    assert client.stats().leased == 0
    cell.row = usual


def _pooled(row: Row) -> str:
    if "single" in row.label:
        return "its sockets are used once, and none waits"
    return sockets(row) or ("each has a socket of its own" if listens(row) else LIVE)


def _keeps_alive(row: Row) -> str:
    if sockets(row):
        return sockets(row)
    if row.id == "deepgram.open_speech":
        return "the vendor documents neither an idle limit of speech sockets nor a KeepAlive"
    return LIVE


COLUMNS: tuple[Fault, ...] = (
    Fault(
        number="38a", title="peer hangs before the first output", run=socketed(_hangs_before),
        applies=sockets,
    ),
    Fault(
        number="38b", title="peer hangs in the middle", run=socketed(_hangs_amid), applies=sockets
    ),
    Fault(
        number="38c", title="left while the peer hangs", run=socketed(_left_hanging),
        applies=sockets,
    ),
    Fault(
        number="38d", title="more than can be kept while the peer hangs",
        run=socketed(_kept_within_bounds), applies=listening_only,
    ),
    Fault(
        number="38e", title="peer reads nothing while the caller sends",
        run=socketed(_reads_nothing), applies=listening_only,
    ),
    Fault(
        number="39a", title="silent caller", run=socketed(_silent_caller), applies=_keeps_alive
    ),
    Fault(
        number="39b", title="pooled sockets at their idle limit", run=socketed(_idle_in_the_pool),
        applies=_pooled,
    ),
)  # fmt: skip
