"""``AgentforceSession``: a conversation with an agent."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast

from voicekit import events
from voicekit.checks import fields, no_options, word, wrong
from voicekit.checks import text as some_text
from voicekit.clients.agentforce.config import (
    MessageRequest,
    MessageSettings,
    RequestSettings,
    SessionRequest,
)
from voicekit.clients.agentforce.errors import PROVIDER, turn_dialect
from voicekit.clients.agentforce.operations import SEND, STREAM_MESSAGE
from voicekit.clients.agentforce.protocol import (
    END_REASONS,
    MOST_DETAILS,
    RATINGS,
    Numbers,
    Started,
    feedback_body,
    message_request,
)
from voicekit.clients.agentforce.resending import PATIENCE, Resend
from voicekit.clients.agentforce.turn import Messages, TurnDecoder, WholeTurn
from voicekit.clients.agentforce.turns import Held, Turn, Turns
from voicekit.clients.execute import check_type, fetch_json, open_stream
from voicekit.errors import ClosedError, VoicekitError
from voicekit.pipeline import PLAIN, Pipeline
from voicekit.speech import AgentAnswer
from voicekit.streams import AgentReply, Opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit import interfaces
    from voicekit.clients.agentforce.conversing import Conversations
    from voicekit.clients.agentforce.options import MessageOptions
    from voicekit.clients.base import CallOptions
    from voicekit.operation import Call, Operation
    from voicekit.timing import ConnectionInfo, Timings
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request
    from voicekit.transport.transport import Transport

T = TypeVar("T")


class AgentforceSession:
    """A conversation with an agent, which remembers it. Made by ``open_session``.

    One turn at a time: the next waits until the last is over, in order. A turn that is given
    up goes on at the provider, which cannot be told to stop; it is read to its end in the
    background, and the next turn waits for that.

    Attributes:
        key: Whose it is, if a name was given.
        ended: The agent ended it, or handed it over to a person.
        replaced: How often the provider had forgotten it, so that a new one took its place.
        timings: Where the time of its start went; None where it was resumed.
        connection: Which connection carried that.
        attempts: How often it was put on a wire.
        request_id: The id of that request, for the provider's support.
        headers: Its response headers.
        raw: The provider's own object.
    """

    def __init__(
        self,
        client: Conversations,
        request: SessionRequest,
        started: Started,
        call: Call | None,
    ) -> None:
        self.key: str | None = None
        self.ended = False
        self.replaced = 0
        self.timings: Timings | None = None if call is None else call.timings
        self.connection: ConnectionInfo | None = None if call is None else call.connection
        self.attempts = 0 if call is None else call.attempts
        self.request_id = None if call is None else call.request_id
        self.headers: Mapping[str, str] = started.headers
        self.raw: Any = started.raw
        self._client = client
        self._request = request
        self._id = started.id
        self._greeting = started.greeting
        self._numbers = Numbers()
        self._turns = Turns(client._background)
        self._pipelines: tuple[Pipeline | None, Pipeline] = (None, PLAIN)
        self._resend = Resend(self)
        self._dialect = turn_dialect(lambda: self._id)
        self._holders = 0
        self._gone = False
        self._closed = False

    @property
    def id(self) -> str:
        """The provider's id of it; another one after it was ``replaced``."""
        return self._id

    @property
    def greeting(self) -> str:
        """What the agent said first; may be empty."""
        return self._greeting

    @property
    def closed(self) -> bool:
        """Whether it was closed here."""
        return self._closed

    # -- turns --

    async def send(
        self, text: str | MessageRequest, /, **options: Unpack[MessageOptions]
    ) -> AgentAnswer:
        """One turn, whole; ``stream_message`` has the first words sooner.

        The agent may act: a turn of which it is not known whether it was heard is never said
        twice. Limits: connect 2 s, first output 60 s, total 125 s, the wait for an earlier
        turn included. Cancelled, the turn goes on at the provider, and is read to its end in
        the background.

        Args:
            text: What is said, or a request made before (then no options).
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: At once.
            OutcomeUnknownError: The agent may or may not have acted; see ``hint``.
            TurnFailedError: The agent says that the turn failed (an ``UnavailableError``).
            AuthenticationError: The token is refused, or the app is not attached to the agent.
            SessionLostError: The provider has forgotten the session, and a new one as well.
            SessionBusyError: Somebody else's request of this session runs all the time.
            RateLimitError: Too many requests.
            UnavailableError: The provider failed.
            TransportError: The connection failed before anything was sent.
            DeadlineError: A limit passed before anything was sent.
            ClosedError: The session or the client is closed, or the agent has ended it; nothing
                was sent.
        """
        request = self._message(text, options)
        call, turn = await self._enter(SEND, request)
        messages, response = await fetch_json(
            turn, call, partial(self._prepare, request, stream=False), self._dialect, self._read
        )
        return messages.answer(call, response.headers)

    def stream_message(
        self, text: str | MessageRequest, /, **options: Unpack[MessageOptions]
    ) -> AgentReply:
        """One turn as it is said: iterate for text, see ``AgentReply`` for the rest.

        Returns a handle without I/O; entering, awaiting or iterating it opens it, until the
        first text is in hand. Limits: connect 2 s, first output 60 s, gap 20 s, total 125 s,
        the wait for an earlier turn included. ``reply.cancel()``, leaving it early, and a
        cancelled opening leave the turn to the background, which reads it to its end. The next
        turn waits for this one: in the same task, read it to its end or leave it first.

        Args:
            text: What is said, or a request made before (then no options).
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle, as by
                ``send``.
            StreamInterruptedError: While iterating: it broke off after its first output.
        """
        return AgentReply(partial(self._open, self._message(text, options)))

    async def feedback(
        self,
        of: AgentAnswer | str,
        rating: str,
        /,
        *,
        text: str | None = None,
        details: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> None:
        """Say whether an answer was good. Waits for a turn that is under way; 3 s in all.

        Args:
            of: The answer, or its ``feedback_id``.
            rating: ``"GOOD"`` or ``"BAD"``.
            text: Why.
            details: More of it, at most 10 properties.
            **options: Of the call.

        Raises:
            InvalidArgumentError: At once; an answer without a ``feedback_id`` takes none.
            VoicekitError: As for ``send``; it may be repeated.
        """
        about = of.feedback_id if isinstance(of, AgentAnswer) else of
        about = some_text("of", about)
        word(*RATINGS)("rating", rating)
        if text is not None:
            some_text("text", text)
        if details is not None and len(fields("details", details)) > MOST_DETAILS:
            raise wrong("details", details, f"at most {MOST_DETAILS} properties")
        settings = RequestSettings().updated(options)
        body = feedback_body(about, rating, text, details)
        self._check()
        await self._client._feedback(self, body, settings)

    async def aclose(self, reason: str = "UserRequest") -> None:
        """End the conversation at the provider too, politely. Idempotent.

        Takes 3 s at most and does not fail: what becomes of the request is in the events.
        Cancelled, the request is abandoned. A turn that is under way is given up; as long as it
        runs at the provider, which answers 423 then, the request is repeated in the background,
        for 125 s at most and until the client is closed.

        Args:
            reason: ``"UserRequest"``, ``"Transfer"``, ``"Expiration"``, ``"Error"`` or
                ``"Other"``.

        Raises:
            InvalidArgumentError: There is no such reason.
        """
        word(*END_REASONS)("reason", reason)
        if self._closed:
            return
        self._closed = True
        self._client._forget(self)
        self._turns.close()
        if not self._gone:
            await self._client._end(self._id, reason)

    def detach(self) -> None:
        """Let it go without ending it: another process goes on with its ``id``. Idempotent.

        It takes no more turns here; the one that is under way goes on to its end.
        """
        self._closed = True
        self._client._forget(self)

    async def __aenter__(self) -> Self:
        self._check()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self.ended else "open"
        return f"<{type(self).__name__} {state}>"

    # -- what a turn needs --

    def _message(self, text: str | MessageRequest, options: Mapping[str, Any]) -> MessageRequest:
        if isinstance(text, MessageRequest):
            no_options(options, allowed="in message_request()")
            request = text
        else:
            request = self._client._family(MessageSettings).updated(options).request(text)
        self._check()
        return request

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the session is closed", provider=PROVIDER)
        if self._gone:
            raise ClosedError("the agent has ended the session", provider=PROVIDER)

    async def _enter(self, operation: Operation, request: MessageRequest) -> tuple[Call, Transport]:
        """Begin a call, and wait for its turn and for a token."""
        client = self._client
        call = client._call(operation, request)
        call.pipeline = self._around(call.pipeline)
        await self._turns.enter(call)
        turn = Turn(self._turns, client.transport, call)
        try:
            self._check()
        except ClosedError as error:
            call.end(error)
            raise
        await client._ready(call)
        return call, cast("Transport", turn)  # of which nothing but send() is asked

    def _around(self, pipeline: Pipeline | None) -> Pipeline:
        known, made = self._pipelines
        if known is None or known is not pipeline:
            inner = () if pipeline is None else pipeline.policies
            made = Pipeline((self._resend, *inner, PATIENCE))
            self._pipelines = pipeline, made
        return made

    async def _prepare(self, request: MessageRequest, *, stream: bool) -> Request:
        token = await self._client._credential.get()
        number = self._numbers.next()
        url = self._client.api_url
        return message_request(url, token, self._id, request, number, stream=stream)

    def _read(self, value: dict[str, Any], response: Response) -> tuple[WholeTurn, Response]:
        messages = WholeTurn(response.headers, self._id)
        try:
            messages.read(value)
        finally:
            self._took(messages)
        return messages, response

    async def _open(self, request: MessageRequest) -> Opened[Any]:
        self._check()
        call, turn = await self._enter(STREAM_MESSAGE, request)

        def decoder(response: Response) -> TurnDecoder:
            check_type(response, ("event-stream",))
            reads = TurnDecoder(response.headers, self._id)
            cast("Held", response).decoder = reads
            call.at_end(lambda: self._took(reads))
            return reads

        prepare = partial(self._prepare, request, stream=True)
        return await open_stream(turn, call, prepare, self._dialect, decoder)

    def _took(self, messages: Messages) -> None:
        self.ended = self.ended or messages.ended
        self._gone = self._gone or messages.gone

    async def _replace(self, lost: str, call: Call) -> None:
        """Go on in a new session with the same start, for ``call``, which needs one."""
        self._check()
        if self._id == lost:
            left = call.remaining()
            try:
                async with asyncio.timeout(left):
                    fresh = await self._client._start_again(self._request)
            except TimeoutError as error:
                if isinstance(error, VoicekitError):
                    raise
                raise call.total_timeout() from None
            if self._closed:
                self._client._background.spawn(fresh.aclose(), "voicekit-end-session")
                self._check()
            self._id = fresh._id
            self.replaced += 1
            self.raw, self.headers = fresh.raw, fresh.headers
            call.emit(events.SessionReplaced, error="SessionLostError")

    # -- who holds it --

    async def _let_go(self, *, last: bool = True) -> None:
        """One holder less; the last one ends it."""
        self._holders -= 1
        if last and self._holders <= 0:
            await self.aclose()


if TYPE_CHECKING:
    _conforms: type[interfaces.AgentSession] = AgentforceSession
