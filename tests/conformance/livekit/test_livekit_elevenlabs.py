"""The judge of multi-stream-input, which no vendor SDK speaks: livekit's plug-in, unmodified.

Runs in a nox session of its own, since livekit-agents is far larger than all we test otherwise.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.material import check_tones

try:
    from livekit.plugins import elevenlabs as plugin
except ImportError:
    plugin = None

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voicekit.emulator import RequestRecord

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.sdk,
]

VOICE = "21m00Tcm4TlvDq8ikWAM"
FIRST = "We are open from nine in the morning. On Sundays and public holidays we are closed."
SECOND = "Is there anything else that I can help you with today?"
PACED = Scenario(
    name="paced", speech_first_audio=0.02, speech_real_time_factor=0.02, speech_chunk_bytes=3201
)


@pytest.fixture(autouse=True)
def judge(request: pytest.FixtureRequest) -> None:
    """Skip without the plug-in, unless the session is the one that is there for it."""
    if plugin is None and not request.config.getoption("--require-livekit"):
        pytest.skip("livekit-plugins-elevenlabs is not installed")
    assert plugin is not None, "livekit-plugins-elevenlabs is not installed"


@asynccontextmanager
async def speaking(
    scenario: Scenario = PACED, **options: Any
) -> AsyncIterator[tuple[Emulator, Any]]:
    async with (
        Emulator(providers=("elevenlabs",), scenario=scenario) as world,
        aiohttp.ClientSession() as session,
    ):
        tts = plugin.TTS(
            base_url=f"{world.elevenlabs.url}/v1",
            api_key="k",
            http_session=session,
            voice_id=VOICE,
            model="eleven_flash_v2_5",
            encoding="pcm_16000",
            **options,
        )
        try:
            yield world, tts
        finally:
            await tts.aclose()


async def spoken(tts: Any, text: str) -> bytes:
    """Push a text word by word and collect the audio to its end."""
    async with asyncio.timeout(20), tts.stream() as stream:
        for word in text.split():
            stream.push_text(word + " ")
        stream.end_input()
        return b"".join([bytes(event.frame.data) async for event in stream])


def contexts(world: Emulator, record: RequestRecord) -> dict[str, list[str]]:
    """Return the pieces that the twin spoke, by context, from the alignments that it sent."""
    pieces: dict[str, list[str]] = {}
    for frame in world.journal.frames_for(record, "in"):
        if frame.context is not None and isinstance(frame.data, dict):
            pieces.setdefault(frame.context, [])
    for frame in world.journal.frames_for(record, "out"):
        aligned = frame.data.get("alignment")
        if frame.context is not None and aligned:
            pieces[frame.context].append("".join(aligned["chars"]))
    return pieces


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize(
    "options",
    [{}, {"chunk_length_schedule": [50, 120]}],
    ids=["auto_mode", "schedule"],
)
async def test_two_utterances_over_one_socket(options: dict[str, Any]) -> None:
    """Streamed text comes back as all of its audio, twice, over one and the same socket."""
    async with speaking(sync_alignment=False, **options) as (world, tts):
        heard = [await spoken(tts, text) for text in (FIRST, SECOND)]
        (record,) = world.journal.requests_for("elevenlabs", "speech.socket")
        assert world.journal.audio(record) == b"".join(heard)
        by_context = contexts(world, record)
        assert len(by_context) == 2
        for text, audio, pieces in zip((FIRST, SECOND), heard, by_context.values(), strict=True):
            assert check_tones(audio, pieces, voice_id=VOICE, sample_rate=16000) is None
            assert words("".join(pieces)) == words(text)
        assert len(world.journal.connections) == 1


async def test_aligned_transcript() -> None:
    """With sync_alignment (its default) the plug-in gets the words with their times."""
    async with speaking() as (_, tts), tts.stream() as stream:
        stream.push_text(FIRST)
        stream.end_input()
        timed: list[str] = []
        async with asyncio.timeout(20):
            async for event in stream:
                timed += [
                    str(word) for word in event.frame.userdata.get("lk.timed_transcripts", [])
                ]
        assert words("".join(timed)) == words(FIRST)


async def test_after_an_interruption() -> None:
    """A stream cut off in the middle leaves the socket in use and nothing in the next one."""
    slow = Scenario(name="slow", speech_real_time_factor=0.2, speech_chunk_bytes=3200)
    async with speaking(slow, sync_alignment=False) as (world, tts):
        async with asyncio.timeout(20):
            stream = tts.stream()
            stream.push_text(FIRST)
            stream.flush()
            await anext(aiter(stream))
            await stream.aclose()
        heard = await spoken(tts, SECOND)
        (record,) = world.journal.requests_for("elevenlabs", "speech.socket")
        by_context = contexts(world, record)
        assert len(by_context) == 2
        pieces = list(by_context.values())[1]
        assert check_tones(heard, pieces, voice_id=VOICE, sample_rate=16000) is None
        assert words("".join(pieces)) == words(SECOND)
        closed = [
            frame.context
            for frame in world.journal.frames_for(record, "in")
            if isinstance(frame.data, dict) and frame.data.get("close_context")
        ]
        assert set(closed) == set(by_context)
        assert len(world.journal.connections) == 1


async def test_chunked_http() -> None:
    """The plug-in's HTTP path, for whole texts, gets the audio of the stream endpoint."""
    async with speaking() as (_, tts):
        async with asyncio.timeout(20), tts.synthesize(FIRST) as stream:
            audio = b"".join([bytes(event.frame.data) async for event in stream])
        # The plug-in ends a whole synthesis with a silent frame of its own.
        audio, padding = audio[: 2 * 16 * 60 * len(FIRST)], audio[2 * 16 * 60 * len(FIRST) :]
        assert check_tones(audio, [FIRST], voice_id=VOICE, sample_rate=16000) is None
        assert not padding.strip(b"\0")
