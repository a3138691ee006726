"""The same speech, voices and models asked for by us and by the vendor's SDK: what differs, why."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from requests_alike import differences
from vendors import sdk_of

from voicekit.clients.elevenlabs import ElevenLabsClient
from voicekit.emulator import Emulator

elevenlabs = sdk_of("elevenlabs")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.sdk,
    pytest.mark.emulated,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:elevenlabs.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

VOICE = "21m00Tcm4TlvDq8ikWAM"
TEXT = "Your order has shipped. It comes on day 5: über alles 😀."

# Every field of the SDK's signature that HTTP has, with a value of its own; but the one by which
# nothing is stored, without which there are no request ids to name.
SHARED: dict[str, Any] = {
    "language_code": "en",
    "pronunciation_dictionary_locators": [
        {"pronunciation_dictionary_id": "p", "version_id": "v"},
        {"pronunciation_dictionary_id": "q"},
    ],
    "seed": 7,
    "previous_text": "Before.",
    "next_text": "After.",
    "previous_request_ids": ["a", "b"],
    "next_request_ids": ["c"],
    "apply_text_normalization": "off",
    "apply_language_text_normalization": True,
    "use_pvc_as_ivc": True,
    "optimize_streaming_latency": 3,
    "audio_effects": {"filter_preset_id": "phone", "distance": 0.5, "pan": -0.5},
}
UNLOGGED: dict[str, Any] = {"enable_logging": False, "previous_text": "Before."}
SETTINGS = {
    "stability": 0.5,
    "similarity_boost": 0.75,
    "style": 0.1,
    "use_speaker_boost": False,
    "speed": 1.1,
    "clone_strength": 0.4,
}

FILTERS: dict[str, Any] = {
    "search": "clone",
    "page_size": 9,
    "sort": "name",
    "sort_direction": "desc",
    "voice_type": "personal",
    "category": "cloned",
    "fine_tuning_state": "fine_tuned",
    "collection_id": "c",
    "gender": "female",
    "age": "young",
    "language": "en",
    "accent": "irish",
    "use_cases": ["narration", "news"],
    "min_notice_period_days": 30,
    "include_custom_rates": True,
    "include_live_moderated": False,
    "high_quality": True,
    "include_total_count": True,
    "voice_ids": ["x", "y"],
}

# We always name the model and the format, where the vendor's defaults are a slow model and MP3.
ALWAYS_SENT = {
    "body.model_id": ("eleven_flash_v2_5", None),
    "query.output_format": ("pcm_24000", None),
}


async def both(
    ours: Callable[[ElevenLabsClient], Any], theirs: Callable[[Any], Any]
) -> dict[str, tuple[Any, Any]]:
    async with Emulator(providers=("elevenlabs",), scenario="instant") as world:
        async with ElevenLabsClient(
            "test-key", base_url=world.elevenlabs.url, voice=VOICE
        ) as client:
            await ours(client)
        async with httpx.AsyncClient() as connections:
            sdk = elevenlabs.AsyncElevenLabs(
                base_url=world.elevenlabs.url, api_key="test-key", httpx_client=connections
            )
            result = theirs(sdk)
            if hasattr(result, "__aiter__"):
                [_ async for _ in result]
            else:
                await result
        mine, other = world.journal.requests_for("elevenlabs")
        return differences(mine, other)


async def spoken(client: ElevenLabsClient, **options: Any) -> None:
    async with client.stream_speech(TEXT, **options) as speech:
        [_ async for _ in speech]


SPEECH: dict[str, tuple[str, dict[str, Any], str]] = {
    # The SDK's name, our options for that endpoint, and a format that it makes.
    "stream": ("stream", {}, "pcm_16000"),
    "convert": ("convert", {}, "wav_16000"),
    "stream_with_timestamps": ("stream_with_timestamps", {"timestamps": True}, "pcm_16000"),
    "convert_with_timestamps": ("convert_with_timestamps", {"timestamps": True}, "wav_16000"),
}


@pytest.mark.parametrize("shared", [SHARED, UNLOGGED], ids=["shared", "unlogged"])
@pytest.mark.parametrize("name", SPEECH)
async def test_speech_with_every_option(name: str, shared: dict[str, Any]) -> None:
    """Under its name, with the same value, in the same place: nothing differs."""
    method, options, output_format = SPEECH[name]

    async def ours(client: ElevenLabsClient) -> None:
        await client.synthesize(
            TEXT,
            model="eleven_multilingual_v2",
            format=output_format,
            voice_settings=SETTINGS,
            **shared,
            **options,
        )

    found = await both(
        ours,
        lambda sdk: getattr(sdk.text_to_speech, method)(
            VOICE,
            text=TEXT,
            model_id="eleven_multilingual_v2",
            output_format=output_format,
            voice_settings=elevenlabs.VoiceSettings(**SETTINGS),
            **shared,
        ),
    )
    assert found == {}


def test_no_option_is_left_out() -> None:
    """What the SDK's signatures and its settings have is compared, all of it."""
    from elevenlabs.text_to_speech.client import TextToSpeechClient
    from elevenlabs.voices.client import VoicesClient

    elsewhere = {"self", "voice_id", "text", "model_id", "output_format", "voice_settings"}
    for method, *_ in SPEECH.values():
        signature = inspect.signature(getattr(TextToSpeechClient, method))
        assert set(signature.parameters) == {*SHARED, *UNLOGGED, *elsewhere, "request_options"}
    assert set(elevenlabs.VoiceSettings.model_fields) == set(SETTINGS)
    search = inspect.signature(VoicesClient.search)
    assert set(search.parameters) == {*FILTERS, "self", "next_page_token", "request_options"}


