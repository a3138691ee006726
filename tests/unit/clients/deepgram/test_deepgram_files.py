"""Recordings and their options: checked, merged, frozen; and the answer as a transcript."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from voicekit.clients.deepgram import DeepgramClient
from voicekit.clients.deepgram.config import ListenRequest
from voicekit.clients.deepgram.file_config import MAX_BYTES, TranscriptionRequest
from voicekit.clients.deepgram.file_options import (
    FILE_CHECKS,
    TranscriptionDefaults,
)
from voicekit.clients.deepgram.file_results import read_transcript
from voicekit.clients.deepgram.files import TRANSCRIBE, _limits_for
from voicekit.errors import ConfigurationError, InvalidArgumentError, RemoteProtocolError
from voicekit.operation import Limits
from voicekit.speech import AudioClip, AudioFormat, AudioURL, Paragraph, Utterance, Word

PCM = b"\1\0" * 800
WAV = AudioClip(data=PCM, format=AudioFormat.parse("pcm_8000")).wav()
URL = AudioURL("https://example.org/a.wav?sig=marked-secret")


def client(**options: Any) -> DeepgramClient:
    return DeepgramClient("k" * 20, **options)


def query(request: TranscriptionRequest) -> dict[str, list[str]]:
    return parse_qs(request.query, keep_blank_values=True)


# -- options ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("model", "whisper-large", None),
        ("language", "multi", None),
        ("language_hint", ["en", "es"], ["en", "es"]),
        ("version", "latest", None),
        ("punctuate", True, ["true"]),
        ("smart_format", False, ["false"]),
        ("numerals", True, ["true"]),
        ("profanity_filter", True, ["true"]),
        ("dictation", True, ["true"]),
        ("multichannel", True, ["true"]),
        ("detect_entities", True, ["true"]),
        ("diarize", True, ["true"]),
        ("diarize_model", "v2", None),
        ("redact", ["pii", "credit_card"], ["pii", "credit_card"]),
        ("redact", True, ["true"]),
        ("keyterm", ("voice kit", "b"), ["voice kit", "b"]),
        ("keywords", "a:2", None),
        ("search", ["refund", "tea & milk"], ["refund", "tea & milk"]),
        ("replace", "a:b", None),
        ("callback_method", "PUT", None),
        ("extra", "k:v", None),
        ("tag", ["a", "b"], ["a", "b"]),
        ("mip_opt_out", True, ["true"]),
        ("utterances", True, ["true"]),
        ("utt_split", 1.25, ["1.25"]),
        ("paragraphs", True, ["true"]),
        ("detect_language", True, ["true"]),
        ("detect_language", ["en", "de"], ["en", "de"]),
        ("filler_words", True, ["true"]),
        ("measurements", True, ["true"]),
        ("sentiment", True, ["true"]),
        ("intents", True, ["true"]),
        ("topics", True, ["true"]),
        ("summarize", "v2", None),
        ("summarize", True, ["true"]),
        ("custom_topic", ["a"] * 100, ["a"] * 100),
        ("custom_topic_mode", "strict", None),
        ("custom_intent", "b", None),
        ("custom_intent_mode", "extended", None),
    ],
)
def test_every_option_reaches_the_query(name: str, value: Any, sent: list[str] | None) -> None:
    """Each parameter of the vendor is an option, in the constructor and per call alike."""
    sent = [value] if sent is None else sent
    assert query(client().request(WAV, **{name: value}))[name] == sent
    assert query(client(**{name: value}).request(WAV))[name] == sent
    assert (
        name not in query(client(**{name: value}).request(WAV, **{name: None})) or name == "model"
    )


def test_every_option_has_its_check() -> None:
    """The table of checks and the typed options name the same things."""
    extras = {"extra_query", "extra_headers", "extra_body"}
    assert set(TranscriptionDefaults.__annotations__) - extras == set(FILE_CHECKS)


def test_the_model_is_always_sent() -> None:
    """The vendor's default is an old model."""
    assert query(client().request(WAV)) == {"model": ["nova-3"]}


