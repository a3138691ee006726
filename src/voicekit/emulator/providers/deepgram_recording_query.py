"""The query parameters of Deepgram's transcription of files, as the vendor documents them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from voicekit.emulator.providers.deepgram_query import (
    ListenOptions,
    QueryRefusalError,
    boolean,
    callback_of,
    check_listen,
    last_values,
    unsupported,
)

# Source: the vendor's OpenAPI file of /v1/listen, July 2026, and its SDK 7.17.0.
ENCODINGS = frozenset({"linear16", "flac", "mulaw", "amr-nb", "amr-wb", "opus", "speex", "g729"})
WHISPER = frozenset(
    {"whisper", *(f"whisper-{size}" for size in ("tiny", "base", "small", "medium", "large"))}
)
BOOLEANS = frozenset({"utterances", "paragraphs", "sentiment", "topics", "intents"})
LISTS = frozenset({"redact", "search", "custom_topic", "custom_intent"})
MODES = frozenset({"custom_topic_mode", "custom_intent_mode"})
STREAMS_ONLY = frozenset(
    {"interim_results", "endpointing", "utterance_end_ms", "vad_events", "no_delay"}
)
"""Of sockets. Whether the vendor ignores or refuses them here it does not say; ours refuses."""

MAX_CUSTOM = 100
"""Custom topics, or intents. Source: OpenAPI file."""

DEFAULT_UTT_SPLIT = 0.8
"""Seconds. Source: OpenAPI file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOptions:
    """Checked options of one file.

    Attributes:
        listen: What a file has in common with a stream.
        utt_split: Seconds of pause between two utterances.
        language: None to detect it.
        intelligence: Which of sentiment, topics, intents and summarize were asked for.
    """

    listen: ListenOptions
    diarize: bool = False
    utterances: bool = False
    paragraphs: bool = False
    utt_split: float = DEFAULT_UTT_SPLIT
    detect_language: bool = False
    callback: str | None = None
    search: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    intelligence: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def check_recording(query: Mapping[str, Sequence[str]]) -> RecordingOptions:
    """Check the query of a `POST /v1/listen`."""
    for name in sorted(STREAMS_ONLY & set(query)):
        raise QueryRefusalError(f"Unknown query parameter: {name}")
    last = last_values(query)
    own = BOOLEANS | LISTS | MODES | {"utt_split", "diarize_model", "summarize", "detect_language"}
    common = {name: values for name, values in query.items() if name not in own}
    if (encoding := last.get("encoding")) is not None and encoding not in ENCODINGS:
        raise unsupported(f"encoding {encoding}")
    whisper = last.get("model") in WHISPER
    if whisper:
        common["model"] = ["nova-3"]  # checked above; it allows the same options
    listen = check_listen(common)
    if whisper:
        listen = replace(listen, model=last["model"])
    flags = {name: boolean(name, last.get(name, "false")) for name in sorted(BOOLEANS)}
    if (model := last.get("diarize_model")) not in {None, "latest", "v1", "v2"}:
        raise QueryRefusalError("diarize_model must be latest, v1 or v2")
    for name in sorted(MODES & set(last)):
        if last[name] not in {"extended", "strict"}:
            raise QueryRefusalError(f"{name} must be extended or strict")
    for name in ("custom_topic", "custom_intent"):
        if len(query.get(name, ())) > MAX_CUSTOM:
            raise QueryRefusalError(f"at most {MAX_CUSTOM} of {name}")
    summarize = last.get("summarize", "false").lower()
    if summarize not in {"true", "false", "v2"}:
        raise QueryRefusalError("summarize must be v2, true or false")
    asked = {name for name in ("sentiment", "topics", "intents") if flags[name]}
    # True, false, or the languages to choose from.
    languages = query.get("detect_language", ())
    paragraphs = flags["paragraphs"]
    return RecordingOptions(
        listen=replace(listen, punctuate=listen.punctuate or paragraphs),
        diarize=listen.diarize or model is not None,
        utterances=flags["utterances"],
        paragraphs=paragraphs,
        utt_split=_utt_split(last),
        detect_language=bool(languages) and languages[-1].lower() != "false",
        callback=callback_of(last),
        search=tuple(query.get("search", ())),
        tags=tuple(query.get("tag", ())),
        intelligence=frozenset(asked | ({"summarize"} if summarize != "false" else set())),
        notes=listen.notes,
    )


def _utt_split(last: Mapping[str, str]) -> float:
    try:
        seconds = float(last.get("utt_split", DEFAULT_UTT_SPLIT))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 3600:
        raise QueryRefusalError("utt_split must be a number of seconds")
    return seconds
