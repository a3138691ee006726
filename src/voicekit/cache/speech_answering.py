"""How a speech is answered: from the storage, from what is being made, or by having it made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from voicekit.cache.around import places_of
from voicekit.cache.encoding import StoredSpeech, decoded, encoded
from voicekit.cache.flights import Flights
from voicekit.cache.follower import Follower
from voicekit.cache.guarded import Guarded, StorageTrouble
from voicekit.cache.keys import Keys
from voicekit.cache.rules import lifetime
from voicekit.cache.speech_playing import CachedSpeech, Played, Source, audio_format, read_chunks
from voicekit.cache.tape import Tape
from voicekit.cache.teller import COUNTED, Teller
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import PLAIN
from voicekit.speech import AudioChunk, AudioClip
from voicekit.tasks import Background

if TYPE_CHECKING:
    from voicekit.interfaces import SpeechRequest
    from voicekit.streams import Opened

TimeToLive = Callable[["SpeechRequest", AudioClip], "float | None"]
"""Seconds for which a speech is kept, given what was asked and what was made; None is not."""

_UNLIMITED: Final = Limits(connect=None)
"""What makes it has limits of its own; a caller's ``deadline()`` holds all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One speech that somebody wants.

    Attributes:
        request: As it was asked.
        by_key: Whose answers will do, best first, by the keys under which they are stored: its
            own, or those of the members' own requests.
    """

    request: SpeechRequest
    by_key: Mapping[str, SpeechRequest] = field(repr=False)

    @property
    def flight(self) -> str:
        """Under which it is being made: all of these together."""
        return "+".join(self.by_key)


class Answering:
    """Answers speeches; what callers see of it is ``SpeechCache``.

    Attributes:
        counts: What it has done, by the names of ``SpeechCacheStats``.
    """

    def __init__(
        self,
        provider: str,
        storage: Guarded,
        keys: Keys,
        *,
        scope: str,
        producers: Callable[[SpeechRequest], Sequence[tuple[SpeechRequest, str]]],
        ttl: float | TimeToLive,
        most_item: int,
        teller: Teller,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.storage = storage
        self._provider = provider
        self._keys = keys
        self._scope = scope
        self._producers = producers
        self._ttl = ttl
        self._most_item = most_item
        self._teller = teller
        self._flights: Flights[AudioChunk] = Flights()
        self._background = Background()
        self._operations = {
            name: Operation(
                provider=provider, name=name, kind=OperationClass.COMPUTE, limits=_UNLIMITED
            )
            for name in ("stream_speech", "synthesize")
        }

    def asked(self, request: SpeechRequest) -> Asked:
        """What ``request`` wants, with the keys of it."""
        by_key: dict[str, SpeechRequest] = {}
        found = self._producers(request)
        places = places_of(found)
        for each, _ in found:
            by_key.setdefault(self._key(each.identity, places, each.format.name), each)
        return Asked(request=request, by_key=by_key)

    def _key(self, identity: str, places: Mapping[str, Sequence[str]], format_name: str) -> str:
        where = " ".join(places.get(identity, ()))
        return self._keys.of(self._scope, where, identity, format_name)

    def handle(
        self, request: SpeechRequest, operation: str, make: Callable[[], Any]
    ) -> CachedSpeech:
        """The handle of a caller of ``operation``. No I/O before it is opened.

        ``make`` makes the upstream handle, if it comes to that; it is called at most once.
        """
        return CachedSpeech(partial(self._open, operation, make), Source(request))

    def bypassed(self, operation: str, reason: str) -> None:
        """Something was asked for that is not for a cache."""
        self.counts["bypasses"] += 1
        self._teller.answered(operation, "bypass", reason)

    async def find(self, asked: Asked) -> tuple[SpeechRequest, StoredSpeech] | str | None:
        """What is kept, and the request that it is the answer to; else None, or why not."""
        try:
            found = await self.storage.get(*asked.by_key)
        except StorageTrouble:
            return "storage"
        if found is None:
            return None
        key, data = found
        stored = decoded(data)
        produced = asked.by_key[key]
        if stored is None or stored.format != produced.format:
            return "garbage"
        return produced, stored

    async def aclose(self) -> None:
        """Let what is made be stored, which is bounded, and end what is still being made."""
        for tape in self._flights:
            if tape.whole:
                await tape.finished()
        await self._background.aclose()

    # -- opening --

    async def _open(
        self, operation: str, make: Callable[[], Any], source: Source
    ) -> Opened[AudioChunk]:
        call = Call(self._operations[operation])
        asked = self.asked(source.asked)
        with self._flights.looking(asked.flight):
            tape = self._flights.joinable(asked.flight)
            reason = None
            if tape is None:
                found = await self._looked(asked, call)
                if isinstance(found, tuple):
                    produced, stored = found
                    self._count(asked, call, "hit", None, stored.size)
                    source.stored(stored, produced)
                    return Played(stored).begun(call)
                reason = found
                tape = self._flights.joinable(asked.flight)
            if tape is None:
                tape = self._flights.begin(asked.flight, partial(self._tape, asked, make))
            follower = Follower(tape)
            tape.join(follower)
        size = tape.size if follower.complete else 0
        self._count(asked, call, follower.cache or "miss", reason, size)
        opened = await tape.open(call, follower)
        source.follows(follower)
        return opened

    async def _looked(
        self, asked: Asked, call: Call
    ) -> tuple[SpeechRequest, StoredSpeech] | str | None:
        if call.deadline_at is None:
            return await self.find(asked)
        return await PLAIN.open(call, lambda _: self.find(asked))

    def _count(
        self, asked: Asked, call: Call, result: str, reason: str | None, size: int = 0
    ) -> None:
        self.counts[COUNTED[result]] += 1
        if result != "miss":
            self.counts["characters_saved"] += len(asked.request.text)
        self._teller.answered(call.operation.name, result, reason, size=size, call=call.id)

    # -- making --

    def _tape(
        self, asked: Asked, make: Callable[[], Any], done: Callable[[Tape[AudioChunk]], None]
    ) -> Tape[AudioChunk]:
        return Tape(
            make,
            self._background,
            read=read_chunks,
            size_of=len,
            most=self._most_item,
            ended=partial(self._made, asked),
            done=done,
            name="voicekit-speech-cache",
        )

    async def _made(self, asked: Asked, tape: Tape[AudioChunk]) -> None:
        """It has come to its own end: keep it."""
        reason, ttl, size = await self._keep(asked, tape)
        tape.kept = reason is None
        self.counts["stored" if tape.kept else "unstored"] += 1
        self._teller.stored("stream_speech", reason, size=size, ttl=ttl)

    async def _keep(self, asked: Asked, tape: Tape[AudioChunk]) -> tuple[str | None, float, int]:
        """Why it is not kept, if it is not; for how long; its bytes."""
        handle, chunks, size = tape.handle, tape.items, tape.size
        request: SpeechRequest = getattr(handle, "request", None) or asked.request
        made_of = audio_format(handle, request.format)
        if tape.overflowed:
            return "size", 0.0, size
        if not size:
            return "empty", 0.0, size
        if size % made_of.frame_bytes:
            return "truncated", 0.0, size
        if getattr(handle, "resumed", 0):
            return "resumed", 0.0, size  # a seam is heard each time it is played
        told: object = self._ttl
        if callable(told):
            try:
                told = told(request, _clip(chunks, made_of))
            except Exception as error:  # noqa: BLE001 - the caller's own function
                return type(error).__name__, 0.0, size
        ttl = lifetime(told)
        if not ttl:
            return "ttl", 0.0, size
        identity = getattr(handle, "identity", None) or request.identity
        member = getattr(handle, "member", None)
        data = encoded(chunks, made_of, member=member if isinstance(member, str) else None)
        places = places_of(self._producers(asked.request))
        try:
            await self.storage.put(self._key(identity, places, made_of.name), data, ttl)
        except StorageTrouble:
            return "storage", 0.0, size
        return None, ttl, size


def _clip(chunks: Sequence[AudioChunk], made_of: Any) -> AudioClip:
    return AudioClip(
        data=b"".join(chunks),
        format=made_of,
        words=tuple(word for each in chunks for word in each.words),
        characters=tuple(sign for each in chunks for sign in each.characters),
    )
