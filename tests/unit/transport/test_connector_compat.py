"""What ``connector.py`` knows of aiohttp's inside is there, as it expects it.

A new aiohttp that changes any of it fails here, by name, and not in somebody's call.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections import OrderedDict, defaultdict, deque
from pathlib import Path
from typing import Any

import aiohappyeyeballs
import aiohttp
import pytest
from aiohttp import connector as theirs
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ClientResponse, ConnectionKey
from aiohttp.http import StreamWriter, WebSocketWriter
from aiohttp.streams import StreamReader
from yarl import URL

import voicekit.transport.connector as ours

pytestmark = pytest.mark.anyio

KNOWN = {
    "ResponseHandler": {
        "_drop_timeout",
        "_on_read_timeout",
        "_payload",
        "_read_timeout",
        "_read_timeout_handle",
        "_reschedule_timeout",
    },
    "TCPConnector": {
        "_acquired",
        "_available_connections",
        "_close",
        "_closed",
        "_conns",
        "_create_connection",
        "_create_proxy_connection",
        "_factory",
        "_get",
        "_happy_eyeballs_delay",
        "_interleave",
        "_local_addr_infos",
        "_loop",
        "_placeholder_future",
        "_release",
        "_release_waiter",
        "_socket_factory",
        "_start_tls_connection",
        "_wait_for_available_connection",
        "_waiters",
        "_wrap_create_connection",
        "_wrap_existing_connection",
    },
    "ClientRequest": {"_session", "_timer"},
    "ClientSession": {"_retry_connection"},
    "Connection": {"_key"},
    "ClientWebSocketResponse": {"_response", "_writer"},
    "connector": {"_TransportPlaceholder"},
}


def private_names(tree: ast.AST) -> set[str]:
    """Names with an underscore that the file takes from somewhere else."""
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return {n for n in used | imported if n.startswith("_") and not n.startswith("__")}


def own_names(tree: ast.AST) -> set[str]:
    """Those that only the file itself gives a meaning."""
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Attribute):
                defined.add(target.attr)
            elif isinstance(target, ast.Name):
                defined.add(target.id)
    return defined


def test_the_table_is_complete() -> None:
    """Nobody uses another of aiohttp's private names without entering it here."""
    tree = ast.parse(Path(ours.__file__).read_text())
    known = set().union(*KNOWN.values())
    assert private_names(tree) - own_names(tree) - known == set()
    assert known - private_names(tree) - own_names(tree) == set()


def test_the_declared_range() -> None:
    """The versions that were read."""
    major, minor = (int(part) for part in aiohttp.__version__.split(".")[:2])
    assert (major, minor) == (3, 14)


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (theirs.BaseConnector.connect, ["req", "traces", "timeout"]),
        (theirs.BaseConnector._get, ["key", "traces"]),
        (theirs.BaseConnector._release, ["key", "protocol", "should_close"]),
        (theirs.BaseConnector._release_waiter, []),
        (theirs.BaseConnector._available_connections, ["key"]),
        (theirs.BaseConnector._wait_for_available_connection, ["key", "traces"]),
        (theirs.TCPConnector._close, ["abort_ssl"]),
        (theirs.TCPConnector._create_connection, ["req", "traces", "timeout"]),
        (
            theirs.TCPConnector._wrap_create_connection,
            ["args", "addr_infos", "req", "timeout", "client_error", "kwargs"],
        ),
        (
            theirs.TCPConnector._wrap_existing_connection,
            ["args", "req", "timeout", "client_error", "kwargs"],
        ),
        (theirs.TCPConnector._create_proxy_connection, ["req", "traces", "timeout"]),
        (
            theirs.TCPConnector._start_tls_connection,
            ["underlying_transport", "req", "timeout", "client_error"],
        ),
        (ClientRequest.update_proxy, ["proxy", "proxy_auth", "proxy_headers"]),
        (theirs.Connection.__init__, ["connector", "key", "protocol", "loop"]),
        (theirs._TransportPlaceholder.__init__, ["closed_future"]),
        (ResponseHandler.__init__, ["loop"]),
        (ResponseHandler._reschedule_timeout, []),
        (ResponseHandler._drop_timeout, []),
        (ResponseHandler._on_read_timeout, []),
        (ResponseHandler.connection_lost, ["exc"]),
        (ResponseHandler.abort, []),
        (ClientRequest.send, ["conn"]),
        (StreamWriter.__init__, ["protocol", "loop", "on_chunk_sent", "on_headers_sent"]),
        (StreamWriter.write_headers, ["status_line", "headers"]),
        (StreamWriter.write_eof, ["chunk"]),
        (ResponseHandler.start_timeout, []),
        (
            ClientResponse.__init__,
            [
                "method",
                "url",
                "writer",
                "continue100",
                "timer",
                "request_info",
                "traces",
                "loop",
                "session",
                "stream_writer",
            ],
        ),
        (ClientRequest.update_body_from_data, ["body", "_stacklevel"]),
        (ClientResponse.start, ["connection"]),
        (ClientResponse.close, []),
        (StreamReader.set_exception, ["exc", "exc_cause"]),
        (WebSocketWriter.send_frame, ["message", "opcode", "compress"]),
    ],
)
def test_signatures(function: Any, expected: list[str]) -> None:
    """What is overridden or called takes what it took."""
    assert parameters(function) == expected


