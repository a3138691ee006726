"""Transcripts as the vendor writes them: every shape, and what is none of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicekit.clients.openai.deltas import LogProbs
from voicekit.clients.openai.transcript import NotStreamed, TranscriptDecoder, read_transcript
from voicekit.errors import (
    ProviderError,
    QuotaError,
    RemoteProtocolError,
    UnavailableError,
    VoicekitError,
)
from voicekit.speech import Usage, Utterance, Word

TOKENS = {
    "type": "tokens",
    "total_tokens": 28,
    "input_tokens": 17,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 17},
    "output_tokens": 11,
}
HEADERS = {"x-request-id": "req_1"}


def whole(value: Any, response_format: str = "json") -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_transcript(body, response_format, HEADERS)


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


def streamed(*pieces: bytes, delimited: bool = True) -> tuple[list[Any], TranscriptDecoder]:
    decoder = TranscriptDecoder(HEADERS)
    items: list[Any] = []
    for piece in pieces:
        items += decoder.feed(piece)
    items += decoder.eof(delimited=delimited)
    return items, decoder


# -- whole -------------------------------------------------------------------------------------


def test_json() -> None:
    """Text and tokens; the newest model's first language."""
    read = whole({"text": "Hello.", "usage": TOKENS, "languages": [{"code": "en"}, {"code": "de"}]})
    assert (read.text, read.language) == ("Hello.", "en")
    assert read.usage == Usage(input_tokens=17, output_tokens=11, total_tokens=28)
    assert read.raw["usage"]["input_token_details"]["audio_tokens"] == 17
    assert read.headers == HEADERS


@pytest.mark.parametrize(
    ("more", "language", "usage"),
    [
        ({}, None, None),
        ({"usage": None, "languages": []}, None, None),
        ({"usage": {"type": "duration", "seconds": 2}}, None, Usage(audio_seconds=2.0)),
        ({"languages": ["odd"]}, None, None),
        ({"usage": {"input_tokens": True}}, None, Usage()),
    ],
)
def test_what_may_be_missing(more, language, usage) -> None:
    """Nothing beside the text is needed."""
    read = whole({"text": "", **more})
    assert (read.text, read.language, read.usage) == ("", language, usage)


def test_verbose_json() -> None:
    """Segments are utterances, words are words; Whisper's spaces are gone."""
    read = whole(
        {
            "task": "transcribe",
            "language": "english",
            "duration": 2.5,
            "text": "Hello there.",
            "segments": [{"id": 0, "seek": 0, "start": 0.0, "end": 2.5, "text": " Hello there."}],
            "words": [
                {"word": "Hello", "start": 0.0, "end": 0.5},
                {"word": "there", "start": 0.5, "end": 1},
            ],
            "usage": {"type": "duration", "seconds": 3},
        },
        "verbose_json",
    )
    assert read.utterances == (Utterance(text="Hello there.", start=0.0, end=2.5),)
    assert read.words == (
        Word(text="Hello", start=0.0, end=0.5),
        Word(text="there", start=0.5, end=1.0),
    )
    assert (read.duration, read.language) == (2.5, "english")
    assert "Hello there." in read.to_srt()
    # Older servers write the duration as text.
    assert whole({"text": "x", "duration": "2.5"}).duration == 2.5
    assert whole({"text": "x", "duration": "?"}).duration is None


def test_how_long_the_recording_is() -> None:
    """As the answer says, else as the recording does, else as it is billed, in whole seconds."""
    usage = {"type": "duration", "seconds": 3}
    for said, length, expected in (
        ({"duration": 2.5, "usage": usage}, 2.4, 2.5),
        ({"usage": usage}, 2.4, 2.4),
        ({"usage": usage}, None, 3.0),
        ({"usage": TOKENS}, None, None),
        ({}, 2.4, 2.4),
    ):
        body = json.dumps({"text": "x", **said}).encode()
        assert read_transcript(body, "json", HEADERS, length).duration == expected
        event = {"type": "transcript.text.done", "text": "x", **said}
        decoder = TranscriptDecoder(HEADERS, length)
        list(decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))
        assert decoder.transcript().duration == expected
        late = NotStreamed(HEADERS, length)
        late.feed(body)
        late.eof(delimited=True)
        assert late.transcript().duration == expected
    assert read_transcript(b"x\n", "text", HEADERS, 2.4).duration == 2.4


