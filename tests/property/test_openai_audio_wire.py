"""However the network cuts speech and transcripts of OpenAI's, they are the same."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.audio_body import AudioDecoder
from voicekit.clients.openai.errors import error_of
from voicekit.clients.openai.transcript import TranscriptDecoder
from voicekit.errors import VoicekitError
from voicekit.speech import AudioFormat
from voicekit.wire.wav import WavStripper

CUTS = st.lists(st.integers(0, 10_000), max_size=20)
FORMATS = st.sampled_from(["pcm_24000", "wav_24000", "mp3", "ogg_opus"])
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(c % (len(stream) + 1) for c in cuts)})
    return [stream[a:b] for a, b in pairwise(at)]


def spoken(name: str, pieces: list[bytes]) -> tuple[bytes, str | None]:
    decoder = AudioDecoder(AudioFormat.parse(name), {}, most=1 << 20, error_of=error_of)
    out: list[bytes] = []
    try:
        for piece in pieces:
            out += decoder.feed(piece)
        out += decoder.eof(delimited=True)
    except VoicekitError as error:
        return b"".join(out), type(error).__name__
    assert all(out)
    return b"".join(out), None


@given(FORMATS, st.binary(max_size=3000), CUTS)
def test_any_cutting_of_audio_gives_the_same(name: str, body: bytes, cuts: list[int]) -> None:
    """In whole samples, with the same verdict on its end."""
    assert spoken(name, cut(body, cuts)) == spoken(name, [body] if body else [])


@given(
    st.sampled_from(
        [
            {"error": {"message": "m", "type": "insufficient_quota", "param": None, "code": "x"}},
            {"detail": {"error": "validation_error", "message": "m"}},
            {"detail": [{"type": "less_than_equal", "loc": ["body", "speed"]}]},
        ]
    ),
    st.sampled_from([None, 1, 4]),
    CUTS,
)
def test_any_cutting_of_an_error_is_that_error(value: Any, indent: Any, cuts: list[int]) -> None:
    """An error in audio's place is never played."""
    body = json.dumps(value, indent=indent).encode()
    assert spoken("pcm_24000", cut(body, cuts)) == spoken("pcm_24000", [body])
    audio, verdict = spoken("pcm_24000", cut(body, cuts))
    assert (audio, verdict is None) == (b"", False)


@given(
    st.sampled_from([0, 34, 1001]),
    st.sampled_from([0xFFFFFFFF, 0, 0x7FFFFFFF]),
    st.binary(min_size=2, max_size=400),
    CUTS,
)
def test_a_wavs_samples_are_all_of_them(
    extra: int, size: int, samples: bytes, cuts: list[int]
) -> None:
    """Behind headers of any length, whatever sizes a streaming server wrote into them."""
    head = b"RIFF" + size.to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += bytes.fromhex("01000100c05d000080bb000002001000")
    if extra:
        head += b"LIST" + extra.to_bytes(4, "little") + bytes(extra + extra % 2)
    head += b"data" + size.to_bytes(4, "little")
    body = head + samples
    audio, verdict = spoken("wav_24000", cut(body, cuts))
    assert (audio, verdict) == (body, None)
    stripper = WavStripper()
    assert b"".join(stripper.feed(piece) for piece in cut(audio, cuts)) == samples


DELTAS = st.one_of(
    TEXT.map(lambda text: {"type": "transcript.text.delta", "delta": text}),
    TEXT.map(
        lambda text: {
            "type": "transcript.text.delta",
            "delta": text,
            "logprobs": [{"token": text, "bytes": list(text.encode()), "logprob": -0.1}],
        }
    ),
    TEXT.map(
        lambda text: {
            "type": "transcript.text.segment",
            "id": "seg_1",
            "start": 0.5,
            "end": 1.5,
            "speaker": "A",
            "text": text,
        }
    ),
    st.just({"type": "transcript.of.tomorrow"}),
    st.just({"error": {"type": "server_error", "message": "m", "param": None, "code": None}}),
)
USAGE = {"type": "tokens", "total_tokens": 28, "input_tokens": 17, "output_tokens": 11}


def read(pieces: list[bytes]) -> tuple[list[Any], str | None, str]:
    decoder = TranscriptDecoder({})
    items: list[Any] = []
    verdict = None
    try:
        for piece in pieces:
            for item in decoder.feed(piece):
                items.append(item)
        items += decoder.eof(delimited=True)
    except VoicekitError as error:
        verdict = type(error).__name__
    return items, verdict, decoder.transcript().text


@given(
    st.lists(DELTAS, max_size=10),
    TEXT,
    st.sampled_from(["\r\n", "\r\n", "\n", "\r"]),
    st.booleans(),
    CUTS,
)
def test_any_cutting_of_a_transcript_gives_the_same(
    deltas: list[Any], text: str, end: str, marked: bool, cuts: list[int]
) -> None:
    """With the vendor's CRLF and any other line end, with and without the end marker."""
    done = {"type": "transcript.text.done", "text": text, "usage": USAGE}
    events = [json.dumps(each, ensure_ascii=False) for each in [*deltas, done]]
    events += ["[DONE]"] if marked else []
    stream = "".join(f"data: {each}{end}{end}" for each in events).encode()
    assert read(cut(stream, cuts)) == read([stream])


def test_every_cut_in_two() -> None:
    """Of a stream as the vendor sends it, exhaustively."""
    events = [
        {"type": "transcript.text.delta", "delta": "Grüße"},
        {"type": "transcript.text.delta", "delta": " 👋"},
        {"type": "transcript.text.done", "text": "Grüße 👋", "usage": USAGE},
    ]
    stream = "".join(f"data: {json.dumps(each)}\r\n\r\n" for each in events).encode()
    stream += b"data: [DONE]\r\n\r\n"
    whole = read([stream])
    assert whole[0][:2] == ["Grüße", " 👋"]
    for at in range(len(stream) + 1):
        assert read([stream[:at], stream[at:]]) == whole
    assert read([stream[at : at + 1] for at in range(len(stream))]) == whole
