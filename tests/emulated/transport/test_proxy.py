"""Through a proxy: what it sees, what it refuses, and that nothing goes around it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from seams import (
    DIALECT,
    KEY,
    LIMITS,
    RawServer,
    answers,
    chain,
    chat,
    make_call,
    post,
    read_head,
    response,
    transports,
)
from test_sockets import handshake, speaks

from settling import open_sockets, until
from voicekit.clients.execute import open_socket
from voicekit.errors import ConnectError, ConnectTimeout, VoicekitError
from voicekit.operation import Limits

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

LOOPS = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
}
LOGIN = "walrus:marked-password-93"
TOKEN = b64encode(LOGIN.encode()).decode()


@pytest.fixture(params=sorted(LOOPS))
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return LOOPS[request.param]


@pytest.fixture(params=["tcp", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Server context and CA file, or two Nones."""
    if request.param == "tcp":
        return None, None
    return authority(tmp_path)


def authority(folder: Path) -> tuple[ssl.SSLContext, Path]:
    trustme = pytest.importorskip("trustme", reason="trustme of an extra is not installed")
    issuer = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert("localhost").configure_cert(context)
    path = folder / "ca.pem"
    issuer.cert_pem.write_to_path(path)
    return context, path


class SmallProxy:
    """Forwards plain requests and opens tunnels; ``heads`` is all that it could read."""

    def __init__(self, login: str | None = None, instead: bytes | None = None) -> None:
        self._login = login
        self._instead = instead
        self.heads: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._server = RawServer(self._serve)
        await self._server.__aenter__()
        host = self._server.url.removeprefix("http://")
        self.url = f"http://{self._login + '@' if self._login else ''}{host}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._server.__aexit__(*exc)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        self.heads.append(head)
        if self._instead is not None:
            writer.write(self._instead)
            await writer.drain()
            if not self._instead:
                await reader.read()  # until the client goes
            return
        if self._login and b"Proxy-Authorization: Basic " + TOKEN.encode() not in head:
            writer.write(response(b"", status="407 Proxy Authentication Required"))
            return
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        where = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = where.rpartition(":")
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                to_writer.write(head)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, to_writer))
                group.create_task(_pump(to_reader, writer))
        finally:
            to_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.transport.abort()


def quoting(error: BaseException) -> list[str]:
    """Where the chain of ``error`` shows the proxy's credentials."""
    return [
        shown
        for link in chain(error)
        for shown in (str(link), repr(link), repr(link.args), repr(vars(link)))
        if "marked-password" in shown or TOKEN in shown
    ]


ANSWERS = answers(response(b'{"ok": true}'), then="go on")


# -- the good case --------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, LOGIN])
async def test_requests_go_through_it(login: str | None, tls: Any) -> None:
    """Plain ones as they are, TLS through a tunnel; a connection serves many of them."""
    async with (
        RawServer(ANSWERS, tls[0]) as server,
        SmallProxy(login) as proxy,
        transports(ca=tls[1], proxy=proxy.url) as transport,
    ):
        for _ in range(3):
            assert await chat(transport, server.url, "hello") == {"ok": True}
        assert transport.stats().opened == 1
        assert len(proxy.heads) == 1
        head = proxy.heads[0].decode()
        where = server.url.split("//")[1]
        if tls[0] is None:
            assert head.startswith(f"POST http://{where}/chat/completions HTTP/1.1\r\n")
        else:
            assert head.startswith(f"CONNECT {where} HTTP/1.1\r\n")
            assert KEY not in head
        assert (f"Proxy-Authorization: Basic {TOKEN}\r\n" in head) is (login is not None)


async def test_uploads_go_through_it(tls: Any) -> None:
    """In pieces, to the address that the proxy forwards or tunnels to."""
    request = post(" ", bytes(1 << 20))
    async with (
        RawServer(ANSWERS, tls[0]) as server,
        SmallProxy(LOGIN) as proxy,
        transports(ca=tls[1], proxy=proxy.url) as transport,
    ):
        answer = await transport.send(replace(request, url=server.url + "/upload"), make_call())
        assert answer.status == 200
        answer.abort()
    assert len(proxy.heads) == 1


