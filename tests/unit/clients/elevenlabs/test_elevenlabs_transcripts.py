"""Options of a transcription become a form, answers become transcripts; no I/O."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from voicekit.clients.elevenlabs import ElevenLabsClient
from voicekit.clients.elevenlabs.transcription import TRANSCRIBE, _patient
from voicekit.clients.elevenlabs.transcription_options import CHECKS, TranscriptionDefaults
from voicekit.clients.elevenlabs.transcripts import pending_of, transcript_of
from voicekit.errors import InvalidArgumentError, RemoteProtocolError
from voicekit.interfaces import Transcriber
from voicekit.operation import Limits
from voicekit.speech import AudioClip, AudioFormat, AudioURL, Word

SAMPLES = bytes(32_000)


def client(**transcription: Any) -> ElevenLabsClient:
    return ElevenLabsClient("k", transcription=transcription)  # type: ignore[arg-type]


def fields(audio: Any = SAMPLES, **options: Any) -> dict[str, list[str]]:
    request = client().transcription_request(audio, **options)
    found: dict[str, list[str]] = {}
    for name, value in request.fields:
        found.setdefault(name, []).append(value)
    return found


def clip(name: str, data: bytes = SAMPLES) -> AudioClip:
    return AudioClip(data=data, format=AudioFormat.parse(name))


# -- options -------------------------------------------------------------------------------


def test_it_gives_the_transcribers_role() -> None:
    """Wrappers see only the interface."""
    assert isinstance(client().as_transcriber(), Transcriber)


def test_the_model_is_always_sent() -> None:
    """The vendor has no default; nothing else is sent unasked."""
    assert fields() == {"model_id": ["scribe_v2"]}


def test_every_option_has_a_check_and_a_type() -> None:
    """One list, however it is looked at."""
    hatches = {"extra_query", "extra_headers", "extra_body"}
    assert set(CHECKS) == set(TranscriptionDefaults.__annotations__) - hatches


def test_every_option_goes_to_its_place() -> None:
    """Under the vendor's name, as text; sequences repeat; some are JSON."""
    options: dict[str, Any] = {
        "model": "scribe_v3",
        "language_code": "en",
        "secondary_language_codes": ("de", "fr"),
        "timestamps_granularity": "character",
        "diarize": True,
        "num_speakers": 3,
        "detect_speaker_roles": True,
        "use_speaker_library": False,
        "tag_audio_events": False,
        "keyterms": ["one", "two"],
        "numbers_format": "digits",
        "no_verbatim": True,
        "entity_detection": "all",
        "entity_redaction": ["pii"],
        "entity_redaction_mode": "redacted",
        "additional_formats": [{"format": "srt"}],
        "temperature": 0.5,
        "seed": 7,
        "file_format": "other",
    }
    assert fields(**options) == {
        "model_id": ["scribe_v3"],
        "language_code": ["en"],
        "secondary_language_codes": ["de", "fr"],
        "timestamps_granularity": ["character"],
        "diarize": ["true"],
        "num_speakers": ["3"],
        "detect_speaker_roles": ["true"],
        "use_speaker_library": ["false"],
        "tag_audio_events": ["false"],
        "keyterms": ["one", "two"],
        "numbers_format": ["digits"],
        "no_verbatim": ["true"],
        "entity_detection": ['"all"'],
        "entity_redaction": ['["pii"]'],
        "entity_redaction_mode": ["redacted"],
        "additional_formats": ['[{"format":"srt"}]'],
        "temperature": ["0.5"],
        "seed": ["7"],
        "file_format": ["other"],
    }


