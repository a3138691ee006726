"""The ears: they hear what is in the audio, and only that."""

from __future__ import annotations

import asyncio
import random
import wave
from array import array
from pathlib import Path

import pytest

from voicekit.emulator import g711
from voicekit.emulator.codecs import UnsupportedFormat
from voicekit.emulator.ears import ScriptedEars, SphinxEars
from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.resample import resample
from voicekit.emulator.speech_process import SpeechProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SPEECH = Path(__file__).parents[2] / "data" / "speech"
QUESTION = "what are your opening hours today"


def recording(name: str) -> bytes:
    with wave.open(str(SPEECH / name)) as read:
        return read.readframes(read.getnframes())


def stereo(pcm: bytes) -> bytes:
    both = array("h", bytes(2 * len(pcm)))
    both[0::2] = both[1::2] = array("h", pcm)
    return both.tobytes()


def hiss(seconds: float) -> bytes:
    """A quiet room, 60 dB below full scale: PocketSphinx alone hears "if" in it."""
    draw = random.Random(2)
    return array("h", [round(draw.gauss(0, 30)) for _ in range(round(16000 * seconds))]).tobytes()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"  # for a whole module, because it shares one worker


@pytest.fixture(scope="module")
async def ears():
    pytest.importorskip("pocketsphinx")
    process = SpeechProcess("ears")
    await process.start()
    yield SphinxEars(process)
    await process.aclose()


async def listen(ears, audio: bytes, *, rate=16000, channels=1, encoding="linear16"):
    """Feed 20 ms frames, then hear the whole."""
    hearing = ears.open(sample_rate=rate, channels=channels, encoding=encoding)
    size = rate // 50 * channels * (2 if encoding in {"linear16", "wav"} else 1)
    for at in range(0, len(audio), size):
        hearing.feed(audio[at : at + size])
    heard = await hearing.final()
    hearing.close()
    return heard


