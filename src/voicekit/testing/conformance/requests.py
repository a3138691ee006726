"""What holds for the requests of every kind of engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from voicekit.errors import ClosedError, InvalidArgumentError
from voicekit.testing.conformance.watching import (
    no_dialling,
    nothing_left,
    refused,
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


async def refused_before_io(engine: Any, method: str, nothing: Any, what: str) -> None:
    """What makes no sense is refused when the request is made, and when it is asked at once."""
    try:
        with no_dialling("request() must do no I/O"):
            engine.request(nothing)
    except InvalidArgumentError:
        pass
    else:
        raise AssertionError(f"request() must refuse {what} with InvalidArgumentError")
    with no_dialling(f"{what} must be refused before any I/O"):
        asking = _used(getattr(engine, method), nothing)
        await refused(InvalidArgumentError, what, asking, f"{method}() must refuse {what}")


async def closed_is_closed(make: Callable[[], Any], use: Callable[[Any], Awaitable[Any]]) -> None:
    """``aclose`` may be called twice; what is asked afterwards is refused. Used before or not."""
    for used in (False, True):
        engine = make()
        if used:
            await use(engine)
        async with nothing_left():
            await within(engine.aclose(), "aclose() must end")
            await within(engine.aclose(), "aclose() may be called twice")
            with no_dialling("a closed engine must not dial"):
                await refused(
                    ClosedError,
                    "a closed engine",
                    _used(use, engine),
                    "a closed engine must refuse to work",
                )


async def _used(use: Callable[[Any], Awaitable[Any]], what: Any) -> Any:
    return await use(what)


async def cancelled_at_any_time(
    make: Callable[[], Any], use: Callable[[Any], Awaitable[Any]]
) -> None:
    """Cancelled early or late, a use ends cancelled and leaves nothing."""
    for turns in (0, 1, 3, 10):
        await _cancelled_after(turns, make, use)


async def _cancelled_after(
    turns: int, make: Callable[[], Any], use: Callable[[Any], Awaitable[Any]]
) -> None:
    async with nothing_left():
        engine = make()
        task = asyncio.ensure_future(_used(use, engine))
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