async def test_the_host_never_sees_the_proxys_login(tmp_path: Path) -> None:
    """What is sent through the tunnel has no Proxy-Authorization."""
    context, ca = authority(tmp_path)
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_head(reader))
        writer.write(response(b'{"ok": true}'))

    async with (
        RawServer(note, context) as server,
        SmallProxy(LOGIN) as proxy,
        transports(ca=ca, proxy=proxy.url) as transport,
    ):
        await chat(transport, server.url, "hello")
    assert KEY.encode() in heads[0]
    assert b"proxy" not in heads[0].lower()


async def test_warm_connections_are_tunnels_and_are_used(tls: Any) -> None:
    """Warming dials through it, the keeper too, and calls find what was warmed."""
    async with (
        RawServer(ANSWERS, tls[0]) as server,
        SmallProxy(LOGIN) as proxy,
        transports(ca=tls[1], proxy=proxy.url) as transport,
    ):
        report = await transport.warm(server.url, 2)
        assert (report.opened, report.failures) == (2, ())
        await chat(transport, server.url, "hello")
        assert transport.stats().opened == 2
        assert transport.stats().reused == 1
        transport.retire()  # which the keeper makes good
        await until(lambda: transport.stats().ready == 2 and transport.stats().opened == 4)
        await chat(transport, server.url, "hello")
        assert transport.stats().opened == 4


async def test_sockets_go_through_it(tls: Any) -> None:
    """A handshake uses a tunnel that was warmed."""
    async with (
        RawServer(speaks(), tls[0]) as server,
        SmallProxy(LOGIN) as proxy,
        transports(ca=tls[1], proxy=proxy.url) as transport,
    ):
        await transport.warm(server.url, 1)
        socket = await open_socket(transport, make_call(), handshake(server), DIALECT)
        assert socket.connection.reused
        assert socket.alive
        await socket.aclose()


async def test_timings_tell_tunnel_and_tls_apart(tmp_path: Path) -> None:
    """TLS is not counted twice."""
    context, ca = authority(tmp_path)
    call = make_call()
    async with (
        RawServer(ANSWERS, context) as server,
        SmallProxy() as proxy,
        transports(ca=ca, proxy=proxy.url) as transport,
    ):
        answer = await transport.send(post(server.url), call)
        answer.abort()
    assert call.tls_s > 0
    assert call.connect_s > 0
    assert call.connect_s + call.tls_s < 5


