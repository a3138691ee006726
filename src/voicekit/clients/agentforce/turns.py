"""One request at a time for a session: who waits, and what still runs when nobody does.

The provider answers 423 to a second request, and has no way to stop a turn. So whoever gives
a turn up leaves it to a task that reads it to its end, and the next one waits for that.

Source: Agentforce fact sheet of 2026-11, §11 to §13.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.agentforce.turn import MAX_TURN_BYTES, TurnDecoder
from voicekit.errors import ClosedError, VoicekitError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from voicekit.operation import Call
    from voicekit.tasks import Background
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request
    from voicekit.transport.transport import Transport

SERVER_LIMIT: Final = 125.0
"""Seconds after which no turn runs any more; the server gives up after 120. Source: sheet §12."""

_END: Final = b'"EndOfTurn"'
"""As JSON text it cannot stand inside of what somebody says, where its quotes are escaped."""


class Turns:
    """Whose turn it is, first come first served.

    Attributes:
        background: Owns what is read to its end.
        busy: A request of the session is under way.
        closed: Nobody has a turn any more.
        giving_up: How to end each thing that is under way.
    """

    def __init__(self, background: Background) -> None:
        self.background = background
        self.busy = False
        self.closed = False
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._lingering: set[asyncio.Task[None]] = set()
        self.giving_up: set[Callable[[], object]] = set()

    async def enter(self, call: Call) -> None:
        """Wait for the turn of ``call``, within its limits. Cancelled, it leaves no trace.

        A call that does not get there has ended.

        Raises:
            TotalTimeout: It took too long; nothing was sent.
            ClosedError: The session was closed meanwhile.
        """
        if not self.busy and not self.closed:
            self.busy = True
            return
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            self._check()
            left = call.remaining()
            await asyncio.wait([turn], timeout=None if left is None else max(left, 0.0))
            if turn.done() and turn.result():
                return
            self._check()
            raise call.total_timeout()
        except BaseException as error:
            self._withdraw(turn)
            call.end(error)
            raise

    def leave(self) -> None:
        """The next, please."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self.busy = False

    def close(self) -> None:
        """Nobody has a turn any more; what still runs is given up."""
        self.closed = True
        for task in self._lingering:
            task.cancel()
        for give_up in list(self.giving_up):
            give_up()
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(False)

    def linger(self, work: Coroutine[Any, Any, None], after: Callable[[], None]) -> None:
        """Let ``work`` read a turn to its end; ``after`` is called whatever became of it."""
        task = self.background.spawn(work, "voicekit-agentforce-drain")
        if self.closed:
            task.cancel()
        self._lingering.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._lingering.discard(task)
            after()

        task.add_done_callback(ended)

    def _withdraw(self, turn: asyncio.Future[bool]) -> None:
        if turn.done():
            if turn.result():
                self.leave()  # it came too late
        else:
            turn.cancel()
            self._waiting.remove(turn)

    def _check(self) -> None:
        if self.closed:
            raise ClosedError("the session is closed")


class Turn:
    """The turn of one call: over when the call has ended and nothing of it runs any more.

    Sends as a transport does. The request has a task of its own, because it outlives a caller
    who does not wait for its answer.
    """

    def __init__(self, turns: Turns, transport: Transport, call: Call) -> None:
        self._turns = turns
        self._transport = transport
        self._running = 0
        self._ended = False
        call.at_end(self._call_ended)

    async def send(self, request: Request, call: Call) -> Response:
        """See ``HttpTransport.send``."""
        if self._turns.closed:  # between two attempts
            raise ClosedError("the session was closed")
        self._running += 1
        task = self._turns.background.spawn(
            _caught(self._transport, request, call), "voicekit-agentforce-turn"
        )
        self._turns.giving_up.add(task.cancel)
        try:
            await asyncio.wait([task])
        except BaseException:
            if call.dispatched:
                self._turns.linger(_answered(task), lambda: self._give_up(task))
            else:
                self._give_up(task)
            raise
        finally:
            self._turns.giving_up.discard(task.cancel)
        if task.cancelled():
            self.over()
            raise ClosedError(
                "the session was closed", outcome="unknown" if call.dispatched else "not_applied"
            )
        result = task.result()
        if isinstance(result, BaseException):
            self.over()
            raise result
        return Held(result, self, self._turns)

    def _give_up(self, task: asyncio.Task[Response | Exception]) -> None:
        if not task.done():
            task.cancel()
        task.add_done_callback(self._given_up)

    def _given_up(self, task: asyncio.Task[Response | Exception]) -> None:
        """Its answer came, or never will."""
        result = None if task.cancelled() else task.result()
        if result is None or isinstance(result, BaseException):
            self.over()
        else:
            Held(result, self, self._turns).abort()

    def over(self) -> None:
        """A request is through."""
        self._running -= 1
        self._leave()

    def _call_ended(self) -> None:
        self._ended = True
        self._leave()

    def _leave(self) -> None:
        if self._ended and not self._running:
            self._turns.leave()


