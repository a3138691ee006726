"""Resampling: the same sound at another rate."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.emulator.resample import Resampler, resample

RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)


def tone(hz: float, seconds: float, rate: int, *, level: int = 10000) -> array[int]:
    step = 2 * math.pi * hz / rate
    return array("h", [round(level * math.sin(step * i)) for i in range(round(seconds * rate))])


def level(samples: array[int]) -> float:
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


@pytest.mark.parametrize("source", RATES)
@pytest.mark.parametrize("target", RATES)
def test_a_tone_stays_that_tone_without_delay(source, target):
    """Sample for sample what would have been recorded at the other rate: 50 dB alike."""
    heard = array("h", resample(tone(1000, 0.2, source).tobytes(), source, target))
    ideal = tone(1000, 0.2, target)
    assert abs(len(heard) - len(ideal)) <= 1
    inside = slice(len(ideal) // 8, -len(ideal) // 8)
    off = array("h", [a - b for a, b in zip(heard, ideal, strict=False)][inside])
    assert level(off) < level(ideal) / 300


@pytest.mark.parametrize(("lobes", "part"), [(4, 1 / 20), (8, 1 / 200)])
def test_what_the_new_rate_cannot_hold_is_taken_out(lobes, part):
    """No alias: 10 kHz does not come back as 6 kHz at 16 kHz."""
    heard = array("h", resample(tone(10000, 0.2, 48000).tobytes(), 48000, 16000, lobes=lobes))
    assert level(heard[200:-200]) < 7071 * part


@given(
    cuts=st.lists(st.integers(1, 999), max_size=8),
    source=st.sampled_from(RATES),
    target=st.sampled_from(RATES),
)
def test_how_speech_is_cut_into_pieces_changes_no_sample(cuts, source, target):
    """Pieces may end inside samples and at any place of the filter."""
    pcm = tone(700, 0.05, source).tobytes()
    resampler, at, parts = Resampler(source, target), 0, b""
    for cut in cuts:
        parts += resampler.feed(pcm[at : at + cut])
        at += cut
    assert parts + resampler.feed(pcm[at:]) + resampler.flush() == resample(pcm, source, target)


def test_overshoot_is_clipped_not_wrapped():
    """A full-scale square wave rings beyond 16 bits; wrapping would be a loud crack."""
    square = array("h", ([32767] * 50 + [-32768] * 50) * 20)
    heard = array("h", resample(square.tobytes(), 22050, 24000))
    assert max(heard) == 32767
    assert min(heard) == -32768
    crossings = sum((a < 0) != (b < 0) for a, b in pairwise(heard))
    assert crossings == 39


def test_nothing_stays_nothing():
    """An empty utterance has no edge effects."""
    assert resample(b"", 22050, 24000) == b""
