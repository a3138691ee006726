"""Policies, and the order of them around the opening of a call.

A ``Pipeline`` orders the policies around *opening*, which ends with the first useful
output in hand: the commit point. Before it an attempt may be repeated; after it, never
silently.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from voicekit.operation import Call, Limits, Operation, OperationClass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Policy(Protocol):
    """Wraps the opening of a call: retry, hedge, limit, breaker.

    A policy reads the call, its errors and the clock; it has never heard of HTTP.
    It must let ``CancelledError`` through untouched.
    """

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step`` as often as the policy says and return one result."""
        ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The immutable order of the policies of an operation, outermost first.

    Its repr *is* the order::

        deadline → attempt limits → transport

    The policies are nested once, when it is made; a call brings only its own step.
    """

    policies: tuple[Policy, ...] = ()
    _run: Callable[[Call], Awaitable[Any]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        run: Callable[[Call], Awaitable[Any]] = _attempt
        for policy in reversed(self.policies):
            run = _around(policy, run)
        object.__setattr__(self, "_run", run)

    async def open(self, call: Call, step: Callable[[Call], Awaitable[T]]) -> T:
        """Open ``call``: run ``step`` under the policies until the commit point.

        Args:
            call: Carries limits and evidence through every layer.
            step: One attempt. Returns with the first useful output in hand.

        Raises:
            VoicekitError: With the call's evidence on it. The call has ended then.
        """
        call.step = step
        try:
            result: T = await self._run(call)
        except BaseException as error:
            call.step = None
            call.end(error)
            raise
        call.step = None  # it may hold a whole upload, and the call lives as long as its stream
        return result

    async def run(
        self,
        function: Callable[[], Awaitable[T]],
        *,
        kind: OperationClass = OperationClass.COMPUTE,
        name: str = "run",
    ) -> T:
        """Run anything under the policies: ``function`` is called for each attempt.

        Args:
            function: Does it once.
            kind: What a repeat does; decides what may be repeated.
            name: Of the operation, for events and errors.

        Raises:
            Exception: Whatever ``function`` raised last, or a policy's refusal.
        """
        operation = Operation(
            provider="application", name=name, kind=kind, limits=Limits(connect=None)
        )
        call = Call(operation)

        async def step(_: Call) -> T:
            return await function()

        result = await self.open(call, step)
        call.end()
        return result

    def __repr__(self) -> str:
        return " → ".join(
            ["deadline", *(repr(policy) for policy in self.policies), "attempt limits", "transport"]
        )


def _attempt(call: Call) -> Awaitable[Any]:
    """The innermost of the steps."""
    step = call.step
    assert step is not None  # noqa: S101 - open() has put it there
    return call.attempt(step)


def _around(
    policy: Policy, step: Callable[[Call], Awaitable[Any]]
) -> Callable[[Call], Awaitable[Any]]:
    return lambda call: policy(call, step)


PLAIN = Pipeline()
"""No policies at all."""


def open_call(call: Call, step: Callable[[Call], Awaitable[T]]) -> Awaitable[T]:
    """Open ``call`` under the policies that it came with; see ``Pipeline.open``."""
    return (call.pipeline or PLAIN).open(call, step)
