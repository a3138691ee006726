"""What is said in a context, what is kept of it, and whose frames are whose."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from voicekit.clients.elevenlabs.contexts import (
    MAX_UNFINISHED,
    ContextScript,
    OpenContexts,
    audio_of,
)
from voicekit.clients.script import MAX_KEPT
from voicekit.clients.sockets import read_frame
from voicekit.errors import RemoteProtocolError


def written(script: ContextScript) -> list[dict[str, Any]]:
    messages = []
    while (message := script.take()) is not None:
        messages.append(json.loads(message))
    return messages


def test_the_first_message_is_one_space_with_the_settings() -> None:
    """The vendor takes settings in a context's first message only."""
    script = ContextScript("c1", '"voice_settings":{"speed":1.1}')
    assert not script.begun
    assert written(script) == [{"text": " ", "context_id": "c1", "voice_settings": {"speed": 1.1}}]
    assert script.begun
    assert written(ContextScript("c1", "")) == [{"text": " ", "context_id": "c1"}]


def test_an_utterance_in_messages() -> None:
    """Every text ends with one space at least; the end is a flush and a close."""
    script = ContextScript("c1", "")
    script.say("Hello ")
    script.say("line\n")
    script.flush()
    script.keep_alive()
    script.say('"quoted" ü', flush=True)
    script.finish()
    script.finish()
    assert written(script)[1:] == [
        {"text": "Hello ", "context_id": "c1"},
        {"text": "line\n ", "context_id": "c1"},
        {"context_id": "c1", "flush": True},
        {"text": "", "context_id": "c1"},
        {"text": '"quoted" ü ', "context_id": "c1", "flush": True},
        {"context_id": "c1", "close_context": True},
    ]
    assert script.finished
    assert json.loads(script.goodbye) == {"context_id": "c1", "close_context": True}


def test_a_rewound_script_says_all_of_it_again_in_order() -> None:
    """What was written and what was not yet, as if nothing had happened."""
    script = ContextScript("c1", "")
    script.say("one ")
    before = [script.take(), script.take()]
    script.say("two ")
    script.rewind()
    assert not script.begun
    again = [script.take(), script.take(), script.take()]
    assert again[:2] == before
    assert json.loads(str(again[2]))["text"] == "two "
    script.rewind()
    assert len(written(script)) == 3


def test_a_settled_script_keeps_nothing() -> None:
    """Once audio has come, nothing may be said again."""
    script = ContextScript("c1", "")
    written(script)
    assert script.replayable
    script.settle()
    assert not script.replayable
    script.say("more ")
    assert [message["text"] for message in written(script)] == ["more "]


def test_what_is_kept_is_bounded() -> None:
    """A long text before any audio is sent and not kept."""
    script = ContextScript("c1", "")
    for _ in range(MAX_KEPT // 1000 + 2):
        script.say("x" * 1000)
    assert script.replayable
    assert len(written(script)) == MAX_KEPT // 1000 + 3
    assert not script.replayable


def test_frames_of_former_contexts_are_nobodys() -> None:
    """Late audio is known by its id; the end of a former context frees its place."""
    contexts = OpenContexts()
    contexts.begin("c1")
    assert contexts.is_live({"contextId": "c1", "audio": "x"})
    assert contexts.is_live({"context_id": "c1", "audio": "x"})
    contexts.leave(ended=False)
    assert not contexts.is_live({"contextId": "c1", "audio": "x"})
    contexts.begin("c2")
    assert not contexts.is_live({"contextId": "c1", "audio": "x"})
    assert contexts.is_live({"contextId": "c2", "audio": "x"})
    assert contexts.unfinished == {"c1"}
    assert not contexts.is_live({"contextId": "c1", "isFinal": True})
    assert contexts.unfinished == set()


def test_frames_without_an_id() -> None:
    """Audio without an id is taken only when it cannot be somebody else's; an error always is."""
    contexts = OpenContexts()
    assert not contexts.is_live({"audio": "x"})
    contexts.begin("c1")
    assert contexts.is_live({"audio": "x"})
    contexts.leave(ended=False)
    contexts.begin("c2")
    assert not contexts.is_live({"audio": "x"})
    assert contexts.is_live({"error": "internal_error", "code": 1011})
    assert not contexts.is_live({"error": "input_timeout_exceeded", "contextId": "c1"})
    assert contexts.is_live({"audio": "x"}), "c1 has ended with its error"


def test_a_socket_is_crowded_before_the_vendor_says_so() -> None:
    """The fifth context would be the last allowed one if closed ones count while they speak."""
    contexts = OpenContexts()
    for number in range(MAX_UNFINISHED):
        assert not contexts.crowded
        contexts.begin(f"c{number}")
        contexts.leave(ended=False)
    assert contexts.crowded
    contexts.is_live({"contextId": "c0", "is_final": True})
    assert not contexts.crowded
    contexts.begin("ended")
    contexts.leave(ended=True)
    assert not contexts.crowded


@pytest.mark.parametrize("data", ["", "x", "[]", "5", "null", b"\xff", "{", "[" * 100_000])
def test_what_is_no_frame(data: str | bytes) -> None:
    """Anything but a JSON object is a protocol error."""
    with pytest.raises(RemoteProtocolError):
        read_frame(data)


def test_audio_is_strict_base64() -> None:
    """A lenient decoder would skip bad characters and shift every sample after them."""
    assert audio_of({"audio": base64.b64encode(b"abc").decode()}) == b"abc"
    assert audio_of({"audio": None}) == b""
    assert audio_of({}) == b""
    for bad in ("YW!Jj", "YWJ", "ü", 5, ["x"], {"a": 1}):
        with pytest.raises(RemoteProtocolError, match="base64"):
            audio_of({"audio": bad})
