"""What every check asks: a promise kept, no task left, nothing dialled."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator

E = TypeVar("E", bound=Exception)
T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds after which something that should have happened is taken to never happen."""
_SETTLING: Final = 1.0
"""Seconds that tasks may take to end after whoever owns them was closed."""


def require(condition: object, promise: str) -> None:
    """Fail with the promise, unless the condition holds.

    Raises:
        AssertionError: It does not.
    """
    if not condition:
        raise AssertionError(promise)


async def within(work: Awaitable[Any], promise: str, seconds: float | None = None) -> Any:
    """The result of ``work``, which must come soon.

    Raises:
        AssertionError: With the promise, when it does not.
    """
    try:
        async with asyncio.timeout(PATIENCE if seconds is None else seconds) as limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise AssertionError(promise) from None
        raise


async def refusal(work: Coroutine[Any, Any, Any], promise: str) -> Exception:
    """The exception that ``work`` must end with.

    Raises:
        AssertionError: It ended without one, or did not end.
    """
    task = asyncio.ensure_future(work)
    try:
        await within(asyncio.wait((task,)), f"{promise}; it waits for ever")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    require(not task.cancelled(), f"{promise}; it was cancelled instead")
    error = task.exception()
    if not isinstance(error, Exception):
        raise AssertionError(promise)  # noqa: TRY004 - the check failed, whatever it is
    return error


async def refused(kind: type[E], what: str, work: Coroutine[Any, Any, Any], promise: str) -> E:
    """The exception of that kind that ``work`` must end with; ``what`` says of what.

    Raises:
        AssertionError: It ended without one, with another one, or did not end.
    """
    error = await refusal(work, promise)
    if not isinstance(error, kind):
        raise AssertionError(  # noqa: TRY004 - the check failed, whatever it is
            f"{what} must raise {kind.__name__}, not {type(error).__name__}"
        )
    return error


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """What is done inside leaves no task behind, and no exception that nobody took.

    Raises:
        AssertionError: It does.
    """
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    lost: list[str] = []

    def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        lost.append(f"{context.get('message')} ({type(context.get('exception')).__name__})")

    previous = loop.get_exception_handler()
    loop.set_exception_handler(note)
    try:
        yield
        until = loop.time() + _SETTLING
        while (left := asyncio.all_tasks() - before) and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # whoever ends a task tells nobody
        names = ", ".join(sorted(task.get_name() for task in left))
        require(not left, f"closing must end every task; still running: {names}")
        gc.collect()
        await asyncio.sleep(0)
        require(not lost, f"no exception may be lost: {', '.join(lost)}")
    finally:
        loop.set_exception_handler(previous)


def leaving_nothing(check: Callable[[T], Awaitable[None]]) -> Callable[[T], Awaitable[None]]:
    """The same check, which leaves no task and no exception behind."""

    @functools.wraps(check)
    async def run(make: T) -> None:
        async with nothing_left():
            await check(make)

    return run


def with_engine(
    check: Callable[[T], Awaitable[None]],
) -> Callable[[Callable[[], T]], Awaitable[None]]:
    """The same check, of an engine that is made and closed for it."""

    @functools.wraps(check)
    async def run(make: Callable[[], Any]) -> None:
        async with make() as engine:
            await check(engine)

    return run


@contextlib.contextmanager
def no_dialling(promise: str) -> Iterator[None]:
    """This thread asks for no connection and no name meanwhile.

    Raises:
        AssertionError: With the promise, when it does.
    """
    ours, dialled = threading.get_ident(), 0
    connect, connect_ex, look_up = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def watched(real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal dialled
            dialled += threading.get_ident() == ours
            return real(*args, **options)

        return call

    # asyncio has no seam to see a dial; these are what every library ends in.
    socket.socket.connect = watched(connect)  # type: ignore[method-assign]
    socket.socket.connect_ex = watched(connect_ex)  # type: ignore[method-assign]
    socket.getaddrinfo = watched(look_up)
    try:
        yield
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign]
        socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]
        socket.getaddrinfo = look_up
    require(not dialled, promise)
