"""Timestamps as the vendor writes them, cut at any place: the same audio, the same times."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.elevenlabs.timed import TimedDecoder
from voicekit.errors import ConnectionLostError, RemoteProtocolError, VoicekitError
from voicekit.speech import AudioChunk, AudioFormat

PCM = AudioFormat.parse("pcm_8000")


def timed(audio: bytes, text: str, start: float, step: float = 0.1, **more: Any) -> dict[str, Any]:
    """One object of the vendor's. Source: OpenAPI file, stream/with-timestamps."""
    starts = [round(start + number * step, 3) for number in range(len(text))]
    return {
        "audio_base64": base64.b64encode(audio).decode(),
        "alignment": {
            "characters": list(text),
            "character_start_times_seconds": starts,
            "character_end_times_seconds": [round(each + step, 3) for each in starts],
        }
        if text
        else None,
        "normalized_alignment": None,
        **more,
    }


def body_of(values: list[Any], end: str = "\n") -> bytes:
    return "".join(json.dumps(value) + end for value in values).encode()


def read(pieces: list[bytes], **options: Any) -> tuple[bytes, list[Any], list[Any], str | None]:
    chunks: list[AudioChunk] = []
    error = None
    try:
        decoder = TimedDecoder(PCM, {}, most=1 << 20, **options)
        for piece in pieces:
            chunks.extend(decoder.feed(piece))
        chunks.extend(decoder.eof(delimited=True))
    except VoicekitError as refusal:
        error = type(refusal).__name__
    return (
        b"".join(chunks),
        [(word.text, word.start, word.end) for chunk in chunks for word in chunk.words],
        [(each.text, each.start, each.end) for chunk in chunks for each in chunk.characters],
        error,
    )


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(each % (len(data) + 1) for each in at)})
    return [data[low:high] for low, high in pairwise(edges)]


LINES = [
    timed(b"\x00" * 3201, "Hi the", 0.0),
    timed(b"\x01", "", 0.0),  # the other half of a sample, and no character
    timed(b"", "re", 0.6),
    {"unknown": True},
    timed(b"\x02" * 1600, ". Ö😀", 0.8, is_last=True),
]
EXPECTED = [("Hi", 0.0, 0.2), ("there.", 0.3, 0.9), ("Ö😀", 1.0, 1.2)]


@given(st.sampled_from(["\n", "\r\n", "\n\n\n", " \n "]), st.lists(st.integers(0, 12_000)))
def test_any_cutting_gives_the_same(end: str, at: list[int]) -> None:
    """Audio in whole samples, words across lines, characters with their times."""
    audio, words, characters, error = read(cut(body_of(LINES, end), at))
    assert audio == b"\x00" * 3201 + b"\x01" + b"\x02" * 1600
    assert [(text, round(start, 3), round(stop, 3)) for text, start, stop in words] == EXPECTED
    assert "".join(each[0] for each in characters) == "Hi there. Ö😀"
    assert error is None


def test_every_position() -> None:
    """At each byte of the body."""
    body = body_of([timed(b"\x00" * 161, "Hi", 0.0), timed(b"\x00", " you", 0.2)])
    whole = read([body])
    assert whole[3] is None
    for position in range(len(body) + 1):
        assert read([body[:position], body[position:]]) == whole


@given(st.lists(st.integers(0, 500)), st.booleans())
def test_one_object_in_many_lines(at: list[int], indented: bool) -> None:
    """The whole endpoint's answer is one object, however it is laid out."""
    value = timed(b"\x00" * 320, "Hi you", 0.0)
    body = json.dumps(value, indent=2 if indented else None).encode() + b"\n"
    audio, words, _, error = read(cut(body, at), whole=True)
    assert (len(audio), [word[0] for word in words], error) == (320, ["Hi", "you"], None)


@given(st.sampled_from(["quota_exceeded", "never_heard_of"]), st.lists(st.integers(0, 200)))
def test_any_cutting_of_an_error_is_that_error(code: str, at: list[int]) -> None:
    """Audio before it is kept; the error ends it."""
    good = body_of([timed(b"\x00" * 320, "Hi", 0.0)])
    for refusal in (
        {"detail": {"code": code, "message": "m"}},
        {"message": "m", "error": code, "code": 1008},
    ):
        audio, _, _, error = read([good, *cut(body_of([refusal]), at)])
        assert (len(audio), error) == (
            320,
            "QuotaError" if code == "quota_exceeded" else "UnavailableError",
        )


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_no_bytes_break_it(body: bytes, at: list[int]) -> None:
    """Whatever comes is audio or a typed error; the cutting changes neither."""
    assert read(cut(body, at))[3] == read([body])[3] is not None


