"""The HTTP seam on a user's own httpx client: mocks, hooks, uploads, and what errors show."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from voicekit import DeepgramClient, OpenAIClient
from voicekit.emulator import Emulator
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    InvalidArgumentError,
    LocalProtocolError,
    RateLimitError,
    VoicekitError,
)
from voicekit.testing import RecordingObserver
from voicekit.testing.conformance.peer import (
    SECRET,
    Peer,
    Pieces,
    Visit,
    WatchedCall,
    always,
    ask,
)
from voicekit.transport.http_httpx import HttpxTransport, _traces
from voicekit.transport.messages import Request
from voicekit.transport.transport import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

MESSAGES = [{"role": "user", "content": "Hi"}]
HELLO = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}
Answer = Callable[[httpx.Request], Any]


def mocked(answer: Answer, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer), **options)


async def test_a_users_mock_answers_our_client() -> None:
    """``MockTransport`` is enough to test an app; the user's client stays open."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) > 1:
            return httpx.Response(429, json={"error": {"message": "slow down"}})
        return httpx.Response(200, json=HELLO)

    watching = RecordingObserver()
    async with mocked(answer) as client:
        async with (
            Transport(http=HttpxTransport(client)) as transport,
            OpenAIClient(model="m", api_key="k", transport=transport, observers=[watching]) as llm,
        ):
            assert (await llm.chat(MESSAGES)).text == "Hi"
            with pytest.raises(RateLimitError):
                await llm.chat(MESSAGES)
            assert (await llm.warm(1)).failures == ("NotSupported",)
        assert not client.is_closed
    assert [end.result for end in watching.ended] == ["ok", "error"]
    assert seen[0].url.path.endswith("/chat/completions")
    assert seen[0].headers["Authorization"] == "Bearer k"


async def test_a_mock_that_streams() -> None:
    """A mock's body may come in pieces, and break."""

    async def body() -> AsyncIterator[bytes]:
        yield b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
        yield b'data: {"choices":[{"index":0,"delta":{"content":"lo"}}]}\n\ndata: [DONE]\n\n'

    async with (
        mocked(
            lambda _: httpx.Response(
                200, headers={"Content-Type": "text/event-stream"}, content=body()
            )
        ) as client,
        Transport(http=HttpxTransport(client)) as transport,
        OpenAIClient(model="m", api_key="k", transport=transport) as llm,
    ):
        assert [text async for text in llm.stream_chat(MESSAGES)] == ["Hel", "lo"]


async def test_a_mock_gets_uploads_whole() -> None:
    """A file's pieces, with their length; told as an upload."""
    got: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(200, content=b"{}")

    async with mocked(answer) as client:
        http = HttpxTransport(client)
        for size in (6, None):
            call = WatchedCall()
            pieces = Pieces(b"abc", b"def", size=size)
            response = await http.send(ask("http://mock/", pieces), call)
            assert await response.chunk() == b"{}"
            assert await response.chunk() == b""
            assert call.told == ["uploading", "progressed", "sent"]
            assert pieces.closed
        await http.aclose()
    assert [request.content for request in got] == [b"abcdef"] * 2
    assert got[0].headers["Content-Length"] == "6"
    assert "Transfer-Encoding" not in got[0].headers
    assert got[1].headers["Transfer-Encoding"] == "chunked"


async def test_a_large_body_in_memory_is_an_upload() -> None:
    """As over our own pool: its limits count from its last byte."""
    async with Peer(always) as peer:
        http = HttpxTransport()
        call = WatchedCall()
        response = await http.send(ask(peer.url, b"x" * (1 << 20)), call)
        assert await response.chunk() == b"{}"
        assert await response.chunk() == b""
        await http.aclose()
        assert peer.bodies == [b"x" * (1 << 20)]
        assert b"\r\nContent-Length: 1048576\r\n" in peer.heads[0]
    assert call.told == ["dialing", "uploading", "progressed", "sent"]
    assert call.uploaded


async def test_a_recording_goes_to_the_emulator(tmp_path: Any) -> None:
    """A whole operation with an upload, over a real httpx client."""
    from voicekit.testing.conformance.transcription import AUDIO

    recording = tmp_path / "sound.wav"
    recording.write_bytes(AUDIO)
    async with (
        Emulator(providers=["deepgram"], scenario="instant") as world,
        Transport(http=HttpxTransport()) as transport,
        DeepgramClient(api_key="k", base_url=world.deepgram.url, transport=transport) as stt,
    ):
        assert (await stt.transcribe(recording)).text
        (request,) = world.journal.requests_for("deepgram")
        assert len(request.body) == len(AUDIO)


