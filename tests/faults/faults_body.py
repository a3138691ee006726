"""Columns 28 to 34: the answer itself is broken, or strange."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

from faults import OK, UNKNOWN, Fault, bodies, by_kind, expect, fails, streams
from voicekit.errors import (
    GapTimeout,
    OutcomeUnknownError,
    StreamInterruptedError,
    TotalTimeout,
    TransportError,
    VoicekitError,
)

if TYPE_CHECKING:
    from cell import Cell
    from servers import Visit

_BOMB = 64 << 20
_MEMORY = 24 << 20
"""Bytes that one broken answer may take at most: the bound of an answer, and its copies."""
_PAUSED = 1 << 20
"""Bytes that may be read ahead of a caller who pauses."""
_PARTIAL = fails(StreamInterruptedError, outcome="partial")


def _sent_part(body: bytes, share: float) -> bytes:
    return body[: max(1, int(len(body) * share))]


def _cut(share: float, *, chunked: bool) -> Any:
    """The body ends early although its framing promises more."""

    async def cut(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        part = _sent_part(reply.body, share) if share else b""
        if chunked:
            await visit.write(reply.head("Transfer-Encoding: chunked"))
            await visit.write(b"%x\r\n" % (len(part) + 100) + part)
        else:
            await visit.write(reply.head(f"Content-Length: {len(reply.body)}") + part)
        visit.writer.close()

    return cut


async def _truncated_before(cell: Cell) -> None:
    """Cut before anything useful came: it never happened, as far as a repeat is concerned."""
    for chunked in (False, True):
        cell.server.script = cell.first(_cut(0.0, chunked=chunked))
        expect(cell, await cell.call(await cell.make()), by_kind(OK, UNKNOWN))


async def _truncated_within(cell: Cell) -> None:
    """Cut in the middle: what streams keeps what it has, the others are repeated."""
    for chunked in (False, True):
        cell.server.script = cell.first(_cut(0.5, chunked=chunked))
        result = await cell.call(await cell.make())
        expect(cell, result, _PARTIAL if cell.row.s else by_kind(OK, UNKNOWN))
        if cell.row.streams:
            _delivered(cell, result, 0.5)


def _delivered(cell: Cell, result: Any, share: float) -> None:
    """What had come by then was handed out, and the error says how much that was."""
    least = int(len(cell.reference.received) * share * 0.5)
    assert len(result.received) >= least, f"{len(result.received)} bytes of {least} at least"
    error = result.error
    if cell.subject.typed and isinstance(error, StreamInterruptedError):
        told = error.delivered_bytes or error.delivered_characters
        held = len(result.received)
        assert told in {held, len(result.received.decode("utf-8", "replace"))}, f"{told} of {held}"


async def _undelimited(cell: Cell) -> None:
    """A body whose only end is the connection's, which ends in its middle without a fault."""

    async def ends(visit: Visit) -> None:
        await visit.read()
        part = _sent_part(visit.reply.body, 0.5)
        await visit.write(visit.reply.head("Connection: close") + part)
        visit.writer.close()

    cell.server.script = cell.first(ends, 9)
    result = await cell.call()
    expect(cell, result, _PARTIAL if cell.row.s else by_kind(fails(VoicekitError), UNKNOWN))


