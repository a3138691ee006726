"""The same speech and the same transcription asked for by us and by the vendor's SDK."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from requests_alike import differences
from vendors import sdk_of

from voicekit.clients.openai import AzureOpenAIClient, OpenAIClient
from voicekit.emulator import Emulator
from voicekit.speech import AudioClip, AudioFormat

openai = sdk_of("openai")

pytestmark = [pytest.mark.anyio, pytest.mark.sdk, pytest.mark.emulated]

CLIP = AudioClip(data=bytes(32_000), format=AudioFormat.parse("pcm_16000"))
WAV = CLIP.wav()
FILE = ("audio.wav", WAV, "audio/wav")
VOICE = {"model": "gpt-4o-mini-tts", "voice": "alloy"}

Call = Callable[[Any], Awaitable[Any]]


async def both(operation: str, ours: Call, theirs: Call) -> dict[str, tuple[Any, Any]]:
    """What differs between our request and the SDK's."""
    async with Emulator(providers=("openai",)) as world:
        url = world.openai.url
        async with OpenAIClient("test-key", base_url=url) as client:
            await ours(client)
        async with openai.AsyncOpenAI(api_key="test-key", base_url=url) as sdk:
            await theirs(sdk)
        mine, other = world.journal.requests_for("openai", operation)
        assert (mine.status, other.status) == (200, 200)
        return differences(mine, other)


async def azure(
    operation: str, ours: Call, theirs: Call, **options: Any
) -> dict[str, tuple[Any, Any]]:
    """The same of Azure's clients, both constructed with the same arguments."""
    async with Emulator(providers=("openai",)) as world:
        given = {
            "azure_endpoint": world.openai.url.removesuffix("/v1"),
            "api_version": "2025-04-01-preview",
            "api_key": "test-key",
        }
        given = {name: each for name, each in {**given, **options}.items() if each is not None}
        async with AzureOpenAIClient(**given) as client:
            await ours(client)
        async with openai.AsyncAzureOpenAI(**given) as sdk:
            await theirs(sdk)
        mine, other = world.journal.requests_for("openai", operation)
        assert (mine.status, other.status) == (200, 200)
        assert mine.path.startswith("/openai/")
        return differences(mine, other)


# -- speech ------------------------------------------------------------------------------------


async def test_speech() -> None:
    """The least: we always say the format, whose default is ours."""
    found = await both(
        "speech",
        lambda c: c.synthesize("Hello.", **VOICE),
        lambda c: c.audio.speech.create(input="Hello.", **VOICE),
    )
    assert found == {"body.response_format": ("pcm", None)}


@pytest.mark.parametrize(("ours", "theirs"), [("pcm_24000", "pcm"), ("wav", "wav"), ("mp3", "mp3")])
async def test_every_option_of_speech(ours: str, theirs: str) -> None:
    """Nothing differs."""
    shared = {**VOICE, "instructions": "Cheerfully.", "speed": 1.5}
    found = await both(
        "speech",
        lambda c: c.synthesize("Grüße “quoted”", format=ours, **shared),
        lambda c: c.audio.speech.create(input="Grüße “quoted”", response_format=theirs, **shared),
    )
    assert found == {}


async def test_a_voice_of_ones_own_and_the_escape_hatches() -> None:
    """Query, headers and body, as the SDK's own extras."""
    shared = {
        **VOICE,
        "voice": {"id": "voice_1"},
        "extra_query": {"a": "1"},
        "extra_headers": {"X-Mine": "yes"},
        "extra_body": {"speed": 0.5},
    }
    found = await both(
        "speech",
        lambda c: c.synthesize("Hello.", **shared),
        lambda c: c.audio.speech.create(input="Hello.", response_format="pcm", **shared),
    )
    assert found == {}


