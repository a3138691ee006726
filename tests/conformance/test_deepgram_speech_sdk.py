"""The vendor's own SDK, unmodified, is the judge of the Deepgram twin: speech."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.emulator.codecs import PcmReader
from voicekit.emulator.material import check_tones, tones
from voicekit.emulator.providers.deepgram import Deepgram

deepgram = sdk_of("deepgram")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.emulated,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:deepgram.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:websockets.*"),
    pytest.mark.filterwarnings("ignore:.*websockets.legacy.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

VOICE = "aura-2-thalia-en"
TEXT = "Hello there. This is a test."
RATE = 8000
RAW: dict[str, Any] = {"model": VOICE, "encoding": "linear16", "sample_rate": RATE}
FAST = Scenario(name="fast", speech_chunk_bytes=2000)


@pytest.fixture(scope="module")
def world() -> Iterator[Emulator]:
    """An emulator in a thread, for blocking and asynchronous clients alike."""
    with Emulator.in_thread(providers=("deepgram",), scenario=FAST) as served:
        yield served  # type: ignore[misc] # the same surface, in a thread


@pytest.fixture(autouse=True)
def fresh(world: Emulator) -> None:
    """Every test begins with an empty journal and no faults."""
    world.journal.clear()
    world.clear_faults()


@contextmanager
def sdk(world: Emulator) -> Iterator[Any]:
    """The SDK's client, whose own HTTP client nothing would ever close."""
    with httpx.Client() as http:
        yield deepgram.DeepgramClient(**world.sdk("deepgram"), httpx_client=http)


@asynccontextmanager
async def asdk(world: Emulator) -> AsyncIterator[Any]:
    async with httpx.AsyncClient() as http:
        yield deepgram.AsyncDeepgramClient(**world.sdk("deepgram"), httpx_client=http)


def right(audio: bytes, *texts: str) -> bool:
    fault = check_tones(audio, texts, voice_id=VOICE, sample_rate=RATE)
    assert fault is None, str(fault)
    return True


@pytest.mark.parametrize(
    ("options", "content_type"),
    [
        ({"encoding": "linear16", "container": "none"}, "audio/l16;rate=24000"),
        ({"encoding": "linear16", "container": "wav"}, "audio/wav"),
        ({"encoding": "linear16"}, "audio/wav"),
        ({"encoding": "mulaw", "container": "none"}, "audio/mulaw;rate=8000"),
        ({"encoding": "alaw", "container": "none", "sample_rate": 16000}, "audio/alaw;rate=16000"),
        ({"encoding": "mulaw"}, "audio/wav"),
        ({"encoding": "mp3", "bit_rate": 32000}, "audio/mpeg"),
        ({}, "audio/mpeg"),
    ],
)
def test_sync_generate(world: Emulator, options: dict[str, Any], content_type: str) -> None:
    """Every encoding that the twin makes comes with its type and the vendor's headers."""
    with sdk(world) as client:
        raw = client.speak.v1.audio.with_raw_response
        with raw.generate(text=TEXT, model=VOICE, **options) as answer:
            audio = b"".join(answer.data)
            headers = answer.headers
        assert headers["content-type"] == content_type
        assert headers["dg-model-name"] == VOICE
        assert headers["dg-char-count"] == str(len(TEXT))
        assert headers["dg-request-id"]
        assert headers["dg-model-uuid"]
        if content_type == "audio/l16;rate=24000":
            assert audio == tones(TEXT, voice_id=VOICE, sample_rate=24000)
        elif content_type == "audio/wav":
            reader = PcmReader("wav", sample_rate=0)
            pcm = reader.feed(audio)
            assert len(pcm) == 2 * reader.sample_rate * 60 * len(TEXT) // 1000


@pytest.mark.anyio
async def test_async_generate(world: Emulator) -> None:
    """The asynchronous client, the same way; every option it has is taken."""
    async with asdk(world) as client:
        parts = client.speak.v1.audio.generate(
            text=TEXT, container="none", tag=["a", "b"], speed=1.1, mip_opt_out=True, **RAW
        )
        assert right(b"".join([part async for part in parts]), TEXT)
        (record,) = world.journal.requests_for("deepgram", "speech")
        assert record.query["tag"] == ["a", "b"]
        assert world.journal.speech_texts() == [TEXT]


def test_callback(world: Emulator) -> None:
    """With a callback there is no audio, but a request id at once."""
    with sdk(world) as client:
        parts = client.speak.v1.audio.generate(text=TEXT, callback="https://example.com/done")
        assert b'"request_id"' in b"".join(parts)


@pytest.mark.parametrize(
    ("text", "options", "status", "code"),
    [
        ("x" * 2001, {}, 413, "Payload Too Large"),
        ("   ", {}, 400, "Bad Request"),
        (TEXT, {"model": "aura-9-nobody-en"}, 400, "Bad Request"),
        (TEXT, {"encoding": "mp3", "sample_rate": 8000}, 400, "INVALID_QUERY_PARAMETER"),
        (TEXT, {"encoding": "linear16", "container": "ogg"}, 400, "INVALID_QUERY_PARAMETER"),
        (TEXT, {"encoding": "flac"}, 400, "INVALID_QUERY_PARAMETER"),
    ],
)
def test_refusals(
    world: Emulator, text: str, options: dict[str, Any], status: int, code: str
) -> None:
    """What the vendor refuses is refused in its shape, with the reason in a header as well."""
    from deepgram.core.api_error import ApiError

    with sdk(world) as client:
        with pytest.raises(ApiError) as refused:
            b"".join(client.speak.v1.audio.generate(text=text, **{"model": VOICE, **options}))
        assert refused.value.status_code == status
        assert refused.value.body["err_code"] == code
        assert (refused.value.headers or {})["dg-error"] == refused.value.body["err_msg"]


