"""An utterance's attempts under policies: each begins as the first did, or there is no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from scripted import OPERATION, Room, ScriptedSocket, room

from voicekit.errors import ConnectionLostError, InvalidRequestError, VoicekitError
from voicekit.operation import Call, Limits
from voicekit.pipeline import Pipeline
from voicekit.resilience import Retry
from voicekit.testing import no_waits

pytestmark = pytest.mark.anyio


def under(place: Room, repeats: int) -> list[Call]:
    """Have the room's calls repeated; the calls."""
    calls: list[Call] = []
    pipeline = Pipeline((Retry(repeats),))

    def make_call() -> Call:
        calls.append(Call(OPERATION, pipeline=pipeline))
        return calls[-1]

    place.studio.make_call = make_call
    return calls


def on_send(place: Room, *what: Callable[[ScriptedSocket], None]) -> None:
    """What becomes of the first sockets at their first message, one after the other."""
    acts = list(what)
    plain = ScriptedSocket.send

    async def send(self: ScriptedSocket, data: str | bytes) -> None:
        act = acts.pop(0) if acts else None
        if act is not None:
            act(self)
        await plain(self, data)

    for_each = place._dial

    async def dial(facts: Any) -> Any:
        made = await for_each(facts)
        place.sockets[-1].send = send.__get__(place.sockets[-1])  # type: ignore[method-assign]
        return made

    place.pool._dial = dial


def fails(socket: ScriptedSocket) -> None:
    socket.fail_send = ConnectionLostError("gone")


def dies(socket: ScriptedSocket) -> None:
    """The reader hears of it before the message is sent."""
    socket.loses()


def is_refused(socket: ScriptedSocket) -> None:
    socket.says({"message": "no", "error": "invalid_parameters", "code": 1008})


@pytest.mark.parametrize("how", [fails, dies], ids=["writer", "reader"])
async def test_the_next_attempt_says_it_all(how: Callable[[ScriptedSocket], None]) -> None:
    """Two sockets are lost to the first attempt, at the first word: the third hears it all."""
    async with room() as place:
        calls = under(place, repeats=2)
        on_send(place, how, how)
        with no_waits():
            session = await place.utterance()
        assert calls[0].attempts == session.attempts == 2
        assert len(place.sockets) == 3
        last = place.sockets[-1]
        assert [message["text"] for message in last.heard] == [" "]
        await session.send("Hello there. ")
        await session.finish()
        assert last.texts == ["Hello there. "]
        await session.aclose()
        assert session._replay is None  # no second voice in the background


async def test_what_cannot_be_said_again_is_not() -> None:
    """More than is kept was written: the failure is final, and says why."""
    async with room() as place:
        calls = under(place, repeats=2)
        session = place.utterance()
        session._script.settle()
        on_send(place, fails, fails, fails)
        with no_waits(), pytest.raises(ConnectionLostError) as caught:
            await session
        assert (calls[0].attempts, caught.value.retry_stopped) == (1, "not_replayable")


async def test_a_session_that_has_ended_is_not_opened_again() -> None:
    """The reader was refused for good while the attempt was writing; nobody leases for that."""
    async with room() as place:
        calls = under(place, repeats=2)

        def refused(socket: ScriptedSocket) -> None:
            is_refused(socket)
            dies(socket)

        on_send(place, refused)
        with no_waits(), pytest.raises(InvalidRequestError):
            await place.utterance()
        assert calls[0].attempts == 1
        assert len(place.sockets) == 1


async def test_a_limit_that_passes_while_writing() -> None:
    """The attempt is over with its socket; the next one says everything on another."""
    async with room() as place:
        calls = under(place, repeats=2)

        def hangs(socket: ScriptedSocket) -> None:
            socket.stuck = True

        on_send(place, hangs)
        made = place.studio.make_call

        def hurried() -> Call:
            call = made()
            call.limits = Limits(first_output=0.02, gap=5.0)
            return call

        place.studio.make_call = hurried
        session = place.utterance()
        with no_waits():
            await session
        assert calls[0].attempts == 2
        assert [message["text"] for message in place.sockets[-1].heard] == [" "]
        await session.aclose()


async def test_cancelled_between_attempts() -> None:
    """While the back-off is slept: nothing is held, nothing is said."""
    async with room() as place:
        under(place, repeats=2)
        on_send(place, fails, fails)
        opening = asyncio.create_task(_opened(place))
        while len(place.sockets) < 2:
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert place.pool.stats().leased == 0
        assert len(place.background) == 0


async def _opened(place: Room) -> VoicekitError | None:
    await place.utterance()
    return None
