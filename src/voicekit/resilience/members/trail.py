"""Those behind a wrapper, and the way of one call through them.

``fallback`` and ``spread`` are one idea: choose a member, open there, and as long as nothing
useful has come choose another. They differ in the ``Choice``: who is next, and what is a
reason to move on.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from voicekit import events
from voicekit.deadlines import ambient_deadline
from voicekit.errors import ClosedError, DeadlineError, RejectedError, VoicekitError
from voicekit.resilience.breaker_verdict import FAIR_S
from voicekit.resilience.members.patience import Patience

if TYPE_CHECKING:
    from voicekit.resilience.members.options import MemberOptions
    from voicekit.tasks import Background

T = TypeVar("T")


class Place:
    """One call's place at a member: outstanding until it is freed, or nobody holds it."""

    __slots__ = ("__weakref__", "_number", "_places")

    def __init__(self, places: set[int], number: int) -> None:
        self._places = places
        self._number = number
        places.add(number)

    @property
    def held(self) -> bool:
        """Whether it still counts."""
        return self._number in self._places

    def free(self) -> None:
        """The call is over at that member. Idempotent."""
        self._places.discard(self._number)  # atomic: the collector runs on any thread

    def __del__(self) -> None:
        self._places.discard(self._number)


class Member:
    """One of those behind a wrapper: what implements the interface, its place, its unique name."""

    __slots__ = ("_numbers", "_places", "engine", "index", "name")

    def __init__(self, engine: Any, index: int, name: str) -> None:
        self.engine = engine
        self.index = index
        self.name = name
        self._places: set[int] = set()
        self._numbers = itertools.count()

    def place(self) -> Place:
        """Count one more call."""
        return Place(self._places, next(self._numbers))

    @property
    def outstanding(self) -> int:
        """Calls that have not ended: streams and sessions until their end."""
        return len(self._places)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStats:
    """A snapshot of one member.

    Attributes:
        name: Its name.
        state: ``"well"``, ``"resting"`` after a failure, ``"probing"``, or ``"trial"``: back,
            for one call at a time until one succeeds.
        outstanding: Calls that have not ended.
        failures: In a row.
        rests_for: Seconds until it may be tried again.
    """

    name: str
    state: str = "well"
    outstanding: int = 0
    failures: int = 0
    rests_for: float = 0.0


class Choice(Protocol):
    """Who is next, and why one would leave; it decides and does no I/O."""

    kind: str
    """What the wrapper is called."""

    def next(self, members: Sequence[Member], group: Group) -> tuple[Member, str]:
        """One of ``members``, none of which this call has asked before, and the reason."""
        ...

    def asked(self, member: Member, place: Place) -> int:
        """A call goes to ``member``. What is returned is given back with how it went."""
        ...

    def moves_on(self, error: VoicekitError) -> bool:
        """Whether another member may cure this."""
        ...

    def failed(self, member: Member, error: VoicekitError, epoch: int) -> None:
        """A call failed that moves on, or would if anybody were left."""
        ...

    def proved(self, member: Member, epoch: int) -> None:
        """A call has its first output."""
        ...

    def stats(self, member: Member) -> MemberStats:
        """What is known of ``member``."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Group:
    """What all the calls of one wrapper share.

    Attributes:
        timeout: Seconds that a member may take to the first useful output.
        background: Owns the probes.
        closed: No further calls.
    """

    members: tuple[Member, ...]
    choice: Choice
    options: MemberOptions
    background: Background
    timeout: float | None = None
    observer: events.Observer | None = None
    closed: bool = field(default=False)

    def emit(self, kind: type[events.Event], operation: str, **facts: Any) -> None:
        """Build a record and hand it to the observer, if there is one."""
        if self.observer is not None:
            self.observer.on_event(
                kind(at=time.monotonic(), provider=self.choice.kind, operation=operation, **facts)
            )

    def check_open(self) -> None:
        """Refuse what is asked after the end."""
        if self.closed:
            raise ClosedError(f"the {self.choice.kind} is closed")


class Judge:
    """What a call itself says of an error at a member; this one can be asked again as it is."""

    __slots__ = ()

    def may_move(self, error: VoicekitError, /) -> bool:  # noqa: ARG002
        """Whether it can still go elsewhere; if not, ``retry_stopped`` says why."""
        return True

    def innocent(self, error: VoicekitError, /) -> bool:  # noqa: ARG002
        """Whether it is none of the member's."""
        return False


ANYWHERE: Final = Judge()


