"""Our requests for speech beside the vendor's SDK's: what differs, and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from requests_alike import differences
from vendors import sdk_of

from voicekit import DeepgramClient
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
VOICE = "aura-2-thalia-en"
TEXT = 'Häuser "and" more.'

Call = Callable[[Any], Awaitable[Any]]
Both = tuple["RequestRecord", "RequestRecord", list[Any], list[Any]]


async def both(operation: str, ours: Call, theirs: Call) -> Both:
    """The same call through both, against one emulator; the messages of sockets as well."""
    async with Emulator(providers=("deepgram",), scenario=Scenario(name="alike")) as world:
        async with DeepgramClient(KEY, base_url=world.deepgram.url) as mine:
            await ours(mine)
        async with httpx.AsyncClient() as http:
            settings = {**world.sdk("deepgram"), "api_key": KEY}
            await theirs(deepgram.AsyncDeepgramClient(**settings, httpx_client=http))
        mine_record, their_record = world.journal.requests_for("deepgram", operation)
        said: dict[int, list[Any]] = {mine_record.id: [], their_record.id: []}
        for frame in world.journal.frames:
            if frame.direction == "in":
                said[frame.request].append(frame.data)
        return mine_record, their_record, said[mine_record.id], said[their_record.id]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            {"format": "pcm_16000", "speed": 1.25, "tag": ["t1", "t2"], "mip_opt_out": True},
            {
                "encoding": "linear16",
                "container": "none",
                "sample_rate": 16000,
                "speed": 1.25,
                "tag": ["t1", "t2"],
                "mip_opt_out": True,
            },
        ),
        (
            {"format": "wav_24000"},
            {"encoding": "linear16", "container": "wav", "sample_rate": 24000},
        ),
        ({"format": "mp3_22050_32"}, {"encoding": "mp3", "bit_rate": 32000}),
        ({"format": "mulaw_8000"}, {"encoding": "mulaw", "container": "none", "sample_rate": 8000}),
    ],
    ids=["options", "wav", "mp3", "mulaw"],
)
async def test_generate(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Every option in the same words, the body byte for byte."""

    async def generate(client: Any) -> None:
        audio = client.speak.v1.audio.generate(text=TEXT, model=VOICE, **theirs)
        assert b"".join([piece async for piece in audio])

    mine, their, *_ = await both(
        "speech", lambda client: client.synthesize(TEXT, model=VOICE, **ours), generate
    )
    assert differences(mine, their) == {}


async def test_callback() -> None:
    """The address and the method of a callback."""
    options: dict[str, Any] = {"callback": "https://example.com/a?b=c&d", "callback_method": "PUT"}

    async def generate(client: Any) -> None:
        audio = client.speak.v1.audio.generate(
            text=TEXT, model=VOICE, encoding="mp3", bit_rate=48000, **options
        )
        assert b"".join([piece async for piece in audio])

    mine, their, *_ = await both(
        "speech",
        lambda client: client.submit_speech(TEXT, model=VOICE, format="mp3", **options),
        generate,
    )
    assert differences(mine, their) == {}


async def test_connect() -> None:
    """The same handshake and the same messages."""
    from deepgram.speak.v1.types import SpeakV1Text

    async def speak(client: DeepgramClient) -> None:
        async with client.open_speech(
            model=VOICE, format="mulaw_8000", speed=1.25, mip_opt_out=True
        ) as session:
            await session.send(TEXT)
            await session.finish()
            assert await session.clip()

    async def connect(client: Any) -> None:
        options = {"encoding": "mulaw", "sample_rate": "8000", "speed": "1.25"}
        async with client.speak.v1.connect(model=VOICE, mip_opt_out="true", **options) as socket:
            await socket.send_text(SpeakV1Text(text=TEXT))
            await socket.send_flush()
            while getattr(await socket.recv(), "type", "") != "Flushed":
                pass
            await socket.send_close()

    mine, their, said, theirs_said = await both("speech.socket", speak, connect)
    assert differences(mine, their) == {}
    assert said == theirs_said


async def test_barge_in() -> None:
    """What is cut off is cleared in the same words."""
    from deepgram.speak.v1.types import SpeakV1Text

    async def speak(client: DeepgramClient) -> None:
        async with client.open_speech(model=VOICE) as session:
            await session.send(TEXT)
            await session.flush()
            await session.cancel()

    async def connect(client: Any) -> None:
        options = {"encoding": "linear16", "sample_rate": "24000"}
        async with client.speak.v1.connect(model=VOICE, **options) as socket:
            await socket.send_text(SpeakV1Text(text=TEXT))
            await socket.send_flush()
            await socket.send_clear()
            while getattr(await socket.recv(), "type", "") != "Cleared":
                pass
            await socket.send_close()

    mine, their, said, theirs_said = await both("speech.socket", speak, connect)
    assert differences(mine, their) == {}
    assert said == theirs_said
