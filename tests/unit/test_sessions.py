"""Two-way handles: a bounded buffer, clocks that run while output is owed, one end."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "transport"))
from voicekit import events
from voicekit.errors import (
    ClosedError,
    ConnectError,
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    LocalProtocolError,
    StreamInterruptedError,
    TotalTimeout,
)
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.sessions import Session
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


class Recorder:
    def __init__(self) -> None:
        self.ends: list[tuple[str, str | None]] = []

    def on_event(self, event: events.Event, /) -> None:
        if isinstance(event, events.CallEnded):
            self.ends.append((event.result, event.error))


class Echo(Session[str]):
    """A session over nothing: the test is its socket."""

    def __init__(
        self, *, connects: Any = 0.0, recorder: Recorder | None = None, **limits: float | None
    ) -> None:
        operation = Operation(
            provider="testing", name="test", kind=OperationClass.COMPUTE, limits=Limits(**limits)
        )
        self.recorder = recorder or Recorder()
        super().__init__(lambda: Call(operation, observer=self.recorder))
        self.connects = connects
        self.owed = True
        self.hung_up: list[bool] = []

    async def _connect(self, call: Call) -> None:
        if isinstance(self.connects, float):
            await asyncio.sleep(self.connects)
        else:
            await self.connects(self)

    def _owes(self) -> bool:
        return self.owed

    def _hang_up(self, *, clean: bool) -> None:
        self.hung_up.append(clean)

    def _account(self, error: StreamInterruptedError) -> StreamInterruptedError:
        error.delivered_characters = self._delivered
        return error


def now() -> float:
    return asyncio.get_running_loop().time()


async def read(session: Session[str]) -> list[str]:
    return [item async for item in session]


# -- the life of a session -----------------------------------------------------------------------


async def test_from_opening_to_its_own_end() -> None:
    """What came before the end is delivered after it, and the socket goes back clean."""
    async with Echo() as session:
        session._push("one")
        session._push("two")
        session._end()
        session._push("late")
        assert await read(session) == ["one", "two"]
    assert session.hung_up == [True]
    assert session.recorder.ends == [("ok", None)]


async def test_iterating_opens() -> None:
    """As awaiting and entering do, once."""
    session = Echo()
    reading = asyncio.create_task(read(session))
    await asyncio.sleep(1)
    session._push("one")
    session._end()
    assert await reading == ["one"]
    assert repr(session) == "<Echo closed>"


async def test_not_open_yet() -> None:
    """Input is refused, typed."""
    session = Echo()
    with pytest.raises(ClosedError, match="open the session first"):
        session._ready()
    await session
    session._ready()
    await session.aclose()
    with pytest.raises(ClosedError):
        session._ready()
    assert await read(session) == []


async def test_an_opening_that_fails() -> None:
    """Raises what it raised, ends the call, hangs up."""

    async def refuse(session: Echo) -> None:
        raise ConnectError("no")

    session = Echo(connects=refuse)
    with pytest.raises(ConnectError):
        await session
    assert session.hung_up == [False]
    assert session.recorder.ends == [("error", "ConnectError")]


async def test_a_session_that_breaks_while_it_opens() -> None:
    """The reason is raised, not that it is closed."""

    async def breaks(session: Echo) -> None:
        session._fail(ConnectionLostError("gone"))

    session = Echo(connects=breaks)
    with pytest.raises(ConnectionLostError):
        await session
    assert len(session.recorder.ends) == 1


async def test_output_that_is_quicker_than_the_opening() -> None:
    """Counts as the first output, and is not lost."""

    async def quick(session: Echo) -> None:
        session._push("one")

    session = Echo(connects=quick)
    assert await anext(session) == "one"
    assert session.timings.first_output is not None
    await session.aclose()


# -- limits --------------------------------------------------------------------------------------


async def test_first_output_and_gap() -> None:
    """Exact, also beyond five seconds, and only while output is owed and waited for."""
    session = await Echo(first_output=7.5, gap=6.25)
    start = now()
    with pytest.raises(FirstOutputTimeout):
        await anext(session)
    assert now() - start == pytest.approx(7.5)
    session = await Echo(first_output=7.5, gap=6.25)
    session._push("one")
    await asyncio.sleep(500)
    assert await anext(session) == "one"
    start = now()
    with pytest.raises(StreamInterruptedError) as caught:
        await anext(session)
    assert now() - start == pytest.approx(6.25)
    assert isinstance(caught.value.__cause__, GapTimeout)
    assert caught.value.delivered_characters == 1


async def test_no_clock_while_nothing_is_owed() -> None:
    """A caller who says nothing hears nothing; it starts when he has spoken."""
    session = await Echo(first_output=2.0)
    session.owed = False
    reading = asyncio.create_task(session.__anext__())  # type: ignore[arg-type]
    await asyncio.sleep(100)
    assert not reading.done()
    session.owed = True
    session._progress()
    start = now()
    with pytest.raises(FirstOutputTimeout):
        await reading
    assert now() - start == pytest.approx(2.0)


async def test_what_is_not_useful_does_not_stop_the_clock() -> None:
    """Keep-alives and empty frames add up."""
    session = await Echo(first_output=2.0)
    reading = asyncio.create_task(read(session))
    start = now()
    for _ in range(3):
        await asyncio.sleep(0.5)
        session._push("", useful=False)
    with pytest.raises(FirstOutputTimeout):
        await reading
    assert now() - start == pytest.approx(2.0)


async def test_the_total() -> None:
    """Holds over everything."""
    session = await Echo(total=3.0, first_output=60.0)
    with pytest.raises(TotalTimeout):
        await anext(session)


async def test_a_full_buffer_is_typed() -> None:
    """A consumer too far behind is told; what fitted is still delivered."""
    session = await Echo()
    session._max_buffered = 3.0
    for n in range(5):
        session._push(str(n))
    got = []

    async def follow() -> None:
        async for item in session:
            got.append(item)

    with pytest.raises(StreamInterruptedError) as caught:
        await follow()
    assert isinstance(caught.value.__cause__, LocalProtocolError)
    assert got == ["0", "1", "2", "3"]


async def test_a_slow_consumer_within_bounds() -> None:
    """Taking items makes room."""
    session = await Echo()
    session._max_buffered = 3.0
    for n in range(20):
        session._push(str(n))
        assert await anext(session) == str(n)
    await session.aclose()


# -- errors --------------------------------------------------------------------------------------


async def test_broken_before_any_output() -> None:
    """The error as it is; raised once by iteration, and by input."""
    session = await Echo()
    session._fail(ConnectionLostError("gone"))
    session._fail(ConnectionLostError("again"))
    with pytest.raises(ConnectionLostError, match="gone"):
        session._ready()
    with pytest.raises(ConnectionLostError, match="gone"):
        await anext(session)
    assert await read(session) == []
    assert session.recorder.ends == [("error", "ConnectionLostError")]


async def test_broken_after_output() -> None:
    """What is buffered comes first, then the exact account."""
    session = await Echo()
    session._push("one")
    session._fail(ConnectionLostError("gone"))
    assert await anext(session) == "one"
    with pytest.raises(StreamInterruptedError) as caught:
        await anext(session)
    assert caught.value.delivered_characters == 1
    assert isinstance(caught.value.__cause__, ConnectionLostError)
    assert session.hung_up == [False]


# -- several tasks -------------------------------------------------------------------------------


async def test_closed_while_another_task_reads() -> None:
    """Its iteration ends quietly."""
    session = await Echo()
    reading = asyncio.create_task(read(session))
    await asyncio.sleep(1)
    await session.aclose()
    await session.aclose()
    assert await reading == []
    assert session.recorder.ends == [("cancelled", "CancelledError")]
    assert session.hung_up == [False]


async def test_closed_while_it_opens() -> None:
    """The opening ends at once with ClosedError; its task is not cancelled by it."""
    session = Echo(connects=99.0)
    opening = asyncio.create_task(session.__aenter__())
    await asyncio.sleep(1)
    start = now()
    await session.aclose()
    with pytest.raises(ClosedError):
        await opening
    assert now() == start
    assert not opening.cancelling()
    assert session.recorder.ends == [("cancelled", "CancelledError")]


async def test_cancelled_while_it_opens() -> None:
    """The task's own cancellation stays one."""
    session = Echo(connects=99.0)
    opening = asyncio.create_task(session.__aenter__())
    await asyncio.sleep(1)
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    assert session.hung_up == [False]


