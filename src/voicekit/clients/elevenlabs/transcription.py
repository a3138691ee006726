"""Speech to text of recordings, a part of ``ElevenLabsClient``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, cast

from voicekit.clients.elevenlabs.authorized import Authorized
from voicekit.clients.elevenlabs.errors import DIALECT, PROVIDER
from voicekit.clients.elevenlabs.protocol import http_headers
from voicekit.clients.elevenlabs.transcription_config import (
    TranscriptionRequest,
    TranscriptionSettings,
)
from voicekit.clients.elevenlabs.transcription_options import TranscriptionOptions
from voicekit.clients.elevenlabs.transcripts import pending_of, transcript_of
from voicekit.clients.execute import fetch
from voicekit.clients.refusals import body_of
from voicekit.clients.roles import TranscriberRole
from voicekit.clients.uploads import limits_of
from voicekit.errors import InvalidArgumentError, RemoteProtocolError
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.speech import AudioSource, PendingTranscript, Transcript, Usage
from voicekit.transport.messages import Request
from voicekit.wire.multipart import multipart

if TYPE_CHECKING:
    from voicekit import interfaces
    from voicekit.transport.interfaces import Response

__all__ = ["SUBMIT_TRANSCRIPTION", "TRANSCRIBE", "FileTranscription"]

_LIMITS: Final = Limits(connect=2.0, first_output=30.0, total=30.0)

TRANSCRIBE: Final = Operation(
    provider=PROVIDER, name="transcribe", kind=OperationClass.COMPUTE, limits=_LIMITS
)
SUBMIT_TRANSCRIPTION: Final = Operation(
    provider=PROVIDER, name="submit_transcription", kind=OperationClass.COMPUTE, limits=_LIMITS
)

LONGEST_S: Final = 10 * 3600.0
"""Seconds of the longest recording that the vendor takes. Source: speech-to-text page."""

PER_SECOND_S: Final = 0.1
"""What a second of audio adds to the limits of a transcription."""

MOST_BYTES: Final = 256 << 20
"""Ten hours of speech with a time for each character are some 60 MB of JSON."""

T = TypeVar("T", Transcript, PendingTranscript)


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
        """All that is said in a recording: bytes, a path, an open file, a clip, an address.

        What is known to be 16-bit PCM at 16 kHz, mono, goes without a header, since the
        vendor transcribes that sooner. Limits: connect 2 s; the answer 30 s and 0.1 s per
        second of audio after the last byte was sent. Cancelling frees the connection at
        once.

        Args:
            audio: The recording, or a request made before (then no options).
            **options: On top of the constructor's ``transcription``.

        Raises:
            InvalidArgumentError: Before any I/O.
            VoicekitError: It failed; see ``errors``.
        """
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

        Limits and cancelling as for ``transcribe``.

        Args:
            audio: The recording.
            **options: On top of the constructor's ``transcription``; ``webhook_id`` and
                ``webhook_metadata`` above all.

        Raises:
            InvalidArgumentError: Before any I/O.
            VoicekitError: It failed; see ``errors``.
        """
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
        if options:
            raise InvalidArgumentError(
                "a request has its options already",
                argument=next(iter(options)),
                allowed="options in transcription_request(), or a recording with options",
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
        given = request.limits or self._limits.get(operation.name)
        call = self._call(operation, given or _patient(request, operation.limits))

        def parse(body: bytes, response: Response) -> tuple[T, Mapping[str, str]]:
            value = body_of(body)
            if not isinstance(value, dict):
                raise RemoteProtocolError("the answer is no JSON object")
            return read(value), response.headers

        result, headers = await fetch(
            self.transport,
            self.pipeline(operation),
            call,
            partial(self._prepare_form, request),
            DIALECT,
            parse,
            kinds=("json",),
            most=MOST_BYTES,
            status=status,
        )
        return replace(
            result,
            request_id=result.request_id or call.request_id,
            timings=call.timings,
            connection=call.connection,
            headers=headers,
        )

    async def _prepare_form(self, request: TranscriptionRequest) -> Request:
        key = await self._credential.get()
        file, recording = None, request.recording
        if recording is not None:
            file = ("file", recording.filename, recording.media_type, recording.upload)
        content_type, body = multipart(request.fields, file)
        headers = {**http_headers(key, request.headers), "Content-Type": content_type}
        return Request("POST", self.base_url + request.target, headers, body)


def _patient(request: TranscriptionRequest, limits: Limits) -> Limits:
    """The limits for a recording as long as this one, or as long as any may be."""
    if request.recording is not None:
        grown = limits_of(request.recording, limits)
        if grown.total is not None:
            return grown
    most = 30.0 + PER_SECOND_S * LONGEST_S
    return replace(limits, first_output=most, total=most)
