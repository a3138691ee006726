"""Carries one connection across a `Link`: bytes in order, half-closes and resets included."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Literal, cast

from voicekit.emulator.connection import hang_up
from voicekit.emulator.link import Link, Timing

MAX_IN_FLIGHT = 1 << 20
"""Bytes held per direction before the sender is made to wait, as a full TCP window would."""


Crossed = Callable[[Literal["up", "down"], float, float, int], None]


class _End(Enum):
    FIN = "fin"
    RST = "rst"


class Relay:
    """One accepted connection, carried to the server across a link.

    `crossed` is told of each piece: its direction, when it came and when it went, and the port from
    which the server is asked.
    """

    def __init__(
        self,
        link: Link,
        rng: random.Random,
        inner: tuple[str, int],
        crossed: Crossed,
    ) -> None:
        self.link = link
        self._inner = inner
        loop = asyncio.get_running_loop()
        accepted_at = loop.time()
        self._client = _Side(self, loop)
        self._server = _Side(self, loop)
        # The client's SYN reached the "far" end half a trip after it was sent, which the kernel
        # did for us in no time; nothing of the client's may travel before its round trip is over.
        self._up = _Direction(
            self, self._server, rng, partial(crossed, "up"), not_before=accepted_at + link.rtt
        )
        self._down = _Direction(self, self._client, rng, partial(crossed, "down"), not_before=0.0)
        self._client.outgoing, self._server.outgoing = self._up, self._down
        self._client.incoming, self._server.incoming = self._down, self._up
        self._loop = loop
        self._last_byte = accepted_at
        self.line = 0
        self._cutoff: asyncio.TimerHandle | None = None
        self.done: asyncio.Future[None] = loop.create_future()

    async def run(self, accepted: socket.socket) -> None:
        """Carry the connection until both sides are closed.

        Cancelling it aborts both sides at once and leaves nothing behind.
        """
        try:
            # The server's side first: a client's bytes must find somewhere to go.
            server, _ = await self._loop.create_connection(lambda: self._server, *self._inner)
            self.line = server.get_extra_info("sockname")[1]
            await self._loop.connect_accepted_socket(lambda: self._client, accepted)
            if self.link.idle_cutoff is not None:
                self._cutoff = self._loop.call_later(self.link.idle_cutoff, self._check_idle)
            await self.done
        except OSError:
            pass  # one side went before both were there: close what is left
        finally:
            if self._cutoff is not None:
                self._cutoff.cancel()
            for side in (self._client, self._server):
                side.abort()
            if self._client.transport is None:
                accepted.close()
            self._up.cancel()
            self._down.cancel()

    def touched(self) -> None:
        """Note that a byte went by."""
        self._last_byte = self._loop.time()

    def side_lost(self) -> None:
        """Finish once both sides are gone."""
        if self._client.lost and self._server.lost and not self.done.done():
            self.done.set_result(None)

    def finished_direction(self) -> None:
        """Close both sides once each has said all it had to say."""
        if self._up.finished and self._down.finished:
            for side in (self._client, self._server):
                if side.transport is not None:
                    side.transport.close()

    def reset(self) -> None:
        """Reset both sides now."""
        for side in (self._client, self._server):
            hang_up(side.transport, reset=True)

    def cut(self, how: Literal["fin", "rst", "blackhole"]) -> None:
        """Break the connection now.

        Args:
            how: ``"fin"`` closes both sides, ``"rst"`` resets them; after ``"blackhole"`` both
                stay open and nothing crosses any more, not even the end of the other side.
        """
        if how == "rst":
            self.reset()
            return
        self._up.cancel()
        self._down.cancel()
        for side in (self._client, self._server):
            if how == "fin":
                hang_up(side.transport, reset=False)
            else:
                side.resume()

    def _check_idle(self) -> None:
        assert self.link.idle_cutoff is not None  # noqa: S101 - armed only then
        due = self._last_byte + self.link.idle_cutoff
        if self._loop.time() >= due:
            self.reset()
        else:
            # One lazily re-armed timer: traffic moves a number, not a timer.
            self._cutoff = self._loop.call_at(due, self._check_idle)


class _Direction:
    """Bytes on their way from one side to the other, in order, each with its due time."""

    def __init__(
        self,
        relay: Relay,
        target: _Side,
        rng: random.Random,
        crossed: Callable[[float, float, int], None],
        *,
        not_before: float,
    ) -> None:
        self._relay = relay
        self._crossed = crossed
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._timing = Timing(relay.link, rng, not_before=not_before)
        self._queue: deque[tuple[float, float, bytes | _End]] = deque()  # due, came, what
        self._queued_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reset_timer: asyncio.TimerHandle | None = None
        self._blocked = False
        self._ended = False
        self.source: _Side | None = None
        self.finished = False

    def carry(self, item: bytes | _End) -> None:
        """Take an item that has just come from the source side."""
        if self._ended:
            return
        size = len(item) if isinstance(item, bytes) else 0
        came = time.monotonic()  # uvloop's own time stands still for up to a millisecond
        due = self._timing.due(self._loop.time(), size)
        if item is _End.RST:
            # By its own timer: a reset reaches even a target that takes no more bytes.
            self._reset_timer = self._loop.call_at(due, self._reset)
            return
        self._queue.append((due, came, item))
        self._queued_bytes += size
        if self._queued_bytes > MAX_IN_FLIGHT and self.source is not None:
            self.source.pause()
        if self._timer is None:
            self._arm()

    def block(self) -> None:
        """Stop delivering: the target cannot take more."""
        self._blocked = True

    def unblock(self) -> None:
        """Deliver again."""
        self._blocked = False
        self._deliver()

    def cancel(self) -> None:
        """Drop what is queued and take no more."""
        self._ended = True
        self._queue.clear()
        for timer in (self._timer, self._reset_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._reset_timer = None

    def _reset(self) -> None:
        self._deliver()
        self.cancel()
        hang_up(self._target.transport, reset=True)

    def _arm(self) -> None:
        if self._queue and not self._blocked:
            due = self._queue[0][0]
            if due <= self._loop.time():
                self._deliver()
            else:
                self._timer = self._loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        pieces: list[bytes] = []
        ended = False
        while self._queue and not self._blocked and self._queue[0][0] <= now + 1e-4:
            _, came, item = self._queue.popleft()
            if isinstance(item, _End):
                ended = True
                break
            self._queued_bytes -= len(item)
            pieces.append(item)
            self._crossed(came, time.monotonic(), self._relay.line)
        if pieces:
            self._target.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if self.source is not None and self._queued_bytes <= MAX_IN_FLIGHT // 2:
            self.source.resume()
        if ended:
            self.finished = True
            self._target.write_eof()
            self._relay.finished_direction()
            return
        self._arm()


class _Side(asyncio.Protocol):
    """One socket of the relay: the client's or the server's."""

    def __init__(self, relay: Relay, loop: asyncio.AbstractEventLoop) -> None:
        self._relay = relay
        self._loop = loop
        self.transport: asyncio.Transport | None = None
        self.outgoing: _Direction
        self.incoming: _Direction
        self.lost = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.outgoing.source = self

    def data_received(self, data: bytes) -> None:
        self._relay.touched()
        self.outgoing.carry(data)

    def eof_received(self) -> bool:
        self.outgoing.carry(_End.FIN)
        return True  # keep our writing half: the other direction may go on

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = True
        self.incoming.cancel()
        if exc is not None or not self.outgoing.finished:
            self.outgoing.carry(_End.RST)
        self._relay.side_lost()

    def pause_writing(self) -> None:
        self.incoming.block()

    def resume_writing(self) -> None:
        self.incoming.unblock()

    def pause(self) -> None:
        if not self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self.transport is not None:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_eof(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            with suppress(OSError):  # the other end was reset; its loss is on its way to us
                self.transport.write_eof()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
