"""Audio formats: each is judged by a decoder that is not ours."""

from __future__ import annotations

import io
import math
import struct
import sys
import wave
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.emulator import codecs, g711
from voicekit.emulator.codecs import PcmReader, UnsupportedFormat, encoder, read_wav_header


def tone(seconds: float, sample_rate: int, *, hz: float = 440, level: int = 9000) -> bytes:
    count = round(seconds * sample_rate)
    step = 2 * math.pi * hz / sample_rate
    return array("h", [round(level * math.sin(step * i)) for i in range(count)]).tobytes()


def encoded(output_format: str, pcm: bytes, *, cut: int = 1001, **options: int) -> bytes:
    """Encode in pieces that end inside samples."""
    made = encoder(output_format, **options)
    return (
        b"".join(made.encode(pcm[at : at + cut]) for at in range(0, len(pcm), cut)) + made.flush()
    )


def expand(law: str, code: int) -> int:
    """G.711 by the recommendation's text: sign, segment, step; no table."""
    if law == "mulaw":
        code = ~code & 0xFF
        magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
        return -magnitude if code & 0x80 else magnitude
    code ^= 0x55
    segment, step = (code & 0x70) >> 4, code & 0x0F
    magnitude = (step << 4) + 8 if segment == 0 else ((step << 4) + 0x108) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude


