"""The endpoint of the FastAPI page, served over real sockets: it streams, and it lets go."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib.util
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from blocks import ROOT, blocks_of

from voicekit.emulator import SCENARIOS, Emulator, Fault
from voicekit.emulator.thread import ThreadedEmulator
from waiting import SOON, eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("docs")]

PAGE = ROOT / "docs" / "how-to" / "fastapi.md"
LONG = "A very long story that nobody hears to its end. " * 10

PACED = replace(SCENARIOS["instant"], speech_real_time_factor=0.5)
"""Half of real time: the long story takes a quarter of a minute."""


@pytest.fixture(autouse=True)
def _needs_fastapi() -> None:
    for name in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} of the docs group is not installed")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedEmulator]:
    with Emulator.in_thread(providers=["elevenlabs"], scenario=PACED) as world:
        for name, value in world.env().items():
            monkeypatch.setenv(name, value)
        yield world


class Served:
    """The page's app on a port of its own, by uvicorn in a thread."""

    def __init__(self, app: Any, port: int) -> None:
        self.app = app
        self.port = port

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def leased(self) -> int:
        """Connections in a request's hands; a warm socket, ready for a session, holds one too."""
        stats = self.app.state.tts.stats()
        return stats.leased - (stats.sockets.open if stats.sockets else 0)

    def opened(self) -> int:
        return self.app.state.tts.stats().opened


@contextmanager
def served(app: Any) -> Iterator[Served]:
    import uvicorn

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", lifespan="on", ws="none", http="h11")
        )
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, name="uvicorn", daemon=True
        )
        thread.start()
        try:
            assert eventually(lambda: server.started or not thread.is_alive())
            yield Served(app, listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(SOON)
            assert not thread.is_alive()


@pytest.fixture
def page(world: ThreadedEmulator) -> dict[str, Any]:
    """The names of the page's program."""
    space: dict[str, Any] = {"__name__": "app"}
    for block in blocks_of(PAGE):
        exec(block.compiled(), space)
    return space


@pytest.fixture
def endpoint(page: dict[str, Any]) -> Iterator[Served]:
    with served(page["app"]) as running:
        yield running


def test_it_streams_the_speech(endpoint: Served, world: ThreadedEmulator) -> None:
    """What the provider sent is what the client gets, over a connection that was warm."""
    warm = endpoint.opened()
    status, headers, body = endpoint.get("/say?text=Hello")
    assert status == 200
    assert headers["content-type"] == "audio/mpeg"
    (asked,) = world.journal.requests_for("elevenlabs", "speech.stream")
    assert asked.json()["text"] == "Hello"
    assert body == world.journal.audio(asked)
    assert endpoint.opened() == warm
    assert endpoint.leased() == 0


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault(kind="status", status=429, headers=(("retry-after", "7"),)), 429),
        (Fault(kind="status", status=503, times=2), 503),
        (Fault(kind="status", status=401), 502),
    ],
    ids=["429", "503", "401"],
)
def test_an_error_before_the_audio_is_a_status(
    endpoint: Served, world: ThreadedEmulator, fault: Fault, status: int
) -> None:
    """The client learns that it failed, and whether to come again; the provider's words stay."""
    world.inject("elevenlabs", fault)
    answered, headers, body = endpoint.get("/say?text=Hello")
    assert answered == status
    assert list(json.loads(body)) == ["detail"]
    if status == 429:
        assert headers["retry-after"] == "7"
    assert eventually(lambda: endpoint.leased() == 0)


def _ask(port: int, text: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=SOON)
    path = f"/say?text={quote(text)}"
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def _read_audio(client: socket.socket) -> None:
    """Until the body has begun."""
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < 512:
        piece = client.recv(4096)
        assert piece, "the server hung up"
        data += piece
    assert data.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("heard", [True, False], ids=["while-listening", "before-the-first-byte"])
def test_a_client_that_goes_away_frees_the_connection(
    endpoint: Served, world: ThreadedEmulator, heard: bool
) -> None:
    """The provider sees the request end at once; nothing stays leased, the app goes on."""
    client = _ask(endpoint.port, LONG)
    if heard:
        _read_audio(client)
    else:
        assert eventually(lambda: world.journal.requests_for("elevenlabs", "speech.stream"))
    left_at = time.monotonic()
    client.close()
    (asked,) = world.journal.requests_for("elevenlabs", "speech.stream")
    assert eventually(lambda: asked.outcome is not None)
    assert asked.outcome == "aborted"
    assert time.monotonic() - left_at < SOON  # the speech would take a quarter of a minute
    assert eventually(lambda: endpoint.leased() == 0)

    world.set_scenario("instant")
    assert endpoint.get("/say?text=Hello")[0] == 200
    assert endpoint.leased() == 0


def test_many_that_go_away_leave_nothing(endpoint: Served, world: ThreadedEmulator) -> None:
    """Six at once, at different moments: every request ends, every connection is free."""
    clients = [_ask(endpoint.port, LONG) for _ in range(6)]
    for client in clients[:3]:
        _read_audio(client)
    for client in clients:
        client.close()
    assert eventually(
        lambda: all(
            r.outcome == "aborted"
            for r in world.journal.requests_for("elevenlabs", "speech.stream")
        )
    )
    assert eventually(lambda: endpoint.leased() == 0)
    assert endpoint.app.state.tts.stats().waiting == 0


@pytest.mark.anyio
@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_a_client_that_goes_while_the_server_writes(
    page: dict[str, Any], world: ThreadedEmulator, spec: str
) -> None:
    """Not while the app waits for audio, but for the client to take it: freed as well.

    Servers of ASGI 2.3 tell a disconnect through ``receive``, those of 2.4 by failing ``send``.
    """
    from starlette.requests import ClientDisconnect

    writing, app = asyncio.Event(), page["app"]
    started: list[int] = []

    async def receive() -> dict[str, Any]:
        await writing.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started.append(message["status"])
            return
        writing.set()
        if spec == "2.4":
            raise OSError
        await asyncio.Event().wait()  # a client that takes nothing

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/say",
        "raw_path": b"/say",
        "query_string": f"text={quote(LONG)}".encode(),
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    async with page["lifespan"](app):
        serving = Served(app, 0)
        with contextlib.suppress(ClientDisconnect):
            await app(scope, receive, send)
        assert started == [200]
        assert serving.leased() == 0
        (asked,) = world.journal.requests_for("elevenlabs", "speech.stream")
        assert await asyncio.to_thread(eventually, lambda: asked.outcome == "aborted")
