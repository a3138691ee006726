"""The server's messages of a live transcription as values, sans-IO.

Source: Deepgram fact sheet of 2026-11, §3 (AsyncAPI of /v1/listen, July 2026).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final, NoReturn

from voicekit.errors import RemoteProtocolError
from voicekit.speech import SpeechStarted, TranscriptionResult, UtteranceEnd, Word

# Seconds; also what a NaN, a negative and a number without end are measured by.
_LONGEST: Final = 1e9
_MOST_CHANNELS: Final = 64
WRONG: Final = (
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    OverflowError,
)
"""What a reader raises of a message that is not as it should be."""


def _no_number(_name: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are no JSON


_decode = json.JSONDecoder(parse_constant=_no_number).decode


def read_message(data: str | bytes) -> dict[str, Any]:
    """One frame as a JSON object.

    Raises:
        RemoteProtocolError: It is none; the vendor sends nothing else.
    """
    if isinstance(data, str):
        try:
            message = _decode(data)
        except (ValueError, RecursionError):
            raise RemoteProtocolError("a message is not JSON") from None
        if isinstance(message, dict):
            return message
    raise RemoteProtocolError("a frame is no JSON object")


def read_results(message: dict[str, Any], shift: float) -> TranscriptionResult:
    """A ``Results`` message, ``shift`` seconds later; what is missing and not needed is absent.

    Raises:
        RemoteProtocolError: Its times, transcript or words are none.
    """
    try:
        start, duration = message["start"], message["duration"]
        if not (0 <= start < _LONGEST and 0 <= duration < _LONGEST):
            raise ValueError
        index, of = message.get("channel_index") or (0, 1)
        if not 0 <= index < of <= _MOST_CHANNELS:
            raise ValueError
        alternatives = message["channel"]["alternatives"]
        best = alternatives[0] if alternatives else {}
        text = best.get("transcript", "")
        if type(text) is not str:
            raise TypeError
        words = best.get("words")
        languages = best.get("languages")
        from_ = start + shift
        return TranscriptionResult(
            text=text,
            words=read_words(words, shift) if words else (),
            start=from_ if from_ > 0 else 0.0,
            duration=duration,
            confidence=number(best.get("confidence")),
            is_final=message.get("is_final") is True,
            speech_final=message.get("speech_final") is True,
            from_finalize=message.get("from_finalize") is True,
            channel=(index, of),
            language=text_or_none(languages[0]) if languages else None,
            raw=message,
        )
    except WRONG:
        raise RemoteProtocolError("a Results message is malformed") from None


def read_speech_started(message: dict[str, Any], shift: float) -> SpeechStarted:
    """A ``SpeechStarted`` message."""
    at = number(message.get("timestamp"))
    if at is None:
        raise RemoteProtocolError("a SpeechStarted message is malformed")
    return SpeechStarted(at=max(0.0, at + shift))


def read_utterance_end(message: dict[str, Any], shift: float) -> UtteranceEnd:
    """An ``UtteranceEnd`` message; a negative time is taken for none (unverified)."""
    end = number(message.get("last_word_end"))
    known = end is not None and end >= 0
    return UtteranceEnd(last_word_end=max(0.0, end + shift) if known and end is not None else None)


# A frozen dataclass sets its fields one method call at a time; a result holds many words,
# and each result holds them again. Measured: a third of the time.
_new = Word.__new__
_set_text, _set_start, _set_end, _set_confidence, _set_speaker, _set_punctuated = (
    getattr(Word, field.name).__set__ for field in fields(Word)
)


def read_words(words: Sequence[dict[str, Any]], shift: float) -> tuple[Word, ...]:
    """Words of a message, by ``shift`` seconds later.

    Raises:
        Exception: One of ``WRONG``: they are malformed.
    """
    read: list[Word] = []
    for each in words:
        get = each.get
        text, start, end = each["word"], each["start"] + shift, each["end"] + shift
        confidence, speaker, punctuated = get("confidence"), get("speaker"), get("punctuated_word")
        if type(text) is not str:
            raise TypeError
        if shift < 0:
            start, end = max(0.0, start), max(0.0, end)
        word = _new(Word)
        _set_text(word, text)
        _set_start(word, start)
        _set_end(word, end)
        _set_confidence(word, confidence if type(confidence) is float else number(confidence))
        _set_speaker(word, speaker if speaker is None or type(speaker) is int else None)
        _set_punctuated(word, punctuated if type(punctuated) is str else None)
        read.append(word)
    return tuple(read)


def number(value: object) -> float | None:
    """A number that can be seconds or a confidence; None for everything else."""
    if type(value) is float or type(value) is int:
        return value if -_LONGEST < value < _LONGEST else None
    return None


def text_or_none(value: object) -> str | None:
    """Some text; None for everything else."""
    return value if isinstance(value, str) else None
