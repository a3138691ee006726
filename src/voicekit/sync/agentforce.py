"""``AgentforceClient``, blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, Unpack

from voicekit.clients import agentforce
from voicekit.clients.agentforce.client import ClientOptions
from voicekit.events import Observer
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.sync.client import Client, Transport, declared, viewing
from voicekit.sync.delegation import Evidence, Facade, Part, blocking, directly, on_loop
from voicekit.sync.handles import AgentReply
from voicekit.sync.keys import ApiKey
from voicekit.timing import ConnectionInfo, Timings
from voicekit.transport.config import PoolConfig

__all__ = ["AgentforceClient", "AgentforceSession", "OpeningSession"]


class AgentforceSession(Part):
    """See ``voicekit.clients.agentforce.AgentforceSession``.

    To be used from any thread; a turn waits for the one before it.
    """

    id = Evidence(agentforce.AgentforceSession.id)
    greeting = Evidence(agentforce.AgentforceSession.greeting)
    closed = Evidence(agentforce.AgentforceSession.closed)
    key = Evidence[str | None](doc="Whose it is, if a name was given.")
    ended = Evidence[bool](doc="The agent ended it, or handed it over to a person.")
    replaced = Evidence[int](doc="How often a new one took its place.")
    timings = Evidence[Timings | None](doc="Where the time of its start went.")
    connection = Evidence[ConnectionInfo | None](doc="Which connection carried that.")
    attempts = Evidence[int](doc="How often it was put on a wire.")
    request_id = Evidence[str | None](doc="The id of that request.")
    headers = Evidence[Mapping[str, str]](doc="Its response headers.")
    raw = Evidence[Any](doc="The provider's own object.")

    send = blocking(agentforce.AgentforceSession.send)
    feedback = blocking(agentforce.AgentforceSession.feedback)
    detach = on_loop(agentforce.AgentforceSession.detach)

    def stream_message(
        self, text: str | agentforce.MessageRequest, /, **options: Unpack[agentforce.MessageOptions]
    ) -> AgentReply:
        """See ``voicekit.clients.agentforce.AgentforceSession.stream_message``."""
        return AgentReply(self, self._inner.stream_message(text, **options))

    def close(self, reason: str = "UserRequest") -> None:
        """End the conversation at the provider too, politely. Idempotent.

        Args:
            reason: ``"UserRequest"``, ``"Transfer"``, ``"Expiration"``, ``"Error"`` or
                ``"Other"``.
        """
        self._portal.run(self._inner.aclose, reason)

    def __enter__(self) -> Self:
        self._portal.run(self._inner.__aenter__)
        return self


class OpeningSession(Part):
    """See ``voicekit.clients.agentforce.OpeningSession``: ``session()``, or ``with``."""

    def __init__(self, client: Facade, inner: agentforce.OpeningSession) -> None:
        super().__init__(client, inner)
        self._opened: AgentforceSession | None = None

    def session(self) -> AgentforceSession:
        """The session, which is opened when it is first asked for."""
        opened = self._portal.run(self._inner.session)
        if self._opened is None:
            self._opened = AgentforceSession(self._client, opened)
        return self._opened

    def close(self) -> None:
        """End the session, or give it up where it is not there yet. Idempotent."""
        self._portal.run(self._inner.aclose)

    def __enter__(self) -> AgentforceSession:
        return self.session()


class AgentforceClient(Client[agentforce.AgentforceClient]):
    """See ``voicekit.AgentforceClient``; here everything blocks."""

    _kind = agentforce.AgentforceClient

    @declared
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
    ) -> None: ...

    with_options = viewing(agentforce.AgentforceClient.with_options)

    api_url = Evidence(agentforce.AgentforceClient.api_url)
    identity = Evidence(agentforce.AgentforceClient.identity)
    session_request = directly(agentforce.AgentforceClient.session_request)
    message_request = directly(agentforce.AgentforceClient.message_request)
    status = blocking(agentforce.AgentforceClient.status)
    warm = blocking(agentforce.AgentforceClient.warm)
    start_warming = on_loop(agentforce.AgentforceClient.start_warming)
    pipeline = on_loop(agentforce.AgentforceClient.pipeline)
    breaker = on_loop(agentforce.AgentforceClient.breaker)
    health = on_loop(agentforce.AgentforceClient.health)

    def open_session(
        self, key: str | None = None, **options: Unpack[agentforce.SessionOptions]
    ) -> OpeningSession:
        """See ``voicekit.AgentforceClient.open_session``: enter it, or ask for its session()."""
        return OpeningSession(self, self._inner.open_session(key, **options))

    def resume_session(
        self,
        id: str,  # noqa: A002 - the asynchronous one's name
        /,
        *,
        key: str | None = None,
        **options: Unpack[agentforce.SessionOptions],
    ) -> AgentforceSession:
        """See ``voicekit.AgentforceClient.resume_session``."""
        found = self._portal.run(self._inner.resume_session, id, key=key, **options)
        return AgentforceSession(self, found)

    def start_session(
        self, key: str | None = None, **options: Unpack[agentforce.SessionOptions]
    ) -> OpeningSession:
        """See ``voicekit.AgentforceClient.start_session``."""
        return OpeningSession(self, self._portal.call(self._inner.start_session, key, **options))