def test_the_constructor_serves_both_kinds() -> None:
    """What has no meaning for one is kept for the other, and refused only in a call."""
    both = client(utterances=True, interim_results=False, endpointing=100, diarize_model="v1")
    assert query(both.request(WAV)) == {
        "model": ["nova-3"],
        "diarize_model": ["v1"],
        "utterances": ["true"],
    }
    live = both.request()
    assert isinstance(live, ListenRequest)
    assert "utterances" not in live.query
    assert "endpointing=100" in live.query
    for name, value in {"interim_results": True, "endpointing": 1, "vad_events": True}.items():
        with pytest.raises(InvalidArgumentError, match="live") as caught:
            both.request(WAV, **{name: value})  # type: ignore[call-overload]
        assert caught.value.argument == name
    for name, value in {"utterances": True, "paragraphs": True, "utt_split": 1.0}.items():
        with pytest.raises(InvalidArgumentError, match="recordings") as caught:
            both.open_transcription(**{name: value})
        assert caught.value.argument == name


@pytest.mark.parametrize(
    ("name", "value"), [("model", "whisper"), ("diarize_model", "v2"), ("redact", "pii")]
)
def test_what_only_recordings_allow(name: str, value: str) -> None:
    """A constructor may be given it; a live transcription refuses it all the same."""
    both = client(**{name: value})
    assert query(both.request(WAV))[name] == [value]
    with pytest.raises(InvalidArgumentError) as caught:
        both.request()
    assert caught.value.argument == name


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"model": "flux-general-en"}, "model"),
        ({"diarize_model": "v3"}, "diarize_model"),
        ({"utterances": 1}, "utterances"),
        ({"utt_split": -1}, "utt_split"),
        ({"utt_split": True}, "utt_split"),
        ({"detect_language": 3}, "detect_language"),
        ({"summarize": "v1"}, "summarize"),
        ({"custom_topic": ["a"] * 101}, "custom_topic"),
        ({"custom_intent": [1]}, "custom_intent"),
        ({"custom_topic_mode": "loose"}, "custom_topic_mode"),
        ({"keyterm": "a", "model": "nova-2"}, "keyterm"),
        ({"encoding": "mulaw"}, "sample_rate"),
        ({"sample_rate": 8000}, "sample_rate"),
        ({"encoding": "mulaw", "sample_rate": 8000, "format": "pcm_8000"}, "encoding"),
        ({"extra_query": {"encoding": "mulaw"}}, "extra_query.encoding"),
        ({"extra_body": {"a": 1}}, "extra_body"),
        ({"limits": 5}, "limits"),
        ({"utterance": True}, "utterance"),
    ],
)
async def test_bad_options_fail_before_any_io(options: dict[str, Any], argument: str) -> None:
    """A wrong option is refused at once, by name, with what is allowed."""
    with pytest.raises(InvalidArgumentError) as caught:
        await client().transcribe(PCM, **options)
    assert caught.value.argument == argument


# -- what is sent -------------------------------------------------------------------------


def audio_of(request: TranscriptionRequest) -> dict[str, str]:
    names = ("encoding", "sample_rate", "channels")
    return {name: values[0] for name, values in query(request).items() if name in names}


LINEAR = {"encoding": "linear16", "sample_rate": "8000"}


@pytest.mark.parametrize(
    ("audio", "constructor", "call", "sent", "content_type"),
    [
        (WAV, {}, {}, {}, "audio/wav"),
        (WAV, {"format": "pcm_8000"}, {}, {}, "audio/wav"),
        (WAV, {}, {"format": "wav"}, {}, "audio/wav"),
        # Who says so in the call knows better than the first bytes tell.
        (WAV, {}, {"format": "pcm_8000"}, LINEAR, "audio/wav"),
        (PCM, {}, {}, {}, "application/octet-stream"),
        (PCM, {"format": "pcm_8000"}, {}, LINEAR, "application/octet-stream"),
        (PCM, {"format": "mulaw_8000"}, {"format": "pcm_8000"}, LINEAR, "application/octet-stream"),
        (
            PCM,
            {},
            {"format": "pcm_16000_2ch"},
            {"encoding": "linear16", "sample_rate": "16000", "channels": "2"},
            "application/octet-stream",
        ),
        (
            PCM,
            {},
            {"encoding": "g729", "sample_rate": 8000},
            {"encoding": "g729", "sample_rate": "8000"},
            "application/octet-stream",
        ),
        (PCM, {}, {"format": "mp3"}, {}, "application/octet-stream"),
        (URL, {"format": "pcm_8000"}, {}, {}, "application/json"),
        (URL, {}, {"format": "pcm_8000"}, LINEAR, "application/json"),
        (AudioClip(data=PCM, format=AudioFormat.parse("pcm_8000")), {}, {}, {}, "audio/wav"),
        (AudioClip(data=PCM, format=AudioFormat.parse("alaw_8000")), {}, {}, {}, "audio/wav"),
        (
            AudioClip(data=PCM, format=AudioFormat.parse("pcm_8000")),
            {"format": "mulaw_8000"},
            {"format": "pcm_8000"},
            {},
            "audio/wav",
        ),
        (AudioClip(data=b"OggS", format=AudioFormat.parse("ogg_opus")), {}, {}, {}, "audio/ogg"),
        (io.BytesIO(WAV), {"format": "pcm_8000"}, {}, {}, "audio/wav"),
        (io.BytesIO(PCM), {"format": "pcm_8000"}, {}, LINEAR, "application/octet-stream"),
    ],
)
def test_headerless_audio_is_named_and_containers_are_sniffed(
    audio: Any,
    constructor: dict[str, Any],
    call: dict[str, Any],
    sent: dict[str, str],
    content_type: str,
) -> None:
    """A container or a clip says it itself; a call's word counts most, a constructor's last."""
    request = client(**constructor).request(audio, **call)
    assert audio_of(request) == sent
    assert request.content_type == content_type


