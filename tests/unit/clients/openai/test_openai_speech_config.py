"""Speech's options: checked before any I/O, merged once, frozen as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicekit.clients.openai import OpenAIClient, SpeechRequest
from voicekit.errors import InvalidArgumentError
from voicekit.interfaces import Synthesizer
from voicekit.operation import Limits
from voicekit.speech import AudioFormat

VOICE: dict[str, Any] = {"model": "gpt-4o-mini-tts", "voice": "alloy"}


def client(**options: Any) -> OpenAIClient:
    return OpenAIClient("key", base_url="http://127.0.0.1:1/v1", **options)


def body(request: SpeechRequest) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(request.bodies[0])
    return read


def test_the_least() -> None:
    """Text, model, voice, and the format, which is always said."""
    request = client(speech=VOICE).speech_request("Hello.")
    assert body(request) == {
        "input": "Hello.",
        "model": "gpt-4o-mini-tts",
        "voice": "alloy",
        "response_format": "pcm",
    }
    assert (request.text, request.model) == ("Hello.", "gpt-4o-mini-tts")
    assert request.format == AudioFormat.parse("pcm_24000")


@pytest.mark.parametrize(
    ("given", "sent", "comes"),
    [
        ("pcm_24000", "pcm", "pcm_24000"),
        ("wav_24000", "wav", "wav_24000"),
        ("wav", "wav", "wav_24000"),
        ("mp3", "mp3", "mp3_24000"),
        ("ogg_opus", "opus", "ogg_opus"),
        ("opus", "opus", "ogg_opus"),
        ("aac", "aac", "aac_24000"),
        ("flac", "flac", "flac_24000"),
        (AudioFormat(encoding="mp3", sample_rate_hz=24_000), "mp3", "mp3_24000"),
    ],
)
def test_formats_by_our_names(given, sent, comes) -> None:
    """The vendor's name goes out; what comes has its numbers."""
    request = client(speech=VOICE).speech_request("Hello.", format=given)
    assert body(request)["response_format"] == sent
    assert request.format.name == comes


@pytest.mark.parametrize(
    "given",
    [
        "pcm_16000",
        "pcm_24000_2ch",
        "mulaw_8000",
        "mp3_44100_128",
        "mp3_24000_48",
        "wav_8000",
        "flac_48000",
        "x",
        5,
    ],
)
def test_formats_that_nobody_makes(given) -> None:
    """24 kHz, mono, at the vendor's bit rate, or nothing."""
    with pytest.raises(InvalidArgumentError) as refused:
        client(speech={**VOICE, "format": given})
    assert refused.value.argument == "format"


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("model", {"voice": "alloy"}),
        ("voice", {"model": "tts-1"}),
        ("voice", {**VOICE, "voice": ""}),
        ("voice", {**VOICE, "voice": {"id": ""}}),
        ("voice", {**VOICE, "voice": {"id": "x", "name": "y"}}),
        ("speed", {**VOICE, "speed": 4.1}),
        ("speed", {**VOICE, "speed": True}),
        ("split", {**VOICE, "split": 49}),
        ("split", {**VOICE, "split": "yes"}),
        ("resume", {**VOICE, "resume": "yes"}),
        ("resume", {**VOICE, "resume": True}),
        ("instructions", {**VOICE, "instructions": "x" * 4097}),
        ("instructions", {**VOICE, "model": "tts-1", "instructions": "Cheerfully."}),
        ("extra_body.input", {**VOICE, "extra_body": {"input": "x"}}),
        ("extra_body.stream_format", {**VOICE, "extra_body": {"stream_format": "sse"}}),
        ("speeed", {**VOICE, "speeed": 1}),
    ],
)
def test_what_is_refused(argument, options) -> None:
    """Named, before any I/O."""
    with pytest.raises(InvalidArgumentError) as refused:
        client().speech_request("Hello.", **options)
    assert refused.value.argument == argument


@pytest.mark.parametrize("text", ["", "  \n", None, b"bytes", 7, "\ud800"])
def test_a_text_that_is_none(text) -> None:
    """Nor is its content quoted."""
    with pytest.raises(InvalidArgumentError) as refused:
        client(speech=VOICE).speech_request(text)
    assert refused.value.argument == "text"
    assert refused.value.__cause__ is None


def test_the_bound_is_of_the_vendors_models() -> None:
    """Servers that imitate them take what they take."""
    long = "SECRET" * 700
    with pytest.raises(InvalidArgumentError) as refused:
        client(speech=VOICE).speech_request(long)
    assert "4096" in str(refused.value)
    assert "SECRET" not in str(refused.value)
    assert client(speech=VOICE).speech_request("x" * 4096)
    assert client(speech=VOICE).speech_request(long, model="kokoro").text == long


