"""Whatever changes the sound is in the key: of each option of each provider, somebody decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import pytest

from voicekit import (
    DeepgramClient,
    ElevenLabsClient,
    InvalidArgumentError,
    Limits,
    OpenAIClient,
    SpeechCache,
    VoiceSettings,
)
from voicekit.clients.deepgram.speech import options as deepgram
from voicekit.clients.elevenlabs import options as elevenlabs
from voicekit.clients.openai import speech_options as openai
from voicekit.resilience import NO_POLICIES

KEY = "key-of-a-test"
TEXT = "One moment, please. I will look that up for you. " * 3

EXTRAS: Mapping[str, tuple[Any, Any]] = {
    "extra_query": ({"a": "1"}, {"a": "2"}),
    "extra_headers": ({"X-A": "1"}, {"X-A": "2"}),
    "extra_body": ({"a": 1}, {"a": 2}),
}
OF_THE_CALL = {
    "limits": (Limits(total=9.0), "how long is waited changes nothing of what is said"),
    "policies": (NO_POLICIES, "how often it is tried changes nothing of what is said"),
}

# For each option: two values that sound different, or differ in what comes with the sound.
IN_THE_KEY: Mapping[str, Mapping[str, tuple[Any, Any]]] = {
    "elevenlabs": {
        **EXTRAS,
        "voice": ("one", "other"),
        "model": ("eleven_flash_v2_5", "eleven_multilingual_v2"),
        "format": ("pcm_24000", "pcm_16000"),
        "voice_settings": (VoiceSettings(speed=1.0), VoiceSettings(speed=1.1)),
        "language_code": ("en", "de"),
        "pronunciation_dictionary_locators": (
            [{"pronunciation_dictionary_id": "a"}],
            [{"pronunciation_dictionary_id": "b"}],
        ),
        "seed": (1, 2),
        "apply_text_normalization": ("on", "off"),
        "apply_language_text_normalization": (True, False),
        "enable_logging": (True, False),
        "optimize_streaming_latency": (0, 4),
        "previous_text": ("Well.", "Oh."),
        "next_text": ("Well.", "Oh."),
        "previous_request_ids": (["a"], ["b"]),
        "next_request_ids": (["a"], ["b"]),
        "timestamps": (True, False),
        "alignment": ("original", "normalized"),
        "split": (60, 90),
        "use_pvc_as_ivc": (True, False),
        "audio_effects": ({"a": 1}, {"a": 2}),
    },
    "deepgram": {
        **EXTRAS,
        "model": ("aura-2-thalia-en", "aura-2-apollo-en"),
        "format": ("pcm_24000", "pcm_16000"),
        "speed": (1.0, 1.1),
        "mip_opt_out": (True, False),
        "tag": ("a", "b"),
        "split": (60, 90),
    },
    "openai": {
        **EXTRAS,
        "model": ("tts-1", "tts-1-hd"),
        "voice": ("alloy", "echo"),
        "format": ("pcm_24000", "mp3"),
        "instructions": ("gently", "firmly"),
        "speed": (1.0, 1.1),
        "split": (60, 90),
    },
}

# For each option: a value, and why it may be left out of the key.
NOT_IN_THE_KEY: Mapping[str, Mapping[str, tuple[Any, str]]] = {
    "elevenlabs": {
        **OF_THE_CALL,
        "resume": (True, "what was resumed is never kept, so what is kept is as without it"),
    },
    "deepgram": {
        **OF_THE_CALL,
        "callback_method": ("PUT", "of a callback, with which a whole text is refused"),
        "resume": (True, "what was resumed is never kept, so what is kept is as without it"),
    },
    "openai": {
        **OF_THE_CALL,
        "resume": (True, "what was resumed is never kept, so what is kept is as without it"),
    },
}

# For each option: a value. A whole text, which is all that a cache sees, is refused with it.
NOT_OF_A_WHOLE_TEXT: Mapping[str, Mapping[str, Any]] = {
    "elevenlabs": {
        "auto_mode": True,
        "chunk_length_schedule": (100,),
        "sync_alignment": True,
        "enable_ssml_parsing": True,
        "socket": "stream-input",
        "inactivity_timeout": 20,
        "max_buffered_s": 10.0,
    },
    "deepgram": {
        "max_buffered_s": 10.0,
        "callback": "https://example.com/",
    },
    "openai": {},
}

NEEDS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("elevenlabs", "alignment"): {"timestamps": True},
    ("elevenlabs", "resume"): {"timestamps": True},
    ("elevenlabs", "seed"): {},
    ("deepgram", "resume"): {"split": 60},
    ("openai", "resume"): {"split": 60},
    ("openai", "instructions"): {"model": "gpt-4o-mini-tts"},
}

OPTIONS: Mapping[str, Any] = {
    "elevenlabs": elevenlabs.SpeechOptions,
    "deepgram": deepgram.SpeechOptions,
    "openai": openai.SpeechOptions,
}
CLIENTS: Mapping[str, Callable[[], Any]] = {
    "elevenlabs": lambda: ElevenLabsClient(KEY, voice="someone"),
    "deepgram": lambda: DeepgramClient(KEY).as_synthesizer(),
    "openai": lambda: OpenAIClient(
        KEY, model="m", speech={"model": "tts-1", "voice": "alloy"}
    ).as_synthesizer(),
}


def key(provider: str, **options: Any) -> tuple[str, ...]:
    """Where the cache would look for it."""
    cache = SpeechCache(CLIENTS[provider]())
    return tuple(Fixed(cache).asked(cache.request(TEXT, **options)))


class Fixed:
    """The keys of a cache, as if all caches had one secret."""

    def __init__(self, cache: SpeechCache) -> None:
        from voicekit.cache.keys import Keys

        self._answers = cache._answers
        self._answers._keys = Keys("speech", "one")

    def asked(self, request: Any) -> list[str]:
        return list(self._answers.asked(request).by_key)


@pytest.mark.parametrize("provider", OPTIONS)
def test_of_each_option_somebody_has_decided(provider: str) -> None:
    """A new one fails here until it is in one of the lists."""
    offered = set(get_type_hints(OPTIONS[provider]))
    lists = [IN_THE_KEY[provider], NOT_IN_THE_KEY[provider], NOT_OF_A_WHOLE_TEXT[provider]]
    decided = [name for each in lists for name in each]
    assert set(decided) == offered
    assert len(decided) == len(set(decided))


@pytest.mark.parametrize(
    ("provider", "option"), [(p, option) for p, each in IN_THE_KEY.items() for option in each]
)
def test_what_changes_the_sound_changes_the_key(provider: str, option: str) -> None:
    """And the same option makes the same key."""
    beside = NEEDS.get((provider, option), {})
    one, other = IN_THE_KEY[provider][option]
    assert key(provider, **{**beside, option: one}) != key(provider, **{**beside, option: other})
    assert key(provider, **{**beside, option: one}) == key(provider, **{**beside, option: one})


@pytest.mark.parametrize(
    ("provider", "option"), [(p, option) for p, each in NOT_IN_THE_KEY.items() for option in each]
)
def test_what_does_not_finds_the_same(provider: str, option: str) -> None:
    """With it or without."""
    beside = NEEDS.get((provider, option), {})
    value, why = NOT_IN_THE_KEY[provider][option]
    assert why
    assert key(provider, **beside, **{option: value}) == key(provider, **beside)


@pytest.mark.parametrize(
    ("provider", "option"),
    [(p, option) for p, each in NOT_OF_A_WHOLE_TEXT.items() for option in each],
)
def test_what_is_of_no_whole_text_is_refused(provider: str, option: str) -> None:
    """A cache never sees a speech with it."""
    cache = SpeechCache(CLIENTS[provider]())
    with pytest.raises(InvalidArgumentError, match=option):
        cache.stream_speech(TEXT, **{option: NOT_OF_A_WHOLE_TEXT[provider][option]})


def test_where_it_is_made_is_in_the_key() -> None:
    """Two servers may have voices of one name."""
    told = {"model": "tts-1", "voice": "alloy"}
    keys = set()
    for base_url in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
        client = OpenAIClient(KEY, model="m", speech=told, base_url=base_url)
        cache = SpeechCache(client.as_synthesizer())
        keys.update(Fixed(cache).asked(cache.request(TEXT)))
    assert len(keys) == 2