def test_a_pipe_is_not_looked_at() -> None:
    """What it holds is known from the call alone: a constructor's word may be for live audio."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    made = client(format="pcm_8000")
    assert audio_of(made.request(Pipe(WAV))) == {}
    assert audio_of(made.request(Pipe(PCM), format="pcm_8000")) == LINEAR
    assert audio_of(client().request(Pipe(PCM), format="pcm_8000")) == LINEAR


def test_a_path_goes_by_its_name(tmp_path: Path) -> None:
    """Its content is read only while it is sent; JSON it is never called."""
    for name, sent, content_type in (
        ("a.wav", {}, "audio/wav"),
        ("a.m4a", {}, "audio/mp4"),
        ("a.raw", LINEAR, "application/octet-stream"),
        ("a.json", LINEAR, "application/octet-stream"),
    ):
        path = tmp_path / name
        path.write_bytes(PCM)
        request = client(format="pcm_8000").request(path)
        assert (audio_of(request), request.content_type) == (sent, content_type)


def test_a_clip_knows_what_it_is() -> None:
    """A call that says otherwise is mistaken."""
    clip = AudioClip(data=PCM, format=AudioFormat.parse("pcm_8000"))
    for options in ({"format": "pcm_16000"}, {"encoding": "linear16", "sample_rate": 8000}):
        with pytest.raises(InvalidArgumentError, match="pcm_8000"):
            client().request(clip, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "audio", ["a.wav", "https://example.org/a.wav", b"", 7, Path("nowhere.wav"), io.StringIO("a")]
)
def test_what_is_no_recording(audio: Any) -> None:
    """Refused before any I/O; a str could be a path or an address."""
    with pytest.raises(InvalidArgumentError) as caught:
        client().transcription_request(audio)
    assert caught.value.argument == "audio"
    if isinstance(audio, str | int):
        assert "an AudioURL" in str(caught.value)
    if isinstance(audio, str):
        assert audio not in str(caught.value)


def test_too_large_a_recording(tmp_path: Path) -> None:
    """What the vendor refuses after an hour of upload is refused before its first byte."""
    path = tmp_path / "a.wav"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse
    with pytest.raises(InvalidArgumentError, match="2 GB"):
        client().request(path)


def test_an_address_is_a_body_of_its_own() -> None:
    """With what the caller adds to it; a constructor's additions spare other recordings."""
    request = client(extra_body={"a": 1}).request(URL, extra_body={"b": 2})
    assert json.loads(request.body) == {"url": URL.url, "a": 1, "b": 2}  # type: ignore[arg-type]
    assert client(extra_body={"a": 1}).request(WAV).body == WAV


# -- the request --------------------------------------------------------------------------


def test_identity_is_of_what_is_in_memory() -> None:
    """Equal bytes and options are equal; one more option, header or byte is not."""
    made = client()
    identity = made.request(WAV).identity
    assert identity == client(model="nova-3").request(bytearray(WAV)).identity
    assert hashlib.sha256(WAV).hexdigest() in identity
    others = (
        made.request(WAV + b"\0").identity,
        made.request(WAV, punctuate=True).identity,
        made.request(WAV, extra_headers={"a": "b"}).identity,
        made.request(WAV, extra_query={"a": "b"}).identity,
    )
    assert len({identity, *others}) == 5


