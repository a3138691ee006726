"""A socket in one caller's hands, and what a dial is told."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo
    from voicekit.transport.interfaces import Socket
    from voicekit.transport.pool import SocketPool


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFacts:
    """What a dial is told.

    Attributes:
        id: The number of the connection in its pool.
        generation: The credential generation to dial with.
        waited_for: A caller waits for it, so its time is on that caller's path.
    """

    id: int
    generation: int
    waited_for: bool


class Lease:
    """A socket in one caller's hands, with the facts of how it got there.

    May be released in another task than the one that leased it. One that is
    garbage collected unreleased gives its place back and warns ``ResourceWarning``.

    Attributes:
        socket: The socket. Nobody else holds it until ``release``.
        connection: The evidence, as of now: reused, age, idle, id, generation.
        waited: Seconds from asking to having it, the dial included.
        connect_s: Seconds of that which went to the dial; 0.0 when it was reused.
    """

    __slots__ = ("_id", "_pool", "connect_s", "connection", "socket", "waited")

    def __init__(
        self,
        pool: SocketPool,
        conn_id: int,
        socket: Socket,
        connection: ConnectionInfo,
        *,
        waited: float,
        connect_s: float,
    ) -> None:
        self._pool: SocketPool | None = pool
        self._id = conn_id
        self.socket = socket
        self.connection = connection
        self.waited = waited
        self.connect_s = connect_s

    @property
    def reused(self) -> bool:
        """The socket was there already; no handshake was made for this lease."""
        return self.connection.reused

    @property
    def age(self) -> float:
        """How long the socket had been open when it was leased, seconds."""
        return self.connection.age

    def release(self, reusable: bool = True, *, idle_s: float = 0.0) -> None:
        """Give the socket back. Idempotent; never waits.

        Args:
            reusable: False when something may still come from the socket that does not
                belong to the next holder, or when it failed: it is aborted then, off the
                caller's path, and the keeper refills.
            idle_s: Seconds since the peer last heard from us, where its idle limit
                counts from then and not from now.
        """
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.give_back(self._id, reusable=reusable, idle_s=idle_s)

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)
        if pool is not None and pool.leak(self._id):
            warnings.warn(
                f"{self!r} was never released", ResourceWarning, stacklevel=2, source=self
            )

    def __repr__(self) -> str:
        state = "released" if self._pool is None else "reused" if self.reused else "new"
        return f"Lease(socket {self._id}, {state}, age {self.age:.1f} s)"
