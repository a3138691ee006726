"""Transcripts as OpenAI writes them, sans-IO: whole ones, and their streams.

Source: OpenAI fact sheet of 2026-11, §6 (SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from voicekit.checks import is_number
from voicekit.clients.openai.deltas import LogProbs
from voicekit.clients.openai.errors import error_of
from voicekit.clients.openai.protocol import count_of, token_of
from voicekit.clients.openai.stream import MAX_EVENT_BYTES, MAX_STREAM_BYTES, EventDecoder
from voicekit.clients.refusals import body_of
from voicekit.errors import RemoteProtocolError
from voicekit.speech import Transcript, Usage, Utterance, Word
from voicekit.wire.sse import SseDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLAIN: Final = frozenset({"text", "srt", "vtt"})
_CUE: Final = re.compile(
    r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{3})[ \t]+-->[ \t]+(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{3})"
)


def kinds_of(response_format: str) -> tuple[str, ...]:
    """What the content type of an answer must hold one of."""
    # Compatible servers say text/plain, text/vtt, application/x-subrip or nothing.
    return ("text/plain", "vtt", "srt", "subrip") if response_format in _PLAIN else ("json",)


def read_transcript(
    body: bytes, response_format: str, headers: Mapping[str, str], length: float | None = None
) -> Transcript:
    """Read a whole answer that came with status 200.

    Raises:
        ProviderError: It is an error object, for all its status.
        RemoteProtocolError: It is neither that nor a transcript.
    """
    if response_format in _PLAIN:
        return replace(_plain(body, response_format, headers), duration=length)
    value = body_of(body)
    if not isinstance(value, dict):
        raise RemoteProtocolError("the answer is no JSON object")
    return transcript_of(value, headers, length)


def transcript_of(
    value: dict[str, Any], headers: Mapping[str, str], length: float | None = None
) -> Transcript:
    """Read a JSON object of any of the three shapes.

    Raises:
        ProviderError: It is an error object.
        RemoteProtocolError: It is no transcript.
    """
    if value.get("error"):
        raise error_of(value, 200, headers)
    text = value.get("text")
    if not isinstance(text, str):
        raise RemoteProtocolError("the answer holds no text")
    duration, usage = _seconds(value.get("duration")), usage_of(value.get("usage"))
    if duration is None:  # only verbose answers say it
        duration = length
    if duration is None and usage is not None:
        duration = usage.audio_seconds  # rounded up, for the bill
    return Transcript(
        text=text,
        words=tuple(_word(each) for each in _list(value, "words")),
        utterances=tuple(utterance_of(each) for each in _list(value, "segments")),
        duration=duration,
        language=_language(value),
        usage=usage,
        headers=headers,
        raw=value,
    )


def usage_of(value: object) -> Usage | None:
    """What was counted: tokens, or seconds of audio; None where nothing was."""
    if not isinstance(value, dict):
        return None
    return Usage(
        input_tokens=count_of(value, "input_tokens"),
        output_tokens=count_of(value, "output_tokens"),
        total_tokens=count_of(value, "total_tokens"),
        audio_seconds=_seconds(value.get("seconds")),
        raw=value,
    )


def utterance_of(value: object) -> Utterance:
    """A segment: of verbose JSON, or of a transcript with speakers.

    Raises:
        RemoteProtocolError: It is neither.
    """
    text, start, end = _timed(value, "segment", "text")
    return Utterance(text=text, start=start, end=end, speaker=token_of(value, "speaker") or None)


def _word(value: object) -> Word:
    text, start, end = _timed(value, "word", "word")
    return Word(text=text, start=start, end=end)


def _timed(value: object, what: str, name: str) -> tuple[str, float, float]:
    """A text and its times; Whisper's segments begin with a space."""
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"a {what} is no object")
    text, start, end = value.get(name), _seconds(value.get("start")), _seconds(value.get("end"))
    if not isinstance(text, str) or start is None or end is None:
        raise RemoteProtocolError(f"a {what} has no text or no times")
    return text.strip(), start, end


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise RemoteProtocolError(f"the answer's {name} are no list")
    return found


def _language(value: dict[str, Any]) -> str | None:
    """Verbose JSON names the language, the newest model lists codes: the first, if any."""
    language = value.get("language")
    if language is None and (codes := value.get("languages")) and isinstance(codes, list):
        language = codes[0].get("code") if isinstance(codes[0], dict) else None
    return language if isinstance(language, str) else None


def _seconds(value: object) -> float | None:
    if isinstance(value, str):  # the specification of 2024 had durations as text
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if is_number(value) else None


# -- plain text and subtitles --


def _plain(body: bytes, response_format: str, headers: Mapping[str, str]) -> Transcript:
    try:
        whole = body.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("the answer is no text") from None
    if response_format == "text":
        return Transcript(text=whole.strip(), headers=headers, raw=whole)
    cues = tuple(_cues(whole))
    text = " ".join(cue.text for cue in cues)
    if not cues and whole.strip() not in {"", "WEBVTT"}:
        raise RemoteProtocolError("the answer holds no subtitles")
    return Transcript(text=text, utterances=cues, headers=headers, raw=whole)