def spoken(messages: list[Any]) -> tuple[bytes, list[str]]:
    """The audio, and the types of the messages around it."""
    audio = b"".join(each for each in messages if isinstance(each, bytes))
    return audio, [each.type for each in messages if not isinstance(each, bytes)]


def test_sync_socket(world: Emulator) -> None:
    """Speak and Flush, twice on one socket, then Close: metadata, audio, Flushed in order."""
    from deepgram.speak.v1.types import SpeakV1Metadata, SpeakV1Text

    with sdk(world) as client, client.speak.v1.connect(**RAW) as connection:
        metadata = connection.recv()
        assert isinstance(metadata, SpeakV1Metadata)
        assert metadata.model_name == VOICE
        for number, text in enumerate(["First one. ", "Second one. "]):
            connection.send_text(SpeakV1Text(text=text))
            connection.send_flush()
            messages = [connection.recv()]
            while isinstance(messages[-1], bytes):
                messages.append(connection.recv())
            audio, kinds = spoken(messages)
            assert right(audio, text)
            assert kinds == ["Flushed"]
            assert messages[-1].sequence_id == number
        connection.send_text(SpeakV1Text(text="The rest."))
        connection.send_close()
        assert right(spoken(list(connection))[0], "The rest.")


def test_sync_events(world: Emulator) -> None:
    """The callback interface sees open, messages and close."""
    from deepgram.core.events import EventType
    from deepgram.speak.v1.types import SpeakV1Text

    with sdk(world) as client:
        seen: list[Any] = []
        with client.speak.v1.connect(**RAW) as connection:
            connection.on(EventType.OPEN, lambda _: seen.append("open"))
            connection.on(EventType.CLOSE, lambda _: seen.append("close"))
            connection.on(EventType.ERROR, seen.append)
            connection.on(EventType.MESSAGE, seen.append)
            listener = threading.Thread(target=connection.start_listening)
            listener.start()
            connection.send_text(SpeakV1Text(text=TEXT))
            connection.send_flush()
            connection.send_close()
            listener.join(10)
            assert not listener.is_alive()
        assert (seen[0], seen[-1]) == ("open", "close")
        audio, kinds = spoken(seen[1:-1])
        assert right(audio, TEXT)
        assert kinds == ["Metadata", "Flushed"]


@pytest.mark.anyio
async def test_async_clear(world: Emulator) -> None:
    """Clear drops what was buffered and spoken; some audio still comes, then Cleared."""
    from deepgram.speak.v1.types import SpeakV1Text

    world.set_scenario(Scenario(name="slow", speech_chunk_bytes=500, speech_real_time_factor=0.5))
    async with asdk(world) as client:
        try:
            async with client.speak.v1.connect(**RAW) as connection:
                await connection.recv()
                await connection.send_text(SpeakV1Text(text=TEXT * 10))
                await connection.send_flush()
                await connection.send_text(SpeakV1Text(text="Never said. "))
                assert isinstance(await connection.recv(), bytes)
                await connection.send_clear()
                messages = [await connection.recv()]
                while isinstance(messages[-1], bytes):
                    messages.append(await connection.recv())
                assert messages[-1].type == "Cleared"
                assert len(messages) > 1
                await connection.send_text(SpeakV1Text(text="After."))
                await connection.send_flush()
                messages = [await connection.recv()]
                while isinstance(messages[-1], bytes):
                    messages.append(await connection.recv())
                assert right(spoken(messages)[0], "After.")
        finally:
            world.set_scenario(FAST)


def test_too_many_flushes(world: Emulator) -> None:
    """The 21st flush within a minute is warned of and ignored."""
    with sdk(world) as client:
        with client.speak.v1.connect(**RAW) as connection:
            connection.recv()
            for _ in range(21):
                connection.send_flush()
            kinds = [connection.recv().type for _ in range(21)]
        assert sorted(kinds) == ["Flushed"] * 20 + ["Warning"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Nonsense", 1003),
        ("", 1008),
        ("x" * 2001, 1009),
    ],
)
def test_close_codes(world: Emulator, message: str, code: int) -> None:
    """A message that is none ends the socket with the vendor's code."""
    from deepgram.speak.v1.types import SpeakV1Close, SpeakV1Text
    from websockets.exceptions import ConnectionClosedError

    with sdk(world) as client:
        with client.speak.v1.connect(**RAW) as connection:
            connection.recv()
            if code == 1003:
                connection.send_close(SpeakV1Close.model_construct(type=message))
            else:
                connection.send_text(SpeakV1Text(text=message))
            with pytest.raises(ConnectionClosedError) as closed:
                connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def test_full(world: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One socket more than the plan has is refused at once."""
    from websockets.exceptions import InvalidStatus

    monkeypatch.setattr(Deepgram, "max_speeches", 1)
    with sdk(world) as client:
        with client.speak.v1.connect(**RAW) as first:
            first.recv()
            with pytest.raises(InvalidStatus) as refused, client.speak.v1.connect(**RAW):
                pass
        assert refused.value.response.status_code == 429


def test_fault(world: Emulator) -> None:
    """A fault inside an open socket is the vendor's close with its label."""
    from deepgram.speak.v1.types import SpeakV1Text
    from websockets.exceptions import ConnectionClosedError

    world.inject("deepgram", Fault("in_stream_error", operation="speech.socket", after_events=2))
    with sdk(world) as client:
        with client.speak.v1.connect(**RAW) as connection:
            connection.send_text(SpeakV1Text(text=TEXT))
            connection.send_flush()
            with pytest.raises(ConnectionClosedError) as closed:
                [connection.recv() for _ in range(5)]
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason[:8]) == (1011, "NET-0000")
