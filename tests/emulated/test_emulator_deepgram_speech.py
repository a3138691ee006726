"""The Deepgram twin's speech over the wire: what it takes, refuses, and how its sockets end."""

from __future__ import annotations

import asyncio
import importlib.util
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.material import check_tones
from voicekit.emulator.providers.deepgram import Deepgram

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

VOICE = "aura-2-thalia-en"
KEY = {"Authorization": "Token k"}
PCM = f"model={VOICE}&encoding=linear16&sample_rate=8000"
SLOW = Scenario(name="slow", speech_chunk_bytes=500, speech_real_time_factor=0.5)


@asynccontextmanager
async def world(
    scenario: Scenario | None = None,
) -> AsyncIterator[tuple[Emulator, aiohttp.ClientSession]]:
    async with (
        Emulator(providers=("deepgram",), scenario=scenario or Scenario(name="fast")) as served,
        aiohttp.ClientSession(served.deepgram.url, headers=KEY) as http,
    ):
        yield served, http


@asynccontextmanager
async def socket(http: Any, query: str = PCM) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with http.ws_connect(f"/v1/speak?{query}") as opened:
        assert (await opened.receive_json())["type"] == "Metadata"
        yield opened


async def until(opened: Any, kind: str) -> bytes:
    """The audio before a message of that type."""
    audio = b""
    while (message := await opened.receive()).type is aiohttp.WSMsgType.BINARY:
        audio += message.data
    assert message.json()["type"] == kind
    return audio


async def closed(opened: Any) -> tuple[int, str]:
    """How the server closed; whatever it says before is dropped."""
    async with asyncio.timeout(5):
        while (message := await opened.receive()).type is not aiohttp.WSMsgType.CLOSE:
            assert message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}
    return message.data, message.extra


