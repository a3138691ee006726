"""The answer to a recording as a transcript, sans-IO.

Source: Deepgram fact sheet of 2026-11, §2 (OpenAPI of /v1/listen, July 2026).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from voicekit.clients.deepgram.results import WRONG, number, read_words, text_or_none
from voicekit.errors import RemoteProtocolError
from voicekit.speech import Channel, Paragraph, Transcript, Usage, Utterance, Word

_LONGEST: Final = 1e9
"""Seconds; also what a NaN and a number without end are measured by."""


def read_transcript(answer: Mapping[str, Any], *, multichannel: bool) -> Transcript:
    """The whole answer, still without evidence; what is missing and not needed is absent.

    Raises:
        RemoteProtocolError: Its texts, words or times are none.
    """
    try:
        return _transcript(answer, multichannel=multichannel)
    except WRONG:
        raise RemoteProtocolError("the transcript is malformed") from None


def read_request_id(answer: Mapping[str, Any]) -> str:
    """The id under which the answer will be delivered.

    Raises:
        RemoteProtocolError: There is none.
    """
    request_id = answer.get("request_id")
    if not isinstance(request_id, str) or not request_id:
        raise RemoteProtocolError("the answer names no request_id")
    return request_id


def _transcript(answer: Mapping[str, Any], *, multichannel: bool) -> Transcript:
    results, metadata = answer["results"], answer.get("metadata") or {}
    channels: list[Channel] = []
    paragraphs: list[Paragraph] = []
    several = multichannel or len(results["channels"]) > 1
    for index, channel in enumerate(results["channels"]):
        # Others are less likely readings of the same; they stay in raw.
        best = (channel.get("alternatives") or [{}])[0]
        channels.append(_channel(index, channel, best))
        paragraphs += _paragraphs(best.get("paragraphs"), index if several else None)
    heard = [channel for channel in channels if channel.words]
    confidences = [c.confidence for c in heard if c.confidence is not None]
    duration = number(metadata.get("duration"))
    return Transcript(
        text="\n".join(channel.text for channel in channels if channel.text),
        words=tuple(word for channel in channels for word in channel.words),
        utterances=tuple(
            _utterance(each, several=several) for each in results.get("utterances") or ()
        ),
        paragraphs=tuple(sorted(paragraphs, key=lambda each: each.start)),
        channels=tuple(channels) if several else (),
        confidence=sum(confidences) / len(confidences) if confidences else None,
        duration=duration,
        language=next((channel.language for channel in channels if channel.language), None),
        request_id=text_or_none(metadata.get("request_id")),
        usage=Usage(audio_seconds=duration),
        raw=answer,
    )


def _channel(index: int, channel: Mapping[str, Any], best: Mapping[str, Any]) -> Channel:
    languages = best.get("languages")
    return Channel(
        index=index,
        text=_text(best.get("transcript", "")),
        words=_words(best),
        confidence=number(best.get("confidence")),
        language=text_or_none(channel.get("detected_language") or (languages or [None])[0]),
    )


def _utterance(each: Mapping[str, Any], *, several: bool) -> Utterance:
    speaker, channel = each.get("speaker"), each.get("channel")
    return Utterance(
        text=_text(each["transcript"]),
        start=_time(each["start"]),
        end=_time(each["end"]),
        speaker=speaker if type(speaker) is int else None,
        channel=channel if several and type(channel) is int else None,
        confidence=number(each.get("confidence")),
        words=_words(each),
    )


def _paragraphs(of: Mapping[str, Any] | None, channel: int | None) -> Iterator[Paragraph]:
    for each in (of or {}).get("paragraphs") or ():
        speaker = each.get("speaker")
        yield Paragraph(
            text=" ".join(_text(sentence["text"]) for sentence in each["sentences"]),
            start=_time(each["start"]),
            end=_time(each["end"]),
            speaker=speaker if type(speaker) is int else None,
            channel=channel,
        )


def _words(of: Mapping[str, Any]) -> tuple[Word, ...]:
    words = read_words(of.get("words") or (), 0.0)
    for word in words:
        if not (-_LONGEST < word.start < _LONGEST and -_LONGEST < word.end < _LONGEST):
            raise ValueError
    return words


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _time(value: object) -> float:
    seconds = number(value)
    if seconds is None:
        raise TypeError
    return seconds
