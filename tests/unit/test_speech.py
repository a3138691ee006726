"""Values that users hold: what they promise by themselves."""

from __future__ import annotations

import base64
import copy
import enum
import io
import pickle
import wave
from dataclasses import FrozenInstanceError, replace

import pytest

from voicekit import speech
from voicekit.errors import InvalidArgumentError
from voicekit.speech import (
    AudioChunk,
    AudioClip,
    AudioFormat,
    ChatResult,
    SpeechStarted,
    ToolCall,
    Transcript,
    TranscriptionResult,
    Usage,
    UtteranceEnd,
    Word,
)
from voicekit.timing import ConnectionInfo, Timings
from voicekit.wire.wav import parse_wav, wav_header

PCM_24000 = AudioFormat.parse("pcm_24000")
SECRET = b"marked audio, never to be shown"


def wav_of(samples: bytes, *, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    """A WAV file by the standard library, which shares no code with ours."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(samples)
    return file.getvalue()


class TestAudioFormat:
    @pytest.mark.parametrize(
        ("name", "encoding", "rate", "bit_rate", "channels"),
        [
            ("pcm_24000", "pcm", 24_000, None, 1),
            ("pcm_48000_2ch", "pcm", 48_000, None, 2),
            ("mulaw_8000", "mulaw", 8_000, None, 1),
            ("alaw_8000", "alaw", 8_000, None, 1),
            ("mp3_44100_128", "mp3", 44_100, 128, 1),
            ("mp3", "mp3", None, None, 1),
            ("wav_24000", "wav", 24_000, None, 1),
            ("ogg_opus", "ogg_opus", None, None, 1),
            ("opus_48000_64", "ogg_opus", 48_000, 64, 1),
            ("flac_48000", "flac", 48_000, None, 1),
            ("aac_22050_48", "aac", 22_050, 48, 1),
        ],
    )
    def test_short_names_and_values_are_two_spellings_of_one_thing(
        self, name, encoding, rate, bit_rate, channels
    ):
        """A short name gives its values, and the values give the name back."""
        expected = AudioFormat(
            encoding=encoding, sample_rate_hz=rate, bit_rate_kbps=bit_rate, channels=channels
        )
        assert AudioFormat.parse(name) == expected
        assert expected.name == str(expected) == name

    @pytest.mark.parametrize(
        ("alias", "name"),
        [("ulaw_8000", "mulaw_8000"), ("opus", "ogg_opus"), ("ogg_opus_48000_32", "opus_48000_32")],
    )
    def test_vendors_spellings_are_understood(self, alias, name):
        """The names that vendors use for the same formats parse to them."""
        assert AudioFormat.parse(alias).name == name

    def test_formats_and_enums_of_names_are_taken_as_they_are(self):
        """Whatever is or equals a format's name can be passed as a format."""

        class Mine(enum.StrEnum):
            PHONE = "mulaw_8000"

        assert AudioFormat.parse(PCM_24000) is PCM_24000
        assert AudioFormat.parse(Mine.PHONE).name == "mulaw_8000"
        assert AudioFormat.parse("pcm_24000") is AudioFormat.parse("pcm_24000")

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            "pcm",
            "pcm_",
            "pcm_24k",
            "pcm_24000_16",
            "pcm_24000 ",
            "PCM_24000",
            "pcm_999999",
            "mulaw",
            "vorbis_44100",
            "mp3_44100_0",
            "mp3_44100_9999",
            "pcm_٢٤٠٠٠",
            None,
            24_000,
            b"pcm_24000",
            object(),
        ],
    )
    def test_an_unknown_format_names_the_argument_and_what_is_allowed(self, wrong):
        """A typed error before any I/O says what to write instead."""
        with pytest.raises(InvalidArgumentError, match="pcm_24000") as caught:
            AudioFormat.parse(wrong)
        assert caught.value.argument == "format"

    def test_text_passed_by_mistake_is_not_repeated(self):
        """An argument in the wrong place must not carry speech into an error."""
        with pytest.raises(InvalidArgumentError) as caught:
            AudioFormat.parse("please tell nobody that my number is 555 1234, thank you")
        assert "nobody" not in str(caught.value)

    @pytest.mark.parametrize(
        ("argument", "values"),
        [
            ("encoding", {"encoding": "gsm"}),
            ("sample_rate_hz", {"encoding": "pcm"}),
            ("sample_rate_hz", {"encoding": "mp3", "bit_rate_kbps": 64}),
            ("sample_rate_hz", {"encoding": "pcm", "sample_rate_hz": 24_000.0}),
            ("sample_rate_hz", {"encoding": "pcm", "sample_rate_hz": True}),
            ("sample_rate_hz", {"encoding": "pcm", "sample_rate_hz": 0}),
            ("bit_rate_kbps", {"encoding": "pcm", "sample_rate_hz": 8000, "bit_rate_kbps": 64}),
            ("bit_rate_kbps", {"encoding": "mp3", "sample_rate_hz": 8000, "bit_rate_kbps": -1}),
            ("channels", {"encoding": "pcm", "sample_rate_hz": 8000, "channels": 0}),
        ],
    )
    def test_values_that_do_not_fit_together_are_refused(self, argument, values):
        """No format exists that no audio could have."""
        with pytest.raises(InvalidArgumentError) as caught:
            AudioFormat(**values)
        assert caught.value.argument == argument

    @pytest.mark.parametrize(
        ("name", "rate", "frame", "useful"),
        [
            ("pcm_24000", 48_000, 2, 480),
            ("pcm_22050", 44_100, 2, 440),
            ("pcm_16000_2ch", 64_000, 4, 640),
            ("mulaw_8000", 8_000, 1, 80),
            ("alaw_16000", 16_000, 1, 160),
            ("wav_24000", 48_000, 1, 480),
            ("mp3_44100_128", 16_000, 1, 160),
            ("mp3_44100", None, 1, 10),
            ("wav", None, 1, 1),
            ("ogg_opus", None, 1, 120),
            ("opus_48000_64", None, 1, 120),
            ("flac_48000", None, 1, 48),
            ("aac_22050_48", 6_000, 1, 60),
        ],
    )
    def test_bytes_and_seconds(self, name, rate, frame, useful):
        """Bytes tell seconds where they do, frames stay whole, 10 ms count as useful."""
        audio_format = AudioFormat.parse(name)
        assert audio_format.bytes_per_second == rate
        assert audio_format.frame_bytes == frame
        assert audio_format.useful_bytes == useful
        assert useful % frame == 0
        if rate is None:
            assert audio_format.duration_s(1000) is None
            assert audio_format.bytes_for(1.0) is None
        else:
            assert audio_format.duration_s(rate * 3) == 3.0
            assert audio_format.bytes_for(2.0) == rate * 2

    def test_bytes_for_gives_whole_samples(self):
        """20 ms of 22.05 kHz stereo is no whole number of samples: it is rounded to one."""
        assert AudioFormat.parse("pcm_22050_2ch").bytes_for(0.02) == 441 * 4
        assert AudioFormat.parse("pcm_11025").bytes_for(0.02) % 2 == 0

    @pytest.mark.parametrize(
        ("name", "media_type"),
        [
            ("pcm_24000", "audio/pcm;rate=24000"),
            ("pcm_24000_2ch", "audio/pcm;rate=24000;channels=2"),
            ("mulaw_8000", "audio/mulaw;rate=8000"),
            ("mp3_44100_128", "audio/mpeg"),
            ("ogg_opus", "audio/ogg;codecs=opus"),
            ("wav_8000", "audio/wav"),
        ],
    )
    def test_media_type(self, name, media_type):
        """The content type says what a receiver needs to play headerless audio."""
        assert AudioFormat.parse(name).media_type == media_type