async def test_an_early_refusal_of_an_upload() -> None:
    """What the server said counts, and that the upload was not whole is told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http, call = HttpxTransport(), WatchedCall()
    pieces = Pieces(*[b"x" * 65536] * 2000, size=65536 * 2000)
    try:
        response = await http.send(ask(f"http://127.0.0.1:{port}/", pieces), call)
    except ConnectionLostError:
        pass  # the reset overtook the answer, which the system then drops
    else:
        assert response.status == 413
        assert await response.chunk() == b""
        assert call.told[-1] == "sent early"
        assert not call.uploaded
    assert pieces.closed
    await http.aclose()
    server.close()


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RuntimeError(SECRET), LocalProtocolError),
        (KeyError(SECRET), LocalProtocolError),
        (httpx.RemoteProtocolError(f"illegal status line {SECRET}"), VoicekitError),
        (httpx.LocalProtocolError(f"Illegal header value {SECRET}"), LocalProtocolError),
        (OSError("reset"), ConnectionLostError),
        (httpx.ReadError(""), ConnectionLostError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_whatever_a_users_transport_raises(
    failure: Exception, expected: type[VoicekitError]
) -> None:
    """Before the headers or in the body, it is an error of ours, and shows no secret."""

    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        raise failure

    def early(_: httpx.Request) -> httpx.Response:
        raise failure

    def late(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body())

    for answer in (early, late):
        async with mocked(answer) as client:
            http = HttpxTransport(client)
            with pytest.raises(expected) as caught:  # noqa: PT012 - wherever it comes
                response = await http.send(ask("http://mock/"), WatchedCall())
                assert await response.chunk() == b"abc"
                await response.chunk()
            await http.aclose()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_what_httpx_says_of_a_header_is_not_shown() -> None:
    """Httpcore quotes the header that it cannot write; we do not."""
    async with Peer(always) as peer:
        http = HttpxTransport()
        for bad in (f"{SECRET}\n", f"{SECRET}ü"):
            request = Request("GET", peer.url, {"Authorization": bad})
            with pytest.raises(LocalProtocolError) as caught:
                await http.send(request, WatchedCall())
            assert SECRET not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(InvalidArgumentError):
            await http.send(Request("GET", "nothing://x", {}), WatchedCall())
        await http.aclose()


async def test_a_hook_that_raises_for_status() -> None:
    """A user's hook is the user's; what it raises is no lost connection."""

    async def hook(response: httpx.Response) -> None:
        response.raise_for_status()

    async with mocked(lambda _: httpx.Response(500), event_hooks={"response": [hook]}) as client:
        http = HttpxTransport(client)
        with pytest.raises(LocalProtocolError, match="hook") as caught:
            await http.send(ask("http://mock/"), WatchedCall())
        assert caught.value.outcome == "unknown"
        await http.aclose()


async def test_a_closed_client_is_a_closed_error() -> None:
    """Whoever closed it."""
    client = mocked(lambda _: httpx.Response(200))
    http = HttpxTransport(client)
    await client.aclose()
    with pytest.raises(ClosedError):
        await http.send(ask("http://mock/"), WatchedCall())
    await http.aclose()


async def test_a_users_connections_come_back(caplog: pytest.LogCaptureFixture) -> None:
    """Closing our transport frees what was in flight; the user's pool is whole again."""

    async def handler(visit: Visit) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await visit.gone()

    limits = httpx.Limits(max_connections=2)
    async with Peer(handler) as peer, httpx.AsyncClient(limits=limits, trust_env=False) as client:
        for _ in range(3):
            http = HttpxTransport(client)
            for _ in range(2):
                response = await http.send(ask(peer.url), WatchedCall())
                waiting = asyncio.ensure_future(response.chunk())
                await asyncio.sleep(0)
                waiting.cancel()
            await http.aclose()
            assert http.stats().leased == 0
        gc.collect()
        await asyncio.sleep(0)
    assert "never retrieved" not in caplog.text


async def test_no_cookie_is_kept_by_our_own_client() -> None:
    """As over our own pool: a load balancer's cookie would bind calls to one machine."""

    async def handler(visit: Visit) -> None:
        await visit.answer(headers="Set-Cookie: a=b\r\n")

    async with Peer(handler) as peer:
        http = HttpxTransport()
        for _ in range(2):
            response = await http.send(ask(peer.url), WatchedCall())
            while await response.chunk():
                pass
        await http.aclose()
        assert b"cookie" not in peer.heads[1].lower()


async def test_we_know_who_traces() -> None:
    """Httpx has no public way to ask; here we learn when its private one goes."""
    url = httpx.URL("http://x/")
    async with httpx.AsyncClient(trust_env=False) as real, mocked(lambda _: None) as mock:
        assert _traces(real, url)
        assert not _traces(mock, url)
