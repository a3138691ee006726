"""What a client lends to its utterances, and how a socket goes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from voicekit.background import Background
    from voicekit.clients.elevenlabs.sockets import ContextSocket
    from voicekit.operation import Call, Pipeline
    from voicekit.transport.lease import Lease
    from voicekit.transport.pool import SocketPool

__all__ = ["Studio", "return_lease", "socket_of"]


class Studio:
    """What a client lends to its utterances.

    Args:
        make_call: Begins a call; raises when the client is closed.
        pipeline: The policies of the operation.
        pool: The sockets of these settings, once there is an event loop.
        background: Owns the tasks that outlive a call.
    """

    __slots__ = ("background", "make_call", "pipeline", "pool")

    def __init__(
        self,
        *,
        make_call: Callable[[], Call],
        pipeline: Pipeline,
        pool: Callable[[], SocketPool],
        background: Callable[[], Background],
    ) -> None:
        self.make_call = make_call
        self.pipeline = pipeline
        self.pool = pool
        self.background = background


def socket_of(lease: Lease) -> ContextSocket:
    """The socket of a lease, as the dial made it."""
    return cast("ContextSocket", lease.socket)


def return_lease(lease: Lease, *, reusable: bool, ended: bool) -> None:
    """Give a socket back. Its idle limit counts from the last message that it was sent.

    Args:
        lease: What an utterance held.
        reusable: Whether the socket is in step.
        ended: Whether the server has ended the utterance's context.
    """
    socket = socket_of(lease)
    socket.leave(ended=ended)
    idle_s = max(0.0, time.monotonic() - socket.written_at)
    lease.release(reusable=reusable and socket.reusable, idle_s=idle_s)