def test_diarized_json() -> None:
    """Who says what when."""
    segment = {"type": "transcript.text.segment", "id": "seg_0", "start": 0, "end": 1.5}
    read = whole(
        {
            "task": "transcribe",
            "duration": 3.0,
            "text": "Hello. Hi.",
            "segments": [
                {**segment, "speaker": "A", "text": "Hello."},
                {**segment, "speaker": "Ann", "text": "Hi.", "start": 1.5, "end": 3.0},
            ],
            "usage": TOKENS,
        },
        "diarized_json",
    )
    assert [(each.speaker, each.text, each.start) for each in read.utterances] == [
        ("A", "Hello.", 0.0),
        ("Ann", "Hi.", 1.5),
    ]
    assert read.to_vtt(speakers=True).count("<v ") == 2


def test_plain_text() -> None:
    """Without the trailing line feed."""
    read = whole("Grüße.\n".encode(), "text")
    assert (read.text, read.raw) == ("Grüße.", "Grüße.\n")


SRT = """\
1
00:00:00,000 --> 00:00:01,500
Hello
there.

2
01:00:01,500 --> 01:00:02,000
Bye.

"""
VTT = """\
WEBVTT

00:00.000 --> 00:01.500
Hello
there.

01:00:01.500 --> 01:00:02.000 line:0
Bye.

"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("response_format", "body"),
    [
        ("srt", SRT),
        ("vtt", VTT),
    ],
)
def test_subtitles(response_format, body, end) -> None:
    """Their cues are utterances; the body itself is raw."""
    body = body.replace("\n", end)
    read = whole(body.encode(), response_format)
    assert read.text == "Hello there. Bye."
    assert read.utterances == (
        Utterance(text="Hello there.", start=0.0, end=1.5),
        Utterance(text="Bye.", start=3601.5, end=3602.0),
    )
    assert read.raw == body


@pytest.mark.parametrize(("response_format", "body"), [("srt", b""), ("vtt", b"WEBVTT\n\n")])
def test_subtitles_of_silence(response_format, body) -> None:
    """There are none."""
    assert whole(body, response_format).text == ""


@pytest.mark.parametrize(
    ("value", "response_format"),
    [
        (b"", "json"),
        (b"[1]", "json"),
        (b'{"text": "half', "json"),
        ({}, "json"),
        ({"text": 7}, "json"),
        ({"text": "x", "segments": {}}, "verbose_json"),
        ({"text": "x", "segments": ["y"]}, "verbose_json"),
        ({"text": "x", "segments": [{"text": "y", "start": 0}]}, "verbose_json"),
        ({"text": "x", "words": [{"word": "y", "start": "0", "end": None}]}, "verbose_json"),
        ({"text": "x", "words": ["y"]}, "verbose_json"),
        (b"\xff\xfe", "text"),
        (b"no subtitles at all", "srt"),
    ],
)
def test_what_is_no_transcript(value, response_format) -> None:
    """Told as such, without quoting it."""
    with pytest.raises(RemoteProtocolError):
        whole(value, response_format)


def test_an_error_with_status_200() -> None:
    """Is that error."""
    with pytest.raises(QuotaError):
        whole({"error": {"type": "insufficient_quota", "message": "x"}})


# -- streamed ----------------------------------------------------------------------------------

HELLO = event({"type": "transcript.text.delta", "delta": "Hello"})
THERE = event({"type": "transcript.text.delta", "delta": " there.", "logprobs": [{"token": "x"}]})
DONE = event({"type": "transcript.text.done", "text": "Hello there.", "usage": TOKENS})
END = b"data: [DONE]\r\n\r\n"


def test_a_stream() -> None:
    """Deltas as text, probabilities beside them, usage at the end; the whole text is theirs."""
    items, decoder = streamed(HELLO + THERE, DONE + END)
    assert items[:2] == ["Hello", " there."]
    assert isinstance(items[2], LogProbs)
    assert items[3] == decoder.usage == Usage(input_tokens=17, output_tokens=11, total_tokens=28)
    assert decoder.done
    assert decoder.transcript().text == "Hello there."
    assert decoder.transcript().raw["type"] == "transcript.text.done"


def test_a_stream_with_speakers() -> None:
    """Passages come as utterances, and are in the transcript."""
    segment = {"type": "transcript.text.segment", "id": "s", "start": 0.0, "end": 1.0}
    items, decoder = streamed(HELLO, event({**segment, "speaker": "A", "text": "Hello"}), DONE, END)
    passage = Utterance(text="Hello", start=0.0, end=1.0, speaker="A")
    assert items[1] == passage
    assert decoder.transcript().utterances == (passage,)


def test_what_counts_as_output() -> None:
    """Text, passages and the end: not an empty delta, nor an event that nobody knows."""
    decoder = TranscriptDecoder({})
    list(decoder.feed(event({"type": "transcript.text.delta", "delta": ""})))
    list(decoder.feed(event({"type": "transcript.of.tomorrow"})))
    assert decoder.progress == 0
    list(decoder.feed(HELLO))
    assert decoder.progress == 1
    assert decoder.transcript().text == "Hello"  # what is there so far


def test_a_stream_of_silence() -> None:
    """The end is an output, too."""
    items, decoder = streamed(event({"type": "transcript.text.done", "text": ""}), END)
    assert items == []
    assert decoder.progress == 1
    assert decoder.transcript().text == ""


def test_a_server_that_streams_in_name_only() -> None:
    """The text of the end is the one delta."""
    assert streamed(DONE, END)[0][0] == "Hello there."


def test_an_end_without_a_marker() -> None:
    """Is believed when the whole text came and the framing proves the end."""
    assert streamed(HELLO, DONE)[1].done
    assert streamed(HELLO, DONE.rstrip())[1].transcript().text == "Hello there."
    for pieces, delimited in (((HELLO, DONE), False), ((HELLO,), True), ((HELLO, END), True)):
        with pytest.raises(RemoteProtocolError, match="end"):
            streamed(*pieces, delimited=delimited)
    with pytest.raises(RemoteProtocolError, match="cut inside"):
        streamed(HELLO, DONE[:40])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"error": {"type": "server_error", "message": "x", "code": None}}, UnavailableError),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "x"}, ProviderError),
        (["list"], RemoteProtocolError),
        ({"type": "transcript.text.delta", "delta": 7}, RemoteProtocolError),
        ({"type": "transcript.text.done"}, RemoteProtocolError),
        ({"type": "transcript.text.segment", "text": "x"}, RemoteProtocolError),
    ],
)
def test_what_breaks_a_stream(value, kind) -> None:
    """An error inside it is that error; what came before it counts."""
    decoder = TranscriptDecoder({})
    got: list[Any] = []
    with pytest.raises(VoicekitError) as caught:
        got.extend(decoder.feed(HELLO + event(value)))
    assert isinstance(caught.value, kind)
    assert got == ["Hello"]


def test_a_stream_that_never_ends_is_cut_off() -> None:
    """Far beyond what 25 MiB of audio can say."""
    decoder = TranscriptDecoder({})
    comment = b": " + b"x" * (1 << 20) + b"\r\n"
    with pytest.raises(RemoteProtocolError, match="longer"):
        _ = [list(decoder.feed(comment)) for _ in range(70)]


def test_an_end_may_be_long() -> None:
    """An hour of speech, with the probability of each token."""
    logprobs = [{"token": " word", "bytes": [32, 119], "logprob": -0.1}] * 40_000
    done = {"type": "transcript.text.done", "text": "word " * 10_000, "logprobs": logprobs}
    assert len(event(done)) > 1 << 20
    assert streamed(event(done), END)[1].transcript().text.startswith("word word")


def test_whole_in_a_streams_place() -> None:
    """Whisper's way: everything at the end; an error is that error."""
    decoder = NotStreamed({})
    decoder.feed(b'{"text": "Hel')
    decoder.feed(b'lo."}')
    assert decoder.progress == 0
    assert decoder.eof(delimited=True) == ["Hello."]
    assert (decoder.progress, decoder.transcript().text) == (1, "Hello.")
    failed = NotStreamed({})
    failed.feed(b'{"error": {"type": "insufficient_quota"}}')
    with pytest.raises(QuotaError):
        failed.eof(delimited=True)
    with pytest.raises(RemoteProtocolError, match="framed"):
        NotStreamed({}).eof(delimited=False)