async def _stall(cell: Cell) -> None:
    async def stall(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        part = _sent_part(reply.body, 0.5)
        await visit.write(reply.head(f"Content-Length: {len(reply.body)}") + part)
        await visit.hang()

    cell.server.script = stall
    result = await cell.call()
    limit = cell.row.limits.gap if cell.row.s else cell.row.limits.first_output
    if cell.row.s:
        expect(cell, result, fails(StreamInterruptedError, GapTimeout, outcome="partial"))
        assert abs(result.elapsed - limit) <= 2 * cell.canary.tolerance, f"{result.elapsed:.3f} s"
        if cell.row.streams:
            _delivered(cell, result, 0.5)
    else:
        expect(cell, result, by_kind(fails(TotalTimeout, TimeoutError), UNKNOWN))


async def _slices(cell: Cell) -> None:
    """A byte at a time, as far as there is time for that; the rest at once."""

    async def slices(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        await visit.write(reply.head(reply.framed()))
        few, rest = reply.body[:200], reply.body[200:]
        for at in range(len(few)):
            await visit.write(reply.wire(few[at : at + 1], end=False))
            await asyncio.sleep(0)
        await visit.write(reply.wire(rest) if rest else reply.wire(b""))

    cell.server.script = slices
    expect(cell, await cell.call(), OK)


async def _slow_line(cell: Cell) -> None:
    """Sixteen pieces with pauses between them: three times the work of one at most."""
    expect(cell, await cell.call(), OK)  # what is made once is made

    async def slowly(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        await visit.write(reply.head(reply.framed()))
        step = max(1, len(reply.body) // 16 + 1)
        pieces = [reply.body[at : at + step] for at in range(0, len(reply.body), step)]
        for piece in pieces[:-1]:
            await visit.write(reply.wire(piece, end=False))
            await asyncio.sleep(0.004)
        await visit.write(reply.wire(pieces[-1]))

    usual = await _work(cell)
    cell.server.script = slowly
    slow = min(await _work(cell), await _work(cell))  # a busy machine makes work longer
    # The canary sings 500 times a second meanwhile, at some 20 µs.
    assert slow <= 3 * usual + 0.006, f"{slow * 1e3:.1f} ms of work, {usual * 1e3:.1f} as usual"


async def _work(cell: Cell) -> float:
    before = time.thread_time()
    expect(cell, await cell.call(), OK)
    return time.thread_time() - before


def _lies(kind: str, body: bytes) -> Any:
    async def lie(visit: Visit) -> None:
        await visit.read()
        status = visit.reply.status
        await visit.say(status, body, kind=kind)

    return lie


_PAGE = b"<!DOCTYPE html><html><body>It works!</body></html>" * 20
_ERROR = b'{"error": {"message": "in band", "type": "server_error", "code": "oops"}}'
_WRONG = {
    "HTML": _lies("text/html", _PAGE),
    "HTML by another name": _lies("application/octet-stream", _PAGE),
    "wrong type": _lies("image/png", b"\x89PNG\r\n\x1a\n" + bytes(200)),
    "empty": _lies("application/json", b""),
    "an error": _lies("application/json", _ERROR),
    "an error by another name": _lies("application/octet-stream", _ERROR),
}
_CREDIBLE = {"HTML by another name", "wrong type", "an error by another name"}
"""What may be a file as well as any."""


async def _wrong_content(cell: Cell) -> None:
    for name, lie in _WRONG.items():
        if cell.row.opaque and name in _CREDIBLE:
            continue
        cell.server.script = cell.first(lie, 9)
        result = await cell.call(await cell.make())
        try:
            expect(cell, result, fails(VoicekitError))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        assert result.received == b"", f"{name}: it was played"


def _malformed(raw: bytes) -> Any:
    async def speak(visit: Visit) -> None:
        await visit.read()
        await visit.write(raw)
        visit.writer.close()

    return speak


def _packed(encoding: str, body: bytes) -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {encoding}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


_BROKEN = {
    "no HTTP": _malformed(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "a broken status line": _malformed(b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\n{}"),
    "a broken header": _malformed(b"HTTP/1.1 200 OK\r\nbad header\x00\r\n\r\n{}"),
    "huge headers": _malformed(
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * (256 << 10) + b"\r\nContent-Length: 2\r\n\r\n{}"
    ),
    "a broken chunk": _malformed(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    ),
    "bad gzip": _malformed(_packed("gzip", b"no gzip at all")),
    "bad br": _malformed(_packed("br", b"no brotli at all")),
}


async def _malformed_http(cell: Cell) -> None:
    with cell.canary.forgiving():
        bomb = _bomb()
    for name, speak in {**_BROKEN, "a bomb": bomb}.items():
        cell.server.script = cell.first(speak, 9)
        client = await cell.make()
        opened = cell.server.opened
        tracemalloc.start() if name == "a bomb" else None
        try:
            result = await cell.call(client)
            peak = tracemalloc.get_traced_memory()[1] if name == "a bomb" else 0
        finally:
            tracemalloc.stop()
        try:
            expect(cell, result, fails(TransportError, OutcomeUnknownError))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
        assert peak < _MEMORY, f"{name}: {peak >> 20} MB"
        cell.server.script = cell.good
        await asyncio.sleep(0.005 + 2 * cell.canary.lag)  # a FIN that is on its way is column 13's
        expect(cell, await cell.call(client), OK)
        assert cell.server.opened > opened + 1, f"{name}: its connection was used again"


_bombs: list[Any] = []


def _bomb() -> Any:
    if not _bombs:
        _bombs.append(_malformed(_packed("gzip", gzip.compress(bytes(_BOMB), 9))))
    return _bombs[0]


async def _slow_consumer(cell: Cell) -> None:
    """The caller takes its time, longer than any gap; nothing is wrong with that."""
    if cell.row.audio:
        cell.lengthened(20)
    pause = (cell.row.limits.gap or 0.0) * 1.3

    async def pieces(visit: Visit) -> None:
        await visit.read()
        reply = visit.reply
        await visit.write(reply.head(f"Content-Length: {len(reply.body)}"))
        for at in range(0, len(reply.body), 1 << 16):
            await visit.write(reply.body[at : at + (1 << 16)])
        visit.seen.answered = True

    cell.server.script = pieces
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call = asyncio.create_task(cell.call(slow=pause))
        await asyncio.sleep(pause * 0.9)
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    expect(cell, await call, OK)
    assert held < _PAUSED + 2 * len(cell.server.seen[-1].body), f"{held >> 10} KiB were read ahead"


COLUMNS = (
    Fault(number="28a", title="body cut before it begins", run=_truncated_before, applies=bodies),
    Fault(number="28b", title="body cut in the middle", run=_truncated_within, applies=bodies),
    Fault(number="29", title="clean end of an undelimited body", run=_undelimited, applies=bodies),
    Fault(number="30", title="stall in the body", run=_stall, applies=bodies),
    Fault(number="31a", title="slices of a byte", run=_slices, applies=bodies),
    Fault(number="31b", title="slow line", run=_slow_line, applies=bodies),
    Fault(number="32", title="200 with something else", run=_wrong_content, applies=bodies),
    Fault(number="33", title="malformed HTTP, bombs", run=_malformed_http, applies=bodies),
    Fault(number="34", title="slow consumer", run=_slow_consumer, applies=streams),
)  # fmt: skip
