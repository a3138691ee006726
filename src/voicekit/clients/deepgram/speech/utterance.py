"""One utterance whose text is still being written, on a pooled socket."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from voicekit.clients.deepgram.errors import read_error_message
from voicekit.clients.deepgram.speech.errors import error_of_loss, is_of_flushes
from voicekit.clients.deepgram.speech.flushes import FLUSHES
from voicekit.clients.deepgram.speech.messages import SpeakScript, WholeSentences
from voicekit.clients.fed import Fed
from voicekit.clients.utterance import SpokenSession
from voicekit.errors import (
    PoolTimeout,
    RateLimitError,
    VoicekitError,
)
from voicekit.speech import AudioChunk

if TYPE_CHECKING:
    from voicekit.clients.deepgram.speech.config import SessionSettings
    from voicekit.clients.deepgram.speech.sockets import SpeakSocket
    from voicekit.clients.speaking import Studio
    from voicekit.operation import Call
    from voicekit.transport.lease import Lease

EARLY_CHARACTERS: Final = 20
"""What is flushed before the text is at its end has so many at least: over a second of speech,
which covers the time until the next flush is spoken. Source: ours."""

RESERVED: Final = 2
"""Flushes that a socket must have left for an utterance: its first sentence and its end."""

SPARED: Final = 8
"""Flushes that later sentences leave to the next utterances on the socket."""


class Utterance(SpokenSession):
    """Speech from text that comes in pieces; see ``SpokenSession``, all of which holds here.

    Whole sentences go out. The first is spoken at once, and so is what follows each time
    that the server has said all it was told to, as far as the vendor's limit of 20 flushes
    per minute and socket allows; what has no early flush is spoken with the next one, at
    the latest with ``finish()``, for which one is always kept.
    """

    _script: SpeakScript

    def __init__(self, studio: Studio, settings: SessionSettings) -> None:
        super().__init__(
            studio,
            SpeakScript(settings.extra),
            format=settings.format,
            max_buffered_s=settings.max_buffered_s,
        )
        self._written_text = WholeSentences()
        self._speakable = False
        self._flushed = 0
        self._flush_wanted = False
        self._later: asyncio.TimerHandle | None = None  # for a flush that may be sent
        self._metadata: Mapping[str, Any] = {}

    # -- text --

    async def send(self, text: str, /) -> None:
        """Say this too; pieces go out in whole sentences. See ``SpokenSession.send``."""
        self._check(text)
        self._taking_text()
        for sentence in self._written_text.feed(text):
            self._say(sentence)
            self._flush_early()
        await self._write()

    async def flush(self) -> None:
        """Speak what was sent so far now; see ``SpokenSession.flush``.

        A socket may flush 20 times a minute. Where it has none left but for the end, the
        flush waits until it has, and takes along what was sent meanwhile.
        """
        self._taking_text()
        self._say(self._written_text.flush())
        if self._script.unflushed:
            self._flush_wanted = True
            self._flush_early()
        await self._write()

    async def finish(self) -> None:
        """That was all; see ``SpokenSession.finish``."""
        if self._script.finished:
            return
        self._ready()
        self._say(self._written_text.flush())
        self._script.finish()
        self._stop_timer()
        self._progress()
        await self._write()
        self._end_if_spoken()

    def _say(self, text: str) -> None:
        self._script.say(text)
        self._count_said(self._said + len(text))
        self._speakable = self._speakable or any(map(str.isalnum, text))

    def _flush_early(self) -> None:
        """Have what was said spoken before the text is at its end, if that can be spared."""
        script, lease = self._script, self._lease
        if lease is None or script.finished or self._ended or not script.unflushed:
            return
        asked = self._flush_wanted
        if not asked and (self._owes() or script.unflushed < EARLY_CHARACTERS):
            return
        budget, now = _socket_of(lease).flushes, time.monotonic()
        need = RESERVED if asked or not script.flushes else SPARED
        # Those that are not written yet will be spent as well.
        left = budget.left(now) - script.queued_flushes
        if left >= need:
            self._flush_wanted = False
            script.flush()
            self._progress()
        elif asked and self._later is None:
            self._later = self._call_later(budget.wait(now, need), self._flush_at_last)

    def _flush_soon(self) -> None:
        """From the reader or a timer, which cannot wait for the network."""
        flushes = self._script.flushes
        self._flush_early()
        if self._script.flushes != flushes:
            self._studio.background().spawn(self._write_on(), "voicekit-speech-flush")

    def _flush_at_last(self) -> None:
        self._later = None
        self._flush_soon()

    async def _write_on(self) -> None:
        with contextlib.suppress(VoicekitError):  # the session has failed with it
            await self._write()

    def _stop_timer(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    # -- the socket --

    async def _borrow(self) -> Lease:
        """Lease a socket that may still flush; one that may not is passed over.

        Raises:
            PoolTimeout: All that there may be have used up their flushes of this minute.
        """
        pool = self._studio.pool()
        need = min(FLUSHES, max(RESERVED, self._script.queued_flushes + 1))
        spent: list[Lease] = []
        try:
            while True:
                lease = await pool.lease()
                if _socket_of(lease).flushes.left(time.monotonic()) >= need:
                    return lease
                spent.append(lease)
        except PoolTimeout as error:
            if not spent:
                raise
            text = "every socket has used up its flushes of this minute"
            raise PoolTimeout(text, limit=error.limit) from None
        finally:
            for lease in spent:
                lease.release(idle_s=_socket_of(lease).idle_s)

    async def _begin(self, lease: Lease) -> None:
        socket = _socket_of(lease)
        # Before it knows us: one that ends meanwhile costs another lease and no replay.
        await socket.settled()
        socket.begin(self)

    async def _leave(self, lease: Lease) -> bool:
        await _socket_of(lease).clear()
        return False

    async def _connect(self, call: Call) -> None:
        await super()._connect(call)
        self._written_again()

    def _written_again(self) -> None:
        if self._flush_wanted or self._script.unflushed:
            self._flush_soon()

    def _rewind(self) -> None:
        super()._rewind()
        self._flushed = 0

    def _error_of_loss(self, error: VoicekitError) -> VoicekitError:
        return error_of_loss(error)

    # -- frames --

    def hear(self, audio: bytes) -> None:
        """For the socket: audio of this utterance.

        Raises:
            RemoteProtocolError: More of it than the text can take.
        """
        if not audio:
            return
        whole, useful = self._take(audio)
        if whole:
            self._push(AudioChunk(whole, self.format), useful=useful)

    def told(self, message: Mapping[str, Any]) -> None:
        """For the socket: a message of the server. One that is not known is no error."""
        match message.get("type"):
            case "Flushed":
                self._flushed += 1
                self._progress()
                self._flush_soon()
                self._end_if_spoken()
            case "Warning" if is_of_flushes(message):
                self._not_flushed()
            case "Error":
                # The socket's close follows; what it holds besides is of no use to anybody.
                self._lose(read_error_message(message))

    def _not_flushed(self) -> None:
        """The vendor has counted more flushes than we have, and ignores the last one.

        Another socket may flush, as long as nothing was heard; this one is to forget.
        """
        error = RateLimitError("a flush was ignored: the socket has had too many")
        lease = self._lease
        if lease is None or self._ended:
            return
        _socket_of(lease).flushes.exhaust(time.monotonic())
        if not self._script.replayable or self._replays:
            self._fail(error)
            return
        self._lease = None
        self._studio.background().spawn(self._dismiss(lease), "voicekit-speech-goodbye")
        self._say_elsewhere(error)

    def _end_if_spoken(self) -> None:
        script = self._script
        if self._ended or not script.finished or self._flushed < script.flushes:
            return
        if (error := self._lacking(due=self._speakable)) is not None:
            self._fail(error)
        else:
            self._end()

    # -- what the base asks --

    def _owes(self) -> bool:
        return self._flushed < self._script.flushes

    def _hang_up(self, *, clean: bool) -> None:
        self._stop_timer()
        self._metadata = self.metadata
        super()._hang_up(clean=clean)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the server said of the voice when the socket opened; empty while there is none.

        It stays when the socket has gone back.
        """
        return _socket_of(self._lease).metadata if self._lease is not None else self._metadata


class FedUtterance(Fed, Utterance):
    """Speech from an async iterable of text; see ``Utterance``, and ``Fed`` for its ends."""

    def __init__(
        self, studio: Studio, settings: SessionSettings, pieces: AsyncIterable[str]
    ) -> None:
        super().__init__(studio, settings)
        self._read_from(pieces)


def _socket_of(lease: Lease) -> SpeakSocket:
    """The socket of a lease, as the dial made it."""
    return cast("SpeakSocket", lease.socket)
