"""However an answer is cut on its way, and whatever it holds, the same transcript comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicekit.clients.elevenlabs.transcripts import transcript_of
from voicekit.clients.execute import read_body
from voicekit.clients.refusals import body_of
from voicekit.errors import RemoteProtocolError

# As the vendor's sheet has it, but for the words.
ANSWER = (
    '{"language_code":"eng","language_probability":0.98,"text":"Hello (laughter) th\\u00e9re.",'
    '"words":[{"text":"Hello","start":0.1,"end":0.42,"type":"word","speaker_id":"speaker_0",'
    '"logprob":-0.02,"characters":[{"text":"H","start":0.1,"end":0.2}]},'
    '{"text":" ","start":0.42,"end":0.45,"type":"spacing","speaker_id":"speaker_0","logprob":0},'
    '{"text":"(laughter)","start":0.45,"end":0.6,"type":"audio_event","speaker_id":null,'
    '"logprob":0},{"text":" ","start":0.6,"end":0.6,"type":"spacing","logprob":0},'
    '{"text":"thére.","start":0.6,"end":1.1,"type":"word","speaker_id":"speaker_1",'
    '"logprob":-0.3}],"transcription_id":"t1","audio_duration_secs":1.2,"entities":null,'
    '"additional_formats":null,"channel_index":null}'
).encode()


class Cut:
    """A response whose body comes in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def chunk(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


async def read(pieces: list[bytes]) -> Any:
    body = await read_body(Cut(pieces), 1 << 20)  # type: ignore[arg-type]
    return transcript_of(body_of(body))


@pytest.mark.anyio
async def test_cut_at_every_position() -> None:
    """Inside a character of two bytes, too."""
    whole = await read([ANSWER])
    assert whole.text == "Hello (laughter) thére."
    assert [word.text for word in whole.words] == ["Hello", "thére."]
    assert len(whole.utterances) == 3
    for at in range(1, len(ANSWER)):
        assert await read([ANSWER[:at], ANSWER[at:]]) == whole


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["word", "spacing", "audio_event", "speaker_0", "x y"])
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
_WORD = ("text", "start", "end", "type", "speaker_id", "logprob", "channel_index", "characters")
WORDS = st.fixed_dictionaries({}, optional=dict.fromkeys(_WORD, JSON))
_CHUNK = ("language_code", "audio_duration_secs", "channel_index")
CHUNKS = st.fixed_dictionaries(
    {"text": JSON, "words": JSON | st.lists(WORDS, max_size=5)},
    optional=dict.fromkeys(_CHUNK, JSON),
)


@settings(max_examples=200)
@given(CHUNKS | st.fixed_dictionaries({"transcripts": JSON | st.lists(CHUNKS, max_size=3)}))
def test_whatever_it_holds(value: dict[str, Any]) -> None:
    """A transcript whose parts fit together, or one error of ours."""
    parsed = json.loads(json.dumps(value))
    try:
        heard = transcript_of(parsed)
    except RemoteProtocolError:
        return
    assert all(word.text.strip() for word in heard.words)
    assert all(word.confidence is None or 0 <= word.confidence <= 1 for word in heard.words)
    said = [word for utterance in heard.utterances for word in utterance.words]
    if heard.utterances:
        assert sorted(map(repr, said)) == sorted(map(repr, heard.words))
    assert [each.start for each in heard.utterances] == sorted(
        each.start for each in heard.utterances
    )
    if heard.duration is None:  # without any time there are no subtitles
        heard = replace(heard, duration=1.0)
    heard.to_srt(speakers=True)
    heard.to_vtt(speakers=True)
