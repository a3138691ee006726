"""WAV headers as tools and servers really write them."""

from __future__ import annotations

import contextlib
import io
import struct
import wave

import pytest

from voicekit.speech import AudioFormat
from voicekit.wire.wav import WavError, WavStripper, parse_wav, wav_header

PCM_24000 = AudioFormat.parse("pcm_24000")
FMT = struct.pack("<HHIIHH", 1, 1, 24_000, 48_000, 2, 16)


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    padding = b"\0" if len(content) % 2 else b""
    return name + struct.pack("<I", len(content) if size is None else size) + content + padding


def riff(*chunks: bytes, size: int = 0xFFFFFFFF) -> bytes:
    return b"RIFF" + struct.pack("<I", size) + b"WAVE" + b"".join(chunks)


def test_our_header_is_the_standard_librarys():
    """For a known length, byte for byte what another writer writes."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(44_100)
        writer.writeframes(bytes(80))
    expected = file.getvalue()
    assert wav_header(AudioFormat.parse("pcm_44100_2ch"), 80) == expected[:44]
    info = parse_wav(expected)
    assert (info.encoding, info.sample_rate_hz, info.channels) == ("pcm", 44_100, 2)
    assert (info.data_offset, info.data_bytes, info.bits_per_sample) == (44, 80, 16)
    assert not info.streamed
    assert info.duration_s == 20 / 44_100


def test_sizes_left_open_mean_to_the_end():
    """0xFFFFFFFF is what OpenAI's servers write; the sample rate still counts."""
    info = parse_wav(wav_header(PCM_24000, None) + bytes(48_000))
    assert (info.streamed, info.data_bytes, info.duration_s) == (True, 48_000, 1.0)


@pytest.mark.parametrize("riff_size", [0, 0xFFFFFFFF])
def test_a_size_of_zero_in_a_stream_means_to_the_end(riff_size):
    """Other tools write 0 where they do not know."""
    info = parse_wav(riff(chunk(b"fmt ", FMT), chunk(b"data", b"", 0), size=riff_size) + bytes(10))
    assert (info.streamed, info.data_bytes) == (True, 10)


def test_a_file_without_sound_is_a_file():
    """An empty recording with honest sizes is empty, whatever follows."""
    info = parse_wav(
        riff(chunk(b"fmt ", FMT), chunk(b"data", b""), chunk(b"LIST", b"abcd"), size=48)
    )
    assert (info.streamed, info.data_bytes) == (False, 0)


def test_a_cut_file_has_what_it_has():
    """A size beyond the end is taken as the end."""
    info = parse_wav(wav_header(PCM_24000, 1000) + bytes(500))
    assert info.data_bytes == 500


def test_other_chunks_are_passed_over():
    """Tags before and after the samples, of odd sizes too, are not sound."""
    file = riff(
        chunk(b"JUNK", b"abc"), chunk(b"fmt ", FMT + b"\0\0"), chunk(b"LIST", bytes(26)),
        chunk(b"data", b"abcd"), chunk(b"LIST", b"tags"),
    )  # fmt: skip
    info = parse_wav(file)
    assert file[info.data_offset :][: info.data_bytes] == b"abcd"
    assert WavStripper().feed(file) == b"abcd"


@pytest.mark.parametrize(
    ("tag", "tail", "encoding"),
    [
        (1, "000000001000800000aa00389b71", "pcm"),
        (7, "000000001000800000aa00389b71", "mulaw"),
        (3, "000000001000800000aa00389b71", "float"),
        (1, "0000000000000000000000000000", "other"),
        (85, "000000001000800000aa00389b71", "other"),
    ],
)
def test_the_extensible_form(tag, tail, encoding):
    """Recorders of 16-bit stereo often wrap the plain tag in an identifier."""
    fmt = struct.pack("<HHIIHHHHIH", 0xFFFE, 2, 48_000, 192_000, 4, 16, 22, 16, 3, tag)
    info = parse_wav(riff(chunk(b"fmt ", fmt + bytes.fromhex(tail)), chunk(b"data", bytes(8))))
    assert (info.encoding, info.channels) == (encoding, 2)


