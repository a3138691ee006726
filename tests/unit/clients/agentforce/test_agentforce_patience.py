"""How long a busy session is asked again."""

from __future__ import annotations

from typing import Any

import pytest

from voicekit.clients.agentforce.errors import SessionBusyError
from voicekit.clients.agentforce.resending import Patience
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.testing import VIRTUAL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


@pytest.mark.parametrize(("total", "asked"), [(0.45, 1), (0.6, 2)])
async def test_as_long_as_it_could_be_answered(total: float, asked: int) -> None:
    """It waits 0.25 s, which the virtual loop skips; with less than 0.25 s left none is begun."""
    call = Call(
        Operation(
            provider="agentforce",
            name="send",
            kind=OperationClass.EFFECT,
            limits=Limits(total=total),
        )
    )
    calls: list[Call] = []

    async def busy(call: Call) -> None:
        calls.append(call)
        raise SessionBusyError("busy")

    with pytest.raises(SessionBusyError) as caught:
        await Patience()(call, busy)
    assert (len(calls), caught.value.retry_stopped) == (asked, "deadline")