class TestAudioChunk:
    def test_a_chunk_is_bytes(self):
        """Whatever takes bytes takes a chunk; what is cut from it is plain."""
        chunk = AudioChunk(b"abcdef", PCM_24000)
        assert chunk == b"abcdef"
        assert isinstance(chunk, bytes)
        assert b"".join([chunk, chunk]) == b"abcdefabcdef"
        for plain in (chunk[:2], chunk[:], chunk + b"", bytes(chunk)):
            assert type(plain) is bytes
        assert (chunk.format, chunk.words) == (PCM_24000, ())
        assert chunk.duration == 6 / 48_000

    def test_words_belong_to_one_chunk(self):
        """Words of one chunk do not show on another."""
        word = Word(text="hi", start=0.0, end=0.2)
        assert AudioChunk(b"ab", PCM_24000, (word,)).words == (word,)
        assert AudioChunk(b"ab", PCM_24000).words == ()

    @pytest.mark.parametrize(
        "again", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
    )
    def test_a_chunk_survives_copying_and_pickling(self, again):
        """Queues between processes keep format and words."""
        chunk = AudioChunk(b"abcd", PCM_24000, (Word(text="hi", start=0.0, end=0.2),))
        other = again(chunk)
        assert type(other) is AudioChunk
        assert (other, other.format, other.words) == (chunk, chunk.format, chunk.words)

    def test_no_spelling_shows_the_audio(self):
        """Neither repr nor str nor an f-string puts audio into a log."""
        chunk = AudioChunk(SECRET, PCM_24000)
        for shown in (repr(chunk), str(chunk), f"{chunk}", "%s" % chunk, f"{chunk!r}"):  # noqa: UP031
            assert "marked" not in shown
            assert "pcm_24000" in shown


