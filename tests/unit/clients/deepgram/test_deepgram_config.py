"""Options of a live transcription: what they become on the wire, and what is refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest

from voicekit import AudioFormat, InvalidArgumentError, Limits, MissingCredentialError
from voicekit.clients.deepgram import DeepgramClient, ListenRequest
from voicekit.clients.deepgram.options import CHECKS


def client(**options: Any) -> DeepgramClient:
    return DeepgramClient("k", **options)


def query(request: ListenRequest) -> dict[str, list[str]]:
    return parse_qs(request.query, keep_blank_values=True)


def test_defaults_are_sent() -> None:
    """Model and format are always sent, interims are on, and nothing else is said."""
    assert query(client().request()) == {
        "model": ["nova-3"],
        "encoding": ["linear16"],
        "sample_rate": ["24000"],
        "interim_results": ["true"],
    }


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("model", "nova-2-phonecall", ["nova-2-phonecall"]),
        ("model", "0a1b2c3d-0000-4000-8000-000000000000", None),
        ("language", "multi", ["multi"]),
        ("language_hint", ["en", "es"], ["en", "es"]),
        ("version", "latest", ["latest"]),
        ("interim_results", False, ["false"]),
        ("endpointing", 300, ["300"]),
        ("endpointing", 0, ["0"]),
        ("endpointing", False, ["false"]),
        ("utterance_end_ms", 1000, ["1000"]),
        ("vad_events", True, ["true"]),
        ("punctuate", True, ["true"]),
        ("smart_format", True, ["true"]),
        ("no_delay", True, ["true"]),
        ("numerals", False, ["false"]),
        ("profanity_filter", True, ["true"]),
        ("dictation", True, ["true"]),
        ("multichannel", True, ["true"]),
        ("detect_entities", True, ["true"]),
        ("diarize", True, ["true"]),
        ("diarize_model", "latest", ["latest"]),
        ("redact", True, ["true"]),
        ("redact", ["pci", "ssn"], ["pci", "ssn"]),
        ("keyterm", ["voice kit", "Köln"], ["voice kit", "Köln"]),
        ("keyterm", "voicekit", ["voicekit"]),
        ("keywords", ("a:2", "b:-1"), ["a:2", "b:-1"]),
        ("search", "refund", ["refund"]),
        ("replace", ["a:b", "c:"], ["a:b", "c:"]),
        ("callback", "https://example.org/x?y=1&z=2", ["https://example.org/x?y=1&z=2"]),
        ("callback_method", "PUT", ["PUT"]),
        ("extra", "k:v", ["k:v"]),
        ("tag", ["a" * 128, "b"], ["a" * 128, "b"]),
        ("mip_opt_out", True, ["true"]),
    ],
)
def test_every_option_reaches_the_query(name: str, value: Any, sent: list[str] | None) -> None:
    """Each parameter of the vendor is an option, in the constructor and per call alike."""
    sent = [value] if sent is None else sent
    assert query(client().request(**{name: value}))[name] == sent
    assert query(client(**{name: value}).request())[name] == sent
    if name != "callback":
        assert query(client().request(extra_query={"new": "x", "more": ["1", True]}))["more"] == [
            "1",
            "true",
        ]


def test_every_option_has_its_check() -> None:
    """The table of checks and the typed options name the same things."""
    from voicekit.clients.deepgram.options import ListenDefaults

    named = set(ListenDefaults.__annotations__)
    assert named - {"extra_query", "extra_headers", "extra_body"} == set(CHECKS)


@pytest.mark.parametrize(
    ("given", "encoding", "rate", "channels"),
    [
        ("pcm_16000", "linear16", "16000", None),
        ("pcm_48000_2ch", "linear16", "48000", "2"),
        ("mulaw_8000", "mulaw", "8000", None),
        ("alaw_8000", "alaw", "8000", None),
        ("ogg_opus", "ogg-opus", None, None),
        ("opus_48000_64", "ogg-opus", "48000", None),
        ("flac", "flac", None, None),
        ("wav", None, None, None),
        ("wav_16000", None, None, None),
        ("mp3_44100_128", None, None, None),
        (AudioFormat(encoding="pcm", sample_rate_hz=8000), "linear16", "8000", None),
    ],
)
def test_formats_in_the_vendors_words(
    given: Any, encoding: str | None, rate: str | None, channels: str | None
) -> None:
    """Raw audio and Ogg are named; other containers are left to the vendor's sniffing."""
    sent = query(client().request(format=given))
    assert [sent.get(name, [None])[0] for name in ("encoding", "sample_rate", "channels")] == [
        encoding,
        rate,
        channels,
    ]


