"""The wire grammar and the accounting of one stream, without I/O."""

from __future__ import annotations

import json
from typing import Any

import pytest
from deepgram_fakes import METADATA, results

from voicekit import AudioFormat, InvalidArgumentError
from voicekit.clients.deepgram import DeepgramClient
from voicekit.clients.deepgram import finals as finals_module
from voicekit.clients.deepgram.audio import FrameCutter, WireAudio
from voicekit.clients.deepgram.protocol import (
    Configured,
    ListenState,
    configure_fields,
    configure_message,
    finalize_message,
    listen_request,
)
from voicekit.clients.deepgram.pulse import Pulse
from voicekit.errors import (
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
    UnavailableError,
    VoicekitError,
)
from voicekit.speech import SpeechStarted, TranscriptionResult, UtteranceEnd, Word

PCM = WireAudio.of(AudioFormat.parse("pcm_16000"))  # 32,000 bytes per second
OPUS = WireAudio.of(AudioFormat.parse("ogg_opus"))


def state(audio: WireAudio = PCM, **options: Any) -> ListenState:
    return ListenState(audio, **options)


def read(listening: ListenState, message: dict[str, Any]) -> Any:
    return listening.read(json.dumps(message))


# -- what we say ------------------------------------------------------------------------


def test_the_handshake() -> None:
    """Path, query, credential and agent are ours; the caller's headers stand over them."""
    request = DeepgramClient("k").request(extra_headers={"user-agent": "mine"}, tag="a b")
    handshake = listen_request("wss://h/v1/listen", "Token", "marked-key", request)
    assert handshake.url.startswith("wss://h/v1/listen?model=nova-3&")
    assert handshake.url.endswith("tag=a+b")
    assert handshake.headers == {"Authorization": "Token marked-key", "user-agent": "mine"}
    assert "marked" not in repr(handshake)


def test_control_messages() -> None:
    """They are the vendor's, letter by letter."""
    assert json.loads(finalize_message(None)) == {"type": "Finalize"}
    assert json.loads(finalize_message(1)) == {"type": "Finalize", "channel": 1}
    assert json.loads(configure_message(configure_fields(["a"], numerals=True))) == {
        "type": "Configure",
        "keyterms": ["a"],
        "features": {"numerals": True},
    }
    nothing = configure_message(configure_fields(None, None))
    assert json.loads(nothing) == {"type": "Configure", "keyterms": None}
    for bad in (((), None), ("abc", None), ([1], None), ((), 1)):
        with pytest.raises(InvalidArgumentError):
            configure_fields(*bad)  # type: ignore[arg-type]


# -- what it says -----------------------------------------------------------------------


def test_results_field_by_field() -> None:
    """Every field of the vendor's message is where a caller expects it."""
    message = {
        "type": "Results",
        "channel_index": [1, 2],
        "start": 1.5,
        "duration": 1.02,
        "is_final": True,
        "speech_final": True,
        "from_finalize": True,
        "channel": {
            "alternatives": [
                {
                    "transcript": "Hi there.",
                    "confidence": 0.98,
                    "languages": ["en", "de"],
                    "words": [
                        {
                            "word": "hi",
                            "start": 1.6,
                            "end": 1.8,
                            "confidence": 0.99,
                            "punctuated_word": "Hi",
                            "speaker": 1,
                            "language": "en",
                        },
                        {"word": "there", "start": 1.8, "end": 2, "confidence": 1},
                    ],
                }
            ]
        },
        "metadata": {"request_id": "r1", "model_info": {}, "model_uuid": "u1"},
        "entities": [{"label": "x"}],
    }
    got = read(state(), message)
    assert got == TranscriptionResult(
        text="Hi there.",
        words=(
            Word(text="hi", start=1.6, end=1.8, confidence=0.99, speaker=1, punctuated="Hi"),
            Word(text="there", start=1.8, end=2.0, confidence=1),
        ),
        start=1.5,
        duration=1.02,
        confidence=0.98,
        is_final=True,
        speech_final=True,
        from_finalize=True,
        channel=(1, 2),
        language="en",
    )
    assert got.raw == message
    assert hash(got.words[0]) == hash(
        Word(text="hi", start=1.6, end=1.8, confidence=0.99, speaker=1, punctuated="Hi")
    )


