"""An agent with a memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, Unpack
from weakref import WeakValueDictionary

from voicekit.cache.response import CacheOptions, ResponseCache
from voicekit.cache.response_session import CachedSession
from voicekit.cache.rules import NotCached, Question, canonical
from voicekit.cache.turn_flights import TurnFlights
from voicekit.checks import text as some_text
from voicekit.checks import wrong
from voicekit.operation import OperationClass

INERT: Final = frozenset({"limits", "policies"})
"""Options that say how a call is made, and nothing to the agent."""

_EXTRAS: Final = frozenset({"extra_body", "extra_headers", "extra_query"})

UNTAKEN: Final = 300.0
"""Seconds for which a session that was started waits for somebody."""


class CachedAgent(ResponseCache):
    """An ``Agent`` with a memory; made by ``ResponseCache``."""

    def __init__(
        self,
        inner: Any,
        /,
        *,
        history_variable: str | None = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        if history_variable is not None:
            some_text("history_variable", history_variable)
        self._set_up(inner, "agent", **options)
        self.history_variable = history_variable
        self._flights = TurnFlights()
        self._sessions: WeakValueDictionary[str, CachedSession] = WeakValueDictionary()
        self._open: set[CachedSession] = set()
        self._operations = self._unlimited(OperationClass.EFFECT, "send", "stream_message")

    # -- sessions --

    def open_session(
        self, key: str | None = None, *, eager: bool = False, **options: Any
    ) -> OpeningCached:
        """A conversation: await it, or enter it with ``async with``.

        Nothing is opened at the agent before a question needs it: until then there is no
        greeting, and an answer from the cache costs no session. While it is in use, a key has
        one session: a second caller gets the same.

        Args:
            key: Whose it is.
            eager: Open the agent's session as well, before this returns.
            **options: For the agent's ``open_session``.

        Raises:
            InvalidArgumentError: At once: the agent refuses an option.
            ClosedError: The cache is closed.
        """
        self._check_open()
        if key is not None:
            some_text("key", key)
        if not isinstance(eager, bool):
            raise wrong("eager", eager, "a bool")
        request = getattr(self._inner, "session_request", None)
        if request is not None:
            request(**options)  # it refuses now what it would refuse later

        def make() -> CachedSession:
            self._check_open()
            session = None if key is None else self._sessions.get(key)
            if session is None or session.over:
                session = CachedSession(self, key, options)
                if key is not None:
                    self._sessions[key] = session
            return session

        return OpeningCached(make, eager=eager)

    def start_session(self, key: str, **options: Any) -> None:
        """Open the agent's session for a key in the background; the next ``open_session`` has it.

        Nobody asks for it within five minutes: it is ended.

        Raises:
            InvalidArgumentError: The agent refuses an option.
            ClosedError: The cache is closed.
        """
        session = self.open_session(some_text("key", key), **options).make()
        self._open.add(session)  # perhaps nobody else holds it yet
        if not session.handed_out:
            session.expire(UNTAKEN)
        session.start()

    # -- what a session asks --

    def _key_of(
        self,
        question: Question,
        session: Mapping[str, Any],
        earlier: Mapping[str, Any],
        message: Mapping[str, Any],
    ) -> str:
        """The name of an answer.

        ``session`` and ``message`` are the options of these, ``earlier`` the variables that went
        with earlier messages, which the session still has.

        Raises:
            NotCached: A rule says no.
        """
        scope = self._scope_of(question)
        parts = self._parts(question, scope)
        opened, names = self._session_identity(session)
        sent, more = self._message_identity(question.normalized, message)
        if not {*names, *earlier, *more} <= scope.keys():
            raise NotCached("variables")
        return self._keys.of(*parts, opened, canonical(dict(earlier), "variables"), sent)

    def _session_identity(self, options: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
        """What a session is opened with: all of it as text, and the names of what is personal."""
        request = getattr(self._inner, "session_request", None)
        if request is not None:
            made = request(**options)
            whose = str(getattr(self._inner, "identity", ""))
            # What is in an extra has no name there: it may be somebody's variables as well.
            extras = [name for name, value in options.items() if value and name in _EXTRAS]
            return canonical([whose, made.identity], "options"), [*made.variables, *extras]
        told = {name: value for name, value in options.items() if name not in INERT}
        variables = told.pop("variables", None) or {}
        if not isinstance(variables, Mapping):
            raise NotCached("variables")
        identity = {
            "agent": str(getattr(self._inner, "identity", self._provider)),
            "options": told,
            "variables": dict(variables),
        }
        return canonical(identity, "options"), [*told, *variables]

    def _message_identity(self, text: str, options: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
        """The same for a message and what goes with it."""
        told = {name: value for name, value in options.items() if name not in INERT}
        variables = told.pop("variables", None) or {}
        if told:
            raise NotCached("options")
        if not isinstance(variables, Mapping):
            raise NotCached("variables")
        request = getattr(self._inner, "message_request", None)
        if request is not None:
            made = request(text, **options)
            return made.identity, made.variables
        return canonical([text, dict(variables)], "variables"), list(variables)

    # -- lifecycle --

    async def aclose(self) -> None:
        """End the sessions that are open, politely, and free everything. Idempotent."""
        self._closed = True
        try:
            await asyncio.gather(
                *(session.aclose() for session in list(self._open)), return_exceptions=True
            )
        finally:
            await super().aclose()


class OpeningCached:
    """What ``open_session`` returns: awaited or entered, it is the session."""

    def __init__(self, make: Callable[[], CachedSession], *, eager: bool) -> None:
        self.make = make
        self._eager = eager
        self._session: CachedSession | None = None

    def __await__(self) -> Generator[Any, None, CachedSession]:
        return self._opened().__await__()

    async def _opened(self) -> CachedSession:
        session = self.make()
        session.taken()
        if self._eager:
            await session.open()
        return session

    async def __aenter__(self) -> CachedSession:
        self._session = await self._opened()
        self._session.hold()
        return self._session

    async def __aexit__(self, *exc: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.let_go()