class Held:
    """A response whose reader may go away before its end: it is read to its end then.

    Attributes:
        decoder: Reads it, where it is a stream: tells whether the turn is over.
    """

    def __init__(self, response: Response, turn: Turn, turns: Turns) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.connection: ConnectionInfo = response.connection
        self.decoder: TurnDecoder | None = None
        self._response = response
        self._turn = turn
        self._turns = turns
        self._since = time.monotonic()
        self._error: VoicekitError | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._over = self._lingers = False
        turns.giving_up.add(self._closing)

    @property
    def delimited(self) -> bool:
        """See ``Response.delimited``."""
        return self._response.delimited

    async def chunk(self) -> bytes:
        """See ``Response.chunk``."""
        self._raise()
        reader = self._reader = asyncio.current_task()
        assert reader is not None  # noqa: S101 - we are awaited
        cancelling = reader.cancelling()
        try:
            data = await self._response.chunk()
        except asyncio.CancelledError:
            # Ours, see interrupt(): taken back, as asyncio.timeout does it.
            if self._error is not None and reader.uncancel() <= cancelling:
                self._raise()
            raise
        except VoicekitError:
            self._finish()
            raise
        finally:
            self._reader = None
        if not data:
            self._finish()
        return data

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error from None

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``; the turn goes on."""
        self._error = error
        if self._reader is not None:
            self._reader.cancel()

    def abort(self) -> None:
        """Nobody reads on. What may still run is read to its end; all else is freed at once."""
        if self._lingers:
            return
        if self._over:
            self._response.abort()
        elif self.status != 200 or self._turns.closed:
            self._response.abort()
            self._finish()
        elif self.decoder is not None and (self.decoder.done or self.decoder.failed):
            self.release()
        else:
            self._over = self._lingers = True
            self._turns.giving_up.discard(self._closing)
            self._turns.linger(self._drain(), self._drained)

    def _drained(self) -> None:
        self._response.abort()
        self._turn.over()

    def release(self) -> None:
        """See ``Response.release``."""
        self._response.release()
        self._finish()

    def _closing(self) -> None:
        self.interrupt(ClosedError("the session was closed", outcome="unknown"))

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._turns.giving_up.discard(self._closing)
            self._turn.over()

    async def _drain(self) -> None:
        """Read on until the turn is over, keeping nothing."""
        response, size, tail = self._response, 0, b""
        with contextlib.suppress(VoicekitError, TimeoutError):  # nothing more to wait for
            async with asyncio.timeout(max(0.0, SERVER_LIMIT + self._since - time.monotonic())):
                while self._reader is not None:  # noqa: ASYNC110 - leaving, in a step or two
                    await asyncio.sleep(0)
                while (data := await response.chunk()) and size < MAX_TURN_BYTES:
                    size += len(data)
                    tail = tail[-len(_END) :] + data
                    if _END in tail:
                        break
            response.release()


async def _answered(task: asyncio.Task[Response | Exception]) -> None:
    """Wait for the headers, for as long as a turn may run."""
    await asyncio.wait([task], timeout=SERVER_LIMIT)


async def _caught(transport: Transport, request: Request, call: Call) -> Response | Exception:
    """A value either way: a failure is told to whoever waits."""
    try:
        return await transport.send(request, call)
    except Exception as error:  # noqa: BLE001 - told to whoever waits
        return error
