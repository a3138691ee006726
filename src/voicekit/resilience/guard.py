"""What every policy is, beside what it decides."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, Self, TypeVar

from voicekit.checks import is_number
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Call, OperationClass
from voicekit.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

T = TypeVar("T")


def are_failures(value: object) -> bool:
    """Whether these are exceptions that may be judged, in a tuple.

    Of ``Exception`` only: who lists all but one would catch cancellation as well.
    """
    return isinstance(value, tuple) and all(
        isinstance(kind, type) and issubclass(kind, Exception) for kind in value
    )


def is_rng(value: object) -> bool:
    """Whether jitter can come from it; None is the module's own."""
    return value is None or isinstance(value, random.Random)


def number(value: Any) -> float:
    """``value``, or what is in no range."""
    return value if is_number(value) else math.nan


def check(argument: str, value: object, good: bool, allowed: str) -> None:
    """Refuse an argument that is not ``good``."""
    if not good:
        raise InvalidArgumentError(f"got {value!r}", argument=argument, allowed=allowed)


class Guard:
    """Base of the policies: alone around any awaitable, or a layer of a pipeline.

    A policy that a client is given is a pattern: each scope of the client (provider,
    address, credential, operation) has a ``fresh`` one, which lives on the transport.
    """

    _settings: Mapping[str, Any] = {}
    """What its constructor was given, by name."""

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step`` as often as the policy says; see ``Policy``."""
        raise NotImplementedError

    async def run(
        self,
        function: Callable[[], Awaitable[T]],
        *,
        kind: OperationClass = OperationClass.COMPUTE,
        name: str = "run",
    ) -> T:
        """Run anything under this policy alone; see ``Pipeline.run``."""
        return await Pipeline((self,)).run(function, kind=kind, name=name)

    @property
    def settings(self) -> Hashable:
        """Equal where two would do the same: in one scope they are one, and share what they see.

        Holds no secret. By default a policy is equal to itself alone. A budget that was given is
        shared: another one is another setting.
        """
        return tuple(self._settings.values()) or self

    def fresh(self) -> Self:
        """The same settings, with nothing seen yet, closed, and with a full budget of its own.

        One that keeps nothing is its own.
        """
        return type(self)(**self._settings) if self._settings else self

    def stats(self) -> Any:
        """A frozen snapshot of what was seen; None for one that keeps nothing."""
        return None
