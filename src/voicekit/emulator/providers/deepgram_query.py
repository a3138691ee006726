"""The query parameters of Deepgram's live transcription, checked as the vendor documents them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voicekit.emulator.providers.base import RefusedError

# Source: the vendor's AsyncAPI file of /v1/listen, July 2026, and its SDK 7.17.0.
MODEL_FAMILIES = {
    "nova-3": {"general", "medical"},
    "nova-2": {
        "general", "meeting", "phonecall", "finance", "conversationalai", "voicemail", "video",
        "medical", "drivethru", "automotive",
    },
    "nova": {"general", "phonecall", "medical"},
    "enhanced": {"general", "meeting", "phonecall", "finance"},
    "base": {
        "general", "meeting", "phonecall", "finance", "conversationalai", "voicemail", "video",
    },
}  # fmt: skip
BARE_MODELS = frozenset(
    {"meeting", "phonecall", "finance", "conversationalai", "voicemail", "video", "custom"}
)
DEFAULT_MODEL = "base-general"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")

ENCODINGS = frozenset(
    {
        "linear16", "linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb", "opus", "ogg-opus",
        "speex", "g729",
    }
)  # fmt: skip
RAW_ENCODINGS = frozenset({"linear16", "linear32", "alaw", "mulaw"})
"""What the emulator decodes; the rest it refuses rather than mishear."""

BOOLEANS = frozenset(
    {
        "interim_results", "vad_events", "punctuate", "smart_format", "numerals",
        "profanity_filter", "dictation", "multichannel", "diarize", "no_delay", "mip_opt_out",
        "filler_words", "measurements", "paragraphs", "utterances",
    }
)  # fmt: skip
NOT_RENDERED = frozenset(
    {
        "numerals", "profanity_filter", "dictation", "detect_entities", "redact", "search",
        "keywords", "callback", "callback_method", "filler_words", "measurements", "paragraphs",
        "utterances", "detect_language", "sentiment", "intents", "topics", "summarize", "utt_split",
    }
)  # fmt: skip
"""Accepted, checked where a value is documented, and without effect on what is heard."""

KNOWN = (
    BOOLEANS
    | NOT_RENDERED
    | {
        "model", "language", "version", "language_hint", "encoding", "sample_rate", "channels",
        "endpointing", "utterance_end_ms", "diarize_model", "keyterm", "replace", "extra", "tag",
    }
)  # fmt: skip
REDACTIONS = frozenset({"true", "false", "pci", "numbers", "aggressive_numbers", "ssn"})

DEFAULT_ENDPOINTING = 0.010
"""Seconds of silence after which an utterance ends. Source: AsyncAPI, default 10 ms."""

ADVISED_UTTERANCE_END = 1000
MAX_TAG = 128
"""Characters per tag. Source: a production client of the API; the vendor names no number."""

MAX_KEYTERM_TOKENS = 500
"""Words over all key terms; the vendor counts tokens of its own."""


class QueryRefusalError(RefusedError):
    """A request that the vendor refuses: status, its `err_code` and its prose.

    With `details` it is told in the modern shape of the vendor's errors.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "INVALID_QUERY_PARAMETER",
        details: str | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """Checked options of one stream. Times in seconds; None switches a feature off.

    Attributes:
        encoding: None sniffs a container.
        sample_rate: Hz; 0 until a container tells.
    """

    model: str = DEFAULT_MODEL
    language: str = "en"
    encoding: str | None = None
    sample_rate: int = 0
    channels: int = 1
    multichannel: bool = False
    interim_results: bool = False
    endpointing: float | None = DEFAULT_ENDPOINTING
    utterance_end: float | None = None
    vad_events: bool = False
    punctuate: bool = False
    diarize: bool = False
    keyterms: tuple[str, ...] = ()
    replacements: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def check_listen(query: Mapping[str, Sequence[str]]) -> ListenOptions:
    """Check the query of a `/v1/listen` handshake; repeated parameters keep all their values."""
    unknown = sorted(set(query) - KNOWN)
    if unknown:
        raise QueryRefusalError(f"Unknown query parameter: {unknown[0]}")
    last = last_values(query)
    flags = {name: boolean(name, last[name]) for name in BOOLEANS if name in last}
    notes = [f"{name} is accepted and not rendered" for name in sorted(NOT_RENDERED & set(last))]
    model = _model(last, notes)
    language = last.get("language", "en")
    if not LANGUAGE.fullmatch(language):
        raise QueryRefusalError("language must be a BCP-47 tag")
    interim = flags.get("interim_results", False)
    encoding, sample_rate, channels = _audio(last)
    return ListenOptions(
        model=model,
        language=language,
        encoding=encoding,
        sample_rate=sample_rate,
        channels=channels,
        multichannel=flags.get("multichannel", False),
        interim_results=interim,
        endpointing=_endpointing(last),
        utterance_end=_utterance_end(last, notes, interim=interim),
        vad_events=flags.get("vad_events", False),
        punctuate=flags.get("punctuate", False) or flags.get("smart_format", False),
        diarize=_diarize(last, flags, notes),
        keyterms=_keyterms(query.get("keyterm", ()), model),
        replacements=_lists(query),
        notes=tuple(notes),
    )


MODEL_UUID = "00000000-0000-4000-8000-000000000003"