def _cues(text: str) -> Iterable[Utterance]:
    """The cues of subtitles, in either format."""
    for block in re.split(r"(?:\r?\n){2,}", text):
        lines = block.splitlines()
        for number, line in enumerate(lines):
            if times := _CUE.match(line.strip()):
                said = " ".join(each.strip() for each in lines[number + 1 :])
                start, end = _clock(times.groups()[:4]), _clock(times.groups()[4:])
                yield Utterance(text=said.strip(), start=start, end=end)
                break


def _clock(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in parts)
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


# -- streams --


class TranscriptDecoder(EventDecoder):
    """Reads a stream of ``transcript.text.*`` events.

    Yields text as ``str``, a speaker's passage as ``Utterance``, ``LogProbs`` and ``Usage``.
    Useful output is text, a passage, and the end: where nothing was said, there is no more.
    Events that it does not know are passed over.
    """

    def __init__(self, headers: Mapping[str, str], length: float | None = None) -> None:
        super().__init__(headers, SseDecoder(MAX_EVENT_BYTES), MAX_STREAM_BYTES)
        self._length = length
        self._text: list[str] = []
        self._utterances: list[Utterance] = []
        self._whole: dict[str, Any] | None = None

    def feed(self, data: bytes) -> Iterable[Any]:
        """Read one piece of the body; what precedes an error in it counts.

        Raises:
            ProviderError: The stream reports an error.
            RemoteProtocolError: What came is no such stream, or is far too long.
        """
        self._left -= len(data)
        if self._left < 0:
            raise RemoteProtocolError(f"the stream is longer than {MAX_STREAM_BYTES} bytes")
        for event in self._sse.feed(data):
            if event[:6] == b"[DONE]":
                self.done = True
                return
            if event:
                yield from self._read(event)

    def eof(self, *, delimited: bool) -> list[Any]:
        """The body ended.

        Raises:
            RemoteProtocolError: It ended before the transcript did.
        """
        items = self._rest()
        # The whole text is the end of the transcript, too, when the framing proves that the
        # body ended there: compatible servers send no [DONE].
        if self._whole is None or not (self.done or delimited):
            raise RemoteProtocolError("the stream ended before its end marker")
        self.done = True
        return items

    def _read(self, event: bytes) -> Iterable[Any]:
        value = self._value(event)
        match value.get("type"):
            case "error":
                raise error_of(value, 200, self._headers)
            case "transcript.text.delta":
                yield from self._delta(value)
            case "transcript.text.segment":
                self.progress += 1
                utterance = utterance_of(value)
                self._utterances.append(utterance)
                yield utterance
            case "transcript.text.done":
                yield from self._end(value)

    def _delta(self, value: dict[str, Any]) -> Iterable[Any]:
        text = value.get("delta")
        if text is not None and not isinstance(text, str):
            raise RemoteProtocolError("a delta is no text")
        if text:
            self.progress += 1
            self._text.append(text)
            yield text
        if logprobs := value.get("logprobs"):
            yield LogProbs(raw=logprobs)

    def _end(self, value: dict[str, Any]) -> Iterable[Any]:
        text = value.get("text")
        if not isinstance(text, str):
            raise RemoteProtocolError("the end of the transcript holds no text")
        self.progress += 1
        self._whole = value
        if text and not self._text:  # a server that does not stream, but says so in events
            self._text.append(text)
            yield text
        self.usage = usage_of(value.get("usage"))
        if self.usage is not None:
            yield self.usage

    def transcript(self) -> Transcript:
        """What was read so far; at the end, the whole."""
        if self._whole is None:
            return Transcript(text="".join(self._text), utterances=tuple(self._utterances))
        whole = transcript_of(self._whole, self._headers, self._length)
        return replace(whole, utterances=tuple(self._utterances) or whole.utterances)


class NotStreamed:
    """Reads a transcript that came whole where a stream was asked for, or an error.

    Whisper does not stream, nor do some compatible servers.
    """

    def __init__(self, headers: Mapping[str, str], length: float | None = None) -> None:
        self.progress = 0
        self.done = False
        self.usage: Usage | None = None
        self._headers = headers
        self._length = length
        self._body = bytearray()
        self._read: Transcript | None = None

    def feed(self, data: bytes) -> tuple[()]:
        """Keep the piece.

        Raises:
            RemoteProtocolError: It is too long for a transcript.
        """
        self._body += data
        if len(self._body) > MAX_STREAM_BYTES:
            raise RemoteProtocolError(f"the answer is longer than {MAX_STREAM_BYTES} bytes")
        return ()

    def eof(self, *, delimited: bool) -> list[Any]:
        """The document is complete.

        Raises:
            ProviderError: It is an error object.
            RemoteProtocolError: It is no transcript, or may be cut short.
        """
        if not delimited:
            raise RemoteProtocolError("the answer may be cut short: its end is not framed")
        whole = self._read = read_transcript(bytes(self._body), "json", self._headers, self._length)
        self.done = True
        self.progress += 1
        self.usage = whole.usage
        items: list[Any] = [whole.text] if whole.text else []
        items += whole.utterances
        return items if whole.usage is None else [*items, whole.usage]

    def transcript(self) -> Transcript:
        """What was read."""
        return self._read or Transcript(text="")
