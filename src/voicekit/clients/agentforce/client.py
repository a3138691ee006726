"""``AgentforceClient``: agents of one Salesforce org."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, Unpack
from urllib.parse import urlencode

from voicekit import checks
from voicekit.clients.agentforce.config import (
    MessageSettings,
    RequestSettings,
    SessionSettings,
    domain_of,
)
from voicekit.clients.agentforce.conversing import Conversations
from voicekit.clients.agentforce.errors import DIALECT, PROVIDER
from voicekit.clients.agentforce.opening import Openers
from voicekit.clients.agentforce.operations import ALL, STATUS
from voicekit.clients.agentforce.options import MessageDefaults, SessionDefaults
from voicekit.clients.agentforce.protocol import api_request
from voicekit.clients.agentforce.tokens import TOKEN, App, TokenClient, TokenCredential, Tokens
from voicekit.clients.base import ApiKey, CallOptions, Credential, by_name
from voicekit.clients.execute import fetch_json
from voicekit.errors import (
    ConnectError,
    InvalidArgumentError,
    MissingCredentialError,
    VoicekitError,
    WrongLoopError,
)
from voicekit.tasks import Background

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voicekit import interfaces
    from voicekit.clients.health import Health
    from voicekit.clients.settings import Settings
    from voicekit.events import Observer
    from voicekit.operation import Limits, Operation
    from voicekit.pipeline import Pipeline
    from voicekit.resilience.breaker import Breaker
    from voicekit.resilience.policies import Policies
    from voicekit.resilience.scopes import Scopes
    from voicekit.timing import ConnectionInfo, Timings
    from voicekit.transport.config import PoolConfig, WarmReport
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request
    from voicekit.transport.transport import Transport

_GOODBYE: Final = 3.0
"""Seconds that the end of a client's sessions may take, all together."""
_WARM_LIMIT: Final = 10.0


