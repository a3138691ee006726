"""Whether the API is in service, a part of ``AgentforceClient``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from voicekit.clients.agentforce.config import RequestSettings
from voicekit.clients.agentforce.conversing import Conversations
from voicekit.clients.agentforce.errors import DIALECT
from voicekit.clients.agentforce.operations import STATUS
from voicekit.clients.agentforce.protocol import api_request
from voicekit.clients.execute import fetch_json
from voicekit.clients.record import Record
from voicekit.clients.urls import query_of

if TYPE_CHECKING:
    from voicekit.clients.base import CallOptions
    from voicekit.transport.interfaces import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus(Record):
    """What the API says of itself.

    Attributes:
        up: Whether it is in service.
    """

    up: bool


class Service(Conversations):
    """What the API says of itself."""

    async def status(self, **options: Unpack[CallOptions]) -> ServiceStatus:
        """Whether the API is in service. Limited to 2 s.

        Not in the reference (unverified that it stays); counts towards nothing known.

        Raises:
            VoicekitError: It does not answer, or not like that.
        """
        settings = RequestSettings().updated(options)
        query, headers = query_of(settings.extra_query), settings.extra_headers
        call = self._call(STATUS, settings)
        await self._ready(call)
        prepare = partial(self._asks, api_request, "GET", "/status", query=query, headers=headers)
        found = await fetch_json(self.transport, call, prepare, DIALECT, _read_status)
        return replace(found, request_id=call.request_id, **call.evidence())


def _read_status(value: dict[str, Any], response: Response) -> ServiceStatus:
    said = value.get("status")
    up = isinstance(said, str) and said.upper() == "UP"
    return ServiceStatus(up=up, headers=response.headers, raw=value)
