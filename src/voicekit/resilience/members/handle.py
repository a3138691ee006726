"""What the handles of members have in common: how they open, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, ClassVar, NoReturn, Self

from voicekit.errors import ClosedError, LocalProtocolError
from voicekit.resilience.members.evidence import FromMember
from voicekit.resilience.members.opening import Opening
from voicekit.resilience.members.patience import Patience
from voicekit.resilience.members.trail import Group, Judge, Member, Trail, closed_quietly


def never(*_: object) -> NoReturn:
    """Stands for how a handle opens by itself, which none of a member does."""
    raise LocalProtocolError("a member's handle opens it")


class MemberHandle(FromMember, Judge):
    """A handle that the first member opens which can; mixed in before its kind.

    Attributes:
        handle_of: Makes a member's own handle.
    """

    _kind: ClassVar[str]
    _entered: bool
    _accepted = False  # by some member, at some time
    _parted = False  # ended by its holder

    def _of_members(self, group: Group, operation: str, handle_of: Callable[[Member], Any]) -> None:
        self._trail = Trail(group, operation)
        self._patience = Patience(group.timeout)
        self.handle_of = handle_of
        self._starting = Opening()

    def _survives(self) -> bool:
        """Whether it goes on with the next call, when one is cancelled."""
        return False

    def __await__(self) -> Generator[Any, None, Self]:
        return self._begun().__await__()

    async def __aenter__(self) -> Self:
        self._entered = True
        if self._inner is not None:
            await self._inner.__aenter__()
            return self
        return await self._begun()

    async def _begun(self) -> Self:
        if self._inner is not None:
            return self
        if self._ended:
            raise ClosedError(f"the {self._kind} is closed")
        if self._starting.task is not None:
            raise LocalProtocolError(f"the {self._kind} is being opened by another task")
        try:
            await self._take_member()
        except BaseException as error:
            if not (self._survives() and isinstance(error, asyncio.CancelledError)):
                await self._done()
            raise
        return self

    async def _take_member(self) -> None:
        inner = await self._starting.run(lambda: self._trail.open(self._ask, self._patience, self))
        if self._ended:  # in the moment between
            self._trail.free()
            await closed_quietly(inner)
            raise ClosedError(f"the {self._kind} was closed while it was being opened")
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

    async def _opened_one(self) -> Any:
        """The member's handle, for whoever iterates."""
        if self._inner is None:
            if self._ended:
                raise StopAsyncIteration
            try:
                await self._begun()
            except ClosedError:
                if self._parted and (self._cancelled or self._accepted):
                    raise StopAsyncIteration from None
                raise
        return self._inner

    async def _done(self) -> None:
        """Nothing more can come; for subclasses to free what they hold."""
        self._ended = True
        self._trail.free()

    async def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another task, ends quietly. Idempotent."""
        await self._part(cancelled=True)

    async def aclose(self) -> None:
        """Free everything. Safe at any time, from any task, more than once."""
        await self._part(cancelled=False)

    async def _part(self, *, cancelled: bool) -> None:
        self._trail.free()
        self._cancelled = self._cancelled or (cancelled and not self._ended)
        self._ended = self._parted = True
        inner = self._inner
        try:
            if inner is not None:
                cancel = getattr(inner, "cancel", inner.aclose)
                await (cancel() if cancelled else inner.aclose())
        finally:
            await self._starting.call_off()

    def __del__(self, _warn: object = None) -> None:
        """The member's own handle says that it was never closed, and frees what it holds."""

    def _end_state(self) -> str:
        """How its repr says that it is over; empty before."""
        raise NotImplementedError

    def __repr__(self) -> str:
        who = self.member
        state = self._end_state() or ("new" if self._inner is None else "open")
        return f"<{type(self).__name__} {state}{f' at {who}' if who else ''}>"
