"""Speech from a cache, as the handle that every ``Synthesizer`` returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from voicekit.cache.encoding import StoredSpeech
from voicekit.cache.follower import SOME, Follower
from voicekit.cache.source import HandleSource
from voicekit.errors import VoicekitError
from voicekit.speech import AudioChunk, AudioClip, AudioFormat, Usage
from voicekit.streams import Opened, SpeechParts, SpeechStream

if TYPE_CHECKING:
    from voicekit.cache.tape import Tape
    from voicekit.interfaces import SpeechRequest, Synthesizer
    from voicekit.operation import Call


class Source:
    """Where a speech comes from, as its handle sees it. Holds nothing of the handle.

    To the handle it also says of which segments the speech is made.
    """

    def __init__(self, asked: SpeechRequest) -> None:
        self.asked = asked
        self._told: Any = None
        self._produced: SpeechRequest | None = None
        self._tape: Tape[AudioChunk] | None = None

    def stored(self, speech: StoredSpeech, produced: SpeechRequest) -> None:
        """It is ``speech``, the answer to ``produced``."""
        self._told, self._produced = _Told(speech.format, speech.member), produced

    def follows(self, follower: Follower[AudioChunk]) -> None:
        """It is being made, and has begun."""
        self._tape = follower.tape
        self._told = follower.tape.handle

    @property
    def produced(self) -> SpeechRequest:
        """The request that it is the answer to, as far as that is known."""
        return self._produced or getattr(self._told, "request", None) or self.asked

    def said(self, name: str) -> Any:
        """What the upstream says; None where it does not."""
        return getattr(self._told, name, None)

    async def kept(self) -> bool:
        """Whether it is in the storage now, once that is known."""
        if self._tape is None:
            return self._produced is not None
        await self._tape.finished()
        return self._tape.kept

    # -- as SpeechParts --

    @property
    def resumed(self) -> int:
        """How often it broke off and went on."""
        return int(self.said("resumed") or 0)

    def account(self, delivered: int, /) -> tuple[int, bool]:
        """The first segment of which so many bytes are not all, and whether they hold none."""
        parts: SpeechParts | None = self.said("_parts")
        return (0, not delivered) if parts is None else parts.account(delivered)

    def gather(self) -> None:
        """Others may be listening: it is played as it comes."""


@dataclass(frozen=True, slots=True)
class _Told:
    format: AudioFormat
    member: str | None


class CachedSpeech(SpeechStream):
    """Speech from a cache: kept, being made for another caller, or made for this one.

    ``cache`` says which. One that nobody was asked for has no ``usage``, and ``attempts`` of 0.
    """

    def __init__(
        self,
        open: Callable[[Source], Awaitable[Opened[AudioChunk]]],  # noqa: A002
        source: Source,
    ) -> None:
        super().__init__(
            partial(open, source),
            format=source.asked.format,
            parts=cast("SpeechParts", source),
        )
        self._source = source

    async def _open(self) -> Self:
        await super()._open()
        self.format = audio_format(self._source, self.format)
        return self

    @property
    def request(self) -> SpeechRequest:
        """Of several, the member's own request, which produced it."""
        return self._source.produced

    @property
    def identity(self) -> str:
        """That of the request which produced it. Holds content: never log it."""
        return self.request.identity

    @property
    def member(self) -> str | None:
        """Who made it, of several."""
        return cast("str | None", self._source.said("member"))

    @property
    def usage(self) -> Usage | None:
        """What the provider says it charges; None when it was not asked on this one's behalf."""
        if self._opened is None or self.cache is not None:
            return None
        return cast("Usage | None", self._source.said("usage"))

    async def kept(self) -> bool:
        """Whether it is in the storage now, once that is known."""
        return await self._source.kept()


class Played(HandleSource):
    """What was stored; nothing of it waits."""

    headers: Mapping[str, str] = {}
    connection = None
    cache = "hit"

    def __init__(self, stored: StoredSpeech) -> None:
        self.progress = 0
        self._chunks = stored.chunks
        self._stored: StoredSpeech | None = stored
        self._error: VoicekitError | None = None

    def begun(self, call: Call) -> Opened[AudioChunk]:
        """With the first chunk in hand; the others are made when somebody wants them."""
        call.attempts = 0
        call.committed()
        return self.opened(call, self._play(1))

    def _play(self, end: int) -> Sequence[AudioChunk]:
        if self._stored is None:
            return ()
        chunks = self._stored.play(self.progress, end)
        self.progress = end
        if self.done:
            self._stored = None
        return chunks

    async def chunk(self) -> bytes:
        """There is always more, or the end."""
        if self._error is not None:
            raise self._error
        return b"" if self.done else SOME

    def interrupt(self, error: VoicekitError) -> None:
        """Make the next ``chunk()`` raise ``error``."""
        self._error = error
        self._stored = None

    def abort(self) -> None:
        """It holds the audio no more."""
        self._stored = None

    @property
    def done(self) -> bool:
        """Whether all of it was handed out."""
        return self.progress == self._chunks

    def feed(self, _data: bytes, /) -> Sequence[AudioChunk]:
        """The rest."""
        return self._play(self._chunks)


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


def audio_format(source: Any, otherwise: AudioFormat) -> AudioFormat:
    """What ``source`` says its audio is."""
    told = source.said("format") if isinstance(source, Source) else getattr(source, "format", None)
    return told if isinstance(told, AudioFormat) else otherwise
