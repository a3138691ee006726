"""An utterance that is fed by an iterable: a model's stream speaks as it is written."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterable, AsyncIterator, Generator
from typing import TYPE_CHECKING, Any, Self

from voicekit.checks import wrong
from voicekit.clients.utterance import SpokenSession
from voicekit.errors import ClosedError, LocalProtocolError, VoicekitError

if TYPE_CHECKING:
    from voicekit.speech import AudioChunk

_log = logging.getLogger("voicekit.clients")


class Fed(SpokenSession):
    """Speech from an async iterable of text; behaves as one stream.

    Mixed in before a provider's utterance, whose ``__init__`` is followed by
    ``_read_from(pieces)``.

    Awaitable and an async context manager, both of which open it; iterating to the end
    closes it. The text is read ahead by a task of its own, from the moment of opening.
    An error of the text ends the speech: what was heard is delivered, then that error is
    raised as it is. Ending early, in whatever way, ends the reading of the text and
    closes the iterable.

    Cancelling a task inside ``__anext__`` loses nothing when the stream was entered with
    ``async with``; one that was not releases itself.
    """

    _pieces: AsyncIterator[str]
    _feeder: asyncio.Task[None] | None = None
    _text_error: Exception | None = None
    _entered = False
    _text_closed = False
    _read = False  # the iterable gives no more, or is asked no more

    def _read_from(self, pieces: AsyncIterable[str]) -> None:
        self._pieces = aiter(pieces)

    # -- text comes from the iterable --

    async def send(self, text: str, /) -> None:  # noqa: ARG002 - the signature of a session
        """Refused: the iterable says it all."""
        raise LocalProtocolError("the text of this speech comes from its iterable")

    async def flush(self) -> None:
        """Refused: the iterable says it all."""
        raise LocalProtocolError("the text of this speech comes from its iterable")

    async def finish(self) -> None:
        """Refused: the iterable says it all."""
        raise LocalProtocolError("the text of this speech comes from its iterable")

    async def _feed(self, accepted: asyncio.Future[None]) -> None:
        """Read the text while the socket is being opened, and speak it from then on."""
        try:
            while True:
                try:
                    piece = await anext(self._pieces)
                    if not isinstance(piece, str):
                        raise wrong("text", piece, "an async iterable of str")
                    self._check(piece)
                except StopAsyncIteration:
                    self._read = True
                    break
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
                    self._read = True
                    await self._fail_text(error)
                    return
                if not accepted.done():
                    await accepted
                await super().send(piece)
            if not accepted.done():
                await accepted
            await super().finish()
        except VoicekitError:
            pass  # the session is over; its consumer learns why
        finally:
            await self._close_text()

    async def _fail_text(self, error: Exception) -> None:
        """The text broke: what was spoken of it is delivered, then ``error`` is raised."""
        if self._ended:
            return
        self._text_error = error
        if not self._open:
            await super().aclose()  # ends the opening
            return
        self._ended = True
        lease, self._lease = self._lease, None
        if lease is not None:
            self._studio.background().spawn(self._dismiss(lease), "voicekit-speech-goodbye")
        # Not the voice's failure, so the call counts as given up.
        self._shut(asyncio.CancelledError(), clean=False)

    async def _close_text(self) -> None:
        self._text_closed = True
        close = getattr(self._pieces, "aclose", None)
        if close is None:
            return
        try:
            await close()
        except Exception as error:  # noqa: BLE001 - the speech is over; nobody else would say it
            _log.warning("closing the text of a speech failed: %s", type(error).__name__)

    # -- the handle --

    def __await__(self) -> Generator[Any, None, Self]:
        return self._opened().__await__()

    async def __aenter__(self) -> Self:
        self._entered = True
        return await self._opened()

    async def _opened(self) -> Self:
        if self._open or self._closed or self._opening is not None:
            return await super()._opened()
        accepted = asyncio.get_running_loop().create_future()
        # In the opener's own context: the iterable is the caller's code, under its deadline.
        self._feeder = asyncio.create_task(
            self._feed(accepted),
            name="voicekit-speech-feeder",
            context=contextvars.copy_context(),
        )
        try:
            await super()._opened()
        except BaseException as error:
            await self._stop_feeding()
            if isinstance(error, ClosedError) and self._text_error is not None:
                raise self._text_error from None
            raise
        accepted.set_result(None)
        return self

    async def __anext__(self) -> AudioChunk:
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            await self._stop_feeding()
            error, self._text_error = self._text_error, None
            if error is not None and not self._cancelled:
                raise error from None
            raise
        except asyncio.CancelledError:
            if not self._entered and not self._closed:
                await self.aclose()
            raise
        except VoicekitError:
            if self._closed:
                await self._stop_feeding()
            raise

    def _hang_up(self, *, clean: bool) -> None:
        super()._hang_up(clean=clean)
        self._stop_reading()

    async def _part(self) -> None:
        try:
            await super()._part()
        finally:
            await self._stop_feeding()

    async def _stop_feeding(self) -> None:
        """End the reading and wait until the iterable is closed."""
        feeder = self._feeder
        if feeder is not None:
            if feeder is current_task():
                return
            self._stop_reading()
            if not feeder.done():
                await asyncio.wait([feeder])
        if not self._text_closed:  # the feeder never began
            await self._close_text()

    def _stop_reading(self) -> None:
        """Cancel the feeder; once, and only while it reads: closing the text goes undisturbed."""
        feeder = self._feeder
        if feeder is not None and not self._read and feeder is not current_task():
            self._read = True
            feeder.cancel()


def current_task() -> asyncio.Task[Any] | None:
    """The task that this runs in; None where nothing runs any more."""
    try:
        return asyncio.current_task()
    except RuntimeError:  # collected after its loop has gone
        return None