@pytest.mark.parametrize(
    ("function", "needed"),
    [
        (
            ResponseHandler.set_response_params,
            {
                "skip_payload",
                "read_until_eof",
                "auto_decompress",
                "read_timeout",
                "read_bufsize",
                "timeout_ceil_threshold",
            },
        ),
        (
            ClientRequest.__init__,
            {"method", "url", "headers", "skip_auto_headers", "loop", "session", "ssl", "data"},
        ),
        (
            aiohttp.TCPConnector.__init__,
            {
                "limit",
                "keepalive_timeout",
                "use_dns_cache",
                "resolver",
                "happy_eyeballs_delay",
                "socket_factory",
            },
        ),
        (
            aiohttp.ClientSession.__init__,
            {
                "connector",
                "connector_owner",
                "cookie_jar",
                "request_class",
                "timeout",
                "skip_auto_headers",
                "read_bufsize",
                "middlewares",
            },
        ),
        (
            aiohappyeyeballs.start_connection,
            {
                "addr_infos",
                "local_addr_infos",
                "happy_eyeballs_delay",
                "interleave",
                "loop",
                "socket_factory",
            },
        ),
    ],
)
def test_arguments(function: Any, needed: set[str]) -> None:
    """What is passed by name has that name."""
    assert needed <= set(parameters(function))


async def test_the_state_of_a_connector() -> None:
    """The attributes that are read and written are there, and of the shape they had."""
    connector = aiohttp.TCPConnector(limit=3)
    try:
        for name in KNOWN["TCPConnector"]:
            assert hasattr(connector, name), name
        assert isinstance(connector._conns, defaultdict)
        assert connector._conns.default_factory is deque
        assert isinstance(connector._acquired, set)
        assert isinstance(connector._waiters, defaultdict)
        assert connector._waiters.default_factory is OrderedDict
        assert connector._placeholder_future.done()
        assert connector._closed is False
        assert connector._limit == 3
    finally:
        await connector.close()
    assert connector._closed is True


async def test_the_state_of_a_connection() -> None:
    """A protocol's and a lease's attributes."""
    loop = asyncio.get_running_loop()
    protocol = ResponseHandler(loop=loop)
    for name in KNOWN["ResponseHandler"]:
        assert hasattr(protocol, name), name
    assert protocol.should_close is False
    assert protocol.is_connected() is False
    session = aiohttp.ClientSession()
    try:
        assert session._retry_connection is True
        request = ClientRequest("GET", URL("http://host/"), loop=loop, session=session)
        key = request.connection_key
        assert {"host", "port", "is_ssl", "ssl"} <= set(ConnectionKey._fields)
        lease = theirs.Connection(session.connector, key, protocol, loop)  # type: ignore[arg-type]
        assert lease._key == key
        assert lease.protocol is protocol
        lease._protocol = None
        assert "headers" in request.__dict__
        for name in KNOWN["ClientRequest"]:
            assert hasattr(request, name), name
    finally:
        await session.close()


def test_sockets_and_sessions() -> None:
    """The names that a WebSocket and a session keep their parts under."""
    source = inspect.getsource(aiohttp.ClientWebSocketResponse.__init__)
    for name in KNOWN["ClientWebSocketResponse"]:
        assert f"self.{name} = " in source
    request = inspect.getsource(aiohttp.ClientSession._request)
    assert "self._retry_connection" in request
    assert "self._middlewares" in request
