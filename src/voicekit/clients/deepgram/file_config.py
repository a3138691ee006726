"""A recording and its options, frozen into a request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from voicekit.checks import wrong
from voicekit.clients.deepgram.config import AUDIO, LISTEN_PATH, audio_of, check_keyterm, query_of
from voicekit.clients.deepgram.file_options import FILE_CHECKS
from voicekit.clients.deepgram.options import MODEL
from voicekit.clients.settings import Asked, identity_of, json_of
from voicekit.clients.uploads import OR_URL, Recording, upload_of
from voicekit.errors import ConfigurationError, InvalidArgumentError
from voicekit.speech import AudioClip, AudioSource, AudioURL

if TYPE_CHECKING:
    from voicekit.clients.deepgram.config import ListenSettings
    from voicekit.operation import Limits
    from voicekit.resilience.policies import Policies
    from voicekit.transport.messages import Upload

MAX_BYTES: Final = 2 << 30
"""Of a recording. Source: sheet §2, "2 GB per file", taken for the larger reading of it."""

# Formats without a header that says what they are.
_HEADERLESS: Final = frozenset({"pcm", "mulaw", "alaw"})
_UNKNOWN: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionRequest(Asked):
    """What will be asked about a recording: validated, and a URL's query already.

    Made by ``DeepgramClient.request(audio)``. One with bytes, a clip, a path, an address or
    a file that can seek may be sent any number of times.

    Attributes:
        audio: The recording, as it was given.
        model: Which model listens.
        recording: The body's facts; None for an address.
        body: What is sent.
        content_type: What it is called.
        multichannel: Whether channels are told apart.
        callback: Whether the answer goes elsewhere.
    """

    audio: AudioSource = field(repr=False)
    model: str
    recording: Recording | None = field(repr=False)
    body: bytes | Upload = field(repr=False)
    content_type: str
    query: str = field(repr=False)
    multichannel: bool = False
    callback: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the answer. May hold content: never log it.

        Raises:
            ConfigurationError: The audio is not held in memory, so that the same request
                may be about another recording tomorrow.
        """
        if self.recording is None or not isinstance(self.body, bytes):
            raise ConfigurationError(
                "a path, an open file and an address have no identity, since what is behind "
                "them can change: read the audio into bytes"
            )
        return identity_of(
            "deepgram",
            self.headers,
            path=LISTEN_PATH,
            query=self.query,
            audio=hashlib.sha256(self.body).hexdigest(),
        )


def transcription_request(
    settings: ListenSettings,
    audio: AudioSource,
    given: Mapping[str, Any],
    *,
    callback: str | None,
) -> TranscriptionRequest:
    """Freeze settings with a recording; a path or an open file is looked at, not read.

    Only the call's own options (``given``) say what an address holds. With a ``callback`` the
    answer goes there in place of the caller.

    Raises:
        InvalidArgumentError: Options that do not go together, or no recording.
    """
    options = {
        name: settings.options[name]
        for name in FILE_CHECKS
        if settings.options.get(name) is not None
    }
    model = options.setdefault("model", MODEL)
    check_keyterm(options, model)
    options.pop("callback", None)
    if callback is not None:
        options["callback"] = callback
    said: dict[str, Any] = {
        name: options.pop(name) for name in ("format", *AUDIO) if name in options
    }
    # A call's word counts; a constructor's may be meant for live audio, so it stands in only
    # where a look at the recording told nothing.
    named = any(given.get(name) is not None for name in ("format", *AUDIO))
    if isinstance(audio, AudioURL):
        recording = None
        body: bytes | Upload = json_of(
            {"url": audio.url, **settings.extra_body}, "extra_body"
        ).encode()
        content_type = "application/json"
    else:
        if given.get("extra_body"):
            raise wrong("extra_body", given["extra_body"], "nothing: the body is the recording")
        recording = _recording_of(audio)
        body, content_type = recording.upload, recording.media_type
        if isinstance(audio, AudioClip):
            _check_clip(audio, said if named else {})
            named = False
        else:
            named = named or (content_type == _UNKNOWN and recording.size is not None)
    if named:
        options.update(_audio_query(said))
    return TranscriptionRequest(
        audio=audio,
        model=model,
        recording=recording,
        body=body,
        content_type=content_type,
        query=query_of({name: options[name] for name in FILE_CHECKS if name in options}, settings),
        multichannel=bool(options.get("multichannel")),
        callback="callback" in options,
        headers=settings.extra_headers,
        limits=settings.limits,
        policies=settings.policies,
    )


def _recording_of(audio: AudioSource) -> Recording:
    recording = upload_of(audio, OR_URL)
    if recording.size is not None and recording.size > MAX_BYTES:
        raise InvalidArgumentError(
            f"holds {recording.size} bytes", argument="audio", allowed=f"{MAX_BYTES} bytes (2 GB)"
        )
    return recording


def _check_clip(clip: AudioClip, said: Mapping[str, Any]) -> None:
    format = said.get("format")  # noqa: A001
    if "encoding" in said or (format is not None and format != clip.format):
        raise InvalidArgumentError(
            "is not what the clip says of itself",
            argument="encoding" if "encoding" in said else "format",
            allowed=f"{clip.format.name}, or nothing",
        )


def _audio_query(said: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of headerless audio; none where a container says it itself.

    Unverified: the vendor's list for recordings has no alaw, linear32 and ogg-opus, which
    its list for streams has; they are sent all the same.
    """
    format, audio = audio_of(said)  # noqa: A001
    return audio.query() if format is None or format.encoding in _HEADERLESS else {}