def test_the_vendors_own_encodings() -> None:
    """What no format names goes by the vendor's word, which stands in place of a format."""
    sent = query(client().request(encoding="linear32", sample_rate=16000, channels=2))
    assert (sent["encoding"], sent["sample_rate"], sent["channels"]) == (
        ["linear32"],
        ["16000"],
        ["2"],
    )
    speex = client(encoding="speex", sample_rate=16000)
    assert query(speex.request())["encoding"] == ["speex"]
    assert query(speex.request(format="pcm_8000"))["encoding"] == ["linear16"]
    assert query(client(format="pcm_8000").request(encoding="flac"))["encoding"] == ["flac"]


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"model": "flux-general-en"}, "model"),
        ({"model": "whisper-large"}, "model"),
        ({"model": ""}, "model"),
        ({"format": "pcm"}, "format"),
        ({"format": 7}, "format"),
        ({"encoding": "linear16"}, "sample_rate"),
        ({"encoding": "pcm", "sample_rate": 8000}, "encoding"),
        ({"encoding": "opus", "sample_rate": 8000, "format": "pcm_8000"}, "encoding"),
        ({"sample_rate": 8000}, "sample_rate"),
        ({"channels": 2}, "channels"),
        ({"encoding": "mulaw", "sample_rate": 10}, "sample_rate"),
        ({"interim_results": 1}, "interim_results"),
        ({"interim_results": "true"}, "interim_results"),
        ({"endpointing": -1}, "endpointing"),
        ({"endpointing": True}, "endpointing"),
        ({"endpointing": 1.5}, "endpointing"),
        ({"utterance_end_ms": 0}, "utterance_end_ms"),
        ({"utterance_end_ms": 1000, "interim_results": False}, "utterance_end_ms"),
        ({"utterance_end_ms": 1000, "interim_results": None}, "utterance_end_ms"),
        ({"diarize_model": "v2"}, "diarize_model"),
        ({"redact": "names"}, "redact"),
        ({"redact": ["pci", "x"]}, "redact"),
        ({"keyterm": []}, "keyterm"),
        ({"keyterm": ["w "] * 501}, "keyterm"),
        ({"keyterm": "a", "model": "nova-2"}, "keyterm"),
        ({"keyterm": b"a"}, "keyterm"),
        ({"replace": "a"}, "replace"),
        ({"callback_method": "GET"}, "callback_method"),
        ({"extra": ":v"}, "extra"),
        ({"tag": "a" * 129}, "tag"),
        ({"language": ""}, "language"),
        ({"extra_query": [("a", "b")]}, "extra_query"),
        ({"extra_query": {"encoding": "mulaw"}}, "extra_query.encoding"),
        ({"extra_headers": {"a b": "c"}}, "extra_headers key"),
        ({"extra_headers": {"a": "c\r\nd: e"}}, "extra_headers value"),
        ({"extra_body": {"a": 1}}, "extra_body"),
        ({"limits": 5}, "limits"),
        ({"sampel_rate": 5}, "sampel_rate"),
    ],
)
def test_bad_options_fail_before_any_io(options: dict[str, Any], argument: str) -> None:
    """A wrong option is refused at once, by name, with what is allowed."""
    with pytest.raises(InvalidArgumentError) as caught:
        client().open_transcription(**options)
    assert caught.value.argument == argument
    assert "allowed" in str(caught.value)


def test_a_flux_model_points_to_turns() -> None:
    """Who asks for a turn model here is told where it belongs."""
    with pytest.raises(InvalidArgumentError, match="open_turns"):
        client().request(model="flux-general-multi")


def test_errors_show_no_content() -> None:
    """A refused value is described, not quoted: it may be content or a secret."""
    with pytest.raises(InvalidArgumentError) as caught:
        client().request(keyterm=["marked-speech", 5])
    with pytest.raises(InvalidArgumentError) as other:
        client().request(replace="marked-speech")
    assert "marked" not in f"{caught.value!r} {other.value!r} {other.value}"


def test_call_options_win_and_none_takes_back() -> None:
    """A call's option wins over the constructor's; None restores the vendor's default."""
    made = client(punctuate=True, language="de", model="nova-2", format="mulaw_8000")
    sent = query(made.request(language="en", punctuate=None, model=None))
    assert sent["language"] == ["en"]
    assert "punctuate" not in sent
    assert sent["model"] == ["nova-3"]
    assert sent["encoding"] == ["mulaw"]
    assert "interim_results" not in query(made.request(interim_results=None))


