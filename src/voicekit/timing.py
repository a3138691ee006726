"""Where the time of a call went, and which connection carried it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Durations of one call, in seconds from its start; None where it never came to that.

    Attributes:
        queue: Waiting for a free place in the pool.
        connect: DNS and TCP of the connection; 0.0 when it was reused.
        tls: TLS handshake, where the HTTP library lets us tell it from TCP.
        first_output: From the start of the call to the first useful output.
        total: From the start to the end of the call.
    """

    queue: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    first_output: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """The evidence that a socket was warm, or was not.

    Attributes:
        reused: False when the caller waited for the dial.
        age: Seconds since the connection was opened.
        idle: Seconds it had been idle when it was taken.
        id: Counts the connections of one transport.
        generation: Which credential generation opened it.
    """

    reused: bool
    age: float = 0.0
    idle: float = 0.0
    id: int = 0
    generation: int = 0
