"""Short-lived access tokens, a part of ``DeepgramClient``."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Unpack

from voicekit import checks
from voicekit.clients.base import CallOptions
from voicekit.clients.deepgram.authorized import Authorized
from voicekit.clients.deepgram.config import ListenSettings, query_of
from voicekit.clients.deepgram.errors import DIALECT, PROVIDER
from voicekit.clients.execute import fetch_json
from voicekit.clients.settings import Settings, json_of
from voicekit.errors import RemoteProtocolError
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.speech.evidence import Evidence

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo, Timings
    from voicekit.transport.interfaces import Response

GRANT_PATH: Final = "/v1/auth/grant"

GRANT_TOKEN: Final = Operation(
    # Not PURE: each time makes a token. One that nobody uses costs nothing, and ends soon.
    provider=PROVIDER,
    name="grant_token",
    kind=OperationClass.IDEMPOTENT,
    limits=Limits(connect=2.0, first_output=10.0, total=10.0),
)

# Source: sheet §1; the upper bound is unverified.
_MAX_TTL_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken(Evidence):
    """A token that stands in place of a key for a while. Never shows it.

    Good for transcription and speech, not for the management of an account, nor for
    granting others. Only what begins before ``expires_at`` needs it: an open socket outlives
    its token.

    Attributes:
        token: For ``DeepgramClient(access_token=…)``, or a browser's socket.
        expires_in: Seconds from when it was granted.
        expires_at: Seconds since the epoch; counted from before it was asked for, so rather
            too early.
        raw: The provider's own object, without the token.
    """

    token: str = field(repr=False)
    expires_in: float
    expires_at: float
    request_id: str | None = None
    timings: Timings | None = field(default=None, compare=False)
    connection: ConnectionInfo | None = field(default=None, compare=False)
    attempts: int = field(default=0, compare=False)
    hedged: bool = field(default=False, compare=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    raw: Any = field(default=None, repr=False, compare=False)


class TokenGrants(Authorized):
    """Grants tokens to those who must not see the key."""

    async def grant_token(
        self, ttl_seconds: float = 30, **options: Unpack[CallOptions]
    ) -> AccessToken:
        """A token for whoever must not see the key: a browser, a phone, a worker.

        Needs a key of a member of the project, or above. Limits: connect 2 s; 10 s for the
        answer. Cancelled, a token may have been granted all the same; it ends by itself.

        Args:
            ttl_seconds: How long it is good for, in seconds: more than 0, at most 3600.
            **options: The escape hatches, the limits and the policies of this call.

        Raises:
            InvalidArgumentError: Before any I/O.
            AuthenticationError: The key is wrong, or may not grant tokens; nor may a token.
            VoicekitError: As every call; see ``errors``.

        Example:
            The key stays with one client, and another lives on tokens:

            >>> granting = DeepgramClient()
            >>> async def fresh() -> str:
            ...     return (await granting.grant_token(60)).token
            >>> stt = DeepgramClient(access_token=fresh)

            ``fresh`` is asked before each request and each socket. One that keeps the last
            token until shortly before its ``expires_at`` saves the round trip.
        """
        ttl = checks.number(0.001, _MAX_TTL_S)("ttl_seconds", ttl_seconds)
        everywhere = self._family(ListenSettings)
        settings = _GrantSettings(
            extra_headers=everywhere.extra_headers, extra_query=everywhere.extra_query
        ).updated(options)
        body = json_of({"ttl_seconds": ttl, **settings.extra_body}, "extra_body").encode()
        query = query_of({}, settings)
        target = GRANT_PATH + (f"?{query}" if query else "")
        prepare = partial(self._post, target, settings.extra_headers, "application/json", body)
        asked_at = time.time()
        call = self._call(GRANT_TOKEN, settings)
        token = await fetch_json(
            self.transport,
            call,
            prepare,
            DIALECT,
            partial(_read, asked_at),
        )
        return replace(token, request_id=call.request_id, **call.evidence())


class _GrantSettings(Settings):
    """No options but the escape hatches."""

    purpose = "a grant"
    option_checks: ClassVar[Mapping[str, checks.Check]] = {}


def _read(asked_at: float, answer: Mapping[str, Any], response: Response) -> AccessToken:
    token, lasts = answer.get("access_token"), answer.get("expires_in")
    if not checks.is_header_text(token) or not token:
        raise RemoteProtocolError("the answer holds no access_token")
    if not checks.is_number(lasts) or not 0 <= lasts < math.inf:
        raise RemoteProtocolError("the answer does not say when its token ends")
    return AccessToken(
        token=token,
        expires_in=lasts,
        expires_at=asked_at + lasts,
        headers=response.headers,
        raw={name: each for name, each in answer.items() if name != "access_token"},
    )
