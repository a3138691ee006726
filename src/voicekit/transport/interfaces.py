"""The seam to the network: what the layers above ask of it, and all they see of it.

``Transport`` wires the two together; users may bring an implementation of their own.
No name of an HTTP library appears here or above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.errors import VoicekitError
    from voicekit.operation import Call
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.config import PoolStats, WarmReport
    from voicekit.transport.messages import Request


class Response(Protocol):
    """An HTTP response whose headers are in hand and whose body is still to come."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive to look up."""
    connection: ConnectionInfo

    @property
    def delimited(self) -> bool:
        """The body has a length or is chunked, so that a clean end is a proven end."""
        ...

    async def chunk(self) -> bytes:
        """The next piece of the body as it arrived; empty at its end.

        Cancelling loses no bytes.

        Raises:
            ConnectionLostError: The body was cut short.
            GapTimeout: The backstop of the HTTP library tripped.
        """
        ...

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``, and abort."""
        ...

    def abort(self) -> None:
        """Free the connection at once, without waiting for the peer.

        Idempotent; does nothing once the body has ended.
        """
        ...

    def release(self) -> None:
        """Nobody wants the rest: keep the connection if the body ends soon, else abort."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an HTTP transport can do besides sending.

    Attributes:
        warms: It opens connections without a request.
        aborts: ``abort()`` and ``interrupt()`` free the connection at once, without waiting
            for the peer.
    """

    warms: bool
    aborts: bool


class HttpTransport(Protocol):
    """Sends one HTTP request at a time per connection, over connections kept warm.

    ``voicekit.testing`` has the checks for an implementation: a core tier for all of them,
    a warm tier for those that say they can.
    """

    capabilities: Capabilities

    async def send(self, request: Request, call: Call) -> Response:
        """Send and wait for the headers.

        Tells ``call`` when it starts to wait, to dial, and when the request is on
        its way, so that the limits of ``call`` count the right thing. Never
        follows a redirect and never sends twice.
        """
        ...

    async def warm(self, url: str, n: int) -> WarmReport:
        """Have ``n`` connections to the host of ``url`` ready; failures are in the report."""
        ...

    def stats(self) -> PoolStats:
        """What is open, as far as it can tell."""
        ...

    def retire(self) -> None:
        """Use no connection again that was opened before now, where that can be done."""
        ...

    async def aclose(self) -> None:
        """Free everything. Idempotent."""
        ...

    def abandon(self) -> None:
        """As ``aclose``, for an owner who cannot wait."""
        ...


class FrameReceiver(Protocol):
    """Whoever holds a socket at the moment. Called from the socket's reader task; never blocks."""

    def frame(self, data: str | bytes) -> None:
        """One message arrived."""
        ...

    def lost(self, error: VoicekitError) -> None:
        """The socket ended, whoever ended it. Called once; no frame comes after it."""
        ...


class Socket(Protocol):
    """One WebSocket. Its reader task never pauses; bounds are the receiver's affair."""

    connection: ConnectionInfo
    headers: Mapping[str, str]
    """Of the handshake's response."""

    @property
    def alive(self) -> bool:
        """Whether nothing says that it is closed (checks the OS socket as well)."""
        ...

    def attach(self, receiver: FrameReceiver | None) -> None:
        """Hand coming frames to ``receiver``; with None they are counted and dropped."""
        ...

    async def send(self, data: str | bytes) -> None:
        """Write one message; waits only for back-pressure.

        Raises:
            ConnectionLostError: The socket is gone; ``outcome`` is unknown.
        """
        ...

    async def aclose(self) -> None:
        """Say goodbye, wait at most a second, free everything. Never raises."""
        ...

    def abort(self) -> None:
        """Free the socket at once. Idempotent."""
        ...
