"""The vendor's own SDK, unmodified, is the judge of the ElevenLabs twin."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.emulator.material import check_tones

elevenlabs = sdk_of("elevenlabs")

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:elevenlabs.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:websockets.*"),
]

VOICE = "21m00Tcm4TlvDq8ikWAM"
TEXT = "The vendor's own client reads this aloud."
FAST = Scenario(name="fast", speech_chunk_bytes=3001)


@pytest.fixture(scope="module")
def world() -> Iterator[Emulator]:
    """An emulator in a thread, for blocking and asynchronous clients alike."""
    with Emulator.in_thread(providers=("elevenlabs",), scenario=FAST) as served:
        yield served


@pytest.fixture(autouse=True)
def fresh(world: Emulator) -> None:
    """Every test begins with an empty journal."""
    world.journal.clear()
    world.clear_faults()


@pytest.fixture
def client(world: Emulator) -> Iterator[Any]:
    """The blocking client; it has no `close`, so the connections are handed in and closed here."""
    with httpx.Client() as connections:
        yield elevenlabs.ElevenLabs(**world.sdk("elevenlabs"), httpx_client=connections)


def options() -> dict[str, Any]:
    return {
        "text": TEXT,
        "model_id": "eleven_flash_v2_5",
        "output_format": "pcm_16000",
        "voice_settings": elevenlabs.VoiceSettings(stability=0.5, similarity_boost=0.75, speed=1.0),
        "seed": 7,
    }


def is_right(audio: bytes) -> bool:
    return check_tones(audio, [TEXT], voice_id=VOICE, sample_rate=16000) is None


@pytest.mark.parametrize("operation", ["convert", "stream"])
def test_sync_speech(world: Emulator, client: Any, operation: str) -> None:
    """`convert` and `stream` bring exactly the audio that the server sent."""
    audio = b"".join(getattr(client.text_to_speech, operation)(VOICE, **options()))
    assert is_right(audio)
    (record,) = world.journal.requests_for("elevenlabs")
    assert world.journal.audio(record) == audio
    assert record.notes == []


@pytest.mark.anyio
@pytest.mark.parametrize("operation", ["convert", "stream"])
async def test_async_speech(world: Emulator, operation: str) -> None:
    """The asynchronous client gets the same."""
    async with httpx.AsyncClient() as connections:
        client = elevenlabs.AsyncElevenLabs(**world.sdk("elevenlabs"), httpx_client=connections)
        stream = getattr(client.text_to_speech, operation)(VOICE, **options())
        assert is_right(b"".join([chunk async for chunk in stream]))


def test_response_headers(client: Any) -> None:
    """The raw response shows request id, cost and concurrency."""
    with client.text_to_speech.with_raw_response.stream(VOICE, **options()) as response:
        assert is_right(b"".join(response.data))
        assert response.headers["character-cost"] == str(len(TEXT))
        assert int(response.headers["maximum-concurrent-requests"]) > 0
        assert response.headers["request-id"]


def test_default_format_is_mp3(client: Any) -> None:
    """Without a format the vendor's default comes: MP3 at 44.1 kHz."""
    audio = b"".join(client.text_to_speech.convert(VOICE, text="Hello."))
    assert audio[0] == 0xFF
    assert audio[1] & 0xE0 == 0xE0


def test_models_and_voices(client: Any) -> None:
    """The models and voices parse into the SDK's own types."""
    models = {model.model_id: model for model in client.models.list()}
    assert models["eleven_flash_v2_5"].maximum_text_length_per_request == 40_000
    assert client.voices.get_all().voices[0].voice_id == VOICE
    assert client.voices.get(VOICE).name == "Rachel"


def test_errors_are_the_vendors(world: Emulator, client: Any) -> None:
    """A schema failure is the SDK's 422 type; a wrong key, an empty text and a 5xx its ApiError."""
    from elevenlabs.core.api_error import ApiError
    from elevenlabs.errors import UnprocessableEntityError

    with pytest.raises(UnprocessableEntityError):
        list(client.text_to_speech.convert(VOICE, text="Hello.", seed=-1))
    with pytest.raises(ApiError) as refused:
        list(client.text_to_speech.convert(VOICE, text=" "))
    assert (refused.value.status_code, refused.value.body["detail"]["param"]) == (400, "text")
    with httpx.Client() as connections:
        stranger = elevenlabs.ElevenLabs(
            base_url=world.elevenlabs.url, api_key="bad-key", httpx_client=connections
        )
        with pytest.raises(ApiError) as refused:
            list(stranger.text_to_speech.convert(VOICE, text="Hello."))
    assert (refused.value.status_code, refused.value.body["detail"]["status"]) == (
        401,
        "invalid_api_key",
    )
    world.inject("elevenlabs", Fault("status", status=503))
    with pytest.raises(ApiError) as refused:
        list(client.text_to_speech.stream(VOICE, text="Hello."))
    assert refused.value.status_code == 503


REALTIME = """
    import json, os, sys
    from elevenlabs import ElevenLabs, VoiceSettings
    from elevenlabs.core.api_error import ApiError

    def pieces():
        yield from (word + " " for word in os.environ["SPOKEN"].split())

    client = ElevenLabs(base_url=os.environ["ELEVENLABS_BASE_URL"], api_key=os.environ["KEY"])
    settings = VoiceSettings(stability=0.4) if os.environ.get("SETTINGS") else None
    try:
        audio = b"".join(
            client.text_to_speech.convert_realtime(
                "21m00Tcm4TlvDq8ikWAM",
                text=pieces(),
                model_id="eleven_flash_v2_5",
                output_format="pcm_16000",
                **({"voice_settings": settings} if settings else {}),
            )
        )
        print(json.dumps({"audio": audio.hex()}))
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}))
"""
"""Runs in a process of its own: the SDK insists on TLS for its socket, and OpenSSL reads
`SSL_CERT_FILE` from the environment."""


async def realtime(world: Emulator, **environment: str) -> dict[str, Any]:
    def run() -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(REALTIME)],
            env={**os.environ, **world.env(), "KEY": "k", "SPOKEN": TEXT, **environment},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.stdout, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return await asyncio.to_thread(run)


@pytest.mark.anyio
async def test_convert_realtime_over_tls() -> None:
    """`convert_realtime` speaks a text that comes in pieces, in order, and sees the socket end."""
    async with Emulator(providers=("elevenlabs",), tls=True, scenario=FAST) as world:
        answer = await realtime(world, SETTINGS="1")
        audio = bytes.fromhex(answer["audio"])
        (record,) = world.journal.requests_for("elevenlabs", "speech.socket")
        assert world.journal.audio(record) == audio
        frames = world.journal.frames_for(record, "out")
        spoken = [
            "".join(frame.data["alignment"]["chars"])
            for frame in frames
            if frame.data.get("alignment")
        ]
        assert check_tones(audio, spoken, voice_id=VOICE, sample_rate=16000) is None
        assert " ".join("".join(spoken).split()) == TEXT
        assert record.outcome == "complete"
        assert world.journal.connections[0].tls == "TLSv1.3"


@pytest.mark.anyio
async def test_convert_realtime_errors() -> None:
    """A refused handshake and a close by the service both surface in the SDK."""
    async with Emulator(providers=("elevenlabs",), tls=True, scenario=FAST) as world:
        assert (await realtime(world, KEY="bad-key"))["error"] == "InvalidStatus"
        world.inject("elevenlabs", Fault("ws_close", after_events=1, code=1011))
        assert (await realtime(world))["error"] == "ApiError"
