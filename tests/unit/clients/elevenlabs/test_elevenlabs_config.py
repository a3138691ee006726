"""Options become frozen requests, and bad ones never reach the network."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from voicekit.clients.elevenlabs import ElevenLabsClient, SpeechRequest, VoiceSettings
from voicekit.clients.elevenlabs.config import SpeechSettings
from voicekit.clients.elevenlabs.models import MAX_CHARACTERS
from voicekit.clients.elevenlabs.options import CHECKS, SESSION_ONLY, WHOLE_TEXT_ONLY
from voicekit.errors import InvalidArgumentError, MissingCredentialError
from voicekit.interfaces import SpeechSessions, Synthesizer
from voicekit.operation import Limits
from voicekit.speech import AudioFormat

VOICE = "21m00Tcm4TlvDq8ikWAM"


def client(**options: Any) -> ElevenLabsClient:
    return ElevenLabsClient("k", **{"voice": VOICE, **options})


def query_of(target: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(target).query).items()}


def test_it_is_what_it_claims_to_be() -> None:
    """Wrappers see only the interfaces; the client fulfils both."""
    assert isinstance(client(), Synthesizer)
    assert isinstance(client(), SpeechSessions)


def test_defaults_are_always_sent() -> None:
    """The vendor's default model is slow and its default format MP3: ours go along explicitly."""
    request = client().request("Hello there.")
    assert urlsplit(request.target).path == f"/v1/text-to-speech/{VOICE}/stream"
    assert query_of(request.target) == {"output_format": "pcm_24000"}
    assert json.loads(request.body) == {"text": "Hello there.", "model_id": "eleven_flash_v2_5"}
    assert request.format == AudioFormat.parse("pcm_24000")


def test_every_option_of_a_whole_text_goes_to_its_place() -> None:
    """Each option of the vendor's tables is in the query or in the body, under its name."""
    options: dict[str, Any] = {
        "model": "eleven_multilingual_v2",
        "format": "mulaw_8000",
        "voice_settings": VoiceSettings(stability=0.5, speed=1.1),
        "language_code": "en",
        "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "p"}],
        "seed": 7,
        "apply_text_normalization": "off",
        "apply_language_text_normalization": True,
        "enable_logging": True,
        "optimize_streaming_latency": 3,
        "previous_text": "Before.",
        "next_text": "After.",
        "previous_request_ids": ["a"],
        "next_request_ids": ["b", "c"],
        "use_pvc_as_ivc": True,
        "audio_effects": {"filter_preset_id": "x"},
    }
    # Those that make another path, or requests.
    others = {"voice", "timestamps", "alignment", "split", "resume"}
    assert set(options) | others == set(CHECKS) - SESSION_ONLY
    request = client().request("Hello.", **options)
    assert query_of(request.target) == {
        "output_format": "ulaw_8000",
        "enable_logging": "true",
        "optimize_streaming_latency": "3",
    }
    assert json.loads(request.body) == {
        "text": "Hello.",
        "model_id": "eleven_multilingual_v2",
        "voice_settings": {"stability": 0.5, "speed": 1.1},
        "language_code": "en",
        "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "p"}],
        "seed": 7,
        "apply_text_normalization": "off",
        "apply_language_text_normalization": True,
        "previous_text": "Before.",
        "next_text": "After.",
        "previous_request_ids": ["a"],
        "next_request_ids": ["b", "c"],
        "use_pvc_as_ivc": True,
        "audio_effects": {"filter_preset_id": "x"},
    }


