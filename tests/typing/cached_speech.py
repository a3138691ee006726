"""A cache of speech as type checkers see it."""

from __future__ import annotations

from typing import assert_type

from voicekit import ElevenLabsClient, SpeechCache, Synthesizer
from voicekit.speech import AudioChunk, AudioClip
from voicekit.streams import SpeechStream


async def speak() -> None:
    """A text gives a stream that is entered; the cache is a synthesizer."""
    cache = SpeechCache(ElevenLabsClient(voice="v"))
    tts: Synthesizer = cache
    assert_type(await tts.synthesize("x"), AudioClip)
    async with cache.stream_speech("x") as speech:
        assert_type(speech, SpeechStream)
        async for chunk in speech:
            assert_type(chunk, AudioChunk)
    async with cache.stream_speech(cache.request("x")) as again:
        assert_type(again.cache, str | None)
