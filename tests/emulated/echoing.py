"""A server that gives back what it was told in confidence, everywhere that a server can."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from secrecy import KEY, TEXT, WORDS

SECRET = f"{KEY} {TEXT}"
_SAYS = f"You sent {KEY} and “{TEXT}”"


def _response(
    body: bytes | str = b"",
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    headers: str = "",
) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}"
    return head.encode() + b"\r\n" + body


_ECHO = (
    f"x-request-id: {KEY}\r\nrequest-id: {KEY}\r\nx-trace-id: {TEXT}\r\ndg-request-id: {KEY}\r\n"
    f"dg-error: {SECRET}\r\nretry-after: {KEY}\r\nwww-authenticate: Key {SECRET}\r\n"
    f"x-should-retry: {KEY}\r\nset-cookie: a={KEY}\r\nx-echo: {SECRET}\r\n"
)
_OPENAI = {"error": {"message": _SAYS, "code": KEY, "param": KEY, "type": KEY}}
_ELEVENLABS = {"detail": {"message": _SAYS, "code": KEY, "status": KEY, "request_id": KEY}}
_FIELDS = {"detail": [{"msg": _SAYS, "type": KEY, "loc": ["body", KEY, TEXT]}]}
_DEEPGRAM = {"err_msg": _SAYS, "err_code": KEY, "request_id": KEY, "details": _SAYS}
_FRAMES = {
    "type": "Error", "description": _SAYS, "message": _SAYS, "variant": KEY, "code": KEY,
    "error": KEY, "param": KEY, "request_id": KEY,
}  # fmt: skip


def _sse(*events: str) -> bytes:
    return _response("".join(f"data: {event}\n\n" for event in events), kind="text/event-stream")


HTTP: dict[str, bytes] = {
    **{
        f"{status}-{name}": _response(json.dumps(body), status=f"{status} Sorry", headers=_ECHO)
        for status in (401, 429, 500)
        for name, body in (
            ("openai", _OPENAI),
            ("elevenlabs", _ELEVENLABS),
            ("fields", _FIELDS),
            ("deepgram", _DEEPGRAM),
            ("string", _SAYS),
            ("list", [_SAYS, KEY]),
        )
    },
    "html": _response(f"<html>{SECRET}</html>", kind="text/html", headers=_ECHO),
    "html-error": _response(f"<html>{SECRET}</html>", status="502 Bad", kind="text/html"),
    "reason": _response(b"{}", status=f"403 {SECRET}"),
    "content-type": _response(b"{}", kind=f"text/{KEY}"),
    "content-type-text": _response(b"{}", kind=TEXT),
    "encoding": _response(b"{}", headers=f"Content-Encoding: {KEY}\r\n"),
    "redirect": _response(
        status="302 Found", headers=f"Location: https://h/{KEY}?q={WORDS[0]}\r\n"
    ),
    "bad-location": _response(status="302 Found", headers=f"Location: https://[{KEY}/\r\n"),
    "no-content": _response(status="204 No Content", headers=_ECHO),
    "openai-in-200": _response(json.dumps(_OPENAI), headers=_ECHO),
    "elevenlabs-in-200": _response(json.dumps(_ELEVENLABS), headers=_ECHO),
    "json-of-another-kind": _response(json.dumps({KEY: {TEXT: [KEY, {"choices": TEXT}]}})),
    "choices-wrong": _response(json.dumps({"choices": [{"message": {"content": {KEY: TEXT}}}]})),
    "half-json": _response(json.dumps(_OPENAI)[:-9]),
    "bad-utf8": _response(b"{\xff" + SECRET.encode()),
    "status-line": f"HTTP/1.1 {SECRET}\r\n\r\n".encode(),
    "not-http": SECRET.encode() + b"\r\n\r\n",
    "bad-header": f"HTTP/1.1 200 OK\r\n{SECRET} without a colon\r\n\r\n".encode(),
    "bad-header-name": f"HTTP/1.1 200 OK\r\n({KEY}): {TEXT}\r\n\r\n".encode(),
    "bad-length": f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n{TEXT}".encode(),
    "bad-chunk": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n".encode(),
    "long-header": b"HTTP/1.1 200 OK\r\nx: " + (KEY * 1000).encode() + b"\r\n\r\n",
    "cut": _response(SECRET)[:-20],
    "sse-error": _sse(json.dumps(_OPENAI)),
    "sse-string-error": _sse(json.dumps({"error": _SAYS})),
    "sse-late-error": _sse(
        json.dumps({"choices": [{"index": 0, "delta": {"content": WORDS[0]}}]}), json.dumps(_OPENAI)
    ),
    "sse-garbage": _sse("{" + SECRET),
    "sse-late-garbage": _sse(
        json.dumps({"choices": [{"index": 0, "delta": {"content": WORDS[0]}}]}), "{" + SECRET
    ),
    "sse-wrong": _sse(json.dumps({"choices": [{"index": 0, "delta": {"content": {KEY: TEXT}}}]})),
    "audio-json": _response(json.dumps(_ELEVENLABS), kind="audio/mpeg"),
}

SOCKETS: dict[str, Callable[[], bytes]] = {
    "error-frame": lambda: _frame(1, json.dumps(_FRAMES)),
    "error-code-frame": lambda: _frame(1, json.dumps({**_FRAMES, "code": 1008})),
    "configure-failure": lambda: _frame(1, json.dumps({**_FRAMES, "type": "ConfigureFailure"})),
    "close-1008": lambda: _frame(8, struct.pack("!H", 1008) + SECRET.encode()[:120]),
    "close-1011": lambda: _frame(8, struct.pack("!H", 1011) + SECRET.encode()[:120]),
    "close-1000": lambda: _frame(8, struct.pack("!H", 1000) + SECRET.encode()[:120]),
    "close-4999": lambda: _frame(8, struct.pack("!H", 4999) + KEY.encode()),
    "close-bad-utf8": lambda: _frame(8, struct.pack("!H", 1008) + b"\xff" + KEY.encode()),
    "no-json": lambda: _frame(1, "{" + SECRET),
    "wrong-json": lambda: _frame(1, json.dumps([KEY, TEXT])),
    "wrong-fields": lambda: _frame(
        1,
        json.dumps(
            {"type": "Results", "audio": SECRET, "contextId": KEY, "channel": SECRET, "start": KEY}
        ),
    ),
    "binary": lambda: _frame(2, SECRET),
    "bad-utf8": lambda: _frame(1, b"\xff" + SECRET.encode()),
    "reserved-bits": lambda: b"\xf1" + _frame(1, SECRET)[1:],
    "cut": lambda: b"",
}


def _frame(opcode: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    return bytes([0x80 | opcode]) + size + data


@contextmanager
def echoing(answer: bytes | None, frames: bytes | None = None) -> Iterator[str]:
    """``http://…`` of a server, on a thread of its own.

    Args:
        answer: To every request; None to open sockets.
        frames: What comes on a socket once the client has sent something.
    """
    loop = asyncio.new_event_loop()
    started = threading.Event()
    server: list[asyncio.Server] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(
                    line.lower().split(b": ", 1)
                    for line in head.split(b"\r\n")[1:]
                    if b": " in line
                )
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
                if answer is not None:
                    writer.write(answer)
                else:
                    writer.write(_switched(head))
                    await reader.read(1)
                    writer.write(frames or b"")
                await writer.drain()
                if frames is not None:
                    await asyncio.sleep(0.05)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def run() -> None:
        asyncio.set_event_loop(loop)
        server.append(loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0)))
        started.set()
        loop.run_forever()
        server[0].close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run, name="echoing")
    thread.start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{server[0].sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _switched(head: bytes) -> bytes:
    (key,) = [
        line.split(b": ", 1)[1]
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key: ")
    ]
    accept = base64.b64encode(
        hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    ).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{_ECHO}\r\n"
    ).encode()


def kinds(table: dict[str, Any]) -> list[str]:
    """The names, for parametrizing."""
    return list(table)
