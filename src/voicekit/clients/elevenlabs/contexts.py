"""The multi-context protocol of ``multi-stream-input``, without I/O.

One socket carries contexts, one utterance each, told apart by an id. The vendor allows
five live ones at a time; here they follow one another, under ids that are never used
again, so that audio which is still on its way when an utterance is cancelled is known by
its id and dropped.

Source: ElevenLabs fact sheet of 2026-11, §10 (multi-context guide, AsyncAPI of August
2025, message types of SDK 2.78.0, public clients of livekit-agents and pipecat).

A context, as we use it::

    {"text":" ","context_id":…,"voice_settings":…,"generation_config":…}    opens it
    {"text":"Hello there. ","context_id":…}                                 whole words
    {"text":"Goodbye. ","context_id":…,"flush":true}                        say it now
    {"context_id":…,"close_context":true}                                   no more
    ← {"audio":…,"alignment":…,"contextId":…} … {"isFinal":true,"contextId":…}
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any, Final

from voicekit.clients.elevenlabs.script import SpeechScript, dumps
from voicekit.errors import RemoteProtocolError

MAX_UNFINISHED: Final = 4
"""Contexts of a socket that were closed and have not ended. The vendor closes a socket, and
kills all of its contexts, at the sixth live one; whether a closed one that still speaks
counts is not documented. With four such the next would be the fifth: the last that is
safe, so a socket with four is given up instead of used again."""


def context_of(frame: Mapping[str, Any]) -> str | None:
    """Which context a frame belongs to. Both spellings are seen."""
    context = frame.get("contextId")
    if context is None:
        context = frame.get("context_id")
    return context if isinstance(context, str) else None


def is_final(frame: Mapping[str, Any]) -> bool:
    """Whether the frame ends its context. Null, false and absent are all seen on others."""
    return frame.get("isFinal") is True or frame.get("is_final") is True


def is_error(frame: Mapping[str, Any]) -> bool:
    """Whether the frame reports an error, which is named but in doubt has a code at least."""
    named = frame.get("error") is not None or isinstance(frame.get("code"), int)
    return named and not frame.get("audio")


def audio_of(frame: Mapping[str, Any]) -> bytes:
    """The audio of a frame; empty when it has none.

    Raises:
        RemoteProtocolError: It is not base64.
    """
    audio = frame.get("audio")
    if not audio:
        return b""
    try:
        return a2b_base64(audio, strict_mode=True)
    except (Base64Error, ValueError, TypeError):
        raise RemoteProtocolError("the audio of a frame is not base64") from None


class OpenContexts:
    """What the server still knows of one socket's contexts.

    Attributes:
        live: The context of the utterance that holds the socket, if one does.
        unfinished: Former ones that were closed and have not ended.
    """

    __slots__ = ("live", "unfinished")

    def __init__(self) -> None:
        self.live: str | None = None
        self.unfinished: set[str] = set()

    def begin(self, context: str) -> None:
        """An utterance takes the socket."""
        self.live = context

    def leave(self, *, ended: bool) -> None:
        """The utterance is over; ``ended`` says that the server agrees."""
        if self.live is not None and not ended:
            self.unfinished.add(self.live)
        self.live = None

    @property
    def crowded(self) -> bool:
        """Too many former contexts are still speaking for another one to be safe."""
        return len(self.unfinished) >= MAX_UNFINISHED

    def is_live(self, frame: Mapping[str, Any]) -> bool:
        """Whether a frame belongs to the utterance that holds the socket; notes the ends of others.

        A frame without an id belongs to it only when there is nobody else's it could be.
        An error without an id concerns the whole socket.
        """
        context = context_of(frame)
        if context is None:
            return self.live is not None and (is_error(frame) or not self.unfinished)
        if context == self.live:
            return True
        if context in self.unfinished and (is_final(frame) or is_error(frame)):
            self.unfinished.discard(context)
        return False


class ContextScript(SpeechScript):
    """What we say in one context."""

    __slots__ = ("_id",)

    def __init__(self, context: str, first: str) -> None:
        self._id = f'"context_id":{dumps(context)}'
        super().__init__(first)

    def _message(self, text: str | None, more: str = "") -> str:
        said = "" if text is None else f'"text":{dumps(text)},'
        return f"{{{said}{self._id}{',' if more else ''}{more}}}"

    def keep_alive(self) -> None:
        """Reset the server's inactivity timer. An empty text does not end a context here."""
        self._queue.append(self._message(""))

    def finish(self, *, speak: bool = False) -> None:
        """No more text will come. What was flushed is still spoken, and nothing else.

        ``speak`` says that something was said that was not flushed, and is to be spoken.
        """
        if self.finished:
            return
        if speak:
            self.flush()
        self.finished = True
        self._queue.append(self.goodbye)

    @property
    def goodbye(self) -> str:
        """The message that closes the context."""
        return self._message(None, '"close_context":true')
