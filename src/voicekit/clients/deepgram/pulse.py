"""When a listening socket needs a sign of life, without clocks or sockets of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Beat = Literal["keep_alive", "silence"]

KEEP_ALIVE_S: Final = 4.0
"""Seconds of silence between KeepAlives. Source: sheet §3, every 3 to 5 s; the limit is 10."""

FIRST_AUDIO_S: Final = 7.0
"""Seconds after opening at which we send silence if the caller has sent nothing.

Source: sheet §3, a socket without one audio frame within 10 s of opening is closed
(NET-0001), KeepAlives or not. Later than most callers' first word, and with three
seconds left for a slow network.
"""


@dataclass(slots=True, kw_only=True)
class Pulse:
    """Decides what to send when, from the times at which something was sent.

    Attributes:
        opened_at: When the socket opened, in the seconds of any one clock; so are the others.
        can_pad: Whether silence can be made in the stream's format.
        keep_alive: Seconds of silence between signs of life.
        first_audio: Seconds that the caller has for the first audio.
    """

    opened_at: float = 0.0
    sent_at: float = 0.0
    had_audio: bool = False
    can_pad: bool = True
    keep_alive: float = KEEP_ALIVE_S
    first_audio: float = FIRST_AUDIO_S

    def opened(self, now: float, *, can_pad: bool) -> None:
        """The socket is open."""
        self.opened_at = self.sent_at = now
        self.had_audio = False
        self.can_pad = can_pad

    def due_at(self) -> float:
        """When to ask ``beat`` next."""
        if not self.had_audio and self.can_pad:
            return self.opened_at + self.first_audio
        return self.sent_at + self.keep_alive

    def beat(self, now: float) -> Beat | None:
        """What is to be sent now.

        Before the first audio that is silence, since a KeepAlive would not help then;
        where none can be made it is a KeepAlive all the same, which costs nothing.
        """
        if now < self.due_at() - 1e-6:
            return None
        return "silence" if not self.had_audio and self.can_pad else "keep_alive"