class TestAudioClip:
    @pytest.mark.parametrize(
        ("name", "n_bytes", "seconds"),
        [("pcm_24000", 48_000, 1.0), ("mulaw_8000", 4_000, 0.5), ("mp3_44100_128", 160, 0.01)],
    )
    def test_duration_by_bytes(self, name, n_bytes, seconds):
        """Headerless audio lasts as long as its bytes; MP3 without frames by its bit rate."""
        clip = AudioClip(data=bytes(n_bytes), format=AudioFormat.parse(name))
        assert clip.duration == seconds

    def test_duration_by_content(self):
        """WAV goes by its header, MP3 by its frames, Ogg Opus by its last page."""
        wav = AudioClip(data=wav_of(bytes(32_000)), format=AudioFormat.parse("wav_16000"))
        assert wav.duration == 1.0
        frame = b"\xff\xfb\x90\x00" + bytes(413)
        mp3 = AudioClip(data=frame * 10, format=AudioFormat.parse("mp3_44100_64"))
        assert mp3.duration == pytest.approx(11520 / 44100)
        assert AudioClip(data=b"<html>", format=AudioFormat.parse("wav_16000")).duration is None
        assert AudioClip(data=b"<html>", format=AudioFormat.parse("ogg_opus")).duration is None

    def test_from_wav_gives_headerless_pcm(self, tmp_path):
        """A recording becomes samples with their format, from a path or from bytes."""
        samples = bytes(range(200))
        file = wav_of(samples, rate=44_100, channels=2)
        (tmp_path / "a.wav").write_bytes(file)
        for source in (file, bytearray(file), memoryview(file), tmp_path / "a.wav"):
            clip = AudioClip.from_wav(source)
            assert clip.data == samples
            assert clip.format.name == "pcm_44100_2ch"

    def test_from_wav_takes_what_a_cut_recording_holds(self):
        """A recorder that crashed left whole samples, which are worth having."""
        clip = AudioClip.from_wav(wav_of(bytes(100))[:-3])
        assert len(clip.data) == 96

    @pytest.mark.parametrize(
        "source",
        [
            b"",
            b"RIFF",
            b"ID3\x03 an MP3",
            b"<html>not found</html>",
            wav_of(bytes(100))[:40],
            wav_of(bytes(100), width=1),
            wav_of(bytes(96), width=3),
            wav_of(bytes(96), channels=3),
            wav_of(bytes(100), rate=4_000),
            wav_of(bytes(100), rate=96_000),
            wav_header(AudioFormat.parse("mulaw_8000"), 80) + bytes(80),
        ],
    )
    def test_from_wav_refuses_all_else(self, source):
        """What is not 16-bit PCM of a usual rate is a typed error that says so."""
        with pytest.raises(InvalidArgumentError, match="not a PCM16 WAV") as caught:
            AudioClip.from_wav(source)
        assert caught.value.argument == "source"

    def test_a_missing_file_is_the_systems_error(self, tmp_path):
        """A path that does not exist is no WAV problem."""
        with pytest.raises(FileNotFoundError):
            AudioClip.from_wav(tmp_path / "none.wav")

    def test_save_gives_pcm_its_header(self, tmp_path):
        """An independent reader finds the same samples in the file."""
        clip = AudioClip(data=bytes(range(100)), format=PCM_24000)
        assert clip.save(tmp_path / "a.WAV") == tmp_path / "a.WAV"
        with wave.open(str(tmp_path / "a.WAV")) as reader:
            assert (reader.getframerate(), reader.getnchannels()) == (24_000, 1)
            assert reader.readframes(1000) == clip.data

    @pytest.mark.parametrize("name", ["mulaw_8000", "alaw_8000"])
    def test_g711_is_wrapped_with_its_own_tag(self, name):
        """Telephone audio in a WAV file says that it is telephone audio."""
        wav = AudioClip(data=b"abc", format=AudioFormat.parse(name)).wav()
        info = parse_wav(wav)
        assert (info.encoding, info.data_bytes) == (name.partition("_")[0], 3)
        assert len(wav) % 2 == 0
        assert int.from_bytes(wav[4:8], "little") == len(wav) - 8

    def test_a_streamed_wav_is_saved_with_its_true_length(self, tmp_path):
        """Players trust the header, so sizes left open by a server are filled in."""
        streamed = wav_header(PCM_24000, None) + bytes(96)
        clip = AudioClip(data=streamed, format=AudioFormat.parse("wav_24000"))
        clip.save(tmp_path / "a.wav")
        with wave.open(str(tmp_path / "a.wav")) as reader:
            assert reader.getnframes() == 48

    @pytest.mark.parametrize("data", [wav_of(bytes(96)), b"not really"])
    def test_other_bytes_are_saved_as_they_are(self, tmp_path, data):
        """A complete file, or whatever the provider sent under that name, is not touched."""
        clip = AudioClip(data=data, format=AudioFormat.parse("wav_16000"))
        clip.save(tmp_path / "a.wav")
        assert (tmp_path / "a.wav").read_bytes() == data

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("mp3_44100_128", "a.mp3"),
            ("ogg_opus", "a.ogg"),
            ("ogg_opus", "a.opus"),
            ("pcm_24000", "a.raw"),
            ("mulaw_8000", "a.ulaw"),
            ("mp3_44100_128", "a"),
        ],
    )
    def test_matching_and_unknown_names_take_the_bytes(self, tmp_path, name, path):
        """Only names that promise something are held to it."""
        AudioClip(data=b"bytes", format=AudioFormat.parse(name)).save(tmp_path / path)
        assert (tmp_path / path).read_bytes() == b"bytes"

    @pytest.mark.parametrize(
        ("name", "path", "hint"),
        [
            ("mp3_44100_128", "a.wav", ".mp3"),
            ("pcm_24000", "a.mp3", ".wav"),
            ("ogg_opus", "a.mp3", ".ogg"),
            ("wav_24000", "a.flac", ".wav"),
        ],
    )
    def test_a_name_that_promises_another_format_is_refused(self, tmp_path, name, path, hint):
        """MP3 in a .wav would open nowhere; nothing is written."""
        with pytest.raises(InvalidArgumentError, match=hint) as caught:
            AudioClip(data=b"bytes", format=AudioFormat.parse(name)).save(tmp_path / path)
        assert caught.value.argument == "path"
        assert not (tmp_path / path).exists()

    def test_compressed_audio_has_no_wav(self):
        """We convert nothing behind anyone's back."""
        with pytest.raises(InvalidArgumentError, match="mp3_44100_128"):
            AudioClip(data=b"x", format=AudioFormat.parse("mp3_44100_128")).wav()

    def test_a_notebook_gets_a_player(self):
        """PCM is wrapped for the browser; compressed audio goes as it is."""
        html = AudioClip(data=bytes(96), format=PCM_24000)._repr_html_()
        head, _, encoded = html.partition("base64,")
        assert head == '<audio controls src="data:audio/wav;'
        assert parse_wav(base64.b64decode(encoded.partition('"')[0])).data_bytes == 96
        mp3 = AudioClip(data=b"x", format=AudioFormat.parse("mp3_44100_128"))
        assert 'src="data:audio/mpeg;base64,eA=="' in mp3._repr_html_()

    def test_a_notebook_shows_where_the_time_went(self):
        """Beside the player: length, format, timings, warm or cold; escaped, and no content."""
        clip = AudioClip(
            data=bytes(24_000),
            format=PCM_24000,
            words=(Word(text="marked", start=0.0, end=0.1),),
            headers={"set-cookie": "marked"},
            raw={"marked": 1},
            timings=Timings(connect=0.04, tls=0.04, first_output=0.123, total=0.4),
            connection=ConnectionInfo(reused=False),
        )
        shown = clip._repr_html_().partition("<small>")[2]
        assert shown == (
            "0.50 s · pcm_24000 · connect 80 ms · first output 123 ms · total 400 ms"
            " · cold connection</small>"
        )
        unknown = AudioClip(data=b"x", format=AudioFormat.parse("aac"))
        assert "<small>1 bytes · aac</small>" in unknown._repr_html_()

    def test_an_hour_is_not_put_into_a_notebook(self):
        """A clip that would choke the browser shows its length instead."""
        html = AudioClip(data=bytes((16 << 20) + 2), format=PCM_24000)._repr_html_()
        assert "<audio" not in html
        assert "&lt;AudioClip" in html

    def test_no_repr_shows_audio_words_or_headers(self):
        """What was said and what the server set stay out of logs."""
        clip = AudioClip(
            data=SECRET,
            format=PCM_24000,
            words=(Word(text="marked", start=0.0, end=0.1),),
            headers={"set-cookie": "marked"},
            raw={"marked": 1},
            request_id="req_1",
        )
        assert "marked" not in repr(clip)
        assert repr(clip) == "<AudioClip 0.001 s pcm_24000 request_id='req_1'>"
        assert repr(AudioClip(data=b"ab", format=AudioFormat.parse("ogg_opus"))) == (
            "<AudioClip 2 bytes ogg_opus>"
        )


