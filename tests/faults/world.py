"""What the cells of one process share: the server's thread, the emulator, certificates, answers."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp.abc import ResolveResult
from operations import KEY, Row, Taken
from recording import SPOKEN
from servers import HOST, FaultServer, Reply, ServerThread, Visit, relayed

from voicekit.emulator import Emulator, Scenario

NAME = "localhost"


@dataclass(frozen=True)
class Reference:
    """A good call of a row: what the wire carried, and what the caller held in the end."""

    reply: Reply | None
    received: bytes


class World:
    """Made once per process; every cell has servers of its own in it."""

    def __init__(self) -> None:
        for module in ("tenacity", "pybreaker", "voicekit.resilience.breaker_states"):
            importlib.import_module(module)  # importing is no part of any limit
        self.thread = ServerThread()
        self.emulator = Emulator(scenario="instant", seed=1)
        self.thread.do(self.emulator.__aenter__())
        # Hears what is said in the recording, as far as it is sent.
        heard = Scenario(name="recording", heard=SPOKEN, transcript_final=0.002)
        self.listening = Emulator(providers=("deepgram",), scenario=heard, seed=1)
        self.thread.do(self.listening.__aenter__())
        self._directory = Path(tempfile.mkdtemp(prefix="voicekit-faults-"))
        self._references: dict[str, Reference] = {}
        self._authorities: tuple[Any, Any] | None = None

    def close(self) -> None:
        for emulator in (self.emulator, self.listening):
            self.thread.do(emulator.__aexit__(None, None, None))
        self.thread.stop()
        shutil.rmtree(self._directory)

    # -- certificates ---------------------------------------------------------------------

    def _made(self) -> tuple[Any, Any]:
        if self._authorities is None:
            import trustme

            trusted, stranger = trustme.CA(), trustme.CA()
            trusted.cert_pem.write_to_path(str(self._directory / "ca.pem"))
            self._authorities = trusted, stranger
        return self._authorities

    @property
    def ca(self) -> str:
        self._made()
        return str(self._directory / "ca.pem")

    def server_tls(self, *, name: str = NAME, stranger: bool = False) -> ssl.SSLContext:
        """A server's context with a certificate for ``name``, of the CA that clients trust."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._made()[stranger].issue_cert(name).configure_cert(context)
        return context

    # -- references -----------------------------------------------------------------------

    def relay_port(self, row: Row) -> int | None:
        if row.answer:
            return None
        return self.emulator.endpoint(row.provider).port

    def reference(self, row: Row) -> Reference:
        """How the emulator answers; asked once, and kept."""
        known = self._references.get(row.id)
        if known is None:
            if row.answer:
                known = self._ask(row, FaultServer(row.answer, None, None))
            else:
                known = self._ask(row, FaultServer(None, self.relay_port(row), None))
            self._references[row.id] = known
        return known

    def _ask(self, row: Row, server: FaultServer) -> Reference:
        taken = bytearray()
        raw = bytearray()
        if not row.answer:
            server.script = relayed if row.socket else _recording(raw)
        server.aside = row.aside
        self.thread.do(server.start())
        try:

            async def ask() -> bytes:
                got = Taken()
                async with row.make(
                    api_key=KEY, base_url=f"http://{HOST}:{server.port}{row.path}"
                ) as client:
                    await row.ask(client, got)
                return bytes(got)

            taken += asyncio.run(ask())
        finally:
            self.thread.do(server.stop())
        reply = Reply.parse(bytes(raw)) if raw else (None if row.socket else server.reply)
        return Reference(reply, bytes(taken))


def _recording(raw: bytearray) -> Callable[[Visit], Any]:
    async def script(visit: Visit) -> None:
        await visit.read()
        reader, writer = await asyncio.open_connection(HOST, visit.server.relay_port)
        head = visit.seen.head[:-2] + b"Connection: close\r\n\r\n"
        writer.write(head + _rechunked(visit))
        try:
            while data := await reader.read(1 << 16):
                raw.extend(data)
        finally:
            writer.transport.abort()
        await visit.write(bytes(raw))
        visit.writer.close()

    return script


def _rechunked(visit: Visit) -> bytes:
    body = visit.seen.body
    if visit.seen.header("transfer-encoding"):
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return body


class Names:
    """The name server of a cell: answers as it is told, and every answer is stale at once.

    Attributes:
        addresses: What the name resolves to now; an exception is raised in their place.
        wait: A look-up takes until it is set.
        asked: How many look-ups there were.
    """

    def __init__(self) -> None:
        self.addresses: list[str] | Exception | Iterator[list[str]] = [HOST]
        self.gate = threading.Event()
        self.gate.set()
        self.asked = 0

    def lookup(self, host: str, port: int, family: Any) -> list[ResolveResult]:
        self.asked += 1
        self.gate.wait(5)
        found = self.addresses
        if isinstance(found, Exception):
            raise found
        if not isinstance(found, list):
            found = next(found)
        return [
            ResolveResult(
                hostname=host, host=each, port=port, family=socket.AF_INET, proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each in found
        ]  # fmt: skip


@contextlib.contextmanager
def patched(target: Any, **values: Any) -> Iterator[None]:
    """Attributes of ``target`` replaced for a while."""
    before = {name: getattr(target, name) for name in values}
    for name, value in values.items():
        setattr(target, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(target, name, value)