@pytest.mark.parametrize(
    "options",
    [
        {"voice": "other"},
        {"model": "eleven_multilingual_v2"},
        {"format": "mulaw_8000"},
        {"voice_settings": {"stability": 0.1}},
        {"language_code": "de"},
        {"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "p"}]},
        {"seed": 7},
        {"apply_text_normalization": "off"},
        {"apply_language_text_normalization": True},
        {"enable_logging": False},
        {"optimize_streaming_latency": 3},
        {"previous_text": "Before."},
        {"next_text": "After."},
        {"previous_request_ids": ["a"]},
        {"next_request_ids": ["b"]},
        {"use_pvc_as_ivc": True},
        {"audio_effects": {"filter_preset_id": "x"}},
        {"timestamps": True},
        {"timestamps": True, "alignment": "normalized"},
        {"split": 20},
        {"split": 30},
        {"extra_query": {"q": 1}},
        {"extra_headers": {"X-Y": "1"}},
        {"extra_body": {"b": 1}},
    ],
    ids="-".join,
)
def test_every_option_is_part_of_the_identity(options: dict[str, Any]) -> None:
    """What may change a result makes another request of it, for every cache."""
    text = "One sentence is here. Another one is here. "
    plain, other = client().request(text), client().request(text, **options)
    assert plain.identity != other.identity
    assert other.identity == client().request(text, **options).identity
    if "alignment" in options:
        assert other.identity != client().request(text, timestamps=True).identity


def test_endpoints_by_format_and_timestamps() -> None:
    """Each pair of whole or streamed, with times or without, has a path of its own."""
    speech = f"/v1/text-to-speech/{VOICE}"
    for options, path, whole in [
        ({}, f"{speech}/stream", False),
        ({"timestamps": True}, f"{speech}/stream/with-timestamps", False),
        ({"format": "wav_24000"}, speech, True),
        ({"format": "wav"}, speech, True),
        ({"format": "wav_24000", "timestamps": True}, f"{speech}/with-timestamps", True),
    ]:
        request = client().request("x", **options)
        assert request.target.partition("?")[0] == path
        assert request.whole is whole
    assert query_of(request.target)["output_format"] == "wav_24000"


def test_a_split_text_is_its_parts() -> None:
    """Each part a request of its own; a text that fits is one request as ever."""
    text = "One sentence is here. Another one is here. The last."
    request = client().request(text, split=30)
    assert [part.text for part in request.parts] == [
        "One sentence is here. ",
        "Another one is here. The last.",
    ]
    assert request.text == text
    assert all(part.continues for part in request.parts)
    body = json.loads(request.parts[1].after(["a", "b"]).body)
    assert body["previous_request_ids"] == ["a", "b"]
    assert body["text"] == request.parts[1].text
    assert request.parts[1].after([]) is request.parts[1]
    assert client().request(text, split=True).parts == ()
    assert client().request(text, split=False).parts == ()
    assert client().request(text, split=1000).identity == client().request(text).identity
    blank = client().request("Words." + " " * 100 + "\n", split=20)
    assert [part.text.strip() for part in blank.parts or (blank,)] == ["Words."]


def test_a_number_never_raises_the_limit() -> None:
    """A part is at most what the model takes, whatever is asked for."""
    request = client(model="eleven_v3").request("A sentence of words. " * 400, split=50_000)
    assert max(len(part.text) for part in request.parts) <= MAX_CHARACTERS["eleven_v3"]
    private = client(model="private").request("A sentence of words. " * 4000, split=True)
    assert private.parts == ()


def test_every_option_of_a_session_goes_to_its_place() -> None:
    """The handshake's query and the first message hold what the vendor's tables say."""
    options: dict[str, Any] = {
        "voice": VOICE,
        "model": "eleven_turbo_v2_5",
        "format": "alaw_8000",
        "voice_settings": VoiceSettings.fast(),
        "language_code": "en",
        "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "p"}],
        "seed": 7,
        "apply_text_normalization": "on",
        "apply_language_text_normalization": False,
        "enable_logging": True,
        "optimize_streaming_latency": 0,
        "chunk_length_schedule": [60, 100],
        "auto_mode": False,
        "sync_alignment": True,
        "enable_ssml_parsing": True,
        "socket": "multi-stream-input",
        "inactivity_timeout": 60,
        "max_buffered_s": 10,
    }
    assert set(options) == set(CHECKS) - WHOLE_TEXT_ONLY
    session = SpeechSettings().updated(options, where="session").session
    assert urlsplit(session.target).path == f"/v1/text-to-speech/{VOICE}/multi-stream-input"
    assert query_of(session.target) == {
        "model_id": "eleven_turbo_v2_5",
        "output_format": "alaw_8000",
        "inactivity_timeout": "60",
        "enable_logging": "true",
        "optimize_streaming_latency": "0",
        "language_code": "en",
        "auto_mode": "false",
        "sync_alignment": "true",
        "enable_ssml_parsing": "true",
        "apply_text_normalization": "on",
        "apply_language_text_normalization": "false",
        "seed": "7",
    }
    assert json.loads(f"{{{session.first}}}") == {
        "voice_settings": {
            "stability": 0.35,
            "similarity_boost": 0.6,
            "style": 0,
            "use_speaker_boost": False,
        },
        "generation_config": {"chunk_length_schedule": [60, 100]},
        "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "p"}],
    }
    assert (session.schedule, session.max_buffered_s) == ((60, 100), 10.0)


def test_a_session_starts_early_and_outlasts_pauses() -> None:
    """Without options: the least first chunk, and the longest silence that the vendor bears."""
    session = SpeechSettings().updated({"voice": VOICE}).session
    assert session.schedule is not None
    assert session.schedule[0] == 50
    assert query_of(session.target)["inactivity_timeout"] == "180"


def test_auto_mode_has_no_schedule() -> None:
    """The vendor ignores a schedule in auto mode, so none is sent."""
    session = SpeechSettings().updated({"voice": VOICE, "auto_mode": True}).session
    assert session.schedule is None
    assert session.first == ""


def test_calls_win_over_the_constructor_and_none_takes_back() -> None:
    """Options merge once; None in a call restores the vendor's default."""
    tts = client(seed=1, language_code="en", extra_body={"a": 1}, extra_query={"q": "1"})
    request = tts.request("x", seed=2, language_code=None, extra_body={"b": 2}, voice="v/1")
    body = json.loads(request.body)
    assert (body["seed"], "language_code" in body, body["a"], body["b"]) == (2, False, 1, 2)
    assert request.target.startswith("/v1/text-to-speech/v%2F1/stream?")
    assert query_of(request.target)["q"] == "1"
    again = json.loads(tts.request("x").body)
    assert again["seed"] == 1
    assert "b" not in again


def test_extras_win_over_ours() -> None:
    """The escape hatches override what we send."""
    request = client().request(
        "x",
        extra_query={"output_format": "wav_24000"},
        extra_body={"model_id": "eleven_next"},
        extra_headers={"X-Trace": "1"},
    )
    assert query_of(request.target)["output_format"] == "wav_24000"
    assert json.loads(request.body)["model_id"] == "eleven_next"
    assert request.headers == {"X-Trace": "1"}


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"voice": ""}, "voice"),
        ({"model": 5}, "model"),
        ({"format": "wav_11025"}, "format"),
        ({"format": "pcm_11025"}, "format"),
        ({"format": "pcm_24000_2ch"}, "format"),
        ({"format": "flac_48000"}, "format"),
        ({"format": "noise"}, "format"),
        ({"voice_settings": {"stability": 1.5}}, "voice_settings.stability"),
        ({"voice_settings": {"stability": True}}, "voice_settings.stability"),
        ({"voice_settings": {"style": float("nan")}}, "voice_settings.style"),
        ({"voice_settings": {"use_speaker_boost": 1}}, "voice_settings.use_speaker_boost"),
        ({"voice_settings": {"speed": "fast"}}, "voice_settings.speed"),
        ({"voice_settings": {"loudness": 1}}, "voice_settings"),
        ({"language_code": ""}, "language_code"),
        ({"pronunciation_dictionary_locators": [{}]}, "pronunciation_dictionary_locators"),
        (
            {"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "p"}] * 4},
            "pronunciation_dictionary_locators",
        ),
        ({"seed": -1}, "seed"),
        ({"seed": 4_294_967_296}, "seed"),
        ({"seed": True}, "seed"),
        ({"previous_request_ids": list("abcd")}, "previous_request_ids"),
        ({"next_request_ids": "abc"}, "next_request_ids"),
        ({"apply_text_normalization": "maybe"}, "apply_text_normalization"),
        ({"optimize_streaming_latency": 5}, "optimize_streaming_latency"),
        ({"enable_logging": "no"}, "enable_logging"),
        ({"audio_effects": ["x"]}, "audio_effects"),
        ({"timestamps": 1}, "timestamps"),
        ({"alignment": "other"}, "alignment"),
        ({"split": 5}, "split"),
        ({"split": "yes"}, "split"),
        ({"split": True, "format": "mp3_44100_128"}, "format"),
        ({"auto_mode": True}, "auto_mode"),
        ({"chunk_length_schedule": [50]}, "chunk_length_schedule"),
        ({"loudness": 11}, "loudness"),
        ({"extra_body": {"text": "other"}}, "extra_body.text"),
        ({"extra_body": {"a": object()}}, "options"),
        ({"extra_headers": {"X-Y": "a\nb"}}, "extra_headers value"),
        ({"extra_query": "a=b"}, "extra_query"),
        ({"limits": 5}, "limits"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], argument: str) -> None:
    """The error names the argument and what is allowed, and holds no text."""
    with pytest.raises(InvalidArgumentError, match="allowed") as caught:
        client().request("the marked text", **options)
    assert caught.value.argument == argument
    assert "marked" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"chunk_length_schedule": []}, "chunk_length_schedule"),
        ({"chunk_length_schedule": [49]}, "chunk_length_schedule"),
        ({"chunk_length_schedule": [50, 501]}, "chunk_length_schedule"),
        ({"inactivity_timeout": 181}, "inactivity_timeout"),
        ({"max_buffered_s": 0}, "max_buffered_s"),
        ({"previous_text": "x"}, "previous_text"),
        ({"model": "eleven_v3"}, "model"),
        ({"model": "eleven_v4_turbo"}, "model"),
        ({"format": "pcm_48000"}, "format"),
        ({"voice": None}, "voice"),
    ],
)
def test_a_bad_option_of_a_session_is_named(options: dict[str, Any], argument: str) -> None:
    """What no socket takes is refused when the handle is made, before any I/O."""
    with pytest.raises(InvalidArgumentError, match="allowed") as caught:
        client().open_speech(**options)
    assert caught.value.argument == argument


