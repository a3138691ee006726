"""What sessions ask of their client: starts, ends, tokens, addresses."""

from __future__ import annotations

import builtins
import contextlib
import uuid
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Unpack

from voicekit.checks import encodable, text, text_up_to
from voicekit.clients.agentforce.config import (
    API_URL,
    MessageRequest,
    MessageSettings,
    RequestSettings,
    SessionRequest,
    SessionSettings,
)
from voicekit.clients.agentforce.errors import (
    DIALECT,
    PROVIDER,
    START_DIALECT,
    SessionBusyError,
)
from voicekit.clients.agentforce.opening import Opener, Openers, OpeningSession
from voicekit.clients.agentforce.operations import END_SESSION, FEEDBACK
from voicekit.clients.agentforce.protocol import (
    Started,
    end_request,
    feedback_request,
    read_start,
    start_request,
)
from voicekit.clients.agentforce.resending import PATIENCE
from voicekit.clients.agentforce.sessions import AgentforceSession
from voicekit.clients.agentforce.turns import SERVER_LIMIT
from voicekit.clients.base import Client
from voicekit.clients.execute import fetch, fetch_json
from voicekit.clients.settings import json_of
from voicekit.clients.urls import query_of
from voicekit.errors import ClosedError, TotalTimeout, VoicekitError
from voicekit.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voicekit.clients.agentforce.options import MessageOptions, SessionOptions
    from voicekit.clients.agentforce.tokens import Tokens
    from voicekit.operation import Call
    from voicekit.tasks import Background
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request

ENDING: Final = "voicekit-end-session"
"""Name of the tasks that end sessions."""
_DONE = frozenset({200, 201, 202, 204})
"""Reference, examples and other clients differ. Source: sheet §8 and §9."""


