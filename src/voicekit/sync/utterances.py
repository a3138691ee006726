"""The blocking sessions of speech: text goes in piece by piece, audio comes out."""

from __future__ import annotations

from voicekit.clients import utterance
from voicekit.speech import AudioChunk
from voicekit.sync.delegation import Evidence
from voicekit.sync.handles import Audible, Cancellable


class SpokenSession(Audible, Cancellable[AudioChunk]):
    """What the utterances of all providers have. One thread may send while another iterates."""

    attempts = Evidence(utterance.SpokenSession.attempts)
    usage = Evidence(utterance.SpokenSession.usage)
    headers = Evidence(utterance.SpokenSession.headers)


class Fed(SpokenSession):
    """Speech whose text comes from an iterable, which has to be closed with it."""

    def _spent(self) -> bool:
        # Its last audio is not its end: the text may have failed, and is still to be closed.
        return super()._spent() and self._over