def test_sparse_results() -> None:
    """What a server leaves out is absent, not an error: an empty transcript is normal."""
    got = read(
        state(), {"type": "Results", "start": 0, "duration": 1, "channel": {"alternatives": []}}
    )
    assert got == TranscriptionResult(text="", duration=1, channel=(0, 1))
    message = {"type": "Results", "start": 0, "duration": 1, "channel": {"alternatives": [{}]}}
    assert read(state(), message).text == ""


@pytest.mark.parametrize(
    "broken",
    [
        {"start": None},
        {"start": "1"},
        {"start": -1},
        {"duration": 1e12},
        {"duration": -0.1},
        {"channel": None},
        {"channel": {}},
        {"channel": {"alternatives": 5}},
        {"channel": {"alternatives": [5]}},
        {"channel": {"alternatives": [{"transcript": None}]}},
        {"channel": {"alternatives": [{"transcript": "a", "words": 5}]}},
        {"channel": {"alternatives": [{"transcript": "a", "words": [{}]}]}},
        {"channel": {"alternatives": [{"transcript": "a", "words": ["a"]}]}},
        {"channel": {"alternatives": [{"words": [{"word": 1, "start": 0, "end": 0}]}]}},
        {"channel": {"alternatives": [{"words": [{"word": "", "start": "", "end": 0}]}]}},
        {"channel": {"alternatives": [{"transcript": "", "languages": 5}]}},
        {"channel_index": [1, 1]},
        {"channel_index": [0, 10**9]},
        {"channel_index": [0]},
        {"channel_index": "ab"},
    ],
)  # fmt: skip
def test_malformed_results_are_the_servers_fault(broken: dict[str, Any]) -> None:
    """A field of the wrong type ends in a typed error, never in a wrong transcript."""
    with pytest.raises(RemoteProtocolError):
        read(state(), {**results("hello"), **broken})


@pytest.mark.parametrize(
    "frame",
    ["", "{", "null", "[]", "7", b"{}", '{"type":"Results","start":NaN}', "[" * 100_000],
)
def test_frames_that_are_no_messages(frame: str | bytes) -> None:
    """Neither half a JSON nor binary is taken for a message."""
    with pytest.raises(RemoteProtocolError):
        state().read(frame)


def test_not_a_number_is_no_time() -> None:
    """Python would read NaN and Infinity, which are no JSON; a word at no time is no word."""
    for wrong in ("NaN", "Infinity", "-Infinity"):
        frame = json.dumps(results("a")).replace('"end": 1.0', f'"end": {wrong}')
        assert wrong in frame
        with pytest.raises(RemoteProtocolError):
            state().read(frame)


def test_events() -> None:
    """Speech starts and utterances end with their times; a newer message is nothing to us."""
    assert read(state(), {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.5}) == (
        SpeechStarted(at=0.5)
    )
    assert read(state(), {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 2}) == (
        UtteranceEnd(last_word_end=2)
    )
    assert read(state(), {"type": "UtteranceEnd", "last_word_end": -1}) == (
        UtteranceEnd(last_word_end=None)
    )
    assert read(state(), {"type": "UtteranceEnd"}) == UtteranceEnd(last_word_end=None)
    assert read(state(), {"type": "Weather", "rain": True}) is None
    assert read(state(), {}) is None
    with pytest.raises(RemoteProtocolError):
        read(state(), {"type": "SpeechStarted"})


def test_errors_are_raised() -> None:
    """An Error message is the provider's error."""
    with pytest.raises(InvalidRequestError):
        read(state(), {"type": "Error", "variant": "SchemaError", "description": "x"})
    with pytest.raises(UnavailableError):
        read(state(), {"type": "Error", "description": "x"})


