"""Transcription of recordings, a part of ``DeepgramClient``."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, cast

from voicekit.checks import no_options
from voicekit.clients.deepgram.authorized import Authorized
from voicekit.clients.deepgram.config import LISTEN_PATH, ListenSettings
from voicekit.clients.deepgram.errors import DIALECT, LONG_DIALECT, PROVIDER
from voicekit.clients.deepgram.file_config import TranscriptionRequest, transcription_request
from voicekit.clients.deepgram.file_results import read_request_id, read_transcript
from voicekit.clients.execute import fetch_json
from voicekit.clients.uploads import longest_s
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.speech import PendingTranscript, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voicekit import interfaces
    from voicekit.clients.deepgram.file_options import TranscriptionOptions
    from voicekit.operation import Call
    from voicekit.speech import AudioSource
    from voicekit.transport.interfaces import Response

T = TypeVar("T")

# Source: design, limits of an operation; the answer comes whole, so its first part is its end.
_BASE_S: Final = 30.0
_PER_SECOND: Final = 0.1
_LIMITS: Final = Limits(connect=2.0, first_output=_BASE_S, gap=_BASE_S, total=_BASE_S)

TRANSCRIBE: Final = Operation(
    provider=PROVIDER,
    name="transcribe",
    service="transcription",
    kind=OperationClass.COMPUTE,
    limits=_LIMITS,
)
SUBMIT: Final = replace(
    TRANSCRIBE,
    name="submit_transcription",
    kind=OperationClass.EFFECT,  # done twice, the transcript is delivered twice
    reconcile="the callback gets the transcript if the vendor has the recording; "
    "a tag, or the callback's own query, tells which",
)

# Source: sheet §2: the vendor gives up on a recording after 10 minutes, with 504; on one for
# Whisper after 20.
_VENDOR_S: Final = 600.0
_WHISPER_S: Final = 1200.0


class FileTranscription(Authorized):
    """A whole recording in, its transcript out, over HTTP."""

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
        settings = self._family(ListenSettings).updated(options, where="file")
        return transcription_request(settings, audio, options, callback=options.get("callback"))

    async def transcribe(
        self,
        audio: AudioSource | interfaces.TranscriptionRequest,
        /,
        **options: Unpack[TranscriptionOptions],
    ) -> Transcript:
        """All that is said in a recording.

        Limits: connect 2 s; 30 s and 0.1 s per second of audio for the answer, counted from
        the last byte of the recording, where its length is known; else as long as the vendor
        itself tries, 10 minutes. The upload may not stand still for 30 s. Cancelled, the
        connection is freed at once; what was uploaded may be billed.

        Args:
            audio: The recording: its bytes, the path of its file (read while it is sent),
                an open binary file from where it stands, an ``AudioClip``, an ``AudioURL``
                that the vendor fetches, or what ``request(audio)`` returned. Any format that
                the vendor knows, at most 2 GB; headerless audio needs ``format``, or
                ``encoding`` and ``sample_rate``, unless a clip says it.
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: Before any I/O.
            AuthenticationError: The key is wrong or may not do this.
            InvalidRequestError: The vendor refuses the request, cannot read the audio or not
                fetch it (``code="REMOTE_CONTENT_ERROR"``).
            RateLimitError: Too many recordings are under way in the project.
            QuotaError: The account has no credit.
            UnavailableError: The vendor failed; not ``retryable`` where it took too long for
                a long recording.
            TransportError: The connection failed, or what came is no transcript.
            DeadlineError: A limit passed.

        Example:
            >>> heard = await stt.transcribe(Path("call.wav"), utterances=True, diarize_model="v2")
            >>> print(heard.to_srt(speakers={0: "Agent", 1: "Caller"}))
        """
        request = self._recording(audio, options, callback=False)

        def read(answer: dict[str, Any], response: Response) -> Transcript:
            transcript = read_transcript(answer, multichannel=request.multichannel)
            return replace(transcript, headers=response.headers)

        limits = request.limits or self._limits.get(TRANSCRIBE.name) or _limits_for(request)
        call = self._call(TRANSCRIBE, request, limits=limits)
        transcript = await self._ask(request, call, read)
        return replace(
            transcript,
            request_id=transcript.request_id or call.request_id,
            **call.evidence(),
        )

    async def submit_transcription(
        self,
        audio: AudioSource | interfaces.TranscriptionRequest,
        /,
        **options: Unpack[TranscriptionOptions],
    ) -> PendingTranscript:
        """Have a recording transcribed, and the answer sent to the option ``callback``.

        Returns when the vendor has accepted it. Limits as of ``transcribe``, without what
        the audio's length adds. Cancelled, whether it was accepted is unknown.

        Args:
            audio: As for ``transcribe``.
            **options: On top of the constructor's; ``callback`` in one of both.

        Raises:
            InvalidArgumentError: There is no ``callback``.
            VoicekitError: As ``transcribe``.
        """
        request = self._recording(audio, options, callback=True)

        def read(answer: dict[str, Any], response: Response) -> PendingTranscript:
            return PendingTranscript(
                request_id=read_request_id(answer), headers=response.headers, raw=answer
            )

        call = self._call(SUBMIT, request)
        pending = await self._ask(request, call, read)
        return replace(pending, **call.evidence())

    def _recording(
        self,
        audio: AudioSource | interfaces.TranscriptionRequest,
        options: Mapping[str, Any],
        *,
        callback: bool,
    ) -> TranscriptionRequest:
        if isinstance(audio, TranscriptionRequest):
            no_options(options, allowed="in request()")
            request = audio
        else:
            settings = self._family(ListenSettings).updated(options, where="file")
            request = transcription_request(
                settings,
                cast("AudioSource", audio),  # another provider's request is refused as none
                options,
                callback=(settings.options if callback else options).get("callback"),
            )
        if request.callback is not callback:
            raise InvalidArgumentError(
                "is missing" if callback else "gets the answer in place of the caller",
                argument="callback",
                allowed="a URL" if callback else "submit_transcription()",
            )
        return request

    async def _ask(
        self,
        request: TranscriptionRequest,
        call: Call,
        read: Callable[[dict[str, Any], Response], T],
    ) -> T:
        return await fetch_json(
            self.transport,
            call,
            partial(
                self._post,
                f"{LISTEN_PATH}?{request.query}",
                request.headers,
                request.content_type,
                request.body,
            ),
            # What plays for less than the vendor's own limit is transcribed within it.
            LONG_DIALECT if _seconds(request) > _VENDOR_S else DIALECT,
            read,
        )


def _seconds(request: TranscriptionRequest) -> float:
    """How long the recording can last at most; without end where nothing tells."""
    seconds = None if request.recording is None else longest_s(request.recording)
    return math.inf if seconds is None else seconds


def _limits_for(request: TranscriptionRequest) -> Limits:
    """What the length of the recording asks for, as far as the vendor itself goes."""
    whisper = request.model.startswith("whisper")
    most = _BASE_S + (_WHISPER_S if whisper else _VENDOR_S)
    total = min(most, _BASE_S + _PER_SECOND * _seconds(request))
    return replace(_LIMITS, first_output=total, total=total)
