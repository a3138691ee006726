"""Speech, a part of ``OpenAIClient``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from voicekit.checks import no_options
from voicekit.clients.execute import open_stream
from voicekit.clients.openai.authorized import Authorized
from voicekit.clients.openai.errors import DIALECT, PROVIDER, error_of
from voicekit.clients.openai.speech_options import SpeechOptions, SpeechSettings
from voicekit.clients.openai_speech import SPEECH_PATH, SpeechRequest
from voicekit.clients.roles import SynthesizerRole
from voicekit.clients.speaking import part_decoder, patient, spoken, stream_of, whole_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits, Operation
from voicekit.speech import AudioChunk, AudioClip
from voicekit.streams import Opened, SpeechStream

if TYPE_CHECKING:
    from voicekit import interfaces

STREAM_SPEECH: Final = stream_of(PROVIDER, service="")
SYNTHESIZE: Final = whole_of(STREAM_SPEECH)

ACCEPT: Final = "application/octet-stream"
"""As the vendor's SDK says it, which every compatible server has met."""


class Speech(Authorized):
    """Whole texts spoken, streamed and whole, by the vendor or by a compatible server.

    All of the vendor's models for it end on 2027-01-06 (``tts-1``, ``tts-1-hd``,
    ``gpt-4o-mini-tts``); what it names in their place speaks over its Realtime API only.
    Servers of others, at their ``base_url``, go on.
    """

    def speech_request(self, text: str, /, **options: Unpack[SpeechOptions]) -> SpeechRequest:
        """Merge, validate, freeze; no I/O.

        Raises:
            InvalidArgumentError: Naming the argument, what was given and what is allowed.
        """
        return self._family(SpeechSettings).updated(options).request(text)

    async def synthesize(
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[SpeechOptions]
    ) -> AudioClip:
        """The whole speech as one clip. With ``split``, its evidence is the last part's.

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

    def stream_speech(
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[SpeechOptions]
    ) -> SpeechStream:
        """Speech as it is made. No I/O before the handle is awaited, entered or iterated.

        Opening ends with the first audio. Limits: connect 2 s, first output 5 s, gap 5 s.
        Cancelled while it opens, the request is abandoned and its connection closed and
        replaced.

        Args:
            text: What is to be said, at most 4,096 characters for the vendor's models (more
                with ``split``), or a request made before (then no options). The protocol
                takes whole texts only: a text that is still being written goes sentence by
                sentence, a call each.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle.
            TransportError: The connection failed, or what came is no such audio.
            StreamInterruptedError: While iterating: it broke off after its first output.
            VoicekitError: As for ``stream_chat``.
        """
        request = self._speech_of(text, options)
        return self._speak(request, STREAM_SPEECH, request.limits)

    def as_synthesizer(self) -> SynthesizerRole:
        """This client as a ``Synthesizer``; closing that closes this."""
        return SynthesizerRole(self)

    def _speech_of(
        self, text: str | interfaces.SpeechRequest, options: Mapping[str, Any]
    ) -> SpeechRequest:
        if isinstance(text, SpeechRequest) and text.provider == PROVIDER:
            no_options(options, allowed="options in speech_request(), or a text with options")
            return text
        if isinstance(text, AsyncIterable):
            raise InvalidArgumentError(
                "the protocol has no text in pieces",
                argument="text",
                allowed="a str, or a request; of a text that is still being written, each "
                "sentence in a call of its own",
            )
        # Another provider's request is no text, and is refused as such.
        return self._family(SpeechSettings).updated(options).request(cast("str", text))

    def _speak(
        self, request: SpeechRequest, operation: Operation, limits: Limits | None
    ) -> SpeechStream:
        return spoken(self.transport, self._open_speech, request, operation, limits)

    async def _open_speech(
        self, request: SpeechRequest, operation: Operation, part: int, limits: Limits | None
    ) -> Opened[AudioChunk]:
        return await open_stream(
            self.transport,
            self._call(operation, request, limits=limits),
            partial(
                self._prepare,
                SPEECH_PATH,
                model=request.model,
                accept=ACCEPT,
                body=request.bodies[part],
                query=request.query,
                headers=request.headers,
            ),
            DIALECT,
            partial(part_decoder, request, part, error_of),
        )


if TYPE_CHECKING:
    _conforms: type[interfaces.Synthesizer] = SynthesizerRole