class TestSphinx:
    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("question.wav", QUESTION),
            ("human-0930.wav", "he might even have been made the amiable himself"),
            ("human-0880.wav", "he was not until this blows young man"),
        ],
    )
    async def test_a_final_is_what_pocketsphinx_hears_in_the_whole(self, ears, name, words):
        """The words of a decoder with its default settings, at half their price."""
        assert (await listen(ears, recording(name))).text == words

    @pytest.mark.parametrize("rate", [8000, 22050, 24000, 32000, 44100, 48000])
    async def test_other_sample_rates_are_heard_as_well(self, ears, rate):
        """From the telephone to the studio."""
        audio = resample(recording("question.wav"), 16000, rate)
        assert (await listen(ears, audio, rate=rate)).text == QUESTION

    @pytest.mark.parametrize("rate", [16000, 48000])
    async def test_stereo_is_heard(self, ears, rate):
        """Interleaved channels are one listener's two ears."""
        audio = stereo(resample(recording("question.wav"), 16000, rate))
        assert (await listen(ears, audio, rate=rate, channels=2)).text == QUESTION

    @pytest.mark.parametrize("law", ["mulaw", "alaw"])
    async def test_a_telephone_call_is_heard(self, ears, law):
        """8 kHz, one byte per sample."""
        audio = g711.encode(law, resample(recording("question.wav"), 16000, 8000))
        assert (await listen(ears, audio, rate=8000, encoding=law)).text == QUESTION

    async def test_a_container_is_heard_by_its_own_header(self, ears):
        """The whole file, header and all."""
        audio = (SPEECH / "question.wav").read_bytes()
        assert (await listen(ears, audio, rate=8000, encoding="wav")).text == QUESTION

    async def test_what_was_silenced_is_not_heard(self, ears):
        """Nothing is looked up: without the second half's sound, its words are missing."""
        audio = recording("question.wav")
        half = len(audio) // 4 * 2
        heard = await listen(ears, audio[:half] + bytes(len(audio) - half))
        assert heard.text == "what are your opening"
        heard = await listen(ears, bytes(half) + audio[half:])
        assert set(heard.text.split()) <= {"hours", "today"}

    @pytest.mark.parametrize("audio", [b"", bytes(640), bytes(64000), hiss(3.0)])
    async def test_silence_has_no_words(self, ears, audio):
        """Neither digital silence nor a quiet room says anything, interim or final."""
        hearing = ears.open(sample_rate=16000)
        hearing.feed(audio)
        assert await hearing.interim() == ""
        heard = await hearing.final()
        assert (heard.text, heard.words, heard.confidence) == ("", (), 0)
        hearing.close()

    async def test_words_have_times_and_confidences(self, ears):
        """In order, inside the audio, counted from its first sample whatever silence leads."""
        plain = await listen(ears, recording("question.wav"))
        late = await listen(ears, bytes(32000 * 2) + recording("question.wav"))
        assert plain.text == late.text == QUESTION
        end = 0.0
        for (word, start, stop, confidence), (_, start_late, _, _) in zip(
            plain.words, late.words, strict=True
        ):
            assert end <= start < stop <= 2.4, word
            assert 0 < confidence <= 1
            assert start_late == pytest.approx(start + 2.0, abs=0.1)
            end = stop
        assert plain.words[0].start == pytest.approx(0.2, abs=0.1)
        assert plain.words[-1].end == pytest.approx(2.2, abs=0.1)

    async def test_a_hearing_depends_on_none_before_it(self, ears):
        """The running means of other voices do not colour what is heard."""
        await listen(ears, recording("question.wav"))
        first = await listen(ears, recording("human-0880.wav"))
        await listen(ears, recording("human-0930.wav"))
        assert await listen(ears, recording("human-0880.wav")) == first

    async def test_interims_grow_with_the_frames(self, ears):
        """After each half second, the words of what has come; nothing of what has not."""
        audio = recording("question.wav")
        hearing = ears.open(sample_rate=16000)
        interims = []
        for at in range(0, len(audio), 16000):
            hearing.feed(audio[at : at + 16000])
            interims.append(await hearing.interim())
        hearing.close()
        assert "today" not in interims[2]
        assert interims[-1].startswith("what are your")
        assert interims[-1].endswith("today")
        lengths = [len(interim) for interim in interims]
        assert lengths == sorted(lengths)

    async def test_the_same_frames_give_the_same_interims(self, ears):
        """However they were cut, and whoever was heard before."""

        async def interim(size: int) -> str:
            audio = recording("human-0930.wav")
            hearing = ears.open(sample_rate=16000)
            for at in range(0, len(audio), size):
                hearing.feed(audio[at : at + size])
            text = await hearing.interim()
            hearing.close()
            return text

        assert await interim(640) == await interim(999) == await interim(1 << 20) != ""

    async def test_many_are_heard_at_once(self, ears):
        """More hearings than streaming decoders, frames interleaved, each with its own words."""
        names = ["question.wav", "human-0930.wav", "human-0880.wav", "question.wav"]
        alone = [(await listen(ears, recording(name))).text for name in names]
        hearings = [ears.open(sample_rate=16000) for _ in names]
        interims = []
        for at in range(0, 110_000, 640 * 50):
            for hearing, name in zip(hearings, names, strict=True):
                hearing.feed(recording(name)[at : at + 640 * 50])
            interims = await asyncio.gather(*(hearing.interim() for hearing in hearings))
        together = await asyncio.gather(*(hearing.final() for hearing in hearings))
        for hearing in hearings:
            hearing.close()
        assert [heard.text for heard in together] == alone
        assert interims[0] == interims[3]
        assert interims[1].startswith("he might")

    async def test_a_final_may_be_asked_for_again(self, ears):
        """More audio after a final is heard together with what came before."""
        audio = recording("question.wav")
        hearing = ears.open(sample_rate=16000)
        hearing.feed(audio[: len(audio) // 4 * 2])
        assert (await hearing.final()).text == "what are your opening"
        hearing.feed(audio[len(audio) // 4 * 2 :])
        assert (await hearing.final()).text == QUESTION
        hearing.close()

    async def test_a_cancelled_final_leaves_the_ears_usable(self, ears):
        """A client that hangs up costs the next one nothing but the decode under way."""
        for _ in range(10):
            hearing = ears.open(sample_rate=16000)
            hearing.feed(recording("human-0880.wav"))
            waiting = asyncio.create_task(hearing.final())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            hearing.close()
        async with asyncio.timeout(10):
            assert (await listen(ears, recording("question.wav"))).text == QUESTION

    async def test_a_closed_hearing_hears_no_more(self, ears):
        """Feeding it is ignored; asking it is an error."""
        hearing = ears.open(sample_rate=16000)
        hearing.close()
        hearing.close()
        hearing.feed(recording("question.wav"))
        with pytest.raises(EmulatorError, match="closed"):
            await hearing.final()

    async def test_what_cannot_be_decoded_is_refused(self, ears):
        """At once where the name says so, else when the bytes show it."""
        with pytest.raises(UnsupportedFormat):
            ears.open(sample_rate=16000, encoding="opus")
        hearing = ears.open(sample_rate=16000, encoding="wav")
        hearing.feed(b"OggS" * 100)
        with pytest.raises(EmulatorError, match="RIFF"):
            await hearing.final()
        hearing.close()


class TestScripted:
    async def test_it_hears_the_script_over_the_audio_fed(self):
        """All words, evenly spread, inside the audio."""
        heard = await listen(ScriptedEars("hello there you"), bytes(32000 * 3))
        assert heard.text == "hello there you"
        assert [word[1:3] for word in heard.words] == [
            pytest.approx(times) for times in ((0, 1), (1, 2), (2, 3))
        ]
        assert heard.confidence == 1

    async def test_interims_hear_no_more_than_there_was_time_for(self):
        """A word takes a third of a second; nothing fed is nothing heard."""
        hearing = ScriptedEars("one two three").open(sample_rate=8000, encoding="mulaw")
        assert await hearing.interim() == ""
        assert (await hearing.final()).text == ""
        hearing.feed(bytes(8000 * 7 // 10))
        assert await hearing.interim() == "one two"
        hearing.feed(bytes(8000))
        assert await hearing.interim() == "one two three"

    async def test_a_function_hears_by_the_seconds(self):
        """The script may follow the audio."""
        ears = ScriptedEars(lambda seconds: f"{seconds:.1f} seconds")
        assert (await listen(ears, bytes(3200 * 5))).text == "0.5 seconds"

    async def test_no_script_is_silence(self):
        """Nothing to hear is an empty transcript."""
        assert (await listen(ScriptedEars(None), bytes(32000))).text == ""
        hearing = ScriptedEars("one").open(sample_rate=8000)
        hearing.feed(bytes(8000))
        hearing.close()
        assert (await hearing.final()).text == ""

    async def test_it_refuses_what_real_ears_refuse(self):
        """A test with tones finds the same format errors."""
        with pytest.raises(UnsupportedFormat):
            ScriptedEars("one").open(sample_rate=8000, encoding="opus")
