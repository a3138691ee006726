"""TLS: one context per set of authorities, built off the loop; a bad peer is never talked to."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from voicekit.errors import ConnectError, InvalidArgumentError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.transport import tls
from voicekit.transport.messages import Request
from voicekit.transport.tls import tls_context
from voicekit.transport.transport import Transport

trustme = pytest.importorskip("trustme", reason="trustme of an extra is not installed")
pytestmark = [pytest.mark.anyio, pytest.mark.timing]

KEY = "sk-marked-key-7d1f"


@pytest.fixture(scope="module")
def authority() -> Any:
    return trustme.CA()


@pytest.fixture
def ca(authority: Any, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(autouse=True)
def no_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_contexts", {})


async def test_shared(ca: str) -> None:
    """The same authorities, the same context, however many ask at once; others have another."""
    same = await asyncio.gather(*(tls_context(ca) for _ in range(8)))
    assert len({id(context) for context in same}) == 1
    assert await tls_context(ca) is same[0]
    assert await tls_context() is not same[0]
    assert same[0].verify_mode is ssl.CERT_REQUIRED
    assert same[0].check_hostname


async def test_the_environment_is_part_of_it(ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL reads SSL_CERT_FILE when the context is made, so another file is another context."""
    before = await tls_context()
    monkeypatch.setenv("SSL_CERT_FILE", ca)
    assert await tls_context() is not before


async def test_built_off_the_loop(monkeypatch: pytest.MonkeyPatch, ca: str) -> None:
    """16 to 21 ms of loading certificates stall nobody, and wait for no executor."""
    real, threads = ssl.create_default_context, []

    def slow(**options: Any) -> ssl.SSLContext:
        threads.append(threading.current_thread())
        time.sleep(0.5)
        return real(**options)

    monkeypatch.setattr(tls.ssl, "create_default_context", slow)
    gaps, last = [], time.monotonic()
    building = asyncio.create_task(tls_context(ca))
    while not building.done():
        await asyncio.sleep(0.005)
        gaps.append(time.monotonic() - last)
        last = time.monotonic()
    assert max(gaps) < 0.4
    assert threads[0] is not threading.main_thread()
    assert threads[0].name.startswith("voicekit-tls")


async def test_a_cancelled_builder_leaves_the_context_to_the_next(ca: str) -> None:
    """The work is not thrown away."""
    building = asyncio.create_task(tls_context(ca))
    await asyncio.sleep(0)
    building.cancel()
    await asyncio.wait([building])
    assert await tls_context(ca) is await tls_context(ca)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
async def test_a_bad_ca(content: bytes | None, tmp_path: Path) -> None:
    """Missing, empty or no PEM: typed, naming the argument, and not remembered."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match="ca:"):
            await tls_context(str(path))
    transport = Transport(ca=path)
    with pytest.raises(InvalidArgumentError):
        await transport.send(Request("GET", "https://localhost:1/", {}), make_call())
    await transport.aclose()


def make_call() -> Call:
    limits = Limits(connect=2.0, first_output=2.0)
    return Call(
        Operation(provider="testing", name="test", kind=OperationClass.COMPUTE, limits=limits)
    )


class Server:
    """Answers anything over TLS, and counts what it was asked."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.requests: list[bytes] = []
        self.handshakes = 0
        context.sni_callback = self._greeted

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "0.0.0.0", 0, ssl=self._context)
        return f"https://localhost:{self._server.sockets[0].getsockname()[1]}/"

    def _greeted(self, *_: object) -> None:
        self.handshakes += 1

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


def context_of(authority: Any, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_a_good_peer(authority: Any, ca: str) -> None:
    """Trusted through ``ca``; the handshake's time is apart from the connection's."""
    transport, call = Transport(ca=ca), make_call()
    async with Server(context_of(authority, "localhost")) as url:
        response = await transport.send(Request("GET", url, {}), call)
        assert await response.chunk() == b"ok"
        assert call.timings.tls > 0
        assert call.timings.connect > 0
        await transport.aclose()


@pytest.mark.parametrize("wrong", ["name", "authority"])
async def test_a_wrong_certificate(wrong: str, authority: Any, ca: str) -> None:
    """Another host's, or nobody's we trust: one attempt, not retryable, no key sent or shown."""
    signer = trustme.CA() if wrong == "authority" else authority
    name = "localhost" if wrong == "authority" else "elsewhere.example"
    server = Server(context_of(signer, name))
    transport = Transport(ca=ca)
    async with server as url:
        transport._opened()._resolver._lookup = lambda host, port, family: [
            {"hostname": host, "host": f"127.0.0.{n}", "port": port} for n in (1, 2)
        ]
        request = Request("GET", url, {"Authorization": f"Bearer {KEY}"})
        with pytest.raises(ConnectError) as caught:
            await transport.send(request, make_call())
        error = caught.value
        assert server.handshakes == 1  # another address of the name would not cure it
        assert not error.retryable
        assert error.outcome == "not_applied"
        link: BaseException | None = error
        while link is not None:
            assert KEY not in f"{link!r} {link}"
            link = link.__cause__ or link.__context__
        report = await transport.warm(url, 1)
        assert report.failures == ("ConnectError",)
        assert transport.stats().open == 0
        await transport.aclose()
    assert server.requests == []