def mp3_frames(data: bytes) -> list[tuple[int, int, int, int]]:
    """Walk the frames by their headers: (kbit/s, Hz, channels, samples) of each."""
    frames, at = [], 0
    while at < len(data):
        (word,) = struct.unpack_from(">I", data, at)
        assert word >> 21 == 0x7FF, f"no frame at {at}"
        mpeg1 = (word >> 19) & 3 == 3
        assert (word >> 17) & 3 == 1, "not layer III"
        rates = (44100, 48000, 32000) if mpeg1 else (22050, 24000, 16000)
        steps = (
            (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
            if mpeg1
            else (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
        )
        kilobits, rate = steps[(word >> 12) & 15], rates[(word >> 10) & 3]
        samples = 1152 if mpeg1 else 576
        frames.append((kilobits, rate, 1 if (word >> 6) & 3 == 3 else 2, samples))
        at += samples // 8 * kilobits * 1000 // rate + ((word >> 9) & 1)
    assert at == len(data), "the last frame is cut"
    return frames


class TestG711:
    @pytest.mark.parametrize("law", ["mulaw", "alaw"])
    def test_expands_every_code_as_the_recommendation_says(self, law):
        """All 256 codes stand for the sample that G.711's own arithmetic gives."""
        decoded = array("h", g711.decode(law, bytes(range(256))))
        assert list(decoded) == [expand(law, code) for code in range(256)]

    @pytest.mark.parametrize("law", ["mulaw", "alaw"])
    def test_compresses_every_sample_to_its_nearest_code(self, law):
        """No other code would be nearer, by more than the width of a step's edge."""
        samples = array("h", range(-32768, 32768))
        values = sorted({expand(law, code) for code in range(256)})
        codes = g711.encode(law, samples.tobytes())
        nearest, at = [], 0
        for sample in samples:
            while at + 1 < len(values) and abs(values[at + 1] - sample) <= abs(values[at] - sample):
                at += 1
            nearest.append(values[at])
        for sample, code, best in zip(samples, codes, nearest, strict=True):
            off = abs(expand(law, code) - sample)
            assert off <= abs(best - sample) + abs(sample) // 32 + 8, sample

    @pytest.mark.parametrize(("law", "zero"), [("mulaw", 0xFF), ("alaw", 0xD5)])
    def test_silence_is_the_code_that_telephones_idle_on(self, law, zero):
        """A wrong idle code is a loud hum."""
        assert g711.encode(law, bytes(320)) == bytes([zero]) * 160

    @pytest.mark.parametrize("law", ["mulaw", "alaw"])
    def test_a_code_survives_the_round_trip(self, law):
        """Speech that goes through twice does not get worse."""
        codes = bytes(code for code in range(256) if not (law == "mulaw" and code == 0x7F))
        assert g711.encode(law, g711.decode(law, codes)) == codes


class TestOutput:
    @pytest.mark.parametrize("name", [f for f in codecs.OUTPUT_FORMATS if f.startswith("pcm_")])
    def test_pcm_is_the_samples_and_nothing_else(self, name):
        """Raw means raw, at the rate in the name."""
        made = encoder(name)
        pcm = tone(0.5, made.sample_rate)
        assert encoded(name, pcm) == pcm
        assert len(pcm) == int(name.removeprefix("pcm_")) * 2 // 2

    @pytest.mark.parametrize("name", [f for f in codecs.OUTPUT_FORMATS if f.startswith("wav_")])
    def test_wav_is_read_by_the_standard_library(self, name):
        """Header and samples agree when the length is known beforehand."""
        made = encoder(name)
        pcm = tone(0.5, made.sample_rate)
        data = encoded(name, pcm, pcm_bytes=len(pcm))
        with wave.open(io.BytesIO(data)) as read:
            assert read.getparams()[:4] == (1, 2, made.sample_rate, len(pcm) // 2)
            assert read.readframes(read.getnframes()) == pcm
        assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
        assert made.content_type == "audio/wav"

    def test_wav_of_unknown_length_says_so(self):
        """A stream's header promises no length that might turn out wrong."""
        data = encoded("wav_16000", tone(0.1, 16000))
        assert struct.unpack_from("<I", data, 4)[0] == struct.unpack_from("<I", data, 40)[0]
        assert data[40:44] == b"\xff\xff\xff\xff"
        assert len(data) == 44 + 3200

    def test_an_empty_wav_is_still_a_wav(self):
        """Nothing said is a header, not an empty body."""
        assert read_wav_header(encoded("wav_16000", b"", pcm_bytes=0)) is not None

    @pytest.mark.parametrize(("name", "law"), [("ulaw_8000", "mulaw"), ("alaw_8000", "alaw")])
    def test_telephone_formats_decode_to_what_was_said(self, name, law):
        """One byte per sample, at 8 kHz, each within G.711's step of the original."""
        pcm = tone(0.5, 8000)
        data = encoded(name, pcm)
        assert len(data) == 4000
        for code, sample in zip(data, array("h", pcm), strict=True):
            assert abs(expand(law, code) - sample) <= max(8, abs(sample) // 16)

    @pytest.mark.parametrize("name", [f for f in codecs.OUTPUT_FORMATS if f.startswith("mp3_")])
    def test_mp3_has_the_rate_bit_rate_and_length_of_its_name(self, name):
        """Every frame header says what the format's name promises."""
        pytest.importorskip("lameenc")
        made = encoder(name)
        _, rate, kilobits = name.split("_")
        frames = mp3_frames(encoded(name, tone(1.5, made.sample_rate)))
        assert {frame[:3] for frame in frames} == {(int(kilobits), int(rate), 1)}
        seconds = sum(frame[3] for frame in frames) / made.sample_rate
        assert 1.5 <= seconds <= 1.5 + 3 * frames[0][3] / made.sample_rate
        assert made.content_type == "audio/mpeg"

    def test_mp3_comes_while_it_is_being_made(self):
        """Streaming means that most of it is out before the flush."""
        pytest.importorskip("lameenc")
        made = encoder("mp3_44100_128")
        early = made.encode(tone(1.0, 44100))
        assert len(early) > 10 * len(made.flush())

    def test_the_short_name_of_the_vendors_default_is_understood(self):
        """`mp3_44100`, as the vendor's AsyncAPI has it, is 128 kbit/s."""
        pytest.importorskip("lameenc")
        assert mp3_frames(encoded("mp3_44100", tone(0.2, 44100)))[0][0] == 128

    @pytest.mark.parametrize("name", [f for f in codecs.OUTPUT_FORMATS if f.startswith("opus_")])
    def test_opus_is_refused_never_mislabelled(self, name):
        """What cannot be made is refused, as a format that exists."""
        with pytest.raises(UnsupportedFormat) as refused:
            encoder(name)
        assert refused.value.known

    @pytest.mark.parametrize(
        "name", ["", "pcm", "pcm_11025", "mp3_44100_100", "ulaw_16000", "flac"]
    )
    def test_other_names_are_refused_as_unknown(self, name):
        """A provider answers these as the vendor answers nonsense."""
        with pytest.raises(UnsupportedFormat) as refused:
            encoder(name)
        assert not refused.value.known

    def test_mp3_without_its_encoder_names_the_extra(self, monkeypatch):
        """The plain installation serves all but MP3, and says how to get it."""
        monkeypatch.setitem(sys.modules, "lameenc", None)
        with pytest.raises(UnsupportedFormat, match=r"voicekit\[emulator\]") as refused:
            encoder("mp3_44100_128")
        assert refused.value.known


@given(cuts=st.lists(st.integers(1, 700), max_size=8), name=st.sampled_from(codecs.OUTPUT_FORMATS))
def test_how_speech_is_cut_into_pieces_changes_no_byte(cuts, name):
    """Chunk borders leave no trace in any format."""
    if name.startswith(("opus", "mp3")):
        return  # LAME decides for itself; its frames are checked above
    pcm = tone(0.05, 8000)
    whole, parts = encoder(name), encoder(name)
    expected = whole.encode(pcm) + whole.flush()
    made, at = b"", 0
    for cut in cuts:
        made += parts.encode(pcm[at : at + cut])
        at += cut
    assert made + parts.encode(pcm[at:]) + parts.flush() == expected


class TestInput:
    @pytest.mark.parametrize("encoding", ["linear16", "mulaw", "alaw"])
    @pytest.mark.parametrize("channels", [1, 2, 3])
    @given(cuts=st.lists(st.integers(1, 99), max_size=6))
    def test_how_audio_is_cut_into_frames_changes_nothing(self, encoding, channels, cuts):
        """A frame may end inside a sample, or between the channels of one."""
        data = tone(0.03, 8000, hz=700)[: 2 * 3 * 60]
        whole = PcmReader(encoding, sample_rate=8000, channels=channels).feed(data)
        reader, at, parts = PcmReader(encoding, sample_rate=8000, channels=channels), 0, b""
        for cut in cuts:
            parts += reader.feed(data[at : at + cut])
            at += cut
        assert parts + reader.feed(data[at:]) == whole

    def test_stereo_is_mixed_to_its_mean(self):
        """Neither side is lost, and two loud sides do not overflow."""
        left, right = [30000, -30000, 100, 0], [30000, -30000, -100, 7]
        both = [sample for pair in zip(left, right, strict=True) for sample in pair]
        mixed = PcmReader("linear16", sample_rate=16000, channels=2).feed(
            array("h", both).tobytes()
        )
        assert list(array("h", mixed)) == [30000, -30000, 0, 3]

    def test_telephone_audio_comes_out_linear(self):
        """µ-law in, 16-bit samples out."""
        pcm = PcmReader("mulaw", sample_rate=8000).feed(bytes(range(256)))
        assert list(array("h", pcm)) == [expand("mulaw", code) for code in range(256)]

    @pytest.mark.parametrize("encoding", ["opus", "flac", "", "linear24"])
    def test_other_encodings_are_refused(self, encoding):
        """Nothing undecodable is taken for speech."""
        with pytest.raises(UnsupportedFormat):
            PcmReader(encoding, sample_rate=16000)

    @pytest.mark.parametrize("channels", [0, 9, -1])
    def test_channel_counts_out_of_reason_are_refused(self, channels):
        """As above."""
        with pytest.raises(UnsupportedFormat):
            PcmReader("linear16", sample_rate=16000, channels=channels)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        struct.pack("<4sI", name, len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body


FMT = struct.pack("<HHIIHH", 1, 2, 44100, 4 * 44100, 4, 16)


class TestContainer:
    def test_a_wav_says_its_own_rate_and_channels(self):
        """The header overrides what was claimed; other chunks are stepped over."""
        data = riff((b"LIST", b"odd"), (b"fmt ", FMT), (b"data", bytes(8)), (b"junk", b"xyz!"))
        for cut in range(1, len(data)):
            reader = PcmReader("wav", sample_rate=8000)
            pcm = reader.feed(data[:cut]) + reader.feed(data[cut:])
            assert (pcm, reader.sample_rate) == (bytes(4), 44100), cut

    def test_the_extensible_header_is_read_by_its_sub_format(self):
        """Recorders write it for plain PCM too."""
        guid = struct.pack("<H", 1) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
        fmt = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 48000, 96000, 2, 16, 22, 16, 4) + guid
        header = read_wav_header(riff((b"fmt ", fmt), (b"data", bytes(4))))
        assert header is not None
        assert (header.encoding, header.sample_rate, header.channels) == ("linear16", 48000, 1)

    @pytest.mark.parametrize(("tag", "encoding"), [(6, "alaw"), (7, "mulaw")])
    def test_telephone_wavs_are_read(self, tag, encoding):
        """Call recordings are often G.711 in a WAV."""
        fmt = struct.pack("<HHIIHH", tag, 1, 8000, 8000, 1, 8)
        header = read_wav_header(riff((b"fmt ", fmt), (b"data", b"\xff")))
        assert header is not None
        assert header.encoding == encoding

    def test_a_streamed_wav_has_no_length(self):
        """0xFFFFFFFF is not a length of four gigabytes."""
        header = read_wav_header(codecs.wav_header(16000, None))
        assert header is not None
        assert header.data_bytes is None

    @pytest.mark.parametrize(
        "data",
        [
            b"OggS",
            b"R1",
            b"RIFF\0\0\0\0AVI ",
            riff((b"data", bytes(4))),
            riff((b"fmt ", struct.pack("<HHIIHH", 3, 1, 48000, 192000, 4, 32)), (b"data", b"1234")),
            riff((b"fmt ", struct.pack("<HHIIHH", 1, 0, 48000, 0, 0, 16)), (b"data", b"1234")),
            riff((b"fmt ", FMT), (b"LIST", bytes(1 << 17))),
        ],
    )
    def test_what_is_no_readable_wav_is_refused(self, data):
        """Refused as soon as it shows, not after gigabytes of waiting."""
        with pytest.raises(UnsupportedFormat):
            read_wav_header(data)

    def test_a_header_that_is_still_coming_is_awaited(self):
        """Any beginning of a WAV is not yet an answer."""
        data = riff((b"fmt ", FMT), (b"data", bytes(4)))
        assert all(read_wav_header(data[:cut]) is None for cut in range(44))
