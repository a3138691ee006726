"""A turn of the agent, sans-IO: the messages of an answer, streamed or whole.

Read by the type of each message; the names of events lack one of them. Source: Agentforce
fact sheet of 2026-11, §6 and §7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.agentforce.errors import TurnFailedError, error_of
from voicekit.clients.refusals import body_of, build
from voicekit.errors import ProviderError, RemoteProtocolError
from voicekit.speech import AgentAnswer, AgentProgress, AgentRetraction
from voicekit.wire.sse import SseDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from voicekit.operation import Call

MAX_TURN_BYTES: Final = 16 << 20
"""A turn beyond this is taken for a fault of the server."""

_SPOKEN: Final = frozenset({"Inform", "Inquire", "Confirm"})
_SILENT: Final = frozenset({"ProgressIndicator", "TextChunk", "EndOfTurn"})
"""Of a plain answer, all that may be there beside its one ``Inform``."""


class Messages:
    """What the messages of a turn add up to.

    Attributes:
        text: Pieces of what holds so far.
        progress: Counts useful outputs: pieces of text.
        done: Its end marker was read.
        ended: The session is over with it, or a person takes over.
        gone: The provider has forgotten the session.
    """

    def __init__(self, headers: Mapping[str, str], session_id: str) -> None:
        self.progress = 0
        self.done = False
        self.ended = False
        self.gone = False
        self.text: list[str] = []
        self.session_id = session_id
        self.feedback_id: str | None = None
        self.raw: list[dict[str, Any]] = []
        self._headers = headers
        self._chunks: list[str] = []  # of the message that is being said
        self._informed = 0
        self._plain = True

    def take(self, message: Any) -> list[Any]:
        """Read one message; what it gives to whoever iterates.

        Raises:
            ProviderError: It says that the turn failed.
            RemoteProtocolError: It is no message.
        """
        if not isinstance(message, dict):
            raise RemoteProtocolError("a message of the turn is no object")
        kind = message.get("type")
        if kind == "TextChunk":
            return self._say(_text(message), chunk=True)
        begun = self._begun
        self.raw.append(message)
        if found := message.get("feedbackId"):
            self.feedback_id = found if isinstance(found, str) else self.feedback_id
        if kind not in _SILENT and (kind != "Inform" or _holds_more(message)):
            self._plain = False
        match kind:
            case "ProgressIndicator":
                return [AgentProgress(text=_text(message), raw=message)]
            case "EndOfTurn":
                self.done = True
            case "ValidationFailureChunk":
                self.text.clear()
                self._chunks.clear()
                return [AgentRetraction(raw=message)]
            case "Escalate":
                self.ended = True
            case "SessionEnded":
                self.ended = self.gone = True
            case "Failure":
                raise self._failure(message)
            case "Error":
                raise self._refused(message, begun=begun)
            case _ if kind in _SPOKEN:
                return [*self._whole(_text(message)), *([message] if kind != "Inform" else [])]
        # Unknown ones, too: who reads events() may know them.
        return [] if kind == "EndOfTurn" else [message]

    @property
    def _begun(self) -> bool:
        """Whether anything of the turn was there."""
        return bool(self.raw or self.text)

    def _refused(self, value: Mapping[str, Any], *, begun: bool) -> ProviderError:
        return error_of(
            value,
            200,
            self._headers,
            asked="turn",
            session=self.session_id,
            inside=True,
            begun=begun,
        )

    def _failure(self, message: dict[str, Any]) -> TurnFailedError:
        error = build(
            TurnFailedError,
            200,
            self._headers,
            code=message.get("code"),
            detail=message.get("message"),
            request_id=self._headers.get("X-Request-ID"),
        )
        assert isinstance(error, TurnFailedError)  # noqa: S101 - it is what was asked for
        return error

    def _whole(self, message: str) -> list[Any]:
        """A message that repeats what was said in chunks: only what is new of it is said."""
        said = "".join(self._chunks)
        self._chunks.clear()
        self._informed += 1
        if said:
            rest = unsaid(said, message)
            if not _alike(said + rest, message):
                self._plain = False  # what was said stays said, but it is not the answer
            return self._say(rest)
        if self.text and message and not self.text[-1].endswith(("\n", " ")):
            message = "\n" + message  # another message, which no word of the last runs into
        return self._say(message)

    def _say(self, text: str, *, chunk: bool = False) -> list[Any]:
        if not text:
            return []
        if chunk:
            first = not self._chunks
            self._chunks.append(text)
            if first and self.text and not self.text[-1].endswith(("\n", " ")):
                text = "\n" + text
        self.progress += 1
        self.text.append(text)
        return [text]

    @property
    def plain(self) -> bool:
        """Whether it is one ``Inform`` and nothing else, records and citations included."""
        return self._plain and self._informed == 1

    def answer(self, call: Call, headers: Mapping[str, str]) -> AgentAnswer:
        """The turn, as far as it was read."""
        return AgentAnswer(
            text="".join(self.text),
            plain=self.done and self.plain,
            ended=self.ended,
            feedback_id=self.feedback_id,
            session_id=self.session_id,
            request_id=call.request_id,
            timings=call.timings,
            connection=call.connection,
            attempts=call.attempts,
            headers=headers,
            raw=tuple(self.raw),
        )


class TurnDecoder(Messages):
    """Reads the stream of a turn.

    Yields text as ``str``; ``AgentProgress``, ``AgentRetraction`` and the other messages as
    values. Useful output is text. After an error inside it that was final, it has ``failed``.
    """

    def __init__(self, headers: Mapping[str, str], session_id: str) -> None:
        super().__init__(headers, session_id)
        self.failed = False
        self._left = MAX_TURN_BYTES
        self._sse = SseDecoder()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Read one piece of the body as it arrived; what precedes an error in it counts.

        Raises:
            ProviderError: The turn failed.
            RemoteProtocolError: What came is no turn, or is far too long.
        """
        self._left -= len(data)
        if self._left < 0:
            raise RemoteProtocolError(f"the turn is longer than {MAX_TURN_BYTES} bytes")
        for event in self._sse.feed(data):
            if event:
                yield from self._read(event)
            if self.done:
                return

    def eof(self, *, delimited: bool) -> list[Any]:  # noqa: ARG002 - part of the shape
        """The body ended.

        Raises:
            RemoteProtocolError: It ended before the turn did.
        """
        items: list[Any] = []
        if not self.done and self._sse.pending:
            try:
                items = list(self.feed(b"\n\n"))
            except RemoteProtocolError:
                raise RemoteProtocolError("the turn was cut inside an event") from None
        if not self.done:
            raise RemoteProtocolError("the turn ended before its end marker")
        return items

    def _read(self, event: bytes) -> list[Any]:
        value = body_of(event)
        if not isinstance(value, dict):
            raise RemoteProtocolError("an event of the turn is no JSON object")
        try:
            message = value.get("message")
            if isinstance(message, dict):
                return self.take(message)
            messages = value.get("messages")
            if isinstance(messages, list):  # the other shape of INFORM
                return [item for each in messages for item in self.take(each)]
            if isinstance(value.get("type"), str) and "status" not in value:
                return self.take(value)  # unverified: a message without its envelope
            if value.get("error") is not None or "status" in value:
                raise self._refused(value, begun=self._begun)
        except RemoteProtocolError:
            raise
        except Exception:
            self.failed = True
            raise
        return []  # an event of no kind that we know


