"""Columns 1 to 9: no connection comes about, or one that should not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from seams import RawServer
from servers import HOST, reset
from world import patched

from faults import OK, Fault, at_limit, attempts_of, expect, fails
from voicekit.errors import ConnectError, ConnectTimeout
from voicekit.transport import dns

if TYPE_CHECKING:
    from cell import Cell

_DEAD = "127.0.0.2"
"""Another loopback address, where the same port is somebody else's."""
_DEADER = "127.0.0.3"
_HAPPY_EYEBALLS = 0.1
_NOT_APPLIED = "not_applied"


@contextmanager
def black_hole(host: str, port: int) -> Iterator[None]:
    """Its accept queue is full: a SYN gets no answer."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield


@contextmanager
def deaf(host: str, port: int) -> Iterator[None]:
    """It accepts connections, and says nothing on them."""
    with socket.create_server((host, port), backlog=64):
        yield


async def _no_dns(cell: Cell) -> None:
    cell.names.addresses = socket.gaierror(socket.EAI_AGAIN, "temporary failure")
    result = await cell.call()
    expect(cell, result, fails(ConnectError, outcome=_NOT_APPLIED))
    most = cell.row.limits.connect + 0.1 + cell.canary.tolerance
    assert result.elapsed < most, f"took {result.elapsed:.3f} s"
    assert cell.server.opened == 0


async def _dns_gone(cell: Cell) -> None:
    expect(cell, await cell.call(), OK)
    cell.drop(idle=not cell.row.socket)
    await asyncio.sleep(0.01)
    asked = cell.names.asked
    cell.names.addresses = socket.gaierror(socket.EAI_AGAIN, "temporary failure")
    expect(cell, await cell.call(), OK)
    assert cell.names.asked > asked, "the answer had not expired"


async def _dns_silent(cell: Cell) -> None:
    """As 2, but the name server says nothing at all, for longer than any limit."""
    expect(cell, await cell.call(), OK)
    cell.drop(idle=not cell.row.socket)
    await asyncio.sleep(0.01)
    cell.names.gate.clear()
    try:
        with patched(dns, STALE_AFTER=dns.STALE_AFTER / 10):  # as all limits here
            expect(cell, await cell.call(), OK)
    finally:
        cell.names.gate.set()


async def _slow_dns(cell: Cell) -> None:
    expect(cell, await cell.call(), OK)
    if not cell.row.socket:
        cell.names.gate.clear()
        result = await cell.call()
        expect(cell, result, OK)
        assert result.elapsed < 0.1 + cell.canary.tolerance, (
            f"took {result.elapsed:.3f} s: a warm pool needs no names"
        )
    cold = await cell.make()
    cell.names.gate.clear()
    result = await cell.call(cold)
    cell.names.gate.set()
    expect(cell, result, fails(ConnectTimeout, outcome=_NOT_APPLIED))
    at_limit(cell, result, cell.row.limits.connect)


async def _first_address_dead(cell: Cell) -> None:
    expect(cell, await cell.call(), OK)
    usual = (await cell.call(await cell.make())).elapsed
    cold = await cell.make()
    cell.names.addresses = [_DEAD, HOST]
    with black_hole(_DEAD, cell.server.port):
        result = await cell.call(cold)
    expect(cell, result, OK)
    most = usual + _HAPPY_EYEBALLS + cell.canary.tolerance
    assert result.elapsed <= most, f"took {result.elapsed:.3f} s"


async def _refused_once(cell: Cell) -> None:
    cell.names.addresses = iter([[_DEAD], *[[HOST]] * 9])
    result = await cell.call()
    expect(cell, result, OK)
    assert result.elapsed < 0.25 + cell.canary.tolerance, (
        f"took {result.elapsed:.3f} s: one back-off, and no more"
    )


async def _black_hole(cell: Cell) -> None:
    cell.names.addresses = [_DEAD, _DEADER]
    with black_hole(_DEAD, cell.server.port), black_hole(_DEADER, cell.server.port):
        result = await cell.call()
    expect(cell, result, fails(ConnectTimeout, outcome=_NOT_APPLIED))
    at_limit(cell, result, cell.row.limits.connect)


async def _tls_stall(cell: Cell) -> None:
    cell.names.addresses = [_DEAD]
    with deaf(_DEAD, cell.server.port):
        result = await cell.call()
    expect(cell, result, fails(ConnectTimeout, outcome=_NOT_APPLIED))
    at_limit(cell, result, cell.row.limits.connect)


async def _bad_certificate(cell: Cell) -> None:
    """A stranger's certificate, another host's; and the same after a session with the right one."""
    for wrong in ({"stranger": True}, {"name": "other.example"}):
        context = cell.world.server_tls(**wrong)
        with cell.another(_DEAD, tls=context) as other:
            cell.names.addresses = [_DEAD]
            result = await cell.call()
            expect(cell, result, fails(ConnectError, outcome=_NOT_APPLIED))
            assert attempts_of(result) == 1, "a certificate does not get better"
            assert other.seen == []
            cell.names.addresses = [HOST]
            expect(cell, await cell.call(), OK)
            cell.drop(
                idle=not cell.row.socket
            )  # and what TLS remembers of that host is no use at another
            await asyncio.sleep(0.01)
            cell.names.addresses = [_DEAD]
            expect(cell, await cell.call(), fails(ConnectError, outcome=_NOT_APPLIED))
            assert other.seen == []


async def _tls_reset(cell: Cell) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        reset(writer)

    struck = RawServer(handler, address=(_DEAD, cell.server.port))
    cell.there(struck.__aenter__())
    try:
        cell.names.addresses = iter([[_DEAD], *[[HOST]] * 9])
        expect(cell, await cell.call(), OK)
        assert struck.served == 1
    finally:
        cell.there(struck.__aexit__(None, None, None))


_TLS = (True,)
_BOTH = (False, True)

COLUMNS = (
    Fault(number="1", title="DNS failure, no prior answer", run=_no_dns),
    Fault(number="2", title="DNS failure after a good answer expired", run=_dns_gone, tls=_TLS),
    Fault(number="2b", title="name server silent, answer expired", run=_dns_silent, tls=_TLS),
    Fault(number="3", title="DNS slow", run=_slow_dns, tls=_TLS),
    Fault(number="4", title="first of two addresses dead", run=_first_address_dead, tls=_TLS),
    Fault(number="5", title="connection refused once", run=_refused_once, tls=_BOTH),
    Fault(number="6", title="SYN black hole", run=_black_hole, tls=_BOTH),
    Fault(number="7", title="TLS handshake stall", run=_tls_stall, tls=_TLS),
    Fault(number="8", title="bad certificate or host name", run=_bad_certificate, tls=_TLS),
    Fault(number="9", title="TLS reset in the handshake, then ok", run=_tls_reset, tls=_TLS),
)
