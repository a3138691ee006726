"""One utterance whose text is still being written: a context on a pooled socket, or all of one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from voicekit.clients.elevenlabs.alignment import Debt, FollowedText, WordTimes
from voicekit.clients.elevenlabs.contexts import ContextScript, audio_of, is_error, is_final
from voicekit.clients.elevenlabs.errors import error_of_frame, error_of_loss
from voicekit.clients.elevenlabs.single import SingleScript
from voicekit.clients.fed import Fed
from voicekit.clients.utterance import SpokenSession, may_replay
from voicekit.errors import VoicekitError
from voicekit.speech import AudioChunk, Word
from voicekit.wire.words import WholeWords

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.config import SessionSettings
    from voicekit.clients.elevenlabs.sockets import ContextSocket
    from voicekit.clients.speaking import Studio
    from voicekit.operation import Call
    from voicekit.transport.lease import Lease

_KEEP_ALIVE_SHARE: Final = 0.75
"""Of the inactivity timeout: when a silent utterance sends a sign of life."""

_TICK: Final = 0.01
"""Seconds by which a timer may come too early."""

_contexts = itertools.count(1)


class Utterance(SpokenSession):
    """Speech from text that comes in pieces; see ``SpokenSession``, all of which holds here."""

    _script: SingleScript | ContextScript

    def __init__(self, studio: Studio, settings: SessionSettings) -> None:
        self._id = f"voicekit-{next(_contexts)}"
        first = settings.first
        super().__init__(
            studio,
            SingleScript(first) if settings.single else ContextScript(self._id, first),
            format=settings.format,
            max_buffered_s=settings.max_buffered_s,
        )
        self._settings = settings
        self._debt = Debt(settings.schedule)
        self._typed = WholeWords()
        self._text = FollowedText()
        self._words = WordTimes()
        self._aligned_s = 0.0
        self._all_said_and_final = False
        self._keeping: asyncio.TimerHandle | None = None

    # -- text --

    async def send(self, text: str, /) -> None:
        """Say this too; pieces go out in whole words. See ``SpokenSession.send``."""
        self._check(text)
        self._taking_text()
        if words := self._typed.feed(text):
            self._say(words)
            await self._write()

    async def flush(self) -> None:
        """Speak what was sent so far now; see ``SpokenSession.flush``."""
        self._taking_text()
        rest = self._typed.flush()
        if rest.strip():
            self._say(rest, flush=True)
        else:
            self._script.flush()
            self._debt.flushed()
            self._progress()
        await self._write()

    async def finish(self) -> None:
        """That was all; see ``SpokenSession.finish``."""
        if self._script.finished:
            return
        self._ready()
        rest = self._typed.flush()
        if rest.strip():
            self._say(rest, flush=True)
        self._debt.finished()
        self._script.finish(speak=bool(self._said) and not rest.strip())
        self._progress()
        await self._write()
        if self._all_said_and_final:
            self._end()

    def _say(self, text: str, *, flush: bool = False) -> None:
        if self._said or not text.isspace():
            self._count_said(self._said + len(text))
        self._all_said_and_final = False
        self._script.say(text, flush=flush)
        self._debt.said(text, flush=flush)
        self._progress()

    # -- the socket --

    async def _connect(self, call: Call) -> None:
        await super()._connect(call)
        self._keeping = self._call_later(self._patience, self._keep_alive)

    async def _begin(self, lease: Lease) -> None:
        _socket_of(lease).begin(self, self._id)

    async def _leave(self, lease: Lease) -> bool:
        goodbye = self._script.goodbye
        if goodbye is not None and self._script.begun and not self._script.finished:
            await lease.socket.send(goodbye)
        return goodbye is None  # without a word for it, the pool's closing the socket ends it

    def _error_of_loss(self, error: VoicekitError) -> VoicekitError:
        return error_of_loss(error)

    # -- frames --

    def hear(self, frame: Mapping[str, Any]) -> None:
        """For the socket: one frame of this utterance.

        Raises:
            RemoteProtocolError: It makes no sense; the socket cannot be used any more.
        """
        if is_error(frame):
            # The socket's close follows; what it holds besides is of no use to anybody.
            self._refused(error_of_frame(frame))
            return
        audio = audio_of(frame)
        if audio:
            self._hear_audio(audio, frame)
        if is_final(frame) and not self._ended:
            self._hear_final()

    def _hear_audio(self, audio: bytes, frame: Mapping[str, Any]) -> None:
        before = self._heard_bytes
        whole, useful = self._take(audio)
        words: tuple[Word, ...] = ()
        alignment, span = self._text.read(frame)
        if alignment is not None:
            # Times count from the frame. Where bytes do not tell, earlier alignments do.
            offset = self.format.duration_s(before)
            words = self._words.feed(alignment, self._aligned_s if offset is None else offset)
        self._aligned_s += span or 0.0
        self._debt.heard(self.format.duration_s(len(audio)), span, useful=useful)
        if whole or words:
            self._push(AudioChunk(whole, self.format, words), useful=useful)

    def _hear_final(self) -> None:
        if not self._script.finished:
            # Before our end it can only mean that everything so far was spoken. Unverified
            # whether the vendor ever sends it then; if no more text comes, it was the end.
            self._all_said_and_final = True
            self._debt.settled()
            self._progress()
            return
        if (error := self._lacking(due=bool(self._said))) is not None:
            self._fail(error)
        else:
            if words := self._words.flush():
                self._push(AudioChunk(b"", self.format, words), useful=False)
            self._end()

    def _refused(self, error: VoicekitError) -> None:
        if self._script.replayable and may_replay(error):
            self._lose(error)
        else:
            self._fail(error)

    # -- what the base asks --

    def _owes(self) -> bool:
        return self._debt.owed

    def _hang_up(self, *, clean: bool) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        super()._hang_up(clean=clean)

    # -- ending --

    async def cancel(self) -> None:
        """Barge-in: stop now. Iteration, also in another task, ends quietly. Idempotent.

        The context is closed and the socket goes back warm; audio that is still on its
        way is dropped by its id. A socket of ``"stream-input"`` is closed instead, and
        replaced by the pool.
        """
        await super().cancel()

    # -- sign of life --

    @property
    def _patience(self) -> float:
        return _KEEP_ALIVE_SHARE * self._settings.inactivity_timeout

    def _keep_alive(self) -> None:
        """The text pauses: keep the context open. After its end nothing is to be kept."""
        self._keeping = None
        lease = self._lease
        if self._closed or self._script.finished:
            return
        wait = self._patience
        if lease is not None:
            idle = time.monotonic() - _socket_of(lease).written_at
            if idle >= wait - _TICK:
                self._script.keep_alive()
                self._studio.background().spawn(self._sign_of_life(), "voicekit-speech-keepalive")
            else:
                wait -= idle
        self._keeping = self._call_later(wait, self._keep_alive)

    async def _sign_of_life(self) -> None:
        with contextlib.suppress(VoicekitError):  # the session has failed with it
            await self._write()


class FedUtterance(Fed, Utterance):
    """Speech from an async iterable of text; see ``Utterance``, and ``Fed`` for its ends."""

    def __init__(
        self, studio: Studio, settings: SessionSettings, pieces: AsyncIterable[str]
    ) -> None:
        super().__init__(studio, settings)
        self._read_from(pieces)


def _socket_of(lease: Lease) -> ContextSocket:
    """The socket of a lease, as the dial made it."""
    return cast("ContextSocket", lease.socket)
