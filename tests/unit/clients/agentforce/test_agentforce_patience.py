"""How long a busy session is asked again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from voicekit.clients.agentforce.errors import SessionBusyError
from voicekit.clients.agentforce.resending import Patience
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.resilience.breaker import Breaker
from voicekit.testing import VIRTUAL, no_waits

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def send(**limits: float) -> Call:
    return Call(
        Operation(
            provider="agentforce",
            name="send",
            kind=OperationClass.EFFECT,
            limits=Limits(**limits),
        )
    )


@pytest.mark.parametrize(("total", "asked"), [(0.45, 1), (0.6, 2)])
async def test_as_long_as_it_could_be_answered(total: float, asked: int) -> None:
    """It waits 0.25 s, which the virtual loop skips; with less than 0.25 s left none is begun."""
    call = send(total=total)
    calls: list[Call] = []

    async def busy(call: Call) -> None:
        calls.append(call)
        raise SessionBusyError("busy")

    with pytest.raises(SessionBusyError) as caught:
        await Patience()(call, busy)
    assert (len(calls), caught.value.retry_stopped) == (asked, "deadline")


async def test_tests_need_not_wait() -> None:
    """No time passes; it is asked as often as it would be, and not without end."""
    loop = asyncio.get_running_loop()
    asked: list[float] = []

    async def busy(_: Call) -> None:
        asked.append(loop.time())
        raise SessionBusyError("busy")

    with no_waits(), pytest.raises(SessionBusyError):
        await Patience()(send(total=10.0), busy)
    assert asked == [asked[0]] * 7  # after 0.25, 0.5, 1, 2, 2 and 2 s


async def test_a_busy_session_is_no_slow_server() -> None:
    """What it waited is told to the breaker around it."""
    breaker = Breaker(least_calls=1, clock=asyncio.get_running_loop().time)
    answers = iter([SessionBusyError("busy")] * 20)

    async def turn(_: Call) -> str:
        for busy in answers:
            raise busy
        return "heard"

    async def patiently(call: Call) -> str:
        return await Patience()(call, turn)

    assert await breaker(send(first_output=60.0), patiently) == "heard"
    assert (breaker.state, breaker.stats().calls) == ("closed", 1)
