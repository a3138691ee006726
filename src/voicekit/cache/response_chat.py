"""A chat model with a memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from voicekit.cache.answer_tape import (
    AnswerTape,
    Decision,
    TextFollower,
    WholeChat,
    kept_of,
    result_of,
    shared,
)
from voicekit.cache.answers import Kept
from voicekit.cache.around import places_of, producers
from voicekit.cache.flights import Flights
from voicekit.cache.follower import SOME
from voicekit.cache.response import CacheOptions, ResponseCache
from voicekit.cache.response_replies import Replay
from voicekit.cache.rules import (
    NotCached,
    Question,
    acts,
    canonical,
    conversation_of,
    spoken_part,
    unstorable_chat,
)
from voicekit.cache.tape import Tape
from voicekit.checks import no_options
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Call, OperationClass
from voicekit.pipeline import PLAIN
from voicekit.speech import ChatResult
from voicekit.streams import Opened, TextStream

if TYPE_CHECKING:
    from voicekit import interfaces

Messages = str | Sequence[Mapping[str, Any]]

MOST: Final = 1 << 20
"""Bytes of an answer that are kept and shared; 128,000 tokens make about half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedChatRequest:
    """What is asked, and under which names its answer is kept.

    Attributes:
        of: The request of the model itself.
        owner: The cache that made it.
        question: What the rules and their user see of it; None when it is not to be cached.
        names: By the identity of each who may answer: the key of what he answers.
        reason: Why it is not to be cached.
    """

    of: interfaces.ChatRequest = field(repr=False)
    owner: object = field(repr=False, compare=False)
    question: Question | None = field(default=None, repr=False)
    names: Mapping[str, str] = field(default_factory=dict, repr=False)
    reason: str | None = None

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation."""
        return self.of.messages

    @property
    def identity(self) -> str:
        """That of the model's own request. Holds content: never log it."""
        return self.of.identity

    @property
    def keys(self) -> list[str]:
        """Where to look, the first of whom is asked first."""
        return list(dict.fromkeys(self.names.values()))


