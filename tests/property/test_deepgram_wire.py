"""Whatever the vendor's frames hold and however audio is chunked: values or typed errors."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voicekit import AudioFormat
from voicekit.clients.deepgram.audio import FrameCutter, WireAudio
from voicekit.clients.deepgram.protocol import ListenState
from voicekit.errors import VoicekitError
from voicekit.speech import TranscriptionResult

PCM = WireAudio.of(AudioFormat.parse("pcm_16000_2ch"))

# As recorded in the vendor's documents, in its own spacing.
RESULTS = (
    '{"type":"Results","channel_index":[0,1],"duration":1.02,"start":0.0,"is_final":true,'
    '"speech_final":true,"from_finalize":false,"channel":{"alternatives":[{"transcript":'
    '"hi there","confidence":0.98,"words":[{"word":"hi","start":0.1,"end":0.3,"confidence":'
    '0.99},{"word":"there","start":0.3,"end":0.6,"confidence":0.97,"punctuated_word":'
    '"there."}]}]},"metadata":{"request_id":"r1","model_info":{"name":"general-nova-3",'
    '"version":"2026-01-01.0","arch":"nova-3"},"model_uuid":"u1"}}'
)
OTHERS = (
    '{"type":"SpeechStarted","channel":[0,1],"timestamp":0.5}',
    '{"type":"UtteranceEnd","channel":[0,1],"last_word_end":2.1}',
    '{"type":"Metadata","request_id":"r1","duration":1.9,"channels":1}',
    '{"type":"ConfigureFailure","request_id":"r1","code":"CONFIGURE_INTERNAL_ERROR"}',
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["word", "start", "end", "transcript", "x"]), inner)
    ),
    max_leaves=8,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a message."""
    found = [here]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += paths(inner, (*here, key))
    return found


@given(data=st.data(), wrong=values, drop=st.booleans())
def test_one_field_of_any_type(data: st.DataObject, wrong: Any, drop: bool) -> None:
    """A message with one field replaced or missing is read, or refused with a typed error."""
    message = json.loads(data.draw(st.sampled_from((RESULTS, *OTHERS))))
    path = data.draw(st.sampled_from(paths(message)[1:]))
    holder = message
    for key in path[:-1]:
        holder = holder[key]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = wrong
    state = ListenState(PCM, offset=3.0)
    try:
        event = state.read(json.dumps(message))
    except VoicekitError:
        return
    if isinstance(event, TranscriptionResult):
        assert isinstance(event.text, str)
        assert event.start >= 3.0
        assert event.duration >= 0
        for word in event.words:
            assert isinstance(word.text, str)
            assert isinstance(word.start, float)
        assert state.heard_s >= state.acknowledged_s >= 3.0
    state.owes()
    assert isinstance(state.finals.transcript, str)
    assert state.duration >= 0


@given(st.text(max_size=200) | st.binary(max_size=50))
def test_any_frame(frame: str | bytes) -> None:
    """No frame makes anything but a value or an error of ours."""
    with contextlib.suppress(VoicekitError):
        ListenState(PCM).read(frame)


@given(st.integers(min_value=0, max_value=len(RESULTS) - 1))
def test_half_a_message_is_never_a_result(cut: int) -> None:
    """Cut anywhere, it is refused."""
    try:
        assert ListenState(PCM).read(RESULTS[:cut]) is None
    except VoicekitError:
        return
    raise AssertionError("half a message was read")


@given(st.binary(max_size=40_000), st.lists(st.integers(min_value=0, max_value=9000)))
def test_audio_is_the_same_however_it_is_chunked(audio: bytes, sizes: list[int]) -> None:
    """Frames joined are the audio, in whole samples, each at most 250 ms."""
    cutter = FrameCutter(PCM)
    frames: list[bytes] = []
    rest = audio
    for size in sizes:
        frames += cutter.cut(rest[:size])
        rest = rest[size:]
    frames += cutter.cut(rest)
    assert b"".join(frames) + cutter.rest == audio
    assert len(cutter.rest) < PCM.sample_bytes
    for frame in frames:
        assert 0 < len(frame) <= 16_000
        assert len(frame) % PCM.sample_bytes == 0


@given(
    st.lists(
        st.tuples(
            st.integers(min_value=1, max_value=64_000),
            st.floats(min_value=0, max_value=20),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_acknowledged_never_exceeds_heard_and_never_falls(
    steps: list[tuple[int, float, bool]],
) -> None:
    """Final results move what is settled forwards only, behind what was heard."""
    state = ListenState(PCM, offset=1.5)
    settled = state.acknowledged_s
    for size, end, final in steps:
        state.sent_bytes += size
        message = json.loads(RESULTS) | {"start": 0.0, "duration": end, "is_final": final}
        state.read(json.dumps(message))
        assert settled <= state.acknowledged_s <= state.heard_s
        settled = state.acknowledged_s
        assert state.sent_s is not None
        assert state.sent_s >= 1.5