# -- what may go wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instead", "retryable"),
    [
        (response(b"", status="407 Proxy Authentication Required"), False),
        (response(b"", status="403 Forbidden"), False),
        (response(b"<html>" + b"x" * 9000, status="502 Bad Gateway", kind="text/html"), True),
        (response(b"", status="503 Busy"), True),
        (b"hello?\r\n\r\n", True),
        (b"HTTP/1.1 ", True),
    ],
)
async def test_a_proxy_that_opens_no_tunnel(
    instead: bytes, retryable: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """ConnectError: nothing reached the host. Requests, sockets and warming alike."""
    caplog.set_level(logging.DEBUG)
    context, ca = authority(tmp_path)
    before = open_sockets()
    async with (
        RawServer(ANSWERS, context) as server,
        SmallProxy(instead=instead) as proxy,
        transports(ca=ca, proxy=proxy.url.replace("//", f"//{LOGIN}@")) as transport,
    ):
        with pytest.raises(ConnectError) as caught:
            await chat(transport, server.url, "hello")
        assert (caught.value.outcome, caught.value.retryable) == ("not_applied", retryable)
        assert "proxy" in str(caught.value)
        with pytest.raises(ConnectError) as dialled:
            await open_socket(transport, make_call(), handshake(server), DIALECT)
        report = await transport.warm(server.url, 1)
        assert report.failures == ("ConnectError",)
        assert not quoting(caught.value)
        assert not quoting(dialled.value)
        assert server.served == 0
        assert transport.stats().open == 0
    await until(lambda: open_sockets() <= before + 1)
    assert "marked-password" not in caplog.text
    assert TOKEN not in caplog.text


async def test_a_proxy_that_wants_another_login_for_plain_requests() -> None:
    """It answers in the host's place: ConnectError as well, not retryable."""
    refusal = response(b"", status="407 Proxy Authentication Required")
    async with (
        RawServer(ANSWERS) as server,
        SmallProxy(instead=refusal) as proxy,
        transports(proxy=proxy.url.replace("//", f"//{LOGIN}@")) as transport,
    ):
        with pytest.raises(ConnectError) as caught:
            await chat(transport, server.url, "hello")
        assert not caught.value.retryable
        with pytest.raises(ConnectError):
            await open_socket(transport, make_call(), handshake(server), DIALECT)
        assert not quoting(caught.value)
        assert server.served == 0


async def test_a_proxy_that_is_not_there(tls: Any) -> None:
    """Named as the proxy, not as the host."""
    async with RawServer(ANSWERS, tls[0]) as server:
        async with SmallProxy() as proxy:
            pass
        url = proxy.url.replace("//", f"//{LOGIN}@")
        async with transports(ca=tls[1], proxy=url) as transport:
            with pytest.raises(ConnectError) as caught:
                await chat(transport, server.url, "hello")
    assert "cannot connect to the proxy 127.0.0.1:" in str(caught.value)
    assert not quoting(caught.value)


async def test_a_proxy_that_says_nothing_is_bounded_by_the_connect_limit(tmp_path: Path) -> None:
    """ConnectTimeout, and nothing is left open."""
    context, ca = authority(tmp_path)
    async with (
        RawServer(ANSWERS, context) as server,
        SmallProxy(instead=b"") as proxy,
        transports(ca=ca, proxy=proxy.url) as transport,
    ):
        before = open_sockets()
        with pytest.raises(ConnectTimeout):
            await chat(transport, server.url, "hello", limits=Limits(connect=0.2, total=9))
        await until(lambda: open_sockets() <= before)
        assert transport.stats().leased == 0


async def test_a_tunnel_to_a_host_that_says_nothing(tmp_path: Path) -> None:
    """TLS is part of the connect limit here too, and nothing is left open."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"never")

    _, ca = authority(tmp_path)
    async with (
        RawServer(deaf) as server,
        SmallProxy() as proxy,
        transports(ca=ca, proxy=proxy.url) as transport,
    ):
        before = open_sockets()
        url = "https" + server.url[4:]
        with pytest.raises(ConnectTimeout):
            await chat(transport, url, "hello", limits=Limits(connect=1.0, total=9))
        assert len(proxy.heads) == 1
        await until(lambda: open_sockets() <= before)
        assert transport.stats().open == 0


async def test_a_host_whose_certificate_is_not_trusted(tmp_path: Path) -> None:
    """The tunnel changes nothing about who must be at its end."""
    context, _ = authority(tmp_path)
    async with (
        RawServer(ANSWERS, context) as server,
        SmallProxy() as proxy,
        transports(proxy=proxy.url) as transport,
    ):
        with pytest.raises(ConnectError) as caught:
            await chat(transport, server.url, "hello")
    assert "TLS" in str(caught.value)
    assert not caught.value.retryable


async def test_cancelled_anywhere_nothing_is_left(tmp_path: Path) -> None:
    """While connecting, in the tunnel's handshake, in that of TLS, and after."""
    context, ca = authority(tmp_path)
    async with (
        RawServer(ANSWERS, context) as server,
        SmallProxy(LOGIN) as proxy,
        transports(ca=ca, proxy=proxy.url) as transport,
    ):
        await chat(transport, server.url, "hello")
        transport.retire()
        for steps in range(60):
            task = asyncio.create_task(chat(transport, server.url, "hello"))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            assert not isinstance(result, VoicekitError)
            transport.retire()
        await until(lambda: transport.stats().leased == 0)
        assert await chat(transport, server.url, "hello", limits=LIMITS) == {"ok": True}
