"""However audio and text are cut: whole samples, whole sentences, messages that are allowed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voicekit import AudioFormat
from voicekit.clients.audio_body import AudioDecoder, most_bytes
from voicekit.clients.deepgram.errors import read_error_message
from voicekit.clients.deepgram.speech.errors import error_in_body, is_of_flushes
from voicekit.clients.deepgram.speech.messages import (
    FLUSH,
    SpeakScript,
    WholeSentences,
)
from voicekit.clients.sockets import read_frame
from voicekit.errors import VoicekitError
from voicekit.wire.pcm import Aligner

PCM = AudioFormat.parse("pcm_8000")
HEADERS = {
    "Content-Type": "audio/l16;rate=8000",
    "dg-request-id": "r1",
    "Transfer-Encoding": "chunked",
}


def cut(data: Any, value: Any) -> list[Any]:
    """The same in pieces of any sizes."""
    edges = sorted(data.draw(st.lists(st.integers(0, len(value)), max_size=12)))
    return [value[low:high] for low, high in zip([0, *edges], [*edges, len(value)], strict=True)]


@given(data=st.data(), audio=st.binary(min_size=24, max_size=400).filter(lambda b: len(b) % 2 == 0))
def test_http_audio_cut_anywhere(data: st.DataObject, audio: bytes) -> None:
    """Any cut of a body gives the same bytes, in chunks of whole samples."""
    audio = b"\x01\x00" + audio
    most = most_bytes(PCM, 20)
    decoder = AudioDecoder(PCM, HEADERS, most=most, error_of=error_in_body)
    chunks = [chunk for piece in cut(data, audio) for chunk in decoder.feed(piece)]
    chunks += decoder.eof(delimited=True)
    assert b"".join(chunks) == audio
    assert all(len(chunk) % 2 == 0 for chunk in chunks)
    assert decoder.done


@given(data=st.data(), audio=st.binary(max_size=300), size=st.sampled_from([1, 2]))
def test_frames_cut_anywhere(data: st.DataObject, audio: bytes, size: int) -> None:
    """Binary frames of any lengths, odd ones too: what is whole comes, the rest is known."""
    aligner = Aligner(size)
    whole = b"".join(aligner.feed(piece) for piece in cut(data, audio))
    assert whole + aligner.pending == audio
    assert len(whole) % size == 0


@given(data=st.data(), text=st.text(max_size=300) | st.text(" .!?aB\n。", max_size=300))
def test_text_cut_anywhere(data: st.DataObject, text: str) -> None:
    """Pieces of any sizes: what goes out is, joined, what came in."""
    held = WholeSentences()
    out = [part for piece in cut(data, text) for part in held.feed(piece)]
    assert "".join(out) + held.flush() == text


@given(st.lists(st.text(max_size=60) | st.text(" a.", min_size=1900, max_size=4200), max_size=4))
def test_messages_are_allowed(texts: list[str]) -> None:
    """Never an empty or blank message, never one beyond 2,000 characters, nothing lost."""
    script = SpeakScript()
    for text in texts:
        script.say(text)
    script.finish()
    messages = []
    while (message := script.take()) is not None:
        messages.append(message)
    said = [json.loads(message)["text"] for message in messages if message != FLUSH]
    assert all(0 < len(text) <= 2000 and text.strip() for text in said)
    spoken = "".join("".join(texts).split())
    assert "".join("".join(said).split()) == spoken
    assert messages.count(FLUSH) == (1 if spoken else 0)
    assert script.replayable
    if messages:
        script.rewind()
        assert script.take() == messages[0]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(["type", "code", "description", "warn_code", "warn_msg", "sequence_id"])


@given(st.dictionaries(FIELDS, values))
def test_messages_of_any_fields(message: dict[str, Any]) -> None:
    """A message with fields of any type is read, or refused with a typed error."""
    with contextlib.suppress(VoicekitError):
        read = read_frame(json.dumps(message))
        is_of_flushes(read)
        assert isinstance(read_error_message(read), VoicekitError)
        assert isinstance(error_in_body(read, 200, {}), VoicekitError)


@given(st.text(max_size=40))
def test_messages_of_any_text(text: str) -> None:
    """Whatever a text frame holds: an object, or a typed error."""
    with contextlib.suppress(VoicekitError):
        assert isinstance(read_frame(text), dict)
