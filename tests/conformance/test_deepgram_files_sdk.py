"""The vendor's own SDK, unmodified, is the judge of the Deepgram twin: files and tokens."""

from __future__ import annotations

import base64
import json
import math
from array import array
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.codecs import wav_header

deepgram = sdk_of("deepgram")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:deepgram.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:websockets.*"),
    pytest.mark.filterwarnings("ignore:.*websockets.legacy.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

SCRIPT = Scenario(name="dialogue", heard="good morning\nhello what can I do\nnothing thanks")
URL = "https://example.com/call.wav"
EVERYTHING: dict[str, Any] = {
    "model": "nova-3",
    "smart_format": True,
    "utterances": True,
    "paragraphs": True,
    "diarize_model": "v2",
    "detect_language": True,
    "search": ["morning", "tea"],
    "summarize": "v2",
    "sentiment": True,
    "topics": True,
    "intents": True,
    "tag": ["a", "b"],
    "redact": "pci",
}


def wav(seconds: float = 8.0, rate: int = 8000) -> bytes:
    samples = (round(8000 * math.sin(i / 5)) for i in range(round(seconds * rate)))
    pcm = array("h", samples).tobytes()
    return wav_header(rate, len(pcm)) + pcm


def pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 5000):
        yield data[at : at + 5000]


async def apieces(data: bytes) -> AsyncIterator[bytes]:
    for piece in pieces(data):
        yield piece


@pytest.fixture(scope="module")
def world() -> Iterator[Emulator]:
    with Emulator.in_thread(providers=("deepgram",), scenario=SCRIPT) as served:
        yield served


@pytest.fixture(autouse=True)
def fresh(world: Emulator) -> None:
    """Every test begins with an empty journal."""
    world.journal.clear()


@contextmanager
def sdk(world: Emulator, **options: Any) -> Iterator[Any]:
    """The SDK's client, whose own HTTP client nothing would ever close."""
    with httpx.Client() as http:
        yield deepgram.DeepgramClient(**{**world.sdk("deepgram"), **options, "httpx_client": http})


@asynccontextmanager
async def asdk(world: Emulator) -> AsyncIterator[Any]:
    async with httpx.AsyncClient() as http:
        yield deepgram.AsyncDeepgramClient(**world.sdk("deepgram"), httpx_client=http)


def check(response: Any) -> None:
    """Channels, words, utterances, paragraphs and the rest, as the SDK's own types."""
    from deepgram.types import ListenV1Response

    assert isinstance(response, ListenV1Response)
    assert response.metadata.duration == 8.0
    assert response.metadata.channels == 1
    assert response.metadata.tags == ["a", "b"]
    channel = response.results.channels[0]
    best = channel.alternatives[0]
    assert best.transcript == "Good morning. Hello what can I do. Nothing thanks."
    assert [word.speaker for word in best.words] == [0, 0, 1, 1, 1, 1, 1, 0, 0]
    assert best.words[0].punctuated_word == "Good"
    assert channel.detected_language == "en"
    assert [each.query for each in channel.search] == ["morning", "tea"]
    assert [(u.speaker, u.transcript) for u in response.results.utterances] == [
        (0, "Good morning."),
        (1, "Hello what can I do."),
        (0, "Nothing thanks."),
    ]
    paragraphs = best.paragraphs.paragraphs
    assert [p.speaker for p in paragraphs] == [0, 1, 0]
    assert paragraphs[1].sentences[0].text == "Hello what can I do."
    assert response.results.summary.short.startswith("Good morning.")
    assert response.results.sentiments.segments
    assert response.results.topics.segments
    assert response.results.intents.segments


def test_sync_file(world: Emulator) -> None:
    """Bytes, and an iterator that goes out chunked."""
    with sdk(world) as client:
        check(client.listen.v1.media.transcribe_file(request=wav(), **EVERYTHING))
        check(client.listen.v1.media.transcribe_file(request=pieces(wav()), **EVERYTHING))
        whole, chunked = world.journal.requests_for("deepgram", "listen")
        assert whole.body == chunked.body == wav()
        assert "transfer-encoding" in chunked.headers


