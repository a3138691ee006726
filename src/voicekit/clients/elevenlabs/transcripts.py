"""What was heard, as ElevenLabs tells it and as we do. No I/O.

Source: ElevenLabs fact sheet of 2026-11, §7 (SDK elevenlabs 2.78.0, response types).

An answer is one document, or one for each channel under ``transcripts``. Its ``words`` are
words, the spacing between them, and sounds (``audio_event``); their texts together are the
text. Sounds are in the texts here and in ``raw``, but are no words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voicekit.checks import is_integer, is_number
from voicekit.errors import RemoteProtocolError
from voicekit.speech import Channel, PendingTranscript, Transcript, Utterance, Word
from voicekit.speech.word import Speaker

PAUSE_S: Final = 0.8
"""Seconds without a word after which the same speaker's next word begins another utterance.
Source: ours; the vendor gives none, and it is what another vendor's utterances default to."""

_DAY_S: Final = 86_400.0
_NUMBERED: Final = re.compile(r"speaker_([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One item of ``words``; spacing belongs to what is before it."""

    text: str
    word: Word | None
    start: float
    end: float
    speaker: Speaker | None
    channel: int | None


def transcript_of(value: Mapping[str, Any]) -> Transcript:
    """The transcript in an answer, without the evidence of its call.

    Raises:
        RemoteProtocolError: It holds no text.
    """
    several = value.get("transcripts")
    if isinstance(several, list) and several:
        parts = [_part(each) for each in several]
        channels = _numbered(parts)
        return Transcript(
            text="\n".join(channel.text for channel in channels if channel.text),
            words=tuple(word for channel in channels for word in channel.words),
            utterances=_utterances(_channelled(parts)),
            channels=channels,
            duration=_number(value.get("audio_duration_secs")),
            language=channels[0].language,
            raw=value,
        )
    text, entries, language = _part(value)
    by_channel = {entry.channel for entry in entries if entry.channel is not None}
    told_apart = by_channel or any(entry.speaker is not None for entry in entries)
    return Transcript(
        text=text,
        words=_words(entries),
        utterances=_utterances(entries) if told_apart else (),
        channels=tuple(_combined(entries, sorted(by_channel), language)),
        duration=_number(value.get("audio_duration_secs")),
        language=language,
        raw=value,
    )


def pending_of(value: Mapping[str, Any]) -> PendingTranscript:
    """What an answer says of a transcript that goes to a webhook.

    Raises:
        RemoteProtocolError: It names no request.
    """
    request_id, transcription_id = value.get("request_id"), value.get("transcription_id")
    if not isinstance(request_id, str) or not request_id:
        raise RemoteProtocolError("the answer names no request")
    return PendingTranscript(
        request_id=request_id,
        transcription_id=transcription_id if isinstance(transcription_id, str) else None,
        raw=value,
    )


_Part = tuple[str, list[_Entry], str | None]


def _part(value: object) -> _Part:
    """Text, entries and language of one document."""
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str):
        raise RemoteProtocolError("the answer holds no text")
    words, language = value.get("words"), value.get("language_code")
    own = _index(value.get("channel_index"))
    entries = [_entry(each, own) for each in words] if isinstance(words, list) else []
    return (
        value["text"],
        [each for each in entries if each is not None],
        language if isinstance(language, str) else None,
    )


def _entry(value: object, channel: int | None) -> _Entry | None:
    """An item of ``words``; None for one that says nothing, and for one without times."""
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str):
        return None
    text, kind = value["text"], value.get("type")
    start, end = _number(value.get("start")), _number(value.get("end"))
    if start is None or end is None:
        return None
    speaker = _speaker(value.get("speaker_id"))
    own = _index(value.get("channel_index"))
    word = None
    # One without a type is a word, if it is anything.
    if kind in {"word", None} and text.strip():
        confidence = _confidence(value.get("logprob"))
        word = Word(text=text, start=start, end=end, confidence=confidence, speaker=speaker)
    return _Entry(text, word, start, end, speaker, channel if own is None else own)


def _numbered(parts: Sequence[_Part]) -> tuple[Channel, ...]:
    return tuple(
        Channel(index=index, text=text, words=_words(entries), language=language)
        for index, (text, entries, language) in _indexed(parts)
    )


def _indexed(parts: Sequence[_Part]) -> list[tuple[int, _Part]]:
    """The parts by the channel that they say, else by their place."""
    numbered = []
    for place, part in enumerate(parts):
        said = next((each.channel for each in part[1] if each.channel is not None), place)
        numbered.append((said, part))
    return sorted(numbered, key=lambda each: each[0])


def _channelled(parts: Sequence[_Part]) -> Iterator[_Entry]:
    for index, (_, entries, _) in _indexed(parts):
        for each in entries:
            yield _Entry(each.text, each.word, each.start, each.end, each.speaker, index)


def _combined(
    entries: Sequence[_Entry], channels: Iterable[int], language: str | None
) -> Iterator[Channel]:
    """Each channel of a document that holds them all in the order of time."""
    for index in channels:
        own = [each for each in entries if each.channel == index]
        text = " ".join(each.text.strip() for each in own if each.text.strip())
        yield Channel(index=index, text=text, words=_words(own), language=language)


def _words(entries: Iterable[_Entry]) -> tuple[Word, ...]:
    return tuple(each.word for each in entries if each.word is not None)


def _utterances(entries: Iterable[_Entry]) -> tuple[Utterance, ...]:
    """Who says what: by speaker and channel, and by pauses; in the order of time."""
    said: list[list[_Entry]] = []
    latest: dict[int | None, list[_Entry]] = {}
    for entry in entries:
        if not entry.text.strip():
            continue
        open_one = latest.get(entry.channel)
        if (
            open_one is None
            or open_one[-1].speaker != entry.speaker
            or entry.start - open_one[-1].end >= PAUSE_S
        ):
            open_one = latest[entry.channel] = []
            said.append(open_one)
        open_one.append(entry)
    said.sort(key=lambda each: each[0].start)
    return tuple(map(_utterance, said))


def _utterance(entries: Sequence[_Entry]) -> Utterance:
    words = _words(entries)
    known = [word.confidence for word in words if word.confidence is not None]
    return Utterance(
        text=" ".join(each.text.strip() for each in entries),
        start=entries[0].start,
        end=entries[-1].end,
        speaker=entries[0].speaker,
        channel=entries[0].channel,
        confidence=sum(known) / len(known) if known else None,
        words=words,
    )


def _confidence(logprob: object) -> float | None:
    number = _number(logprob, least=-math.inf)
    return None if number is None else min(1.0, math.exp(number))


def _number(value: object, least: float = 0.0) -> float | None:
    return float(value) if is_number(value) and least <= value <= _DAY_S else None


def _speaker(value: object) -> Speaker | None:
    """``speaker_0`` is a number with us, for all providers alike; names and roles stay."""
    if not isinstance(value, str) or not value:
        return None
    numbered = _NUMBERED.fullmatch(value)
    return value if numbered is None else int(numbered[1])


def _index(value: object) -> int | None:
    return value if is_integer(value) else None