@pytest.mark.parametrize("text", ["", "  \n", None, 5, b"bytes", "half \ud800 a pair"])
def test_a_bad_text_is_refused_unquoted(text: Any) -> None:
    """Empty, wrongly typed and unencodable texts fail before any I/O."""
    with pytest.raises(InvalidArgumentError) as caught:
        client().request(text)
    assert caught.value.argument == "text"
    assert "half" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("model", sorted(MAX_CHARACTERS))
def test_a_text_beyond_the_models_limit_is_refused(model: str) -> None:
    """The limit counts characters, exactly; a model that is not known has none."""
    most = MAX_CHARACTERS[model]
    assert client(model=model).request("x" * most)
    with pytest.raises(InvalidArgumentError, match=str(most)):
        client(model=model).request("x" * (most + 1))
    assert client(model="eleven_future").request("x" * 100_000)


def test_v3_takes_no_stitching() -> None:
    """The vendor rejects it, so it is refused here."""
    with pytest.raises(InvalidArgumentError, match="eleven_v3"):
        client(model="eleven_v3").request("x", previous_text="y")


@pytest.mark.parametrize("name", ["previous_request_ids", "next_request_ids"])
@pytest.mark.parametrize("split", [False, True])
def test_what_is_not_kept_cannot_be_named(name: str, split: bool) -> None:
    """Without logging the vendor has no earlier request; wherever the two were said."""
    options: dict[str, Any] = {name: ["x"], "split": split}
    text = "A sentence of some forty characters here. " * 300
    for made, more in ((client(), {"enable_logging": False}), (client(enable_logging=False), {})):
        with pytest.raises(InvalidArgumentError, match="enable_logging=False") as caught:
            made.request(text[:100] if not split else text, **options, **more)
        assert caught.value.argument == name
        assert made.request("x", previous_text="y", next_text="z", **more)
    assert client(enable_logging=False).request("x", enable_logging=True, **options)


