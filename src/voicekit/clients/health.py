"""How a client does: what its policies have seen, and its connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicekit.resilience.credential_circuit import CredentialStats
    from voicekit.resilience.limit import LimitStats
    from voicekit.resilience.scopes import OperationHealth
    from voicekit.transport.config import PoolStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A snapshot of one client, for a status page or a test. Holds names and counts, no secret.

    Attributes:
        provider: Whose service it is.
        operations: Those that were called, with what their policies have seen.
        limit: Calls under way and waiting, of the credential; None without a limit, or before
            the first call.
        credential: Whether the credential is refused; None as for the limit.
        pool: The connections.
        token: Whether a token is in force, with which calls go on although no other is given
            out; None where none is fetched.
    """

    provider: str
    operations: Mapping[str, OperationHealth]
    limit: LimitStats | None
    credential: CredentialStats | None
    pool: PoolStats
    token: bool | None = None
