"""One turn of a conversation: the look into the cache, and what becomes of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voicekit.cache.answers import Kept
from voicekit.cache.rules import NotCached, Question, unstorable_answer
from voicekit.pipeline import PLAIN

if TYPE_CHECKING:
    from voicekit.cache.response_session import CachedSession
    from voicekit.cache.turn_flights import TurnFlight
    from voicekit.operation import Call
    from voicekit.speech import AgentAnswer


class Turn:
    """One turn, from the look into the cache to the end; it holds the session's lock."""

    def __init__(
        self, session: CachedSession, operation: str, text: str, options: Mapping[str, Any]
    ) -> None:
        self.result = ""
        self.flight: TurnFlight | None = None
        self.background = session._cache._background
        self._session = session
        self._cache = session._cache
        self._operation = operation
        self._text = text
        self._options = options
        self._question: Question | None = None
        self._key: str | None = None
        self._locked = False
        self._unsure = False

    async def begin(self, call: Call) -> Kept | None:
        """Wait for its turn, and look: the answer, or None when the agent is to be asked.

        Raises:
            DeadlineError: The ambient ``deadline()`` passed.
            ClosedError: The session was closed meanwhile.
        """

        async def step(_: Call) -> Kept | None:
            await self._session._lock.acquire()
            self._locked = True
            self._unsure = self._session._unsure
            self._session._check_open()
            return await self._look()

        kept = await PLAIN.open(call, step)
        if kept is not None and self._session._not_said(self._text, kept.text, self._options):
            self._cache._told_stored(self._operation, "history")
        return kept

    async def _look(self) -> Kept | None:
        cache, session = self._cache, self._session
        try:
            if session._unsure:
                raise NotCached("turns")
            spelled = cache._spelled(self._text)
            merged: dict[str, Any] = {}
            told = session._options.get("variables"), session._variables
            for variables in (*told, self._options.get("variables")):
                if isinstance(variables, Mapping):
                    merged |= variables
            self._question = Question(
                text=self._text,
                normalized=spelled,
                turns=tuple(session._turns),
                key=session.key,
                variables=merged,
            )
            self._key = cache._key_of(
                self._question, session._options, session._variables, self._options
            )
        except NotCached as refusal:
            self._say("bypass", refusal.reason)
            return None
        return await self._find(self._key)

    async def _find(self, key: str) -> Kept | None:
        flights, reason = self._cache._flights, None
        with flights.looking(key):
            while True:
                flight = flights.under_way(key)
                if flight is None:
                    kept, size, reason = await self._cache._find([key])
                    if kept is not None:
                        self._say("hit", size=size)
                        return kept
                    flight = flights.under_way(key)
                if flight is None:
                    self.flight = flights.begin(key)
                    self._say("miss", reason)
                    return None
                result = "hit" if flight.landed else "joined"
                answer = await flight.wait()
                if answer is not None:
                    self._say(result)
                    return Kept(text=answer.text)
                if not flight.given_up:
                    # What it said is for that one only, or it failed, or nobody reads it.
                    self._say("miss", "not_shared")
                    return None

    def _say(self, result: str, reason: str | None = None, size: int = 0) -> None:
        self.result = result
        self._cache._told(self._operation, result, reason, size)

    def answered(self, answer: AgentAnswer) -> None:
        """The agent has answered, to the end: keep it if it is for everybody."""
        session = self._session
        session._ended = session._ended or answer.ended
        if not self._unsure:
            session._unsure = False
        session._remember(self._text, answer.text)
        key, question, flight = self._key, self._question, self.flight
        if key is None or question is None:
            return
        reason, ttl = unstorable_answer(answer), 0.0
        if reason is None:
            reason, ttl = self._cache._agreed(question, answer)
        if reason is not None:
            self._cache._told_stored(self._operation, reason)
            self._land()
            return
        if flight is not None:
            flight.land(answer)
        self.background.spawn(self._keep(key, answer.text, ttl), "voicekit-keep-answer")

    async def _keep(self, key: str, text: str, ttl: float) -> None:
        try:
            await self._cache._keep(self._operation, key, Kept(text=text), ttl)
        finally:
            if self.flight is not None:
                self._cache._flights.forget(key, self.flight)

    def _land(self, *, given_up: bool = False) -> None:
        flight, key = self.flight, self._key
        if flight is not None and key is not None and not flight.landed:
            flight.land(None, given_up=given_up)
            self._cache._flights.forget(key, flight)

    def failed(self, error: BaseException) -> None:
        """It came to no answer: if its caller just left, one who waits may take its place."""
        self._land(given_up=not isinstance(error, Exception))

    def over(self) -> None:
        """Nothing of it is under way here. Idempotent."""
        self._land(given_up=True)
        if self._locked:
            self._locked = False
            self._session._lock.release()