@pytest.mark.anyio
async def test_async_file(world: Emulator) -> None:
    """The same without blocking."""
    async with asdk(world) as client:
        check(await client.listen.v1.media.transcribe_file(request=wav(), **EVERYTHING))
        check(await client.listen.v1.media.transcribe_file(request=apieces(wav()), **EVERYTHING))


def test_sync_url_and_callback(world: Emulator) -> None:
    """An address in place of the audio; a callback in place of the answer."""
    with sdk(world) as client:
        heard = client.listen.v1.media.transcribe_url(url=URL, model="nova-3")
        assert heard.results.channels[0].alternatives[0].transcript.startswith("good morning")
        accepted = client.listen.v1.media.transcribe_url(
            url=URL, model="nova-3", callback="https://example.com/hook"
        )
        assert accepted.request_id
        assert not hasattr(accepted, "results")


@pytest.mark.anyio
async def test_async_url_and_callback(world: Emulator) -> None:
    """The same without blocking."""
    async with asdk(world) as client:
        heard = await client.listen.v1.media.transcribe_url(url=URL, model="nova-3")
        assert heard.results.channels[0].alternatives[0].transcript.startswith("good morning")
        accepted = await client.listen.v1.media.transcribe_file(
            request=wav(), model="nova-3", callback="https://example.com/hook"
        )
        assert accepted.request_id


def test_sync_grant(world: Emulator) -> None:
    """A token that opens what it is for, and not another token."""
    with sdk(world) as client:
        granted = client.auth.v1.tokens.grant(ttl_seconds=60)
    assert granted.expires_in == 60
    payload = granted.access_token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["exp"]
    with sdk(world, api_key=None, access_token=granted.access_token) as client:
        assert client.listen.v1.media.transcribe_url(url=URL, model="nova-3").results
        with pytest.raises(deepgram.core.ApiError, match="FORBIDDEN"):
            client.auth.v1.tokens.grant()


@pytest.mark.anyio
async def test_async_grant(world: Emulator) -> None:
    """Thirty seconds unless asked otherwise."""
    async with asdk(world) as client:
        granted = await client.auth.v1.tokens.grant()
        assert granted.expires_in == 30
        assert granted.access_token.count(".") == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "nova-9"}, "No such model"),
        ({"model": "nova-3", "diarize_model": "v3"}, "diarize_model"),
        ({"model": "nova-3", "encoding": "opus"}, "does not decode"),
        ({"model": "nova-2", "keyterm": "tea"}, "nova-3 models only"),
        ({"model": "nova-3", "callback": "ftp://example.com"}, "callback"),
    ],
)
def test_refusals(world: Emulator, options: dict[str, Any], said: str) -> None:
    """What the vendor refuses is a 400 of its own kind."""
    with sdk(world) as client, pytest.raises(deepgram.BadRequestError, match=said):
        client.listen.v1.media.transcribe_file(request=wav(), **options)


@pytest.mark.parametrize("body", [b"", b"not audio at all"])
def test_no_audio_is_refused(world: Emulator, body: bytes) -> None:
    """Corrupt or missing audio is the client's fault."""
    with (
        sdk(world) as client,
        pytest.raises(deepgram.BadRequestError, match="corrupt or unsupported"),
    ):
        client.listen.v1.media.transcribe_file(request=body, model="nova-3")


def test_an_address_that_cannot_be_fetched(world: Emulator) -> None:
    """Has a code of its own."""
    with (
        sdk(world) as client,
        pytest.raises(deepgram.BadRequestError, match="REMOTE_CONTENT_ERROR"),
    ):
        client.listen.v1.media.transcribe_url(url="https://nowhere.invalid/a.wav", model="nova-3")
