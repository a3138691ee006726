"""What holds for the requests of every kind of engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from voicekit.errors import ClosedError, InvalidArgumentError
from voicekit.testing.conformance.watching import (
    no_dialling,
    nothing_left,
    refusal,
    require,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def frozen_and_alone(make_request: Callable[[], Any], attribute: str) -> None:
    """A request is made without I/O, and nothing of it can be changed."""
    before = asyncio.all_tasks()
    with no_dialling("request() must do no I/O"):
        request = make_request()
    require(not asyncio.iscoroutine(request), "request() must not be async: it does no I/O")
    require(asyncio.all_tasks() == before, "request() must start no task")
    for name in (attribute, "identity"):
        try:
            setattr(request, name, getattr(request, name))
        except (AttributeError, TypeError):  # TypeError: of slots, before Python 3.12
            continue
        raise AssertionError(f"a request must be frozen: its {name} can be replaced")


def identities(same: tuple[Any, Any], others: dict[str, Any]) -> None:
    """Equal requests have equal identities, different ones different ones."""
    one, two = same
    require(isinstance(one.identity, str) and one.identity, "identity must be a text, not empty")
    require(one.identity == two.identity, "equal requests must have equal identities")
    for what, other in others.items():
        require(one.identity != other.identity, f"another {what} must give another identity")


def refused_by_request(make_request: Callable[[], Any], what: str) -> None:
    """What makes no sense is refused when the request is made."""
    try:
        with no_dialling("request() must do no I/O"):
            make_request()
    except InvalidArgumentError:
        return
    raise AssertionError(f"request() must refuse {what} with InvalidArgumentError")


async def closes_twice_and_refuses(engine: Any, use: Callable[[], Awaitable[Any]]) -> None:
    """``aclose`` may be called twice; what is asked afterwards is refused."""
    async with nothing_left():
        await within(engine.aclose(), "aclose() must end")
        await within(engine.aclose(), "aclose() may be called twice")

        async def ask() -> Any:
            return await use()

        with no_dialling("a closed engine must not dial"):
            error = await refusal(ask(), "a closed engine must refuse to work")
        require(
            isinstance(error, ClosedError),
            f"a closed engine must raise ClosedError, not {type(error).__name__}",
        )


async def cancelled_while_it_opens(
    make: Callable[[], Any], use: Callable[[Any], Awaitable[Any]], turns: int
) -> None:
    """Cancelled after so many turns of the event loop, a use ends cancelled and leaves nothing."""
    async with nothing_left():
        engine = make()

        async def work() -> Any:
            return await use(engine)

        task = asyncio.ensure_future(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        await within(asyncio.wait((task,)), "a cancelled task must end")
        require(
            done or task.cancelled() or (task.exception() is None),
            "cancelling must raise CancelledError, nothing else",
        )
        if done and not task.cancelled():
            task.result()
        await engine.aclose()
