"""Speech from text in pieces: said to the next member, from the beginning, until it is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final, NoReturn, cast

from voicekit.errors import (
    ClosedError,
    InvalidArgumentError,
    LocalProtocolError,
    VoicekitError,
)
from voicekit.resilience.members.handle import never
from voicekit.resilience.members.produced import ProducedClip, produced
from voicekit.resilience.members.sessions import MemberSession
from voicekit.resilience.members.shared_text import MOST_KEPT, SharedText
from voicekit.resilience.members.trail import Group, Member, closed_quietly
from voicekit.speech import AudioChunk, AudioClip, AudioFormat, Usage
from voicekit.speech.clip import clip_of

_Step = Callable[[Any], Awaitable[Any]]

_UNSENT: Final = "not_replayable"
"""``retry_stopped``: more text was sent than is kept."""


class _MemberSpeech(MemberSession[AudioChunk]):
    """What both do: until the first audio, a member that fails is replaced by the next.

    Attributes:
        format: What the chunks are.
        delivered_bytes: How many bytes iteration has handed out.
    """

    format: AudioFormat

    def __init__(self, group: Group, operation: str, handle_of: Callable[[Member], Any]) -> None:
        super().__init__(group, operation, handle_of)
        self.delivered_bytes = 0
        self._group = group
        self._heard = False

    # -- for subclasses --

    def _replayable(self) -> bool:
        raise NotImplementedError

    def _commit(self) -> None:
        """The first audio is here: nothing has to be kept."""

    # -- opening --

    def may_move(self, error: VoicekitError, /) -> bool:
        """As long as all of the text is kept."""
        if not self._replayable():
            error.retry_stopped = error.retry_stopped or _UNSENT
            return False
        return True

    async def _take_member(self) -> None:
        await super()._take_member()
        self.format = self._of("format", self.format)

    # -- iterating --

    async def __anext__(self) -> AudioChunk:
        while True:
            inner = await self._opened_one() if self._inner is None else self._inner
            try:
                chunk = await self._following(inner)
            except VoicekitError as error:
                await self._elsewhere(inner, error)
                continue
            except BaseException as error:
                await self._left(error)
                raise
            if not self._heard:
                self._first()
            self.delivered_bytes += len(chunk)
            return chunk

    async def _following(self, inner: Any) -> AudioChunk:
        if self._heard:
            return cast("AudioChunk", await inner.__anext__())
        return cast("AudioChunk", await self._patience.wait(inner.__anext__))

    def _first(self) -> None:
        self._heard = True
        self._patience.stop()
        self._trail.proved()
        self._commit()

    async def _elsewhere(self, inner: Any, error: VoicekitError) -> None:
        """Let the next member say it.

        Raises:
            VoicekitError: ``error``, or one before it: nobody can.
        """
        member = self._trail.member
        if self._heard or self._ended or member is None or inner is not self._inner:
            await self._left(error)
            raise error
        self._inner = None
        try:
            self._trail.failed(member, error, self)
        except VoicekitError:
            self._inner = inner  # its evidence is that of the end
            await self._done()
            raise
        finally:
            if self._group.closed:
                await closed_quietly(inner)
            else:  # not waited for: one that hangs would hold up the next
                self._group.background.spawn(closed_quietly(inner), "voicekit-member-close")

    async def take(self) -> list[AudioChunk]:
        """Everything that has arrived; see ``Session.take``."""
        if not self._heard:
            try:
                return [await self.__anext__()]
            except StopAsyncIteration:
                return []
        chunks = await super().take()
        self.delivered_bytes += sum(map(len, chunks))
        return chunks

    # -- evidence --

    @property
    def delivered_s(self) -> float | None:
        """Seconds of audio handed out, where the format tells."""
        return self.format.duration_s(self.delivered_bytes)

    @property
    def usage(self) -> Usage | None:
        """What the provider says it charges."""
        return cast("Usage | None", self._of("usage", None))

    async def clip(self) -> AudioClip:
        """Everything that is still to come, as one clip; closes the session."""
        clip = await clip_of(self)
        return produced(ProducedClip, clip, self.member, self.errors, request=None)


class MemberUtterance(_MemberSpeech):
    """One utterance at one of several members; text goes in piece by piece.

    Text that was sent is kept until the first audio, up to ``MOST_KEPT`` characters; a member
    that fails before leaves it to the next, which hears it from the beginning.
    """

    def __init__(self, group: Group, operation: str, handle_of: Callable[[Member], Any]) -> None:
        super().__init__(group, operation, handle_of)
        self._script: list[tuple[str, _Step]] = []
        self._told = 0
        self._size = 0
        self._finished = False
        self._kept_all = True
        self._broken: tuple[Any, VoicekitError] | None = None

    def _replayable(self) -> bool:
        return self._kept_all

    # -- text --

    async def send(self, text: str, /) -> None:
        """Say this too. Pieces may end anywhere.

        Raises:
            InvalidArgumentError: Not a str, or one that UTF-8 cannot carry.
            ClosedError: The session is over, or ``finish`` was called.
            VoicekitError: The session broke, and no other member can have it.
        """
        if not isinstance(text, str):
            raise InvalidArgumentError(
                f"got a {type(text).__name__}", argument="text", allowed="a str"
            )
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(
                "holds what UTF-8 cannot carry", argument="text", allowed="no lone surrogates"
            ) from None
        self._taking_text()
        await self._say(text, lambda session: session.send(text))

    async def flush(self) -> None:
        """Speak what was sent so far without waiting for more; the text may go on.

        Raises:
            ClosedError: The session is over, or ``finish`` was called.
        """
        self._taking_text()
        self._patience.start()
        await self._say("", lambda session: session.flush())

    async def finish(self) -> None:
        """That was all; iteration ends with the last audio. May be called twice.

        Raises:
            ClosedError: The session is over before its text was.
        """
        if self._finished:
            return
        self._taking_text()
        self._finished = True
        if not self._heard:
            self._patience.start()
        await self._say("", lambda session: session.finish())

    def _taking_text(self) -> None:
        if self._ended:
            raise ClosedError("the session is closed")
        if not self._accepted:
            raise ClosedError("open the session first")
        if self._finished:
            raise ClosedError("finish() was called: the utterance takes no more text")

    async def _say(self, text: str, step: _Step) -> None:
        self._script.append((text, step))
        self._size += len(text)
        if self._size > MOST_KEPT and not self._heard:
            self._kept_all = False
            self._forget()
        inner = self._inner
        if inner is not None:  # else whoever looks for another member says it
            await self._tell(inner)

    async def _tell(self, inner: Any) -> None:
        """Say what was not said yet to the session in use."""
        if self._broken is not None and self._broken[0] is inner:
            return
        while self._inner is inner and self._told < len(self._script):
            _, step = self._script[self._told]
            if self._heard or not self._kept_all:
                del self._script[self._told]
            else:
                self._told += 1
            try:
                await step(inner)
            except VoicekitError as error:
                if self._inner is not inner:
                    return  # it was said to another one meanwhile
                if self._heard or not self._trail.may_move(error, self):
                    raise
                self._broken = (inner, error)  # for whoever iterates: it looks for another one
                return

    async def _greet(self, handle: Any) -> None:
        self._patience.stop()
        self._told = 0
        while self._told < len(self._script):  # it may grow meanwhile
            _, step = self._script[self._told]
            self._told += 1
            await step(handle)
        if self._finished:
            self._patience.start()

    def _commit(self) -> None:
        self._forget()

    def _forget(self) -> None:
        del self._script[: self._told]
        self._told = 0

    async def _following(self, inner: Any) -> AudioChunk:
        if self._broken is not None and self._broken[0] is inner and not self._heard:
            raise self._broken[1]
        return await super()._following(inner)


class FedMemberSpeech(_MemberSpeech):
    """Speech of one of several members from an async iterable of text; behaves as one stream.

    The text is read once, by a task of its own, and kept until the first audio, up to
    ``MOST_KEPT`` characters; a member that fails before leaves it to the next. An error of the
    text is no member's, and is raised as it is.
    """

    def __init__(self, group: Group, operation: str, text: AsyncIterable[str]) -> None:
        super().__init__(group, operation, never)
        # What it holds must not hold the handle, which is to be freed when nobody has it.
        self.text = SharedText(text, self._patience.start)

    def _survives(self) -> bool:
        return self._entered and super()._survives()

    def _replayable(self) -> bool:
        return self.text.replayable

    def innocent(self, error: VoicekitError, /) -> bool:
        """Whether it is the text's."""
        return self.text.came_from_here(error)

    def _count_opening(self) -> None:
        # Some open with the first audio, which may have to wait for the text.
        self.text.start()
        if self.text.over:
            self._patience.start()
        else:
            self._patience.stop()

    def _commit(self) -> None:
        self.text.commit()

    async def send(self, _text: str = "", /) -> NoReturn:
        """Refused: the iterable says it all."""
        raise LocalProtocolError("the text of this speech comes from its iterable")

    flush = finish = send

    # -- ending --

    async def _done(self) -> None:
        await super()._done()
        await self.text.aclose()

    async def _left(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            if not self._entered:  # nobody else would end it
                await closed_quietly(self._inner)
                await self._done()
            return
        await super()._left(error)
        await self.text.aclose()

    async def _part(self, *, cancelled: bool) -> None:
        try:
            await super()._part(cancelled=cancelled)
        finally:
            await self.text.aclose()
