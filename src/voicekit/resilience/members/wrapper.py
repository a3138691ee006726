"""What every wrapper of members is: their warmth, their end, and a look at them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from voicekit.errors import ConnectError, InvalidArgumentError, VoicekitError
from voicekit.events import Observer, Observers
from voicekit.resilience.members.kinds import names_of
from voicekit.resilience.members.options import MemberOptions, Options, Table
from voicekit.resilience.members.patience import Patience, checked_timeout
from voicekit.resilience.members.trail import (
    ANYWHERE,
    Choice,
    Group,
    Judge,
    Member,
    MemberStats,
    Trail,
)
from voicekit.tasks import Background

if TYPE_CHECKING:
    from voicekit.transport.config import WarmReport

__all__ = ["Handles", "Wrapper", "group_of", "probe", "requests_of"]

R = TypeVar("R")


def group_of(
    engines: Sequence[Any],
    choice: Choice,
    *,
    names: Sequence[str] | None,
    options: Options | None,
    table: Table | None,
    timeout: float | None,
    observers: Sequence[Observer],
) -> Group:
    """The checked arguments of a wrapper.

    Raises:
        InvalidArgumentError: One of them makes no sense.
    """
    called = names_of(engines, names)
    return Group(
        members=tuple(
            Member(e, i, n) for i, (e, n) in enumerate(zip(engines, called, strict=True))
        ),
        choice=choice,
        options=MemberOptions(called, options, table),
        background=Background(),
        timeout=checked_timeout(timeout),
        observer=Observers.of(observers),
    )


class Wrapper:
    """Members behind the interface that they implement."""

    def __init__(self, group: Group, *, close: bool) -> None:
        self._group = group
        self._close = close

    # -- lifecycle --------------------------------------------------------------------------

    async def warm(self, n: int | None = None, /, *, strict: bool = False) -> WarmReport:
        """Warm every member at once, each with ``n``: who is asked next must be warm as well.

        Raises:
            ClosedError: It is closed.
            VoicekitError: ``strict``, and a member failed.
        """
        self._group.check_open()
        count = () if n is None else (n,)
        reports: list[WarmReport] = []
        results = await asyncio.gather(
            *(member.engine.warm(*count, strict=strict) for member in self._group.members),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
            reports.append(result)
        return replace(
            reports[0],
            opened=sum(each.opened for each in reports),
            reused=sum(each.reused for each in reports),
            failures=tuple(name for each in reports for name in each.failures),
            elapsed=max(each.elapsed for each in reports),
        )

    async def probe(self) -> None:
        """Ask every member for something free; one that answers is enough.

        Raises:
            VoicekitError: None does.
        """
        self._group.check_open()
        asked = [probe(member.engine) for member in self._group.members]
        results = await asyncio.gather(*asked, return_exceptions=True)
        failures = [each for each in results if each is not None]
        if len(failures) == len(results):
            raise failures[-1]

    async def aclose(self) -> None:
        """Close the members, unless they are somebody else's; may be called twice."""
        self._group.closed = True
        await self._group.background.aclose()
        if self._close:
            closing = [member.engine.aclose() for member in self._group.members]
            for result in await asyncio.gather(*closing, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result

    async def __aenter__(self) -> Self:
        self._group.check_open()
        if self._close:  # else whoever closes them has entered them
            async with AsyncExitStack() as stack:
                for member in self._group.members:
                    await stack.enter_async_context(member.engine)
                stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    # -- evidence ---------------------------------------------------------------------------

    @property
    def provider(self) -> str:
        """Its name as a member of another wrapper."""
        return self._group.choice.kind

    @property
    def members(self) -> Mapping[str, Any]:
        """Those behind it, by name, in their order."""
        return {member.name: member.engine for member in self._group.members}

    @property
    def engines(self) -> tuple[Any, ...]:
        """What the members are, in their order."""
        return tuple(member.engine for member in self._group.members)

    def stats(self) -> tuple[MemberStats, ...]:
        """What is known of each member, in their order."""
        return tuple(self._group.choice.stats(member) for member in self._group.members)

    def __repr__(self) -> str:
        shown = [
            repr(member.engine) if isinstance(member.engine, Wrapper) else member.name
            for member in self._group.members
        ]
        return f"{self._group.choice.kind}({', '.join(shown)})"

    # -- for subclasses ---------------------------------------------------------------------

    async def _whole(
        self,
        operation: str,
        ask: Callable[[Member], Awaitable[R]],
        judge: Judge = ANYWHERE,
    ) -> tuple[R, Member, Mapping[str, VoicekitError]]:
        """One call whose first output is its last; who answered, and why others had not."""
        trail: Trail[R] = Trail(self._group, operation)
        patience = Patience(self._group.timeout)

        async def asked(member: Member) -> R:
            patience.start()
            return await ask(member)

        try:
            result = await trail.open(asked, patience, judge)
            trail.proved()
        finally:
            trail.free()
        assert trail.member is not None  # noqa: S101 - it has answered
        return result, trail.member, trail.errors


async def probe(engine: Any) -> None:
    """Ask a member for something free: its own ``probe()``, or a warm connection.

    Raises:
        Exception: It does not answer; whatever its engine raises.
    """
    own = getattr(engine, "probe", None)
    if own is not None:
        await own()
        return
    report = await engine.warm(1, strict=True)
    if getattr(report, "failures", ()):  # an engine may not know ``strict``
        raise ConnectError("it cannot be warmed")


def requests_of(
    group: Group, make: Callable[[Member, dict[str, Any]], R], options: Mapping[str, Any]
) -> tuple[R, ...]:
    """What each member makes of a call's options; no I/O.

    Raises:
        InvalidArgumentError: A member refuses them, and says so by name.
    """
    made: list[R] = []
    for member in group.members:
        try:
            made.append(make(member, group.options.of(member.index, options)))
        except InvalidArgumentError as error:
            if error.provider is None:
                error.provider = member.name
            raise
    return tuple(made)


class Handles:
    """Each member's handle, made at once and without I/O: who refuses, refuses now.

    A member that is asked once more, since its opening was cancelled, gets a new one.

    Args:
        group: Whose members.
        make: Makes one.

    Attributes:
        first: Those of all members, in their order.

    Raises:
        InvalidArgumentError: A member refuses.
    """

    def __init__(self, group: Group, make: Callable[[Member], Any]) -> None:
        self._make = make
        self.first = requests_of(group, lambda member, _: make(member), {})
        self._made = dict(enumerate(self.first))

    def __call__(self, member: Member) -> Any:
        """One for this member."""
        made = self._made.pop(member.index, None)
        return self._make(member) if made is None else made