def test_answers_to_configure() -> None:
    """Yes and no are told apart, and a no is no failure of the stream."""
    assert read(state(), {"type": "ConfigureSuccess", "request_id": "r"}) == Configured()
    answer = read(state(), {"type": "ConfigureFailure", "code": "CONFIGURE_ALREADY_PENDING"})
    assert isinstance(answer.error, InvalidRequestError)


# -- what is owed -----------------------------------------------------------------------


def test_nothing_is_owed_before_audio() -> None:
    """An open stream owes nothing, and a KeepAlive makes it owe nothing."""
    assert not state().owes()


def test_audio_is_owed_until_it_is_covered() -> None:
    """Sent and not covered is owed; an empty interim covers; more audio is owed again."""
    listening = state()
    listening.sent_bytes += 32_000
    assert listening.owes()
    read(listening, results("", duration=1.0))
    assert not listening.owes()
    listening.sent_bytes += 16_000
    assert listening.owes()
    assert (listening.sent_s, listening.heard_s, listening.acknowledged_s) == (1.5, 1.0, 0.0)
    read(listening, results("a b", duration=1.5, is_final=True))
    assert (listening.heard_s, listening.acknowledged_s) == (1.5, 1.5)
    assert not listening.owes()


def test_the_last_hundredths_are_not_waited_for() -> None:
    """Results end at the vendor's own frames, a little before the last sample."""
    listening = state()
    listening.sent_bytes += 32_000
    read(listening, results("", duration=0.97))
    assert not listening.owes()


def test_a_pause_leaves_a_rest_with_the_vendor() -> None:
    """Once the caller pauses, what is left of a second is not owed; more than two are."""
    listening = state()
    listening.sent_bytes += 40_000
    read(listening, results("", duration=1.0))
    assert listening.owes()
    listening.quiet = True
    assert not listening.owes()
    listening.sent_bytes += 32_000 * 3
    assert listening.owes()
    without = state(interim_results=False)
    without.sent_bytes += 32_000 * 5
    assert without.owes()
    without.quiet = True
    assert not without.owes()


def test_everything_is_owed_after_finish() -> None:
    """From finish() to Metadata the vendor owes the end, whatever was covered."""
    listening = state()
    listening.finishing = True
    assert listening.owes()
    assert read(listening, METADATA) is None
    assert listening.done
    assert not listening.owes()
    assert listening.metadata == METADATA
    assert listening.duration == 1.9


def test_metadata_unasked_ends_nothing() -> None:
    """Only after finish() is Metadata the end: else audio sent later would be lost."""
    listening = state()
    read(listening, METADATA)
    assert not listening.done


def test_a_callback_leaves_nothing_owed() -> None:
    """Results that go elsewhere are not waited for here."""
    listening = state(silent=True)
    listening.sent_bytes += 320_000
    assert not listening.owes()


def test_audio_without_a_rate_is_owed_until_any_result() -> None:
    """Where bytes do not tell seconds, each result answers what was sent before it."""
    listening = state(OPUS)
    assert listening.sent_s is None
    listening.sent_bytes += 100
    assert listening.owes()
    read(listening, results("a"))
    assert not listening.owes()
    listening.sent_bytes += 1
    assert listening.owes()
    listening.quiet = True
    assert not listening.owes()


def test_channels_are_covered_together() -> None:
    """Of several channels, the slowest decides what is covered."""
    listening = state(WireAudio.of(AudioFormat.parse("pcm_16000_2ch")))
    listening.sent_bytes += 64_000
    read(listening, results("a", channel_index=[0, 2], is_final=True))
    assert listening.owes()
    assert listening.acknowledged_s == 0.0
    read(listening, results("b", channel_index=[1, 2], duration=0.5))
    assert listening.owes()
    assert (listening.heard_s, listening.acknowledged_s) == (0.5, 0.0)
    read(listening, results("b", channel_index=[1, 2]))
    assert not listening.owes()
    assert listening.acknowledged_s == 0.0
    read(listening, results("b", channel_index=[1, 2], duration=0.7, is_final=True))
    assert listening.acknowledged_s == 0.7


