"""A turn as the vendor sends it: events of the fact sheet's example, as bytes."""

from __future__ import annotations

import json
from typing import Any

from voicekit.clients.agentforce.turn import TurnDecoder

ID = "1764000123991-REQ"


def event(name: str, value: Any) -> bytes:
    """One event of the stream."""
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f"event: {name}\nid: {ID}\ndata: {data}\n\n".encode()


def wrapped(message: dict[str, Any], offset: int = 0) -> dict[str, Any]:
    """The envelope of captured traffic."""
    return {
        "timestamp": 1764000124800,
        "originEventId": ID,
        "traceId": "9f2d7c1e5b6a4c3d",
        "offset": offset,
        "message": message,
    }


def progress(text: str = "Looking that up") -> bytes:
    return event(
        "PROGRESS_INDICATOR",
        wrapped(
            {"type": "ProgressIndicator", "id": "p", "indicatorType": "ACTION", "message": text}
        ),
    )


def chunk(text: str) -> bytes:
    return event(
        "TEXT_CHUNK",
        wrapped(
            {"type": "TextChunk", "id": "m", "offset": 0, "message": text, "formatType": "Text"}
        ),
    )


def final(kind: str = "Inform", **facts: Any) -> dict[str, Any]:
    """A final message with all the fields that it always has."""
    return {
        "type": kind,
        "id": "m",
        "feedbackId": "f-1",
        "planId": "pl-1",
        "isContentSafe": True,
        "message": "",
        "result": [],
        "citedReferences": [],
        "metrics": {},
        **facts,
    }


def inform(text: str, **facts: Any) -> bytes:
    return event("INFORM", wrapped(final(message=text, **facts)))


def retraction() -> bytes:
    return event(
        "VALIDATION_FAILURE_CHUNK",
        wrapped({"type": "ValidationFailureChunk", "id": "m", "offset": 0, "reason": "toxic"}),
    )


def end() -> bytes:
    return event("END_OF_TURN", wrapped({"type": "EndOfTurn", "id": "e", "metrics": {}}))


EXAMPLE = b"".join(
    (
        progress(),
        chunk("It left yesterday. "),
        chunk("Expect it on Friday."),
        inform("It left yesterday. Expect it on Friday."),
        end(),
    )
)


def read(*pieces: bytes, eof: bool = True) -> tuple[list[Any], TurnDecoder]:
    """What a decoder gives for these pieces."""
    decoder = TurnDecoder({}, "s-1")
    items: list[Any] = []
    for piece in pieces:
        items.extend(decoder.feed(piece))
    if eof:
        items.extend(decoder.eof(delimited=True))
    return items, decoder
