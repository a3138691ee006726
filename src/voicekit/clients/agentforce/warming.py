"""What is there before the first turn needs it, a part of ``AgentforceClient``."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from voicekit import checks
from voicekit.clients.agentforce.conversing import Conversations
from voicekit.clients.agentforce.errors import PROVIDER
from voicekit.errors import ConnectError, VoicekitError

if TYPE_CHECKING:
    from voicekit.transport.config import WarmReport

_WARM_LIMIT: Final = 10.0


class Warming(Conversations):
    """Token, connections, and sessions that are started ahead."""

    async def warm(
        self, n: int | None = None, /, *, strict: bool = False, sessions: int = 0
    ) -> WarmReport:
        """Have a token, and connections to the API; on request, sessions that are started.

        Token and connections are never billed. A started session may be (which event is, is
        not documented); ``open_session`` with the same options takes one of them. What is not
        taken within five minutes is ended. Limited to 10 s, and 10 s for the sessions.

        Args:
            n: How many connections; the pool's ``min_ready`` by default.
            strict: Raise when something failed, instead of saying so in the report.
            sessions: How many sessions to have ready, with this client's options.

        Raises:
            InvalidArgumentError: A number is too small, or no agent was named for sessions.
            ConnectError: ``strict``, and something failed.
            ClosedError: The client is closed.
        """
        checks.integer(0)("sessions", sessions)
        request = self.session_request() if sessions else None
        report = await super().warm(n, strict=strict)
        if request is None:
            return report
        started = time.monotonic()
        failures = await self._openers.ready(self, request, sessions, _WARM_LIMIT)
        if strict and failures:
            raise ConnectError(
                f"{len(failures)} sessions failed: " + ", ".join(sorted(set(failures))),
                provider=PROVIDER,
                operation="warm",
            )
        return replace(
            report,
            failures=(*report.failures, *failures),
            elapsed=report.elapsed + time.monotonic() - started,
        )

    def start_warming(self, n: int | None = None, /, *, sessions: int = 0) -> None:
        """``warm()`` in the background; returns at once. Needs a running event loop.

        Raises:
            InvalidArgumentError: A number is too small, or no agent was named for sessions.
            ClosedError: The client is closed.
        """
        n = self._count(n)
        checks.integer(0)("sessions", sessions)
        if sessions:
            self.session_request()
        if not self._used:
            self._begin()
        self._background.spawn(self._warm_quietly(n, sessions), "voicekit-warm-agentforce")

    async def _warm_quietly(self, n: int, sessions: int) -> None:
        with contextlib.suppress(VoicekitError):  # closed meanwhile; the rest is in the report
            await self.warm(n, sessions=sessions)

    async def _warm(self, n: int) -> WarmReport:
        started, failures = time.monotonic(), []
        if self._tokens is not None:
            try:
                await self._tokens.get(_WARM_LIMIT)
            except (VoicekitError, TimeoutError) as error:
                failures.append(type(error).__name__)
        report = await self.transport.warm(self.api_url, n)
        return replace(
            report,
            failures=(*failures, *report.failures),
            elapsed=time.monotonic() - started,
        )