def test_an_offset_shifts_every_time() -> None:
    """A second socket's stream goes on where the first one's finals ended."""
    listening = state(offset=10.0)
    listening.sent_bytes += 32_000
    got = read(listening, results("a b", start=0.5, duration=0.5, is_final=True))
    assert (got.start, got.end) == (10.5, 11.0)
    assert [word.start for word in got.words] == [10.5, 10.75]
    assert (listening.sent_s, listening.acknowledged_s) == (11.0, 11.0)
    assert read(listening, {"type": "SpeechStarted", "timestamp": 0.5}).at == 10.5
    assert read(listening, {"type": "UtteranceEnd", "last_word_end": 1.0}).last_word_end == 11.0


def test_our_silence_is_not_the_callers_audio() -> None:
    """Silence sent ahead shifts times back and is neither owed nor counted."""
    listening = state()
    listening.padded(640)
    assert not listening.owes()
    assert (listening.sent_s, listening.acknowledged_s) == (0.0, 0.0)
    listening.sent_bytes += 32_000
    assert listening.owes()
    got = read(listening, results("a", start=0.0, duration=1.02, is_final=True))
    assert got.start == 0.0
    assert got.words[0].start == 0.0
    later = read(listening, results("b", start=1.02, duration=0.5))
    assert later.start == pytest.approx(1.0)
    assert listening.acknowledged_s == pytest.approx(1.0)


def test_the_transcript_is_the_finals() -> None:
    """Interims are replaced, finals stand; words, confidence and language go with them."""
    listening = state()
    read(listening, results("wha"))
    read(listening, results("what are", is_final=True))
    read(listening, results("", start=1.0, is_final=True))
    message = results("you", start=2.0, is_final=True)
    message["channel"]["alternatives"][0] |= {"confidence": 0.68, "languages": ["en"]}
    read(listening, message)
    assert listening.finals.transcript == "what are you"
    assert [word.text for word in listening.finals.words] == ["what", "are", "you"]
    assert listening.finals.confidence == pytest.approx((2 * 0.98 + 0.68) / 3)
    assert listening.finals.language == "en"
    assert listening.request_id == "r-1"
    assert state().finals.confidence is None


def test_a_final_that_comes_twice_is_one() -> None:
    """The same words at the same time are no others; the same words later are."""
    listening = state()
    once = results("no", is_final=True)
    assert read(listening, once) is not None
    assert read(listening, results("no", start=1.0, is_final=True)) is not None
    assert read(listening, once) is None
    other = results("no", is_final=True, channel_index=[1, 2])
    assert read(listening, other) is not None
    assert listening.finals.transcript == "no no no"
    # Without words nothing is doubled, and it may say that a Finalize was done.
    for _ in range(2):
        assert read(listening, results("", is_final=True, from_finalize=True)) is not None


def test_an_endless_transcript_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never stops saying new things cannot fill the memory."""
    monkeypatch.setattr(finals_module, "_MOST_TEXT", 100)
    listening = state()
    most = 100 // len("word word")
    for start in range(most):
        read(listening, results("word word", start=start, is_final=True))
    with pytest.raises(LocalProtocolError):
        read(listening, results("word word", start=most, is_final=True))


# -- audio ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "byte_rate", "silence"),
    [
        ("pcm_16000", 32_000, bytes(640)),
        ("pcm_8000_2ch", 32_000, bytes(640)),
        ("mulaw_8000", 8_000, b"\xff" * 160),
        ("alaw_8000", 8_000, b"\xd5" * 160),
        ("wav_16000", 32_000, None),
        ("ogg_opus", None, None),
        ("flac_48000", None, None),
    ],
)
def test_audio_in_numbers(name: str, byte_rate: int | None, silence: bytes | None) -> None:
    """Rates count seconds; silence is 20 ms of the format's own, for headerless audio only."""
    audio = WireAudio.of(AudioFormat.parse(name))
    assert (audio.byte_rate, audio.silence) == (byte_rate, silence)