async def test_closed_before_it_was_opened() -> None:
    """Nothing was begun, so nothing ends."""
    session = Echo()
    await session.aclose()
    with pytest.raises(ClosedError):
        await session
    assert session.recorder.ends == []
    assert session.hung_up == []


async def test_two_openers_two_readers() -> None:
    """Are mistakes, and said as such."""
    session = Echo(connects=1.0)
    opening = asyncio.create_task(session.__aenter__())
    await asyncio.sleep(0)
    with pytest.raises(LocalProtocolError):
        await session
    await opening
    reading = asyncio.create_task(session.__anext__())  # type: ignore[arg-type]
    await asyncio.sleep(0)
    with pytest.raises(LocalProtocolError):
        await anext(session)
    session._push("one")
    assert await reading == "one"
    await session.aclose()


async def test_a_cancelled_reader_loses_nothing() -> None:
    """Also when the item arrives in the same turn of the loop."""
    session = await Echo()
    reading = asyncio.create_task(session.__anext__())  # type: ignore[arg-type]
    await asyncio.sleep(0)
    session._push("one")
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    session._push("two")
    session._end()
    assert await read(session) == ["one", "two"]


async def test_a_forgotten_session() -> None:
    """Warns once and hangs up, on its own loop."""
    session, recorder = await Echo(), Recorder()
    hung_up, recorder = session.hung_up, session.recorder
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del session
        gc.collect()
    assert [str(each.message) for each in caught] == ["Echo was never closed"]
    await asyncio.sleep(0)
    assert hung_up == [False]
    assert recorder.ends == [("cancelled", "CancelledError")]