LONG = "This is a sentence. " * 300


def test_a_long_text_in_parts() -> None:
    """As few as the bound allows, ending with sentences; together they are the text."""
    request = client(speech=VOICE).speech_request(LONG, split=True)
    parts = [json.loads(each)["input"] for each in request.bodies]
    assert "".join(parts) == LONG == request.text
    assert len(parts) == 2
    assert request.characters == tuple(map(len, parts))
    assert max(request.characters) <= 4096
    assert all(part.rstrip().endswith(".") for part in parts)
    # A number is the most characters of a part, a short text is one.
    one = client(speech={**VOICE, "split": 100})
    assert max(one.speech_request(LONG).characters) == 100
    assert one.speech_request("Short.").characters == (6,)
    assert one.speech_request(LONG).identity != request.identity
    assert client(speech=VOICE).speech_request(LONG, split=True, model="kokoro").bodies[1:]


@pytest.mark.parametrize("given", ["wav", "flac"])
def test_parts_that_cannot_be_joined(given) -> None:
    """Two files are no file."""
    one = client(speech={**VOICE, "format": given, "split": True})
    with pytest.raises(InvalidArgumentError) as refused:
        one.speech_request(LONG)
    assert refused.value.argument == "split"
    assert one.speech_request("Short.")


def test_the_call_wins_over_the_constructor() -> None:
    """Option by option; None takes one back; extras are merged."""
    one = client(speech={**VOICE, "speed": 2.0, "extra_body": {"a": 1}}, extra_headers={"X-A": "1"})
    request = one.speech_request(
        "Hi", voice={"id": "voice_1"}, speed=None, extra_body={"b": 2}, extra_query={"q": "1"}
    )
    assert body(request)["voice"] == {"id": "voice_1"}
    assert "speed" not in body(request)
    assert (body(request)["a"], body(request)["b"]) == (1, 2)
    assert request.query == "q=1"
    assert request.headers == {"X-A": "1"}
    assert one.speech_request("Hi", limits=Limits(total=1.0)).limits == Limits(total=1.0)


def test_a_request_shows_nothing_and_is_its_own_identity() -> None:
    """Neither text nor headers in its repr; all that changes the audio in its identity."""
    one = client(speech=VOICE)
    request = one.speech_request("SECRET", extra_headers={"X-Key": "HIDDEN"})
    assert "SECRET" not in repr(request)
    assert "HIDDEN" not in repr(request)
    same = one.speech_request("SECRET", extra_headers={"x-key": "HIDDEN"}, limits=Limits(total=9))
    assert same.identity == request.identity
    others = [
        one.speech_request("SECRET"),
        one.speech_request("SECRET!", extra_headers={"X-Key": "HIDDEN"}),
        one.speech_request("SECRET", extra_headers={"X-Key": "HIDDEN"}, format="mp3"),
        one.speech_request("SECRET", extra_headers={"X-Key": "HIDDEN"}, extra_query={"a": "b"}),
    ]
    assert len({each.identity for each in [request, *others]}) == 5


def test_text_in_pieces_is_refused_with_a_way_out() -> None:
    """The protocol takes whole texts only."""

    async def pieces():
        yield "Hello"

    one = client(speech=VOICE)
    with pytest.raises(InvalidArgumentError, match="sentence") as refused:
        one.stream_speech(pieces())
    assert refused.value.argument == "text"


def test_a_finished_request_takes_no_options() -> None:
    """Nor does another provider's pass for one."""
    one = client(speech=VOICE)
    request = one.speech_request("Hi")
    with pytest.raises(InvalidArgumentError, match="no further options"):
        one.stream_speech(request, speed=2.0)
    other = SpeechRequest(
        text="Hi",
        format=request.format,
        provider="kokoro",
        model="m",
        bodies=request.bodies,
        characters=(2,),
    )
    with pytest.raises(InvalidArgumentError):
        one.stream_speech(other)


def test_it_is_a_synthesizer() -> None:
    """By its role, whose request is of speech."""
    one = client(speech=VOICE)
    role = one.as_synthesizer()
    assert isinstance(role, Synthesizer)
    assert role.request("Hi") == one.speech_request("Hi")


def test_the_end_of_the_vendors_models_is_in_the_docs() -> None:
    """And nowhere at run time: nothing warns."""
    parts = " ".join(str(kind.__doc__) for kind in OpenAIClient.__mro__)
    assert "2027-01-06" in parts
