"""``ResponseCache``: answers of a chat model or of an agent that were given before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack, overload

from voicekit import checks, events
from voicekit.cache.answers import Kept, decoded, encoded
from voicekit.cache.around import Around
from voicekit.cache.guarded import Guarded, StorageTrouble
from voicekit.cache.keys import Keys
from voicekit.cache.memory import MemoryStorage
from voicekit.cache.normalize import normalized
from voicekit.cache.rules import LONGEST_TTL, NotCached, Question, Scope, canonical, lifetime
from voicekit.cache.storage import Storage, StorageStats
from voicekit.cache.teller import COUNTED, Teller
from voicekit.checks import number, wrong
from voicekit.errors import ClosedError
from voicekit.interfaces import Agent, ChatModel
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.tasks import Background

if TYPE_CHECKING:
    from voicekit.cache.response_agent import CachedAgent
    from voicekit.cache.response_chat import CachedChat

__all__ = ["Question", "ResponseCache", "ResponseCacheStats"]

_log = logging.getLogger("voicekit.cache")

DEFAULT_TTL: Final = 3600.0
_MEMORY: Final = 16 << 20
"""Bytes of the storage that a cache makes itself: some ten thousand answers."""

Ttl = float | Callable[[Question, Any], float]
Normalize = Callable[[str], str]
Context = Callable[[Question], Any]
Store = Callable[[Question, Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseCacheStats:
    """A look at a cache of answers.

    Attributes:
        hits: Questions that were answered from the storage.
        joined: Those that got the answer of another caller's question under way.
        misses: Those that were asked, though they might have been there.
        bypasses: Those that are not to be cached.
        stored: Answers that were kept.
        calls_saved: Calls that were not made: hits and joined ones.
        trouble: How often the storage failed.
        storage: A look at that.
    """

    hits: int
    joined: int
    misses: int
    bypasses: int
    stored: int
    calls_saved: int
    trouble: int
    storage: StorageStats


class CacheOptions(TypedDict, total=False):
    """The options of a cache of answers; see ``ResponseCache``."""

    storage: Storage | None
    ttl: Ttl
    scope: Scope | None
    normalize: Normalize | None
    context: Context | None
    store: Store | None
    close: bool
    secret: str | bytes | None
    storage_timeout: float
    observers: Sequence[events.Observer]


class AgentCacheOptions(CacheOptions, total=False):
    """Those around an agent."""

    history_variable: str | None


class ResponseCache(Around):
    """A ``ChatModel`` around a ``ChatModel``, an ``Agent`` around an ``Agent``, with a memory.

    A question that was answered before is answered again without a call. The same question is
    one whose normalised text, scope, and everything else of the request are equal. Only first
    turns are cached, which no earlier turn can give another meaning, and only answers that are
    words and nothing else; what else is asked goes to ``inner`` as it is. See
    ``docs/how-to/cache-answers.md`` for each of the rules.

    While it is being answered, a question is asked once: whoever asks it meanwhile joins. A
    storage that fails, hangs or is too small is a miss and an event, never an error.

    Args:
        inner: What answers. A ``fallback`` is fine: an entry is stored under the request of the
            member that gave the answer.
        storage: Where answers are kept; None makes a ``MemoryStorage`` of 16 MiB, closed with
            the cache. Another one is its owner's.
        ttl: Seconds for which an answer is kept, or a function of question and answer that
            returns them; 0 keeps nothing.
        scope: Who may share answers: a mapping (``{"tenant": "acme", "language": "it"}``), or
            a function of the question that returns one. Names and values are part of the key.
            At an agent, variables may be sent only if they are named here.
        normalize: Makes one spelling of many; see ``voicekit.cache.normalize``.
        context: A function of the question that returns what of the earlier turns (or of
            anything else) the answer depends on, as JSON can hold it; that is part of the key,
            and questions after the first are cached as well. None from it: this one is not.
        store: A function of question and answer that says whether the answer may be kept.
        history_variable: The agent's variable in which it gets, with its next message, what
            was answered from the cache; without one, that stands before the message. At most
            the last 20 exchanges; without ``context=`` there is only one.
        close: Whether closing the cache closes ``inner``.
        secret: Keys the names of the entries; the same in all processes that share a storage.
        storage_timeout: Seconds that looking into the storage may take.
        observers: They get ``CacheAnswered`` and ``CacheStored``.

    Raises:
        InvalidArgumentError: An argument makes no sense.

    Example:
        >>> async with ResponseCache(OpenAIClient(model="gpt-5.5")) as llm:
        ...     first = await llm.chat("When are you open?")
        ...     again = await llm.chat("when are you open")
        >>> again.cache
        'hit'
    """

    @overload
    def __new__(cls, inner: ChatModel, /, **options: Unpack[CacheOptions]) -> CachedChat: ...
    @overload
    def __new__(cls, inner: Agent, /, **options: Unpack[AgentCacheOptions]) -> CachedAgent: ...

    def __new__(cls, inner: Any, /, **options: Any) -> Any:  # noqa: ARG004 - for __init__
        """The kind that ``inner`` is."""
        from voicekit.cache.response_agent import CachedAgent
        from voicekit.cache.response_chat import CachedChat

        chats, agents = isinstance(inner, ChatModel), isinstance(inner, Agent)
        if chats is agents:
            raise wrong("inner", inner, "a ChatModel or an Agent")
        return object.__new__(CachedChat if chats else CachedAgent)

    def _set_up(
        self,
        inner: Any,
        namespace: str,
        *,
        storage: Storage | None = None,
        ttl: Ttl = DEFAULT_TTL,
        scope: Scope | None = None,
        normalize: Normalize | None = None,
        context: Context | None = None,
        store: Store | None = None,
        close: bool = True,
        secret: str | bytes | None = None,
        storage_timeout: float = 0.02,
        observers: Sequence[events.Observer] = (),
    ) -> None:
        for name, value in (("normalize", normalize), ("context", context), ("store", store)):
            if value is not None and not callable(value):
                raise wrong(name, value, "a function, or None")
        if not callable(ttl):
            number(0.0, LONGEST_TTL)("ttl", ttl)
        self._inner = inner
        self._provider = str(getattr(inner, "provider", type(inner).__name__))
        self._own_storage = storage is None
        self._storage = MemoryStorage(_MEMORY) if storage is None else storage
        self._guarded = Guarded(self._storage, timeout=storage_timeout)
        self._keys = Keys(namespace, secret, storage=self._storage)
        self._ttl = ttl
        self._scope = _checked_scope(scope)
        self._normalize = normalize or normalized
        self._context = context
        self._may_store = store
        self._close = checks.flag("close", close)
        self._teller = Teller("response", self._provider, observers)
        self._background = Background()
        self._closed = False
        self._counts = dict.fromkeys(("hits", "joined", "misses", "bypasses", "stored"), 0)
        self._trouble = 0

    def _unlimited(self, kind: OperationClass, *names: str) -> dict[str, Operation]:
        """What is asked of ``inner``, which has limits of its own."""
        limits = Limits(connect=None)
        return {
            name: Operation(provider=self._provider, name=name, kind=kind, limits=limits)
            for name in names
        }

    # -- the functions of its user --

    def _asked(self, reason: str, ask: Callable[..., Any], *args: Any) -> Any:
        """What a user's function says; one that fails is no reason to fail the call.

        Raises:
            NotCached: It failed.
        """
        try:
            return ask(*args)
        except NotCached:
            raise
        except Exception as error:
            _log.warning("%s= of a cache failed: %s", reason, type(error).__name__)
            raise NotCached(reason) from error

    def _spelled(self, text: str) -> str:
        spelled = self._asked("normalize", self._normalize, text)
        if not isinstance(spelled, str) or not spelled.strip():
            raise NotCached("normalize")
        return spelled

    def _scope_of(self, question: Question) -> Mapping[str, Any]:
        scope: Any = self._scope
        if callable(scope):
            scope = self._asked("scope", scope, question)
        if not isinstance(scope, Mapping):
            raise NotCached("scope")
        return scope

    def _parts(self, question: Question, scope: Mapping[str, Any]) -> tuple[str, str]:
        """Scope and context, as they are parts of a key.

        Raises:
            NotCached: ``"turns"``: it is no first turn, and no context was given.
        """
        context = None
        if self._context is not None:
            context = self._asked("context", self._context, question)
            if context is None:
                raise NotCached("context")
        elif question.turns:
            raise NotCached("turns")
        return canonical(dict(scope), "scope"), canonical(context, "context")

    # -- looking and keeping --

    async def _find(self, keys: Sequence[str]) -> tuple[Kept | None, int, str | None]:
        """The first that is there, its size, and why there might have been one."""
        try:
            found = await self._guarded.get(*keys)
        except StorageTrouble:
            self._trouble += 1
            return None, 0, "storage"
        kept = None if found is None else decoded(found[1])
        if found is None or kept is None:
            return None, 0, None
        return kept, len(found[1]), None

    def _agreed(self, question: Question, answer: Any) -> tuple[str | None, float]:
        """Why an answer is not to be kept, which no rule of ours refuses, and for how long."""
        store, ttl = self._may_store, self._ttl
        try:
            if store is not None and not self._asked("store", store, question, answer):
                return "store", 0.0
            if callable(ttl):
                ttl = self._asked("ttl", ttl, question, answer)
        except NotCached as refusal:
            return refusal.reason, 0.0
        seconds = lifetime(ttl)
        return (None, seconds) if seconds else ("ttl", 0.0)

    async def _keep(self, operation: str, key: str, kept: Kept, ttl: float) -> None:
        """Keep it, if the storage can."""
        data = encoded(kept)
        try:
            await self._guarded.put(key, data, ttl)
        except StorageTrouble:
            self._trouble += 1
            self._told_stored(operation, "storage", size=len(data))
        else:
            self._told_stored(operation, None, size=len(data), ttl=ttl)

    # -- telling --

    def _told(self, operation: str, result: str, reason: str | None = None, size: int = 0) -> None:
        self._counts[COUNTED[result]] += 1
        self._teller.answered(operation, result, reason, size=size)

    def _told_stored(
        self, operation: str, reason: str | None, size: int = 0, ttl: float = 0.0
    ) -> None:
        if reason is None:
            self._counts["stored"] += 1
        self._teller.stored(operation, reason, size=size, ttl=ttl)

    # -- lifecycle --

    @property
    def provider(self) -> str:
        """Whose answers they are."""
        return self._provider

    def stats(self) -> ResponseCacheStats:
        """A look at it; no I/O."""
        counts = self._counts
        return ResponseCacheStats(
            **counts,
            calls_saved=counts["hits"] + counts["joined"],
            trouble=self._trouble,
            storage=self._storage.stats(),
        )

    async def aclose(self) -> None:
        """Free everything, and close ``inner`` unless it is somebody else's. Idempotent.

        What is being asked is given up.
        """
        self._closed = True
        async with AsyncExitStack() as stack:
            if self._close:
                stack.push_async_callback(self._inner.aclose)
            if self._own_storage:
                stack.push_async_callback(self._storage.aclose)
            stack.push_async_callback(self._background.aclose)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the cache is closed", provider=self._provider)

    def __repr__(self) -> str:
        return f"ResponseCache({self._inner!r})"


def _checked_scope(scope: Scope | None) -> Scope:
    if scope is None:
        return {}
    if callable(scope):
        return scope
    allowed = "a mapping that JSON can hold, or a function that returns one"
    checks.fields("scope", scope)
    try:
        canonical(dict(scope), "scope")
    except NotCached:
        raise wrong("scope", scope, allowed) from None
    return dict(scope)
