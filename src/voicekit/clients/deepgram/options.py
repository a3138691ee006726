"""Every option of a live transcription, what it may be, and the check that says so.

What a transcription of a recording has beside them is in ``file_options.py``.

Source: Deepgram fact sheet of 2026-11, §3 (AsyncAPI of /v1/listen, July 2026).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from voicekit import checks
from voicekit.checks import Check, is_integer, is_sequence, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.deepgram.audio import ENCODINGS
from voicekit.errors import InvalidArgumentError
from voicekit.speech import AudioFormat

MODEL: Final = "nova-3"
"""The vendor's default, base-general, is years old. Source: sheet §2, as of 2026-11-20."""

FORMAT: Final = "pcm_24000"
"""The same in every client, in and out."""

MAX_REPLAY_S: Final = 60.0
"""Ours. Spans are frozen within 10 s, a hang is noticed after 10 s more, and a dozen dials
take some 20 s; 16 kHz PCM of that length is 1.9 MB."""

INTERIM_RESULTS: Final = True
"""The vendor's default is false. A live transcription is asked for to react while someone
speaks; and without interims silence of the service cannot be told from a long sentence."""


class CommonDefaults(Extras, total=False):
    """Options that transcriptions share, live or of a recording.

    Absent, None and brackets mean what ``Extras`` says. Where several
    values are allowed, a single one may be given without a list.

    Attributes:
        model: Which model listens, or a custom model's id; always sent (ours: nova-3).
        format: What the audio is (live, ours: pcm_24000). Containers are sniffed by the
            vendor; of a recording, only headerless audio needs it.
        encoding: In place of ``format``: one of the vendor's words, for encodings that no
            format names. Live, each chunk sent is then one packet (Opus, AMR, Speex, G.729).
        sample_rate: In Hz, with ``encoding``.
        channels: Interleaved channels, with ``encoding`` (1).
        language: BCP-47, or ``"multi"`` on nova-2 and nova-3 (en).
        language_hint: Languages to expect.
        version: Of the model (latest).
        punctuate: Capitals and punctuation (False).
        smart_format: Numbers, dates and the like as written; may hold back results (False).
        numerals: Numbers as digits (False).
        profanity_filter: Masks swear words (False).
        dictation: Spoken punctuation as signs (False).
        multichannel: Each channel transcribed on its own (False).
        detect_entities: Entities, see ``raw`` (False).
        diarize: Deprecated by the vendor for ``diarize_model`` (False).
        diarize_model: ``"latest"`` or ``"v1"``, and ``"v2"`` for recordings: who speaks,
            in the words.
        redact: ``True``, ``"pci"``, ``"numbers"``, ``"aggressive_numbers"``, ``"ssn"``;
            for recordings also ``"pii"`` and single entities.
        keyterm: Words to expect, nova-3 only, at most 500 tokens in all.
        keywords: The older models' form, ``"word:boost"``.
        search: Phrases to look for, see ``raw``.
        replace: ``"find:replacement"``.
        callback: URL that gets the results *instead of* this session; of a recording,
            for ``submit_transcription``.
        callback_method: ``"POST"`` or ``"PUT"`` (POST).
        extra: ``"key:value"``, given back in the metadata.
        tag: Labels for billing, at most 128 characters each.
        mip_opt_out: Keeps the audio out of the vendor's model improvement (False).
    """

    model: str | None
    format: AudioFormat | str | None
    encoding: str | None
    sample_rate: int | None
    channels: int | None
    language: str | None
    language_hint: str | Sequence[str] | None
    version: str | None
    punctuate: bool | None
    smart_format: bool | None
    numerals: bool | None
    profanity_filter: bool | None
    dictation: bool | None
    multichannel: bool | None
    detect_entities: bool | None
    diarize: bool | None
    diarize_model: str | None
    redact: bool | str | Sequence[str] | None
    keyterm: str | Sequence[str] | None
    keywords: str | Sequence[str] | None
    search: str | Sequence[str] | None
    replace: str | Sequence[str] | None
    callback: str | None
    callback_method: str | None
    extra: str | Sequence[str] | None
    tag: str | Sequence[str] | None
    mip_opt_out: bool | None


class ListenDefaults(CommonDefaults, total=False):
    """Options of a live transcription, beside those of ``CommonDefaults``.

    Attributes:
        interim_results: Whether results come before they are final, about once a second
            (ours: True). Without them the vendor may say nothing during a long sentence:
            give such a call a longer gap limit.
        endpointing: Milliseconds of pause that end an utterance, or False (10).
        utterance_end_ms: Milliseconds after the last word that bring an ``UtteranceEnd``;
            needs interim results. Below 1000 it says no more than these do: they come
            once a second (off).
        vad_events: Whether ``SpeechStarted`` comes (False).
        no_delay: With ``smart_format``: final at once, with entities left as spoken (False).
        reconnect: Whether a lost connection is replaced, and what no final result covers sent
            again (ours: True). See ``TranscriptionSession``.
        max_replay_s: Seconds of audio that are kept for that, and while there is no
            connection; what is older is lost with a connection, and reported (ours: 60).
    """

    interim_results: bool | None
    endpointing: int | bool | None
    utterance_end_ms: int | None
    vad_events: bool | None
    no_delay: bool | None
    reconnect: bool | None
    max_replay_s: float | None