class Conversations(Client):
    """Sessions with agents, a part of ``AgentforceClient``."""

    provider: ClassVar[str] = PROVIDER

    _domain: str
    _api_url: str | None
    _client_id: str
    _tokens: Tokens | None
    _background: Background
    _openers: Openers
    _open: dict[int, AgentforceSession]
    """Sessions that nobody has closed yet, of this client and its views."""

    # -- for users --

    def session_request(self, **options: Unpack[SessionOptions]) -> SessionRequest:
        """Merge, validate and freeze; no I/O.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        return self._family(SessionSettings).updated(options).request(self._domain)

    def message_request(self, text: str, /, **options: Unpack[MessageOptions]) -> MessageRequest:
        """A message as a session of this client sends it; no I/O. Caches ask what is in it.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        return self._family(MessageSettings).updated(options).request(text)

    @property
    def identity(self) -> str:
        """Which agent of which org this client talks with, where, and by which app.

        An app acts as a user of its own: two may be told different things by one agent.
        """
        place = f"{self._domain} {self._api_url or ''} {self._client_id}"
        return f"{place} {self._family(SessionSettings).agent}"

    def open_session(
        self, key: str | None = None, **options: Unpack[SessionOptions]
    ) -> OpeningSession:
        """A conversation: await it, or enter it with ``async with``. No I/O before.

        Limits: connect 2 s, first output 10 s, total 15 s, of the start itself; whoever waits
        is bound by ``deadline()`` as well. Cancelled, the start goes on while somebody else
        waits for it; else it is not made, or ended in the background when it is there.

        Args:
            key: Whose it is. While one is being started for it, or was by ``start_session``,
                that one is joined: by whoever names no options or the same. A view with other
                defaults joins only what is the same.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle.
        """
        return OpeningSession(self._opening(key, options, kept=False))

    def start_session(
        self, key: str | None = None, **options: Unpack[SessionOptions]
    ) -> OpeningSession:
        """Open a session in the background, before somebody needs it; returns at once.

        The next ``open_session`` of that key gets it. Nobody does within five minutes, or the
        handle is closed: it is ended. Needs a running event loop.

        Args:
            key: Whose it is; without one, only the handle returned leads to it.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: At once; everything else is raised by who takes it.
        """
        handle = OpeningSession(self._opening(key, options, kept=True))
        handle._ahead()
        return handle

    async def resume_session(
        self,
        id: str,  # noqa: A002 - what it is called on a session
        /,
        *,
        key: str | None = None,
        **options: Unpack[SessionOptions],
    ) -> AgentforceSession:
        """Go on with a session that is open at the provider, such as another process's. No I/O.

        It has no greeting. Whether the provider still knows it shows with the next turn: if
        not, a new one takes its place, with these options.

        Args:
            id: The session's ``id``.
            key: Whose it is.
            **options: With what one would be started in its place.

        Raises:
            InvalidArgumentError: The id or an option is not allowed.
            ClosedError: The client is closed.
        """
        request = self.session_request(**options)
        started = Started(
            id=encodable("id", text_up_to(256)("id", id)), greeting="", raw={}, headers={}
        )
        if self._closed:
            raise ClosedError("the client is closed", provider=PROVIDER)
        session = AgentforceSession(self, request, started, None)
        session.key = None if key is None else text("key", key)
        self._open[builtins.id(session)] = session
        return session

    def _opening(
        self, key: str | None, options: Mapping[str, Any], *, kept: bool
    ) -> Callable[[], Opener]:
        if key is not None:
            text("key", key)
        request = self.session_request(**options)
        return partial(self._openers.open, self, request, key, like=not options, kept=kept)

    @property
    def api_url(self) -> str:
        """Where the API is: what was given, else what the token says, else Salesforce's own."""
        if self._api_url is not None:
            return self._api_url
        grant = None if self._tokens is None else self._tokens.grant
        return API_URL if grant is None else grant.api_url

    # -- for sessions --

    async def _ready(self, call: Call) -> None:
        """Have a token before the first attempt: policies of ours need not repeat its own.

        Raises:
            TotalTimeout: The call has no time for that; it has ended, as with the other errors.
            VoicekitError: There is none; nothing was sent.
        """
        if self._tokens is None:
            return
        left = call.remaining()
        try:
            await self._tokens.get(None if left is None else max(left, 0.0))
        except BaseException as error:
            if isinstance(error, TimeoutError) and not isinstance(error, VoicekitError):
                late = call.total_timeout()
                call.end(late)
                raise late from None
            call.end(error)
            raise

    async def _asks(self, make: Callable[..., Request], *args: Any, **options: Any) -> Request:
        """A request of the API, with the token in force, and where that says that the API is."""
        token = await self._credential.get()
        return make(self.api_url, token, *args, **options)

    async def _act(self, call: Call, make: Callable[..., Request], *args: Any) -> None:
        """Have something done that is answered with nothing, as soon as the session is free."""
        call.pipeline = _patient(call.pipeline)
        await self._ready(call)
        prepare = partial(self._asks, make, *args)
        await fetch(self.transport, call, prepare, DIALECT, _nothing, status=_DONE)

    async def _start(self, request: SessionRequest, call: Call) -> AgentforceSession:
        async def prepare() -> Request:
            return await self._asks(start_request, request, str(uuid.uuid4()))

        await self._ready(call)
        started = await fetch_json(self.transport, call, prepare, START_DIALECT, _read_start)
        session = AgentforceSession(self, request, started, call)
        self._open[id(session)] = session
        return session

    async def _start_again(self, request: SessionRequest) -> AgentforceSession:
        """Another session like that one, which takes the place of one that was lost.

        Cancelled, it is ended in the background when it is there.
        """
        fresh = await Opener(self._openers, self, request, None, kept=False).join()
        self._forget(fresh)
        return fresh

    async def _end(self, session: str, reason: str) -> None:
        """End a session; one that is not there any more is ended.

        A turn that was given up runs on at the provider, and locks its session against this too:
        the emulator answers 423; that the vendor does is unverified. It is asked on then, until
        no turn runs any more, by a task of the client's.
        """
        # What becomes of it is in the events; a session ends by itself as well.
        with contextlib.suppress(VoicekitError):
            try:
                await self._act(self._call(END_SESSION), end_request, session, reason)
            except (SessionBusyError, TotalTimeout) as error:
                # Out of time while it was asked again, too.
                if error.attempts > 1 or isinstance(error, SessionBusyError):
                    self._background.spawn(self._end_later(session, reason), ENDING)

    async def _end_later(self, session: str, reason: str) -> None:
        limits = self._limits.get(END_SESSION.name) or END_SESSION.limits
        # It takes no place from calls that somebody waits for.
        policies = replace(self._policies_for(END_SESSION.name), limit=None)
        with contextlib.suppress(VoicekitError):
            call = self._call(END_SESSION, limits=replace(limits, total=SERVER_LIMIT))
            call.pipeline = self._scopes.pipeline(END_SESSION, policies)
            await self._act(call, end_request, session, reason)

    async def _feedback(
        self, session: AgentforceSession, body: dict[str, Any], settings: RequestSettings
    ) -> None:
        content = json_of({**body, **settings.extra_body}, "details or extra_body").encode()
        query = query_of(settings.extra_query)
        call = self._call(FEEDBACK, settings)
        await session._turns.enter(call)
        call.at_end(session._turns.leave)
        await self._act(call, feedback_request, session.id, content, query, settings.extra_headers)

    def _forget(self, session: AgentforceSession) -> None:
        self._open.pop(id(session), None)


def _patient(pipeline: Pipeline | None) -> Pipeline:
    inner = () if pipeline is None else pipeline.policies
    return Pipeline((*inner, PATIENCE))


def _read_start(value: dict[str, Any], response: Response) -> Started:
    return read_start(value, response.headers)


def _nothing(_body: bytes, _response: Response) -> None:
    return None
