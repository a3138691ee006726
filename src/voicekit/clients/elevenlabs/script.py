"""What we say in one utterance, in order, whatever kind of socket it is said on. No I/O."""

from __future__ import annotations

import json
from collections import deque
from typing import Final

__all__ = ["MAX_KEPT", "Script"]

MAX_KEPT: Final = 64 << 10
"""Characters of messages kept for a replay until the first audio: more text than a minute
of speech, and bounded."""

dumps: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Script:
    """Messages waiting to be written, and those written, until they need not be said again.

    A subclass knows the words of its protocol: how a message looks, what keeps an
    utterance alive, what ends it.

    Args:
        first: JSON text of the first message's fields beside its text.

    Attributes:
        begun: The server has been told of the utterance.
        finished: The message that ends it is among those said.
    """

    __slots__ = ("_kept", "_queue", "_written", "begun", "finished")

    def __init__(self, first: str) -> None:
        self.begun = self.finished = False
        self._queue = deque([self._message(" ", first)])
        self._written: list[str] | None = []
        self._kept = 0

    # -- the protocol's words -----------------------------------------------------------------

    def _message(self, text: str | None, more: str = "") -> str:
        """One message; ``more`` is JSON text of other fields."""
        raise NotImplementedError

    def flush(self) -> None:
        """Speak what was said so far without waiting for the schedule."""
        raise NotImplementedError

    def keep_alive(self) -> None:
        """Reset the server's inactivity timer."""
        raise NotImplementedError

    def finish(self, *, speak: bool = False) -> None:
        """No more text will come.

        Args:
            speak: Something was said that was not flushed, and is to be spoken.
        """
        raise NotImplementedError

    @property
    def goodbye(self) -> str | None:
        """The message that ends the utterance early; None if only closing the socket does."""
        raise NotImplementedError

    # -- the messages -------------------------------------------------------------------------

    def say(self, text: str, *, flush: bool = False) -> None:
        """Say ``text``, in whole words; it gets the space at its end that keeps words apart."""
        if not text.endswith(" "):
            text += " "
        self._queue.append(self._message(text, '"flush":true' if flush else ""))

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
