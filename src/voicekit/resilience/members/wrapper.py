"""What every wrapper of members is: their warmth, their end, and a look at them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from voicekit.checks import no_options
from voicekit.errors import ConnectError, InvalidArgumentError, VoicekitError
from voicekit.resilience.members.patience import Patience
from voicekit.resilience.members.requests import RequestOfMembers
from voicekit.resilience.members.shared_text import SharedText, TextReader
from voicekit.resilience.members.trail import ANYWHERE, Group, Judge, Member, MemberStats, Trail

if TYPE_CHECKING:
    from voicekit.transport.config import WarmReport

R = TypeVar("R")
Q = TypeVar("Q", bound=RequestOfMembers[Any])


class Wrapper:
    """Members behind the interface that they implement."""

    def __init__(self, group: Group, *, close: bool) -> None:
        self._group = group
        self._close = close

    async def warm(self, n: int | None = None, /, *, strict: bool = False) -> WarmReport:
        """Warm every member at once, each with ``n``: who is asked next must be warm as well.

        Raises:
            ClosedError: It is closed.
            VoicekitError: ``strict``, and a member failed.
        """
        self._group.check_open()
        count = () if n is None else (n,)
        reports: list[WarmReport] = await _together(
            member.engine.warm(*count, strict=strict) for member in self._group.members
        )
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
            await _together(member.engine.aclose() for member in self._group.members)

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

    def _requests(self, subject: Any, options: Mapping[str, Any]) -> tuple[Any, ...]:
        """What each member is asked about ``subject``."""
        return _each(
            self._group, lambda member, own: member.engine.request(subject, **own), options
        )

    def _made(
        self,
        kind: type[Q],
        make: Callable[..., Q],
        subject: Any,
        argument: str,
        options: Mapping[str, Any],
    ) -> Q:
        """The request about ``subject``, which may be a finished one."""
        if isinstance(subject, kind):
            return self._finished(subject, argument, options)
        return make(subject, **options)  # a member's own request is refused there

    def _finished(self, request: Q, argument: str, options: Mapping[str, Any]) -> Q:
        """A request that a caller has got from ``request()``, if it can be used so."""
        if request.owner is not self:
            raise InvalidArgumentError(
                "is another wrapper's",
                argument=argument,
                allowed="what request() of this returned",
            )
        no_options(options, allowed="in request()")
        return request

    def _handles(self, operation: str, request: RequestOfMembers[Any]) -> Handles:
        """Each member's handle of a request."""
        return Handles(
            self._group, lambda member: getattr(member.engine, operation)(request.at(member))
        )

    def _sessions(
        self, operation: str, options: Mapping[str, Any], text: SharedText | None = None
    ) -> Handles:
        """Each member's handle with these options, and with a reader of ``text`` of its own."""
        own = [self._group.options.of(member.index, options) for member in self._group.members]

        def make(member: Member) -> Any:
            said = () if text is None else (TextReader(text),)
            return getattr(member.engine, operation)(*said, **own[member.index])

        return Handles(self._group, make)

    async def _whole(
        self, operation: str, request: RequestOfMembers[Any], judge: Judge = ANYWHERE
    ) -> tuple[Any, str, Mapping[str, VoicekitError], Any]:
        """One call whose first output is its last.

        Returns:
            What came, the name of who answered, why others had not, and what was asked there.
        """
        trail: Trail[Any] = Trail(self._group, operation)
        patience = Patience(self._group.timeout)

        async def ask(member: Member) -> Any:
            patience.start()
            return await getattr(member.engine, operation)(request.at(member))

        try:
            result = await trail.open(ask, patience, judge)
            trail.proved()
        finally:
            trail.free()
        member = trail.member
        assert member is not None  # noqa: S101 - it has answered
        return result, member.name, trail.errors, request.at(member)


async def _together(work: Iterable[Awaitable[Any]]) -> list[Any]:
    """What all of it gives; when some fails, the first failure, once all has ended."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


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


def _each(
    group: Group, make: Callable[[Member, dict[str, Any]], R], options: Mapping[str, Any]
) -> tuple[R, ...]:
    """What ``make`` makes of each member and its options; one that refuses is named."""
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

    Attributes:
        first: Those of all members, in their order.
    """

    def __init__(self, group: Group, make: Callable[[Member], Any]) -> None:
        self._make = make
        self.first = _each(group, lambda member, _: make(member), {})
        self._made = dict(enumerate(self.first))

    def __call__(self, member: Member) -> Any:
        """One for this member."""
        made = self._made.pop(member.index, None)
        return self._make(member) if made is None else made
