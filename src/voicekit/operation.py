"""The vocabulary inside a client: what is done, and one doing of it.

An ``Operation`` is a kind of work with its class and its limits. A ``Call`` is one
doing of it, all attempts together.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from voicekit import events
from voicekit.alarms import Alarm, alarm_clock
from voicekit.checks import is_number, wrong
from voicekit.deadlines import ambient_deadline
from voicekit.errors import (
    SHORTEST_SECRET,
    ConnectTimeout,
    DeadlineError,
    FirstOutputTimeout,
    GapTimeout,
    Outcome,
    TotalTimeout,
    VoicekitError,
)
from voicekit.timing import ConnectionInfo, Timings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voicekit.pipeline import Pipeline

T = TypeVar("T")
D = TypeVar("D", bound=DeadlineError)
_call_ids = itertools.count(1)


class OperationClass(enum.Enum):
    """What a repeat does at the provider. It alone decides what may be repeated.

    ``PURE`` reads; ``COMPUTE`` costs money when doubled; ``IDEMPOTENT`` may be
    doubled; ``EFFECT`` acts, and is never repeated on an unknown outcome.
    """

    PURE = "pure"
    COMPUTE = "compute"
    IDEMPOTENT = "idempotent"
    EFFECT = "effect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The four limits of an operation, in seconds; None is no limit.

    Attributes:
        connect: DNS, TCP and TLS of a dial together.
        first_output: From the request's dispatch to the first *useful* output: audio after
            container headers, non-empty text; never a role, ping or comment. With an
            upload, from its last byte.
        gap: Between useful outputs, counted only while the caller waits.
        total: From the start of the call to its end; with an upload, from its last byte.

    An upload is a body that goes out in pieces: a file, or more than 256 KiB. What
    bounds it is progress: it may not stand still for ``gap`` (else ``first_output``).

    Raises:
        InvalidArgumentError: A limit is not positive.
    """

    connect: float | None = 2.0
    first_output: float | None = None
    gap: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and not (is_number(value) and value > 0):
                raise wrong(item.name, value, "seconds > 0, or None")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A kind of work at one provider.

    Attributes:
        provider: Short name.
        name: Of the operation, as its method is called.
        kind: What a repeat does at the provider.
        limits: Its four limits.
        repeats: How often it may be repeated before the commit point, where that is allowed.
        session: It opens a two-way session, which is never hedged.
        service: What the provider counts together when it says how many calls may be under way
            at a time; empty where it counts all of a credential.
        reconcile: How to find out whether an effect of unknown outcome happened.
    """

    provider: str
    name: str
    kind: OperationClass
    limits: Limits = field(default_factory=Limits)
    repeats: int = 2
    session: bool = False
    service: str = ""
    reconcile: str = ""


class _Phase(enum.Enum):
    PREPARING = 0
    QUEUED = 1
    CONNECTING = 2
    UPLOADING = 3
    RESPONDING = 4
    COMMITTED = 5


class Call:
    """One doing of an operation: its limits, its evidence, its one terminal event.

    The transport tells it how far an attempt has come (``queued``, ``dialing``,
    ``uploading``, ``sent``), so that each limit counts the right thing. Everything on it
    may be read at any time, and nothing on it belongs to a task but the timer of an
    attempt, which lives inside one ``attempt()``.

    Attributes:
        uploaded: The attempt sent an upload to its last byte. A timeout from then on is
            not to be repeated: the provider has everything and works on it. The error
            says so too: ``retry_stopped`` is ``"uploaded"``.
        replayable: False once an upload was begun that can be read only once: whatever
            happened, there is no second attempt.
        hedged: A second attempt was made beside a slow first one.
        capacity: What the provider's last answer said of the credential: how many requests
            are under way, and how many may be.
        pipeline: The policies around its opening; None for none.
        queue_s: Seconds that it has waited for a place of ours, up to its last.
        queue_since: Since when it waits for one now, by a monotonic clock; else None.
        step: One attempt, while it is being opened.
    """

    __slots__ = (
        "_ambient",
        "_at_end",
        "_attempt",
        "_ended",
        "_phase",
        "_request_id",
        "_root",
        "_secret",
        "_total_from",
        "_total_is_next",
        "attempts",
        "capacity",
        "connect_s",
        "connection",
        "deadline_at",
        "ended_at",
        "first_output_at",
        "hedged",
        "id",
        "limits",
        "observer",
        "operation",
        "pipeline",
        "queue_s",
        "queue_since",
        "replayable",
        "started_at",
        "step",
        "tls_s",
        "uploaded",
    )

    def __init__(
        self,
        operation: Operation,
        *,
        limits: Limits | None = None,
        observer: events.Observer | None = None,
        secret: Callable[[], str] | None = None,
        pipeline: Pipeline | None = None,
    ) -> None:
        self.operation = operation
        self.pipeline = pipeline
        self.step: Callable[[Call], Awaitable[Any]] | None = None
        self.limits = limits or operation.limits
        self.observer = observer
        self.id = next(_call_ids)
        self.started_at = now = time.monotonic()
        self._ambient = ambient_deadline()
        self.deadline_at: float | None = None
        self._count_total(now)
        self.attempts = 0
        self.hedged = False
        self.capacity: tuple[int, int] | None = None
        self._root: Call | None = None
        self._at_end: list[Callable[[], None]] | None = None
        self.connection: ConnectionInfo | None = None
        self._request_id: str | None = None
        self._secret = secret
        self.queue_s = self.connect_s = self.tls_s = 0.0
        self.uploaded = False
        self.replayable = True
        self.first_output_at: float | None = None
        self.ended_at: float | None = None
        self.queue_since: float | None = None
        self._phase = _Phase.PREPARING
        self._attempt: _AttemptLimit | None = None
        self._total_is_next = True
        self._ended = False
        if observer is not None:
            self.emit(events.CallStarted)

    # -- attempts at the same time --

    @property
    def root(self) -> Call:
        """The call itself, of which a ``twin`` is another attempt."""
        return self if self._root is None else self._root

    def twin(self) -> Call:
        """The same call, for an attempt beside the one under way (a hedge).

        It has phase, timer and connection of its own, and shares everything else: id,
        limits, deadline, the count of attempts, the one terminal event.
        """
        twin = object.__new__(Call)
        for name in Call.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._root = self.root
        twin._root.hedged = True
        twin.connection = twin._request_id = twin.capacity = twin._attempt = None
        twin.queue_s = twin.connect_s = twin.tls_s = 0.0
        twin.queue_since = None
        twin.uploaded = False
        twin._phase = _Phase.PREPARING
        return twin

    def adopt(self, twin: Call) -> None:
        """The ``twin`` won: its evidence is the call's."""
        self.connection, self._request_id = twin.connection, twin._request_id
        self.queue_s, self.connect_s, self.tls_s = twin.queue_s, twin.connect_s, twin.tls_s
        self.uploaded, self.replayable, self.capacity = (
            twin.uploaded,
            twin.replayable,
            twin.capacity,
        )
        self.deadline_at, self._phase = twin.deadline_at, twin._phase

    # -- evidence --

    @property
    def timings(self) -> Timings:
        """Where the time has gone so far."""
        first, end = self.first_output_at, self.ended_at
        return Timings(
            queue=self.queue_s,
            connect=self.connect_s,
            tls=self.tls_s,
            first_output=None if first is None else first - self.started_at,
            total=None if end is None else end - self.started_at,
        )

    def evidence(self) -> dict[str, Any]:
        """What every value says of how it came about, by the names of its attributes."""
        return {
            "timings": self.timings,
            "connection": self.connection,
            "attempts": self.attempts,
            "hedged": self.hedged,
        }

    def emit(self, kind: type[events.Event], **facts: Any) -> None:
        """Build a record and hand it to the observer, if there is one."""
        if self.observer is not None:
            operation = self.operation
            self.observer.on_event(
                kind(
                    at=time.monotonic(),
                    provider=operation.provider,
                    operation=operation.name,
                    call=self.id,
                    **facts,
                )
            )

    def describe(self, error: VoicekitError) -> VoicekitError:
        """Put the evidence of this call on ``error`` and return it."""
        operation = self.operation
        error.provider = error.provider or operation.provider
        error.operation = error.operation or operation.name
        error.request_id = error.request_id or self.request_id
        error.attempts = self.attempts
        error.connection = error.connection or self.connection
        error.timings = self.timings
        if self._secret is not None:
            error.redact(self._secret())
        return error

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, for its support."""
        return self._request_id

    @request_id.setter
    def request_id(self, value: str | None) -> None:
        # It goes into events: one that is a sentence, or quotes the key, is no id.
        if value is not None and (" " in value or not value.isprintable() or self._quoted(value)):
            value = None
        self._request_id = value

    def _quoted(self, value: str) -> bool:
        secret = self._secret() if self._secret is not None else ""
        return len(secret) >= SHORTEST_SECRET and secret in value

    def end(self, error: BaseException | None = None) -> None:
        """The call is over. The first word counts; later ones are ignored.

        A ``VoicekitError`` gets the call's evidence; ``CancelledError`` and
        ``GeneratorExit`` end it as cancelled.
        """
        if self._ended:
            return
        self._ended = True
        self.ended_at = time.monotonic()
        self.free()
        outcome: Outcome = "applied"
        name = status = None
        result = "ok"
        if error is not None:
            name = type(error).__name__
            if isinstance(error, VoicekitError):
                result, outcome = "error", self.describe(error).outcome
                status = getattr(error, "status", None)
            else:
                result = "error" if isinstance(error, Exception) else "cancelled"
                started = self.dispatched
                committed = self._phase is _Phase.COMMITTED
                outcome = "partial" if committed else "unknown" if started else "not_applied"
        if self.observer is not None:
            self.emit(
                events.CallEnded,
                result=result,
                outcome=outcome,
                error=name,
                status=status,
                timings=self.timings,
                attempts=self.attempts,
                hedged=self.hedged,
                connection=self.connection,
                request_id=self.request_id,
            )

    def at_end(self, free: Callable[[], None]) -> None:
        """Have ``free`` called once, when the call is over; at once if it is."""
        root = self.root
        if root._ended:
            free()
        elif root._at_end is None:
            root._at_end = [free]
        else:
            root._at_end.append(free)

    def free(self) -> None:
        """Free what was held for the call, because nothing of it is under way at the provider.

        What is held from now on is freed when it ends.
        """
        held, self._at_end = self._at_end, None
        for free in held or ():
            free()

    @property
    def dispatched(self) -> bool:
        """Whether the attempt's request has gone out, or is going: the provider may act on it."""
        return self._phase.value >= _Phase.UPLOADING.value

    # -- progress, told by the transport --

    def queued(self) -> None:
        """The attempt waits for a free place in the pool; the pool bounds that wait."""
        self._phase = _Phase.QUEUED
        self.queue_since = time.monotonic()
        self._arm(None)

    def dialing(self, *, shared: bool = False) -> None:
        """The attempt dials; the connect limit counts from here.

        Args:
            shared: It waits for a dial that the pool makes and that has limits of its
                own, handshake included; ours is then only a backstop beyond both.
        """
        if self._phase is _Phase.CONNECTING:
            return  # one budget for all the dials of an attempt: another's, joined, and its own
        self._leave_queue()
        self._phase = _Phase.CONNECTING
        limit = self.limits.connect
        if shared and limit is not None:
            limit += self.limits.first_output or limit
        self._arm(limit)

    def uploading(self, connection: ConnectionInfo, *, replayable: bool = True) -> None:
        """The attempt has its connection, and a body that goes out in pieces.

        No total limit counts until ``sent``, which then restarts it; the ambient deadline
        goes on. ``replayable``: the body could be sent again.
        """
        self.replayable = replayable
        self._leave_queue()
        self._phase = _Phase.UPLOADING
        self.connection = connection
        self.deadline_at = self._ambient
        self.progressed()
        if self.observer is not None:
            self.emit(events.ConnectionAcquired, connection=connection)

    def progressed(self) -> None:
        """The network took another piece of the upload."""
        self._arm(self._standstill)

    @property
    def _standstill(self) -> float | None:
        """How long an upload may stand still."""
        gap = self.limits.gap
        return self.limits.first_output if gap is None else gap

    def sent(self, connection: ConnectionInfo, *, whole: bool = True) -> None:
        """The request is on its way, an upload to its end; the first-output limit counts from here.

        Not ``whole``: the answer came before the end of an upload.
        """
        self._leave_queue()
        told = self._phase is _Phase.UPLOADING
        self._phase = _Phase.RESPONDING
        self.connection = connection
        if told:
            self.uploaded = whole
            self._count_total(time.monotonic())
        self._arm(self.limits.first_output)
        if not told and self.observer is not None:
            self.emit(events.ConnectionAcquired, connection=connection)

    def shaking_hands(self, connection: ConnectionInfo) -> None:
        """A socket's handshake is on its way: the first thing asked, and the last of connecting.

        The first-output limit counts for it, where there is one; else the connect limit,
        lest a server that says nothing is waited for without end.
        """
        if self.limits.first_output is not None:
            self.sent(connection)
        else:
            self.connection = connection
            self.dialing()

    def waiting(self) -> None:
        """The attempt waits before it asks again; only the total limit counts meanwhile."""
        self._phase = _Phase.PREPARING
        self._arm(None)

    def asking_again(self) -> None:
        """The attempt puts another request on the wire, which the evidence counts as well."""
        root = self.root
        root.attempts += 1
        self.attempts = root.attempts
        if self.observer is not None:
            self.emit(events.AttemptStarted, attempt=self.attempts)

    def committed(self) -> None:
        """The first useful output is in hand."""
        self._phase = _Phase.COMMITTED
        root = self.root
        if root.first_output_at is not None and root.hedged:
            return  # another attempt was quicker, and this one will be dropped
        self.first_output_at = root.first_output_at = now = time.monotonic()
        if self.observer is not None:
            self.emit(events.FirstOutput, after=now - self.started_at)

    def _leave_queue(self) -> None:
        if self._phase is _Phase.QUEUED and self.queue_since is not None:
            self.queue_s += time.monotonic() - self.queue_since
            self.queue_since = None
            self._phase = _Phase.PREPARING

    # -- limits --

    def _count_total(self, now: float) -> None:
        self._total_from = now
        total, ambient = self.limits.total, self._ambient
        at = None if total is None else now + total
        self.deadline_at = at if ambient is None else ambient if at is None else min(at, ambient)

    def remaining(self) -> float | None:
        """Seconds until the total limit or the ambient deadline, whichever is first."""
        return None if self.deadline_at is None else self.deadline_at - time.monotonic()

    def _arm(self, limit: float | None) -> None:
        attempt = self._attempt
        if attempt is None:
            return
        left = self.remaining()
        self._total_is_next = left is not None and (limit is None or left < limit)
        attempt.limit(left if self._total_is_next else limit)

    def _expired(self) -> DeadlineError:
        # Not by the clock: a timer may be a little early (uvloop rounds to milliseconds).
        if self._total_is_next:
            return self.total_timeout()
        if self._phase is _Phase.UPLOADING:
            limit = self._standstill
            return GapTimeout(f"the upload stood still for {limit:g} s", limit=limit)
        if self._phase is _Phase.RESPONDING:
            limit = self.limits.first_output
            return self._final(
                FirstOutputTimeout(f"nothing useful within {limit:g} s", limit=limit)
            )
        limit = self.limits.connect
        return ConnectTimeout(f"no connection within {limit:g} s", limit=limit)

    def total_timeout(self) -> TotalTimeout:
        """The error for a call that ran out of its total limit or deadline."""
        assert self.deadline_at is not None  # noqa: S101 - only called once it passed
        since = self.started_at if self.deadline_at == self._ambient else self._total_from
        limit = max(0.0, self.deadline_at - since)
        error = TotalTimeout(
            f"not done within {limit:.3g} s" if limit else "its deadline had passed already",
            limit=limit,
            outcome="unknown" if self.dispatched else "not_applied",
        )
        return self._final(error)

    def _final(self, error: D) -> D:
        if self.uploaded:
            error.retry_stopped = "uploaded"
        return error

    async def attempt(self, step: Callable[[Call], Awaitable[T]]) -> T:
        """Run one opening under the limits: the innermost wrapper around the transport.

        Raises:
            DeadlineError: The limit of the phase that the attempt was in.
        """
        left = self.remaining()
        if left is not None and left <= 0:
            raise self.total_timeout()
        root = self.root
        root.attempts += 1
        self.attempts = root.attempts
        committed = self._phase is _Phase.COMMITTED  # a session's next connection
        self._phase = _Phase.PREPARING
        self.uploaded = False
        self._total_is_next = True
        if self.observer is not None:
            self.emit(events.AttemptStarted, attempt=self.attempts)
        attempt = self._attempt = _AttemptLimit()
        if left is not None:
            attempt.limit(left)
        try:
            return await step(self)
        except asyncio.CancelledError:
            if attempt.expired():
                raise self._expired() from None
            raise
        finally:
            self._attempt = None
            attempt.stop()
            self._leave_queue()
            if committed:
                self._phase = _Phase.COMMITTED

    def __repr__(self) -> str:
        operation = self.operation
        return f"<Call {self.id} {operation.provider} {operation.name} {self._phase.name.lower()}>"


