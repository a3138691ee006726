"""The sessions of emulated agents: opened, locked while a turn runs, lost, ended."""

from __future__ import annotations

import time
from typing import Any, Literal

from voicekit.emulator.bounded import Bounded

MOST_ENDED = 4096
"""Ended sessions remembered, for the feedback that comes after."""


class Session:
    """One session.

    `agent` is an id, or a name for the sessions of a core-REST action; `chunked` tells that it was
    started with `chunkTypes: ["Text"]`; `last_sequence` is None before the first message.
    """

    def __init__(self, name: str, *, agent: str, chunked: bool) -> None:
        self.id = name
        self.agent = agent
        self.chunked = chunked
        self.last_sequence: int | None = None
        self.turns = 0
        self.used_at = time.monotonic()
        self._running = False
        self._until = 0.0

    @property
    def locked(self) -> bool:
        """Whether a turn is under way, though whoever asked for it may have left."""
        return self._running or time.monotonic() < self._until

    def begin(self, seconds: float) -> None:
        """Begin a turn that takes so long; the session is locked meanwhile."""
        self._running = True
        self._until = time.monotonic() + seconds
        self.turns += 1

    def end(self) -> None:
        """End the turn: the session is free."""
        self._running = False
        self._until = 0.0
        self.used_at = time.monotonic()

    def leave(self) -> None:
        """Take note that nobody listens any more: an unfinished turn goes on until its time."""
        self._running = False


class Sessions:
    """Those there are, and the names of some that were."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}
        self._ended: Bounded[str, None] = Bounded(MOST_ENDED)

    def open(self, name: str, **facts: Any) -> Session:
        """Open one."""
        session = self._open[name] = Session(name, **facts)
        return session

    def get(
        self, name: str, *, turns: int | None = None, idle: float | None = None
    ) -> Session | None:
        """Return an open session.

        None once it has had so many turns, or was idle for so many seconds; without limits, never.
        """
        session = self._open.get(name)
        if session is None or session.locked:
            return session
        spent = turns is not None and session.turns >= turns
        if spent or (idle is not None and time.monotonic() - session.used_at > idle):
            self.end(name)
            return None
        return session

    def end(self, name: str) -> None:
        """End one, whoever wants it."""
        if self._open.pop(name, None) is not None:
            self._ended[name] = None

    def known(self, name: str) -> Literal["open", "ended"] | None:
        """Tell what became of one."""
        return "open" if name in self._open else "ended" if name in self._ended else None

    def __len__(self) -> int:
        return len(self._open)
