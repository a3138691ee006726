"""Sessions of a member: opened at the first that accepts; from then on the member's own.

Speech may move once more, until its first audio: see ``speaking``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from voicekit.errors import ClosedError, LocalProtocolError, VoicekitError
from voicekit.resilience.members.evidence import FromMember
from voicekit.resilience.members.opening import Opening
from voicekit.resilience.members.patience import Patience
from voicekit.resilience.members.trail import Group, Member, Trail, closed_quietly
from voicekit.sessions import Session

if TYPE_CHECKING:
    from voicekit.operation import Call

__all__ = ["MemberSession", "MemberTranscription"]

T = TypeVar("T")


def _never() -> Call:
    raise LocalProtocolError("a member's session makes its own call")


class MemberSession(FromMember, Session[T]):
    """A session of one of several members; everything that the member's own is.

    Attributes:
        handle_of: Makes a member's own session.
    """

    def __init__(self, group: Group, operation: str, handle_of: Callable[[Member], Any]) -> None:
        super().__init__(_never)
        self._trail: Trail[Any] = Trail(group, operation)
        self._patience = Patience(group.timeout)
        self.handle_of = handle_of
        self._starting = Opening()
        self._entered = False
        self._accepted = False  # by some member, at some time
        self._parted = False  # ended by its holder

    def may_move(self, error: VoicekitError, /) -> bool:  # noqa: ARG002
        """Whether it can still go elsewhere."""
        return True

    def innocent(self, error: VoicekitError, /) -> bool:  # noqa: ARG002
        """Whether it is none of the member's."""
        return False

    def _survives(self) -> bool:
        """Whether it goes on with the next call, when one is cancelled."""
        return self._accepted

    # -- opening ----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._entered = True
        if self._inner is not None:
            await self._inner.__aenter__()
            return self
        return await self._opened()

    async def _opened(self) -> Self:
        if self._inner is not None:
            return self
        if self._closed:
            raise ClosedError("the session is closed")
        if self._starting.running:
            raise LocalProtocolError("the session is being opened by another task")
        try:
            await self._take_member()
        except BaseException as error:
            if not (self._survives() and isinstance(error, asyncio.CancelledError)):
                await self._done()
            raise
        return self

    async def _take_member(self) -> None:
        inner = await self._starting.run(lambda: self._trail.open(self._ask, self._patience, self))
        if self._closed:  # in the moment between
            self._trail.free()
            await closed_quietly(inner)
            raise ClosedError("the session was closed while it was being opened")
        self._inner = inner
        self._accepted = True

    async def _ask(self, member: Member) -> Any:
        self._count_opening()
        handle = self.handle_of(member)
        try:
            if self._entered:
                await handle.__aenter__()
            else:
                await handle
            await self._greet(handle)
        except BaseException:
            await closed_quietly(handle)
            raise
        return handle

    def _count_opening(self) -> None:
        self._patience.start()

    async def _greet(self, handle: Any) -> None:
        """A member has accepted; for subclasses."""

    async def _done(self) -> None:
        """Nothing more can come; for subclasses to free what they hold."""
        self._closed = self._ended = True
        self._trail.free()

    async def _opened_one(self) -> Any:
        """The member's session, for whoever iterates."""
        if self._inner is None:
            if self._closed:
                raise StopAsyncIteration
            try:
                await self._opened()
            except ClosedError:
                if self._parted and (self._cancelled or self._accepted):
                    raise StopAsyncIteration from None
                raise
        return self._inner

    def _live(self) -> Any:
        """The member's session, for whoever sends.

        Raises:
            ClosedError: It is not open, or over.
        """
        if self._inner is None:
            raise ClosedError("the session is closed" if self._closed else "open the session first")
        return self._inner

    # -- iterating --------------------------------------------------------------------------

    async def __anext__(self) -> T:
        inner = await self._opened_one() if self._inner is None else self._inner
        try:
            return cast("T", await inner.__anext__())
        except BaseException as error:
            await self._left(error)
            raise

    async def take(self) -> list[T]:
        """Everything that has arrived; see ``Session.take``."""
        try:
            inner = await self._opened_one() if self._inner is None else self._inner
        except StopAsyncIteration:
            return []
        try:
            items: list[T] = await inner.take()
        except BaseException as error:
            await self._left(error)
            raise
        if not items:
            await self._left(StopAsyncIteration())
        return items

    async def _left(self, error: BaseException) -> None:
        """Iteration ended; one that was cancelled goes on."""
        if not isinstance(error, asyncio.CancelledError):
            self._trail.free()

    # -- ending -----------------------------------------------------------------------------

    async def cancel(self) -> None:
        """Stop now. Iteration, also in another task, ends quietly. Idempotent."""
        await self._part(cancelled=True)

    async def aclose(self) -> None:
        """Free everything. Safe at any time, from any task, more than once."""
        await self._part(cancelled=False)

    async def _part(self, *, cancelled: bool = False) -> None:
        self._trail.free()
        self._cancelled = self._cancelled or (cancelled and not self._closed)
        self._closed = self._ended = self._parted = True
        inner = self._inner
        try:
            if inner is not None:
                cancel = getattr(inner, "cancel", inner.aclose)
                await (cancel() if cancelled else inner.aclose())
        finally:
            await self._starting.call_off()

    def __del__(self, _warn: object = None) -> None:
        """The member's own session says that it was never closed, and frees what it holds."""

    # -- evidence ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        who = self.member
        state = "closed" if self._closed else "open" if self._inner is not None else "new"
        return f"<{type(self).__name__} {state}{f' at {who}' if who else ''}>"


class MemberTranscription(MemberSession[Any]):
    """Live transcription at the first member that accepts; it stays there.

    What was heard cannot be heard again elsewhere without saying words twice: a member that is
    lost later replays by itself, where it can.
    """

    async def _take_member(self) -> None:
        await super()._take_member()
        self._patience.stop()
        self._trail.proved()

    async def send(self, audio: bytes | bytearray | memoryview, /) -> None:
        """See the member's session."""
        await self._live().send(audio)

    async def finish(self) -> None:
        """That was all the audio; iteration ends with the last result."""
        await self._live().finish()
