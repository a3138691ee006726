"""What the server saw, in order: connections, requests, frames, and the audio it sent.

Tests assert on the journal, not on the client's word. Times are `time.monotonic()`, which on
Linux is one clock for the whole machine, so they compare across processes.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from functools import partial
from itertools import count
from typing import Any, Literal, TypeVar

from voicekit.emulator.records import (
    ConnectionRecord,
    CrossingRecord,
    DeliveryRecord,
    FrameRecord,
    Outcome,
    RequestRecord,
    WebhookRecord,
    digest,
    json_object,
    public_headers,
)

__all__ = [
    "ConnectionRecord",
    "CrossingRecord",
    "DeliveryRecord",
    "FrameRecord",
    "Journal",
    "RequestRecord",
    "WebhookRecord",
    "digest",
]

MAX_BODY_BYTES = 1 << 20
"""Bytes of one request body kept; the rest is cut and noted."""

MAX_AUDIO_BYTES = 64 << 20
"""Bytes of sent audio kept over all requests; digests and counts go on beyond it."""

MAX_BODIES_BYTES = 64 << 20
"""Bytes of request bodies kept over all requests; beyond it the oldest bodies are let go."""

PLAIN_LISTS: Mapping[str, type[Any]] = {
    "connections": ConnectionRecord,
    "frames": FrameRecord,
    "crossings": CrossingRecord,
    "webhooks": WebhookRecord,
    "deliveries": DeliveryRecord,
}
"""The lists whose records are plain JSON values, and of what they are."""

MAX_RECORDS = 50_000
"""Records kept per list. A full list drops its older half, counted in `Journal.dropped`."""


R = TypeVar("R")


class Journal:
    """An ordered, bounded record of everything the providers of one emulator saw.

    Written by the emulator's loop only; reading from another thread sees a consistent prefix.
    """

    def __init__(self) -> None:
        self.connections: list[ConnectionRecord] = []
        self.requests: list[RequestRecord] = []
        self.frames: list[FrameRecord] = []
        self.crossings: list[CrossingRecord] = []
        self.webhooks: list[WebhookRecord] = []
        self.deliveries: list[DeliveryRecord] = []
        self.marks: dict[str, float] = {}
        self.dropped = 0
        self._ids: defaultdict[Any, Iterator[int]] = defaultdict(partial(count, 1))
        self._audio: dict[int, list[bytes]] = {}
        self._hashes: dict[int, Any] = {}
        self._audio_bytes = 0
        self._bodies: deque[RequestRecord] = deque()
        self._body_bytes = 0

    # -- reading --

    def requests_for(self, provider: str, operation: str | None = None) -> list[RequestRecord]:
        """Return a provider's requests in order, of one operation if named."""
        return [
            record
            for record in list(self.requests)
            if record.provider == provider and operation in {None, record.operation}
        ]

    def frames_for(
        self, request: RequestRecord | int, direction: str | None = None
    ) -> list[FrameRecord]:
        """Return the frames of one request in order, of one direction if named."""
        wanted = request if isinstance(request, int) else request.id
        return [
            frame
            for frame in list(self.frames)
            if frame.request == wanted and direction in {None, frame.direction}
        ]

    def new_connections(
        self, provider: str | None = None, *, since: float = 0.0
    ) -> list[ConnectionRecord]:
        """Return the connections accepted at or after `since`, of one provider if named."""
        return [
            record
            for record in list(self.connections)
            if record.opened_at >= since and provider in {None, record.provider}
        ]

    def audio(self, request: RequestRecord | int) -> bytes:
        """Return the audio sent for a request, in order and decoded from any text framing."""
        return b"".join(self._audio.get(request if isinstance(request, int) else request.id, ()))

    def duplicates(self) -> list[list[RequestRecord]]:
        """Return groups of requests that carry the same provider, path and non-empty body."""
        groups: dict[tuple[str, str, bytes], list[RequestRecord]] = {}
        for record in list(self.requests):
            if record.body:
                groups.setdefault((record.provider, record.path, record.body), []).append(record)
        return [group for group in groups.values() if len(group) > 1]

    def speech_texts(self) -> list[str]:
        """Return the texts that clients asked to be spoken, in order of first appearance.

        An HTTP request counts with the `text` (or `input`) of its body, unless it was refused; a
        socket with the text pieces it received, joined per context. Empty texts do not count.
        """
        texts: dict[tuple[int, str | None], str] = {}
        sockets = set()
        for record in list(self.requests):
            if not record.operation.startswith("speech"):
                continue
            if record.operation == "speech.socket":
                sockets.add(record.id)
                continue
            if record.outcome != "refused":
                texts[record.id, None] = _speech_text(record)
        for frame in list(self.frames):
            if (
                frame.request in sockets
                and frame.direction == "in"
                and isinstance(frame.data, dict)
            ):
                piece = frame.data.get("text")
                if isinstance(piece, str) and (
                    piece.strip() or (frame.request, frame.context) in texts
                ):
                    key = (frame.request, frame.context)
                    texts[key] = texts.get(key, "") + piece
        ordered = (texts[key].strip() for key in sorted(texts, key=lambda key: key[0]))
        return [text for text in ordered if text]

    def webhooks_for(
        self, provider: str, kind: str | None = None, *, sid: str | None = None
    ) -> list[WebhookRecord]:
        """Return a provider's requests to applications, of one kind, about one thing if named."""
        return [
            record
            for record in list(self.webhooks)
            if record.provider == provider
            and kind in {None, record.kind}
            and sid in {None, record.sid}
        ]

    def sent_to(self, recipient: str | None = None) -> list[DeliveryRecord]:
        """Return the messages accepted for a user (or for all), in order, whatever became of them.

        A message is here before its sender has the answer, so that "exactly once" can be asserted
        without waiting.
        """
        return [record for record in list(self.deliveries) if recipient in {None, record.recipient}]

    def delivered_to(self, recipient: str | None = None) -> list[DeliveryRecord]:
        """Return the messages that a user (or all) got, in the order of their arrival."""
        got = [each for each in self.sent_to(recipient) if each.delivered_at is not None]
        return sorted(got, key=lambda each: each.delivered_at or 0.0)

    def mark(self, name: str) -> float:
        """Remember this moment under a name and return it."""
        self.marks[name] = self.now()
        return self.marks[name]

    @staticmethod
    def now() -> float:
        """Return the journal's clock, `time.monotonic()` in seconds."""
        return time.monotonic()

    def clear(self) -> None:
        """Forget everything but the connections still open (their ids go on being used)."""
        self.connections[:] = [record for record in self.connections if record.closed_at is None]
        self.requests.clear()
        self.frames.clear()
        self.webhooks.clear()
        self.deliveries.clear()
        self.marks.clear()
        self._audio.clear()
        self._hashes.clear()
        self._audio_bytes = 0
        self._bodies.clear()
        self._body_bytes = 0
        self.dropped = 0

    # -- writing (emulator only) --

    def open_connection(self, provider: str, **facts: Any) -> ConnectionRecord:
        """Add a connection that was accepted just now."""
        return self._open(
            ConnectionRecord, self.connections, provider=provider, opened_at=self.now(), **facts
        )

    def open_request(
        self,
        *,
        connection: int,
        provider: str,
        operation: str,
        method: str,
        path: str,
        query: Mapping[str, list[str]] | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> RequestRecord:
        """Add a request that has just arrived; its credentials are digested here."""
        return self._open(
            RequestRecord,
            self.requests,
            connection=connection,
            provider=provider,
            operation=operation,
            method=method,
            path=path,
            received_at=self.now(),
            query=dict(query or {}),
            headers=public_headers(headers),
        )

    def set_body(self, record: RequestRecord, body: bytes) -> None:
        """Keep a request's body, cut at 1 MiB."""
        if len(body) > MAX_BODY_BYTES:
            record.notes.append(f"body of {len(body)} bytes cut in the journal")
            body = body[:MAX_BODY_BYTES]
        record.body = body
        if not body:
            return
        self._bodies.append(record)
        self._body_bytes += len(body)
        while self._body_bytes > MAX_BODIES_BYTES:
            oldest = self._bodies.popleft()
            self._body_bytes -= len(oldest.body)
            oldest.body = b""

    def sent(self, record: RequestRecord) -> None:
        """Stamp the request's first byte, once."""
        if record.first_byte_at is None:
            record.first_byte_at = self.now()

    def sent_audio(self, record: RequestRecord, audio: bytes) -> None:
        """Account for audio just written: count, digest, and the bytes while there is room."""
        self.sent(record)
        record.audio_bytes_sent += len(audio)
        running = self._hashes.get(record.id)
        if running is None:
            running = self._hashes[record.id] = hashlib.sha256()
        running.update(audio)
        if self._audio_bytes + len(audio) <= MAX_AUDIO_BYTES:
            self._audio_bytes += len(audio)
            self._audio.setdefault(record.id, []).append(audio)

    def close_request(self, record: RequestRecord, outcome: Outcome) -> None:
        """Finish a request's record."""
        record.finished_at = self.now()
        record.outcome = outcome
        running = self._hashes.pop(record.id, None)
        if running is not None:
            record.audio_sha256 = running.hexdigest()

    def frame(
        self,
        record: RequestRecord,
        direction: Literal["in", "out"],
        kind: Literal["text", "binary"],
        *,
        size: int,
        data: Any = None,
        context: str | None = None,
    ) -> None:
        """Add one WebSocket message."""
        self._append(
            self.frames,
            FrameRecord(
                request=record.id,
                direction=direction,
                at=self.now(),
                kind=kind,
                size=size,
                data=data,
                context=context,
            ),
        )

    def open_webhook(self, provider: str, **facts: Any) -> WebhookRecord:
        """Add a request to an application, which begins now."""
        return self._open(
            WebhookRecord, self.webhooks, provider=provider, started_at=self.now(), **facts
        )

    def open_delivery(self, provider: str, **facts: Any) -> DeliveryRecord:
        """Add a message to a user, accepted now."""
        return self._open(
            DeliveryRecord, self.deliveries, provider=provider, accepted_at=self.now(), **facts
        )

    def crossed(
        self,
        provider: str,
        direction: Literal["up", "down"],
        came_at: float,
        went_at: float,
        line: int,
    ) -> None:
        """Add one piece that crossed a link."""
        self._append(
            self.crossings,
            CrossingRecord(
                provider=provider,
                direction=direction,
                came_at=came_at,
                went_at=went_at,
                line=line,
            ),
        )

    def _open(self, kind: Callable[..., R], records: list[R], /, **facts: Any) -> R:
        record = kind(id=next(self._ids[kind]), **facts)
        self._append(records, record)
        return record

    def _append(self, records: list[Any], record: Any) -> None:
        if len(records) >= MAX_RECORDS:
            cut = MAX_RECORDS // 2
            self.dropped += cut
            if records is self.requests:
                for old in records[:cut]:
                    self._audio_bytes -= sum(map(len, self._audio.pop(old.id, ())))
                while self._bodies and self._bodies[0].id <= records[cut - 1].id:
                    self._body_bytes -= len(self._bodies.popleft().body)
            del records[:cut]
        records.append(record)

    # -- across processes --

    def to_json(self, *, audio: bool = True) -> dict[str, Any]:
        """Return the journal as plain JSON values; bodies and audio in base64."""
        requests = []
        for record in list(self.requests):
            plain = asdict(record)
            plain["body"] = base64.b64encode(record.body).decode("ascii")
            if audio and record.id in self._audio:
                plain["audio"] = base64.b64encode(self.audio(record)).decode("ascii")
            requests.append(plain)
        plain = {
            name: [asdict(record) for record in list(getattr(self, name))] for name in PLAIN_LISTS
        }
        return {
            **plain,
            "requests": requests,
            "marks": dict(self.marks),
            "dropped": self.dropped,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Journal:
        """Rebuild a journal from `to_json()`."""
        journal = cls()
        for name, kind in PLAIN_LISTS.items():
            found = [kind(**_known(kind, each)) for each in plain.get(name, ())]
            setattr(journal, name, found)
        for each in plain["requests"]:
            values = _known(RequestRecord, each)
            values["body"] = base64.b64decode(values["body"])
            record = RequestRecord(**values)
            journal.requests.append(record)
            if "audio" in each:
                data = base64.b64decode(each["audio"])
                journal._audio[record.id] = [data]
                journal._audio_bytes += len(data)
        journal.marks = dict(plain.get("marks", {}))
        journal.dropped = int(plain.get("dropped", 0))
        for records in (journal.connections, journal.requests):
            if records:
                journal._ids[type(records[0])] = count(max(each.id for each in records) + 1)
        return journal


def _known(kind: type[Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    return {item.name: plain[item.name] for item in fields(kind) if item.name in plain}


def _speech_text(record: RequestRecord) -> str:
    body = json_object(record.body) or {}
    text = body.get("text", body.get("input", ""))
    return text if isinstance(text, str) else ""
