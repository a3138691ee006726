"""A streamed chat completion, sans-IO: pieces of the body in, deltas out.

Source: OpenAI fact sheet of 2026-11, §2 and §3 (recorded traffic, SDK openai 3.52.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from voicekit.clients.openai.deltas import (
    AudioDelta,
    Finish,
    LogProbs,
    Moderation,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from voicekit.clients.openai.errors import error_of
from voicekit.clients.openai.likeness import Likeness
from voicekit.clients.openai.protocol import field_of, text_of, token_of, usage_of
from voicekit.clients.openai.rate_limits import rate_limits_of
from voicekit.clients.refusals import body_of
from voicekit.errors import RemoteProtocolError
from voicekit.speech import ToolCall
from voicekit.wire.sse import SseDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from voicekit.speech import RateLimits, Usage

MAX_STREAM_BYTES: Final = 64 << 20
"""A stream beyond this is taken for a fault of the server; 128,000 tokens make about 35 MB."""

MAX_EVENT_BYTES: Final = 16 << 20
"""Of the last event of a response or a transcript, which repeats all that was said."""

MAX_ERROR_BYTES: Final = 1 << 16
MAX_CHOICES: Final = 128

_META = ("id", "created", "model", "service_tier", "system_fingerprint")


class Choice:
    """What one choice has said so far."""

    __slots__ = ("calls", "finish_reason", "logprobs", "number", "refusal", "text")

    def __init__(self, number: int) -> None:
        self.number = number
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, OpenCall] = {}
        self.logprobs: list[Any] = []
        self.finish_reason: str | None = None

    def raw(self) -> dict[str, Any]:
        """In the shape that the choice of a whole answer has."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self.text) or None,
            "refusal": "".join(self.refusal) or None,
        }
        if self.calls:
            message["tool_calls"] = [call.raw() for call in self.calls.values()]
        return {
            "index": self.number,
            "message": message,
            "logprobs": _joined(self.logprobs) if self.logprobs else None,
            "finish_reason": self.finish_reason,
        }


class OpenCall:
    """A tool call whose arguments are still being written."""

    __slots__ = ("arguments", "custom", "id", "name")

    def __init__(self, *, custom: bool) -> None:
        self.custom = custom
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def value(self) -> ToolCall:
        """The call so far."""
        return ToolCall(id=self.id, name=self.name, arguments="".join(self.arguments))

    def raw(self) -> dict[str, Any]:
        """In the shape that the call of a whole answer has."""
        kind, text = ("custom", "input") if self.custom else ("function", "arguments")
        return {
            "id": self.id,
            "type": kind,
            kind: {"name": self.name, text: "".join(self.arguments)},
        }


def _joined(logprobs: list[Any]) -> dict[str, list[Any]]:
    """The tokens of all chunks, one list for the text and one for the refusal."""
    names = ("content", "refusal")
    return {name: [t for each in logprobs for t in field_of(each, name) or ()] for name in names}


class EventDecoder:
    """Reads the events of one answer; a subclass knows what they say."""

    def __init__(self, headers: Mapping[str, str], sse: SseDecoder, most: int) -> None:
        self.progress = 0
        self.done = False
        self.usage: Usage | None = None
        self._headers = headers
        self._left = most
        self._sse = sse
        self._about: Any = None  # what names the answer, its model and its tier

    def feed(self, data: bytes) -> Iterable[Any]:
        """Read one piece of the body as it arrived; what precedes an error in it counts."""
        raise NotImplementedError

    def _rest(self) -> list[Any]:
        """What an event says that the end of the body has ended.

        Raises:
            RemoteProtocolError: It was cut.
        """
        if self.done or not self._sse.pending:
            return []
        # Compatible servers omit the blank line behind the last event.
        try:
            return list(self.feed(b"\n\n"))
        except RemoteProtocolError:
            raise RemoteProtocolError("the stream was cut inside an event") from None

    def _value(self, event: bytes) -> dict[str, Any]:
        """The JSON object of an event.

        Raises:
            ProviderError: It reports an error.
            RemoteProtocolError: It is none.
        """
        value = body_of(event)
        if type(value) is not dict:
            raise RemoteProtocolError("an event of the stream is no JSON object")
        if value.get("error"):
            raise error_of(value, 200, self._headers)
        return value

    @property
    def model(self) -> str | None:
        """The model that answers, as the provider names it."""
        return token_of(self._about, "model")

    @property
    def id(self) -> str | None:
        """The provider's id of the answer."""
        return token_of(self._about, "id")

    @property
    def service_tier(self) -> str | None:
        """Which tier serves it."""
        return token_of(self._about, "service_tier")

    @property
    def rate_limits(self) -> RateLimits | None:
        """What is left of the account's limits."""
        return rate_limits_of(self._headers)


