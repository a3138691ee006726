"""A pooled socket that knows its contexts, and the dial that opens one."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from voicekit.clients.elevenlabs.contexts import OpenContexts
from voicekit.clients.sockets import SpokenSocket, read_frame
from voicekit.errors import VoicekitError

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.sessions import Utterance
    from voicekit.transport.interfaces import Socket


class ContextSocket(SpokenSocket):
    """A socket that follows its contexts, whoever holds it: the pool or an utterance.

    Frames of former contexts end here. A socket on which too many of those still speak
    says that it is not reusable.
    """

    __slots__ = ("_contexts",)

    def __init__(self, inner: Socket, *, tls_s: float = 0.0) -> None:
        super().__init__(inner, tls_s)
        self._contexts = OpenContexts()
        inner.attach(self)

    # -- the utterance's side --

    def begin(self, speaker: Utterance, context: str) -> None:
        """An utterance takes the socket."""
        self._contexts.begin(context)
        self._speaker = weakref.ref(speaker)

    def leave(self, *, ended: bool = False) -> None:
        """The utterance lets go; ``ended`` says that the server ended its context."""
        super().leave(ended=ended)
        self._contexts.leave(ended=ended)

    @property
    def reusable(self) -> bool:
        """Whether another utterance may have it."""
        return self.alive and not self._contexts.crowded

    # -- the network's side --

    def frame(self, data: str | bytes) -> None:
        """One message arrived."""
        if self._speaker is None and not self._contexts.unfinished:
            return  # nobody's, or an error whose close follows
        try:
            frame = read_frame(data)
            if self._contexts.is_live(frame) and (speaker := self._speaker) is not None:
                utterance = speaker()
                if utterance is not None:
                    utterance.hear(frame)
        except VoicekitError as error:
            self._garbled(error)

    def __repr__(self) -> str:
        state = "alive" if self.alive else "closed"
        return f"<ContextSocket {state}, {len(self._contexts.unfinished)} unfinished>"
