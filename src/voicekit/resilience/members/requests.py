"""A finished request to several members: each member's own, and the wrapper that made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from voicekit.interfaces import Identified
from voicekit.resilience.members.trail import Member

R = TypeVar("R", bound=Identified)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOfMembers(Generic[R]):
    """What each member is asked.

    Attributes:
        of: Each member's own request, in their order.
        owner: The wrapper that made it.
    """

    of: tuple[R, ...] = field(repr=False)
    owner: object = field(repr=False, compare=False)

    def at(self, member: Member) -> R:
        """What this one is asked."""
        return self.of[member.index]

    @property
    def identity(self) -> str:
        """That of the first member's request. Holds content: never log it.

        What another member made is to be stored under the identity that comes with it.
        """
        return self.of[0].identity

    @property
    def identities(self) -> tuple[str, ...]:
        """Those of all members, in their order."""
        return tuple(each.identity for each in self.of)