class WholeTurn(Messages):
    """Reads a turn that came as one document."""

    def read(self, value: dict[str, Any]) -> None:
        """Read the document.

        Raises:
            ProviderError: The turn failed.
            RemoteProtocolError: It is no turn.
        """
        messages = value.get("messages")
        if not isinstance(messages, list):
            if value.get("error") is not None:
                raise self._refused(value, begun=self._begun)
            raise RemoteProtocolError("the answer holds no messages")
        for message in messages:
            self.take(message)
        self.done = True


def unsaid(said: str, message: str) -> str:
    """What of ``message`` was not said yet; nothing where it differs from what was.

    White space may differ between the chunks and the whole. Source: sheet §7.3.
    """
    if message.startswith(said):
        return message[len(said) :]
    at, end = 0, len(message)
    for letter in said:
        if letter.isspace():
            continue
        while at < end and message[at].isspace():
            at += 1
        if at == end or message[at] != letter:
            return ""
        at += 1
    rest = message[at:]
    if said[-1].isspace():
        rest = rest.lstrip()
    return rest if rest.strip() else ""


def _alike(one: str, other: str) -> bool:
    """Whether they differ in white space only."""
    return "".join(one.split()) == "".join(other.split())


def _text(message: Mapping[str, Any]) -> str:
    text = message.get("message")
    if text is None:
        return ""
    if not isinstance(text, str):
        raise RemoteProtocolError("the text of a message is no text")
    return text


def _holds_more(inform: Mapping[str, Any]) -> bool:
    """Whether an ``Inform`` is more than words: somebody's record, or a source's."""
    safe = inform.get("isContentSafe")
    return bool(inform.get("result") or inform.get("citedReferences")) or safe is False
