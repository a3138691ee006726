"""Speech that was made once is not paid for again."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, overload

from voicekit import checks
from voicekit.cache.around import Around, producers
from voicekit.cache.guarded import Guarded
from voicekit.cache.keys import Keys
from voicekit.cache.memory import MemoryStorage
from voicekit.cache.speech_answering import Answering, TimeToLive
from voicekit.cache.speech_playing import CachedSpeech, WholeSpeech
from voicekit.cache.speech_reports import (
    PreloadedPhrase,
    PreloadOutcome,
    PreloadReport,
    SpeechCacheStats,
)
from voicekit.cache.storage import Storage, StorageStats
from voicekit.cache.teller import Teller
from voicekit.checks import no_options, wrong
from voicekit.errors import ClosedError, InvalidArgumentError, VoicekitError
from voicekit.events import Observer
from voicekit.interfaces import SpeechRequest, SpeechSession, SpeechSessions, Synthesizer
from voicekit.speech import AudioChunk, AudioClip

if TYPE_CHECKING:
    from voicekit.sessions import Session
    from voicekit.streams import SpeechStream

__all__ = ["SpeechCache"]

_MOST_ITEM: Final = 16 << 20
"""Bytes; five minutes of 24 kHz PCM. Longer texts are hardly said twice. Source: ours."""


class SpeechCache(Around):
    """A ``Synthesizer`` that keeps what another one has said.

    - What is kept is played back, the first audio within a tenth of a millisecond from memory.
    - What is being made is shared: of all who ask for it meanwhile, one has it made, and every
      other one hears it from the beginning, at once what is there and then as it comes. When
      that one leaves, it goes on for the others; when the last one leaves, it ends.
    - What was made whole is kept for ``ttl`` seconds, with its words and characters. What
      broke off, was cancelled, resumed, or is larger than ``most_item`` is not.
    - Trouble with the storage is a miss and an event, never an error or a delay of more than
      ``storage_timeout``.

    An entry is found by a keyed digest of everything that changes the sound (the request's
    ``identity``), the format, and where the synthesizer is. Of several members, what one of
    them has made is kept as its own: an answer of the best member is played if there is one,
    else one of the next.

    ``synthesize`` shares with ``stream_speech``, and so goes the same way; only a format that
    cannot be streamed is asked for whole. Text from an async iterable, and ``open_speech``,
    are passed on as they are.

    Belongs to one event loop, as the synthesizer does.

    Args:
        inner: Who speaks.
        storage: Where it is kept; None is a ``MemoryStorage`` of its own, closed with it. One
            that is given is the caller's to close.
        ttl: Seconds, or a function of the request and the clip; None from it is not kept.
        scope: Keeps apart what looks alike and is not, such as two servers with voices of
            the same name behind one address, or two tenants.
        secret: What keys are made with; needed for a storage that processes share.
        most_item: Bytes of audio; what is longer is played as it comes, and not kept.
        storage_timeout: Seconds that reading from the storage may take.
        close: Whether closing this closes ``inner``.
        observers: See ``CacheAnswered`` and ``CacheStored``; the calls themselves are
            the inner's, whose observers see them.

    Raises:
        InvalidArgumentError: An argument makes no sense.

    Example:
        >>> async with SpeechCache(ElevenLabsClient(voice="…")) as tts:
        ...     await tts.preload(["One moment, please."])
        ...     clip = await tts.synthesize("One moment, please.")   # free
    """

    _inner: Synthesizer

    def __new__(cls, inner: Synthesizer, **_options: Any) -> Self:  # noqa: D102
        # Whoever looks for SpeechSessions must find them exactly where the inner has them.
        if cls is SpeechCache and isinstance(inner, SpeechSessions):
            return object.__new__(_CacheWithSessions)  # type: ignore[return-value]
        return object.__new__(cls)

    def __init__(
        self,
        inner: Synthesizer,
        *,
        storage: Storage | None = None,
        ttl: float | TimeToLive = 86_400.0,
        scope: str = "",
        secret: str | bytes | None = None,
        most_item: int = _MOST_ITEM,
        storage_timeout: float = 0.02,
        close: bool = True,
        observers: Sequence[Observer] = (),
    ) -> None:
        _check_inner(inner)
        if not callable(ttl) and (not checks.is_number(ttl) or not ttl > 0):
            raise wrong("ttl", ttl, "seconds > 0, or a function of request and clip")
        if not isinstance(scope, str):
            raise wrong("scope", scope, "a str")
        self._inner = inner
        checks.integer(1)("most_item", most_item)
        self._close = close
        # A storage that is given is its giver's to close.
        self._own = MemoryStorage() if storage is None else None
        kept: Storage = storage if storage is not None else self._own  # type: ignore[assignment]
        self._answers = Answering(
            self.provider,
            Guarded(kept, timeout=storage_timeout),
            Keys("speech", secret, storage=kept),
            scope=scope,
            producers=partial(producers, inner),
            ttl=ttl,
            most_item=most_item,
            teller=Teller("speech", self.provider, observers),
        )
        self._closed = False

    # -- speaking --

    def request(self, text: str, /, **options: Any) -> SpeechRequest:
        """The inner's own; see there.

        Raises:
            InvalidArgumentError: Naming the argument, what was given and what is allowed.
        """
        return self._inner.request(text, **options)

    @overload
    def stream_speech(self, text: str | SpeechRequest, /, **options: Any) -> SpeechStream: ...

    @overload
    def stream_speech(
        self, text: str | AsyncIterable[str] | SpeechRequest, /, **options: Any
    ) -> SpeechStream | SpeechSession: ...

    def stream_speech(
        self, text: str | AsyncIterable[str] | SpeechRequest, /, **options: Any
    ) -> SpeechStream | SpeechSession:
        """Speech as it is made, or was. No I/O before the handle is opened.

        Text from an async iterable goes to the inner as it is.

        Raises:
            InvalidArgumentError: The inner refuses it.
            ClosedError: The cache is closed.
        """
        self._check_open()
        if isinstance(text, AsyncIterable):
            handle = self._inner.stream_speech(text, **options)
            self._answers.bypassed("stream_speech", "text_stream")
            return handle
        request = self._request_of(text, options)
        # Made at once, since whoever refuses is to refuse now.
        handle = self._inner.stream_speech(request)
        return self._answers.handle(request, "stream_speech", lambda: handle)

    async def synthesize(self, text: str | SpeechRequest, /, **options: Any) -> AudioClip:
        """The whole speech as one clip; ``clip.cache`` says where it came from.

        It is streamed, so the limits of a stream hold.

        Raises:
            InvalidArgumentError: The inner refuses it.
            StreamInterruptedError: It broke off after its first audio.
            VoicekitError: It failed before.
        """
        self._check_open()
        return await self._whole(self._request_of(text, options)).clip()

    def _whole(self, request: SpeechRequest) -> CachedSpeech:
        try:
            handle: Any = self._inner.stream_speech(request)
        except InvalidArgumentError:  # a format that is only given whole, or its own refusal
            handle = WholeSpeech(self._inner, request)

        def make() -> Any:
            # What this caller gets he gets at the end: one that is resumed may start afresh.
            if (parts := getattr(handle, "_parts", None)) is not None:
                parts.gather()
            return handle

        return self._answers.handle(request, "synthesize", make)

    async def preload(
        self,
        phrases: Iterable[str | SpeechRequest],
        /,
        *,
        concurrency: int = 4,
        **options: Any,
    ) -> PreloadReport:
        """Have these phrases there before somebody asks for them.

        What is there already costs nothing; equal phrases are one. A phrase that fails is in
        the report, and the others go on. Cancelling ends what is under way; what is there
        stays.

        Args:
            phrases: Texts, or finished requests.
            concurrency: How many at a time; no more than the provider allows.
            **options: For all of them.

        Raises:
            InvalidArgumentError: A phrase is refused; before any of them is asked for.
            ClosedError: The cache is closed.
        """
        self._check_open()
        checks.integer(1)("concurrency", concurrency)
        began = time.monotonic()
        waiting: dict[str, tuple[int, SpeechRequest]] = {}
        for index, phrase in enumerate(phrases):
            request = self._request_of(phrase, options if isinstance(phrase, str) else {})
            flight = self._answers.asked(request).flight
            waiting.setdefault(flight, (index, request))
        queue = iter(list(waiting.values()))
        done: list[PreloadedPhrase] = []

        async def work() -> None:
            for index, request in queue:
                done.append(await self._preloaded(index, request))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(waiting))):
                group.create_task(work(), name="voicekit-preload")
        done.sort(key=lambda each: each.index)
        return PreloadReport(phrases=tuple(done), elapsed=time.monotonic() - began)

    async def _preloaded(self, index: int, request: SpeechRequest) -> PreloadedPhrase:
        outcome: PreloadOutcome = "present"
        error: VoicekitError | None = None
        if not isinstance(await self._answers.find(self._answers.asked(request)), tuple):
            speech = self._whole(request)
            try:
                async with speech:
                    while await speech.take():
                        pass
                outcome = "made" if await speech.kept() else "unstored"
            except VoicekitError as failure:
                outcome, error = "failed", failure
        return PreloadedPhrase(
            index=index, outcome=outcome, characters=len(request.text), error=error
        )

    # -- lifecycle --

    async def aclose(self) -> None:
        """End what is being made, and close the inner unless told otherwise; may be called twice.

        What has been made is stored first, which takes 2 s at most. Who listens to what is
        being made gets a ``ClosedError``.
        """
        self._closed = True
        try:
            await self._answers.aclose()
            if self._own is not None:
                await self._own.aclose()
        finally:
            if self._close:
                await self._inner.aclose()

    # -- evidence --

    @property
    def provider(self) -> str:
        """The inner's name."""
        named = getattr(self._inner, "provider", None)
        return named if isinstance(named, str) and named else type(self._inner).__name__.lower()

    def stats(self) -> SpeechCacheStats:
        """A look at it; no I/O."""
        storage: StorageStats | None = None
        try:
            storage = self._answers.storage.storage.stats()
        except Exception:  # noqa: BLE001 - a look never fails
            storage = None
        return SpeechCacheStats(
            **self._answers.counts,
            storage_failures=self._answers.storage.failures,
            storage=storage,
        )

    def __repr__(self) -> str:
        return f"SpeechCache({self._inner!r})"

    # -- parts --

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the cache is closed")

    def _request_of(self, text: Any, options: Mapping[str, Any]) -> SpeechRequest:
        if isinstance(text, str):
            return self._inner.request(text, **options)
        if not hasattr(type(text), "identity") and not hasattr(text, "identity"):
            raise wrong("text", text, "a str, an async iterable of str, or a request")
        no_options(options, allowed="in request()")
        request: SpeechRequest = text
        return request