@pytest.mark.parametrize("audio", [URL, io.BytesIO(WAV), "path"])
def test_what_is_elsewhere_has_no_identity(audio: Any, tmp_path: Path) -> None:
    """The same address may hold another recording tomorrow, and the error says so."""
    if audio == "path":
        audio = tmp_path / "a.wav"
        audio.write_bytes(WAV)
    with pytest.raises(ConfigurationError, match="change"):
        _ = client().request(audio).identity


def test_a_request_shows_nothing() -> None:
    """Neither audio nor address, terms nor headers are in its repr."""
    secret = "marked-secret"
    request = client().request(URL, keyterm=secret, extra_headers={"x-a": secret})
    assert secret not in repr(request)
    assert secret not in repr(client().request(secret.encode()))


@pytest.mark.parametrize(
    ("audio", "options", "total"),
    [
        (AudioClip(data=bytes(16_000 * 60), format=AudioFormat.parse("pcm_8000")), {}, 36.0),
        (WAV, {}, 30.01),
        (PCM, {}, 30.08),  # as if of 16 kbit/s
        (URL, {}, 630.0),
        (URL, {"model": "whisper"}, 1230.0),
        (bytes(50_000_000), {}, 630.0),
    ],
)
def test_patience_grows_with_the_recording(audio: Any, options: Any, total: float) -> None:
    """30 s and 0.1 s per second of sound, up to what the vendor itself takes at most."""
    limits = _limits_for(client().request(audio, **options))
    assert limits.total == pytest.approx(total, abs=0.01)
    assert limits.first_output == limits.total
    assert limits.connect == TRANSCRIBE.limits.connect


@pytest.mark.anyio
async def test_a_finished_request_is_taken_as_it_is() -> None:
    """No further options; and it must be of the kind that the method wants."""
    made = client()
    with pytest.raises(InvalidArgumentError, match="finished") as caught:
        await made.transcribe(made.request(WAV), punctuate=True)
    assert caught.value.argument == "punctuate"
    with pytest.raises(InvalidArgumentError, match="submit_transcription"):
        await made.transcribe(WAV, callback="https://example.org")
    with pytest.raises(InvalidArgumentError, match="submit_transcription"):
        await made.transcribe(made.request(WAV, callback="https://example.org"))
    with pytest.raises(InvalidArgumentError) as caught:
        await made.submit_transcription(WAV)
    assert caught.value.argument == "callback"
    with pytest.raises(InvalidArgumentError) as caught:
        await made.submit_transcription(made.request(WAV))
    assert caught.value.argument == "callback"
    with pytest.raises(InvalidArgumentError):
        await made.transcribe(made.request())  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError):
        made.open_transcription(made.request(WAV))  # type: ignore[arg-type]


def test_limits_of_a_call() -> None:
    """They travel with the request."""
    limits = Limits(total=5.0)
    assert client().request(WAV, limits=limits).limits is limits


@pytest.mark.anyio
@pytest.mark.parametrize("ttl", [0, -1, 3601, True, "30", float("nan"), None])
async def test_a_token_lasts_up_to_an_hour(ttl: Any) -> None:
    """What the vendor would refuse is refused before any I/O."""
    with pytest.raises(InvalidArgumentError) as caught:
        await client().grant_token(ttl)
    assert caught.value.argument == "ttl_seconds"


# -- the answer ---------------------------------------------------------------------------


def word(text: str, start: float, **more: Any) -> dict[str, Any]:
    return {"word": text, "start": start, "end": start + 0.5, "confidence": 0.9, **more}


FULL: dict[str, Any] = {
    "metadata": {
        "request_id": "r1",
        "sha256": "ab",
        "created": "2026-11-20T10:00:00.000Z",
        "duration": 4.5,
        "channels": 2,
        "models": ["m1"],
        "model_info": {"m1": {"name": "general-nova-3"}},
    },
    "results": {
        "channels": [
            {
                "alternatives": [
                    {
                        "transcript": "Hello there.",
                        "confidence": 0.8,
                        "words": [
                            word("hello", 0.1, punctuated_word="Hello", speaker=1),
                            word("there", 0.7, punctuated_word="there.", speaker=1),
                        ],
                        "paragraphs": {
                            "transcript": "\nSpeaker 1: Hello there.",
                            "paragraphs": [
                                {
                                    "sentences": [
                                        {"text": "Hello there.", "start": 0.1, "end": 1.2}
                                    ],
                                    "start": 0.1,
                                    "end": 1.2,
                                    "num_words": 2,
                                    "speaker": 1,
                                }
                            ],
                        },
                    },
                    {"transcript": "yellow hair", "confidence": 0.2, "words": []},
                ],
                "detected_language": "en",
                "language_confidence": 0.9,
            },
            {"alternatives": [{"transcript": "hi", "confidence": 0.6, "words": [word("hi", 2.0)]}]},
        ],
        "utterances": [
            {
                "start": 0.1,
                "end": 1.2,
                "confidence": 0.8,
                "channel": 0,
                "transcript": "Hello there.",
                "words": [word("hello", 0.1)],
                "speaker": 1,
                "id": "u1",
            },
            {"start": 2.0, "end": 2.5, "confidence": 0.6, "channel": 1, "transcript": "hi"},
        ],
        "summary": {"result": "success", "short": "A greeting."},
    },
}


