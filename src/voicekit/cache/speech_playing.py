"""Speech from a cache, as the handle that every ``Synthesizer`` returns."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, cast

from voicekit.cache.encoding import StoredSpeech
from voicekit.cache.follower import SOME, Follower
from voicekit.errors import VoicekitError
from voicekit.speech import AudioChunk, AudioClip, AudioFormat, Usage
from voicekit.streams import Opened, SpeechStream

if TYPE_CHECKING:
    from voicekit.cache.tape import Tape
    from voicekit.interfaces import SpeechRequest, Synthesizer
    from voicekit.operation import Call
    from voicekit.streams import SpeechParts
    from voicekit.transport.interfaces import Response

__all__ = ["CachedSpeech", "Played", "SharedParts", "WholeSpeech", "read_chunks"]

_NONE: Final[Mapping[str, str]] = {}


class CachedSpeech(SpeechStream):
    """Speech from a cache: kept, being made for another caller, or made for this one.

    ``cache`` says which. One that nobody was asked for has no ``connection``, no ``usage``,
    and ``attempts`` of 0.
    """

    def __init__(
        self,
        open: Callable[[CachedSpeech], Awaitable[Opened[AudioChunk]]],  # noqa: A002
        asked: SpeechRequest,
    ) -> None:
        super().__init__(lambda: open(self), format=asked.format)
        self._asked = asked
        self._source: Any = None
        self._produced: SpeechRequest | None = None
        self._tape: Tape[AudioChunk] | None = None

    def plays(self, source: Any, produced: SpeechRequest | None) -> None:
        """Where it comes from, for the cache that opens it.

        Args:
            source: The upstream handle, or what was stored; says ``format`` and ``member``.
            produced: The request that it is the answer to; None is what the source says.
        """
        self._source = source
        self._produced = produced
        self.format = audio_format(source, self.format)

    @property
    def request(self) -> SpeechRequest:
        """Of several, the member's own request, which produced it."""
        own = self._produced or getattr(self._source, "request", None)
        return self._asked if own is None else cast("SpeechRequest", own)

    @property
    def identity(self) -> str:
        """That of the request which produced it. Holds content: never log it."""
        return self.request.identity

    @property
    def member(self) -> str | None:
        """Who made it, of several."""
        return cast("str | None", getattr(self._source, "member", None))

    @property
    def usage(self) -> Usage | None:
        """What the provider says it charges; None when it was not asked on this one's behalf."""
        if self._opened is None or self.cache is not None:
            return None
        return cast("Usage | None", getattr(self._source, "usage", None))

    def follows(self, follower: Follower[AudioChunk]) -> None:
        """It is being made: account for what breaks as the upstream's own handle would."""
        self._tape = follower.tape
        self._parts = cast("SpeechParts", SharedParts(follower))
        self.plays(follower.tape.handle, None)

    async def kept(self) -> bool:
        """Whether it is in the storage now, once that is known."""
        if self._tape is None:
            return self.cache == "hit"
        await self._tape.finished()
        return self._tape.kept


class SharedParts:
    """Of which segments a speech is made that several listen to."""

    def __init__(self, follower: Follower[AudioChunk]) -> None:
        self._follower = follower

    @property
    def _handle(self) -> Any:
        return self._follower.tape.handle

    @property
    def resumed(self) -> int:
        """How often it broke off and went on."""
        return int(getattr(self._handle, "resumed", 0))

    def account(self, delivered: int, /) -> tuple[int, bool]:
        """The first segment of which so many bytes are not all, and whether they hold none."""
        parts = getattr(self._handle, "_parts", None)
        if parts is None:
            return 0, not delivered
        segment, resumable = parts.account(delivered)
        return int(segment), bool(resumable)

    def gather(self) -> None:
        """Others may be listening: it is played as it comes."""


class Played:
    """What was stored; to a handle it is a response and its decoder. Nothing of it waits."""

    status = 200
    delimited = True
    headers = _NONE
    connection = None
    cache = "hit"

    def __init__(self, stored: StoredSpeech) -> None:
        self.progress = 0
        self._stored = stored
        self._error: VoicekitError | None = None

    def opened(self, call: Call) -> Opened[AudioChunk]:
        """With the first chunk in hand; the others are made when somebody wants them."""
        call.attempts = 0
        call.committed()
        first = deque(self._stored.play(0, 1))
        self.progress = 1
        return Opened(call, cast("Response", self), cast("Any", self), first)

    async def chunk(self) -> bytes:
        """There is always more, or the end."""
        if self._error is not None:
            raise self._error
        return b"" if self.done else SOME

    def interrupt(self, error: VoicekitError) -> None:
        """Make the next ``chunk()`` raise ``error``."""
        self._error = error

    def abort(self) -> None:
        """Nothing is held."""

    def release(self) -> None:
        """Nothing is held."""

    @property
    def done(self) -> bool:
        """Whether all of it was handed out."""
        return self.progress == self._stored.chunks

    def feed(self, _data: bytes, /) -> Sequence[AudioChunk]:
        """The rest."""
        rest = self._stored.play(self.progress, self._stored.chunks)
        self.progress = self._stored.chunks
        return rest

    def eof(self, *, delimited: bool) -> Sequence[AudioChunk]:  # noqa: ARG002 - a decoder's
        """The end."""
        return ()


class WholeSpeech:
    """A handle on what is only made whole: one chunk, when all of it is there."""

    def __init__(self, inner: Synthesizer, request: SpeechRequest) -> None:
        self._inner = inner
        self._request = request
        self._clip: AudioClip | None = None
        self._taken = False

    async def __aenter__(self) -> Self:
        self._clip = await self._inner.synthesize(self._request)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """It is over."""

    async def take(self) -> list[AudioChunk]:
        """All of it, once."""
        clip = self._clip
        if clip is None or self._taken:
            return []
        self._taken = True
        return [AudioChunk(clip.data, clip.format, clip.words, clip.characters)]

    def __getattr__(self, name: str) -> Any:
        clip = self.__dict__.get("_clip")
        if clip is None or name.startswith("_"):
            msg = f"{type(self).__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(clip, name)


async def read_chunks(handle: Any) -> Sequence[AudioChunk]:
    """Everything that has arrived at any synthesizer's handle; empty at the end."""
    take = getattr(handle, "take", None)
    if take is not None:
        chunks: list[AudioChunk] = await take()
        return chunks
    try:
        chunk = await anext(handle)
    except StopAsyncIteration:
        return ()
    return (chunk,)


def audio_format(handle: Any, otherwise: AudioFormat) -> AudioFormat:
    """What ``handle`` says its audio is."""
    told = getattr(handle, "format", None)
    return told if isinstance(told, AudioFormat) else otherwise