def errors_of(error: BaseException) -> Mapping[str, VoicekitError]:
    """Why the other members failed, by name, of an error that a wrapper raised."""
    found: Mapping[str, VoicekitError] = getattr(error, "errors", {})
    return found


class Trail(Generic[T]):
    """The way of one call through the members.

    Attributes:
        errors: Why members failed, by name, in the order in which they were asked.
        member: Who has the call; None before one has opened.
        before_s: Seconds that went before that member was asked.
        attempts_before: How often members that failed put the request on the wire.
    """

    def __init__(
        self,
        group: Group,
        operation: str,
    ) -> None:
        self.errors: dict[str, VoicekitError] = {}
        self.member: Member | None = None
        self.before_s = 0.0
        self.attempts_before = 0
        self._group = group
        self._operation = operation
        self._asked: set[int] = set()
        self._epoch = 0
        self._proved = False
        self._place: Place | None = None
        self._began: float | None = None

    async def open(
        self,
        ask: Callable[[Member], Awaitable[T]],
        patience: Patience,
        judge: Judge = ANYWHERE,
    ) -> T:
        """Ask one member after the other until one opens; ``ask`` leaves nothing when it fails.

        Cancelled, the member that was being asked counts as not asked.

        Raises:
            VoicekitError: No other member can cure it, or none is left.
        """
        group = self._group
        group.check_open()
        if self._began is None:
            self._began = time.monotonic()
        while True:
            left = [each for each in group.members if each.index not in self._asked]
            member, reason = group.choice.next(left, group)
            self._asked.add(member.index)
            self._place = place = member.place()
            self._epoch = group.choice.asked(member, place)
            self.before_s = time.monotonic() - self._began
            if self.errors:
                reason = "failed_over"
            group.emit(events.MemberChosen, self._operation, member=member.name, reason=reason)
            try:
                opened = await patience.wait(lambda member=member: ask(member))  # type: ignore[misc]
            except VoicekitError as error:
                self.failed(member, error, judge)
            except BaseException:
                self._asked.discard(member.index)
                self.free()
                raise
            else:
                self.member = member
                return opened

    def failed(self, member: Member, error: VoicekitError, judge: Judge) -> None:
        """Returns when another member may be asked instead.

        Raises:
            VoicekitError: ``error``, or one before it, when that is the end of the call.
        """
        group = self._group
        self.free()
        self.member = None
        self.attempts_before += error.attempts
        if judge.innocent(error):
            raise error
        moves = self.may_move(error, judge)
        now, until = time.monotonic(), ambient_deadline()
        spent = until is not None and until <= now
        # The caller's deadline may have left it too little to be blamed for it.
        hurried = now - (self._began or 0.0) - self.before_s < FAIR_S
        if moves and not (spent and isinstance(error, DeadlineError) and hurried):
            group.choice.failed(member, error, self._epoch)
        group.emit(
            events.MemberFailed, self._operation, member=member.name, error=type(error).__name__
        )
        if moves and not spent and len(self._asked) < len(group.members):
            # Without its frames, which hold the handle that holds this.
            self.errors[member.name] = error.with_traceback(None)
            return
        raise self._last(member, error)

    def may_move(self, error: VoicekitError, judge: Judge) -> bool:
        """Whether ``error`` is a reason to ask another member, were there one."""
        return self._group.choice.moves_on(error) and judge.may_move(error)

    def _last(self, member: Member, error: VoicekitError) -> VoicekitError:
        """The last real error: what a provider said, rather than a refusal of our own."""
        others = {**self.errors, member.name: error}
        chosen = member.name
        if isinstance(error, RejectedError):
            real = [n for n, each in self.errors.items() if not isinstance(each, RejectedError)]
            chosen = real[-1] if real else chosen
        last = others.pop(chosen)
        for name, other in others.items():
            last.add_note(f"{self._group.choice.kind}: {name} failed with {type(other).__name__}")
        vars(last)["errors"] = {**errors_of(last), **others}  # those of a wrapper behind it too
        return last

    def proved(self) -> None:
        """The first useful output is in hand: the commit point."""
        if self.member is not None and not self._proved:
            self._proved = True
            self._group.choice.proved(self.member, self._epoch)

    def free(self) -> None:
        """The call is over at its member. Idempotent."""
        if self._place is not None:
            self._place.free()


async def closed_quietly(handle: Any) -> None:
    """Close what failed; it may have been closed by its failure already."""
    close = getattr(handle, "aclose", None)
    if close is not None:
        with contextlib.suppress(Exception):  # why it failed is what counts
            await close()
