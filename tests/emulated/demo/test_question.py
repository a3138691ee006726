"""The question: what is taken, what is refused, and that another voice's question is heard."""

from __future__ import annotations

import asyncio
import io
import re
import sys
import wave
from array import array
from pathlib import Path

import pytest
from demo_process import run_demo

from voicekit import InvalidArgumentError
from voicekit.demo.question import FRAME_S, load_question
from voicekit.emulator.voice import RealSpeech


def _wav(
    samples: bytes = b"\1\0" * 1600, *, rate: int = 16000, channels: int = 1, width: int = 2
) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return held.getvalue()


def test_the_built_in_question() -> None:
    """16 kHz mono in 20 ms frames; its words are known."""
    question = load_question()
    assert question.said == "What are your opening hours today"
    assert question.format.name == "pcm_16000"
    assert {len(frame) for frame in question.frames} == {640}
    assert 2.3 < question.duration_s < 2.5


def test_a_python_without_lzma(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are built without: one line says what to do."""
    monkeypatch.setitem(sys.modules, "lzma", None)
    with pytest.raises(InvalidArgumentError, match=r"^question: .* lzma.*a PCM16 WAV file"):
        load_question()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_pcm16_wav_becomes_frames(tmp_path: Path, rate: int, channels: int) -> None:
    """Nothing is lost, whole samples only, the last frame is filled with silence."""
    samples = array("h", range(rate // 3 * channels)).tobytes()
    path = tmp_path / "mine.wav"
    path.write_bytes(_wav(samples, rate=rate, channels=channels))
    question = load_question(path)
    joined = b"".join(question.frames)
    assert question.said is None
    assert (question.format.sample_rate_hz, question.format.channels) == (rate, channels)
    assert joined[: len(samples)] == samples
    assert not any(joined[len(samples) :])
    assert {len(frame) for frame in question.frames} == {round(rate * FRAME_S) * 2 * channels}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a PCM16 WAV"),
        (b"hello" * 100, "not a PCM16 WAV"),
        (b"RIFF\x24\0\0\0WAVE", "not a PCM16 WAV"),
        (_wav()[:30], "not a PCM16 WAV"),
        (_wav(b"\0" * 4800, width=3), "24-bit"),
        (_wav(b"\0" * 4800, width=1), "8-bit"),
        (_wav(rate=96000), "96000 Hz"),
        (_wav(rate=4000), "4000 Hz"),
        (_wav(b"\0" * 4800, channels=4), "4 channels"),
        (_wav(b""), "holds no sound"),
        (_wav(b"\0" * (2 * 8000 * 61), rate=8000), "too long"),
        (_wav(b"\0" * (1 << 24)), "too long"),
    ],
    ids=[
        "empty", "text", "cut-header", "cut-format", "24-bit", "8-bit", "96-kHz", "4-kHz",
        "four-channels", "no-samples", "61-seconds", "16-megabytes",
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """The error names the argument, what is wrong with the file, and what is allowed."""
    path = tmp_path / "mine.wav"
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=reason) as caught:
        load_question(path)
    assert str(caught.value).startswith("question: ")
    assert "allowed: a PCM16 WAV file, 8 to 48 kHz, mono or stereo" in str(caught.value)


@pytest.mark.parametrize("name", ["missing.wav", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """Missing, or a directory: the same typed error."""
    with pytest.raises(InvalidArgumentError, match="question: cannot be read"):
        load_question(tmp_path / name)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--question", "missing.wav"), "question: cannot be read"),
        (("--output", "answer.mp3"), "--output answer.mp3"),
        (("--output", "nowhere/answer.wav"), "--output nowhere/answer.wav"),
        (("--live",), "--live needs --model"),
        (("--live", "--model", "m"), "DEEPGRAM_API_KEY"),
    ],
)
def test_a_refusal_is_one_line_and_code_2(arguments: tuple[str, ...], says: str) -> None:
    """Nothing on stdout, one line on stderr, before anything was started."""
    ran = run_demo("--json", *arguments)
    assert ran.code == 2
    assert ran.stdout == ""
    assert says in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.xdist_group("demo")
@pytest.mark.timeout(150)
def test_another_spoken_wav_is_heard_and_answered(tmp_path: Path) -> None:
    """44.1 kHz stereo, another voice, other words: what it hears is in the audio alone."""
    pytest.importorskip("espeakng_loader", reason="needs the demo extra")
    pytest.importorskip("pocketsphinx", reason="needs the demo extra")
    pytest.importorskip("trustme", reason="needs the demo extra")

    async def spoken() -> bytes:
        async with RealSpeech() as speech:
            return await speech.voice.speak(
                "what are your opening hours on sunday", voice_id="v", sample_rate=44100
            )

    one = array("h", asyncio.run(spoken()))
    both = array("h", bytes(4 * len(one)))
    both[0::2] = both[1::2] = one
    path = tmp_path / "mine.wav"
    path.write_bytes(_wav(both.tobytes(), rate=44100, channels=2))
    ran = run_demo("--json", "--question", str(path))
    assert ran.code == 0, ran.stderr
    assert ran.document["question"]["said"] is None
    heard = re.findall(r"[a-z]+", ran.document["question"]["heard"].lower())
    assert {"opening", "hours", "sunday"} <= set(heard)
    assert "open" in ran.document["answer"]["text"]
    assert ran.document["turns"][1]["new_connections_on_turn"] == 0
