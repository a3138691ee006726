"""Our live transcription beside the vendor's SDK's: the handshake and every message."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from requests_alike import differences
from vendors import sdk_of

from settling import eventually
from voicekit import DeepgramClient
from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.journal import RequestRecord

deepgram = sdk_of("deepgram")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.sdk,
    pytest.mark.emulated,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:deepgram.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:websockets.*"),
    pytest.mark.filterwarnings("ignore:.*websockets.legacy.*:DeprecationWarning"),
]

KEY = "the-same-key"
FRAME = bytes([1, 0]) * 800  # 50 ms of 16 kHz
OPTIONS: dict[str, Any] = {
    "model": "nova-3",
    "language": "en",
    "interim_results": True,
    "endpointing": 300,
    "utterance_end_ms": 1000,
    "vad_events": True,
    "smart_format": True,
    "punctuate": True,
    "keyterm": ["voicekit", "Aura"],
    "tag": ["t1", "t2"],
}
# The rest of the SDK's signature: what does not go together is apart.
REST: dict[str, dict[str, Any]] = {
    "more": {
        "model": "nova-2",
        "version": "latest",
        "channels": 2,
        "multichannel": True,
        "interim_results": False,
        "numerals": True,
        "dictation": True,
        "punctuate": True,
        "profanity_filter": True,
        "detect_entities": True,
        "diarize": True,
        "redact": ["pci", "ssn"],
        "search": ["order", "day"],
        "replace": ["one:two", "three:four"],
        "keywords": ["voicekit:2", "Aura"],
        "extra": ["call:7", "team:bots"],
        "callback": "https://example.com/results?a=1&b=2",
        "callback_method": "PUT",
        "mip_opt_out": True,
    },
    "others": {
        "model": "nova-3",
        "language": "multi",
        "language_hint": ["en", "de"],
        "interim_results": True,
        "diarize_model": "latest",
    },
}


async def test_a_session() -> None:
    """Every option, and the messages between the first audio and the last result, are the same."""
    async with Emulator(
        providers=("deepgram",), scenario=Scenario(name="alike", heard="word " * 3)
    ) as world:
        async with (
            DeepgramClient(KEY, base_url=world.deepgram.url) as stt,
            stt.open_transcription(format="pcm_16000", **OPTIONS) as session,
        ):
            await session.send(FRAME)
            await session.finalize()
            await session.configure(keyterms=["Nova"])
            await session.finish()
            async for _ in session:
                pass
        vendor = deepgram.AsyncDeepgramClient(**{**world.sdk("deepgram"), "api_key": KEY})
        async with vendor.listen.v1.connect(
            encoding="linear16", sample_rate=16000, **written(OPTIONS)
        ) as socket:
            from deepgram.listen.v1.types import ListenV1Configure, ListenV1Finalize

            await socket.send_media(FRAME)
            await socket.send_finalize(ListenV1Finalize(type="Finalize"))
            await socket.send_configure(ListenV1Configure(type="Configure", keyterms=["Nova"]))
            await socket.send_close_stream()
            async for _ in socket:
                pass
        mine, theirs = world.journal.requests_for("deepgram", "listen.socket")
        assert differences(mine, theirs) == {}
        assert said(world, mine) == said(world, theirs)


@pytest.mark.parametrize("name", REST)
async def test_a_handshake(name: str) -> None:
    """Under its name, with the same value: nothing differs."""
    async with Emulator(providers=("deepgram",), scenario="instant") as world:
        async with (
            DeepgramClient(KEY, base_url=world.deepgram.url) as stt,
            stt.open_transcription(encoding="linear16", sample_rate=16000, **REST[name]),
        ):
            pass
        vendor = deepgram.AsyncDeepgramClient(**{**world.sdk("deepgram"), "api_key": KEY})
        async with vendor.listen.v1.connect(
            encoding="linear16", sample_rate=16000, **written(REST[name])
        ):
            pass
        mine, theirs = world.journal.requests_for("deepgram", "listen.socket")
        assert differences(mine, theirs) == {}


def test_no_option_is_left_out() -> None:
    """What the SDK's signature has is compared, all of it."""
    from deepgram.listen.v1.client import V1Client

    compared = {name for each in (OPTIONS, *REST.values()) for name in each}
    elsewhere = {"self", "encoding", "sample_rate", "authorization", "request_options"}
    assert set(inspect.signature(V1Client.connect).parameters) == compared | elsewhere


async def test_a_sign_of_life() -> None:
    """What ours sends by itself is what the SDK sends when it is told to."""
    async with Emulator(providers=("deepgram",), scenario="instant") as world:
        async with DeepgramClient(KEY, base_url=world.deepgram.url) as stt:
            session = stt.open_transcription(format="pcm_16000")
            session._pulse.keep_alive, session._pulse.first_audio = 0.05, 0.5
            async with session:
                await session.send(FRAME)
                (mine,) = world.journal.requests_for("deepgram", "listen.socket")
                assert await eventually(lambda: len(said(world, mine)) > 1)
                await session.finish()
                async for _ in session:
                    pass
        vendor = deepgram.AsyncDeepgramClient(**{**world.sdk("deepgram"), "api_key": KEY})
        async with vendor.listen.v1.connect(
            model="nova-3", encoding="linear16", sample_rate=16000
        ) as socket:
            await socket.send_media(FRAME)
            await socket.send_keep_alive()
            await socket.send_close_stream()
            async for _ in socket:
                pass
        _, theirs = world.journal.requests_for("deepgram", "listen.socket")
        audio, alive, end = said(world, theirs)
        assert alive == {"type": "KeepAlive"}
        ours = said(world, mine)
        assert (ours[0], ours[-1]) == (audio, end)
        assert all(each == alive for each in ours[1:-1])


def written(options: dict[str, Any]) -> dict[str, Any]:
    """As the SDK wants them: it writes a bool as Python does."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in options.items()
    }


def said(world: Emulator, request: RequestRecord) -> list[Any]:
    """What the client sent: texts, and the sizes of audio."""
    return [
        frame.data or frame.size
        for frame in world.journal.frames
        if frame.direction == "in" and frame.request == request.id
    ]
