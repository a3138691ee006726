"""However the bytes are cut, the same comes out: bodies, frames, words, texts."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.elevenlabs.alignment import FollowedText, WordTimes, alignment_of
from voicekit.clients.elevenlabs.contexts import ContextScript, audio_of
from voicekit.clients.elevenlabs.errors import error_of_frame, read_error
from voicekit.clients.elevenlabs.protocol import audio_decoder
from voicekit.clients.sockets import read_frame
from voicekit.errors import ProviderError, RemoteProtocolError, VoicekitError
from voicekit.speech import AudioFormat
from voicekit.wire.words import WholeWords

FORMATS = st.sampled_from(["pcm_8000", "pcm_24000", "mulaw_8000", "mp3_44100_128"])


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(each % (len(data) + 1) for each in at)})
    return [data[low:high] for low, high in pairwise(edges)]


def read(name: str, pieces: list[bytes]) -> tuple[bytes, str | None]:
    decoder = audio_decoder(AudioFormat.parse(name), {}, most=1 << 20)
    out: list[bytes] = []
    try:
        for piece in pieces:
            out.extend(decoder.feed(piece))
        out.extend(decoder.eof(delimited=True))
    except VoicekitError as error:
        return b"".join(out), type(error).__name__
    assert all(out)
    return b"".join(out), None


@given(FORMATS, st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=30))
def test_any_cutting_of_a_body_gives_the_same(name: str, body: bytes, at: list[int]) -> None:
    """The same audio, in whole samples, and the same verdict on its end."""
    assert read(name, cut(body, at)) == read(name, [body] if body else [])


@given(
    st.sampled_from(["quota_exceeded", "voice_not_found", "never_heard_of"]),
    st.text(max_size=50),
    st.lists(st.integers(0, 200), max_size=20),
)
def test_any_cutting_of_an_error_is_that_error(code: str, message: str, at: list[int]) -> None:
    """An error in place of audio is never played, wherever it is cut."""
    body = json.dumps({"detail": {"code": code, "message": message}}, separators=(",", ":"))
    audio, verdict = read("pcm_24000", cut(body.encode(), at))
    assert audio == b""
    assert verdict is not None


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=10))
def test_pieces_say_the_text_and_nothing_else(pieces: list[str]) -> None:
    """What goes out is what came in, but for the spaces that keep words apart."""
    script, typed = ContextScript("c", ""), WholeWords()
    for piece in pieces:
        if words := typed.feed(piece):
            script.say(words)
    if rest := typed.flush():
        script.say(rest, flush=True)
    said = []
    while (message := script.take()) is not None:
        said.append(json.loads(message)["text"])
    assert all(text.endswith(" ") for text in said)
    assert "".join("".join(said).split()) == "".join("".join(pieces).split())


@given(st.text(alphabet="ab .", min_size=1, max_size=40), st.lists(st.integers(0, 40), max_size=8))
def test_any_cutting_of_an_alignment_gives_the_same_words(text: str, at: list[int]) -> None:
    """Words that a frame's edge cuts in two come out whole, at their time."""
    whole, parts = WordTimes(), WordTimes()

    def frame(low: int, high: int) -> Any:
        return alignment_of(
            {
                "alignment": {
                    "chars": list(text[low:high]),
                    "charStartTimesMs": [10 * index for index in range(high - low)],
                    "charDurationsMs": [10] * (high - low),
                }
            }
        )

    expected = [*whole.feed(frame(0, len(text)), 0.0), *whole.flush()]
    edges = sorted({0, len(text), *(each % (len(text) + 1) for each in at)})
    got = []
    for low, high in pairwise(edges):
        got += parts.feed(frame(low, high), low / 100)
    got += parts.flush()
    assert [word.text for word in got] == [word.text for word in expected] == text.split()
    for one, other in zip(got, expected, strict=True):
        assert abs(one.start - other.start) < 1e-9
        assert abs(one.end - other.end) < 1e-9


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
_FIELDS = ("audio", "alignment", "normalizedAlignment", "error", "code", "message", "param")
FRAMES = st.fixed_dictionaries({}, optional=dict.fromkeys(_FIELDS, JSON))


@given(FRAMES)
def test_no_frame_raises_anything_but_our_errors(frame: dict[str, Any]) -> None:
    """Whatever the fields hold."""
    parsed = read_frame(json.dumps(frame))
    FollowedText().read(parsed)
    assert isinstance(error_of_frame(parsed), ProviderError)
    try:
        audio_of(parsed)
    except RemoteProtocolError:
        assert frame.get("audio")


@given(st.integers(200, 599), JSON | st.fixed_dictionaries({"detail": JSON}))
def test_every_refusal_is_an_error_of_ours(status: int, body: Any) -> None:
    """Whatever its body holds."""
    error = read_error(status, {}, json.dumps(body).encode())
    assert isinstance(error, ProviderError)
    assert error.status == status


@given(st.binary(max_size=200))
def test_audio_comes_through_base64(data: bytes) -> None:
    """Byte for byte."""
    assert audio_of({"audio": base64.b64encode(data).decode()}) == data
