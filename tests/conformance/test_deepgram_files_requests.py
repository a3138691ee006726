"""Our requests about recordings and for tokens beside the vendor's SDK's: what differs, and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from requests_alike import differences
from test_deepgram_files_sdk import URL, wav
from vendors import sdk_of

from voicekit import AudioURL, DeepgramClient
from voicekit.emulator import Emulator, Scenario

deepgram = sdk_of("deepgram")

if TYPE_CHECKING:
    from voicekit.emulator.journal import RequestRecord

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.sdk,
    pytest.mark.emulated,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:deepgram.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:websockets.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
    pytest.mark.filterwarnings("ignore:.*websockets.legacy.*:DeprecationWarning"),
]

KEY = "the-same-key"
OPTIONS: dict[str, Any] = {
    "model": "nova-3",
    "language": "en",
    "smart_format": True,
    "punctuate": False,
    "utterances": True,
    "utt_split": 1.25,
    "paragraphs": True,
    "diarize_model": "v2",
    "multichannel": True,
    "detect_language": True,
    "keyterm": ["voice kit", "häuser"],
    "search": ["tea & milk", "refund"],
    "replace": ["tea:coffee"],
    "redact": "pci",
    "summarize": "v2",
    "sentiment": True,
    "topics": True,
    "intents": True,
    "custom_topic": ["a", "b"],
    "custom_topic_mode": "strict",
    "custom_intent": "c",
    "custom_intent_mode": "extended",
    "filler_words": True,
    "measurements": True,
    "tag": ["t1", "t2"],
    "extra": ["k:v"],
    "mip_opt_out": True,
}

Call = Callable[[Any], Awaitable[Any]]


async def both(operation: str, ours: Call, theirs: Call) -> tuple[RequestRecord, RequestRecord]:
    """The same call through both, against one emulator."""
    scenario = Scenario(name="alike", heard="good morning")
    async with Emulator(providers=("deepgram",), scenario=scenario) as world:
        async with DeepgramClient(KEY, base_url=world.deepgram.url) as mine:
            await ours(mine)
        async with httpx.AsyncClient() as http:
            settings = {**world.sdk("deepgram"), "api_key": KEY}
            await theirs(deepgram.AsyncDeepgramClient(**settings, httpx_client=http))
        mine_record, their_record = world.journal.requests_for("deepgram", operation)
        return mine_record, their_record


async def test_a_recording() -> None:
    """Every option in the same words; the body byte for byte."""
    ours, theirs = await both(
        "listen",
        lambda stt: stt.transcribe(wav(), **OPTIONS),
        lambda sdk: sdk.listen.v1.media.transcribe_file(request=wav(), **OPTIONS),
    )
    assert differences(ours, theirs) == {
        # We say what the bytes are; the SDK never does. The vendor looks for itself.
        "header.content-type": ("audio/wav", "application/octet-stream"),
    }
    assert set(ours.query) == set(OPTIONS)


async def test_headerless_audio() -> None:
    """A format of ours is the vendor's two or three parameters."""
    raw = wav()[44:]
    ours, theirs = await both(
        "listen",
        lambda stt: stt.transcribe(raw, format="mulaw_8000"),
        lambda sdk: sdk.listen.v1.media.transcribe_file(
            request=raw,
            model="nova-3",
            encoding="mulaw",
            # The SDK has no parameter of that name, and the vendor cannot do without.
            request_options={"additional_query_parameters": {"sample_rate": 8000}},
        ),
    )
    assert differences(ours, theirs) == {}


async def test_an_address() -> None:
    """The same JSON."""
    ours, theirs = await both(
        "listen",
        lambda stt: stt.transcribe(AudioURL(URL), **OPTIONS),
        lambda sdk: sdk.listen.v1.media.transcribe_url(url=URL, **OPTIONS),
    )
    assert differences(ours, theirs) == {}


async def test_a_callback() -> None:
    """The same parameters."""
    hook = "https://example.com/hook?a=b&c=d"
    ours, theirs = await both(
        "listen",
        lambda stt: stt.submit_transcription(AudioURL(URL), callback=hook, callback_method="PUT"),
        lambda sdk: sdk.listen.v1.media.transcribe_url(
            url=URL, model="nova-3", callback=hook, callback_method="PUT"
        ),
    )
    assert differences(ours, theirs) == {}


async def test_the_model_is_named() -> None:
    """The one thing that we add: without a model the vendor takes an old one."""
    ours, theirs = await both(
        "listen",
        lambda stt: stt.transcribe(AudioURL(URL)),
        lambda sdk: sdk.listen.v1.media.transcribe_url(url=URL),
    )
    assert differences(ours, theirs) == {"query.model": ("nova-3", None)}


async def test_a_token() -> None:
    """The same JSON; and ours when nothing is asked for, which is the vendor's default."""
    ours, theirs = await both(
        "grant",
        lambda stt: stt.grant_token(60),
        lambda sdk: sdk.auth.v1.tokens.grant(ttl_seconds=60),
    )
    assert differences(ours, theirs) == {}
    ours, theirs = await both(
        "grant", lambda stt: stt.grant_token(), lambda sdk: sdk.auth.v1.tokens.grant()
    )
    assert differences(ours, theirs) == {"body.ttl_seconds": (30, None)}
