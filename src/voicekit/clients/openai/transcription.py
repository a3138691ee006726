"""Transcription of recordings, a part of ``OpenAIClient``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from voicekit.checks import no_options
from voicekit.clients.execute import check_type, fetch, open_stream
from voicekit.clients.openai.account import EVENTS, JSON
from voicekit.clients.openai.authorized import Authorized
from voicekit.clients.openai.errors import DIALECT, PROVIDER
from voicekit.clients.openai.transcript import (
    NotStreamed,
    TranscriptDecoder,
    kinds_of,
    read_transcript,
)
from voicekit.clients.openai.transcript_stream import TranscriptStream
from voicekit.clients.openai.transcription_options import TRANSCRIPTION_PATH, TranscriptionOptions
from voicekit.clients.openai.transcription_request import (
    TranscriptionRequest,
    TranscriptionSettings,
)
from voicekit.clients.roles import TranscriberRole
from voicekit.clients.uploads import limits_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.speech import Transcript
from voicekit.streams import Decoder, Opened
from voicekit.wire.multipart import multipart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from voicekit import interfaces
    from voicekit.speech import AudioSource
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request

TRANSCRIBE: Final = Operation(
    provider=PROVIDER,
    name="transcribe",
    kind=OperationClass.COMPUTE,
    # Nothing useful comes before everything; the gap is of the upload.
    limits=Limits(connect=2.0, first_output=30.0, gap=30.0, total=30.0),
)
STREAM_TRANSCRIPTION: Final = replace(
    TRANSCRIBE, name="stream_transcription", limits=replace(TRANSCRIBE.limits, gap=10.0)
)

_STREAMED: Final = ("json", "text", "diarized_json")
"""Response formats that make sense for a stream; subtitles and word times come whole."""


class Transcription(Authorized):
    """A whole recording in, its transcript out, whole or as it is written."""

    def transcription_request(
        self, audio: AudioSource, /, **options: Unpack[TranscriptionOptions]
    ) -> TranscriptionRequest:
        """Merge, validate and freeze; no I/O but a look at a path or an open file.

        Args:
            audio: The recording; see ``transcribe``.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        return self._family(TranscriptionSettings).updated(options).request(audio)

    async def transcribe(
        self,
        audio: AudioSource | interfaces.TranscriptionRequest,
        /,
        **options: Unpack[TranscriptionOptions],
    ) -> Transcript:
        """All that is said in a recording.

        Limits: connect 2 s; 30 s and 0.1 s per second of audio for the answer, counted from
        the last byte of the recording. The upload may not stand still for 30 s. Cancelled,
        the connection is freed at once; what was uploaded may be billed.

        Args:
            audio: The recording: its bytes, the path of its file (read while it is sent),
                an open binary file from where it stands, an ``AudioClip``, or what
                ``transcription_request()`` returned. WAV, MP3, MP4, Ogg, FLAC or WebM, at
                most 25 MiB for the vendor's models. No ``AudioURL``: nothing is fetched.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: Before any I/O.
            InvalidRequestError: The vendor refuses the request, or cannot read the audio.
            TransportError: The connection failed, or what came is no transcript.
            VoicekitError: As for ``stream_chat``.

        Example:
            >>> heard = await client.transcribe(Path("call.mp3"), model="whisper-1",
            ...                                 timestamps="segment")
            >>> print(heard.to_srt())
        """
        request = self._recording_of(audio, options)
        limits = request.limits or self._limits.get(TRANSCRIBE.name)
        call = self._call(
            TRANSCRIBE, request, limits=limits or limits_of(request.recording, TRANSCRIBE.limits)
        )
        form = request.response_format

        def read(data: bytes, response: Response) -> Transcript:
            return read_transcript(data, form, response.headers, request.recording.duration_s)

        accept = JSON if "json" in form else "text/plain"
        transcript = await fetch(
            self.transport,
            call,
            self._prepare_form(request, accept, request.fields),
            DIALECT,
            read,
            kinds=kinds_of(form),
        )
        return replace(
            transcript,
            request_id=call.request_id,
            **call.evidence(),
        )

    def stream_transcription(
        self,
        audio: AudioSource | interfaces.TranscriptionRequest,
        /,
        **options: Unpack[TranscriptionOptions],
    ) -> TranscriptStream:
        """The transcript as it is written; iterate for text, see ``TranscriptStream``.

        The recording is uploaded whole before the first word comes: for live audio there
        are other clients. No I/O before the handle is awaited, entered or iterated. Limits:
        as of ``transcribe``, and 10 s between outputs. A model that does not stream
        (``whisper-1``) gives everything at once, at the end.

        Args:
            audio: As for ``transcribe``.
            **options: On top of the constructor's; not ``timestamps``.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle.
            StreamInterruptedError: While iterating: it broke off after its first output.
            VoicekitError: As for ``transcribe``.
        """
        request = self._recording_of(audio, options)
        if request.response_format not in _STREAMED:
            raise InvalidArgumentError(
                f"{request.response_format!r} does not come as a stream",
                argument="response_format",
                allowed=f"{', '.join(_STREAMED)}; or transcribe()",
            )
        return TranscriptStream(partial(self._open_transcription, request))

    def as_transcriber(self) -> TranscriberRole:
        """This client as a ``Transcriber``; closing that closes this."""
        return TranscriberRole(self)

    def _recording_of(
        self, audio: AudioSource | interfaces.TranscriptionRequest, options: Mapping[str, Any]
    ) -> TranscriptionRequest:
        if isinstance(audio, TranscriptionRequest):
            no_options(
                options, allowed="options in transcription_request(), or a recording with options"
            )
            return audio
        # Another provider's request is no recording, and is refused as such.
        settings = self._family(TranscriptionSettings).updated(options)
        return settings.request(cast("AudioSource", audio))

    async def _open_transcription(self, request: TranscriptionRequest) -> Opened[Any]:
        operation = STREAM_TRANSCRIPTION
        limits = request.limits or self._limits.get(operation.name)
        fields = (*request.fields, ("stream", "true"))
        return await open_stream(
            self.transport,
            self._call(
                operation, request, limits=limits or limits_of(request.recording, operation.limits)
            ),
            self._prepare_form(request, EVENTS, fields),
            DIALECT,
            partial(_decoder, request.recording.duration_s),
        )

    def _prepare_form(
        self, request: TranscriptionRequest, accept: str, fields: tuple[tuple[str, str], ...]
    ) -> Callable[[], Awaitable[Request]]:
        recording = request.recording
        file = ("file", recording.filename, recording.media_type, recording.content)
        content_type, body = multipart(fields, file)
        return partial(
            self._prepare,
            TRANSCRIPTION_PATH,
            model=request.model,
            accept=accept,
            content_type=content_type,
            body=body,
            query=request.query,
            headers=request.headers,
        )


def _decoder(length: float | None, response: Response) -> Decoder[Any]:
    if "json" in response.headers.get("Content-Type", ""):
        return NotStreamed(response.headers, length)
    check_type(response, ("event-stream",))
    return TranscriptDecoder(response.headers, length)


if TYPE_CHECKING:
    _conforms: type[interfaces.Transcriber] = TranscriberRole
