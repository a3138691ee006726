"""Virtual time: an asyncio loop that jumps to the next timer when nobody has anything to do.

What follows it is everything that reads the event loop's clock: ``asyncio.sleep`` and
``asyncio.timeout``, the pauses of a ``ScriptedTransport``, and voicekit's limits: connect,
first output and gap. What does not is everything that reads ``time.monotonic()``, which
nothing here replaces: ``timings``, the ``at`` of events, ages of connections, and the *budget*
of ``Limits.total`` and ``deadline()``. That budget is taken from the real clock whenever a
call comes a step further and then waited for in virtual time, so it passes that many virtual
seconds after the last step (dispatch, first output), not after the start of the call.

Not for real sockets or an emulator: their answers take real time, which the loop does
not wait for. It does wait, with its clock at rest, for what runs in an executor.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_START: Final = 1000.0
"""Seconds; not zero, which would hide a forgotten clock."""
_GRACE: Final = 1.0
"""Real seconds that a thread may take to wake a loop that has no timer."""


class _JumpingSelector(selectors.DefaultSelector):
    """Adds what the loop would have slept to its clock, instead of sleeping."""

    def __init__(self) -> None:
        super().__init__()
        self.now = _START
        self.threads = 0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.threads:
            return super().select(None)
        if timeout is None:
            ready = super().select(_GRACE)
            if not ready:
                raise RuntimeError("everybody waits, and no timer is set: this would never end")
            return ready
        self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on virtual time, which starts at 1000.0 seconds.

    A loop that would wait for ever raises ``RuntimeError`` instead.

    Example:
        >>> with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        ...     runner.run(asyncio.sleep(3600))  # at once
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now

    def run_in_executor(  # type: ignore[override] # typeshed's variadic types differ by version
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """As asyncio's; time stands still until ``func`` has returned."""
        self._jumping.threads += 1
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:
            self._jumping.threads -= 1
            raise
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: object) -> None:
        self._jumping.threads -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """As asyncio's, in real time: threads end when they end."""
        del timeout  # which would pass at once
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._jumping.threads -= 1


VIRTUAL: Final = ("asyncio", {"loop_factory": VirtualLoop})
"""For anyio's pytest plugin: what its ``anyio_backend`` fixture may return."""


class VirtualClock:
    """One virtual loop, run from blocking code. ``virtual_time()`` makes it.

    Attributes:
        loop: The loop; it is closed with the block.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self.loop = self._runner.get_loop()
        return self

    def __exit__(self, *exc: object) -> None:
        self._runner.close()

    @property
    def now(self) -> float:
        """Virtual seconds since the clock was made."""
        return 0.0 if self.loop is None else self.loop.time() - _START

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` to its end, as ``asyncio.run`` would; may be called again.

        Raises:
            RuntimeError: It would wait for ever.
        """
        return self._runner.run(work)


def virtual_time() -> VirtualClock:
    """A virtual clock, for a ``with`` block.

    Example:
        >>> with virtual_time() as clock:
        ...     clock.run(my_app())
        ...     assert clock.now == 30.0
    """
    return VirtualClock()
