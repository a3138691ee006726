"""HTTP without a socket: answers by script, requests on record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import TYPE_CHECKING, Final

from voicekit.errors import ClosedError, ConnectionLostError, VoicekitError
from voicekit.timing import ConnectionInfo
from voicekit.transport.config import PoolStats, WarmReport
from voicekit.transport.held import let_go
from voicekit.transport.interfaces import Capabilities

if TYPE_CHECKING:
    from voicekit.operation import Call
    from voicekit.transport.messages import Request, Upload

__all__ = ["Answer", "ScriptedTransport", "SentRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a scripted server says to one request.

    Attributes:
        status: HTTP status.
        headers: Of the response; looked up in any case.
        chunks: The body, in the pieces in which it arrives.
        delays: Seconds of the event loop's clock: before the headers, then before each chunk,
            then before the end (or ``error``). Missing ones are 0.
        error: Raised after the last chunk; before the headers when ``status`` is 0.
        delimited: Whether the end of the body is proven by its framing.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Sequence[bytes] = ()
    delays: Sequence[float] = ()
    error: VoicekitError | None = None
    delimited: bool = True

    def delay(self, index: int) -> float:
        """Seconds before the headers (0) or the ``index``-th piece; the last is the end."""
        return self.delays[index] if index < len(self.delays) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """A request as a server would have received it, with its whole body.

    Attributes:
        headers: Credentials included, so never shown; looked up in any case.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


Script = Iterable[Answer] | Callable[[SentRequest], Answer | Awaitable[Answer]]


class ScriptedTransport:
    """An ``HttpTransport`` that answers by script; see ``Transport(http=…)``.

    Args:
        script: Answers in the order in which they are used up, or a function (async if you
            like) from a request to its answer.

    Attributes:
        requests: What was sent, in order.
        closed: Whether ``aclose`` was called.

    Example:
        >>> http = ScriptedTransport([Answer(headers={"Content-Type": "…"}, chunks=[b"…"])])
        >>> llm = OpenAIClient(model="…", api_key="k", transport=Transport(http=http))
        >>> await llm.chat(messages)
        >>> assert http.requests[0].url.endswith("/chat/completions")
    """

    capabilities: Final = Capabilities(warms=True, aborts=True)

    def __init__(self, script: Script) -> None:
        self._answer = script if callable(script) else None
        self._answers = iter(() if callable(script) else script)
        self.requests: list[SentRequest] = []
        self.closed = False
        self._open: set[ScriptedResponse] = set()

    async def send(self, request: Request, call: Call) -> ScriptedResponse:
        """Take the request, wait as the answer says, and give its headers.

        Raises:
            ClosedError: The transport is closed.
            VoicekitError: The answer's own error, with status 0.
            AssertionError: There is no answer left.
        """
        if self.closed:
            raise ClosedError("the transport is closed")
        connection = ConnectionInfo(reused=bool(self.requests), id=1)
        if request.body is None or isinstance(request.body, bytes):
            call.sent(connection)
            body = request.body or b""
        else:
            body = await _uploaded(request.body, call, connection)
        sent = SentRequest(
            method=request.method, url=request.url, headers=_Headers(request.headers), body=body
        )
        self.requests.append(sent)
        answer = await self._next(sent)
        if (delay := answer.delay(0)) > 0:
            await asyncio.sleep(delay)
        if self.closed:
            raise ClosedError("the transport was closed")
        if answer.status == 0:
            raise answer.error or ConnectionLostError("the script answers nothing")
        response = ScriptedResponse(answer, connection, self._open.discard)
        self._open.add(response)
        return response

    async def _next(self, sent: SentRequest) -> Answer:
        if self._answer is not None:
            answer = self._answer(sent)
            return await answer if isawaitable(answer) else answer
        try:
            return next(self._answers)
        except StopIteration:
            raise AssertionError(f"the script has no answer left for {sent!r}") from None

    async def warm(self, url: str, n: int) -> WarmReport:  # noqa: ARG002 - the seam's
        """Say that ``n`` connections are ready."""
        return WarmReport(opened=n, reused=0)

    def stats(self) -> PoolStats:
        """What is being answered."""
        used, sent = len(self._open), len(self.requests)
        return PoolStats(open=used, leased=used, opened=min(1, sent), reused=max(0, sent - 1))

    def retire(self) -> None:
        """Nothing: there are no connections."""

    async def aclose(self) -> None:
        """End what is still being answered with ``ClosedError``."""
        self.abandon()

    def abandon(self) -> None:
        """As ``aclose``."""
        self.closed = True
        for response in list(self._open):
            response.interrupt(ClosedError("the transport was closed"))

    def __repr__(self) -> str:
        return f"<ScriptedTransport {len(self.requests)} requests>"


async def _uploaded(upload: Upload, call: Call, connection: ConnectionInfo) -> bytes:
    call.uploading(connection, replayable=upload.replayable)
    pieces = upload.open()
    body = bytearray()
    try:
        async for piece in pieces:
            body += piece
            call.progressed()
    finally:
        await let_go(pieces)
    call.sent(connection)
    return bytes(body)


class ScriptedResponse:
    """A response whose body comes by script. See ``transport.interfaces.Response``."""

    def __init__(
        self, answer: Answer, connection: ConnectionInfo, ended: Callable[[ScriptedResponse], None]
    ) -> None:
        self._answer = answer
        self._ended = ended
        self._at = 0
        self._due: float | None = None
        self._interrupted: VoicekitError | None = None
        self._over = False
        self._waiter: asyncio.Future[None] | None = None
        self.status = answer.status
        self.headers: Mapping[str, str] = _Headers(answer.headers)
        self.connection = connection
        self.delimited = answer.delimited

    async def chunk(self) -> bytes:
        """The next piece, when it is due; empty at the end. Cancelling loses nothing."""
        answer, loop = self._answer, asyncio.get_running_loop()
        if self._due is None:
            self._due = loop.time() + answer.delay(self._at + 1)
        if self._interrupted is None and self._due > loop.time():
            waiter = self._waiter = loop.create_future()
            timer = loop.call_at(self._due, _wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self._interrupted is not None:
            raise self._interrupted
        if self._over:
            return b""
        if self._at < len(answer.chunks):
            piece = answer.chunks[self._at]
            self._at += 1
            self._due = None
            return piece
        self._ended(self)
        self._over = True
        if answer.error is not None:
            raise answer.error
        return b""

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``."""
        if self._interrupted is None and not self._over:
            self._interrupted = error
        if self._waiter is not None:
            _wake(self._waiter)
        self._ended(self)

    def abort(self) -> None:
        """Free it: what comes next is ``ConnectionLostError``, unless the body has ended."""
        self.interrupt(ConnectionLostError("the response was given up"))

    def release(self) -> None:
        """Nobody wants the rest."""
        self._ended(self)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Headers(dict[str, str]):
    """Headers as they were written, looked up in any case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self._lower = {name.lower(): value for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._lower[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._lower

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        return self._lower.get(name.lower(), default)
