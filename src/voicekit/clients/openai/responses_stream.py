"""A streamed response, sans-IO: pieces of the body in, deltas out.

Source: OpenAI fact sheet of 2026-11, §2 and §4 (recorded traffic, SDK openai 3.52.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.openai.deltas import (
    Finish,
    LogProbs,
    ReasoningDelta,
    RefusalDelta,
    ResponseEvent,
    ToolCallDelta,
)
from voicekit.clients.openai.errors import error_of
from voicekit.clients.openai.likeness import NumberedLikeness
from voicekit.clients.openai.protocol import text_of
from voicekit.clients.openai.responses_protocol import (
    CALLS,
    call_of,
    contents,
    finish_of,
    response_usage,
)
from voicekit.clients.openai.stream import (
    MAX_EVENT_BYTES,
    MAX_STREAM_BYTES,
    EventDecoder,
    OpenCall,
)
from voicekit.errors import RemoteProtocolError
from voicekit.speech import ToolCall
from voicekit.wire.sse import SseDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TEXT: Final = "response.output_text.delta"
_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_REASONING: Final[Mapping[str, tuple[str, bool]]] = {
    "response.reasoning_summary_text.delta": ("summary_index", True),
    "response.reasoning_text.delta": ("content_index", False),
}
_CALL_DELTAS: Final = frozenset(
    {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}
)
_CALL_DONES: Final[Mapping[str, str]] = {
    "response.function_call_arguments.done": "arguments",
    "response.custom_tool_call_input.done": "input",
}


class ResponseDecoder(EventDecoder):
    """Reads the events of one response.

    Yields text as ``str``, token counts as ``Usage``, refusals, tool calls, reasoning and
    the finish as values of ``deltas``, and every other event as ``ResponseEvent``, those
    that it does not know among them. Useful output is text, a refusal or a tool call; at
    which index an item stands says nothing of what it is.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers, SseDecoder(MAX_EVENT_BYTES), MAX_STREAM_BYTES)
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.finish_reason: str | None = None
        self._alike = NumberedLikeness()
        self._calls: dict[Any, OpenCall] = {}

    # -- reading --

    def feed(self, data: bytes) -> Iterator[Any]:
        """Read one piece of the body as it arrived; what precedes an error in it counts.

        Raises:
            ProviderError: The stream reports an error, or that the response failed.
            RemoteProtocolError: What came is no stream of a response, or is far too long.
        """
        self._left -= len(data)
        if self._left < 0:
            raise RemoteProtocolError(f"the stream is longer than {MAX_STREAM_BYTES} bytes")
        for event in self._sse.feed(data):
            if text := self._alike.text(event):
                self.progress += 1
                self.text.append(text)
                yield text
                continue
            # Of the vendor's own hosts no stream of a response ends so; compatible ones add it.
            if not event or event[:6] == b"[DONE]":
                continue
            items: list[Any] = []
            self._read(event, items)
            if len(items) == 1 and type(items[0]) is str:
                self._alike.learn(event, items[0])
            yield from items
            if self.done:
                break

    def eof(self, *, delimited: bool) -> list[Any]:  # noqa: ARG002 - only the last event ends it
        """The body ended.

        Raises:
            RemoteProtocolError: It ended before the response did.
        """
        items = self._rest()
        if not self.done:
            raise RemoteProtocolError("the stream ended before its last event")
        return items

    def _read(self, event: bytes, items: list[Any]) -> None:
        value = self._value(event)
        kind = value.get("type")
        if not isinstance(kind, str):
            kind = ""
        if kind == "error":
            raise error_of(value, 200, self._headers)
        if kind == _TEXT:
            self._say(text_of(value, "delta"), items)
            if logprobs := value.get("logprobs"):
                items.append(LogProbs(raw={"content": logprobs}))
        elif kind == "response.refusal.delta":
            self._refuse(text_of(value, "delta"), items)
        elif kind in _CALL_DELTAS:
            self._write(value.get("output_index"), text_of(value, "delta"), items)
        elif kind in _REASONING:
            self._reason(value, *_REASONING[kind], items)
        else:
            items.append(ResponseEvent(type=kind, raw=value))
            self._structure(kind, value, items)

    def _structure(self, kind: str, value: dict[str, Any], items: list[Any]) -> None:
        """What an event that is no delta says of the response."""
        if isinstance(item := value.get("item"), dict):
            if item.get("type") in CALLS:
                self._open(value.get("output_index"), item, items)
        elif kind in _CALL_DONES:
            at = value.get("output_index")
            if isinstance(at, int) and at in self._calls:
                self._complete(at, text_of(value, _CALL_DONES[kind]), items)
        elif isinstance(response := value.get("response"), dict):
            self._about = response
            if kind == "response.failed":
                raise error_of({"error": response.get("error") or {}}, 200, self._headers)
            if kind in _ENDS:
                self._end(response, items)

    def _say(self, text: str | None, items: list[Any]) -> None:
        if text:
            self.progress += 1
            self.text.append(text)
            items.append(text)

    def _refuse(self, text: str | None, items: list[Any]) -> None:
        if text:
            self.progress += 1
            self.refusal.append(text)
            items.append(RefusalDelta(text=text))

    def _reason(
        self,
        value: dict[str, Any],
        part: str,
        summary: bool,
        items: list[Any],
    ) -> None:
        if text := text_of(value, "delta"):
            index, number = value.get("output_index"), value.get(part)
            items.append(
                ReasoningDelta(
                    text=text,
                    index=index if isinstance(index, int) else 0,
                    part=number if isinstance(number, int) else 0,
                    summary=summary,
                )
            )

    # -- calls of tools, by the place of their item --

    def _open(self, at: Any, item: dict[str, Any], items: list[Any]) -> None:
        """An item opens a call, or says it once more when it is complete."""
        if not isinstance(at, int):
            raise RemoteProtocolError("an output item has no index")
        said = call_of(item)
        if at not in self._calls:
            call = self._calls[at] = OpenCall(custom=item["type"] != "function_call")
            call.id, call.name = said.id, said.name
            self.progress += 1
            items.append(ToolCallDelta(index=self._number(at), id=said.id, name=said.name))
        self._complete(at, said.arguments, items)

    def _number(self, at: int) -> int:
        return list(self._calls).index(at)

    def _write(self, at: Any, piece: str | None, items: list[Any]) -> None:
        call = self._calls.get(at) if isinstance(at, int) else None
        if call is None:
            raise RemoteProtocolError("arguments come for a tool call that was not opened")
        if piece:
            call.arguments.append(piece)
            self.progress += 1
            items.append(ToolCallDelta(index=self._number(at), arguments=piece))

    def _complete(self, at: int, whole: str | None, items: list[Any]) -> None:
        """All the arguments at once; they count where no piece of them came before."""
        if whole and not self._calls[at].arguments:
            self._write(at, whole, items)

    # -- the end --

    def _end(self, response: dict[str, Any], items: list[Any]) -> None:
        self.done = True
        if not (self.text or self.refusal or self._calls):
            self._catch_up(response, items)
        self.usage = response_usage(response.get("usage"))
        if self.usage is not None:
            items.append(self.usage)
        self.finish_reason = finish_of(response, called=bool(self._calls))
        if self.finish_reason is not None:
            items.append(Finish(reason=self.finish_reason))

    def _catch_up(self, response: dict[str, Any], items: list[Any]) -> None:
        """Say what only the last event says: some servers and proxies send no deltas."""
        for number, (kind, said) in enumerate(contents({"output": response.get("output") or []})):
            if kind == "text":
                self._say(said, items)
            elif kind == "refusal":
                self._refuse(said, items)
            else:
                self._open(number, said, items)

    # -- what was read --

    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far, in the order in which they were opened."""
        return tuple(call.value() for call in self._calls.values())

    @property
    def raw(self) -> Any:
        """The vendor's own object, as last told."""
        return self._about
