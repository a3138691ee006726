"""A conversation with an agent, some of whose turns a cache answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from voicekit.cache.around import Closing, heard
from voicekit.cache.history import MOST_EXCHANGES, with_history
from voicekit.cache.passing import CachedReply, Passing
from voicekit.cache.response_replies import Replay
from voicekit.cache.response_turn import Turn
from voicekit.checks import text as some_text
from voicekit.errors import ClosedError
from voicekit.operation import Call
from voicekit.pipeline import PLAIN
from voicekit.speech import AgentAnswer

if TYPE_CHECKING:
    from voicekit.cache.response_agent import CachedAgent
    from voicekit.interfaces import AgentSession
    from voicekit.streams import AgentReply, Opened

_MOST_TURNS: Final = 100
"""Earlier turns that ``context=`` sees."""


class CachedSession(Closing):
    """A conversation; made by the ``open_session`` of a cached agent.

    Only its first turn may be answered from the cache, or any with ``context=``. From the first
    turn that is not, the agent's own session is open, and what that has besides is found here.
    One turn at a time; the next waits.

    Attributes:
        key: Whose it is.
        handed_out: Somebody has it, or had.
    """

    def __init__(self, cache: CachedAgent, key: str | None, options: Mapping[str, Any]) -> None:
        self.key = key
        self.handed_out = False
        self._cache = cache
        self._options = dict(options)
        self._inner: AgentSession | None = None
        self._starting: asyncio.Task[Any] | None = None
        self._lock = asyncio.Lock()
        self._untold: deque[tuple[str, str]] = deque(maxlen=MOST_EXCHANGES)
        self._turns: deque[Mapping[str, Any]] = deque(maxlen=_MOST_TURNS)
        self._unsure = False
        self._variables: dict[str, Any] = {}  # of earlier messages
        self._unsent: dict[str, Any] = {}  # those of them that the agent was not sent yet
        self._ended = False
        self._closed = False
        self._holders = 0
        self._expiry: asyncio.TimerHandle | None = None

    # -- what it is --

    @property
    def greeting(self) -> str:
        """What the agent said first; empty until its own session is open."""
        return self._inner.greeting if self._inner is not None else ""

    @property
    def opened(self) -> bool:
        """Whether the agent's own session is open."""
        return self._inner is not None

    @property
    def ended(self) -> bool:
        """Whether the agent has ended it."""
        return self._ended or bool(getattr(self._inner, "ended", False))

    @property
    def over(self) -> bool:
        """Whether it takes no more turns."""
        return self._closed or self.ended

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__.get("_inner")
        if inner is None or name.startswith("_"):
            msg = f"{type(self).__name__!r} has no attribute {name!r}"
            if not name.startswith("_"):
                msg += ", or not before the agent's own session is open"
            raise AttributeError(msg)
        return getattr(inner, name)

    # -- the agent's own session --

    async def open(self) -> None:
        """Open the agent's own session now, if it is not.

        Raises:
            ClosedError: It is closed.
            VoicekitError: It cannot be opened.
        """
        self._check_open()
        async with self._lock:
            await self._own()

    def start(self) -> None:
        """The same in the background; the turn that needs it waits for that.

        One that fails is tried again by that turn.
        """
        self._check_open()
        if self._inner is None and (self._starting is None or self._starting.done()):
            name = f"voicekit-start-session-{self._cache.provider}"
            self._starting = self._cache._background.spawn(self._start(), name)
            self._starting.add_done_callback(heard)

    async def _start(self) -> None:
        session = await self._cache._inner.open_session(key=self.key, **self._options)
        # It is ours, unless it comes too late: then it ends.
        if self._inner is None and not self._closed:
            self._inner = session
            self._cache._open.add(self)
        elif session is not self._inner:
            ending = self._cache._background.spawn(session.aclose(), "voicekit-end-session")
            await asyncio.shield(ending)

    async def _own(self) -> AgentSession:
        """The agent's own session; with the lock held."""
        starting = self._starting
        if self._inner is None and starting is not None:
            # It is nobody's alone: this caller waits for it within his own deadline.
            call = Call(self._cache._operations["send"])
            await PLAIN.open(call, lambda _: asyncio.wait([starting]))
            self._starting = None
        if self._inner is None:
            self._check_open()
            await self._start()
            self._check_open()
        assert self._inner is not None  # noqa: S101 - just opened
        return self._inner

    def _check_open(self) -> None:
        if self._closed or self._cache._closed:
            raise ClosedError("the session is closed", provider=self._cache.provider)

    # -- turns --

    async def send(self, text: str, /, **options: Any) -> AgentAnswer:
        """One turn, whole: from the cache, or the agent's own; ``.cache`` says which.

        It may have to wait for the same question of another conversation; if that turns out
        to have an answer for that one only, this one asks for itself.

        Raises:
            InvalidArgumentError: The text is empty.
            ClosedError: The session is closed.
            VoicekitError: As the agent's own raises it.
        """
        self._check_open()
        some_text("text", text)
        call = Call(self._cache._operations["send"])
        turn = Turn(self, "send", text, options)
        try:
            kept = await turn.begin(call)
            if kept is not None:
                call.attempts = 0
                call.committed()
                call.end()
                return Replay(kept, turn.result).answer(call, {})
            session = await self._own()
            said, with_options = self._said(text, options)
            answer = await session.send(said, **with_options)
            self._heard_all()
            turn.answered(answer)
        except BaseException as error:
            turn.failed(error)
            raise
        else:
            return answer
        finally:
            turn.over()

    def stream_message(self, text: str, /, **options: Any) -> AgentReply:
        """One turn as it is said; see ``send``.

        Raises:
            InvalidArgumentError: The text is empty.
            ClosedError: The session is closed.
            VoicekitError: From the handle: as the agent's own raises it.
        """
        self._check_open()
        some_text("text", text)
        return CachedReply(partial(self._stream, text, options))

    async def _stream(self, text: str, options: Mapping[str, Any]) -> Opened[Any]:
        self._check_open()
        call = Call(self._cache._operations["stream_message"])
        turn = Turn(self, "stream_message", text, options)
        try:
            kept = await turn.begin(call)
            if kept is not None:
                turn.over()
                return Replay.of(call, kept, turn.result)
            session = await self._own()
            said, with_options = self._said(text, options)
            passing = Passing(session.stream_message(said, **with_options), turn)
            opened = await passing.open(call)
        except BaseException as error:
            turn.failed(error)
            turn.over()
            raise
        self._heard_all()
        return opened

    def _said(self, text: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The message for the agent, with what it has not heard."""
        variables = options.get("variables") or {}
        if isinstance(variables, Mapping):
            self._variables |= variables
            if self._unsent:
                self._unsent |= variables
                options = {**options, "variables": dict(self._unsent)}
        self._unsure = True  # until it has answered: what it made of this, nobody knows
        return with_history(text, options, self._untold, self._cache.history_variable)

    def _heard_all(self) -> None:
        """The agent has heard a message, and with it what it had not."""
        self._untold.clear()
        self._unsent.clear()

    def _not_said(self, text: str, answer: str, options: Mapping[str, Any]) -> bool:
        """The agent has not heard this turn: it is told with its next message.

        Returns:
            Whether it will hear of an earlier one no more, for there are too many.
        """
        full = len(self._untold) == MOST_EXCHANGES
        self._untold.append((text, answer))
        self._remember(text, answer)
        if isinstance(variables := options.get("variables"), Mapping):
            self._variables |= variables
            self._unsent |= variables
        return full

    def _remember(self, text: str, answer: str) -> None:
        self._turns.append({"role": "user", "content": text})
        self._turns.append({"role": "assistant", "content": answer})

    # -- the end --

    def taken(self) -> None:
        """Somebody has it: it ends with him."""
        self.handed_out = True
        self._unexpire()

    def _unexpire(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def expire(self, seconds: float) -> None:
        """End it if nobody takes it before."""
        self._unexpire()

        def end() -> None:
            self._cache._background.spawn(self.aclose(), "voicekit-end-session")

        self._expiry = asyncio.get_running_loop().call_later(seconds, end)

    def hold(self) -> None:
        """One more has entered it."""
        self._holders += 1

    async def let_go(self) -> None:
        """One has left it; with the last one it ends."""
        self._holders -= 1
        if self._holders <= 0:
            await self.aclose()

    async def aclose(self) -> None:
        """End it, at the agent too if it was opened there, politely. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._unexpire()
        cache, starting = self._cache, self._starting
        if self.key is not None and cache._sessions.get(self.key) is self:
            del cache._sessions[self.key]
        try:
            if starting is not None and not starting.done():
                starting.cancel()
                await asyncio.wait([starting])
            if self._inner is not None:
                await self._inner.aclose()
        finally:
            cache._open.discard(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self.ended else "open"
        return f"<{type(self).__name__} {state}>"
