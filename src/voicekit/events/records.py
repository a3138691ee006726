"""The records: one frozen class for each thing that happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo, Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every record says: ``at`` is ``time.monotonic()``, ``call`` numbers the call."""

    at: float
    provider: str
    operation: str
    call: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Event):
    """A call began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(Event):
    """A request goes to the transport for the ``attempt``-th time (1 is the first)."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAcquired(Event):
    """The attempt has its connection; the request is on its way."""

    connection: ConnectionInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOutput(Event):
    """The commit point: the first useful output is in hand ``after`` seconds."""

    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnected(Event):
    """A session lost its connection and goes on over another one.

    Attributes:
        attempt: How many dials it took.
        outage: Seconds from the loss until everything was sent again.
        lost: Seconds of audio that could not be sent again.
        replayed: Seconds of audio that were sent again; 0 where bytes do not tell.
        error: Type name of what ended the connection before.
        connection: The new one.
    """

    attempt: int
    outage: float
    lost: float
    replayed: float
    error: str
    connection: ConnectionInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReplaced(Event):
    """The provider has forgotten an agent's session; the conversation goes on in a new one.

    What was said before is not known there.

    Attributes:
        error: Type name of what said so.
    """

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """The one terminal record of a call.

    Attributes:
        result: How it ended.
        outcome: What is known of its effect at the provider.
        error: Type name of the error, if it failed.
        status: HTTP status or close code of a provider's error.
        timings: Where the time went.
        attempts: How often the request went to the transport.
        hedged: Whether a second attempt was made beside a slow first one.
        request_id: The provider's id.
    """

    result: Literal["ok", "error", "cancelled"]
    outcome: str
    error: str | None = None
    status: int | None = None
    timings: Timings
    attempts: int
    hedged: bool = False
    connection: ConnectionInfo | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(Event):
    """An attempt waits for a place under the limit, ``depth``-th in the queue."""

    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited(Event):
    """The wait of an attempt is over after ``seconds``, with a place or without."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged(Event):
    """From now on, so many calls of the credential may be under way at a time.

    Attributes:
        limit: How many.
        previous: How many before; None where there was no bound.
        cause: ``"told"``: the provider named its maximum. ``"refused"``: it refused for too
            many at a time. ``"exceeded"``: it counted more than it allows, whoever sent them.
            ``"recovered"``: enough calls went well.
    """

    limit: int
    previous: int | None
    cause: Literal["told", "refused", "exceeded", "recovered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStarted(Event):
    """The first attempt has not succeeded ``after`` seconds; a second one goes out beside it."""

    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeEnded(Event):
    """A hedge is over, and none of its attempts is running any more.

    Attributes:
        winner: The attempt whose result is the answer; None where both failed or the caller
            did not wait.
        loser_s: Seconds that the other one ran (without a winner, the second): what the
            provider did for nothing, and may charge.
    """

    winner: Literal[1, 2] | None
    loser_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(Event):
    """An attempt failed, and another one will be made.

    Attributes:
        attempt: Of the one to come.
        wait: Seconds until then.
        error: Type name of what the last one failed with.
        outcome: What is known of the last one's effect at the provider.
    """

    attempt: int
    wait: float
    error: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChanged(Event):
    """The circuit breaker of an operation changed its state.

    Attributes:
        state: The new one: closed, open, half_open; by hand, forced_open or disabled. No call
            makes that, so that ``call`` is 0.
        previous: The one before.
        failure_rate: Failed ones among the calls of its window, 0 to 1.
        slow_rate: Slow ones among them.
        calls: How many calls these rates are of.
    """

    state: str
    previous: str
    failure_rate: float
    slow_rate: float
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialCircuitChanged(Event):
    """The provider refused the credential, or takes it again.

    Attributes:
        state: The new one: closed, open or half_open.
        previous: The one before.
        reason: Class, status and code of the refusal; never the provider's own words.
    """

    state: str
    previous: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechResumed(Event):
    """A speech that broke off goes on, from a sentence that is asked for again.

    Attributes:
        sentence: Its number, from 0; without ``timestamps``, of the part of ``split``.
        delivered_bytes: How many bytes of audio the caller had by then, none of that sentence.
        error: Type name of what broke it.
    """

    sentence: int
    delivered_bytes: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChosen(Event):
    """A ``fallback`` or a ``spread`` asks this member.

    Attributes:
        member: Its name.
        reason: ``"first"``; ``"resting"``: those before it rest; ``"failed_over"``: others failed
            in this call; ``"recovered"``: back after a rest; ``"last_resort"``: all of them
            rest; ``"least_outstanding"``.
    """

    member: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFailed(Event):
    """A member of a ``fallback`` or a ``spread`` failed before the commit point.

    Attributes:
        member: Its name.
        error: Type name of the error.
    """

    member: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheAnswered(Event):
    """A cache was asked. ``provider`` is of whom it wraps, ``operation`` what was asked for.

    Attributes:
        cache: ``"speech"`` or ``"response"``; ``"once"``, where a delivery that had run before was
            ``"repeated"``, and one ran that may have (``"bypass"``).
        result: ``"hit"``; ``"joined"``: another caller is having it made, and shares it;
            ``"miss"``; ``"bypass"``: this one is not to be cached.
        reason: Why it is not, or was missed although it might have been there (``"storage"``).
        size: Bytes of a hit.
    """

    cache: str
    result: str
    reason: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStored(Event):
    """What was made is kept, or is not.

    Attributes:
        cache: ``"speech"`` or ``"response"``.
        stored: Whether it is kept.
        reason: Why not: what broke, or which rule it fails.
        size: Bytes.
        ttl: Seconds for which it is kept.
    """

    cache: str
    stored: bool
    reason: str | None = None
    size: int = 0
    ttl: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOpened(Event):
    """A client began to use its connections.

    Attributes:
        host: Whose they are.
        max_connections: How many there may be at a time.
        shared: Whether the pool is another's, who made it and will close it.
    """

    host: str
    max_connections: int
    shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed(Event):
    """A ``warm()`` ended."""

    opened: int
    reused: int
    failed: int
    elapsed: float
