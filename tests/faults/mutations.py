"""Every protection of ours, how to take it away, and what then turns red.

The switches are here and nowhere in the library: each replaces a method, a constant or a
setting for the time of one cell. ``says`` is a part of what the red cell complains of, so that a
mutation which only breaks everything proves nothing.

What is a matter of chance, or of more than a cell's time, has tests of its own, red without it:
the jitter of back-offs (``test_back_offs_are_drawn_from_nothing_to_the_most``), of a Retry-After
(``test_the_jitter_of_a_retry_after_goes_upward_and_differs``), of open periods
(``test_open_periods_differ_by_chance``); how often a speech is resumed
(``test_once_per_segment_and_twice_per_speech``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

from world import patched

Switch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One protection taken away.

    Attributes:
        name: What protects.
        without: Takes it away while the context lasts.
        cells: Row and column; one of them at least turns red.
        says: Regular expression for the reason of a red cell.
    """

    name: str
    without: Switch
    cells: tuple[tuple[str, str], ...]
    says: str


def swap(target: Any, **values: Any) -> Switch:
    """Attributes of ``target`` are these instead."""
    return lambda: patched(target, **values)


def wrap(target: Any, name: str, around: Callable[[Any], Any]) -> Switch:
    """``target``'s method is what ``around`` makes of it."""
    return lambda: patched(target, **{name: around(getattr(target, name))})


def both(*switches: Switch) -> Switch:
    """Several at once: one protection in two places."""

    def entered() -> AbstractContextManager[Any]:
        stack = ExitStack()
        for switch in switches:
            stack.enter_context(switch())
        return stack

    return entered


def constant(value: Any) -> Callable[..., Any]:
    return lambda *_args, **_options: value


async def straight(_policy: Any, call: Any, step: Any, /) -> Any:
    """A policy that does nothing."""
    return await step(call)


def after(more: Callable[[Any], None]) -> Callable[[Any], Any]:
    """The method, and then ``more(self)``."""

    def around(method: Any) -> Any:
        def mutated(self: Any, *args: Any, **options: Any) -> Any:
            result = method(self, *args, **options)
            more(self)
            return result

        return mutated

    return around


def mutations() -> tuple[Mutation, ...]:
    """All of them, by the layer that protects."""
    import mutations_acting
    import mutations_clients
    import mutations_members
    import mutations_policies
    import mutations_sockets
    import mutations_transport

    return (
        *mutations_transport.MUTATIONS,
        *mutations_clients.MUTATIONS,
        *mutations_policies.MUTATIONS,
        *mutations_sockets.MUTATIONS,
        *mutations_acting.MUTATIONS,
        *mutations_members.MUTATIONS,
    )
