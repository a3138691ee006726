"""What is said on a socket, in order; kept until it need not be said again. No I/O."""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_KEPT: Final = 64 << 10
"""Characters of messages kept for a replay until the first audio: more text than a minute
of speech, and bounded."""


class Script:
    """The messages of one utterance. A provider's subclass words them.

    Attributes:
        begun: The server has been told something.
        finished: What ends the utterance is among what was said.
    """

    __slots__ = ("_kept", "_queue", "_written", "begun", "finished")

    def __init__(self) -> None:
        self.begun = self.finished = False
        self._queue: deque[str] = deque()
        self._written: list[str] | None = []
        self._kept = 0

    def take(self) -> str | None:
        """The next message to write, or None."""
        if not self._queue:
            return None
        self.begun = True
        message = self._queue.popleft()
        if self._written is not None:
            self._written.append(message)
            self._kept += len(message)
            if self._kept > MAX_KEPT:
                self._written = None
        return message

    def settle(self) -> None:
        """Forget what was written: it will not be said again."""
        self._written = None

    @property
    def replayable(self) -> bool:
        """Whether everything that was written is still here."""
        return self._written is not None

    def rewind(self) -> None:
        """Say all of it again, on another socket."""
        assert self._written is not None  # noqa: S101 - asked before
        self._queue.extendleft(reversed(self._written))
        self._written, self._kept, self.begun = [], 0, False