class TestTranscript:
    WORDS = (
        Word(text="hello", start=0.5, end=0.9, punctuated="Hello."),
        Word(text="how", start=1.0, end=1.2),
        Word(text="are", start=1.2, end=1.4),
        Word(text="you", start=3.0, end=3.25),
    )

    def test_subtitles_break_at_sentences_and_pauses(self):
        """Cues follow the speech, and carry the punctuated words."""
        assert Transcript(text="…", words=self.WORDS).to_srt() == (
            "1\n00:00:00,500 --> 00:00:00,900\nHello.\n\n"
            "2\n00:00:01,000 --> 00:00:01,400\nhow are\n\n"
            "3\n00:00:03,000 --> 00:00:03,250\nyou\n"
        )

    def test_subtitles_stay_readable(self):
        """No cue is longer than two lines of text or seven seconds, unless one word is."""
        words = [Word(text="word", start=i * 0.1, end=i * 0.1 + 0.1) for i in range(200)]
        words += [Word(text="slow", start=30 + i * 2, end=32 + i * 2) for i in range(6)]
        words.append(Word(text="x" * 100, start=42, end=43))
        cues = Transcript(text="…", words=tuple(words)).to_srt().split("\n\n")
        texts = [cue.split("\n")[2] for cue in cues]
        assert max(len(text) for text in texts[:-1]) <= 84
        assert texts[-1] == "x" * 100
        assert texts[-3:-1] == ["slow slow slow"] * 2
        assert " ".join(texts).split() == [word.text for word in words]

    def test_subtitles_without_words(self):
        """Text alone is one cue; nothing heard is nothing shown."""
        assert Transcript(text=" Hi. ", duration=3661.5).to_srt() == (
            "1\n00:00:00,000 --> 01:01:01,500\nHi.\n"
        )
        assert Transcript(text="").to_srt() == ""

    @pytest.mark.parametrize("duration", [None, 0.0, -1.0])
    def test_text_without_any_time_is_no_subtitle(self, duration):
        """An error that says what to ask for, not a cue of no length; never what was said."""
        for method in (Transcript.to_srt, Transcript.to_vtt):
            with pytest.raises(InvalidArgumentError, match='timestamps="segment"') as caught:
                method(Transcript(text="Secret.", duration=duration))
            assert "Secret" not in str(caught.value)