# -- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b'{"text":"Hello."}', 200, ""),
        ("text/plain", b"Hello.", 200, ""),
        ("application/json", b'{"url":"https://example.com/a.txt"}', 200, ""),
        ("application/json", b'{"url":"nowhere"}', 400, "PAYLOAD_ERROR"),
        ("application/json", b'{"text":"a","url":"https://example.com"}', 400, "PAYLOAD_ERROR"),
        ("application/json", b"{}", 400, "PAYLOAD_ERROR"),
        ("application/json", b"[]", 400, "PAYLOAD_ERROR"),
        ("application/json", b'{"text":5}', 400, "PAYLOAD_ERROR"),
        ("application/json", b'{"text":"\xff"}', 400, "PAYLOAD_ERROR"),
        ("application/json", b'{"text":', 400, "INVALID_JSON"),
        ("application/json", b'{"text":" "}', 400, "Bad Request"),
        ("application/xml", b"<text/>", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("text/plain", b"x" * 2001, 413, "Payload Too Large"),
        ("text/plain", b"x" * 2_000_001, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
async def test_bodies(content_type: str, body: bytes, status: int, code: str) -> None:
    """Exactly one text, in one of two types; else the vendor's refusal in its shape."""
    async with world() as (_, http):
        url = f"/v1/speak?{PCM}&container=none"
        kind = {"Content-Type": content_type}
        async with http.post(url, data=io.BytesIO(body), headers=kind) as answer:
            assert answer.status == status
            assert answer.headers["dg-request-id"]
            if status == 200:
                assert await answer.read()
                return
            told = await answer.json()
            assert code in {told.get("err_code"), told.get("category")}
            assert answer.headers["dg-error"]


@pytest.mark.parametrize(
    "query",
    [
        "voice=x", "model=nova-3", "encoding=speex", "encoding=linear16&container=ogg",
        "encoding=mp3&sample_rate=22050", "encoding=mp3&bit_rate=1", "encoding=mulaw&bit_rate=1",
        "encoding=linear16&sample_rate=44100", "speed=0", "speed=fast", "mip_opt_out=perhaps",
        "callback=nowhere", "callback_method=GET", "tag=" + "x" * 129, "encoding=flac",
    ],
)  # fmt: skip
async def test_queries_that_are_refused(query: str) -> None:
    """Parameters and combinations that the vendor does not have are 400."""
    async with (
        world() as (_, http),
        http.post(f"/v1/speak?{query}", json={"text": "Hello."}) as answer,
    ):
        assert answer.status == 400


@pytest.mark.skipif(
    importlib.util.find_spec("lameenc") is None, reason="lameenc of an extra is not installed"
)
async def test_what_is_advised() -> None:
    """Defaults that the vendor regrets, or is not sure of, are notes and no refusals."""
    async with world() as (served, http):
        async with http.post("/v1/speak", json={"text": "Hello."}) as answer:
            assert answer.headers["Content-Type"] == "audio/mpeg"
            assert answer.headers["dg-model-name"] == "aura-asteria-en"
        (record,) = served.journal.requests
        assert len(record.notes) == 2


async def test_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the plan's requests at once, 429 with the phrase for a code."""
    monkeypatch.setattr(Deepgram, "max_speeches", 1)
    async with world(SLOW) as (_, http):
        url = f"/v1/speak?{PCM}&container=none"
        async with http.post(url, json={"text": "A long enough text."}) as first:
            assert first.status == 200
            async with http.post(url, json={"text": "Hello."}) as second:
                assert second.status == 429
                assert (await second.json())["err_code"] == "Too Many Requests"


# -- sockets --------------------------------------------------------------------------------------


async def test_flush_of_nothing_is_confirmed() -> None:
    """Without text there is no audio, and the confirmation all the same."""
    async with world() as (_, http), socket(http) as opened:
        await opened.send_json({"type": "Flush"})
        assert await until(opened, "Flushed") == b""


async def test_clear_of_nothing_is_confirmed() -> None:
    """As often as it is asked for; sequence ids count both kinds."""
    async with world() as (_, http), socket(http) as opened:
        for number in range(2):
            await opened.send_json({"type": "Clear"})
            assert await opened.receive_json() == {"type": "Cleared", "sequence_id": number}


async def test_cleared_text_is_never_spoken() -> None:
    """Neither what was buffered nor what was flushed behind it; what comes later is."""
    async with world(SLOW) as (_, http), socket(http) as opened:
        for text in ("One text that takes its time. ", "Another."):
            await opened.send_json({"type": "Speak", "text": text})
            await opened.send_json({"type": "Flush"})
        await opened.send_json({"type": "Speak", "text": "A third."})
        first = (await opened.receive()).data
        await opened.send_json({"type": "Clear"})
        late = first + await until(opened, "Cleared")
        assert 0 < len(late) < 8000 * 2 * 0.06 * 30
        await opened.send_json({"type": "Speak", "text": "Last."})
        await opened.send_json({"type": "Flush"})
        audio = await until(opened, "Flushed")
        assert check_tones(audio, ["Last."], voice_id=VOICE, sample_rate=8000) is None


async def test_close_speaks_the_rest() -> None:
    """``Close`` flushes, and the socket ends with 1000."""
    async with world() as (served, http), socket(http) as opened:
        await opened.send_json({"type": "Speak", "text": "The rest."})
        await opened.send_json({"type": "Close"})
        audio = await until(opened, "Flushed")
        assert check_tones(audio, ["The rest."], voice_id=VOICE, sample_rate=8000) is None
        assert await closed(opened) == (1000, "")
        assert served.journal.requests[0].outcome == "complete"


@pytest.mark.parametrize(
    ("message", "code", "label"),
    [
        (b"audio", 1003, "MESSAGE-0000"),
        ('{"type":"KeepAlive"}', 1003, "MESSAGE-0000"),
        ("no json", 1008, "DATA-0000"),
        ("[]", 1008, "DATA-0000"),
        ('{"type":"Speak","text":""}', 1008, "DATA-0000"),
        ('{"type":"Speak"}', 1008, "DATA-0000"),
        ('{"type":"Speak","text":"' + "x" * 2001 + '"}', 1009, "BIG-0001"),
        ('{"type":"Speak","text":"' + "x" * 70_000 + '"}', 1009, "BIG-0000"),
    ],
)
async def test_messages_that_end_the_socket(message: str | bytes, code: int, label: str) -> None:
    """Each with the vendor's close code and label."""
    async with world() as (_, http), socket(http) as opened:
        if isinstance(message, bytes):
            await opened.send_bytes(message)
        else:
            await opened.send_str(message)
        was, reason = await closed(opened)
        assert (was, reason.partition(":")[0]) == (code, label)


async def test_containers_are_not_for_sockets() -> None:
    """The handshake refuses what only HTTP has."""
    async with world() as (_, http):
        for query in ("container=wav", "encoding=mp3", "bit_rate=32000", "callback=https://a.b"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"/v1/speak?{query}")
            assert refused.value.status == 400


@pytest.mark.parametrize(
    ("scale", "idle", "label"), [(1.0, 0.1, "NET-0001"), (0.1 / 3600, None, "NET-0003")]
)
async def test_sessions_end(
    monkeypatch: pytest.MonkeyPatch, scale: float, idle: float | None, label: str
) -> None:
    """After silence, where that is set; after the session's own limit in any case."""
    monkeypatch.setattr(Deepgram, "time_scale", scale)
    monkeypatch.setattr(Deepgram, "speech_idle_limit", idle)
    async with world() as (_, http), socket(http) as opened:
        code, reason = await closed(opened)
        assert (code, reason.partition(":")[0]) == (1011, label)


async def test_wrong_key() -> None:
    """A handshake with a wrong key is refused, with the reason in a header."""
    async with world() as (_, http):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/v1/speak", headers={"Authorization": "Token bad-key"})
        assert refused.value.status == 401
        assert refused.value.headers is not None
        assert refused.value.headers["dg-error"]


async def test_a_client_that_leaves_frees_its_place() -> None:
    """In the middle of speech: nothing of the twin stays, and the record says so."""
    async with world(SLOW) as (served, http):
        async with socket(http) as opened:
            await opened.send_json({"type": "Speak", "text": "A text that takes its time."})
            await opened.send_json({"type": "Flush"})
            await opened.receive()
        async with asyncio.timeout(2):
            while served.journal.requests[0].outcome is None:
                await asyncio.sleep(0.005)
        assert served.journal.requests[0].outcome == "aborted"
