"""Options of Deepgram's speech: what they become on the wire, and what is refused."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from voicekit import InvalidArgumentError, Limits
from voicekit.clients.deepgram import DeepgramClient
from voicekit.clients.deepgram.speech import SpeechRequest, SpeechSettings
from voicekit.clients.deepgram.speech.formats import HTTP_FORMATS, SOCKET_FORMATS
from voicekit.clients.deepgram.speech.options import CHECKS, SESSION_ONLY, WHOLE_TEXT_ONLY

TEXT = "Hello there."


def request(**options: Any) -> SpeechRequest:
    return DeepgramClient("k").speech_request(TEXT, **options)


def query(target: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(target).query, keep_blank_values=True)


def session(**options: Any) -> Any:
    return SpeechSettings().updated(options, where="session").session


def test_defaults_are_sent() -> None:
    """Voice and format are always sent, and nothing else is said."""
    made = request()
    assert urlsplit(made.target).path == "/v1/speak"
    assert query(made.target) == {
        "model": ["aura-2-thalia-en"],
        "encoding": ["linear16"],
        "container": ["none"],
        "sample_rate": ["24000"],
    }
    assert made.format.name == "pcm_24000"
    assert made.bodies == (b'{"text":"Hello there."}',)
    assert query(session().target) == {
        "model": ["aura-2-thalia-en"],
        "encoding": ["linear16"],
        "sample_rate": ["24000"],
    }


FORMATS: dict[str, dict[str, str]] = {
    "pcm_8000": {"encoding": "linear16", "container": "none", "sample_rate": "8000"},
    "pcm_48000": {"encoding": "linear16", "container": "none", "sample_rate": "48000"},
    "wav_16000": {"encoding": "linear16", "container": "wav", "sample_rate": "16000"},
    "wav": {"encoding": "linear16", "container": "wav", "sample_rate": "24000"},
    "mulaw_8000": {"encoding": "mulaw", "container": "none", "sample_rate": "8000"},
    "ulaw_16000": {"encoding": "mulaw", "container": "none", "sample_rate": "16000"},
    "alaw_8000": {"encoding": "alaw", "container": "none", "sample_rate": "8000"},
    "mp3": {"encoding": "mp3", "bit_rate": "48000"},
    "mp3_22050_32": {"encoding": "mp3", "bit_rate": "32000"},
    "ogg_opus": {"encoding": "opus", "container": "ogg", "bit_rate": "64000"},
    "opus_48000_12": {"encoding": "opus", "container": "ogg", "bit_rate": "12000"},
    "flac": {"encoding": "flac", "sample_rate": "48000"},
    "flac_22050": {"encoding": "flac", "sample_rate": "22050"},
    "aac": {"encoding": "aac", "bit_rate": "48000"},
    "aac_22050_192": {"encoding": "aac", "bit_rate": "192000"},
}


@pytest.mark.parametrize(("name", "sent"), FORMATS.items())
def test_formats(name: str, sent: dict[str, str]) -> None:
    """A short name is the vendor's parameters; what fixes its rate is not told one."""
    asked = query(request(format=name).target)
    asked.pop("model")
    assert asked == {key: [value] for key, value in sent.items()}


@pytest.mark.parametrize(
    "name",
    ["pcm_44100", "mulaw_24000", "mp3_44100_128", "opus_24000_12", "aac_44100_64", "flac_96000"],
)
def test_formats_that_are_not_made(name: str) -> None:
    """What no endpoint makes is refused before any I/O, and the message names what is."""
    with pytest.raises(InvalidArgumentError) as refused:
        request(format=name)
    assert refused.value.argument == "format"
    assert "pcm_24000" in str(refused.value)


def test_every_format_is_asked_for() -> None:
    """The tables agree: each name is a format that has parameters."""
    for name in HTTP_FORMATS:
        assert request(format=name).format.name == name
    for name in SOCKET_FORMATS:
        assert session(format=name).format.name == name


@pytest.mark.parametrize("name", ["mp3", "wav", "flac", "aac", "ogg_opus"])
def test_sockets_make_no_container(name: str) -> None:
    """A session with one is refused before any I/O, and so is one with the constructor's."""
    with pytest.raises(InvalidArgumentError):
        session(format=name)
    with pytest.raises(InvalidArgumentError):
        DeepgramClient("k", speech={"format": name}).open_speech()


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("model", "aura-2-helena-en", ["aura-2-helena-en"]),
        ("speed", 1.25, ["1.25"]),
        ("mip_opt_out", True, ["true"]),
        ("tag", "one", ["one"]),
        ("tag", ["one", "two"], ["one", "two"]),
    ],
)
def test_options(name: str, value: Any, sent: list[str]) -> None:
    """Each works in the constructor and per call, over HTTP and on sockets; None takes it back."""
    client = DeepgramClient("k", speech={name: value})
    assert query(client.speech_request(TEXT).target)[name] == sent
    assert query(request(**{name: value}).target)[name] == sent
    assert query(session(**{name: value}).target)[name] == sent
    assert query(client.speech_request(TEXT, **{name: None}).target).get(name) != sent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ""),
        ("speed", 0),
        ("speed", True),
        ("speed", float("nan")),
        ("mip_opt_out", "yes"),
        ("tag", "x" * 129),
        ("tag", []),
        ("callback", ""),
        ("callback_method", "GET"),
        ("split", 1),
        ("split", 49),
        ("split", "yes"),
        ("resume", 1),
        ("resume", True),
        ("format", "pcm"),
        ("limits", 5),
        ("voice", "aura-2-thalia-en"),
        ("extra_query", {"encoding": "mp3"}),
        ("extra_body", {"text": "other"}),
    ],
)
def test_refused(name: str, value: Any) -> None:
    """Before any I/O, naming the argument and never showing what was given."""
    with pytest.raises(InvalidArgumentError) as refused:
        request(**{name: value})
    assert name in refused.value.argument