class ClientOptions(SessionDefaults, total=False):
    """Defaults for every call: those of a session as they are, the others by family.

    Attributes:
        message: Of messages.
    """

    message: MessageDefaults


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """What the API says of itself.

    Attributes:
        up: Whether it is in service.
        timings: Where the time went.
        connection: Which connection carried it.
        attempts: How often it was asked for.
        hedged: Whether a second attempt was made beside a slow first one.
        request_id: For the provider's support.
        headers: Response headers.
        raw: The vendor's own object.
    """

    up: bool
    timings: Timings | None = field(default=None, compare=False, repr=False)
    connection: ConnectionInfo | None = field(default=None, compare=False, repr=False)
    attempts: int = field(default=0, compare=False, repr=False)
    hedged: bool = field(default=False, compare=False, repr=False)
    request_id: str | None = field(default=None, compare=False, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    raw: Any = field(default=None, compare=False, repr=False)


class AgentforceClient(Conversations):
    """Talk with the agents of a Salesforce org.

    Constructing does no I/O and needs no event loop. Every option of ``SessionDefaults``
    works here and in each session, and the session's wins; variables are merged by name.

    The access token is fetched when it is first needed, once for all who wait, and anew in
    the background before it ends.

    Args:
        api_key: An access token that somebody else fetches, or an async callable that returns
            the token for the next request; in place of ``client_id`` and ``client_secret``.
        client_id: Consumer key of the app; ``AGENTFORCE_CLIENT_ID`` by default.
        client_secret: Consumer secret of the app, or an async callable that returns it;
            ``AGENTFORCE_CLIENT_SECRET`` by default.
        domain: The org's My Domain, its name or its address; ``AGENTFORCE_DOMAIN`` by default.
        base_url: Where the API is, without its path; ``AGENTFORCE_BASE_URL`` by default, else
            where the token says, else ``https://api.salesforce.com``.
        transport: A transport to share; the client makes (and closes) its own otherwise.
        pool: Sizes and ages of its own transport's connections.
        ca: PEM file of certificate authorities for its own transport.
        proxy: ``http://[user:password@]host:port`` for its own transport.
        limits: Replaces the limits of an operation: ``"token"``, ``"open_session"``,
            ``"send"``, ``"stream_message"``, ``"end_session"``, ``"feedback"``, ``"status"``.
        policies: Around every operation, or around single ones, by the same names.
        observers: See every event of this client.
        **options: Defaults for every session; ``agent_id`` (``AGENTFORCE_AGENT_ID`` by
            default) unless each session names one. Those of messages are a mapping:
            ``message={"extra_headers": …}``.

    Raises:
        MissingCredentialError: The app or the org was not named, nor is in the environment.
        InvalidArgumentError: An argument or option is not allowed.

    Example:
        >>> async with AgentforceClient(domain="acme", agent_id="0XxHu000000XXXXKX4") as agents:
        ...     async with agents.open_session(key="whatsapp:+39…") as session:
        ...         async with session.stream_message("Where is my order?") as reply:
        ...             async for text in reply:
        ...                 print(text, end="")
    """

    families: ClassVar[Mapping[str, type[Settings]]] = {
        "session": SessionSettings,
        "message": MessageSettings,
    }
    operations: ClassVar[Mapping[str, Operation]] = by_name(*ALL)

    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        client_id: str | None = None,
        client_secret: ApiKey | None = None,
        domain: str | None = None,
        base_url: str | None = None,
        transport: Transport | None = None,
        pool: PoolConfig | None = None,
        ca: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] = (),
        **options: Unpack[ClientOptions],
    ) -> None:
        self._domain = domain_of(domain)
        self._api_url = base_url or os.environ.get("AGENTFORCE_BASE_URL") or None
        self._background = Background()
        self._openers = Openers(self._background)
        self._open = {}
        self._home: asyncio.AbstractEventLoop | None = None
        self._tokens, self._token_client = None, None
        app = None if api_key is not None else _app(self._domain, client_id, client_secret)
        if app is None and (client_id is not None or client_secret is not None):
            raise InvalidArgumentError(
                "is a token already",
                argument="api_key",
                allowed="a token, or an app and its secret",
            )
        if app is not None:
            self._tokens = Tokens(self._background, app.identity)
        super().__init__(
            credential=Credential(api_key, env="AGENTFORCE_API_KEY", provider=PROVIDER)
            if self._tokens is None
            else TokenCredential(self._tokens),
            base_url=self._api_url or self._domain,
            transport=transport,
            pool=pool,
            ca=ca,
            proxy=proxy,
            limits=limits,
            policies=policies,
            observers=observers,
            options=options,
        )
        if self._api_url is not None:
            self._api_url = self.base_url
        if self._tokens is not None and app is not None:
            self._token_client = TokenClient(
                app,
                base_url=self._domain,
                transport=self.transport,
                limits=_of_token(limits),
                policies=_of_token(policies),
                observers=observers,
            )
            self._tokens.fetch = self._token_client.fetch
            # A token is no property of a connection: those of the last one stay.
            self._credential.on_change = partial(_another_token, weakref.ref(self._scopes))

    def with_options(
        self,
        *,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """This client with other defaults; shares everything else, token and sessions above all.

        Closing it closes nothing; closing the client that it came from does.

        Raises:
            InvalidArgumentError: An option is not allowed.
        """
        return self._view(options, limits, policies, observers)

    async def status(self, **options: Unpack[CallOptions]) -> ServiceStatus:
        """Whether the API is in service. Limited to 2 s.

        Not in the reference (unverified that it stays); counts towards nothing known.

        Raises:
            VoicekitError: It does not answer, or not like that.
        """
        settings = RequestSettings().updated(options)
        call = self._call(STATUS, settings)
        try:
            await self._ready(call)
        except BaseException as error:
            call.end(error)
            raise
        query = settings.extra_query

        async def prepare() -> Request:
            return api_request(
                self.api_url,
                await self._credential.get(),
                "GET",
                "/status",
                query=urlencode(query, doseq=True) if query else "",
                headers=settings.extra_headers,
            )

        found = await fetch_json(self.transport, call, prepare, DIALECT, _read_status)
        return replace(found, request_id=call.request_id, **call.evidence())

    # -- warming ---------------------------------------------------------------------------------

    async def warm(
        self, n: int | None = None, /, *, strict: bool = False, sessions: int = 0
    ) -> WarmReport:
        """Have a token, and connections to the API; on request, sessions that are started.

        Token and connections are never billed. A started session may be (which event is, is
        not documented); ``open_session`` with the same options takes one of them. What is not
        taken within five minutes is ended. Limited to 10 s, and 10 s for the sessions.

        Args:
            n: How many connections; the pool's ``min_ready`` by default.
            strict: Raise when something failed, instead of saying so in the report.
            sessions: How many sessions to have ready, with this client's options.

        Raises:
            InvalidArgumentError: A number is too small, or no agent was named for sessions.
            ConnectError: ``strict``, and something failed.
            ClosedError: The client is closed.
        """
        checks.integer(0)("sessions", sessions)
        request = self.session_request() if sessions else None
        report = await super().warm(n, strict=strict)
        if request is None:
            return report
        started = time.monotonic()
        failures = await self._openers.ready(self, request, sessions, _WARM_LIMIT)
        if strict and failures:
            raise ConnectError(
                f"{len(failures)} sessions failed: " + ", ".join(sorted(set(failures))),
                provider=PROVIDER,
                operation="warm",
            )
        return replace(
            report,
            failures=(*report.failures, *failures),
            elapsed=report.elapsed + time.monotonic() - started,
        )

    def start_warming(self, n: int | None = None, /, *, sessions: int = 0) -> None:
        """``warm()`` in the background; returns at once. Needs a running event loop.

        Raises:
            InvalidArgumentError: A number is too small, or no agent was named for sessions.
            ClosedError: The client is closed.
        """
        n = self._count(n)
        checks.integer(0)("sessions", sessions)
        if sessions:
            self.session_request()
        if not self._used:
            self._begin()
        self._background.spawn(self._warm_quietly(n, sessions), "voicekit-warm-agentforce")

    async def _warm_quietly(self, n: int, sessions: int) -> None:
        with contextlib.suppress(VoicekitError):  # closed meanwhile; the rest is in the report
            await self.warm(n, sessions=sessions)

    async def _warm(self, n: int) -> WarmReport:
        started, failures = time.monotonic(), []
        if self._tokens is not None:
            try:
                await self._tokens.get(_WARM_LIMIT)
            except (VoicekitError, TimeoutError) as error:
                failures.append(type(error).__name__)
        report = await self.transport.warm(self.api_url, n)
        return replace(
            report,
            failures=(*failures, *report.failures),
            elapsed=time.monotonic() - started,
        )

    # -- policies, those of the token included -----------------------------------------------------

    def pipeline(self, operation: str, /) -> Pipeline:
        """See ``Client.pipeline``."""
        if operation == TOKEN.name and self._token_client is not None:
            return self._token_client.pipeline(operation)
        return super().pipeline(operation)

    def breaker(self, operation: str, /) -> Breaker:
        """See ``Client.breaker``."""
        if operation == TOKEN.name and self._token_client is not None:
            return self._token_client.breaker(operation)
        return super().breaker(operation)

    def health(self) -> Health:
        """See ``Client.health``."""
        health = super().health()
        if self._token_client is None:
            return health
        token = self._token_client.health()
        return replace(health, operations={**token.operations, **health.operations})

    def rotate_key(self, api_key: ApiKey) -> None:
        """Use this secret of the app (or this token, where one was given) from now on.

        The next request fetches a token with it. What is under way ends as it began.

        Raises:
            InvalidArgumentError: No header can hold it.
        """
        if self._tokens is None or self._token_client is None:
            super().rotate_key(api_key)
        else:
            self._token_client.rotate_key(api_key)
            self._tokens.clear()

    # -- the end ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        super()._begin()
        with contextlib.suppress(RuntimeError):
            self._home = asyncio.get_running_loop()

    async def aclose(self, drain: float = 0.0) -> None:
        """End all sessions politely, within 3 s, and free everything; may be called twice.

        Args:
            drain: Seconds that turns under way may take to end first.
        """
        if self._closed or self._source is not None:
            await super().aclose(drain)
            return
        if self._home is not None and self._home is not asyncio.get_running_loop():
            raise WrongLoopError("close a client in the event loop that opened it")
        try:
            await self._finish_turns(drain)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await self._say_goodbye()
        finally:
            try:
                await self._background.aclose()
            finally:
                if self._token_client is not None:
                    await self._token_client.aclose()
                await super().aclose()

    async def _finish_turns(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._busy():  # noqa: ASYNC110 - of many sessions
            await asyncio.sleep(0.02)

    def _busy(self) -> bool:
        return any(session._turns.busy for session in self._open.values())

    async def _say_goodbye(self) -> None:
        starting = self._openers.close()
        closing = [
            self._background.spawn(session.aclose(), "voicekit-end-session")
            for session in list(self._open.values())
        ]
        if tasks := [*starting, *closing]:
            await asyncio.wait(tasks)

    @property
    def in_use(self) -> bool:
        """Whether it holds anything that only ``aclose`` frees."""
        if super().in_use:
            return True
        holds = bool(len(self._background) or self._open)
        return self._used and not self._closed and self._source is None and holds

    def abandon(self) -> None:
        """As ``aclose``, for an owner who cannot wait; sessions end by themselves."""
        home = self._home
        if self._source is None and home is not None and not home.is_closed():
            home.call_soon_threadsafe(self._background.abandon)
        super().abandon()


def _app(domain: str, client_id: str | None, client_secret: ApiKey | None) -> App:
    """Who asks for tokens."""
    who = os.environ.get("AGENTFORCE_CLIENT_ID") if client_id is None else client_id
    if not who:
        raise MissingCredentialError(
            "no app: pass client_id= or set AGENTFORCE_CLIENT_ID", provider=PROVIDER
        )
    checks.text("client_id", who)
    secret = os.environ.get("AGENTFORCE_CLIENT_SECRET") if client_secret is None else client_secret
    if not secret:
        raise MissingCredentialError(
            "no secret: pass client_secret= or set AGENTFORCE_CLIENT_SECRET", provider=PROVIDER
        )
    return App(
        domain=domain,
        client_id=who,
        secret=Credential(secret, env="AGENTFORCE_CLIENT_SECRET", provider=PROVIDER),
    )


def _of_token(given: Any) -> Any:
    """What of the limits or policies by operation is the token's."""
    if isinstance(given, Mapping):
        return {name: value for name, value in given.items() if name == TOKEN.name}
    return given


def _another_token(scopes: weakref.ref[Scopes]) -> None:
    if (alive := scopes()) is not None:
        alive.credential_changed()


def _read_status(value: dict[str, Any], response: Response) -> ServiceStatus:
    said = value.get("status")
    up = isinstance(said, str) and said.upper() == "UP"
    return ServiceStatus(up=up, headers=response.headers, raw=value)


if TYPE_CHECKING:
    _conforms: type[interfaces.Agent] = AgentforceClient
