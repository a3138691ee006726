"""What can be made to go wrong, as values, and the queue from which a provider takes them."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Literal, get_args

FaultKind = Literal[
    "status",
    "html",
    "wrong_type",
    "half_json",
    "empty",
    "huge",
    "drip",
    "silence",
    "late",
    "stall",
    "reset",
    "close",
    "empty_deltas",
    "no_end_marker",
    "in_stream_error",
    "session_lost",
    "ws_refuse",
    "ws_close",
    "ws_hang",
    "ws_garbage",
    "ws_huge_frame",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted failure.

    Attributes:
        kind: What goes wrong:
            `status` any status, body and headers (without a body: the vendor's own error shape);
            `html` 200 with a page; `wrong_type` 200 with a content type nobody asked for;
            `half_json` 200 with a cut JSON document; `empty` 200 with no body;
            `huge` 200 with 100 MB; `drip` the right answer, a byte per `delay` (1 s);
            `silence` reads and never answers; `late` the right answer (of a socket, to its
            handshake) `delay` later; `stall` answers so many bytes or events, then hangs;
            `reset` an RST, `close` a FIN, both at once or after so many bytes or events;
            `empty_deltas` role and empty chunks for ever, one per `delay` (20 ms);
            `no_end_marker` a stream that ends cleanly without its end marker;
            `in_stream_error` the vendor's error object inside a 200 stream;
            `session_lost` the session of the request is gone, for good;
            `ws_refuse` a handshake refused with `status`; `ws_close` a close frame with `code` and
            `reason`; `ws_hang` stops reading and writing, the socket stays open; `ws_garbage` a
            frame that does not parse; `ws_huge_frame` one message of 100 MB.
        operation: Only this operation, such as "chat"; None is the provider's next request.
        times: How many requests it strikes; None is every one until cleared.
        share: The probability that it strikes a request which it might: 0.02 is two of a hundred,
            drawn with the emulator's seed.
        after_bytes: Bytes of body (or of WebSocket payload) sent before it strikes.
        after_events: Events, deltas or WebSocket messages sent before it strikes.
        status: Status code of `status` (500) and `ws_refuse` (503).
        body: Body for `status`, `html`, `wrong_type`, `in_stream_error`; a mapping becomes JSON.
        headers: Extra response headers.
        delay: Seconds before it strikes, or between bytes and chunks for `drip`, `empty_deltas`.
        code: WebSocket close code of `ws_close` (1011).
        reason: WebSocket close reason.
    """

    kind: FaultKind
    _: KW_ONLY
    operation: str | None = None
    times: int | None = 1
    after_bytes: int = 0
    after_events: int = 0
    status: int | None = None
    body: bytes | str | Mapping[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    code: int | None = None
    reason: str = ""
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"unknown fault kind {self.kind!r}; one of {get_args(FaultKind)}")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be at least 1, or None for every request")
        if not 0 < self.share <= 1:
            raise ValueError("share must be more than 0 and at most 1")

    def to_json(self) -> dict[str, Any]:
        """Return the fault as plain JSON values."""
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        plain["headers"] = [list(pair) for pair in self.headers]
        if isinstance(self.body, bytes):
            plain["body"] = self.body.decode("latin-1")
            plain["body_is_bytes"] = True
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Fault:
        """Rebuild a fault from `to_json()`."""
        values = dict(plain)
        if values.pop("body_is_bytes", False):
            values["body"] = values["body"].encode("latin-1")
        values["headers"] = tuple((name, value) for name, value in values.get("headers", ()))
        return cls(**values)


class Faults:
    """The faults waiting for one provider's requests, first in, first taken. Thread-safe."""

    def __init__(self, seed: int | str = 0) -> None:
        self._rng = random.Random(f"{seed}/faults")
        self._waiting: list[tuple[Fault, int | None]] = []
        self._lock = threading.Lock()

    def inject(self, fault: Fault) -> None:
        """Queue a fault."""
        with self._lock:
            self._waiting.append((fault, fault.times))

    def clear(self) -> None:
        """Forget every waiting fault; those already taken run their course."""
        with self._lock:
            self._waiting.clear()

    def take(self, operation: str) -> Fault | None:
        """Return the fault that strikes this request and use it up once, or None."""
        if not self._waiting:
            return None
        with self._lock:
            for index, (fault, left) in enumerate(self._waiting):
                if fault.operation not in {None, operation}:
                    continue
                if fault.share < 1 and self._rng.random() >= fault.share:
                    continue
                if left is not None:
                    if left == 1:
                        del self._waiting[index]
                    else:
                        self._waiting[index] = (fault, left - 1)
                return fault
        return None

    def __len__(self) -> int:
        return len(self._waiting)
