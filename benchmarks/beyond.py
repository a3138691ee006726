"""What a call took beyond its round trip and the server: the client's own share.

Both are taken together, as they were: the emulated link notes when a request reached it
and when it handed the answer over, so that the link's own lateness (timers, two more
sockets, a busy machine) is nobody's. A connection that has to be dialled, and a wait for
a free one, show as what they cost, since the request comes after them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Made:
    """One call as its caller saw it: when it began, and when it had its first output."""

    started: float
    first: float


def beyond(world: Any, provider: str, calls: Sequence[tuple[Made, Any]]) -> list[float]:
    """Seconds of each call beyond round trip and server.

    Args:
        world: The emulator, with a link in front.
        provider: Whom the calls asked.
        calls: Each with the server's record of its request.
    """
    journal = world.journal
    lines = {record.id: record.line for record in journal.connections}
    pieces = defaultdict(list)
    for piece in journal.crossings:
        if piece.provider == provider:
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


def dialled_in_call(world: Any, calls: Sequence[tuple[Made, Any]]) -> int:
    """How many calls waited for a handshake, as the server saw it."""
    opened = {record.id: record.opened_at for record in world.journal.connections}
    return sum(opened[record.connection] >= made.started for made, record in calls)
