"""Policies, and the order of them around the opening of a call.

A ``Pipeline`` orders the policies around *opening*, which ends with the first useful
output in hand: the commit point. Before it an attempt may be repeated; after it, never
silently.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    policies: tuple[Policy, ...] = ()

    async def open(self, call: Call, step: Callable[[Call], Awaitable[T]]) -> T:
        """Open ``call``: run ``step`` under the policies until the commit point.

        Args:
            call: Carries limits and evidence through every layer.
            step: One attempt. Returns with the first useful output in hand.

        Raises:
            VoicekitError: With the call's evidence on it. The call has ended then.
        """
        try:
            if not self.policies:
                return await call.attempt(step)
            run: Callable[[Call], Awaitable[T]] = _Attempt(step)
            for policy in reversed(self.policies):
                run = _Wrapped(policy, run)
            return await run(call)
        except BaseException as error:
            call.end(error)
            raise

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


class _Attempt:
    __slots__ = ("_step",)

    def __init__(self, step: Callable[[Call], Awaitable[Any]]) -> None:
        self._step = step

    async def __call__(self, call: Call) -> Any:
        return await call.attempt(self._step)


class _Wrapped:
    __slots__ = ("_policy", "_step")

    def __init__(self, policy: Policy, step: Callable[[Call], Awaitable[Any]]) -> None:
        self._policy, self._step = policy, step

    async def __call__(self, call: Call) -> Any:
        return await self._policy(call, self._step)
