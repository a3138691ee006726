"""What comes back of speech whose audio goes elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicekit.errors import RemoteProtocolError
from voicekit.speech.evidence import Evidence
from voicekit.timing import ConnectionInfo, Timings

if TYPE_CHECKING:
    from voicekit.transport.interfaces import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSpeech(Evidence):
    """Speech that the vendor has accepted, and sends to a callback.

    Attributes:
        request_id: The vendor's id, which comes with the audio, too.
        raw: The answer as it came.
    """

    request_id: str
    timings: Timings = field(default_factory=Timings)
    connection: ConnectionInfo | None = None
    attempts: int = 0
    hedged: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read_pending(answer: Mapping[str, Any], response: Response) -> PendingSpeech:
    """The answer to a request with a callback.

    Raises:
        RemoteProtocolError: It names no request.
    """
    request_id = answer.get("request_id")
    if not isinstance(request_id, str):
        raise RemoteProtocolError("the answer names no request")
    return PendingSpeech(request_id=request_id, headers=response.headers, raw=answer)