@pytest.mark.parametrize("name", ["mulaw_8000", "alaw_8000", "mulaw_16000_2ch"])
def test_g711_headers_say_what_the_standard_asks(name):
    """Other tags than PCM carry an extension size and the number of samples."""
    audio_format = AudioFormat.parse(name)
    header = wav_header(audio_format, 160)
    assert len(header) == 58
    assert int.from_bytes(header[4:8], "little") == 50 + 160
    assert header[38:46] == b"fact\4\0\0\0"
    assert int.from_bytes(header[46:50], "little") == 160 // audio_format.channels
    info = parse_wav(header + bytes(160))
    assert (info.encoding, info.bits_per_sample) == (audio_format.encoding, 8)
    assert parse_wav(wav_header(audio_format, None) + bytes(9)).data_bytes == 9


def test_headers_that_cannot_be():
    """No header for what WAV does not hold here, nor for 4 GiB."""
    for name, n_bytes in [
        ("mp3_44100_128", 1),
        ("wav", 1),
        ("pcm_8000", 1 << 32),
        ("pcm_8000", -1),
    ]:
        with pytest.raises(WavError):
            wav_header(AudioFormat.parse(name), n_bytes)


BROKEN = [
    b"",
    b"RIFF",
    b"RIFX\0\0\0\0WAVE",
    b"RIFF\0\0\0\0AVI ",
    b"<!DOCTYPE html><html></html>",
    riff(),
    riff(chunk(b"fmt ", FMT)),
    riff(chunk(b"data", b"abcd")),
    riff(chunk(b"fmt ", FMT[:10]), chunk(b"data", b"abcd")),
    riff(chunk(b"fmt ", FMT, 1000)),
    riff(chunk(b"fmt ", b"\xfe\xff" + FMT[2:]), chunk(b"data", b"abcd")),
    riff(chunk(b"fmt ", FMT[:4] + bytes(4) + FMT[8:]), chunk(b"data", b"abcd")),
    riff(chunk(b"fmt ", FMT[:2] + bytes(2) + FMT[4:]), chunk(b"data", b"abcd")),
    riff(chunk(b"fmt ", FMT[:14] + bytes(2)), chunk(b"data", b"abcd")),
]


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_not_a_wav_file_is_said_so(data):
    """One typed error for all that cannot be read; no sound comes out of it."""
    with pytest.raises(WavError):
        parse_wav(data)
    stripper = WavStripper()
    with contextlib.suppress(WavError):
        assert stripper.feed(data) == b""
    assert stripper.info is None


def test_a_stream_gives_sound_as_soon_as_there_is_some():
    """The byte after the header comes out with the chunk that brought it."""
    stripper = WavStripper()
    header = wav_header(PCM_24000, None)
    assert stripper.feed(header[:20]) == b""
    assert stripper.info is None
    assert stripper.feed(header[20:] + b"ab") == b"ab"
    assert stripper.info is not None
    assert stripper.info.sample_rate_hz == 24_000
    data = bytes(100)
    assert stripper.feed(data) is data


def test_declared_sound_ends_where_it_ends():
    """What a server appends after the samples is never played."""
    stripper = WavStripper()
    assert stripper.feed(wav_header(PCM_24000, 4) + b"ab") == b"ab"
    assert stripper.feed(b"cdLIST") == b"cd"
    assert stripper.feed(b"more") == b""


@pytest.mark.parametrize("step", [1, 4096, 1 << 20])
@pytest.mark.parametrize("junk", [b"", bytes(8)])
def test_a_header_that_never_ends_is_an_error(step, junk):
    """64 KiB without sound is no speech, in one huge chunk or in thousands of small ones."""
    stripper = WavStripper()
    stream = riff(chunk(b"fmt ", FMT), chunk(b"JUNK", junk, None if junk == b"" else 1 << 30))
    stream += b"JUNK\0\0\0\0" * 10_000
    stream += chunk(b"data", b"too late")
    pieces = [stream[start : start + step] for start in range(0, len(stream), step)]
    with pytest.raises(WavError, match="no samples within"):
        [stripper.feed(piece) for piece in pieces]
    assert stripper.info is None