def test_extras_merge_and_win() -> None:
    """Extra parameters and headers merge by name and stand over ours."""
    made = client(extra_query={"a": 1, "model": "x"}, extra_headers={"X-A": "1"})
    request = made.request(extra_query={"b": [2, 3], "a": None}, extra_headers={"X-B": "2"})
    pairs = parse_qsl(request.query)
    assert [value for name, value in pairs if name == "model"] == ["x"]
    assert ("b", "2") in pairs
    assert ("b", "3") in pairs
    assert "a" not in dict(pairs)
    assert request.headers == {"X-A": "1", "X-B": "2"}


def test_identity_tells_what_matters_apart() -> None:
    """Equal options give equal identities, in whatever order; others differ."""
    made = client()
    one = made.request(punctuate=True, language="en").identity
    assert one == made.request(language="en", punctuate=True).identity
    assert one != made.request(language="de", punctuate=True).identity
    assert made.request(extra_headers={"X": "1"}).identity != made.request().identity
    assert made.request(format="wav").identity != made.request(format="mp3_44100").identity
    eu = DeepgramClient("other", base_url="http://localhost:1")
    assert eu.request(punctuate=True, language="en").identity == one


def test_equal_options_are_validated_once() -> None:
    """The same options give the same request; 0 and False are not the same."""
    made = client()
    assert made.request(endpointing=0) is made.request(endpointing=0)
    assert query(made.request(endpointing=0)) != query(made.request(endpointing=False))
    assert made.request(keyterm=["a"]) == made.request(keyterm=["a"])
    for number in range(200):
        made.request(endpointing=number)
    assert len(made._live_requests) <= 64


def test_requests_are_frozen_and_discreet() -> None:
    """A request cannot be changed, and shows neither terms nor headers nor callbacks."""
    request = client().request(
        keyterm="marked-speech",
        callback="https://example.org/?token=marked-key",
        extra_headers={"X-Secret": "marked-key"},
    )
    assert "marked" not in repr(request)
    with pytest.raises(AttributeError):
        request.model = "x"  # type: ignore[misc]


def test_a_request_opens_a_session_alone() -> None:
    """A finished request takes no further options, and nothing else stands in for one."""
    made = client()
    request = made.request(language="en")
    assert made.open_transcription(request).request is request
    with pytest.raises(InvalidArgumentError, match="language"):
        made.open_transcription(request, language="de")
    with pytest.raises(InvalidArgumentError, match="send"):
        made.open_transcription(b"audio")  # type: ignore[arg-type]


def test_where_the_api_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address, else a region, else the environment, else the vendor's own."""
    assert client().base_url == "https://api.deepgram.com"
    assert client(region="eu").base_url == "https://api.eu.deepgram.com"
    assert client(base_url="http://localhost:8080/").base_url == "http://localhost:8080"
    monkeypatch.setenv("DEEPGRAM_BASE_URL", "http://env:1")
    assert client().base_url == "http://env:1"
    assert client(region="in").base_url == "https://api.in.deepgram.com"
    for bad in (
        {"region": "us"},
        {"region": "eu", "base_url": "http://x"},
        {"base_url": "wss://api.deepgram.com"},
    ):
        with pytest.raises(InvalidArgumentError):
            client(**bad)


def test_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key comes from the argument or the environment; never a guess, never both kinds."""
    with pytest.raises(MissingCredentialError, match="DEEPGRAM_API_KEY"):
        DeepgramClient()
    monkeypatch.setenv("DEEPGRAM_API_KEY", "marked-key")
    made = DeepgramClient()
    assert "marked" not in repr(made)
    with pytest.raises(InvalidArgumentError, match="access_token"):
        DeepgramClient("k", access_token="t")


@pytest.mark.anyio
async def test_limits_travel_with_the_request() -> None:
    """A call's limits replace the operation's; the handshake is bounded by the gap."""
    async with client(limits={"open_transcription": Limits(gap=3.0)}) as made:
        assert made._listen_call().limits == Limits(first_output=3.0, gap=3.0)
        request = made.request(limits=Limits(gap=1.0, first_output=2.0))
        assert made._listen_call(request).limits == Limits(gap=1.0, first_output=2.0)
    async with client() as made:
        default = Limits(connect=2.0, first_output=10.0, gap=10.0)
        assert made._listen_call().limits == default