@pytest.mark.parametrize("text", ["", " \n", None, 5, b"bytes", ["a"]])
def test_text_that_is_none(text: Any) -> None:
    """Only a str with something in it can be spoken."""
    with pytest.raises(InvalidArgumentError) as refused:
        DeepgramClient("k").speech_request(text)
    assert refused.value.argument == "text"


def test_lone_surrogate() -> None:
    """It is no text that can be sent; the error does not quote it, nor its cause."""
    with pytest.raises(InvalidArgumentError) as refused:
        DeepgramClient("k").speech_request("secret \ud800 words")
    assert "secret" not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_out_of_place() -> None:
    """What has no effect somewhere is refused there, and allowed in the constructor."""
    for name in WHOLE_TEXT_ONLY:
        with pytest.raises(InvalidArgumentError):
            DeepgramClient("k").open_speech(**{name: "https://example.com"})  # type: ignore[arg-type]
    for name in SESSION_ONLY:
        with pytest.raises(InvalidArgumentError):
            request(**{name: 5.0})
    assert DeepgramClient("k", speech={"split": True, "max_buffered_s": 5.0}).open_speech()
    assert {*WHOLE_TEXT_ONLY, *SESSION_ONLY} <= set(CHECKS)


def test_split() -> None:
    """Parts end with sentences, hold at most 2,000 characters, and are the text."""
    text = "One sentence of many, as long texts have. " * 100
    made = DeepgramClient("k").speech_request(text, split=True)
    parts = [json.loads(body)["text"] for body in made.bodies]
    assert "".join(parts) == text
    assert made.characters == tuple(map(len, parts))
    assert all(len(part) <= 2000 and part.endswith(". ") for part in parts)
    with pytest.raises(InvalidArgumentError) as refused:
        DeepgramClient("k").speech_request(text, split=True, format="wav_24000")
    assert refused.value.argument == "split"


@pytest.mark.parametrize("split", [False, True, 100])
def test_what_goes_to_a_callback_is_not_split(split: bool | int) -> None:
    """Nor is splitting advised: the most that is allowed is said as it is there."""
    client = DeepgramClient("k", speech={"split": split})
    callback = {"callback": "https://example.com"}
    assert client._speech_of("x" * 2000, callback, callback=True)
    with pytest.raises(InvalidArgumentError, match="2000 characters with a callback") as refused:
        client._speech_of("x" * 2001, callback, callback=True)
    assert refused.value.argument == "text"
    assert "split" not in str(refused.value)


def test_split_by_a_number() -> None:
    """Parts of that size at most, of short texts as well; what goes to a callback is whole."""
    text = "One sentence of many, as long texts have. " * 5
    made = DeepgramClient("k").speech_request(text, split=100, resume=True)
    assert made.characters == (84, 84, 42)
    assert made.resume
    client = DeepgramClient("k", speech={"split": 100, "resume": True})
    asked = client._speech_of(text, {"callback": "https://example.com"}, callback=True)
    assert len(asked.bodies) == 1


def test_extras() -> None:
    """The escape hatches reach query, headers and body, those of the client as well."""
    client = DeepgramClient("k", extra_headers={"X-One": "1"}, speech={"extra_query": {"new": 1}})
    made = client.speech_request(TEXT, extra_query={"speed": 2}, extra_body={"more": True})
    assert query(made.target)["new"] == ["1"]
    assert query(made.target)["speed"] == ["2"]
    assert json.loads(made.bodies[0]) == {"text": TEXT, "more": True}
    assert made.headers == {"X-One": "1"}
    assert session(extra_body={"more": 1}).extra == '"more":1'


def test_identity() -> None:
    """Equal for what sounds alike, and different for all that can change it."""
    assert request().identity == request(limits=Limits()).identity
    others = [
        request(model="aura-2-helena-en"),
        request(format="pcm_8000"),
        request(speed=1.1),
        request(extra_body={"more": 1}),
        request(extra_headers={"x": "y"}),
        DeepgramClient("k").speech_request("Other."),
    ]
    identities = {made.identity for made in (request(), *others)}
    assert len(identities) == 1 + len(others)


def test_repr_shows_no_content() -> None:
    """Neither text nor headers."""
    made = request(extra_headers={"X-Secret": "hidden"}, tag="label")
    for shown in (repr(made), repr(session(extra_headers={"X-Secret": "hidden"}))):
        assert "Hello" not in shown
        assert "hidden" not in shown