def test_constructor_call_and_back() -> None:
    """A call's option wins; None takes it back; extras are merged, and win over options."""
    made = client(diarize=True, seed=1, extra_body={"newer": [1, 2]}, extra_query={"region": "x"})
    request = made.transcription_request(
        SAMPLES, seed=None, diarize=False, extra_body={"newest": True, "diarize": "yes"}
    )
    assert list(request.fields) == [
        ("model_id", "scribe_v2"),
        ("newer", "1"),
        ("newer", "2"),
        ("newest", "true"),
        ("diarize", "yes"),
    ]
    assert request.target == "/v1/speech-to-text?region=x"
    quiet = made.transcription_request(SAMPLES, enable_logging=False, extra_query={"region": "y"})
    assert quiet.target == "/v1/speech-to-text?enable_logging=false&region=y"
    view = made.with_options(transcription={"seed": 2})
    assert ("seed", "2") in view.transcription_request(SAMPLES).fields
    made.abandon()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"format": "mp3_44100_128"}, "format"),
    ({"timestamps_granularity": "syllable"}, "timestamps_granularity"),
    ({"num_speakers": 33}, "num_speakers"),
    ({"num_speakers": True}, "num_speakers"),
    ({"temperature": 2.1}, "temperature"),
    ({"seed": 2**31}, "seed"),
    ({"keyterms": "one"}, "keyterms"),
    ({"keyterms": ["x" * 51]}, "keyterms"),
    ({"keyterms": ["one two three four five six"]}, "keyterms"),
    ({"keyterms": ["a<b"]}, "keyterms"),
    ({"keyterms": ["x"] * 1001}, "keyterms"),
    ({"numbers_format": "roman"}, "numbers_format"),
    ({"entity_detection": []}, "entity_detection"),
    ({"transcript_edit": "x" * 2001}, "transcript_edit"),
    ({"additional_formats": [{"kind": "srt"}]}, "additional_formats"),
    ({"webhook_metadata": {"a": "x" * (16 << 10)}}, "webhook_metadata"),
    ({"webhook_metadata": {"a": object()}}, "webhook_metadata"),
    ({"file_format": "mp3"}, "file_format"),
    ({"never_heard_of": 1}, "never_heard_of"),
    ({"extra_body": {"file": "x"}}, "extra_body.file"),
    ({"extra_body": {"x": {"a": object()}}}, "x"),
    # What excludes one another.
    ({"diarize": True, "use_multi_channel": True}, "diarize"),
    ({"detect_speaker_roles": True}, "detect_speaker_roles"),
    ({"diarization_threshold": 0.2}, "diarization_threshold"),
    (
        {"diarize": True, "num_speakers": 2, "diarization_threshold": 0.2},
        "diarization_threshold",
    ),
    (
        {"multichannel_output_style": "combined", "timestamps_granularity": "none"},
        "multichannel_output_style",
    ),
    ({"transcript_edit": "Be brief.", "entity_detection": "all"}, "transcript_edit"),
    ({"entity_redaction": "pii"}, "entity_redaction"),
]


@pytest.mark.parametrize(("options", "argument"), WRONG, ids=range(len(WRONG)))
def test_what_makes_no_sense_never_reaches_the_network(
    options: dict[str, Any], argument: str
) -> None:
    """Named, and not quoted."""
    with pytest.raises(InvalidArgumentError) as caught:
        client().transcription_request(SAMPLES, **options)
    assert caught.value.argument == argument


@pytest.mark.parametrize("audio", ["path.wav", None, 5, b"", io.StringIO("x"), Path("/nowhere")])
def test_what_is_no_recording(audio: Any) -> None:
    """Nor does that; where the kind is wrong, all that may be given in its place is said."""
    with pytest.raises(InvalidArgumentError, match="audio") as caught:
        client().transcription_request(audio)
    assert ("an AudioURL" in str(caught.value)) == (audio is None or isinstance(audio, str | int))


# -- recordings ----------------------------------------------------------------------------


def test_bare_samples_at_16_khz_are_said_to_be() -> None:
    """A clip, bytes with their format, a WAV in memory: sent without a header."""
    wav = clip("pcm_16000").wav()
    for audio, options in (
        (clip("pcm_16000"), {}),
        (SAMPLES, {"format": "pcm_16000"}),
        (wav, {}),
        (bytearray(wav), {}),
    ):
        request = client().transcription_request(audio, **options)  # type: ignore[arg-type]
        assert ("file_format", "pcm_s16le_16") in request.fields
        assert request.recording is not None
        assert request.recording.upload == SAMPLES
        assert request.recording.duration_s == 1.0


