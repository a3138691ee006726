"""The real voice: says the text, at the rate asked for, the same every time."""

from __future__ import annotations

import asyncio
from array import array

import pytest

from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.pcm_cache import PcmCache
from voicekit.emulator.speech_process import SpeechProcess
from voicekit.emulator.voice import EspeakVoice, RealSpeech

pytestmark = pytest.mark.anyio

ANSWERS = (
    """We are open from nine in the morning until six in the evening on weekdays, and from ten
until four on Saturdays. We are closed on Sundays.""",
    """I heard you say: he might even have been made amiable himself. Shall I read on? Well then,
here is a long sentence that does not pause at all and just goes on and on until the end""",
    "One. Two. Three. Four. Five. Six. Seven. Eight. Nine. Ten. Eleven. Twelve. Thirteen.",
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"  # for a whole module, because it shares one worker


@pytest.fixture(scope="module")
async def worker():
    pytest.importorskip("espeakng_loader")
    process = SpeechProcess("voice")
    await process.start()
    yield process
    await process.aclose()


@pytest.fixture
def voice(worker):
    return EspeakVoice(worker)


async def seconds(voice: EspeakVoice, text: str, rate: int = 16000) -> float:
    pcm = await voice.speak(text, voice_id="v", sample_rate=rate)
    return len(pcm) / 2 / rate


def parts(text: str, least: int) -> list[str]:
    """Cut as a text-chunk schedule does: at the first word's end from ``least`` characters on."""
    out, current = [], ""
    for word in text.split():
        current = f"{current} {word}".strip()
        if len(current) >= least:
            out.append(current)
            current = ""
    return [*out, current] if current else out


async def test_sentences_keep_the_pause_after_them(voice):
    """Read one by one they take as long as together, however short."""
    text = ANSWERS[2]
    whole = await seconds(voice, text)
    pieces = [await seconds(voice, sentence) for sentence in text.split()]
    assert sum(pieces) == pytest.approx(whole, rel=0.1)


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("least", [50, 80, 120])
async def test_the_parts_take_as_long_as_the_whole(voice, text, least):
    """Speech made piece by piece is within a tenth of the voice's own reading."""
    whole = await seconds(voice, text)
    pieces = [await seconds(voice, part) for part in parts(text, least)]
    assert sum(pieces) == pytest.approx(whole, rel=0.1)


async def test_it_reads_at_the_speed_of_speech(voice):
    """Between 45 and 80 ms per character."""
    for text in ANSWERS[:2]:
        assert 0.045 < await seconds(voice, text) / len(text) < 0.080


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000])
async def test_the_rate_changes_only_the_rate(voice, rate):
    """The same reading at any sample rate: as long, as loud."""
    reference = array("h", await voice.speak("Good morning.", voice_id="v", sample_rate=22050))
    pcm = array("h", await voice.speak("Good morning.", voice_id="v", sample_rate=rate))
    assert len(pcm) / rate == pytest.approx(len(reference) / 22050, abs=0.001)
    assert max(pcm) == pytest.approx(max(reference), rel=0.3)
    assert max(pcm) > 5000


async def test_a_reading_depends_on_nothing_but_its_arguments(worker):
    """Not on what was read before, not on the process: two workers, one answer."""
    text = ANSWERS[0]

    async def read(process: SpeechProcess, what: str) -> bytes:
        voice = EspeakVoice(process, cache=PcmCache(0))
        return await voice.speak(what, voice_id="v", sample_rate=24000)

    first = await read(worker, text)
    await read(worker, "Something else, and longer, in between.")
    assert await read(worker, text) == first
    other = SpeechProcess("voice")
    await other.start()
    try:
        assert await read(other, text) == first
    finally:
        await other.aclose()


async def test_what_was_said_is_remembered():
    """The second time needs no worker; another voice or rate is another reading."""
    pytest.importorskip("espeakng_loader")
    worker = SpeechProcess("voice")
    await worker.start()
    voice = EspeakVoice(worker)

    async def readings() -> list[bytes]:
        return [
            await voice.speak("Hello", voice_id=who, sample_rate=rate)
            for who in ("rachel", "thalia")
            for rate in (16000, 24000)
        ]

    said = await readings()
    await worker.aclose()
    assert len(set(said)) == 4
    assert await readings() == said


@pytest.mark.parametrize(
    "text", ["", "  \n", "...", "\0", "世界", "😀", "\ud83d", "<speak>Hi</speak>"]
)
async def test_any_text_is_taken(voice, text):
    """Whatever a client sends is read, or is silence; never an error."""
    pcm = await voice.speak(text, voice_id="v", sample_rate=8000)
    assert len(pcm) % 2 == 0
    assert (len(pcm) > 0) == any(character.isalpha() or character == "😀" for character in text)


async def test_real_speech_starts_both_and_ends_both():
    """One context manager, and nothing left behind."""
    pytest.importorskip("espeakng_loader")
    pytest.importorskip("pocketsphinx")
    before = asyncio.all_tasks()
    async with RealSpeech() as speech:
        pcm = await speech.voice.speak("Good morning.", voice_id="v", sample_rate=16000)
        hearing = speech.ears.open(sample_rate=16000)
        hearing.feed(pcm)
        assert (await hearing.final()).words
    assert asyncio.all_tasks() == before
    with pytest.raises(EmulatorError, match="closed"):
        await speech.voice.speak("Hello again", voice_id="v", sample_rate=16000)
    with pytest.raises(EmulatorError, match="closed"):
        await hearing.final()


async def test_if_one_of_them_cannot_start_neither_stays(monkeypatch):
    """Ears without a voice are of no use, and must not linger."""
    pytest.importorskip("pocketsphinx")
    speech = RealSpeech()
    pids = []

    async def fail(self: SpeechProcess) -> None:
        pids.append(self.pid)
        raise EmulatorError("no voice")

    monkeypatch.setattr(speech._speaking, "start", fail.__get__(speech._speaking))
    with pytest.raises(EmulatorError, match="no voice"):
        await speech.__aenter__()
    assert pids == [None]
    assert "closed" in repr(speech._listening) or "not started" in repr(speech._listening)