def test_times_of_each_line_of_its_own() -> None:
    """Where times go back they count from the line, whose audio says when that was."""
    lines = [timed(b"\x00" * 3200, "ab", 0.0), timed(b"\x00" * 3200, "cd", 0.0)]
    _, _, characters, _ = read([body_of(lines)])
    assert [round(each[1], 3) for each in characters] == [0.0, 0.1, 0.2, 0.3]


def test_times_after_earlier_parts() -> None:
    """A later part of a speech begins where the one before ended."""
    _, words, _, _ = read([body_of([timed(b"\x00" * 320, "Hi", 0.0)])], offset=10.0)
    assert words == [("Hi", 10.0, 10.2)]


def test_one_text_is_followed_to_the_end() -> None:
    """A line in which no character of it begins takes none of the other text."""
    row = timed(b"\x00" * 320, "five", 0.0)["alignment"]
    first = timed(b"\x00" * 320, "5", 0.0, normalized_alignment=row)
    second = timed(b"\x00" * 320, "", 0.0, normalized_alignment=row)
    third = timed(b"\x00" * 320, "!", 0.4)
    for normalized, expected in ((False, "5!"), (True, "fivefive")):
        _, _, characters, _ = read([body_of([first, second, third])], normalized=normalized)
        assert "".join(each[0] for each in characters) == expected
    # The wanted one is missing altogether: the other is better than none.
    _, _, characters, _ = read([body_of([timed(b"\x00" * 320, "5", 0.0)])], normalized=True)
    assert "".join(each[0] for each in characters) == "5"


@pytest.mark.parametrize(
    "alignment",
    [
        5,
        {},
        {"characters": ["a"]},
        {"characters": "a", "character_start_times_seconds": [0],
         "character_end_times_seconds": [1]},
        {"characters": ["a", "b"], "character_start_times_seconds": [0],
         "character_end_times_seconds": [1]},
        {"characters": [5], "character_start_times_seconds": [0],
         "character_end_times_seconds": [1]},
        {"characters": ["a"], "character_start_times_seconds": [-1],
         "character_end_times_seconds": [1]},
        {"characters": ["a"], "character_start_times_seconds": [True],
         "character_end_times_seconds": [1]},
        {"characters": ["a"], "character_start_times_seconds": [0],
         "character_end_times_seconds": [1e9]},
        {"characters": [], "character_start_times_seconds": [],
         "character_end_times_seconds": []},
    ],
)  # fmt: skip
def test_times_that_make_no_sense_are_none(alignment: Any) -> None:
    """The audio is good without them."""
    audio, words, characters, error = read(
        [body_of([timed(b"\x00" * 320, "", 0.0, alignment=alignment)])]
    )
    assert (len(audio), words, characters, error) == (320, [], [], None)


def test_the_end_has_to_be_proven() -> None:
    """Cut inside an object or a sample, without a framing, or without audio: never a success."""
    good = body_of([timed(b"\x00" * 320, "Hi", 0.0)])
    for body, delimited, kind in (
        (good, False, ConnectionLostError),
        (good[:-20], True, RemoteProtocolError),
        (body_of([timed(b"\x00" * 321, "Hi", 0.0)]), True, ConnectionLostError),
        (body_of([timed(b"", "Hi", 0.0)]), True, RemoteProtocolError),
        (b"", True, RemoteProtocolError),
    ):
        decoder = TimedDecoder(PCM, {}, most=1 << 20)
        list(decoder.feed(body))
        with pytest.raises(kind):
            decoder.eof(delimited=delimited)


def test_more_audio_than_the_text_can_take() -> None:
    """Is a fault of the server's."""
    decoder = TimedDecoder(PCM, {}, most=1000)
    with pytest.raises(RemoteProtocolError, match="more audio"):
        list(decoder.feed(body_of([timed(b"\x00" * 1002, "", 0.0)])))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/html"},
        {"Content-Type": "text/event-stream"},
        {"Content-Type": "audio/mpeg"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_what_is_no_json_is_refused(headers: dict[str, str]) -> None:
    """By its headers, before any of it is read."""
    with pytest.raises(RemoteProtocolError):
        TimedDecoder(PCM, headers, most=1000)


def test_a_drip_is_no_progress() -> None:
    """Ten milliseconds are; fewer bytes never pass for speech."""
    decoder = TimedDecoder(PCM, {}, most=1 << 20)
    list(decoder.feed(body_of([timed(b"\x00" * 158, "", 0.0)])))
    assert decoder.progress == 0
    list(decoder.feed(body_of([timed(b"\x00" * 2, "", 0.0)])))
    assert decoder.progress == 1