def test_constructor_errors() -> None:
    """No key, an unknown region, two places at once: said at construction."""
    with pytest.raises(MissingCredentialError, match="ELEVENLABS_API_KEY"):
        ElevenLabsClient()
    with pytest.raises(InvalidArgumentError, match="us, eu, in, sg"):
        client(region="mars")
    with pytest.raises(InvalidArgumentError, match="region"):
        client(region="eu", base_url="http://x")
    with pytest.raises(InvalidArgumentError, match="loudness"):
        client(loudness=11)


def test_where_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address wins over the environment, which wins over the default; a region over both."""
    assert client().base_url == "https://api.elevenlabs.io"
    assert client(region="eu").base_url == "https://api.eu.residency.elevenlabs.io"
    monkeypatch.setenv("ELEVENLABS_BASE_URL", "http://127.0.0.1:9000/")
    monkeypatch.setenv("ELEVENLABS_API_KEY", "from-env")
    assert ElevenLabsClient().base_url == "http://127.0.0.1:9000"
    assert client(base_url="http://h").base_url == "http://h"
    assert client(region="us").base_url == "https://api.us.elevenlabs.io"


def test_identity_is_what_can_change_the_audio() -> None:
    """Equal requests are equal to a cache, whatever host they go to; any difference shows."""
    request = client().request("Hello.")
    assert request.identity == client(base_url="http://elsewhere").request("Hello.").identity
    assert request.identity == client(seed=None).request("Hello.").identity
    different = [
        client().request("Hello!"),
        client(voice="other").request("Hello."),
        client().request("Hello.", seed=1),
        client().request("Hello.", format="pcm_16000"),
        client().request("Hello.", extra_query={"a": "1"}),
        client().request("Hello.", extra_body={"a": "1"}),
        client().request("Hello.", extra_headers={"A": "1"}),
    ]
    assert len({each.identity for each in [request, *different]}) == len(different) + 1


def test_nothing_secret_shows() -> None:
    """No repr holds the text, the key or a header."""
    tts = ElevenLabsClient("marked-key", voice=VOICE, extra_headers={"X-Secret": "marked"})
    request = tts.request("marked text")
    settings = SpeechSettings().updated({"voice": VOICE, "extra_headers": {"X": "marked"}})
    shown = [tts, request, settings, settings.session, tts.open_speech(), tts.stream_speech("x")]
    assert "marked" not in " ".join(repr(each) for each in shown)


def test_a_request_has_its_options_already() -> None:
    """A request made before is sent as it is; options beside it are a mistake."""
    tts = client()
    request = tts.request("Hello.", limits=Limits(gap=1.0))
    assert isinstance(request, SpeechRequest)
    assert tts.stream_speech(request)
    with pytest.raises(InvalidArgumentError, match="seed"):
        tts.stream_speech(request, seed=5)
    with pytest.raises(InvalidArgumentError, match="text"):
        tts.stream_speech(5)  # type: ignore[call-overload]


def test_formats_have_our_names_and_theirs() -> None:
    """µ-law is ulaw there; names without numbers get the numbers that are asked for."""
    names = {
        "mulaw_8000": "ulaw_8000",
        "ulaw_8000": "ulaw_8000",
        "mp3": "mp3_44100_128",
        "mp3_22050_32": "mp3_22050_32",
        "ogg_opus": "opus_48000_64",
        "opus_48000_192": "opus_48000_192",
    }
    for ours, theirs in names.items():
        request = client(format=ours).request("x")
        assert query_of(request.target)["output_format"] == theirs
        assert request.format.name == theirs.replace("ulaw", "mulaw")


@pytest.mark.anyio
async def test_a_whole_synthesis_has_its_own_total() -> None:
    """30 s and 15 ms per character, unless a limit was given for it."""
    totals: list[float | None] = []

    class Probe(ElevenLabsClient):
        def _stream(self, request: Any, operation: Any, limits: Any) -> Any:
            totals.append(limits.total)
            raise InterruptedError

    given = Limits(total=7.0)
    for tts, options in [
        (Probe("k", voice=VOICE), {}),
        (Probe("k", voice=VOICE), {"limits": given}),
        (Probe("k", voice=VOICE, limits={"synthesize": given}), {}),
    ]:
        with pytest.raises(InterruptedError):
            await tts.synthesize("x" * 200, **options)  # type: ignore[arg-type]
    assert totals == [33.0, 7.0, 7.0]
