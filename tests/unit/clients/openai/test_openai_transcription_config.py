"""A transcription's options: checked with the model before any I/O, frozen as a form's fields."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from voicekit.clients.openai import OpenAIClient
from voicekit.errors import ConfigurationError, InvalidArgumentError
from voicekit.interfaces import Transcriber
from voicekit.operation import Limits
from voicekit.speech import AudioClip, AudioFormat, AudioURL

CLIP = AudioClip(data=bytes(32_000), format=AudioFormat.parse("pcm_16000"))
WAV = CLIP.wav()


def client(**options: Any) -> OpenAIClient:
    return OpenAIClient("key", base_url="http://127.0.0.1:1/v1", **options)


def fields(audio: Any = WAV, /, **options: Any) -> list[tuple[str, str]]:
    return list(client().transcription_request(audio, **options).fields)


def test_the_least() -> None:
    """The model, and nothing else."""
    request = client(transcription={"model": "gpt-transcribe"}).transcription_request(WAV)
    assert request.fields == (("model", "gpt-transcribe"),)
    assert (request.model, request.response_format) == ("gpt-transcribe", "json")
    assert (request.recording.filename, request.recording.media_type) == ("audio.wav", "audio/wav")


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"language": "en"}, [("language", "en")]),
        ({"languages": ["en", "de"]}, [("languages[]", "en"), ("languages[]", "de")]),
        ({"keywords": ("a b",)}, [("keywords[]", "a b")]),
        ({"prompt": "Hi."}, [("prompt", "Hi.")]),
        ({"temperature": 0}, [("temperature", "0")]),
        ({"temperature": 0.25}, [("temperature", "0.25")]),
        ({"chunking_strategy": "auto"}, [("chunking_strategy", "auto")]),
        (
            {"chunking_strategy": {"type": "server_vad", "silence_duration_ms": 300}},
            [
                ("chunking_strategy[type]", "server_vad"),
                ("chunking_strategy[silence_duration_ms]", "300"),
            ],
        ),
        (
            {"timestamps": "word"},
            [("response_format", "verbose_json"), ("timestamp_granularities[]", "word")],
        ),
        (
            {"timestamps": ["segment", "word"]},
            [
                ("response_format", "verbose_json"),
                ("timestamp_granularities[]", "segment"),
                ("timestamp_granularities[]", "word"),
            ],
        ),
        (
            {"diarize": True},
            [("chunking_strategy", "auto"), ("response_format", "diarized_json")],
        ),
        ({"diarize": True, "chunking_strategy": None}, [("response_format", "diarized_json")]),
        ({"diarize": False}, []),
        ({"include": ["logprobs"]}, [("include[]", "logprobs")]),
        (
            {"known_speaker_names": ["Ann"], "known_speaker_references": [b"ID3..."]},
            [
                ("known_speaker_names[]", "Ann"),
                ("known_speaker_references[]", "data:audio/mpeg;base64,SUQzLi4u"),
            ],
        ),
        ({"extra_body": {"new": True, "list": [1, 2]}},
         [("new", "true"), ("list[]", "1"), ("list[]", "2")]),
        ({"extra_body": {"gone": None}}, []),
    ],
)  # fmt: skip
def test_each_option_as_a_field(options, sent) -> None:
    """Lists repeat a name with brackets, mappings have a key in them: as the vendor's SDK."""
    assert fields(model="some-server's", **options) == [("model", "some-server's"), *sent]


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("model", {"model": None}),
        ("language", {"language": ""}),
        ("languages", {"languages": "en"}),
        ("keywords", {"keywords": []}),
        ("timestamps", {"timestamps": "letter"}),
        ("timestamps", {"timestamps": []}),
        ("timestamps", {"timestamps": "word", "diarize": True}),
        ("response_format", {"timestamps": "word", "response_format": "srt"}),
        ("response_format", {"diarize": True, "response_format": "json"}),
        ("response_format", {"response_format": "yaml"}),
        ("temperature", {"temperature": 1.1}),
        ("chunking_strategy", {"chunking_strategy": "vad"}),
        ("chunking_strategy", {"chunking_strategy": {"threshold": 0.5}}),
        ("chunking_strategy", {"chunking_strategy": {"type": "server_vad", "x": 1}}),
        ("chunking_strategy.threshold",
         {"chunking_strategy": {"type": "server_vad", "threshold": 2}}),
        ("include", {"include": ["logprobs"], "response_format": "text"}),
        ("known_speaker_names", {"known_speaker_names": ["A"]}),
        ("known_speaker_names", {"known_speaker_names": list("ABCDE")}),
        ("known_speaker_references", {"known_speaker_references": ["http://x"]}),
        ("filename", {"filename": "a/b.wav"}),
        ("extra_body.stream", {"extra_body": {"stream": True}}),
        ("extra_body.x", {"extra_body": {"x": object()}}),
    ],
)  # fmt: skip
def test_what_is_refused(argument, options) -> None:
    """Named, before any I/O."""
    with pytest.raises(InvalidArgumentError) as refused:
        fields(**{"model": "m", **options})
    assert refused.value.argument == argument


