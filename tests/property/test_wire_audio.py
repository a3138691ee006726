"""However the network cuts audio, the audio is the same."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from voicekit.speech import AudioClip, AudioFormat
from voicekit.speech.duration import mp3_duration_s, ogg_opus_duration_s
from voicekit.wire.pcm import Aligner, Framer
from voicekit.wire.wav import WavError, WavStripper, parse_wav, wav_header

PIECES = st.lists(st.binary(max_size=30), max_size=12)
FORMATS = st.builds(
    AudioFormat,
    encoding=st.sampled_from(["pcm", "mulaw", "alaw"]),
    sample_rate_hz=st.integers(8_000, 48_000),
    channels=st.integers(1, 2),
)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


@given(PIECES, st.integers(1, 8))
def test_aligned_audio_is_whole_and_complete(pieces, frame):
    """Only whole samples come out, nothing is lost, nothing waits that is whole."""
    aligner = Aligner(frame)
    out = [aligner.feed(piece) for piece in pieces]
    assert all(len(data) % frame == 0 for data in out)
    assert b"".join(out) + aligner.pending == b"".join(pieces)
    assert len(aligner.pending) < frame


@given(PIECES, st.integers(1, 40))
def test_frames_are_of_one_size_and_complete(pieces, size):
    """Every frame has the size, nothing is lost, nothing waits that is a frame."""
    framer, frames = Framer(size), []
    for piece in pieces:
        frames += framer.feed(piece)
        assert framer.pending < size
    assert all(len(frame) == size for frame in frames)
    assert b"".join(frames) + framer.flush() == b"".join(pieces)


@given(
    FORMATS,
    st.binary(max_size=60),
    st.booleans(),
    st.binary(max_size=20),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_a_streamed_wav_gives_its_samples(audio_format, samples, known, junk, cuts):
    """Any chunks, a known or an open length, tags before the samples: the same sound."""
    header = wav_header(audio_format, len(samples) if known else None)
    tag = b"JUNK" + len(junk).to_bytes(4, "little") + junk + bytes(len(junk) % 2)
    file = header[:12] + tag + header[12:] + samples
    if known:
        file += b"LIST\4\0\0\0tags"
    stripper = WavStripper()
    assert b"".join(stripper.feed(piece) for piece in cut(file, cuts)) == samples
    info = parse_wav(file)
    assert file[info.data_offset :][: info.data_bytes] == samples
    assert stripper.info is not None
    assert (info.encoding, info.sample_rate_hz, info.channels) == (
        audio_format.encoding,
        audio_format.sample_rate_hz,
        audio_format.channels,
    )


@given(FORMATS, st.binary(max_size=60))
def test_saved_and_loaded_audio_is_the_same(audio_format, data):
    """A PCM clip that becomes a WAV file becomes the same clip again."""
    data = Aligner(audio_format.frame_bytes).feed(data)
    clip = AudioClip(data=data, format=audio_format)
    assert parse_wav(clip.wav()).data_bytes == len(data)
    if audio_format.encoding == "pcm":
        assert AudioClip.from_wav(clip.wav()) == clip


@given(
    st.one_of(
        st.binary(max_size=100),
        st.binary(max_size=60).map(lambda data: b"RIFF\0\0\0\0WAVE" + data),
        st.binary(max_size=60).map(lambda data: b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + data),
        st.binary(max_size=60).map(lambda data: b"\xff\xfb" + data),
    ),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_garbage_is_refused_in_one_way(data, cuts):
    """Broken files raise WavError or nothing, however cut; lengths are None or positive."""
    for length in (mp3_duration_s(data), ogg_opus_duration_s(data)):
        assert length is None or length > 0

    def stripped(pieces):
        stripper = WavStripper()
        try:
            return b"".join(stripper.feed(piece) for piece in pieces)
        except WavError:
            return None

    assert stripped(cut(data, cuts)) == stripped([data])
    try:
        info = parse_wav(data)
    except WavError:
        return
    assert 0 <= info.data_bytes <= len(data) - info.data_offset
    assert info.duration_s >= 0


@given(st.text(max_size=20))
def test_names_of_formats_are_a_closed_grammar(text):
    """What parses has a name that parses to the same; all else is the typed error."""
    from voicekit.errors import InvalidArgumentError

    try:
        audio_format = AudioFormat.parse(text)
    except InvalidArgumentError:
        return
    assert AudioFormat.parse(audio_format.name) == audio_format


@given(
    st.builds(
        AudioFormat,
        encoding=st.sampled_from(["mp3", "aac", "ogg_opus"]),
        sample_rate_hz=st.integers(1_000, 384_000),
        bit_rate_kbps=st.none() | st.integers(1, 1024),
        channels=st.integers(1, 8),
    )
)
def test_every_format_has_a_name(audio_format):
    """Nothing of a format is lost in its short name."""
    assert AudioFormat.parse(audio_format.name) == audio_format
