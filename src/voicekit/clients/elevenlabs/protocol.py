"""Speech over HTTP: the request, and the reading of the audio that comes back. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from voicekit.clients.audio_body import AudioDecoder, characters_of, summed
from voicekit.clients.elevenlabs.errors import error_of
from voicekit.speech import AudioFormat, Usage
from voicekit.transport.messages import Request, merge_headers

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.config import SpeechRequest

_NAMED: Final = 3
"""How many earlier requests may be named. Source: OpenAPI file, ``previous_request_ids``."""


def http_headers(
    key: str, extra: Mapping[str, str], *, content_type: str | None = "application/json"
) -> dict[str, str]:
    """The headers of a request, ``extra`` over ours; without a body it has no type."""
    headers = {
        "xi-api-key": key,
        "Accept-Encoding": "identity",  # audio does not compress
    }
    if content_type is not None:
        headers["Content-Type"] = content_type
    return merge_headers(headers, extra)


def http_request(base_url: str, request: SpeechRequest, headers: Mapping[str, str]) -> Request:
    """The POST for a request."""
    return Request("POST", base_url + request.target, headers, request.body)


def usage_of(headers: Mapping[str, str]) -> Usage | None:
    """What a response says that it costs, in characters."""
    return characters_of("character-cost", headers)


def usage_of_all(headers: Iterable[Mapping[str, str]]) -> Usage | None:
    """What several responses say that they cost together."""
    return summed(map(usage_of, headers))


def request_ids(headers: Sequence[Mapping[str, str]]) -> list[str]:
    """The ids of the last requests, as many as may be named in the next one."""
    ids = [each.get("request-id", "") for each in headers]
    return [each for each in ids if each and each.isprintable()][-_NAMED:]


def audio_decoder(
    format: AudioFormat,  # noqa: A002 - the option's name
    headers: Mapping[str, str],
    *,
    most: int,
) -> AudioDecoder:
    """Reads a body of audio. The vendor documents a content type for MP3 only."""
    return AudioDecoder(format, headers, most=most, error_of=error_of, type_tells=False)