@pytest.mark.parametrize(
    ("model", "argument", "options"),
    [
        ("gpt-4o-transcribe", "timestamps", {"timestamps": "word"}),
        ("gpt-4o-mini-transcribe", "response_format", {"response_format": "text"}),
        ("gpt-4o-mini-transcribe-2025-12-15", "diarize", {"diarize": True}),
        ("whisper-1", "diarize", {"diarize": True}),
        ("gpt-transcribe", "diarize", {"diarize": True}),
        ("gpt-4o-transcribe-diarize", "timestamps", {"timestamps": "segment"}),
        ("gpt-4o-transcribe-diarize", "prompt", {"prompt": "x"}),
        ("gpt-4o-transcribe-diarize", "include", {"include": ["logprobs"]}),
        ("whisper-1", "include", {"include": ["logprobs"]}),
        ("whisper-1", "languages", {"languages": ["en"]}),
        ("gpt-4o-transcribe", "keywords", {"keywords": ["x"]}),
        ("whisper-1", "known_speaker_names",
         {"known_speaker_names": ["x"], "known_speaker_references": ["data:,"]}),
    ],
)  # fmt: skip
def test_what_a_model_of_the_vendors_does_not_take(model, argument, options) -> None:
    """By its documentation; of an unknown model nothing is known."""
    with pytest.raises(InvalidArgumentError) as refused:
        fields(model=model, **options)
    assert refused.value.argument == argument
    assert fields(model="my-own", **options)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("whisper-1", {"timestamps": ["word", "segment"], "prompt": "x", "temperature": 1}),
        ("gpt-4o-transcribe-diarize", {"response_format": "text"}),
        ("gpt-transcribe", {"languages": ["en"], "keywords": ["x"], "response_format": "srt"}),
        ("gpt-4o-mini-transcribe", {"include": ["logprobs"], "prompt": "x"}),
    ],
)
def test_what_they_take(model, options) -> None:
    """Nothing documented is refused."""
    assert fields(model=model, **options)


def test_a_recording_that_is_too_long(tmp_path: Path) -> None:
    """For the vendor's models, whose bound is documented; nothing is read."""
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate(26_214_401)
    with pytest.raises(InvalidArgumentError) as refused:
        fields(path, model="gpt-transcribe")
    assert refused.value.argument == "audio"
    assert "26214400" in str(refused.value)
    assert fields(path, model="my-own")
    with path.open("r+b") as file:
        file.truncate(26_214_400)
    assert fields(path, model="gpt-transcribe")


@pytest.mark.parametrize(
    ("audio", "options", "name"),
    [
        (WAV, {}, "audio.wav"),
        (CLIP, {}, "audio.wav"),
        (bytearray(WAV), {}, "audio.wav"),
        (b"ID3" + bytes(10), {}, "audio.mp3"),
        (b"OggS" + bytes(10), {}, "audio.ogg"),
        (b"unknown", {"filename": "x.m4a"}, "x.m4a"),
        (io.BytesIO(WAV), {}, "audio.wav"),
    ],
)
def test_what_a_recording_is_called(audio, options, name) -> None:
    """The vendor tells formats by names: bytes get one, or say theirs."""
    request = client().transcription_request(audio, model="gpt-transcribe", **options)
    assert request.recording.filename == name


def test_a_file_that_ends_otherwise(tmp_path: Path) -> None:
    """Opus files are Ogg, and are called so too."""
    path = tmp_path / "note.opus"
    path.write_bytes(b"OggS" + bytes(40))
    request = client().transcription_request(path, model="gpt-transcribe")
    assert request.recording.filename == "note.opus.ogg"


@pytest.mark.parametrize(
    "audio",
    [
        b"",
        b"unknown bytes",
        "a str",
        None,
        AudioURL("https://example.com/a.wav"),
        Path("/nowhere/at/all.wav"),
        io.StringIO("text"),
    ],
)
def test_recordings_that_are_none(audio) -> None:
    """Named as the audio, before any I/O."""
    with pytest.raises(InvalidArgumentError) as refused:
        fields(audio, model="gpt-transcribe")
    assert refused.value.argument == "audio"


def test_a_request_shows_nothing_and_is_its_own_identity() -> None:
    """Of audio in memory; a file behind a path can change."""
    one = client(transcription={"model": "whisper-1"})
    request = one.transcription_request(WAV, prompt="SECRET", extra_headers={"X-Key": "HIDDEN"})
    assert "SECRET" not in repr(request)
    assert "HIDDEN" not in repr(request)
    assert "RIFF" not in repr(request)
    same = one.transcription_request(
        CLIP, prompt="SECRET", extra_headers={"x-key": "HIDDEN"}, limits=Limits(total=1)
    )
    assert same.identity == request.identity
    assert one.transcription_request(WAV).identity != request.identity
    another = one.transcription_request(WAV, prompt="x", extra_headers={"X-Key": "HIDDEN"})
    assert another.identity != request.identity
    assert one.transcription_request(b"ID3 other").identity != request.identity


def test_a_path_has_no_identity(tmp_path: Path) -> None:
    """Its file may be another tomorrow."""
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    request = client().transcription_request(path, model="m")
    with pytest.raises(ConfigurationError, match="identity"):
        _ = request.identity


def test_what_does_not_stream_is_refused_at_once() -> None:
    """Word times and subtitles come whole."""
    one = client(transcription={"model": "whisper-1"})
    for options in ({"timestamps": "word"}, {"response_format": "srt"}):
        with pytest.raises(InvalidArgumentError) as refused:
            one.stream_transcription(WAV, **options)
        assert refused.value.argument == "response_format"


def test_a_finished_request_takes_no_options() -> None:
    """They are in it."""
    one = client(transcription={"model": "whisper-1"})
    with pytest.raises(InvalidArgumentError, match="no further options"):
        one.stream_transcription(one.transcription_request(WAV), language="en")


def test_it_is_a_transcriber() -> None:
    """By its role, whose request is of a recording."""
    one = client(transcription={"model": "whisper-1"})
    role = one.as_transcriber()
    assert isinstance(role, Transcriber)
    assert role.request(WAV) == one.transcription_request(WAV)
