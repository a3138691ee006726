"""The two policies of turns, which only Agentforce needs.

Both repeat what is *proven* not to have been done: the provider looked at neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from voicekit import events
from voicekit.clients.agentforce.errors import SessionBusyError, SessionLostError
from voicekit.errors import VoicekitError
from voicekit.resilience.repeats import fits
from voicekit.resilience.waiting import pause, skipping

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicekit.clients.agentforce.sessions import AgentforceSession
    from voicekit.operation import Call

T = TypeVar("T")

_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 2.0
"""Seconds. Source: sheet §11, on 423."""


class Patience:
    """Asks again while another request of the session is running. Innermost.

    It is neither a failure of the server nor too much of all that is asked of it, so neither
    breaker nor limit need to know.
    """

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step`` until the session is free, as long as the call's time allows."""
        wait, skipped = _FIRST_WAIT, 0.0
        while True:
            try:
                return await step(call)
            except SessionBusyError as error:
                if not fits(skipped + wait, call):
                    error.retry_stopped = "deadline"
                    raise
                if call.observer is not None:
                    call.emit(
                        events.RetryScheduled,
                        attempt=call.attempts + 1,
                        wait=wait,
                        error=type(error).__name__,
                        outcome=error.outcome,
                    )
            await pause(wait)
            if skipping():
                skipped += wait
            else:
                call.queue_s += wait  # the server was not slow meanwhile
            wait = min(2 * wait, _LONGEST_WAIT)

    def __repr__(self) -> str:
        return f"a busy session asked again ({_FIRST_WAIT:g} s × 2ⁿ)"


PATIENCE: Final = Patience()


class Resend:
    """Says once more, in a new session, what a lost one did not hear. Outermost."""

    def __init__(self, session: AgentforceSession) -> None:
        self._session = session

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step``, and once more if the session was lost."""
        used = self._session.id
        try:
            return await step(call)
        except SessionLostError as error:
            lost = error
        try:
            await self._session._replace(used, call)
        except VoicekitError as failure:
            lost.__cause__ = failure
            raise lost from failure
        return await step(call)

    def __repr__(self) -> str:
        return "a lost session once replaced"
