"""Speech to text of recordings, a part of ``ElevenLabsClient``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, cast

from voicekit.checks import no_options
from voicekit.clients.elevenlabs.authorized import Authorized
from voicekit.clients.elevenlabs.errors import DIALECT, PROVIDER
from voicekit.clients.elevenlabs.protocol import http_headers
from voicekit.clients.elevenlabs.transcription_config import (
    TranscriptionRequest,
    TranscriptionSettings,
)
from voicekit.clients.elevenlabs.transcription_options import TranscriptionOptions
from voicekit.clients.execute import fetch
from voicekit.clients.refusals import body_of
from voicekit.clients.roles import TranscriberRole
from voicekit.clients.uploads import limits_of
from voicekit.errors import RemoteProtocolError
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.transport.messages import Request, Upload
from voicekit.wire.multipart import multipart

if TYPE_CHECKING:
    from voicekit import interfaces
    from voicekit.speech import AudioSource, PendingTranscript, Transcript
    from voicekit.transport.interfaces import Response

TRANSCRIBE: Final = Operation(
    provider=PROVIDER,
    name="transcribe",
    service="transcription",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=2.0, first_output=30.0, total=30.0),
)
SUBMIT_TRANSCRIPTION: Final = replace(
    TRANSCRIBE,
    name="submit_transcription",
    kind=OperationClass.EFFECT,
    reconcile="the webhooks get the transcript if the vendor has the recording; "
    "webhook_metadata tells which",
)

LONGEST_S: Final = 10 * 3600.0
"""Seconds of the longest recording that the vendor takes. Source: speech-to-text page."""

PER_SECOND_S: Final = 0.1
"""What a second of audio adds to the limits of a transcription."""

MOST_BYTES: Final = 256 << 20
"""Ten hours of speech with a time for each character are some 60 MB of JSON."""

T = TypeVar("T", "Transcript", "PendingTranscript")


class FileTranscription(Authorized):
    """Recordings to text."""

    def transcription_request(
        self, audio: AudioSource, /, **options: Unpack[TranscriptionOptions]
    ) -> TranscriptionRequest:
        """Merge, validate, freeze; of files, no more than a look at them.

        Raises:
            InvalidArgumentError: Naming the argument, what was given and what is allowed.
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
        the last byte of the recording; where its length is unknown, as for the longest that
        the vendor takes. Cancelled, the connection is freed at once; what was uploaded may
        be billed.

        Args:
            audio: The recording: its bytes, the path of its file (read while it is sent),
                an open binary file from where it stands, an ``AudioClip``, an ``AudioURL``
                that the vendor fetches, or what ``transcription_request()`` returned. Any
                common format, sound or video, at most 10 hours. 16-bit PCM at 16 kHz, mono,
                in a clip, in bytes, or named by ``format``, goes without a header: the
                vendor transcribes that sooner.
            **options: On top of the constructor's ``transcription``.

        Raises:
            InvalidArgumentError: Before any I/O.
            AuthenticationError: The key is wrong or may not do this.
            InvalidRequestError: The vendor refuses the request, or cannot read the audio.
            RateLimitError: Too many requests at a time.
            QuotaError: The account has no credit.
            UnavailableError: The vendor failed or is overloaded.
            TransportError: The connection failed, or what came is no transcript.
            DeadlineError: A limit passed.

        Example:
            >>> heard = await client.transcribe(Path("call.mp3"), diarize=True)
            >>> print(heard.to_srt(speakers={0: "Agent", 1: "Caller"}))
        """
        from voicekit.clients.elevenlabs.transcripts import transcript_of
        from voicekit.speech import Usage

        request = self._transcription_of(audio, options)
        heard = await self._ask(TRANSCRIBE, request, transcript_of, status=200)
        seconds = heard.duration
        usage = None if seconds is None else Usage(audio_seconds=seconds)
        return replace(heard, usage=usage)

    async def submit_transcription(
        self,
        audio: AudioSource,
        /,
        **options: Unpack[TranscriptionOptions],
    ) -> PendingTranscript:
        """Have a recording transcribed later; the account's webhooks get the transcript.

        Limits and errors as for ``transcribe``. Never repeated when it is unknown whether
        the vendor has it, since the webhooks would get the transcript twice.

        Args:
            audio: The recording.
            **options: On top of the constructor's ``transcription``; ``webhook_id`` and
                ``webhook_metadata`` above all.

        Raises:
            InvalidArgumentError: Before any I/O.
            VoicekitError: As for ``transcribe``.
        """
        from voicekit.clients.elevenlabs.transcripts import pending_of

        settings = self._family(TranscriptionSettings).updated(options)
        request = settings.request(audio, webhook=True)
        return await self._ask(SUBMIT_TRANSCRIPTION, request, pending_of, status=202)

    def as_transcriber(self) -> TranscriberRole:
        """This client as a ``Transcriber``; closing it closes the client."""
        return TranscriberRole(self)

    def _transcription_of(
        self, audio: AudioSource | interfaces.TranscriptionRequest, options: Mapping[str, Any]
    ) -> TranscriptionRequest:
        if not isinstance(audio, TranscriptionRequest):
            # Another provider's request is no audio, and is refused as such.
            source = cast("AudioSource", audio)
            return self._family(TranscriptionSettings).updated(options).request(source)
        no_options(
            options, allowed="options in transcription_request(), or a recording with options"
        )
        return audio

    async def _ask(
        self,
        operation: Operation,
        request: TranscriptionRequest,
        read: Callable[[Mapping[str, Any]], T],
        *,
        status: int,
    ) -> T:
        content_type, body = _form_of(request)
        given = request.limits or self._limits.get(operation.name)
        call = self._call(operation, request, limits=given or _patient(request, operation.limits))

        def parse(body: bytes, response: Response) -> tuple[T, Mapping[str, str]]:
            value = body_of(body)
            if not isinstance(value, dict):
                raise RemoteProtocolError("the answer is no JSON object")
            return read(value), response.headers

        result, headers = await fetch(
            self.transport,
            call,
            partial(self._prepare_form, request, content_type, body),
            DIALECT,
            parse,
            kinds=("json",),
            most=MOST_BYTES,
            status=status,
        )
        return replace(
            result,
            request_id=result.request_id or call.request_id,
            headers=headers,
            **call.evidence(),
        )

    async def _prepare_form(
        self, request: TranscriptionRequest, content_type: str, body: bytes | Upload
    ) -> Request:
        # A caller's own would lack the boundary.
        own = {n: v for n, v in request.headers.items() if n.lower() != "content-type"}
        headers = http_headers(await self._credential.get(), own)
        headers["Content-Type"] = content_type
        return Request("POST", self.base_url + request.target, headers, body)


def _form_of(request: TranscriptionRequest) -> tuple[str, bytes | Upload]:
    recording = request.recording
    if recording is None:
        return multipart(request.fields)
    file = ("file", recording.filename, recording.media_type, recording.content)
    return multipart(request.fields, file)


def _patient(request: TranscriptionRequest, limits: Limits) -> Limits:
    """The limits for a recording as long as this one, or as long as any may be."""
    if request.recording is not None:
        grown = limits_of(request.recording, limits)
        if grown.total is not None:
            return grown
    most = 30.0 + PER_SECOND_S * LONGEST_S
    return replace(limits, first_output=most, total=most)
