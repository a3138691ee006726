"""Whatever the vendor answers to a recording, and however it is cut: values or typed errors."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicekit import DeepgramClient, Transcript, Transport
from voicekit.errors import RemoteProtocolError, VoicekitError
from voicekit.operation import Call
from voicekit.timing import ConnectionInfo
from voicekit.transport.messages import Request

pytestmark = pytest.mark.slow

# Composed from the vendor's OpenAPI file, in its own spacing.
ANSWER = (
    '{"metadata":{"transaction_key":"deprecated","request_id":"r1","sha256":"ab12","created":'
    '"2026-11-20T10:00:00.000Z","duration":1.9,"channels":1,"models":["m1"],"model_info":{"m1":'
    '{"name":"general-nova-3","version":"2026-01-01.0","arch":"nova-3"}}},"results":{"channels":'
    '[{"search":[{"query":"tea","hits":[]}],"alternatives":[{"transcript":"Hello thére.",'
    '"confidence":0.99,"words":[{"word":"hello","start":0.1,"end":0.5,"confidence":0.99,'
    '"speaker":0,"speaker_confidence":0.8,"punctuated_word":"Hello"},{"word":"thére","start":0.6,'
    '"end":0.9,"confidence":0.98,"speaker":0,"speaker_confidence":0.8,"punctuated_word":"thére."'
    '}],"paragraphs":{"transcript":"\\nSpeaker 0: Hello thére.","paragraphs":[{"sentences":[{'
    '"text":"Hello thére.","start":0.1,"end":0.9}],"start":0.1,"end":0.9,"num_words":2,"speaker"'
    ':0}]},"entities":[]}],"detected_language":"en","language_confidence":0.97}],"utterances":[{'
    '"start":0.1,"end":0.9,"confidence":0.985,"channel":0,"transcript":"Hello thére.","words":[{'
    '"word":"hello","start":0.1,"end":0.5,"confidence":0.99}],"speaker":0,"id":"u1"}],"summary":'
    '{"result":"success","short":"A greeting."}}}'
)
BYTES = ANSWER.encode()


class Pieces:
    """A response whose body comes in these pieces."""

    status = 200
    delimited = True
    connection = ConnectionInfo(reused=True)

    def __init__(self, pieces: list[bytes]) -> None:
        self.headers = {"Content-Type": "application/json", "dg-request-id": "r0"}
        self._pieces = iter([piece for piece in pieces if piece])

    async def chunk(self) -> bytes:
        return next(self._pieces, b"")

    def interrupt(self, error: Exception) -> None:
        pass

    def abort(self) -> None:
        pass

    release = abort


class Scripted(Transport):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    async def send(self, request: Request, call: Call) -> Any:
        call.sent(Pieces.connection)
        return Pieces(self.pieces)


def transcripts(*bodies: list[bytes]) -> list[Transcript]:
    """What the client makes of each body, cut so."""

    async def run() -> list[Transcript]:
        transport = Scripted()
        stt = DeepgramClient("k", transport=transport)
        heard = []
        try:
            for transport.pieces in bodies:
                heard.append(await stt.transcribe(b"audio", multichannel=True))
        finally:
            await stt.aclose()
            await transport.aclose()
        return heard

    return asyncio.run(run())


def test_cut_at_every_position() -> None:
    """In two at every byte, and byte by byte: always the same transcript."""
    whole, single, *cut = transcripts(
        [BYTES],
        [BYTES[at : at + 1] for at in range(len(BYTES))],
        *([BYTES[:at], BYTES[at:]] for at in range(1, len(BYTES))),
    )
    assert whole.text == "Hello thére."
    assert whole.raw == json.loads(ANSWER)
    assert len(whole.words) == 2
    assert whole.utterances[0].words[0].text == "hello"
    assert all(each == whole for each in (single, *cut))


@given(st.integers(min_value=0, max_value=len(BYTES) - 1))
@settings(max_examples=50)
def test_half_an_answer_is_none(cut: int) -> None:
    """Cut anywhere, it is refused."""
    with pytest.raises(RemoteProtocolError):
        transcripts([BYTES[:cut]])


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
names = st.sampled_from(["word", "start", "end", "transcript", "words", "alternatives", "x"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in an answer."""
    found = [here]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += paths(inner, (*here, key))
    return found


PATHS = paths(json.loads(ANSWER))[1:]


@given(st.sampled_from(PATHS), values, st.booleans())
@settings(deadline=None)
def test_one_field_of_any_type(path: tuple[Any, ...], wrong: Any, drop: bool) -> None:
    """An answer with one field replaced or missing is read, or refused with a typed error."""
    answer = json.loads(ANSWER)
    holder = answer
    for key in path[:-1]:
        holder = holder[key]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = wrong
    try:
        (heard,) = transcripts([json.dumps(answer).encode()])
    except VoicekitError:
        return
    assert isinstance(heard.text, str)
    for word in heard.words:
        assert isinstance(word.text, str)
        assert isinstance(word.start, float)
    if not heard.duration:  # without any time there are no subtitles
        heard = replace(heard, duration=1.0)
    assert isinstance(heard.to_srt(speakers=True), str)
    assert heard.to_vtt(speakers=True).startswith("WEBVTT\n")
    repr(heard)


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
@settings(deadline=None)
def test_any_body(body: bytes) -> None:
    """No body makes anything but a transcript or an error of ours."""
    try:
        (heard,) = transcripts([body])
    except VoicekitError:
        return
    assert isinstance(heard, Transcript)
