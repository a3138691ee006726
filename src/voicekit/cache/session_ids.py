"""The ids of sessions in a storage, for agents that can go on with a session by its id."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakValueDictionary

from voicekit.cache.keys import Keys
from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from voicekit.cache.storage import Storage
    from voicekit.tasks import Background

_WITHIN: Final = 0.5
"""How long the storage may take, in seconds; opening a session takes about one."""

_FAILED: Final = object()
"""The storage does not tell."""

Why = Literal["over", "unused", "left"]

_log = logging.getLogger("voicekit.cache")


class SessionIds:
    """Keeps the id of a session under a digest of its conversation's key, never more.

    Beside the id stands which store was the last to use it, and it is kept for ``ttl`` from then:
    what is not there any more nobody uses, and what another store has used is that one's to end.

    The seam, which an agent may implement: ``resume_session(id, *, key)`` returns what
    ``open_session`` does, and raises a ``VoicekitError`` where there is no such session any
    more; its sessions have an ``id``, and ``detach()`` where their agent ends what is left open
    when it is closed. Without it, or without a storage, this does nothing.

    Attributes:
        lasting: What is kept outlives this process, by what the storage says that it is.
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
        self.lasting = self._storage is not None and self._storage.stats().kind != "memory"
        self._scope = provider, str(getattr(agent, "identity", ""))
        self._keys = Keys("session", secret, storage=storage)
        self._ttl = ttl
        self._us = secrets.token_hex(8)
        # By key: whose id it is, and what was kept.
        self._kept: dict[str, tuple[Any, bytes]] = {}
        self._touching: set[str] = set()
        # What concerns one entry is done one after the other.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.resumptions = 0
        self.failures = 0

    def _place(self, key: str) -> str:
        return self._keys.of(*self._scope, key)

    def _alone(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def resumed(self, key: str) -> Any:
        """The session that was opened for this conversation and is still kept, or None."""
        async with self._alone(key):
            kept = await self._ask("get", self._place(key))
        if not isinstance(kept, bytes) or self._resume is None:
            return None
        try:
            session = await self._resume(_id_in(kept).decode(), key=key)
        except (VoicekitError, UnicodeDecodeError):
            return None  # gone; a new one is opened
        self.resumptions += 1
        return session

    async def keep(self, key: str, session: Any) -> None:
        """Keep the id of this session."""
        name = getattr(session, "id", None)
        if self._storage is not None and isinstance(name, str) and name:
            self._kept[key] = session, b""
            await self._write(key, session)

    async def _write(self, key: str, session: Any) -> None:
        async with self._alone(key):
            kept = self._kept.get(key)
            if kept is not None and kept[0] is session:  # else it was forgotten meanwhile
                value = f"{self._us} {session.id}".encode()
                self._kept[key] = session, value
                await self._ask("put", self._place(key), value, ttl=self._ttl)

    def touch(self, key: str, session: Any, background: Background) -> None:
        """It is used, which all who share the storage are to know."""
        if key in self._kept and key not in self._touching:
            self._touching.add(key)
            writing = background.spawn(self._write(key, session), "voicekit-keep-session-id")
            writing.add_done_callback(lambda _: self._touching.discard(key))

    async def forget(self, key: str, session: Any, why: Why) -> bool:
        """It is not held here any more: whether it is ours to end.

        ``why``: its conversation is ``"over"``; nobody has used it here for ``ttl`` (``"unused"``);
        it has to go though it may be used again (``"left"``).

        A storage compares nothing by itself: who takes the session up just between the look and
        the deletion finds it ended, as one that the provider has lost.
        """
        kept = self._kept.get(key)
        if kept is None:
            return True
        if kept[0] is not session:  # another has its place
            return why == "over"
        del self._kept[key]
        if why == "left" and self.lasting:
            return False
        async with self._alone(key):
            there = await self._ask("get", self._place(key))
            if why != "over" and there not in {None, kept[1]}:
                return False  # another has used it since, or nobody knows
            if isinstance(there, bytes) and _id_in(there) == _id_in(kept[1]):
                await self._ask("delete", self._place(key))
        return True

    async def _ask(self, method: str, *args: Any, **options: Any) -> Any:
        if self._storage is None:
            return None
        try:
            async with asyncio.timeout(_WITHIN):
                return await getattr(self._storage, method)(*args, **options)
        except Exception as error:  # noqa: BLE001 - whatever it raises, a session goes without
            self.failures += 1
            _log.warning("storage of session ids failed: %s", type(error).__name__)
            return _FAILED


def _id_in(entry: bytes) -> bytes:
    return entry.partition(b" ")[2]
