"""Several synthesizers as one."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from voicekit.errors import InvalidArgumentError
from voicekit.resilience.members.produced import ProducedClip, produced
from voicekit.resilience.members.requests import RequestOfMembers
from voicekit.resilience.members.speaking import FedMemberSpeech, MemberUtterance
from voicekit.resilience.members.streams import MemberSpeechStream
from voicekit.resilience.members.trail import Group
from voicekit.resilience.members.wrapper import Wrapper
from voicekit.speech import AudioClip, AudioFormat

if TYPE_CHECKING:
    from voicekit import interfaces
    from voicekit.streams import SpeechStream

_HEADERLESS: Final = frozenset({"pcm", "mulaw", "alaw"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequestOfMembers(RequestOfMembers["interfaces.SpeechRequest"]):
    """What is to be spoken, as each member would.

    Attributes:
        text: The words.
        format: What the audio will be.
    """

    text: str = field(repr=False)
    format: AudioFormat


class SpeechOfMembers(Wrapper):
    """A ``Synthesizer`` made of several."""

    def request(self, text: str, /, **options: Any) -> SpeechRequestOfMembers:
        """Merge, validate and freeze, at every member; no I/O.

        Raises:
            InvalidArgumentError: A member refuses it, or they would give different formats.
        """
        of = self._requests(text, options)
        first = of[0].format
        for request in of[1:]:
            _check_alike(self._group, first, request.format)
        return SpeechRequestOfMembers(text=of[0].text, format=first, of=of, owner=self)

    def stream_speech(
        self, text: str | AsyncIterable[str] | interfaces.SpeechRequest, /, **options: Any
    ) -> SpeechStream | interfaces.SpeechSession:
        """Speech as it is made, by the first member that has some. No I/O before it is opened.

        Text from an async iterable is read once, kept until the first audio, and said from the
        beginning to the next member, if it comes to that.

        Raises:
            InvalidArgumentError: A member refuses it.
        """
        self._group.check_open()
        if isinstance(text, AsyncIterable):
            speech = FedMemberSpeech(self._group, "stream_speech", text)
            fed = self._sessions("stream_speech", options, speech.text)
            speech.handle_of, speech.format = fed, _common_format(self._group, fed.first)
            return speech
        request = self._request_of(text, options)
        handles = self._handles("stream_speech", request)
        return MemberSpeechStream(
            self._group, "stream_speech", handles, request.at, format=request.format
        )

    async def synthesize(
        self, text: str | interfaces.SpeechRequest, /, **options: Any
    ) -> AudioClip:
        """The whole speech as one clip. What broke off after its first audio is an error.

        With a ``timeout`` it is streamed, so that the first audio is seen; where the format
        cannot be streamed, the whole must come within it.

        Raises:
            InvalidArgumentError: A member refuses it.
            StreamInterruptedError: It broke off after its first audio.
            VoicekitError: Every member failed before.
        """
        self._group.check_open()
        request = self._request_of(text, options)
        if self._group.timeout is not None:
            try:
                stream = self.stream_speech(request)
            except InvalidArgumentError:  # a format that is only given whole
                pass
            else:
                assert isinstance(stream, MemberSpeechStream)  # noqa: S101 - of a request
                return await stream.clip()
        clip, member, errors, asked = await self._whole("synthesize", request)
        return produced(ProducedClip, clip, member, errors, request=asked)

    def _request_of(
        self, text: str | interfaces.SpeechRequest, options: Mapping[str, Any]
    ) -> SpeechRequestOfMembers:
        if isinstance(text, str):
            return self.request(text, **options)
        if not isinstance(text, SpeechRequestOfMembers):
            raise InvalidArgumentError(
                f"got a {type(text).__name__}",
                argument="text",
                allowed="a str, an async iterable of str, or what request() of this returned",
            )
        return self._finished(text, "text", options)


class SpokenByMembers(SpeechOfMembers):
    """The same, of members all of which open sessions."""

    def open_speech(self, **options: Any) -> MemberUtterance:
        """One session is one utterance. No I/O before it is opened.

        Raises:
            InvalidArgumentError: A member refuses it.
        """
        self._group.check_open()
        handles = self._sessions("open_speech", options)
        utterance = MemberUtterance(self._group, "open_speech", handles)
        utterance.format = _common_format(self._group, handles.first)
        return utterance


def _common_format(group: Group, handles: tuple[Any, ...]) -> AudioFormat:
    """What audio of any of these handles is, as far as they say it."""
    told = [each.format for each in handles if isinstance(each.format, AudioFormat)]
    for other in told[1:]:
        _check_alike(group, told[0], other)
    return told[0]


def _check_alike(group: Group, one: AudioFormat, other: AudioFormat) -> None:
    """Who plays must not notice who speaks; files that say what they are may differ in rates.

    Raises:
        InvalidArgumentError: They are not alike.
    """
    alike = one == other or (one.encoding == other.encoding and one.encoding not in _HEADERLESS)
    if not alike:
        names = ", ".join(member.name for member in group.members)
        raise InvalidArgumentError(
            f"{one.name} and {other.name}: {names} would give different audio",
            argument="format",
            allowed="one format for all of them, per call or in each constructor",
        )
