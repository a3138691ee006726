"""Starting a session: once for all who ask for the same, and politely ended if nobody wants it."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.agentforce.config import SessionRequest, SessionSettings
from voicekit.clients.agentforce.errors import PROVIDER
from voicekit.clients.agentforce.operations import OPEN_SESSION
from voicekit.deadlines import ambient_deadline
from voicekit.errors import ClosedError, TotalTimeout, for_one

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from voicekit.clients.agentforce.conversing import Conversations
    from voicekit.clients.agentforce.sessions import AgentforceSession
    from voicekit.tasks import Background

MAX_AGE: Final = 300.0
"""Seconds for which a session that nobody has taken is kept: how long the provider keeps an
idle one is not documented. Source: sheet §13."""


class Opener:
    """One start of a session, owned by the client: whoever waits may leave.

    Attributes:
        kept: It was asked for ahead, and stays although nobody waits.
    """

    def __init__(
        self,
        openers: Openers,
        client: Conversations,
        request: SessionRequest,
        key: str | None,
        *,
        kept: bool,
    ) -> None:
        self.request = request
        self.key = key
        self.kept = kept
        self.since = time.monotonic()
        self.family = client._family(SessionSettings)  # the defaults that it was started on
        self._openers = openers
        self._client = client
        self._waiters = 0
        self._given_up = False
        self._taken = False
        # Shared work: nobody's ambient deadline is in force for it.
        self._call = contextvars.Context().run(client._call, OPEN_SESSION, request)
        self.task: asyncio.Task[AgentforceSession | Exception] = openers.background.spawn(
            self._run(), "voicekit-open-session"
        )
        openers.running.add(self)
        self.task.add_done_callback(lambda _: openers.running.discard(self))
        self.expiry: asyncio.Task[None] | None = None
        if kept:
            self.expiry = openers.background.spawn(self._expire(), "voicekit-session-unused")

    @property
    def stale(self) -> bool:
        """Whether it has waited for too long to be of use, or has failed."""
        if self._given_up or time.monotonic() - self.since >= MAX_AGE:
            return True
        return self.task.done() and self._opened is None

    async def join(self) -> AgentforceSession:
        """The session, as soon as it is there. Cancelled, it takes nothing from the others.

        Raises:
            TotalTimeout: The caller's ``deadline()`` passed.
            VoicekitError: It did not start.
        """
        until = ambient_deadline()
        self._waiters += 1
        if (session := self._opened) is not None:
            session._holders += 1  # before another leaves it, who would end it
        try:
            left = None if until is None else max(0.0, until - time.monotonic())
            done, _ = await asyncio.wait([self.task], timeout=left)
        except BaseException:
            self._left()
            raise
        if not done:
            self._left()
            raise TotalTimeout("no session within the deadline", limit=left, provider=PROVIDER)
        self._waiters -= 1
        if self.task.cancelled():
            raise ClosedError("the client is closed", provider=PROVIDER)
        result = self.task.result()
        if isinstance(result, Exception):
            raise for_one(result)
        self._taken = True
        self._openers.forget(self)
        if result.key is None:
            result.key = self.key
        return result

    @property
    def _opened(self) -> AgentforceSession | None:
        """The session, if it is there."""
        if not self.task.done() or self.task.cancelled():
            return None
        result = self.task.result()
        return None if isinstance(result, Exception) else result

    def _left(self) -> None:
        self._waiters -= 1
        session = self._opened
        if session is not None and (self._taken or self._waiters or self.kept):
            # Others have it, or may take it: as if this one had never come.
            self._openers.background.spawn(
                session._let_go(last=self._taken), "voicekit-end-session"
            )
        elif not self._waiters and not self.kept and not self._taken:
            self.give_up()

    def release(self) -> None:
        """Whoever asked for it ahead does not want it any more."""
        self.kept = False
        if not self._waiters and not self._taken:
            self.give_up()

    def give_up(self) -> None:
        """Nobody wants it: it is not started, or ended as soon as it is there."""
        if self._given_up or self._taken:
            return
        self._given_up = True
        self._openers.forget(self)
        if self.task.done():
            self._end()
        elif not self._call.dispatched:
            self.task.cancel()

    def _end(self) -> None:
        if (session := self._opened) is not None:
            self._openers.background.spawn(session.aclose("Other"), "voicekit-end-session")

    async def _run(self) -> AgentforceSession | Exception:
        """A value either way: a failure is told to those who wait."""
        try:
            session = await self._client._start(self.request, self._call)
        except Exception as error:  # noqa: BLE001 - told to those who wait
            self._openers.forget(self)
            return error
        if self._given_up:
            await session.aclose("Other")
        session._holders += self._waiters
        return session

    async def _expire(self) -> None:
        await asyncio.sleep(MAX_AGE)
        self.release()


class Openers:
    """The starts of a client that nobody has taken yet."""

    def __init__(self, background: Background) -> None:
        self.background = background
        self._by_key: dict[str, Opener] = {}
        self._spare: list[Opener] = []
        self.running: set[Opener] = set()  # whose tasks have not ended

    def open(
        self,
        client: Conversations,
        request: SessionRequest,
        key: str | None,
        *,
        like: bool,
        kept: bool = False,
    ) -> Opener:
        """The start that is under way for the key, one that was made ahead, or a new one.

        ``like``: no options were named, so that any will do that was asked for under that key, by
        clients with the same defaults. ``kept``: it is asked for ahead.
        """
        known = None if key is None else self._by_key.get(key)
        if known is not None:
            like = like and known.family == client._family(SessionSettings)
            if not known.stale and (like or known.request.identity == request.identity):
                known.kept = known.kept or kept
                return known
            known.release()
        opener = None if kept else self._take_spare(request)
        if opener is None:
            opener = Opener(self, client, request, key, kept=kept)
        else:
            opener.key, opener.kept = key, False
        if key is not None:
            self._by_key[key] = opener
        return opener

    async def ready(
        self, client: Conversations, request: SessionRequest, count: int, limit: float
    ) -> list[str]:
        """Have so many sessions ready for whoever asks for such a one; names of failures."""
        alike = [
            each
            for each in self._spare
            if not each.stale and each.request.identity == request.identity
        ]
        for _ in range(max(0, count - len(alike))):
            spare = Opener(self, client, request, None, kept=True)
            self._spare.append(spare)
            alike.append(spare)
        return await failures_of([each.task for each in alike], limit)

    def _take_spare(self, request: SessionRequest) -> Opener | None:
        if not self._spare:
            return None
        identity = request.identity
        for spare in self._spare:
            if not spare.stale and spare.request.identity == identity:
                self._spare.remove(spare)
                return spare
        return None

    def forget(self, opener: Opener) -> None:
        """It was taken, or is of no use."""
        if opener.key is not None and self._by_key.get(opener.key) is opener:
            del self._by_key[opener.key]
        if opener in self._spare:
            self._spare.remove(opener)
        if opener.expiry is not None:
            opener.expiry.cancel()

    def close(self) -> list[asyncio.Task[Any]]:
        """Nobody takes any of them any more; what is still to come ends itself."""
        openers = [*self.running]
        for opener in openers:
            opener.give_up()
        return [opener.task for opener in openers]


async def failures_of(tasks: list[asyncio.Task[Any]], limit: float) -> list[str]:
    """Wait for starts; why some came to nothing, or to nothing yet."""
    if tasks:
        await asyncio.wait(tasks, timeout=limit)
    failures = []
    for task in tasks:
        if not task.done():
            failures.append("TotalTimeout")
        elif task.cancelled():
            failures.append("ClosedError")
        elif isinstance(error := task.result(), Exception):
            failures.append(type(error).__name__)
    return failures


class OpeningSession:
    """A session that is to be opened: await it, or enter it with ``async with``.

    No I/O before that, unless it was begun ahead by ``start_session``. Leaving the
    ``async with`` ends the session, when everybody who joined it has left. May be entered and
    left from different tasks.
    """

    def __init__(self, begin: Callable[[], Opener]) -> None:
        self._begin = begin
        self._opener: Opener | None = None
        self._session: AgentforceSession | None = None
        self._closed = False

    def __await__(self) -> Generator[Any, None, AgentforceSession]:
        return self.session().__await__()

    async def session(self) -> AgentforceSession:
        """The session, which is opened when it is first asked for.

        Cancelled, a start that nobody else waits for is not made, or is ended in the
        background as soon as it is there.

        Raises:
            AuthenticationError: The token is refused, or the app is not attached to the agent.
            InvalidRequestError: The provider refuses the request as it is; see its ``message``.
            RateLimitError: Too many requests.
            UnavailableError: The provider failed.
            TransportError: The connection failed, or what came is no session.
            DeadlineError: A limit passed.
            ClosedError: The handle or the client is closed.
        """
        if self._session is not None:
            return self._session
        if self._closed:
            raise ClosedError("the session is closed")
        opener = self._opener
        if opener is None or opener.stale:
            opener = self._opener = self._begin()
        try:
            session = await opener.join()
        except BaseException:
            if self._opener is opener:
                self._opener = None
            raise
        if not self._keep(session):
            await session._let_go(last=False)  # the handle was asked twice at a time
        return session

    def _keep(self, session: AgentforceSession) -> bool:
        if self._session is not None:
            return False
        self._session = session
        return True

    def _ahead(self) -> None:
        """Start now, in the background."""
        if self._opener is None:
            self._opener = self._begin()

    async def __aenter__(self) -> AgentforceSession:
        return await self.session()

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the session, or give it up where it is not there yet. Idempotent."""
        if self._closed:
            return
        self._closed = True
        opener, session = self._opener, self._session
        if session is not None:
            await session._let_go()
        elif opener is not None:
            opener.release()

    def __repr__(self) -> str:
        state = "open" if self._session else "opening" if self._opener else "new"
        return f"<{type(self).__name__} {state}>"
