"""``AgentforceClient``: agents of one Salesforce org."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, Unpack

from voicekit import checks
from voicekit.clients.agentforce.config import (
    MessageSettings,
    SessionSettings,
    domain_of,
    given_or_set,
)
from voicekit.clients.agentforce.conversing import ENDING
from voicekit.clients.agentforce.errors import PROVIDER
from voicekit.clients.agentforce.opening import Openers
from voicekit.clients.agentforce.operations import ALL
from voicekit.clients.agentforce.options import MessageDefaults, SessionDefaults
from voicekit.clients.agentforce.service import Service
from voicekit.clients.agentforce.tokens import TOKEN, App, TokenClient, TokenCredential, Tokens
from voicekit.clients.agentforce.warming import Warming
from voicekit.clients.base import ApiKey, Credential, by_name
from voicekit.errors import InvalidArgumentError, WrongLoopError
from voicekit.tasks import Background

if TYPE_CHECKING:
    from voicekit import interfaces
    from voicekit.clients.health import Health
    from voicekit.clients.settings import Settings
    from voicekit.events import Observer
    from voicekit.operation import Limits, Operation
    from voicekit.pipeline import Pipeline
    from voicekit.resilience.breaker import Breaker
    from voicekit.resilience.policies import Policies
    from voicekit.resilience.scopes import Scopes
    from voicekit.transport.config import PoolConfig
    from voicekit.transport.transport import Transport

_GOODBYE: Final = 3.0
"""Seconds that the end of a client's sessions may take, all together."""


class ClientOptions(SessionDefaults, total=False):
    """Defaults for every call: those of a session as they are, the others by family.

    Attributes:
        message: Of messages.
    """

    message: MessageDefaults


class AgentforceClient(Warming, Service):
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
        self._client_id = "" if app is None else app.client_id
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

    # -- policies, those of the token included --

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
        if self._token_client is None or self._tokens is None:
            return health
        token, credential = self._token_client.health(), health.credential
        refused = credential is not None and credential.state != "closed"  # the token itself
        return replace(
            health,
            operations={**token.operations, **health.operations},
            credential=credential if refused else token.credential or credential,
            token=self._tokens.in_force and not refused,
        )

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
            self._credential.on_change()

    # -- the end --

    def _begin(self) -> None:
        super()._begin()
        with contextlib.suppress(RuntimeError):
            self._home = asyncio.get_running_loop()

    async def aclose(self, drain: float = 0.0) -> None:
        """End all sessions politely, within 3 s, and free everything; may be called twice.

        Args:
            drain: Seconds that turns under way may take to end first.

        Raises:
            InvalidArgumentError: ``drain`` is no number ≥ 0; nothing is closed.
        """
        checks.number(0.0)("drain", drain)
        if self._closed or self._source is not None:
            await super().aclose(drain)
            return
        if self._home is not None and self._home is not asyncio.get_running_loop():
            raise WrongLoopError("close a client in the event loop that opened it")
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(super().aclose)
            if self._token_client is not None:
                stack.push_async_callback(self._token_client.aclose)
            stack.push_async_callback(self._background.aclose)
            await self._finish_turns(drain)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await self._say_goodbye()

    async def _finish_turns(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(  # noqa: ASYNC110 - of many sessions
            session._turns.busy for session in self._open.values()
        ):
            await asyncio.sleep(0.02)

    async def _say_goodbye(self) -> None:
        starting = self._openers.close()
        for session in list(self._open.values()):
            self._background.spawn(session.aclose(), ENDING)
        if starting:
            await asyncio.wait(starting)
        # Those of sessions that were closed before, too, and what they leave to the background.
        while tasks := [task for task in self._background.tasks if task.get_name() == ENDING]:
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
    who = given_or_set("app", "client_id", client_id)
    checks.encodable("client_id", checks.text("client_id", who))
    secret = given_or_set("secret", "client_secret", client_secret)
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


if TYPE_CHECKING:
    _conforms: type[interfaces.Agent] = AgentforceClient
