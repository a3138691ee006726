"""Settings: options checked, merged once, and frozen into a request."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from voicekit.clients.deepgram.audio import WireAudio
from voicekit.clients.deepgram.options import (
    CHECKS,
    FORMAT,
    INTERIM_RESULTS,
    MODEL,
    ListenDefaults,
    ListenOptions,
    strings_of,
    wrong,
)
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits
from voicekit.speech import AudioFormat

__all__ = [
    "LISTEN_PATH",
    "REGIONS",
    "ListenDefaults",
    "ListenOptions",
    "ListenRequest",
    "ListenSettings",
    "base_url_of",
]

BASE_URL = "https://api.deepgram.com"
REGIONS = ("eu", "au", "in")
"""Keys of ``https://api.<key>.deepgram.com``; North America has none. Source: sheet §1."""
LISTEN_PATH = "/v1/listen"

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# What a stream's bytes are and where its results go decides what this side counts and waits for.
_NOT_FOR_EXTRA = ("encoding", "sample_rate", "channels", "interim_results", "callback")
_AUDIO = ("encoding", "sample_rate", "channels")
_OLDER_FAMILIES = ("nova-2", "enhanced", "base")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenRequest:
    """What will be asked of a live transcription: validated, and a URL's query already.

    Made by ``DeepgramClient.request()``; may open any number of sessions.

    Attributes:
        model: Which model listens.
        format: What the caller sends; None where only the vendor has a word for it.
        audio: The same in the vendor's words and in numbers.
        interim_results: Whether results come before they are final.
        callback: Whether the results go elsewhere.
        query: Encoded, without the question mark.
        headers: The caller's own; they may hold secrets.
        limits: Replaces the limits of the operation and of the client.
    """

    model: str
    format: AudioFormat | None
    audio: WireAudio
    interim_results: bool
    callback: bool = False
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None

    @property
    def identity(self) -> str:
        """Canonical text of all that can change the results. May hold content: never log it."""
        return json.dumps(
            {
                "provider": "deepgram",
                "path": LISTEN_PATH,
                "query": self.query,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "format": self.format.name if self.format is not None else None,
            },
            sort_keys=True,
            separators=(",", ":"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Checked options: the constructor's, or those with one call's on top.

    Attributes:
        options: The provider's own, by name.
        extra_query: Added to the URL, over ours.
        extra_headers: Added to the headers, over ours.
        limits: Replaces the limits of the operation.
    """

    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra_query: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits | None = None

    def updated(self, given: Mapping[str, Any]) -> ListenSettings:
        """These settings with ``given`` on top; the extras are merged name by name.

        Raises:
            InvalidArgumentError: An option is unknown, or its value is not allowed.
        """
        if not given:
            return self
        options = dict(self.options)
        if given.get("format") is not None:
            # The last word on the audio is a whole one.
            for name in _AUDIO:
                options.pop(name, None)
        extras: dict[str, Any] = {}
        for name, value in given.items():
            if check := CHECKS.get(name):
                if value is not None:
                    check(name, value)
                options[name] = value
            elif extra := _EXTRAS.get(name):
                if value:
                    extra(name, value)
                    extras[name] = {**getattr(self, name), **value}
            elif name == "limits":
                if value is not None and not isinstance(value, Limits):
                    raise wrong(name, value, "Limits(…)")
                extras[name] = value
            else:
                raise InvalidArgumentError(
                    "is no option of a live transcription",
                    argument=name[:64],
                    allowed=", ".join([*CHECKS, *_EXTRAS, "limits"]),
                )
        if given.get("encoding") is not None:
            if given.get("format") is not None:
                raise InvalidArgumentError(
                    "stands in place of format", argument="encoding", allowed="one of both"
                )
            options["format"] = None
        return replace(self, options=options, **extras)

    def request(self) -> ListenRequest:
        """Freeze these settings.

        Raises:
            InvalidArgumentError: Options that do not go together.
        """
        options = {name: value for name, value in self.options.items() if value is not None}
        model = options.setdefault("model", MODEL)
        interim = self.options.get("interim_results", INTERIM_RESULTS)
        if interim is not None:
            options["interim_results"] = interim
        _check_together(options, model)
        format, audio = _audio_of(options)  # noqa: A001
        for name in _AUDIO:
            options.pop(name, None)
        if audio.encoding is not None:
            options["encoding"] = audio.encoding
            if audio.sample_rate is not None:
                options["sample_rate"] = audio.sample_rate
            if audio.channels > 1:
                options["channels"] = audio.channels
        query = [
            (name, text)
            for name in CHECKS
            if name in options and name != "format" and name not in self.extra_query
            for text in _texts(options[name])
        ]
        query += [
            (name, text)
            for name, value in self.extra_query.items()
            if value is not None
            for text in _texts(value)
        ]
        return ListenRequest(
            model=model,
            format=format,
            audio=audio,
            interim_results=bool(interim),
            callback="callback" in options,
            query=urlencode(query),
            headers=self.extra_headers,
            limits=self.limits,
        )


def base_url_of(base_url: str | None, region: str | None) -> str:
    """Where the API is.

    Raises:
        InvalidArgumentError: The region is unknown, or both are given.
    """
    if region is None:
        return base_url or os.environ.get("DEEPGRAM_BASE_URL") or BASE_URL
    if base_url is not None:
        raise InvalidArgumentError("has its own base_url", argument="region", allowed="one of both")
    if region not in REGIONS:
        raise wrong("region", region, ", ".join(REGIONS))
    return BASE_URL.replace("api.", f"api.{region}.", 1)


def _check_together(options: Mapping[str, Any], model: str) -> None:
    if "utterance_end_ms" in options and not options.get("interim_results"):
        raise InvalidArgumentError(
            "needs interim results", argument="utterance_end_ms", allowed="interim_results=True"
        )
    older = model == "nova" or model.startswith(("nova-", *_OLDER_FAMILIES))
    if "keyterm" in options and older and not model.startswith("nova-3"):
        raise InvalidArgumentError(
            "is known to nova-3 only", argument="keyterm", allowed="keywords, for older models"
        )


def _audio_of(options: Mapping[str, Any]) -> tuple[AudioFormat | None, WireAudio]:
    encoding = options.get("encoding")
    if encoding is not None:
        rate, channels = options.get("sample_rate"), options.get("channels", 1)
        return None, WireAudio.raw(encoding, rate, channels)
    for name in _AUDIO[1:]:
        if name in options:
            raise InvalidArgumentError(
                "goes with encoding", argument=name, allowed="format, which says it all"
            )
    format = AudioFormat.parse(options.get("format", FORMAT))  # noqa: A001
    return format, WireAudio.of(format)


def _texts(value: Any) -> Sequence[str]:
    """The values of one query parameter as text; lists repeat the name."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str):
        return strings_of(value)
    if isinstance(value, Sequence):
        return [text for item in value for text in _texts(item)]
    return (str(value),)


def _extra_query(name: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise wrong(name, value, "a mapping with str keys")
    for key in _NOT_FOR_EXTRA:
        if key in value:
            raise InvalidArgumentError(
                "is not for extra_query", argument=f"{name}.{key}", allowed=f"the option {key}"
            )


def _extra_headers(name: str, value: Any) -> None:
    allowed = "a mapping of header names to printable ASCII"
    if not isinstance(value, Mapping):
        raise wrong(name, value, allowed)
    for header, text in value.items():
        if not isinstance(header, str) or not _HEADER_NAME.fullmatch(header):
            raise wrong(f"{name} key", header, allowed)
        if not isinstance(text, str) or not (text.isascii() and text.isprintable()):
            raise wrong(f"{name} value", text, allowed)


def _extra_body(name: str, value: Any) -> None:
    raise wrong(name, value, "nothing: a live transcription has no body")


_EXTRAS = {
    "extra_query": _extra_query,
    "extra_headers": _extra_headers,
    "extra_body": _extra_body,
}
