"""The ids of sessions in a storage, for agents that can go on with a session by its id."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from voicekit.cache.keys import Keys
from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from voicekit.cache.storage import Storage
    from voicekit.tasks import Background

__all__ = ["SessionIds"]

_WITHIN: Final = 0.5
"""How long the storage may take, in seconds; opening a session takes about one."""

_log = logging.getLogger("voicekit.cache")


class SessionIds:
    """Keeps the id of a session under a digest of its conversation's key, never more.

    The seam, which an agent may implement: ``resume_session(id, *, key)`` returns what
    ``open_session`` does, and raises a ``VoicekitError`` where there is no such session any
    more; its sessions have an ``id``. Without it, or without a storage, this does nothing.

    Attributes:
        resumptions: How many sessions were gone on with.
        failures: How often the storage failed.
    """

    def __init__(
        self,
        agent: Any,
        storage: Storage | None,
        *,
        provider: str,
        ttl: float,
        secret: str | bytes | None,
    ) -> None:
        self._resume = getattr(agent, "resume_session", None)
        self._storage = storage if callable(self._resume) else None
        self._scope = provider, str(getattr(agent, "identity", ""))
        self._keys = Keys("session", secret, storage=storage)
        self._ttl = ttl
        self._kept_at: dict[str, float] = {}
        self._keeping: dict[str, asyncio.Task[Any]] = {}
        self.resumptions = 0
        self.failures = 0

    def _place(self, key: str) -> str:
        return self._keys.of(*self._scope, key)

    async def resumed(self, key: str) -> Any:
        """The session that another process has opened for this conversation, or None."""
        kept = await self._ask("get", self._place(key))
        if not isinstance(kept, bytes) or self._resume is None:
            return None
        try:
            session = await self._resume(kept.decode(), key=key)
        except (VoicekitError, UnicodeDecodeError):
            return None  # gone; a new one is opened
        self.resumptions += 1
        return session

    async def keep(self, key: str, session: Any) -> None:
        """Keep the id of this session."""
        name = getattr(session, "id", None)
        if isinstance(name, str) and name:
            self._kept_at[key] = time.monotonic()
            await self._ask("put", self._place(key), name.encode(), ttl=self._ttl)

    def touch(self, key: str, session: Any, background: Background) -> None:
        """It was used: keep it for longer, now and then."""
        kept_at = self._kept_at.get(key)
        if kept_at is None or key in self._keeping:
            return
        if time.monotonic() - kept_at > self._ttl / 4:
            keeping = background.spawn(self.keep(key, session), "voicekit-keep-session-id")
            self._keeping[key] = keeping
            keeping.add_done_callback(lambda _: self._keeping.pop(key, None))

    async def forget(self, key: str) -> None:
        """It is over."""
        if (keeping := self._keeping.get(key)) is not None:
            await asyncio.wait([keeping])  # or it would be kept behind our back
        if self._kept_at.pop(key, None) is not None:
            await self._ask("delete", self._place(key))

    async def _ask(self, method: str, *args: Any, **options: Any) -> Any:
        if self._storage is None:
            return None
        try:
            async with asyncio.timeout(_WITHIN):
                return await getattr(self._storage, method)(*args, **options)
        except Exception as error:  # noqa: BLE001 - whatever it raises, a session goes without
            self.failures += 1
            _log.warning("storage of session ids failed: %s", type(error).__name__)
            return None