class CachedChat(ResponseCache):
    """A ``ChatModel`` with a memory; made by ``ResponseCache``."""

    def __init__(self, inner: Any, /, **options: Unpack[CacheOptions]) -> None:
        self._set_up(inner, "chat", **options)
        self._streams: Flights[Any] = Flights()
        self._wholes: Flights[ChatResult] = Flights()
        self._operations = self._unlimited(OperationClass.COMPUTE, "stream_chat", "chat")

    # -- requests --

    def request(self, messages: Messages, /, **options: Any) -> CachedChatRequest:
        """Merge, validate and freeze, as ``inner`` does; no I/O.

        Raises:
            InvalidArgumentError: ``inner`` refuses it.
        """
        asked = self._inner.request(messages, **options)

        def again(other: Sequence[Mapping[str, Any]]) -> interfaces.ChatRequest:
            request: interfaces.ChatRequest = self._inner.request(other, **options)
            return request

        return self._named(asked, again)

    def _named(self, asked: interfaces.ChatRequest, again: Any) -> CachedChatRequest:
        """``asked``, with the names of its answer; without, where a rule says no."""
        try:
            question, names = self._names(asked, again)
        except NotCached as refusal:
            return CachedChatRequest(of=asked, owner=self, reason=refusal.reason)
        return CachedChatRequest(of=asked, owner=self, question=question, names=names)

    def _names(self, asked: interfaces.ChatRequest, again: Any) -> tuple[Question, dict[str, str]]:
        leaves = producers(self._inner, asked)
        if any(acts(leaf.identity) for leaf, _ in leaves):
            raise NotCached("tools")
        leading, before, last = conversation_of(asked.messages)
        text, with_text = spoken_part(last)
        question = Question(text=text, normalized=self._spelled(text), turns=before, request=asked)
        parts = self._parts(question, self._scope_of(question))
        folded = leaves
        if again is not None:
            # Earlier turns are what ``context`` has made of them.
            messages = [*leading, with_text(question.normalized)]
            try:
                folded = producers(self._inner, again(messages))
            except InvalidArgumentError:
                raise NotCached("normalize") from None
        if len(folded) != len(leaves):
            raise NotCached("producer")
        places = places_of(leaves)
        names = {
            leaf.identity: self._keys.of(
                one.identity, canonical(places[leaf.identity], "producer"), *parts
            )
            for (leaf, _), (one, _) in zip(leaves, folded, strict=True)
        }
        return question, names

    def _request_of(
        self, messages: Messages | interfaces.ChatRequest, options: Mapping[str, Any]
    ) -> CachedChatRequest:
        if isinstance(messages, CachedChatRequest):
            if messages.owner is not self:
                raise InvalidArgumentError(
                    "is another cache's", argument="messages", allowed="what request() returned"
                )
            no_options(options, allowed="in request()")
            return messages
        if hasattr(messages, "identity"):
            # The model's own request: its options are not known, its spelling stays as it is.
            no_options(options, allowed="in request()")
            return self._named(cast("interfaces.ChatRequest", messages), None)
        return self.request(messages, **options)

    # -- streams --

    def stream_chat(
        self, messages: Messages | interfaces.ChatRequest, /, **options: Any
    ) -> TextStream:
        """The answer as it is written: by the cache at once, else by ``inner``.

        ``.cache`` says who: ``"hit"``, ``"joined"`` or None. One that leaves early leaves the
        answer to those who joined; when the last one leaves, it is given up and not kept.

        Raises:
            InvalidArgumentError: ``inner`` refuses it.
            VoicekitError: From the handle: as ``inner`` raises it.
        """
        self._check_open()
        request = self._request_of(messages, options)
        if request.question is None:
            self._told("stream_chat", "bypass", request.reason)
            stream: TextStream = self._inner.stream_chat(request.of)
            return stream
        return TextStream(partial(self._open, request, request.question))

    async def _open(self, request: CachedChatRequest, question: Question) -> Opened[Any]:
        self._check_open()
        call = Call(self._operations["stream_chat"])
        keys = request.keys
        with self._streams.looking(keys[0]):
            found = await self._found("stream_chat", request, question, keys)
        if isinstance(found, Kept):
            return Replay.of(call, found)
        return await found.tape.open(call, found)

    async def _found(
        self, operation: str, request: CachedChatRequest, question: Question, keys: list[str]
    ) -> Kept | TextFollower:
        """The answer that is there, else one who listens to it being written.

        For as long as this takes, somebody is ``looking``.
        """
        whole, reason = operation == "chat", None
        tape = self._under_way(keys[0], whole=whole)
        if tape is None:
            kept, size, reason = await self._find(keys)
            if kept is not None:
                self._told(operation, "hit", size=size)
                return kept
            self._check_open()
            tape = self._under_way(keys[0], whole=whole) or (
                self._wholes if whole else self._streams
            ).begin(keys[0], partial(self._record, operation, request, question))
        follower = TextFollower(tape)
        tape.join(follower)
        self._told(operation, follower.cache or "miss", reason)
        return follower

    def _under_way(self, key: str, *, whole: bool) -> Tape[Any] | None:
        tape = self._streams.joinable(key)
        return self._wholes.joinable(key) if tape is None and whole else tape

    def _record(
        self, operation: str, request: CachedChatRequest, question: Question, done: Any
    ) -> AnswerTape:
        whole = operation == "chat"

        def decide(tape: AnswerTape) -> Decision:
            if tape.overflowed:
                return Decision("too_long")
            told = tape.handle.result if whole else tape.handle
            return self._decide(request, question, told if whole else result_of(told), told)

        return AnswerTape(
            partial(WholeChat, self._inner, request.of)
            if whole
            else partial(self._inner.stream_chat, request.of),
            self._background,
            decide=decide,
            keep=partial(self._keep_decided, operation),
            read=lambda handle: handle.take_events(),
            size_of=lambda item: len(item) if isinstance(item, str) else 64,
            most=MOST,
            done=done,
            name=f"voicekit-answer-{self._provider}",
        )

    # -- whole answers --

    async def chat(
        self, messages: Messages | interfaces.ChatRequest, /, **options: Any
    ) -> ChatResult:
        """The whole answer; see ``stream_chat``. It joins a stream, never the other way round.

        Raises:
            InvalidArgumentError: ``inner`` refuses it.
            VoicekitError: As ``inner`` raises it.
        """
        self._check_open()
        request = self._request_of(messages, options)
        if request.question is None:
            self._told("chat", "bypass", request.reason)
            answer: ChatResult = await self._inner.chat(request.of)
            return answer
        call = Call(self._operations["chat"])
        keys = request.keys
        with self._streams.looking(keys[0]), self._wholes.looking(keys[0]):
            found = await self._found("chat", request, request.question, keys)
            streamed = self._streams.joinable(keys[0])
        if isinstance(found, Kept):
            call.attempts = 0
            call.committed()
            call.end()
            return shared(call, "hit", found)
        if found.tape is streamed:
            return await TextStream(partial(found.tape.open, call, found)).result()
        return await self._whole(call, found.tape, found)

    async def _whole(
        self, call: Call, tape: Tape[ChatResult], follower: TextFollower
    ) -> ChatResult:
        try:
            await PLAIN.open(call, follower.first)
            call.end()
            result: ChatResult = follower.feed(SOME)[0]
        finally:
            tape.leave(follower)
        if not follower.joined:
            return result
        call.attempts = 0
        told = shared(call, follower.cache or "joined", kept_of(result, result))
        return replace(
            told,
            refusal=result.refusal,
            tool_calls=result.tool_calls,
            finish_reason=result.finish_reason,
        )

    # -- keeping --

    def _decide(
        self, request: CachedChatRequest, question: Question, result: ChatResult, told: object
    ) -> Decision:
        """Whether an answer that has come to its own end is kept, and under whose name.

        ``told`` is what says who gave it, if anything does.
        """
        reason = unstorable_chat(result)
        if reason is not None:
            return Decision(reason)
        key = None
        with suppress(Exception):  # a wrapper of a stranger
            key = request.names.get(getattr(told, "identity", None) or "")
        if key is None and len(request.names) == 1:
            (key,) = request.names.values()
        if key is None:
            return Decision("producer")
        reason, ttl = self._agreed(question, result)
        return Decision(reason, key, kept_of(result, told), ttl)

    async def _keep_decided(self, operation: str, decision: Decision) -> None:
        if decision.reason is not None or decision.kept is None:
            self._told_stored(operation, decision.reason)
        else:
            await self._keep(operation, decision.key, decision.kept, decision.ttl)
