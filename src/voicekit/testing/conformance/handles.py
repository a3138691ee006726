"""What holds for the handles of one-way streams, of speech as of text."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any

from voicekit.testing.conformance import requests
from voicekit.testing.conformance.watching import (
    leaving_nothing,
    no_dialling,
    require,
    with_engine,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Watch = Callable[[Callable[[], Any]], Awaitable[None]]
    """Of what makes a handle."""
    Check = Callable[[Callable[[], Any]], Awaitable[None]]
    """Of what makes an engine."""


async def awaited_and_entered(open_handle: Callable[[], Any], kind: type, what: str) -> list[Any]:
    """A handle is awaitable, an async context manager, and iterable at once; all give the same."""
    awaited = await within(open_handle(), "awaiting a handle must open it")
    require(hasattr(awaited, "__aiter__"), "awaiting a handle must give the handle itself")
    first = [item async for item in awaited]
    await awaited.aclose()
    handle = open_handle()
    async with handle as entered:
        require(entered is handle, "entering a handle must give the handle itself")
        items = [item async for item in entered]
    require(items, f"a stream must give at least one {what}")
    plain = open_handle()
    direct = [item async for item in plain]
    await plain.aclose()
    for item in (*first, *items, *direct):
        require(
            isinstance(item, kind), f"{what} must be {kind.__name__}, not {type(item).__name__}"
        )
        require(item, f"{what} must not be empty")
    require(direct, "iterating a handle that nobody opened must open it")
    return items


async def handle_moves_between_tasks(open_handle: Callable[[], Any]) -> None:
    """Entered, iterated and closed by three tasks: nothing task-bound lives in a handle."""
    handle = open_handle()

    async def enter() -> None:
        await handle.__aenter__()

    async def iterate() -> list[Any]:
        return [item async for item in handle]

    async def close() -> None:
        await handle.__aexit__(None, None, None)

    try:
        await within(asyncio.ensure_future(enter()), "a handle must open in a task of its own")
        items = await within(
            asyncio.ensure_future(iterate()), "a handle must be iterable in another task"
        )
        require(items, "a handle must be iterable in another task than opened it")
        await within(asyncio.ensure_future(close()), "a handle must be closable in another task")
    finally:
        await handle.aclose()


async def leaving_early_frees_everything(open_handle: Callable[[], Any]) -> None:
    """Left after one item and closed twice more, a handle frees everything and gives no more."""
    handle = open_handle()
    async with handle:
        async for _ in handle:
            break
    await within(handle.aclose(), "aclose() of a handle may be called twice")
    await within(handle.aclose(), "aclose() of a handle may be called twice")
    rest = [item async for item in handle]
    require(not rest, "a closed handle must give nothing more")


async def cancel_ends_iteration_quietly(open_handle: Callable[[], Any]) -> None:
    """``cancel()`` from another task ends iteration without an error, and may be repeated."""
    for waits in (True, False):
        async with open_handle() as handle:
            await _cancelled(handle, reader_waits=waits)


async def _cancelled(handle: Any, *, reader_waits: bool) -> None:
    """Cancel while another task waits for more, or is busy with what it has."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def iterate() -> None:
        async for _ in handle:
            started.set()
            if not reader_waits:
                await cancelled.wait()

    reader = asyncio.ensure_future(iterate())
    starting = asyncio.ensure_future(started.wait())
    await within(
        asyncio.wait((reader, starting), return_when=asyncio.FIRST_COMPLETED),
        "a stream must give something",
    )
    starting.cancel()
    await within(handle.cancel(), "cancel() must end")
    await within(handle.cancel(), "cancel() may be called twice")
    cancelled.set()
    await within(asyncio.wait((reader,)), "cancel() must end another task's iteration")
    require(
        not reader.cancelled() and reader.exception() is None,
        "cancel() must end another task's iteration quietly, without an error",
    )
    try:
        rest = [item async for item in handle]
    except Exception as error:
        name = type(error).__name__
        raise AssertionError(f"a cancelled handle must end quietly, not with {name}") from error
    require(not rest, "a cancelled handle must give nothing more")


async def cancelled_reader_leaves_nothing(open_handle: Callable[[], Any]) -> None:
    """A task cancelled while it iterates gets ``CancelledError``; closing frees the rest."""
    handle = open_handle()
    await handle.__aenter__()

    async def iterate() -> None:
        async for _ in handle:
            await asyncio.sleep(0)
        await asyncio.Event().wait()

    reader = asyncio.ensure_future(iterate())
    for _ in range(5):
        await asyncio.sleep(0)
    reader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await within(reader, "a cancelled reader must end")
    require(reader.cancelled(), "a cancelled reader must get CancelledError")
    await within(handle.aclose(), "aclose() must end after a reader was cancelled")


async def handle_is_made_without_io(open_handle: Callable[[], Any]) -> None:
    """A handle that was never opened holds nothing; closing it is fine."""
    before = asyncio.all_tasks()
    with no_dialling("making a handle must do no I/O"):
        handle = open_handle()
        require(asyncio.all_tasks() == before, "making a handle must start no task")
        await within(handle.aclose(), "a handle that was never opened must be closable")


def checks_of(open_handle: Callable[[Any], Any]) -> tuple[Check, Check, Check, Check, Check, Check]:
    """What every engine must do whose handles ``open_handle`` makes."""

    async def use(engine: Any) -> None:
        async with open_handle(engine):
            pass

    async def cancelled_opening_leaves_nothing(make: Callable[[], Any]) -> None:
        """Cancelled early, late, or just before the first output."""
        await requests.cancelled_at_any_time(make, use)

    def of_engine(check: Watch) -> Check:
        @with_engine
        @functools.wraps(check)
        async def run(engine: Any) -> None:
            await check(lambda: open_handle(engine))

        return leaving_nothing(run)

    return (
        of_engine(handle_is_made_without_io),
        of_engine(handle_moves_between_tasks),
        of_engine(leaving_early_frees_everything),
        of_engine(cancel_ends_iteration_quietly),
        of_engine(cancelled_reader_leaves_nothing),
        cancelled_opening_leaves_nothing,
    )