@pytest.mark.parametrize("name", ["stream", "stream_with_timestamps"])
async def test_the_least_speech(name: str) -> None:
    """A voice and a text."""
    method, options, _ = SPEECH[name]
    found = await both(
        lambda client: spoken(client, **options),
        lambda sdk: getattr(sdk.text_to_speech, method)(VOICE, text=TEXT),
    )
    assert found == ALWAYS_SENT


async def test_whole_speech_is_asked_of_the_streaming_endpoint() -> None:
    """The least that both do for a whole text: ours is heard sooner, and the audio is the same."""
    found = await both(
        lambda client: client.synthesize(TEXT),
        lambda sdk: sdk.text_to_speech.convert(VOICE, text=TEXT),
    )
    assert found == {
        **ALWAYS_SENT,
        "path": (f"/v1/text-to-speech/{VOICE}/stream", f"/v1/text-to-speech/{VOICE}"),
    }


async def test_pages_of_voices() -> None:
    """Every filter under its name; ours spares the count that costs time, unless asked."""
    found = await both(
        lambda client: _first(client.voices(**FILTERS)),
        lambda sdk: sdk.voices.search(**FILTERS),
    )
    assert found == {}
    found = await both(lambda client: _first(client.voices()), lambda sdk: sdk.voices.search())
    assert found == {"query.include_total_count": ("false", None)}


async def _first(pages: Any) -> Any:
    return await pages


GETS: dict[str, tuple[Callable[[ElevenLabsClient], Any], Callable[[Any], Any]]] = {
    "voice": (lambda client: client.voice(VOICE), lambda sdk: sdk.voices.get(VOICE)),
    "voice_settings": (
        lambda client: client.voice_settings(VOICE),
        lambda sdk: sdk.voices.settings.get(VOICE),
    ),
    "default_voice_settings": (
        lambda client: client.voice_settings(),
        lambda sdk: sdk.voices.settings.get_default(),
    ),
    "models": (lambda client: client.models(), lambda sdk: sdk.models.list()),
    "user": (lambda client: client.user(), lambda sdk: sdk.user.get()),
    "subscription": (
        lambda client: client.subscription(),
        lambda sdk: sdk.user.subscription.get(),
    ),
}


@pytest.mark.parametrize("name", GETS)
async def test_readings(name: str) -> None:
    """Nothing differs."""
    ours, theirs = GETS[name]
    assert await both(ours, theirs) == {}
