"""``deadline()``: one ambient budget for everything a block of code asks of voicekit."""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Self

from voicekit.errors import InvalidArgumentError

if TYPE_CHECKING:
    from types import TracebackType

_ambient: ContextVar[float | None] = ContextVar("voicekit_deadline", default=None)


class deadline:  # noqa: N801 - reads as a word: with deadline(2):
    """Bound every voicekit call made inside the block, all of them together.

    A plain ``with``. An inner deadline can only shorten an outer one. It is read
    when a call starts and spent down by each of its stages; work that is shared
    between callers (keepers, refills, token refresh) never sees it. It does not
    cancel code that is not voicekit's.

    Args:
        seconds: How long the block may take, from entering it.

    Raises:
        InvalidArgumentError: If ``seconds`` is negative or not a number.

    Example:
        >>> with deadline(2.0):
        ...     text = await llm.chat(messages)
        ...     clip = await tts.synthesize(text.text)
    """

    __slots__ = ("_seconds", "_tokens")

    def __init__(self, seconds: float) -> None:
        if not isinstance(seconds, int | float) or not seconds >= 0:
            raise InvalidArgumentError(
                f"got {seconds!r}", argument="seconds", allowed="a number ≥ 0"
            )
        self._seconds = seconds
        self._tokens: list[Token[float | None]] = []

    def __enter__(self) -> Self:
        at = time.monotonic() + self._seconds
        outer = _ambient.get()
        self._tokens.append(_ambient.set(at if outer is None else min(at, outer)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _ambient.reset(self._tokens.pop())

    def remaining(self) -> float:
        """Seconds left of the innermost deadline in force; never negative."""
        at = _ambient.get()
        return max(0.0, at - time.monotonic()) if at is not None else float("inf")

    def __repr__(self) -> str:
        return f"deadline({self._seconds:g})"


def ambient_deadline() -> float | None:
    """The point in ``time.monotonic()`` at which the ambient deadline passes, if one is set."""
    return _ambient.get()
