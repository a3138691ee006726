"""Speech, a part of ``DeepgramClient``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack, cast, overload

from voicekit.checks import no_options, wrong
from voicekit.clients.audio_body import characters_of
from voicekit.clients.deepgram.errors import DIALECT, PROVIDER
from voicekit.clients.deepgram.speech.config import SpeechRequest, SpeechSettings
from voicekit.clients.deepgram.speech.errors import error_in_body
from voicekit.clients.deepgram.speech.live import FED_SPEECH, STREAM_SPEECH, LiveSpeech
from voicekit.clients.deepgram.speech.options import SpeechOptions
from voicekit.clients.deepgram.speech.pending import PendingSpeech, read_pending
from voicekit.clients.deepgram.speech.utterance import FedUtterance
from voicekit.clients.execute import fetch_json, open_stream
from voicekit.clients.roles import SpeakingRole
from voicekit.clients.speaking import part_decoder, patient, spoken, whole_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.speech import AudioChunk, AudioClip
from voicekit.streams import Opened, SpeechStream

if TYPE_CHECKING:
    from voicekit import interfaces
    from voicekit.transport.messages import Request

SYNTHESIZE: Final = whole_of(STREAM_SPEECH)
SUBMIT_SPEECH: Final = Operation(
    # Done twice, the audio is delivered twice.
    provider=PROVIDER,
    name="submit_speech",
    service="speech",
    kind=OperationClass.EFFECT,
    limits=Limits(connect=2.0, first_output=10.0, total=10.0),
    reconcile="the callback gets the audio if the vendor has the text; "
    "a tag, or the callback's own query, tells which",
)


class Speech(LiveSpeech):
    """Whole texts over HTTP; a text that is still being written goes over a socket."""

    # -- whole texts --

    def speech_request(self, text: str, /, **options: Unpack[SpeechOptions]) -> SpeechRequest:
        """Merge, validate, freeze; no I/O.

        Raises:
            InvalidArgumentError: Naming the argument, what was given and what is allowed.
        """
        return self._speech_of(text, options)

    async def synthesize(
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[SpeechOptions]
    ) -> AudioClip:
        """The whole speech as one clip, by way of the streaming endpoint.

        Limited to 30 s and 15 ms per character in all, beside the limits of a stream.
        Cancelling frees the connection at once.

        Raises:
            InvalidArgumentError: Before any I/O.
            StreamInterruptedError: It broke after its first audio.
            VoicekitError: It failed before; see ``stream_speech``.
        """
        request = self._speech_of(text, options)
        limits = request.limits or self._limits.get(SYNTHESIZE.name)
        limits = limits or patient(SYNTHESIZE, request.text)
        return await self._speak(request, SYNTHESIZE, limits).clip()

    @overload
    def stream_speech(
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[SpeechOptions]
    ) -> SpeechStream: ...

    @overload
    def stream_speech(
        self, text: AsyncIterable[str], /, **options: Unpack[SpeechOptions]
    ) -> FedUtterance: ...

    @overload
    def stream_speech(
        self,
        text: str | AsyncIterable[str] | interfaces.SpeechRequest,
        /,
        **options: Unpack[SpeechOptions],
    ) -> SpeechStream | FedUtterance: ...

    def stream_speech(
        self,
        text: str | AsyncIterable[str] | interfaces.SpeechRequest,
        /,
        **options: Unpack[SpeechOptions],
    ) -> SpeechStream | FedUtterance:
        """Speech as it is made. No I/O before the handle is awaited, entered or iterated.

        A ``str`` or a request goes over HTTP; opening ends with the first audio. Text from
        an async iterable, such as a model's stream, goes over a pooled socket, sentence by
        sentence as it is written; opening ends with the socket. Limits: connect 2 s, first
        output 5 s, gap 5 s. Cancelled while it opens, nothing is left.

        Args:
            text: What is to be said. More than 2,000 characters need ``split=True``.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle.
            RateLimitError: Too many requests or sockets are under way in the project.
            TransportError: The connection failed, or what came is no such audio.
            StreamInterruptedError: While iterating: it broke off after its first audio.
            VoicekitError: As for ``transcribe``.
        """
        if isinstance(text, str | SpeechRequest):
            request = self._speech_of(text, options)
            return self._speak(request, STREAM_SPEECH, request.limits)
        if not isinstance(text, AsyncIterable):
            raise wrong("text", text, "a str, an async iterable of str, or a request")
        settings = self._family(SpeechSettings).updated(options, where="session").session
        return FedUtterance(self._studio(settings, FED_SPEECH), settings, text)

    async def submit_speech(
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[SpeechOptions]
    ) -> PendingSpeech:
        """Have a text spoken, and the audio sent to the option ``callback``.

        Returns when the vendor has accepted it, within 10 s. Cancelled, whether it was
        accepted is unknown.

        Args:
            text: At most 2,000 characters.
            **options: On top of the constructor's; ``callback`` in one of both.

        Raises:
            InvalidArgumentError: There is no ``callback``.
            VoicekitError: As ``stream_speech``.
        """
        request = self._speech_of(text, options, callback=True)
        call = self._call(SUBMIT_SPEECH, request)
        pending = await fetch_json(
            self.transport,
            call,
            self._prepare_speech(request, 0),
            DIALECT,
            read_pending,
        )
        return replace(pending, **call.evidence())

    def as_synthesizer(self) -> SpeakingRole:
        """This client as a ``Synthesizer``; closing that closes this."""
        return SpeakingRole(self)

    def _speech_of(
        self,
        text: str | interfaces.SpeechRequest,
        options: Mapping[str, Any],
        *,
        callback: bool = False,
    ) -> SpeechRequest:
        if isinstance(text, SpeechRequest):
            no_options(options, allowed="options in speech_request(), or a text with options")
            request = text
        else:
            settings = self._family(SpeechSettings).updated(options, where="text")
            # The constructor's callback is for submit_speech alone; a call's own is no default.
            asked = (settings.options if callback else options).get("callback")
            # Another provider's request is no text, and is refused as such.
            request = settings.request(cast("str", text), callback=asked is not None)
        if callback and not request.callback:
            raise InvalidArgumentError("is missing", argument="callback", allowed="a URL")
        return request

    def _speak(
        self, request: SpeechRequest, operation: Operation, limits: Limits | None
    ) -> SpeechStream:
        if request.callback:
            raise InvalidArgumentError(
                "gets the audio in place of the caller",
                argument="callback",
                allowed="submit_speech()",
            )

        return spoken(self.transport, self._open_speech, request, operation, limits, _usage_of)

    async def _open_speech(
        self, request: SpeechRequest, operation: Operation, part: int, limits: Limits | None
    ) -> Opened[AudioChunk]:
        return await open_stream(
            self.transport,
            self._call(operation, request, limits=limits),
            self._prepare_speech(request, part),
            DIALECT,
            partial(part_decoder, request, part, error_in_body),
        )

    def _prepare_speech(
        self, request: SpeechRequest, part: int
    ) -> Callable[[], Awaitable[Request]]:
        body = request.bodies[part]
        return partial(self._post, request.target, request.headers, "application/json", body)


_usage_of = partial(characters_of, "dg-char-count")