def model_info(model: str) -> dict[str, str]:
    """Return the `model_info` object of results for a model name."""
    family = next((each for each in MODEL_FAMILIES if model.startswith(each)), "base")
    variant = model.removeprefix(family).strip("-") or "general"
    return {"name": f"{variant}-{family}", "version": "2026-01-01.0", "arch": family}


def keyterm_words(keyterms: Sequence[str]) -> int:
    """Count what the vendor limits: words over all key terms."""
    return sum(len(term.split()) for term in keyterms)


def _model(last: Mapping[str, str], notes: list[str]) -> str:
    name = last.get("model")
    if name is None:
        notes.append(f"model omitted: the default {DEFAULT_MODEL} is an old model")
        return DEFAULT_MODEL
    if name in MODEL_FAMILIES or name in BARE_MODELS or UUID.fullmatch(name):
        return name
    for family, variants in MODEL_FAMILIES.items():
        if name.startswith(f"{family}-") and name.removeprefix(f"{family}-") in variants:
            return name
    # Flux models live on /v2/listen, and Whisper has no socket at all.
    raise QueryRefusalError("No such model/version combination found.", code="Bad Request")


def _audio(last: Mapping[str, str]) -> tuple[str | None, int, int]:
    encoding = last.get("encoding")
    rate = _whole("sample_rate", last, 1000, 384_000)
    channels = _whole("channels", last, 1, 8) or 1
    if encoding is None:
        return None, 0, channels
    if encoding not in ENCODINGS:
        raise unsupported(f"encoding {encoding}")
    if encoding not in RAW_ENCODINGS:
        raise unsupported(f"this emulator does not decode {encoding}")
    if rate is None:
        raise QueryRefusalError("sample_rate is required when encoding is given")
    return encoding, rate, channels


def _endpointing(last: Mapping[str, str]) -> float | None:
    value = last.get("endpointing")
    if value is None or value.lower() == "true":
        return DEFAULT_ENDPOINTING
    if value.lower() == "false":
        return None
    try:
        milliseconds = float(value)
    except ValueError:
        milliseconds = -1.0
    if not 0 <= milliseconds < 3_600_000:
        raise QueryRefusalError("endpointing must be false or a number of milliseconds")
    return milliseconds / 1000


def _utterance_end(last: Mapping[str, str], notes: list[str], *, interim: bool) -> float | None:
    milliseconds = _whole("utterance_end_ms", last, 1, 3_600_000)
    if milliseconds is None:
        return None
    if not interim:
        raise QueryRefusalError("utterance_end_ms requires interim_results=true")
    if milliseconds < ADVISED_UTTERANCE_END:
        notes.append(f"utterance_end_ms below {ADVISED_UTTERANCE_END}: interims come every second")
    return milliseconds / 1000


def _diarize(last: Mapping[str, str], flags: Mapping[str, bool], notes: list[str]) -> bool:
    if "diarize" in flags:
        notes.append("diarize is deprecated: use diarize_model")
    model = last.get("diarize_model")
    if model is not None and model not in {"latest", "v1"}:
        raise QueryRefusalError("diarize_model must be latest or v1 on streams")
    return flags.get("diarize", False) or model is not None


def _keyterms(terms: Sequence[str], model: str) -> tuple[str, ...]:
    if terms and not model.startswith("nova-3"):
        raise QueryRefusalError("keyterm is supported by nova-3 models only")
    if keyterm_words(terms) > MAX_KEYTERM_TOKENS:
        raise QueryRefusalError(f"Keyterm limit exceeded: {MAX_KEYTERM_TOKENS} tokens")
    return tuple(terms)


def _lists(query: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    for value in query.get("redact", ()):
        if value not in REDACTIONS:
            raise QueryRefusalError(f"redact must be one of {', '.join(sorted(REDACTIONS))}")
    check_tags(query)
    for value in query.get("callback_method", ()):
        if value.upper() not in {"POST", "PUT"}:
            raise QueryRefusalError("callback_method must be POST or PUT")
    pairs = []
    for value in query.get("replace", ()):
        found, _, put = value.partition(":")
        if not found:
            raise QueryRefusalError("replace must read find:replacement")
        pairs.append((found.lower(), put))
    return tuple(pairs)


def last_values(query: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the last value of each parameter, which is the one that counts."""
    return {name: values[-1] for name, values in query.items() if values}


def check_tags(query: Mapping[str, Sequence[str]]) -> None:
    """Refuse tags that are too long."""
    if any(len(tag) > MAX_TAG for tag in query.get("tag", ())):
        raise QueryRefusalError(f"tag must have at most {MAX_TAG} characters")


def callback_of(last: Mapping[str, str]) -> str | None:
    """Return where the answer is to be sent instead."""
    callback = last.get("callback")
    if callback is not None and not callback.startswith(("http://", "https://")):
        raise QueryRefusalError("The callback URL is invalid.")
    return callback


def unsupported(what: str) -> QueryRefusalError:
    """Return the refusal of a kind of audio."""
    return QueryRefusalError(f"Unsupported audio format: {what}")


def boolean(name: str, value: str) -> bool:
    """Return a truth value."""
    if value.lower() not in {"true", "false"}:
        raise QueryRefusalError(f"{name} must be true or false")
    return value.lower() == "true"


def _whole(name: str, last: Mapping[str, str], low: int, high: int) -> int | None:
    value = last.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
        raise QueryRefusalError(f"{name} must be a whole number between {low} and {high}")
    return int(value)
