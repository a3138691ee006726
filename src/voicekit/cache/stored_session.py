"""A session that is kept for its conversation."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicekit.interfaces import AgentSession
    from voicekit.speech import AgentAnswer
    from voicekit.streams import AgentReply


class StoredSession:
    """An agent's session, and everything that it has; it notices when the agent ends it.

    Attributes:
        inner: The agent's own.
        key: Whose conversation it is.
    """

    def __init__(self, inner: AgentSession, key: str, end: Callable[[], Awaitable[object]]) -> None:
        self.inner = inner
        self.key = key
        self._end = end
        self._ended = False
        self._replies: weakref.WeakSet[AgentReply] = weakref.WeakSet()

    @property
    def greeting(self) -> str:
        """What the agent said first; may be empty."""
        return self.inner.greeting

    @property
    def over(self) -> bool:
        """Whether the agent has ended it, as far as an answer or the session itself says."""
        if not self._ended:
            self._ended = bool(getattr(self.inner, "ended", False)) or any(
                answer.ended for reply in self._replies if (answer := reply.answer) is not None
            )
        return self._ended

    async def send(self, text: str, /, **options: Any) -> AgentAnswer:
        """One turn, whole; see the agent's own."""
        answer = await self.inner.send(text, **options)
        self._ended = self._ended or answer.ended
        return answer

    def stream_message(self, text: str, /, **options: Any) -> AgentReply:
        """One turn as it is said; see the agent's own."""
        reply = self.inner.stream_message(text, **options)
        self._replies.add(reply)
        return reply

    async def aclose(self) -> None:
        """End it now: the next use of the conversation begins a new one. Idempotent."""
        await self._end()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "inner":
            msg = f"{type(self).__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return f"<StoredSession of {self.inner!r}>"
