"""Sessions of a member: opened at the first that accepts; from then on the member's own.

Speech may move once more, until its first audio: see ``speaking``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, cast

from voicekit.errors import ClosedError
from voicekit.resilience.members.handle import MemberHandle, never
from voicekit.resilience.members.trail import Group, Member
from voicekit.sessions import Session

T = TypeVar("T")


class MemberSession(MemberHandle, Session[T]):
    """A session of one of several members; everything that the member's own is."""

    _kind = "session"
    _entered = False

    def __init__(self, group: Group, operation: str, handle_of: Callable[[Member], Any]) -> None:
        super().__init__(never)
        self._of_members(group, operation, handle_of)

    def _survives(self) -> bool:
        return self._accepted

    def _live(self) -> Any:
        """The member's session, for whoever sends.

        Raises:
            ClosedError: It is not open, or over.
        """
        if self._inner is None:
            raise ClosedError("the session is closed" if self._ended else "open the session first")
        return self._inner

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

    def _end_state(self) -> str:
        return "closed" if self._ended else ""


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
