"""The grammar of ``/v1/speak`` sockets, without I/O.

Source: Deepgram fact sheet of 2026-11, §6 (AsyncAPI of July 2026, SDK deepgram-sdk 7.17.0)::

    {"type":"Speak","text":…}     buffered
    {"type":"Flush"}              spoken; ends with {"type":"Flushed","sequence_id":…}
    {"type":"Clear"}              forgotten; ends with {"type":"Cleared","sequence_id":…}
    {"type":"Close"}              the rest is spoken, then the socket closed
    ← {"type":"Metadata",…} at connect; binary audio; {"type":"Warning",…}
"""

from __future__ import annotations

from typing import Final

from voicekit.clients.deepgram.speech.options import MAX_CHARACTERS
from voicekit.clients.script import Script
from voicekit.clients.settings import dumps
from voicekit.speech.sentences import passages, sentences

FLUSH: Final = '{"type":"Flush"}'
CLEAR: Final = '{"type":"Clear"}'
CLOSE: Final = '{"type":"Close"}'

MAX_HELD: Final = 600
"""Characters. Source: ours. A sentence beyond it goes out at the end of a clause."""


class WholeSentences:
    """Holds back the sentence that is still being written.

    What goes out is, joined, exactly what came in.

    Attributes:
        pending: The sentence that waits for its end.
    """

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending = ""

    def feed(self, piece: str) -> list[str]:
        """The sentences that are whole now."""
        parts = sentences(self.pending + piece, most=MAX_HELD)
        self.pending = parts.pop() if parts else ""
        return parts

    def flush(self) -> str:
        """The rest, when no more text will come."""
        rest, self.pending = self.pending, ""
        return rest


class SpeakScript(Script):
    """What is said in one utterance; ``extra`` is JSON text for each message with text.

    Attributes:
        flushes: How many there are in it.
        unflushed: Characters said since the last one.
    """

    __slots__ = ("_extra", "flushes", "unflushed")

    def __init__(self, extra: str = "") -> None:
        super().__init__()
        self._extra = f",{extra}" if extra else ""
        self.flushes = 0
        self.unflushed = 0

    def say(self, text: str) -> None:
        """Have ``text`` buffered.

        White space alone is left out: an empty message ends the socket, and a blank one
        says no more.
        """
        if not text.strip():
            return
        for part in passages(text, most=MAX_CHARACTERS):
            if part.strip():
                self._queue.append(f'{{"type":"Speak","text":{dumps(part)}{self._extra}}}')
        self.unflushed += len(text)

    def flush(self) -> None:
        """Have what was buffered spoken."""
        self.flushes += 1
        self.unflushed = 0
        self._queue.append(FLUSH)

    @property
    def queued_flushes(self) -> int:
        """How many were not written yet."""
        return self._queue.count(FLUSH)

    def finish(self) -> None:
        """No more text will come."""
        if not self.finished:
            if self.unflushed:
                self.flush()
            self.finished = True
