"""Several transcribers as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from voicekit.errors import (
    ConnectError,
    ConnectTimeout,
    PoolTimeout,
    RejectedError,
    VoicekitError,
)
from voicekit.resilience.members.produced import ProducedTranscript, produced
from voicekit.resilience.members.requests import RequestOfMembers
from voicekit.resilience.members.sessions import MemberTranscription
from voicekit.resilience.members.trail import ANYWHERE, Judge
from voicekit.resilience.members.wrapper import Wrapper
from voicekit.speech import AudioSource, Transcript

if TYPE_CHECKING:
    from voicekit import interfaces

_UNREAD: Final = (RejectedError, PoolTimeout, ConnectError, ConnectTimeout)
"""What proves that nothing was read of what was to be sent."""


class TranscriptionRequestOfMembers(RequestOfMembers["interfaces.TranscriptionRequest"]):
    """What is to be transcribed, as each member would."""

    __slots__ = ()

    @property
    def audio(self) -> AudioSource:
        """The recording."""
        return self.of[0].audio


class TranscriptionOfMembers(Wrapper):
    """A ``Transcriber`` made of several."""

    def request(self, audio: AudioSource, /, **options: Any) -> TranscriptionRequestOfMembers:
        """Merge, validate and freeze, at every member; no I/O but a look at a file.

        Raises:
            InvalidArgumentError: A member refuses it.
        """
        return TranscriptionRequestOfMembers(of=self._requests(audio, options), owner=self)

    async def transcribe(
        self, audio: AudioSource | interfaces.TranscriptionRequest, /, **options: Any
    ) -> Transcript:
        """All that is said in a recording; with a ``timeout``, it must come within that.

        A file that can be read only once goes to another member only when nothing of it was
        read: else ``retry_stopped`` is ``"not_replayable"``.

        Raises:
            InvalidArgumentError: A member refuses it.
            VoicekitError: Every member failed.
        """
        self._group.check_open()
        request = self._request_of(audio, options)
        read, seekable = hasattr(request.audio, "read"), getattr(request.audio, "seekable", None)
        judge = _ReadOnce() if read and not (callable(seekable) and seekable()) else ANYWHERE
        result, member, errors, _ = await self._whole("transcribe", request, judge)
        return produced(ProducedTranscript, result, member, errors)

    def _request_of(
        self, audio: AudioSource | interfaces.TranscriptionRequest, options: Mapping[str, Any]
    ) -> TranscriptionRequestOfMembers:
        return self._made(TranscriptionRequestOfMembers, self.request, audio, "audio", options)


class HeardByMembers(TranscriptionOfMembers):
    """The same, of members all of which open sessions."""

    def open_transcription(self, **options: Any) -> MemberTranscription:
        """Audio goes in, results come out. No I/O before it is opened.

        The first member that accepts has it to its end.

        Raises:
            InvalidArgumentError: A member refuses it.
        """
        self._group.check_open()
        handles = self._sessions("open_transcription", options)
        return MemberTranscription(self._group, "open_transcription", handles)


class _ReadOnce(Judge):
    """A recording that cannot be read again."""

    def may_move(self, error: VoicekitError, /) -> bool:
        if isinstance(error, _UNREAD):
            return True
        error.retry_stopped = error.retry_stopped or "not_replayable"
        return False
