"""Tones: deterministic, as long as speech, and they tell what happened to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.emulator.material import TonesVoice, check_tones, tones
from voicekit.emulator.pcm_cache import PcmCache

TEXTS = ("Hello there.", "How are you?")
PCM = b"".join(tones(text, voice_id="v", sample_rate=8000) for text in TEXTS)


def check(pcm: bytes):
    return check_tones(pcm, TEXTS, voice_id="v", sample_rate=8000)


class TestTones:
    @pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000])
    def test_each_character_takes_sixty_milliseconds(self, rate):
        """Durations can be asserted from the text alone."""
        pcm = tones("0123456789", voice_id="v", sample_rate=rate)
        assert len(pcm) / 2 / rate == pytest.approx(0.6, abs=0.001)

    @pytest.mark.anyio
    async def test_the_voice_is_deterministic(self):
        """Two voices, two runs, one answer; also from its memory."""
        one, other = TonesVoice(), TonesVoice()
        first = await one.speak("Hello", voice_id="v", sample_rate=24000)
        assert await one.speak("Hello", voice_id="v", sample_rate=24000) == first
        assert await other.speak("Hello", voice_id="v", sample_rate=24000) == first
        assert first == tones("Hello", voice_id="v", sample_rate=24000)

    @pytest.mark.parametrize(
        "other", [("Hellp", "v", 8000), ("Hello", "w", 8000), ("Hello", "v", 8000.0)]
    )
    def test_text_and_voice_show_in_the_bytes(self, other):
        """One stream's audio can never pass for another's."""
        text, voice, rate = other
        mine = tones("Hello", voice_id="v", sample_rate=8000)
        theirs = tones(text, voice_id=voice, sample_rate=int(rate))
        same = sum(a == b for a, b in zip(mine[::2], theirs[::2], strict=True))
        assert (same < len(mine) / 20) == ((text, voice) != ("Hello", "v"))

    def test_it_is_quiet_enough_to_listen_to(self):
        """Nobody's ears suffer from a test."""
        assert all(byte < 48 or byte > 207 for byte in PCM[1::2])

    def test_odd_characters_have_tones_too(self):
        """Whatever a client sends is sung."""
        assert len(tones("\ud83d é\0", voice_id="", sample_rate=8000)) == 4 * 480 * 2


class TestCheck:
    def test_whole_audio_passes(self):
        """Nothing is found where nothing is wrong."""
        assert check(PCM) is None
        assert check_tones(b"", [], voice_id="v", sample_rate=8000) is None

    @given(at=st.integers(0, len(PCM) - 100), size=st.integers(1, 64))
    def test_a_lost_stretch_is_found_where_it_was(self, at, size):
        """A single lost byte shows, and how many there were."""
        fault = check(PCM[:at] + PCM[at + size :])
        assert fault is not None
        assert at <= fault.offset <= at + 4
        assert (fault.what, fault.size) == ("lost", size)

    @given(at=st.integers(100, len(PCM) - 100), size=st.integers(40, 99))
    def test_a_doubled_stretch_is_found_where_it_was(self, at, size):
        """A chunk played twice shows."""
        fault = check(PCM[:at] + PCM[at - size : at] + PCM[at:])
        assert fault is not None
        assert at <= fault.offset <= at + 4
        assert (fault.what, fault.size) == ("doubled", size)

    @given(at=st.integers(0, len(PCM) - 1))
    def test_one_doubled_byte_shows(self, at):
        """Even one that happens to repeat its neighbour's value, once lengths differ."""
        fault = check(PCM[: at + 1] + PCM[at:])
        assert fault is not None
        assert at < fault.offset <= at + 4 or at > len(PCM) - 8

    @given(at=st.integers(0, len(PCM) - 202), size=st.integers(20, 100))
    def test_two_chunks_in_the_wrong_order_show(self, at, size):
        """Reordering is found at the first of them."""
        one, two = PCM[at : at + size], PCM[at + size : at + 2 * size]
        fault = check(PCM[:at] + two + one + PCM[at + 2 * size :])
        assert fault is not None
        assert at <= fault.offset <= at + 4

    @given(at=st.integers(0, len(PCM) - 1), bit=st.integers(0, 7))
    def test_one_flipped_bit_shows(self, at, bit):
        """No sample is without its check."""
        fault = check(PCM[:at] + bytes([PCM[at] ^ 1 << bit]) + PCM[at + 1 :])
        assert fault is not None
        assert fault.offset == at

    @pytest.mark.parametrize("missing", [1, 2, 999])
    def test_an_early_end_shows(self, missing):
        """And how much is missing."""
        fault = check(PCM[:-missing])
        assert fault is not None
        assert (fault.what, fault.size, fault.text_index) == ("cut short", missing, 1)

    def test_bytes_after_the_end_show(self):
        """A later utterance's first byte is one too many."""
        fault = check(PCM + b"\0")
        assert fault is not None
        assert (fault.what, fault.offset, fault.text_index) == ("too long", len(PCM), 2)
        assert "too long" in str(fault)


class TestCache:
    def test_the_least_recently_used_makes_room(self):
        """Memory stays within the bound, whatever is said."""
        cache = PcmCache(max_bytes=100)
        for text in "abcd":
            cache.put((text, "v", 8000), bytes(30))
            cache.get(("a", "v", 8000))
        assert cache.size == 90
        assert cache.get(("a", "v", 8000)) is not None
        assert cache.get(("b", "v", 8000)) is None

    def test_what_is_larger_than_the_cache_is_not_kept(self):
        """One long text does not empty it."""
        cache = PcmCache(max_bytes=100)
        cache.put(("a", "v", 8000), bytes(30))
        cache.put(("b", "v", 8000), bytes(101))
        assert (len(cache), cache.size) == (1, 30)

    def test_the_same_again_counts_once(self):
        """Replacing an entry does not leak its size."""
        cache = PcmCache(max_bytes=100)
        for size in (30, 40, 50):
            cache.put(("a", "v", 8000), bytes(size))
        assert (len(cache), cache.size) == (1, 50)
