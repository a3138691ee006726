"""Our live transcription beside the vendor's SDK's: the handshake and every message."""

from __future__ import annotations

from typing import Any

import pytest
from requests_alike import differences
from vendors import sdk_of

from voicekit import DeepgramClient
from voicekit.emulator import Emulator, Scenario

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
        options = {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in OPTIONS.items()
        }
        async with vendor.listen.v1.connect(
            encoding="linear16", sample_rate=16000, **options
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
        said: dict[int, list[Any]] = {mine.id: [], theirs.id: []}
        for frame in world.journal.frames:
            if frame.direction == "in":
                said[frame.request].append((frame.kind, frame.size, frame.data))
        assert [each[2] or each[1] for each in said[mine.id]] == [
            each[2] or each[1] for each in said[theirs.id]
        ]