class _AttemptLimit(Alarm):
    """Cancels the attempt's task when its limit passes, as ``asyncio.timeout`` does.

    The limit moves twice in a warm call; with the loop's one alarm timer that costs
    an assignment instead of two timers. Lives inside one ``Call.attempt``.
    """

    __slots__ = ("_cancelling", "_clock", "_loop", "_rung", "_stopped", "_task")

    def __init__(self) -> None:
        super().__init__()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are awaited
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = task.get_loop()
        self._clock = alarm_clock(self._loop)
        self._rung = False
        self._stopped = False

    def limit(self, seconds: float | None) -> None:
        """Allow so many seconds from now; None is no limit."""
        if self._rung:
            return
        if seconds is None:
            self._clock.clear(self)
        else:
            self._clock.set(self, self._loop.time() + seconds)

    def ring(self) -> None:
        """Cancel the attempt."""
        self._rung = True
        self._task.cancel()

    def expired(self) -> bool:
        """Whether a cancellation that was just caught is this limit's and nobody else's."""
        if not self._rung or self._stopped:
            return False
        self._stopped = True
        return self._task.uncancel() <= self._cancelling

    def stop(self) -> None:
        """The attempt is over: the limit is lifted, and a cancellation too late taken back."""
        self._clock.clear(self)
        if self._rung and not self._stopped:
            self._stopped = True
            self._task.uncancel()