# -- transcription -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"model": "gpt-transcribe"}, {}),
        (
            {
                "model": "gpt-transcribe",
                "languages": ["en", "de"],
                "keywords": ["voicekit"],
                "prompt": "A call.",
                "temperature": 0.5,
                "chunking_strategy": "auto",
            },
            {},
        ),
        (
            {
                "model": "gpt-4o-transcribe",
                "language": "en",
                "include": ["logprobs"],
                "chunking_strategy": {"type": "server_vad", "threshold": 0.4},
            },
            {},
        ),
        ({"model": "whisper-1", "response_format": "text"}, {}),
        ({"model": "whisper-1", "response_format": "srt"}, {}),
        ({"model": "whisper-1", "response_format": "vtt"}, {}),
        (
            {"model": "whisper-1", "timestamps": ["word", "segment"]},
            {
                "model": "whisper-1",
                "response_format": "verbose_json",
                "timestamp_granularities": ["word", "segment"],
            },
        ),
        (
            {
                "model": "gpt-4o-transcribe-diarize",
                "diarize": True,
                "known_speaker_names": ["Ann", "Bob"],
                "known_speaker_references": ["data:audio/wav;base64,UklGRg==", "data:,x"],
            },
            {
                "model": "gpt-4o-transcribe-diarize",
                "response_format": "diarized_json",
                "chunking_strategy": "auto",
                "known_speaker_names": ["Ann", "Bob"],
                "known_speaker_references": ["data:audio/wav;base64,UklGRg==", "data:,x"],
            },
        ),
        ({"model": "gpt-transcribe", "extra_body": {"temperature": 0}}, {}),
    ],
)
async def test_a_transcription(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Form, fields and file: nothing differs."""
    found = await both(
        "transcriptions",
        lambda c: c.transcribe(CLIP, **ours),
        lambda c: c.audio.transcriptions.create(file=FILE, **(theirs or ours)),
    )
    assert found == {}


async def test_a_speaker_needs_chunks() -> None:
    """Which we ask for unasked: the vendor refuses more than 30 s without."""
    model = "gpt-4o-transcribe-diarize"
    found = await both(
        "transcriptions",
        lambda c: c.transcribe(CLIP, model=model, diarize=True),
        lambda c: c.audio.transcriptions.create(
            file=FILE, model=model, response_format="diarized_json"
        ),
    )
    assert found == {"body.chunking_strategy": ("auto", None)}


async def test_a_streamed_transcription() -> None:
    """Nothing differs."""

    async def theirs(sdk: Any) -> None:
        async for _ in await sdk.audio.transcriptions.create(
            file=FILE, model="gpt-4o-transcribe", stream=True, include=["logprobs"]
        ):
            pass

    found = await both(
        "transcriptions",
        lambda c: c.stream_transcription(
            WAV, model="gpt-4o-transcribe", include=["logprobs"]
        ).result(),
        theirs,
    )
    assert found == {}


async def test_a_file_by_its_path(tmp_path: Any) -> None:
    """Its own name; a WAV's type by its registered name, where the SDK asks the system."""
    path = tmp_path / "a call.wav"
    path.write_bytes(WAV)
    found = await both(
        "transcriptions",
        lambda c: c.transcribe(path, model="gpt-transcribe"),
        lambda c: c.audio.transcriptions.create(file=path, model="gpt-transcribe"),
    )
    assert found.pop("body.file.type", None) in {None, ("audio/wav", "audio/x-wav")}
    assert found == {}


# -- Azure -------------------------------------------------------------------------------------

ASKED = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"azure_deployment": "one-for-all"},
        {"api_key": None, "azure_ad_token": "token"},
        {"organization": "org-1"},
    ],
)
async def test_chat_at_azure(options: dict[str, Any]) -> None:
    """Address, version, credential and body are the SDK's."""
    found = await azure(
        "chat",
        lambda c: c.chat(ASKED, model="my deployment"),
        lambda c: c.chat.completions.create(messages=ASKED, model="my deployment"),
        **options,
    )
    assert found == {}


async def test_responses_at_azure() -> None:
    """No deployment in the address, even of a client that has one; the model names it."""
    found = await azure(
        "responses",
        lambda c: c.respond("Hello", model="d"),
        lambda c: c.responses.create(input="Hello", model="d"),
        azure_deployment="fixed",
    )
    assert found == {}


async def test_a_token_for_each_request_at_azure() -> None:
    """From an async callable, as a bearer's."""

    async def token() -> str:
        return "fresh"

    found = await azure(
        "chat",
        lambda c: c.chat(ASKED, model="d"),
        lambda c: c.chat.completions.create(messages=ASKED, model="d"),
        api_key=None,
        azure_ad_token_provider=token,
    )
    assert found == {}


async def test_a_base_url_of_azure() -> None:
    """In place of the endpoint, a deployment included."""
    async with Emulator(providers=("openai",)) as world:
        base_url = world.openai.url.removesuffix("/v1") + "/openai/deployments/fixed"
        given = {"base_url": base_url, "api_version": "v", "api_key": "k"}
        async with AzureOpenAIClient(**given) as client:
            await client.chat(ASKED, model="m", extra_query={"a": "1"})
        async with openai.AsyncAzureOpenAI(**given) as sdk:
            await sdk.chat.completions.create(messages=ASKED, model="m", extra_query={"a": "1"})
        mine, other = world.journal.requests_for("openai", "chat")
        assert differences(mine, other) == {}


@pytest.mark.parametrize("deployment", [None, "heard"])
async def test_speech_and_transcription_at_azure(deployment: str | None) -> None:
    """The same addresses, with a body of either kind."""
    found = await azure(
        "speech",
        lambda c: c.synthesize("Hello.", **VOICE),
        lambda c: c.audio.speech.create(input="Hello.", response_format="pcm", **VOICE),
        azure_deployment=deployment,
    )
    assert found == {}
    found = await azure(
        "transcriptions",
        lambda c: c.transcribe(CLIP, model="whisper"),
        lambda c: c.audio.transcriptions.create(file=FILE, model="whisper"),
        azure_deployment=deployment,
    )
    assert found == {}
