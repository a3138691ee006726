"""Settings: options checked, merged once, and frozen into a request."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from voicekit.checks import Check, without, wrong
from voicekit.clients import urls
from voicekit.clients.deepgram.audio import WireAudio
from voicekit.clients.deepgram.file_options import EITHER_CHECKS, FILE_ONLY
from voicekit.clients.deepgram.options import (
    CHECKS,
    FORMAT,
    INTERIM_RESULTS,
    LIVE_ONLY,
    MAX_REPLAY_S,
    MODEL,
    ListenDefaults,
    ListenOptions,
)
from voicekit.clients.settings import EXTRAS, Asked, PlacedSettings, Settings, identity_of
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.speech import AudioFormat

__all__ = [
    "BASE_URL",
    "LISTEN_PATH",
    "REGIONAL",
    "REGIONS",
    "ListenDefaults",
    "ListenOptions",
    "ListenRequest",
    "ListenSettings",
]

BASE_URL = "https://api.deepgram.com"
REGIONS = ("eu", "au", "in")
"""Keys of ``https://api.<key>.deepgram.com``; North America has none. Source: sheet §1."""
REGIONAL = {key: f"https://api.{key}.deepgram.com" for key in REGIONS}
"""The API's address by region."""
LISTEN_PATH = "/v1/listen"

# What a stream's bytes are and where its results go decides what this side counts and waits for.
_NOT_FOR_EXTRA = ("encoding", "sample_rate", "channels", "interim_results", "callback")
AUDIO = ("encoding", "sample_rate", "channels")
_OLDER_FAMILIES = ("nova-2", "enhanced", "base")
# A constructor may be given more of them, for recordings.
_LESS_LIVE = frozenset({"model", "diarize_model", "redact"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenRequest(Asked):
    """What will be asked of a live transcription: validated, and a URL's query already.

    Made by ``DeepgramClient.request()``; may open any number of sessions.

    Attributes:
        model: Which model listens.
        format: What the caller sends; None where only the vendor has a word for it.
        audio: The same in the vendor's words and in numbers.
        interim_results: Whether results come before they are final.
        callback: Whether the results go elsewhere.
        reconnect: Whether a lost connection is replaced.
        max_replay_s: Seconds of audio that are kept for that.
    """

    model: str
    format: AudioFormat | None
    audio: WireAudio
    interim_results: bool
    callback: bool = False
    reconnect: bool = True
    max_replay_s: float = MAX_REPLAY_S
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None
    policies: Policies | None = None

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the results. May hold content: never log it."""
        format = self.format.name if self.format is not None else None  # noqa: A001
        return identity_of(
            "deepgram", self.headers, path=LISTEN_PATH, query=self.query, format=format
        )


class ListenSettings(PlacedSettings):
    """Checked options of transcriptions, live and of recordings."""

    purpose = "a transcription"
    option_checks = EITHER_CHECKS
    extra_checks: ClassVar[Mapping[str, Check]] = {
        **EXTRAS,
        "extra_query": without({name: f"the option {name}" for name in _NOT_FOR_EXTRA}),
    }

    out_of_place: ClassVar[Mapping[str, tuple[Container[str], str, str]]] = {
        "file": (
            LIVE_ONLY,
            "is an option of live transcription",
            "open_transcription(), or the constructor",
        ),
        "live": (FILE_ONLY, "is an option of recordings", "transcribe(), or the constructor"),
    }

    def _check_place(self, name: str, value: Any, where: str) -> None:
        super()._check_place(name, value, where)
        if where == "live" and name == "extra_body" and value:
            raise wrong(name, value, "nothing: a live transcription has no body")

    def _displaced(self, given: Mapping[str, Any]) -> Collection[str]:
        # The last word on the audio is a whole one.
        if given.get("encoding") is None:
            return AUDIO if given.get("format") is not None else ()
        if given.get("format") is not None:
            raise InvalidArgumentError(
                "stands in place of format", argument="encoding", allowed="one of both"
            )
        return ("format",)

    def request(self) -> ListenRequest:
        """Freeze these settings for a live transcription.

        Raises:
            InvalidArgumentError: Options that do not go together.
        """
        options = {
            name: CHECKS[name](name, value) if name in _LESS_LIVE else value
            for name, value in self.options.items()
            if value is not None and name not in FILE_ONLY
        }
        model = options.setdefault("model", MODEL)
        interim = self.options.get("interim_results", INTERIM_RESULTS)
        if interim is not None:
            options["interim_results"] = interim
        if "utterance_end_ms" in options and not interim:
            raise InvalidArgumentError(
                "needs interim results", argument="utterance_end_ms", allowed="interim_results=True"
            )
        check_keyterm(options, model)
        format, audio = audio_of({"format": FORMAT, **options})  # noqa: A001
        for name in ("format", *AUDIO):
            options.pop(name, None)
        options.update(audio.query())
        reconnect = options.pop("reconnect", True)
        max_replay_s = options.pop("max_replay_s", MAX_REPLAY_S)
        query = query_of({name: options[name] for name in CHECKS if name in options}, self)
        return ListenRequest(
            model=model,
            format=format,
            audio=audio,
            interim_results=bool(interim),
            callback="callback" in options,
            reconnect=reconnect,
            max_replay_s=max_replay_s,
            query=query,
            headers=self.extra_headers,
            limits=self.limits,
            policies=self.policies,
        )


def check_keyterm(options: Mapping[str, Any], model: str) -> None:
    """Refuse key terms for a model that is known to have none."""
    older = model == "nova" or model.startswith(("nova-", *_OLDER_FAMILIES))
    if "keyterm" in options and older and not model.startswith("nova-3"):
        raise InvalidArgumentError(
            "is known to nova-3 only", argument="keyterm", allowed="keywords, for older models"
        )


def query_of(options: Mapping[str, Any], settings: Settings) -> str:
    """The URL's query: checked options in their order, then what the caller adds."""
    extra = settings.extra_query
    ours = {name: value for name, value in options.items() if name not in extra}
    return urls.query_of({**ours, **extra})


def audio_of(options: Mapping[str, Any]) -> tuple[AudioFormat | None, WireAudio]:
    """What options without None say of the audio; nothing where they name neither of both.

    Raises:
        InvalidArgumentError: They do not go together.
    """
    if (encoding := options.get("encoding")) is not None:
        rate, channels = options.get("sample_rate"), options.get("channels", 1)
        return None, WireAudio.raw(encoding, rate, channels)
    for name in AUDIO[1:]:
        if name in options:
            raise InvalidArgumentError(
                "goes with encoding", argument=name, allowed="format, which says it all"
            )
    if "format" not in options:
        return None, WireAudio(encoding=None)
    format = AudioFormat.parse(options["format"])  # noqa: A001
    return format, WireAudio.of(format)
