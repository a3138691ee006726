"""Whether the API is in service, a part of ``AgentforceClient``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Unpack

from voicekit.clients.agentforce.config import RequestSettings
from voicekit.clients.agentforce.conversing import Conversations
from voicekit.clients.agentforce.errors import DIALECT
from voicekit.clients.agentforce.operations import STATUS
from voicekit.clients.agentforce.protocol import api_request
from voicekit.clients.execute import fetch_json
from voicekit.clients.urls import query_of

if TYPE_CHECKING:
    from voicekit.clients.base import CallOptions
    from voicekit.timing import ConnectionInfo, Timings
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request


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


class Service(Conversations):
    """What the API says of itself."""

    async def status(self, **options: Unpack[CallOptions]) -> ServiceStatus:
        """Whether the API is in service. Limited to 2 s.

        Not in the reference (unverified that it stays); counts towards nothing known.

        Raises:
            VoicekitError: It does not answer, or not like that.
        """
        settings = RequestSettings().updated(options)
        query = query_of(settings.extra_query)
        call = self._call(STATUS, settings)
        try:
            await self._ready(call)
        except BaseException as error:
            call.end(error)
            raise

        async def prepare() -> Request:
            return api_request(
                self.api_url,
                await self._credential.get(),
                "GET",
                "/status",
                query=query,
                headers=settings.extra_headers,
            )

        found = await fetch_json(self.transport, call, prepare, DIALECT, _read_status)
        return replace(found, request_id=call.request_id, **call.evidence())


def _read_status(value: dict[str, Any], response: Response) -> ServiceStatus:
    said = value.get("status")
    up = isinstance(said, str) and said.upper() == "UP"
    return ServiceStatus(up=up, headers=response.headers, raw=value)