class _CacheWithSessions(SpeechCache):
    """The same, around one that has sessions; these are passed on as they are."""

    def open_speech(self, **options: Any) -> Session[AudioChunk]:
        """The inner's own; see there. Nothing of it is kept.

        Raises:
            InvalidArgumentError: The inner refuses it.
            ClosedError: The cache is closed.
        """
        self._check_open()
        speaks: Any = self._inner
        session: Session[AudioChunk] = speaks.open_speech(**options)
        self._answers.bypassed("open_speech", "session")
        return session


def _check_inner(inner: object) -> None:
    """Refuse what cannot speak, and a client whose ``request`` is of another role.

    Raises:
        InvalidArgumentError: As it says.
    """
    if isinstance(inner, type) or not isinstance(inner, Synthesizer):
        raise wrong("inner", inner, "a Synthesizer")
    try:
        subject = next(iter(inspect.signature(inner.request).parameters), "")
    except (TypeError, ValueError):
        return
    if subject != "text" and callable(getattr(inner, "as_synthesizer", None)):
        raise InvalidArgumentError(
            f"its request() is of {subject}",
            argument="inner",
            allowed="its as_synthesizer()",
        )


if TYPE_CHECKING:
    _speaks: type[Synthesizer] = SpeechCache
    _converses: type[SpeechSessions] = _CacheWithSessions