def test_other_samples_get_a_header() -> None:
    """So that their rate and channels are known; what has a header keeps it."""
    for audio, options in (
        (clip("pcm_8000"), {}),
        (clip("pcm_16000_2ch"), {}),
        (clip("pcm_16000"), {"file_format": "other"}),
        (SAMPLES, {"format": "mulaw_8000"}),
        (SAMPLES, {"format": "pcm_16000", "file_format": "other"}),
        (clip("pcm_16000").wav(), {"file_format": "other"}),
    ):
        request = client().transcription_request(audio, **options)  # type: ignore[arg-type]
        assert ("file_format", "pcm_s16le_16") not in request.fields
        assert request.recording is not None
        assert isinstance(request.recording.upload, bytes)
        assert request.recording.upload[:4] == b"RIFF"


def test_files_are_taken_as_they_are(tmp_path: Path) -> None:
    """Except that they may be said to be bare samples."""
    path = tmp_path / "call.pcm"
    path.write_bytes(SAMPLES)
    assert "file_format" not in fields(path)
    assert fields(path, format="pcm_16000")["file_format"] == ["pcm_s16le_16"]
    with path.open("rb") as handle:
        assert fields(handle, format="pcm_16000")["file_format"] == ["pcm_s16le_16"]
    with pytest.raises(InvalidArgumentError) as caught:
        fields(path, format="pcm_8000")
    assert caught.value.argument == "format"


def test_an_address_needs_no_file() -> None:
    """And has no format of ours."""
    assert fields(AudioURL("https://example.com/a.wav")) == {
        "model_id": ["scribe_v2"],
        "source_url": ["https://example.com/a.wav"],
    }
    with pytest.raises(InvalidArgumentError):
        fields(AudioURL("https://example.com/a.wav"), format="pcm_16000")


def test_identity_is_of_what_changes_the_transcript(tmp_path: Path) -> None:
    """The audio, the options; never of a file, which may change."""
    one = client().transcription_request(SAMPLES, diarize=True)
    assert one.identity == client(diarize=True).transcription_request(SAMPLES).identity
    assert one.identity != client().transcription_request(SAMPLES).identity
    assert one.identity != client().transcription_request(SAMPLES[:-2], diarize=True).identity
    assert json.loads(one.identity)["provider"] == "elevenlabs"
    path = tmp_path / "a.wav"
    path.write_bytes(clip("pcm_8000").wav())
    with pytest.raises(InvalidArgumentError):
        _ = client().transcription_request(path).identity


def test_nothing_is_shown() -> None:
    """No content in the repr of a request."""
    shown = repr(
        client().transcription_request(
            AudioURL("https://example.com/secret.wav"),
            transcript_edit="secret",
            extra_headers={"X-Secret": "secret"},
        )
    )
    assert "secret" not in shown


def test_limits_grow_with_the_recording() -> None:
    """30 s and 0.1 s for each second; as for the longest where nobody knows."""
    minute = client().transcription_request(clip("pcm_8000", bytes(16_000 * 60)))
    assert _patient(minute, TRANSCRIBE.limits).total == pytest.approx(36.0)
    address = client().transcription_request(AudioURL("https://example.com/a.wav"))
    limits = _patient(address, TRANSCRIBE.limits)
    assert (limits.connect, limits.first_output, limits.total) == (2.0, 3630.0, 3630.0)
    given = Limits(total=1.0)
    assert client().transcription_request(SAMPLES, limits=given).limits is given


# -- answers -------------------------------------------------------------------------------


def word(text: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end, "type": "word", "logprob": -0.1, **more}


def space(at: float, **more: Any) -> dict[str, Any]:
    return {"text": " ", "start": at, "end": at, "type": "spacing", "logprob": 0, **more}


def answer(*words: Any, **more: Any) -> dict[str, Any]:
    text = "".join(each["text"] for each in words)
    return {"language_code": "eng", "text": text, "words": list(words), **more}


