"""The protocol of ``stream-input``, without I/O: a socket is one utterance.

There is no id, and no word for stopping: whoever wants no more closes the socket. When
all is spoken the server says so and closes, so that nothing can be said on it again.

Source: ElevenLabs fact sheet of 2026-11, §9 (AsyncAPI of August 2025, WebSockets guide,
SDK 2.78.0, public clients of livekit-agents and pipecat).

An utterance, as we say it::

    {"text":" ","voice_settings":…,"generation_config":…}    opens it
    {"text":"Hello there. "}                                 whole words
    {"text":"Goodbye. ","flush":true}                        say it now
    {"text":""}                                              no more: the rest is spoken
    ← {"audio":…,"alignment":…} … {"isFinal":true}, and a close with 1000
"""

from __future__ import annotations

from voicekit.clients.elevenlabs.script import SpeechScript, dumps


class SingleScript(SpeechScript):
    """What we say on one socket."""

    __slots__ = ()

    def _message(self, text: str | None, more: str = "") -> str:
        # Every message has a text here; a single space says nothing.
        said = dumps(" " if text is None else text)
        return f'{{"text":{said}{"," if more else ""}{more}}}'

    def keep_alive(self) -> None:
        """Reset the server's inactivity timer. An empty text would end the utterance."""
        self._queue.append(self._message(None))

    def finish(self, *, speak: bool = False) -> None:  # noqa: ARG002 - the end speaks the rest
        """No more text will come. What was said is spoken, flushed or not."""
        if not self.finished:
            self.finished = True
            self._queue.append(self._message(""))

    @property
    def goodbye(self) -> None:
        """None: no message ends it early, only closing the socket does."""
        return