class ChatDecoder(EventDecoder):
    """Reads a stream of ``chat.completion.chunk`` events.

    Yields text of the first choice as ``str``, token counts as ``Usage``, and all else
    as values of ``deltas``. Useful output is what can be spoken, shown or acted upon:
    text, refusals, tool calls, audio. Fields that it does not know are passed over.
    """

    def __init__(self, headers: Mapping[str, str], choices: int = 1) -> None:
        super().__init__(headers, SseDecoder(), MAX_STREAM_BYTES)
        self._asked = choices
        self._alike = Likeness()
        self._first = Choice(0)
        self._choices = {0: self._first}
        self._about = {}
        self._moderation: Any = None

    # -- reading --

    def feed(self, data: bytes) -> Iterator[Any]:
        """Read one piece of the body as it arrived; what precedes an error in it counts.

        Raises:
            ProviderError: The stream reports an error.
            RemoteProtocolError: What came is no chat stream, or is far too long.
        """
        self._left -= len(data)
        if self._left < 0:
            raise RemoteProtocolError(f"the stream is longer than {MAX_STREAM_BYTES} bytes")
        for event in self._sse.feed(data):
            if text := self._alike.text(event):
                self.progress += 1
                self._first.text.append(text)
                yield text
            # Source: the vendor's SDK takes data that begins so for the end.
            elif event[:6] == b"[DONE]":
                self.done = True
                break
            elif event:
                items: list[Any] = []
                self._read(event, items)
                if len(items) == 1 and type(items[0]) is str:
                    self._alike.learn(event, items[0])
                yield from items

    def eof(self, *, delimited: bool) -> list[Any]:
        """The body ended.

        Raises:
            RemoteProtocolError: It ended before the answer did.
        """
        items = self._rest()
        # Compatible servers send no [DONE]. Their end is believed only when every choice
        # said that it is finished *and* the framing of the body proves that nothing behind
        # it was lost: else a connection that dropped would pass for an answer.
        if not self.done and not (delimited and self._finished()):
            raise RemoteProtocolError("the stream ended before its end marker")
        self.done = True
        return items

    def _finished(self) -> bool:
        reasons = [choice.finish_reason for choice in self._choices.values()]
        return len(reasons) >= self._asked and None not in reasons

    def _read(self, event: bytes, items: list[Any]) -> None:
        chunk = self._about = self._value(event)
        if choices := chunk.get("choices"):
            if type(choices) is not list:
                raise RemoteProtocolError("the choices of a chunk are no list")
            for choice in choices:
                self._take(choice, items)
        if usage := chunk.get("usage"):
            self.usage = usage_of(usage)
            if self.usage is not None:
                items.append(self.usage)
        if moderation := chunk.get("moderation"):
            self._moderation = moderation
            items.append(Moderation(raw=moderation))

    def _take(self, value: Any, items: list[Any]) -> None:
        if type(value) is not dict:
            raise RemoteProtocolError("a choice is no object")
        number = value.get("index") or 0
        choice = self._first if number == 0 else self._choice(number)
        if delta := value.get("delta"):
            if text := text_of(delta, "content"):
                self.progress += 1
                choice.text.append(text)
                items.append(text if number == 0 else TextDelta(text=text, choice=number))
            if len(delta) > 1 or not text:
                self._take_rest(choice, delta, items)
        if logprobs := value.get("logprobs"):
            choice.logprobs.append(logprobs)
            items.append(LogProbs(raw=logprobs, choice=number))
        if reason := token_of(value, "finish_reason"):
            choice.finish_reason = reason
            items.append(Finish(reason=reason, choice=number))

    def _choice(self, number: Any) -> Choice:
        if not isinstance(number, int) or not 0 <= number < MAX_CHOICES:
            raise RemoteProtocolError("a choice has no valid index")
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = Choice(number)
        return choice

    def _take_rest(self, choice: Choice, delta: Any, items: list[Any]) -> None:
        """All of a delta but its text."""
        if type(delta) is not dict:
            raise RemoteProtocolError("a delta is no object")
        if refusal := text_of(delta, "refusal"):
            self.progress += 1
            choice.refusal.append(refusal)
            items.append(RefusalDelta(text=refusal, choice=choice.number))
        if calls := delta.get("tool_calls"):
            if type(calls) is not list:
                raise RemoteProtocolError("the tool calls of a delta are no list")
            for call in calls:
                self._take_call(choice, call, items)
        if function := delta.get("function_call"):  # the older form, one call without an id
            self._take_call(choice, {"index": 0, "function": function}, items)
        if audio := delta.get("audio"):
            data, transcript = text_of(audio, "data"), text_of(audio, "transcript")
            if data or transcript:
                self.progress += 1
                items.append(AudioDelta(data=data, transcript=transcript, choice=choice.number))

    def _take_call(self, choice: Choice, value: Any, items: list[Any]) -> None:
        function = field_of(value, "function") or field_of(value, "custom")
        id_, name = text_of(value, "id"), text_of(function, "name")
        arguments = text_of(function, "arguments") or text_of(function, "input") or ""
        if not (id_ or name or arguments):
            return
        index = field_of(value, "index")
        if not isinstance(index, int):
            # Unverified: compatible servers omit it, and an id then opens the next call.
            index = len(choice.calls) - (0 if id_ or not choice.calls else 1)
        call = choice.calls.get(index)
        if call is None:
            custom = field_of(value, "custom") is not None
            call = choice.calls[index] = OpenCall(custom=custom)
        call.id = id_ or call.id
        call.name = name or call.name
        call.arguments.append(arguments)
        self.progress += 1
        items.append(
            ToolCallDelta(index=index, id=id_, name=name, arguments=arguments, choice=choice.number)
        )

    # -- what was read, of the first choice --

    @property
    def text(self) -> list[str]:
        """Pieces of the text so far."""
        return self._first.text

    @property
    def refusal(self) -> list[str]:
        """Pieces of the refusal so far."""
        return self._first.refusal

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped; None before it did."""
        return self._first.finish_reason

    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far, in the order in which they were opened."""
        return tuple(call.value() for call in self._first.calls.values())

    @property
    def raw(self) -> dict[str, Any]:
        """What was streamed, every choice of it, in the shape of a whole answer."""
        raw: dict[str, Any] = {name: self._about[name] for name in _META if name in self._about}
        raw["object"] = "chat.completion"
        raw["choices"] = [self._choices[number].raw() for number in sorted(self._choices)]
        raw["usage"] = None if self.usage is None else self.usage.raw
        if self._moderation is not None:
            raw["moderation"] = self._moderation
        return raw


class NotStreamed:
    """Reads a JSON document that came where a stream was asked for: an error, or a fault."""

    progress = 0
    done = False

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._body = bytearray()

    def feed(self, data: bytes) -> tuple[()]:
        """Keep the piece.

        Raises:
            RemoteProtocolError: It is too long for an error.
        """
        self._body += data
        if len(self._body) > MAX_ERROR_BYTES:
            self._refuse()
        return ()

    def eof(self, *, delimited: bool) -> NoReturn:  # noqa: ARG002 - part of the shape
        """The document is complete.

        Raises:
            ProviderError: It is an error object, for all the status 200.
            RemoteProtocolError: It is anything else.
        """
        value = body_of(bytes(self._body))
        if field_of(value, "error"):
            raise error_of(value, 200, self._headers)
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RemoteProtocolError("the answer is a JSON document, not a stream")