def test_silence_is_silent() -> None:
    """What stands for silence in G.711 decodes to (almost) zero."""
    from voicekit.emulator import g711

    for law in ("mulaw", "alaw"):
        silence = WireAudio.of(AudioFormat.parse(f"{law}_8000")).silence
        assert silence is not None
        pcm = g711.decode(law, silence)
        assert max(abs(int.from_bytes(pcm[i : i + 2], "little", signed=True)) for i in (0, 2)) <= 8


def test_chunks_become_frames_of_250_ms_at_most() -> None:
    """Nothing longer goes out at once, and nothing is lost or reordered."""
    data = bytes(range(256)) * 100
    frames = FrameCutter(PCM).cut(data)
    assert b"".join(frames) == data
    assert [len(frame) for frame in frames] == [8000, 8000, 8000, 1600]
    assert all(len(frame) % 2 == 0 for frame in frames)


def test_what_fits_is_passed_on_as_it_is() -> None:
    """A frame costs no copy."""
    data = bytes(640)
    assert FrameCutter(PCM).cut(data)[0] is data


def test_a_sample_cut_in_two_waits_for_its_end() -> None:
    """Frames hold whole samples of all channels."""
    cutter = FrameCutter(WireAudio.of(AudioFormat.parse("pcm_16000_2ch")))
    assert cutter.cut(b"abc") == ()
    assert cutter.cut(b"defgh") == (b"abcdefgh",)
    assert cutter.cut(b"") == ()
    assert cutter.rest == b""


def test_packets_stay_whole() -> None:
    """In the vendor's packet encodings a chunk is a packet, however long."""
    packet = bytes(100_000)
    assert FrameCutter(WireAudio.raw("opus", 48_000, 1)).cut(packet) == (packet,)
    assert len(FrameCutter(OPUS).cut(packet)) == 7


def test_only_bytes_are_audio() -> None:
    """Any bytes-like will do, and nothing else."""
    assert FrameCutter(PCM).cut(bytearray(b"ab")) == (b"ab",)
    assert FrameCutter(PCM).cut(memoryview(b"abcd")[::2]) == (b"ac",)
    for bad in ("ab", 7, None, [1, 2], AudioFormat.parse("wav")):
        with pytest.raises(InvalidArgumentError, match="audio"):
            FrameCutter(PCM).cut(bad)  # type: ignore[arg-type]


# -- signs of life ----------------------------------------------------------------------


def test_a_keep_alive_every_four_seconds_of_silence() -> None:
    """Only silence counts, from whatever was sent last."""
    pulse = Pulse()
    pulse.opened(100.0, can_pad=True)
    pulse.had_audio, pulse.sent_at = True, 101.0
    assert pulse.beat(104.9) is None
    assert pulse.due_at() == 105.0
    assert pulse.beat(105.0) == "keep_alive"
    pulse.sent_at = 105.0
    assert pulse.beat(105.1) is None
    assert pulse.due_at() == 109.0


def test_silence_before_a_late_first_word() -> None:
    """Without audio for seven seconds it is silence that is due, not a KeepAlive."""
    pulse = Pulse()
    pulse.opened(100.0, can_pad=True)
    assert pulse.due_at() == 107.0
    assert pulse.beat(106.0) is None
    assert pulse.beat(107.0) == "silence"


def test_keep_alives_where_no_silence_can_be_made() -> None:
    """A container cannot begin with bytes of ours; a KeepAlive costs nothing."""
    pulse = Pulse()
    pulse.opened(100.0, can_pad=False)
    assert pulse.due_at() == 104.0
    assert pulse.beat(104.0) == "keep_alive"


def test_state_errors_are_ours() -> None:
    """Whatever is read, what is raised is in our tree."""
    for frame in ('{"type":[]}', '{"type":{"a":1}}', '{"type":"Results"}', '{"type":"Metadata"}'):
        try:
            state().read(frame)
        except VoicekitError:
            continue