class ListenOptions(ListenDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


def strings_of(value: str | Sequence[str]) -> Sequence[str]:
    """The values of an option that may be given several times."""
    return (value,) if isinstance(value, str) else value


def texts(allowed: str, fits: Callable[[str], bool] = bool) -> Check:
    """The check of an option that may be given several times."""

    def check(name: str, value: Any) -> Any:
        items = (value,) if isinstance(value, str) else value
        if not is_sequence(items) or not items:
            raise wrong(name, value, allowed)
        for item in items:
            if not isinstance(item, str) or not item or not fits(item):
                raise wrong(name, item, allowed)
        return value

    return check


SOME: Final = texts("str, or a sequence of them")
"""One text or several."""


_MODELS = "nova-3, nova-2, … or a custom model's id"


def model(name: str, value: Any) -> str:
    """A model that does not take turns."""
    text = checks.text(name, value)
    if text.startswith("flux"):
        raise InvalidArgumentError(
            "a flux model takes turns on another endpoint: use open_turns(), "
            "which a later version of voicekit brings",
            argument=name,
            allowed=_MODELS,
        )
    return text


def _live_model(name: str, value: Any) -> str:
    text = model(name, value)
    if text.startswith("whisper"):
        raise InvalidArgumentError(
            "whisper models do not listen live", argument=name, allowed=_MODELS
        )
    return text


def _endpointing(name: str, value: Any) -> int:
    if value is not False and (not is_integer(value) or value < 0):
        raise wrong(name, value, "milliseconds ≥ 0 as an int, or False")
    return value


_REDACTIONS = ("true", "false", "pci", "numbers", "aggressive_numbers", "ssn")
_redactions = texts(", ".join(_REDACTIONS), _REDACTIONS.__contains__)


def _redact(name: str, value: Any) -> Any:
    return value if isinstance(value, bool) else _redactions(name, value)


_MAX_KEYTERM_TOKENS = 500


def _keyterm(name: str, value: Any) -> str | Sequence[str]:
    terms: str | Sequence[str] = SOME(name, value)
    # The vendor counts tokens of its own; there are at least as many as words.
    words = sum(len(term.split()) for term in strings_of(terms))
    if words > _MAX_KEYTERM_TOKENS:
        raise InvalidArgumentError(
            f"got {words} words", argument=name, allowed=f"{_MAX_KEYTERM_TOKENS} tokens in all"
        )
    return terms


_PAIR = texts('"name:value", or a sequence of them', lambda item: ":" in item[1:])

CHECKS: Final[Mapping[str, Check]] = {
    "model": _live_model,
    "format": lambda _name, value: AudioFormat.parse(value),
    "encoding": checks.word(*ENCODINGS),
    "sample_rate": checks.integer(1000, 384_000),
    "channels": checks.integer(1, 8),
    "language": checks.text,
    "language_hint": SOME,
    "version": checks.text,
    "interim_results": checks.flag,
    "endpointing": _endpointing,
    "utterance_end_ms": checks.integer(1),
    "vad_events": checks.flag,
    "punctuate": checks.flag,
    "smart_format": checks.flag,
    "no_delay": checks.flag,
    "numerals": checks.flag,
    "profanity_filter": checks.flag,
    "dictation": checks.flag,
    "multichannel": checks.flag,
    "detect_entities": checks.flag,
    "diarize": checks.flag,
    "diarize_model": checks.word("latest", "v1"),
    "redact": _redact,
    "keyterm": _keyterm,
    "keywords": SOME,
    "search": SOME,
    "replace": _PAIR,
    "callback": checks.text,
    "callback_method": checks.word("POST", "PUT"),
    "extra": _PAIR,
    # Source: livekit/agents; the vendor names no bound.
    "tag": texts("str of at most 128 characters, or a sequence", lambda item: len(item) <= 128),
    "mip_opt_out": checks.flag,
    "reconnect": checks.flag,
    "max_replay_s": checks.number(0.1, 3600),
}
"""The check of each option of a live transcription; their order is the order in the URL."""

LIVE_ONLY: Final = frozenset(ListenDefaults.__annotations__) - frozenset(
    CommonDefaults.__annotations__
)
"""Options without a meaning for a recording."""
