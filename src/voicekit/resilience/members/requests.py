"""A finished request to several members: each member's own, and the wrapper that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from voicekit.checks import no_options
from voicekit.errors import InvalidArgumentError
from voicekit.interfaces import Identified

__all__ = ["RequestOfMembers", "finished"]

R = TypeVar("R", bound=Identified)
Q = TypeVar("Q", bound="RequestOfMembers[Any]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOfMembers(Generic[R]):
    """What each member is asked.

    Attributes:
        of: Each member's own request, in their order.
        owner: The wrapper that made it.
    """

    of: tuple[R, ...] = field(repr=False)
    owner: object = field(repr=False, compare=False)

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


def finished(request: Q, owner: object, argument: str, options: Mapping[str, Any]) -> Q:
    """A request that a caller has got from ``request()``, if it can be used so.

    Raises:
        InvalidArgumentError: Another wrapper made it, or there are options beside it.
    """
    if request.owner is not owner:
        raise InvalidArgumentError(
            "is another wrapper's", argument=argument, allowed="what request() of this returned"
        )
    no_options(options, allowed="in request()")
    return request
