"""Speech of whole texts over HTTP, a part of ``ElevenLabsClient``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack, cast, overload

from voicekit.checks import no_options, wrong
from voicekit.clients.audio_body import most_bytes
from voicekit.clients.elevenlabs.config import SpeechRequest, SpeechSettings
from voicekit.clients.elevenlabs.errors import DIALECT
from voicekit.clients.elevenlabs.formats import STREAM_FORMATS, refused
from voicekit.clients.elevenlabs.live import FED_SPEECH, STREAM_SPEECH, LiveSpeech
from voicekit.clients.elevenlabs.options import SpeechOptions
from voicekit.clients.elevenlabs.protocol import (
    audio_decoder,
    http_headers,
    http_request,
    request_ids,
    usage_of,
    usage_of_all,
)
from voicekit.clients.elevenlabs.sessions import FedUtterance
from voicekit.clients.execute import open_stream
from voicekit.clients.speaking import patient, whole_of
from voicekit.operation import Limits, Operation
from voicekit.speech import AudioChunk, AudioClip, AudioFormat
from voicekit.streams import Decoder, Opened, SpeechStream

if TYPE_CHECKING:
    from voicekit import interfaces
    from voicekit.clients.in_parts import SpeechInParts
    from voicekit.clients.resuming import SegmentEnds
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request

SYNTHESIZE: Final = whole_of(STREAM_SPEECH)


class Speech(LiveSpeech):
    """Whole texts over HTTP; a text that is still being written goes over a socket."""

    _headers: tuple[str, Mapping[str, str], Mapping[str, str]]
    """Those of the last request, with the key and the extra headers that they are of."""

    def request(self, text: str, /, **options: Unpack[SpeechOptions]) -> SpeechRequest:
        """Merge, validate, freeze; no I/O.

        Raises:
            InvalidArgumentError: Naming the argument, what was given and what is allowed.
        """
        return self._family(SpeechSettings).updated(options, where="text").request(text)

    async def synthesize(
        self, text: str | interfaces.SpeechRequest, /, **options: Unpack[SpeechOptions]
    ) -> AudioClip:
        """The whole speech as one clip, by way of the streaming endpoint.

        WAV is made by an endpoint that answers when all of it is made. With ``split`` the
        text may be of any length; then ``clip.request_id`` and ``clip.headers`` are of the
        last part, ``clip.usage`` of all. With ``timestamps`` the clip has ``.words`` and
        ``.characters``.

        Limited to 30 s and 15 ms per character in all, beside the limits of a stream.
        Cancelling frees the connection at once.

        Raises:
            InvalidArgumentError: Before any I/O.
            StreamInterruptedError: It broke after its first audio.
            VoicekitError: It failed before; see ``errors``.
        """
        request = self._request_of(text, options)
        limits = request.limits or self._limits.get(SYNTHESIZE.name)
        if limits is None:
            limits = patient(SYNTHESIZE, request.text)
            if request.whole:
                limits = replace(limits, first_output=limits.total)  # there is none before the last
        return await self._stream(request, SYNTHESIZE, limits).clip()

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
        an async iterable, such as a model's stream, goes over a pooled socket as it is
        written; opening ends with the socket.

        With ``split`` a text may be of any length: the next part is asked for while the one
        before is being played, from at most 20 s of audio that are read ahead;
        ``.request_id`` and ``.headers`` are those of the newest part. With ``timestamps``
        chunks have ``.words`` and ``.characters``.

        Raises:
            InvalidArgumentError: An option or the text makes no sense, or the format cannot
                be streamed (WAV).
        """
        if isinstance(text, str | SpeechRequest):
            request = self._request_of(text, options)
            if request.whole:
                raise refused(request.format.name, STREAM_FORMATS)
            return self._stream(request, STREAM_SPEECH, request.limits)
        if not isinstance(text, AsyncIterable):
            raise wrong("text", text, "a str, an async iterable of str, or a request")
        settings = self._family(SpeechSettings).updated(options, where="session").session
        return FedUtterance(self._studio(settings, FED_SPEECH), settings, text)

    def _request_of(
        self, text: str | interfaces.SpeechRequest, options: Mapping[str, Any]
    ) -> SpeechRequest:
        if isinstance(text, SpeechRequest):
            no_options(options, allowed="options in request(), or a text with options")
            return text
        # Another provider's request is no text, and is refused as such.
        return (
            self._family(SpeechSettings).updated(options, where="text").request(cast("str", text))
        )

    def _stream(
        self, request: SpeechRequest, operation: Operation, limits: Limits | None
    ) -> SpeechStream:
        if request.resume:
            return self._resumable(request, operation, limits)
        if not request.parts:
            return SpeechStream(
                partial(self._open_stream, request, operation, limits),
                format=request.format,
                usage=usage_of,
            )

        from voicekit.clients.in_parts import SpeechInParts

        def open_part(number: int, left: Limits | None) -> Awaitable[Opened[AudioChunk]]:
            part = request.parts[number].after(request_ids(speech.whole_headers))
            offset = request.format.duration_s(speech.read_bytes) or 0.0
            return self._open_stream(part, operation, left or limits, offset)

        speech = SpeechInParts(
            len(request.parts), open_part, request.format, lambda: self.transport.background
        )
        return _one_stream(speech, request.format)

    def _resumable(
        self, request: SpeechRequest, operation: Operation, limits: Limits | None
    ) -> SpeechStream:
        from voicekit.clients.resumable import ResumableSpeech
        from voicekit.clients.resuming import SegmentEnds
        from voicekit.speech.sentences import sentences

        parts = request.parts or (request,)
        aligned = request.timed == "original"
        texts = [sentences(p.text, most=len(p.text)) if aligned else [p.text] for p in parts]

        def open_rest(
            number: int, skipped: int, left: Limits | None
        ) -> Awaitable[Opened[AudioChunk]]:
            part = parts[number]
            part = (
                part.without("".join(texts[number][:skipped]))
                if skipped
                else part.after(request_ids(speech.whole_headers))
            )
            offset = request.format.duration_s(speech.read_bytes) or 0.0
            return self._open_stream(part, operation, left or limits, offset)

        def follow(number: int, skipped: int) -> SegmentEnds:
            first = sum(map(len, texts[:number])) + skipped
            return SegmentEnds(texts[number][skipped:], request.format, first=first)

        speech = ResumableSpeech(
            list(map(len, texts)),
            open_rest,
            request.format,
            lambda: self.transport.background,
            follow=follow if aligned else None,
        )
        return _one_stream(speech, request.format)

    async def _open_stream(
        self,
        request: SpeechRequest,
        operation: Operation,
        limits: Limits | None,
        offset: float = 0.0,
    ) -> Opened[AudioChunk]:
        def decode(response: Response) -> Decoder[AudioChunk]:
            most = most_bytes(request.format, len(request.text))
            if request.timed is None:
                return audio_decoder(request.format, response.headers, most=most)
            from voicekit.clients.elevenlabs.timed import TimedDecoder

            return TimedDecoder(
                request.format,
                response.headers,
                most=most,
                normalized=request.timed == "normalized",
                whole=request.whole,
                offset=offset,
            )

        opened = await open_stream(
            self.transport,
            self._call(operation, request, limits=limits),
            partial(self._prepare, request),
            DIALECT,
            decode,
        )
        self._places.learn(opened.response.headers, self.transport.config)
        return opened

    async def _prepare(self, request: SpeechRequest) -> Request:
        key = await self._credential.get()
        known, extra, headers = self._headers
        if key != known or request.headers is not extra:
            headers = http_headers(key, request.headers)
            self._headers = (key, request.headers, headers)
        return http_request(self.base_url, request, headers)


def _one_stream(speech: SpeechInParts, format: AudioFormat) -> SpeechStream:  # noqa: A002
    return SpeechStream(
        speech.open,
        format=format,
        usage=lambda _newest: usage_of_all(speech.all_headers),
        parts=speech,
    )
