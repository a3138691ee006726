"""An agent's own reply, passed on by a handle of ours, so that its end is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from voicekit.cache.source import HandleSource
from voicekit.errors import StreamInterruptedError, VoicekitError, for_one
from voicekit.speech import AgentAnswer, AgentRetraction
from voicekit.streams import AgentReply, Opened

if TYPE_CHECKING:
    from voicekit.cache.response_turn import Turn
    from voicekit.operation import Call
    from voicekit.timing import ConnectionInfo


class CachedReply(AgentReply):
    """A turn as it is said, by the agent or by the cache."""

    def _broken(self, opened: Opened[Any], cause: VoicekitError) -> None:
        if self._quiet or not isinstance(cause, StreamInterruptedError):
            super()._broken(opened, cause)
            return
        # The agent's own handle has said already that it broke, and why.
        self._ended = True
        if self._watchdog is not None:
            self._watchdog.stop()
        opened.response.abort()
        self._error = for_one(cause)
        opened.call.end(self._error)

    async def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another task, ends quietly. Idempotent."""
        await super().cancel()
        await self._parted()

    async def aclose(self) -> None:
        """Free everything. Safe at any time, from any task, more than once."""
        await super().aclose()
        await self._parted()

    async def _parted(self) -> None:
        response: Any = None if self._opened is None else self._opened.response
        if isinstance(response, Passing):
            await response.parted()


class Passing(HandleSource):
    """An agent's own reply, to our handle; ``done`` when it has come to its own end."""

    def __init__(self, source: AgentReply, turn: Turn) -> None:
        self.text: list[str] = []
        self.done = False
        self.progress = 0
        self._source = source
        self._turn = turn
        self._call: Call | None = None
        self._cut: VoicekitError | None = None
        self._parting: asyncio.Task[Any] | None = None
        self._reading = False
        self._seen = 0

    async def open(self, call: Call) -> Opened[Any]:
        """Open the agent's reply, until its first output is in hand."""
        self._call = call
        try:
            await self._source.__aenter__()
            first = await self._source.take_events()
        except BaseException:
            self._part()
            raise
        if self._turn.flight is not None:
            self._turn.flight.moving = self._moving
        self._tell()
        call.committed()
        return self.opened(call, self.feed(first))

    def _moving(self) -> bool:
        """Whether its reader waits for the agent, or has got something since the last look."""
        before, self._seen = self._seen, self.progress
        return self._reading or before != self.progress

    def _tell(self) -> None:
        """Put on our call what the agent's reply says of how it came about."""
        call, source = self._call, self._source
        if call is not None:
            call.connection, call.request_id = source.connection, source.request_id
            call.attempts, call.hedged = source.attempts, source.hedged
            timings = source.timings
            call.queue_s, call.connect_s, call.tls_s = timings.queue, timings.connect, timings.tls

    # -- as a response --

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of the agent's reply."""
        return self._source.headers

    @property
    def cache(self) -> str | None:
        """What the agent's reply says of it: the agent may be a cache itself."""
        return self._source.cache

    @property
    def connection(self) -> ConnectionInfo | None:
        """Which connection carries it."""
        return self._source.connection

    async def chunk(self) -> Any:
        """Everything that has arrived, waiting for some; empty at the end.

        Raises:
            VoicekitError: It broke off.
        """
        if self._cut is not None:
            raise self._cut
        self._reading = True
        try:
            items = await self._source.take_events()
        except VoicekitError as error:
            self._turn.failed(error)
            raise
        finally:
            self._reading = False
        if self._cut is not None:
            raise self._cut
        self._tell()
        if not items:
            self._end()
        return items

    def _end(self) -> None:
        read = self._source._read
        # A reply that was closed by somebody ends as quietly as one that is whole.
        if read is not None and read.done and (answer := self._source.answer) is not None:
            self.done = True
            self._turn.answered(answer)

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``, and give the turn up."""
        self._cut = error
        self._part()

    def abort(self) -> None:
        """Give the turn up, as the agent's own session does it. Idempotent."""
        if not self.done:
            self._part()
        self._turn.over()

    def release(self) -> None:
        """It has ended."""
        self.abort()

    def _part(self) -> None:
        if self._parting is None:
            # Not here: this may be called where nobody can wait.
            self._parting = self._turn.background.spawn(
                self._source.cancel(), "voicekit-leave-reply"
            )

    async def parted(self) -> None:
        """Wait until the agent's own handle is closed."""
        if self._parting is not None and not self._parting.done():
            await asyncio.wait([self._parting])

    # -- as a decoder --

    def feed(self, items: Any, /) -> Sequence[Any]:
        """Pass on what the agent says."""
        for item in items:
            if isinstance(item, str):
                self.text.append(item)
            elif isinstance(item, AgentRetraction):
                self.text.clear()
        self.progress += len(items)
        return cast("Sequence[Any]", items)

    def answer(self, _call: Call, _headers: Mapping[str, str], /) -> AgentAnswer:
        """The turn, as far as it was read."""
        answer = self._source.answer
        assert answer is not None  # noqa: S101 - it is open
        return answer