def test_a_full_answer() -> None:
    """Everything that has a name of ours is under it; the rest is in raw."""
    heard = read_transcript(FULL, multichannel=True)
    assert heard.text == "Hello there.\nhi"
    assert [w.text for w in heard.words] == ["hello", "there", "hi"]
    assert heard.words[0] == Word(
        text="hello", start=0.1, end=0.6, confidence=0.9, speaker=1, punctuated="Hello"
    )
    assert [(c.index, c.text, c.confidence, c.language) for c in heard.channels] == [
        (0, "Hello there.", 0.8, "en"),
        (1, "hi", 0.6, None),
    ]
    assert heard.utterances == (
        Utterance(
            text="Hello there.",
            start=0.1,
            end=1.2,
            speaker=1,
            channel=0,
            confidence=0.8,
            words=(Word(text="hello", start=0.1, end=0.6, confidence=0.9),),
        ),
        Utterance(text="hi", start=2.0, end=2.5, channel=1, confidence=0.6),
    )
    assert heard.paragraphs == (
        Paragraph(text="Hello there.", start=0.1, end=1.2, speaker=1, channel=0),
    )
    assert heard.confidence == pytest.approx(0.7)
    assert (heard.duration, heard.language, heard.request_id) == (4.5, "en", "r1")
    assert heard.usage is not None
    assert heard.usage.audio_seconds == 4.5
    assert heard.raw["results"]["summary"]["short"] == "A greeting."
    assert "Hello" not in repr(heard)


def test_one_channel_is_the_recording() -> None:
    """Channels are listed where they were told apart, even a single one when asked for."""
    one = {"results": {"channels": FULL["results"]["channels"][:1]}}
    assert read_transcript(one, multichannel=False).channels == ()
    assert len(read_transcript(one, multichannel=True).channels) == 1
    assert read_transcript(one, multichannel=False).paragraphs[0].channel is None


@pytest.mark.parametrize(
    "answer",
    [
        {"results": {"channels": []}},
        {"results": {"channels": [{}]}},
        {"results": {"channels": [{"alternatives": []}]}},
        {"results": {"channels": [{"alternatives": [{"transcript": "", "confidence": 0.0}]}]}},
        {"metadata": None, "results": {"channels": [{"alternatives": [{"words": None}]}]}},
    ],
)
def test_nothing_heard_is_an_empty_transcript(answer: dict[str, Any]) -> None:
    """Silence is no error."""
    heard = read_transcript(answer, multichannel=False)
    assert (heard.text, heard.words, heard.confidence) == ("", (), None)
    assert heard.to_srt() == ""


@pytest.mark.parametrize(
    "change",
    [
        {"results": None},
        {"results": {}},
        {"results": {"channels": None}},
        {"results": {"channels": [None]}},
        {"results": {"channels": [{"alternatives": [{"transcript": 7}]}]}},
        {"results": {"channels": [{"alternatives": [{"transcript": "", "words": [{}]}]}]}},
        {"results": {"channels": [{"alternatives": [{"words": [word("a", float("nan"))]}]}]}},
        {"results": {"channels": [{"alternatives": [{"words": [word("a", 1e300)]}]}]}},
        {"results": {"channels": [], "utterances": [{"transcript": "a"}]}},
        {"results": {"channels": [], "utterances": [{"transcript": "a", "start": "0", "end": 1}]}},
    ],
)
def test_a_malformed_answer(change: dict[str, Any]) -> None:
    """Typed, and silent about what it held."""
    with pytest.raises(RemoteProtocolError, match="malformed"):
        read_transcript({**FULL, **change}, multichannel=False)
