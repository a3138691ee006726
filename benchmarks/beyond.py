"""What a call took beyond its round trip and the server: the client's own share.

Both are taken together, as they were: the emulated link notes when a request reached it
and when it handed the answer over, so that the link's own lateness (timers, two more
sockets, a busy machine) is nobody's. A connection that has to be dialled, and a wait for
a free one, show as what they cost, since the request comes after them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Made:
    """One call as its caller saw it: when it began, and when it had its first output."""

    started: float
    first: float


def beyond(
    connections: Iterable[Any], crossings: Iterable[Any], calls: Sequence[tuple[Made, Any]]
) -> list[float]:
    """Seconds of each call beyond round trip and server.

    Args:
        connections: Those of the calls, as the emulator's journal has them.
        crossings: What the link in front let through, as the journal has it.
        calls: Each with the server's record of its request.
    """
    lines = {record.id: record.line for record in connections}
    pieces = defaultdict(list)
    for piece in crossings:
        pieces[piece.line, piece.direction].append(piece)
    shares = []
    for made, record in calls:
        line = lines[record.connection]
        asked = max(
            piece.came_at for piece in pieces[line, "up"] if piece.went_at <= record.received_at
        )
        answered = min(
            piece.went_at for piece in pieces[line, "down"] if piece.came_at >= record.first_byte_at
        )
        shares.append(made.first - made.started - (answered - asked))
    return shares


def dialled_in_call(connections: Iterable[Any], calls: Sequence[tuple[Made, Any]]) -> int:
    """How many calls waited for a handshake, as the server saw it."""
    opened = {record.id: record.opened_at for record in connections}
    return sum(opened[record.connection] >= made.started for made, record in calls)
