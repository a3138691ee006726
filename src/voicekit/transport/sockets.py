"""OS socket options for connections that idle between the turns of a conversation."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

# Measured: without these an idle peer that vanished is never noticed, and a POST into
# it fails only at the read limit. Values: probe after 15 s, each 5 s, 3 times; give up
# on unacknowledged data after 10 s.
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}


def make_socket(addr_info: tuple[Any, ...]) -> socket.socket:
    """A non-blocking TCP socket with keep-alive probes and a bound on unacknowledged data."""
    family, kind, proto = addr_info[:3]
    sock = socket.socket(family, kind, proto)
    sock.setblocking(False)
    # Best effort: a system that refuses one of these can still talk.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            option = getattr(socket, name, None)
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock
