"""Which conversation has which session of an agent: opened once, kept a while, ended politely."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from voicekit import events
from voicekit.cache.around import Closing, heard
from voicekit.cache.session_ids import SessionIds, Why
from voicekit.cache.session_reports import Held, SessionStoreStats
from voicekit.cache.stored_session import StoredSession
from voicekit.cache.teller import Teller
from voicekit.checks import integer, number, text, wrong
from voicekit.errors import ClosedError, VoicekitError, for_one
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.pipeline import PLAIN
from voicekit.tasks import Background

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicekit.cache.storage import Storage
    from voicekit.interfaces import Agent

__all__ = ["SessionStore", "SessionStoreStats", "StoredSession"]

DEFAULT_TTL: Final = 30 * 60.0
END_WITHIN: Final = 5.0
"""How long ending one session may take before it is left to the provider, in seconds."""


class SessionStore(Closing):
    """Sessions of an agent by the conversation that they belong to.

    A key's session is opened once, whoever asks first; others join. Several may use it at once:
    a session serialises its turns itself. It ends, politely and in the background, when nobody
    has used it for ``ttl``, to make room, and with the store; one that the agent ended is
    replaced at the next use. One in use is neither expired nor evicted: while all are in use,
    there may be more than ``most``.

    With a ``storage`` a session is the conversation's, and no process's own: whoever shares the
    storage may go on with it. A store ends one that nobody has used for ``ttl`` only where it was
    the last to use it; one that another has used since, it merely lets go. To make room and at
    the store's end it lets go of all, for the next process, and the provider ends what nobody
    comes back for; but in a ``MemoryStorage``, which has no next process, it ends those that no
    other store has used since. Where the agent ended it, or you do, it is over for everybody.

    The store does not close the agent: close the store first.

    Args:
        agent: Whose sessions.
        storage: Where the *id* of each session is kept for ``ttl``, and which store used it last;
            never anything that was said. Only for an agent that can go on by an id: one that has
            ``resume_session(id, *, key)``, and sessions with an ``id`` (and with ``detach()``, if
            closing the agent would end them). For all others nothing is kept there. It is not
            closed with the store.
        ttl: Seconds since the last use.
        most: How many sessions this store may hold.
        secret: Keys the names under which ids are stored; the same in all processes that share
            the storage.
        observers: They get a ``CacheAnswered`` for each use (``cache="session"``).

    Raises:
        InvalidArgumentError: An argument makes no sense.

    Example:
        >>> async with SessionStore(agents) as store:
        ...     store.start("whatsapp:+1…")  # while the voice note is being downloaded
        ...     async with store.session("whatsapp:+1…") as session:
        ...         answer = await session.send("Where is my order?")
    """

    def __init__(
        self,
        agent: Agent,
        *,
        storage: Storage | None = None,
        ttl: float = DEFAULT_TTL,
        most: int = 1000,
        secret: str | bytes | None = None,
        observers: Sequence[events.Observer] = (),
    ) -> None:
        if not callable(getattr(agent, "open_session", None)):
            raise wrong("agent", agent, "an Agent")
        self._agent = agent
        self._ttl = number(0.001, 30 * 86400.0)("ttl", ttl)
        self._most = integer(1)("most", most)
        self._provider = str(getattr(agent, "provider", type(agent).__name__))
        self._teller = Teller("session", self._provider, observers)
        self._opening = Operation(
            provider=self._provider,
            name="open_session",
            kind=OperationClass.COMPUTE,
            limits=Limits(connect=None),
        )
        self._ids = SessionIds(
            agent, storage, provider=self._provider, ttl=self._ttl, secret=secret
        )
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._background = Background()
        self._ending: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._freed: asyncio.Event | None = None
        self._closed = False
        self._counts = dict.fromkeys(
            ("opened", "reused", "joined", "expired", "evicted", "ended", "failures"), 0
        )

    # -- using one --

    def session(self, key: str, /, **options: Any) -> _Use:
        """The session of a conversation, for an ``async with``; no I/O before that.

        Leaving the block keeps the session. Cancelled while it is being opened, the opening
        goes on, and the next use has it.

        Args:
            key: Whose conversation it is.
            **options: For the agent's ``open_session``, when it is this use that opens it.

        Raises:
            InvalidArgumentError: The key is no text.
            ClosedError: On entering: the store is closed.
            VoicekitError: On entering: it could not be opened. The next use tries again.
        """
        return _Use(self, text("key", key), options)

    def start(self, key: str, /, **options: Any) -> None:
        """Have a session opened in the background, if there is none; the next use joins.

        An agent that has a ``start_session`` of its own does it; it also ends what nobody comes
        for. What fails here is tried again by the use.

        Raises:
            InvalidArgumentError: The key is no text.
            ClosedError: The store is closed.
        """
        self._check_open()
        held = self._current(text("key", key))
        own = getattr(self._agent, "start_session", None)
        if held is not None:
            # One of a cached agent may be here without the agent's own behind it.
            waits = held.session is not None and not getattr(held.session.inner, "opened", True)
            if own is None or not waits:
                return
        elif own is None:
            self._released(self._begin(key, options))
            return
        started = own(key=key, **options)
        if inspect.iscoroutine(started):
            self._background.spawn(started, f"voicekit-start-session-{self._provider}")

    async def end(self, key: str, /) -> bool:
        """End the session of a conversation now, politely; whether there was one."""
        held = self._current(key)
        return held is not None and await self._end_now(held)

    async def _end_now(self, held: Held) -> bool:
        """End this one, not the one that has taken its place."""
        if self._held.get(held.key) is not held:
            return False
        self._counts["ended"] += 1
        await asyncio.shield(self._end(held))
        return True

    def _current(self, key: str) -> Held | None:
        """What is held for a key, unless the agent has ended it."""
        held = self._held.get(key)
        if held is not None and held.session is not None and held.session.over:
            self._counts["ended"] += 1
            self._end(held)
            return None
        return held

    def _begin(self, key: str, options: Mapping[str, Any]) -> Held:
        held = self._held[key] = Held(key)
        held.opening = self._background.spawn(
            self._open(held, options), f"voicekit-open-session-{self._provider}"
        )
        held.opening.add_done_callback(heard)
        return held

    async def _open(self, held: Held, options: Mapping[str, Any]) -> None:
        try:
            session = await self._ids.resumed(held.key)
            if session is None:
                session = await self._agent.open_session(key=held.key, **options)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self._counts["failures"] += 1
            if self._held.get(held.key) is held:
                del self._held[held.key]
            raise
        self._counts["opened"] += 1
        held.session = StoredSession(session, held.key, partial(self._end_now, held))
        await self._ids.keep(held.key, session)

    async def _take(self, key: str, options: Mapping[str, Any]) -> Held:
        self._check_open()
        held, result = self._current(key), "miss"
        if held is None:
            held = self._begin(key, options)
        elif held.session is None:
            result = "joined"
            self._counts["joined"] += 1
        else:
            result = "hit"
            self._counts["reused"] += 1
            self._ids.touch(key, held.session.inner, self._background)
        held.users += 1
        self._held.move_to_end(key)
        self._make_room()
        self._teller.answered("open_session", result)
        try:
            if held.session is None:
                await self._opened(held)
        except BaseException:
            self._give_back(held)
            raise
        return held

    async def _opened(self, held: Held) -> None:
        """Wait for an opening that is everybody's, within this caller's own deadline."""
        opening = held.opening
        assert opening is not None  # noqa: S101 - what has no session is being opened
        call = Call(self._opening)
        try:
            await PLAIN.open(call, lambda _: asyncio.shield(opening))
        except asyncio.CancelledError:
            if opening.cancelled():  # by us, at the end
                raise ClosedError("the store was closed", provider=self._provider) from None
            raise
        except VoicekitError as error:
            raise for_one(error) from error.__cause__
        call.end()

    def _give_back(self, held: Held) -> None:
        held.users -= 1
        self._released(held)

    def _released(self, held: Held) -> None:
        held.used_at = _now()
        if self._freed is not None:
            self._freed.set()
        if self._held.get(held.key) is not held or held.users:
            return
        if self._closed:
            self._end(held, "left")
            return
        self._held.move_to_end(held.key)
        if held.session is not None:
            self._ids.touch(held.key, held.session.inner, self._background)
        self._make_room()
        self._arm()

    # -- ending --

    def _make_room(self) -> None:
        over = len(self._held) - self._most
        if over > 0:
            for held in [each for each in self._held.values() if not each.users][:over]:
                self._counts["evicted"] += 1
                self._end(held, "left")

    def _arm(self) -> None:
        """One timer, for whoever expires first; it is late rather than often."""
        if self._timer is None and not self._closed:
            due = min((h.used_at for h in self._held.values() if not h.users), default=None)
            if due is not None:
                wait = max(0.0, due + self._ttl - _now())
                self._timer = asyncio.get_running_loop().call_later(wait, self._expire)

    def _expire(self) -> None:
        self._timer = None
        # The timer of a loop may come a tick of its clock early.
        before = _now() - self._ttl + 0.001
        for held in [h for h in self._held.values() if not h.users and h.used_at <= before]:
            self._counts["expired"] += 1
            self._end(held, "unused")
        self._arm()

    def _end(self, held: Held, why: Why = "over") -> asyncio.Task[Any]:
        """Forget it, and say goodbye in the background, if it is ours to end."""
        if self._held.get(held.key) is held:
            del self._held[held.key]
        task = self._background.spawn(
            self._goodbye(held, why), f"voicekit-end-session-{self._provider}"
        )
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _goodbye(self, held: Held, why: Why) -> None:
        opening = held.opening
        if opening is not None and not opening.done():
            opening.cancel()  # what it had begun, the agent takes back
            await asyncio.wait([opening])
        if held.session is None:
            return
        session = held.session.inner
        if not await self._ids.forget(held.key, session, why):
            detach = getattr(session, "detach", None)
            if detach is not None:
                detach()
            return
        try:
            async with asyncio.timeout(END_WITHIN):
                await session.aclose()
        except Exception:
            self._counts["failures"] += 1
            raise  # Background logs it by type

    async def aclose(self, drain: float = 5.0) -> None:
        """End every session politely, and wait for that; may be called twice.

        Those that a storage keeps for the next process, or for another, are let go instead.
        Nobody gets a session any more. One in use is left to its user for ``drain`` seconds.
        Cancelled, it leaves the rest to the provider's own idle limit.

        Raises:
            InvalidArgumentError: ``drain`` makes no sense.
        """
        number(0.0, 3600.0)("drain", drain)
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            for held in [each for each in self._held.values() if not each.users]:
                self._end(held, "left")
            await self._drained(drain)
            for held in list(self._held.values()):
                self._end(held, "left")
            if self._ending:
                await asyncio.wait(list(self._ending))
        finally:
            self._background.abandon()
        await self._background.aclose()

    async def _drained(self, within: float) -> None:
        until = _now() + within
        self._freed = asyncio.Event()
        while self._held and (left := until - _now()) > 0:
            self._freed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._freed.wait()
            except TimeoutError:
                return

    # -- the rest --

    def stats(self) -> SessionStoreStats:
        """A look at it; no I/O."""
        held = self._held.values()
        return SessionStoreStats(
            open=sum(each.session is not None for each in held),
            opening=sum(each.session is None for each in held),
            in_use=sum(each.users > 0 for each in held),
            resumed=self._ids.resumptions,
            storage_failures=self._ids.failures,
            **self._counts,
        )

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the store is closed", provider=self._provider)

    def __repr__(self) -> str:
        return f"<SessionStore of {self._provider}, {len(self._held)} sessions>"


class _Use:
    """One use of a session; may be entered more than once, and left by another task."""

    __slots__ = ("_held", "_key", "_options", "_store")

    def __init__(self, store: SessionStore, key: str, options: Mapping[str, Any]) -> None:
        self._store = store
        self._key = key
        self._options = options
        self._held: list[Held] = []

    async def __aenter__(self) -> StoredSession:
        held = await self._store._take(self._key, self._options)
        self._held.append(held)
        assert held.session is not None  # noqa: S101 - it was waited for
        return held.session

    async def __aexit__(self, *exc: object) -> None:
        self._store._give_back(self._held.pop())


def _now() -> float:
    return asyncio.get_running_loop().time()