def test_words_are_words_alone() -> None:
    """Spacing is none, nor are sounds, which the text has."""
    laugh = {"text": "(laughter)", "start": 0.5, "end": 0.9, "type": "audio_event", "logprob": 0}
    value = answer(
        word("Hello", 0.1, 0.4), space(0.4), laugh, space(0.9), word("there.", 0.9, 1.2),
        audio_duration_secs=1.5,
    )  # fmt: skip
    heard = transcript_of(value)
    assert heard.text == "Hello (laughter) there."
    assert heard.words == (
        Word(text="Hello", start=0.1, end=0.4, confidence=math.exp(-0.1)),
        Word(text="there.", start=0.9, end=1.2, confidence=math.exp(-0.1)),
    )
    assert (heard.duration, heard.language, heard.utterances) == (1.5, "eng", ())
    assert heard.raw is value
    assert heard.to_srt().count("-->") == 1


def test_speakers_make_utterances() -> None:
    """Numbers where the vendor numbers them, else their names; a pause begins another."""
    heard = transcript_of(
        answer(
            word("Good", 0.0, 0.3, speaker_id="speaker_0"),
            space(0.3, speaker_id="speaker_0"),
            word("day.", 0.3, 0.6, speaker_id="speaker_0"),
            space(0.6, speaker_id="speaker_0"),
            word("Hi.", 0.7, 0.9, speaker_id="Ann"),
            space(0.9, speaker_id="Ann"),
            word("You?", 1.9, 2.2, speaker_id="Ann"),
        )
    )
    assert [(each.text, each.speaker, each.start, each.end) for each in heard.utterances] == [
        ("Good day.", 0, 0.0, 0.6),
        ("Hi.", "Ann", 0.7, 0.9),
        ("You?", "Ann", 1.9, 2.2),
    ]
    assert heard.words[0].speaker == 0
    assert heard.utterances[0].confidence == pytest.approx(math.exp(-0.1))
    assert "<v Ann>" in heard.to_vtt(speakers=True)


def test_a_transcript_for_each_channel() -> None:
    """One after the other as text, by time as utterances."""
    first = answer(word("Hello.", 0.0, 0.5), channel_index=0)
    second = answer(word("Hi.", 0.2, 0.4), space(0.4), word("So?", 1.4, 1.8), channel_index=1)
    heard = transcript_of({"transcripts": [second, first], "audio_duration_secs": 2})
    assert heard.text == "Hello.\nHi. So?"
    assert [(each.index, each.text) for each in heard.channels] == [(0, "Hello."), (1, "Hi. So?")]
    assert [(each.text, each.channel) for each in heard.utterances] == [
        ("Hello.", 0), ("Hi.", 1), ("So?", 1),
    ]  # fmt: skip
    assert heard.duration == 2.0


def test_all_channels_in_one_transcript() -> None:
    """The same, told by the words."""
    heard = transcript_of(
        answer(
            word("Hello", 0.0, 0.5, channel_index=0),
            space(0.2, channel_index=0),
            word("Hi.", 0.2, 0.4, channel_index=1),
            space(0.5, channel_index=1),
            word("there.", 0.5, 0.9, channel_index=0),
        )
    )
    assert heard.text == "Hello Hi. there."
    assert [each.text for each in heard.channels] == ["Hello there.", "Hi."]
    assert [(each.text, each.channel) for each in heard.utterances] == [
        ("Hello there.", 0), ("Hi.", 1),
    ]  # fmt: skip


def test_without_times() -> None:
    """The text is all there is."""
    heard = transcript_of({"text": "Hello.", "words": [word("Hello.", None, None)]})  # type: ignore[arg-type]
    assert (heard.text, heard.words, heard.language) == ("Hello.", (), None)
    assert transcript_of({"text": "", "words": None}).text == ""


@pytest.mark.parametrize(
    "value", [{}, {"text": None}, {"text": 5}, {"transcripts": [5]}, {"transcripts": [{}]}]
)
def test_no_text_is_no_answer(value: Any) -> None:
    """Whatever its status was."""
    with pytest.raises(RemoteProtocolError):
        transcript_of(value)


def test_a_pending_one() -> None:
    """Its ids, and no answer without."""
    pending = pending_of({"message": "m", "request_id": "r1", "transcription_id": "t1"})
    assert (pending.request_id, pending.transcription_id) == ("r1", "t1")
    assert pending_of({"request_id": "r1"}).transcription_id is None
    with pytest.raises(RemoteProtocolError):
        pending_of({"text": "Hello."})
