"""What we say in one utterance, whatever kind of socket it is said on. No I/O."""

from __future__ import annotations

import json
from typing import Final

from voicekit.clients.script import Script

dumps: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class SpeechScript(Script):
    """The messages of one utterance. A subclass has the words of its kind of socket.

    ``first`` is JSON text of the first message's fields beside its text.
    """

    __slots__ = ()

    def __init__(self, first: str) -> None:
        super().__init__()
        self._queue.append(self._message(" ", first))

    def say(self, text: str, *, flush: bool = False) -> None:
        """Say ``text``, in whole words; it gets the space at its end that keeps words apart."""
        if not text.endswith(" "):
            text += " "
        self._queue.append(self._message(text, '"flush":true' if flush else ""))

    def flush(self) -> None:
        """Speak what was said so far without waiting for the schedule."""
        self._queue.append(self._message(None, '"flush":true'))

    def _message(self, text: str | None, more: str = "") -> str:
        """One message; ``more`` is JSON text of other fields."""
        raise NotImplementedError