VALUES = [
    PCM_24000,
    Word(text="hi", start=0.0, end=0.1),
    Usage(input_tokens=3, raw={"prompt_tokens": 3}),
    AudioClip(data=b"ab", format=PCM_24000, timings=Timings(total=1.0), usage=Usage(characters=2)),
    Transcript(text="hi", connection=ConnectionInfo(reused=True)),
    TranscriptionResult(text="hi", start=1.0, duration=0.5, channel=(0, 1)),
    SpeechStarted(at=0.5),
    UtteranceEnd(last_word_end=1.5),
    ToolCall(id="call_1", name="f", arguments="{}"),
    ChatResult(text="hi", finish_reason="stop", headers={"x-request-id": "r"}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_values(value):
    """Frozen, without a dict, hashable, and the same after pickling."""
    field = next(iter(value.__slots__))
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, None)
    assert not hasattr(value, "__dict__")
    assert hash(value) == hash(pickle.loads(pickle.dumps(value)))
    assert value == pickle.loads(pickle.dumps(value))


def test_evidence_takes_no_part_in_equality():
    """Two equal answers are equal however long they took."""
    answer = ChatResult(text="hi", timings=Timings(total=1.0), raw={"a": 1}, headers={"a": "b"})
    assert answer == replace(answer, timings=None, raw=None, headers={})
    assert answer != replace(answer, text="ho")


def test_a_result_knows_its_end():
    """The span of a live result has two ends."""
    assert TranscriptionResult(text="", start=1.5, duration=0.5).end == 2.0


def test_the_public_names_exist():
    """What is announced can be imported."""
    assert all(hasattr(speech, name) for name in speech.__all__)


def test_a_repr_never_shows_what_was_said():
    """Values end up in logs; speech must not."""
    said = "marked-speech"
    word = Word(text=said, punctuated=said, start=0.0, end=1.0)
    values = [
        word,
        Transcript(text=said, words=(word,)),
        TranscriptionResult(text=said, words=(word,)),
        ToolCall(id="1", name="f", arguments=said),
        ChatResult(
            text=said, refusal=said, tool_calls=(ToolCall(id="1", name="f", arguments=said),)
        ),
        AudioChunk(said.encode(), AudioFormat.parse("pcm_8000"), (word,)),
    ]
    assert not [type(value).__name__ for value in values if said in repr(value)]
