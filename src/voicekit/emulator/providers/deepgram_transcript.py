"""The JSON answer of Deepgram's transcription of files. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from voicekit.emulator.providers.deepgram_recording_query import RecordingOptions
from voicekit.emulator.providers.deepgram_results import metadata
from voicekit.emulator.providers.recording import Recording, Said

_SENTENCES_PER_PARAGRAPH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Utterance:
    """Words of one speaker without a pause."""

    words: Sequence[Said]
    spelled: Sequence[str]

    @property
    def text(self) -> str:
        return " ".join(self.spelled)


def answer_of(
    body: bytes,
    recording: Recording,
    heard: Sequence[Sequence[Said]],
    options: RecordingOptions,
    *,
    request_id: str,
) -> dict[str, Any]:
    """Return the answer for what was heard in each channel."""
    said = [list(_utterances(words, options)) for words in heard]
    told = metadata(
        request_id,
        sha256=hashlib.sha256(body).hexdigest(),
        duration=recording.duration,
        channels=len(heard),
        model=options.listen.model,
    )
    if options.tags:
        told["tags"] = list(options.tags)
    results: dict[str, Any] = {"channels": [_channel(each, options) for each in said]}
    if options.utterances:
        results["utterances"] = [
            _utterance(each, channel, request_id, options)
            for channel, utterances in enumerate(said)
            for each in utterances
        ]
        results["utterances"].sort(key=lambda each: each["start"])
    results.update(_intelligence(" ".join(each.text for each in said[0]), options))
    return {"metadata": told, "results": results}


def _utterances(words: Sequence[Said], options: RecordingOptions) -> Iterator[_Utterance]:
    first = 0
    for number, word in enumerate(words, 1):
        after = words[number] if number < len(words) else None
        if (
            after is None
            or after.start - word.end >= options.utt_split
            or (options.diarize and after.speaker != word.speaker)
        ):
            whole = words[first:number]
            yield _Utterance(words=whole, spelled=_spelled(whole, options))
            first = number


def _spelled(words: Sequence[Said], options: RecordingOptions) -> list[str]:
    replaced = dict(options.listen.replacements)
    spelled = [replaced.get(word.word.lower(), word.word) for word in words]
    if options.listen.punctuate:
        spelled[0] = spelled[0][:1].upper() + spelled[0][1:]
        spelled[-1] += "."
    return spelled


def _channel(said: Sequence[_Utterance], options: RecordingOptions) -> dict[str, Any]:
    words = [word for utterance in said for word in utterance.words]
    alternative: dict[str, Any] = {
        "transcript": " ".join(utterance.text for utterance in said),
        "confidence": _confidence(words),
        "words": [word for utterance in said for word in _words(utterance, options)],
    }
    if options.listen.language == "multi":
        alternative["languages"] = ["en"] if words else []
    if options.paragraphs:
        alternative["paragraphs"] = _paragraphs(said, options)
    channel: dict[str, Any] = {"alternatives": [alternative]}
    if options.search:
        channel["search"] = [{"query": query, "hits": []} for query in options.search]
    if options.detect_language:
        channel["detected_language"] = "en"
        channel["language_confidence"] = 0.99
    return channel


def _words(utterance: _Utterance, options: RecordingOptions) -> list[dict[str, Any]]:
    plain = []
    for word, spelled in zip(utterance.words, utterance.spelled, strict=True):
        each: dict[str, Any] = {
            "word": word.word,
            "start": round(word.start, 4),
            "end": round(word.end, 4),
            "confidence": round(word.confidence, 4),
        }
        if options.listen.punctuate:
            each["punctuated_word"] = spelled
        if options.diarize:
            each["speaker"] = word.speaker
            each["speaker_confidence"] = 0.9
        if options.listen.language == "multi":
            each["language"] = "en"
        plain.append(each)
    return plain


def _utterance(
    said: _Utterance, channel: int, request_id: str, options: RecordingOptions
) -> dict[str, Any]:
    start, end = said.words[0].start, said.words[-1].end
    told: dict[str, Any] = {
        "start": round(start, 4),
        "end": round(end, 4),
        "confidence": _confidence(said.words),
        "channel": channel,
        "transcript": said.text,
        "words": _words(said, options),
        "id": f"{request_id}-{channel}-{round(start * 1000)}",
    }
    if options.diarize:
        told["speaker"] = said.words[0].speaker
    return told


def _paragraphs(said: Sequence[_Utterance], options: RecordingOptions) -> dict[str, Any]:
    """Group utterances, a sentence each, by speaker and by number."""
    groups: list[list[_Utterance]] = []
    for each in said:
        speaker = each.words[0].speaker
        full = not groups or len(groups[-1]) == _SENTENCES_PER_PARAGRAPH
        if full or (options.diarize and groups[-1][0].words[0].speaker != speaker):
            groups.append([])
        groups[-1].append(each)
    told, texts = [], []
    for group in groups:
        speaker = group[0].words[0].speaker
        paragraph: dict[str, Any] = {
            "sentences": [
                {
                    "text": each.text,
                    "start": round(each.words[0].start, 4),
                    "end": round(each.words[-1].end, 4),
                }
                for each in group
            ],
            "num_words": sum(len(each.words) for each in group),
            "start": round(group[0].words[0].start, 4),
            "end": round(group[-1].words[-1].end, 4),
        }
        text = " ".join(each.text for each in group)
        if options.diarize:
            paragraph["speaker"] = speaker
            text = f"Speaker {speaker}: {text}"
        told.append(paragraph)
        texts.append(f"\n{text}")
    return {"transcript": "\n".join(texts), "paragraphs": told}


def _intelligence(text: str, options: RecordingOptions) -> dict[str, Any]:
    """Return the shapes of what the emulator does not do: one neutral judgement of everything."""
    asked, told = options.intelligence, dict[str, Any]()
    whole = {"text": text, "start_word": 0, "end_word": max(0, len(text.split()) - 1)}
    if "summarize" in asked:
        told["summary"] = {"result": "success", "short": text}
    if "sentiment" in asked:
        verdict = {"sentiment": "neutral", "sentiment_score": 0.0}
        told["sentiments"] = {"segments": [{**whole, **verdict}], "average": verdict}
    if "topics" in asked:
        told["topics"] = {"segments": [{**whole, "topics": []}]}
    if "intents" in asked:
        told["intents"] = {"segments": [{**whole, "intents": []}]}
    return told


def _confidence(words: Sequence[Said]) -> float:
    return round(sum(word.confidence for word in words) / len(words), 4) if words else 0.0
