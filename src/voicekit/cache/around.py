"""What the caches around an engine share: how they hand on to it, and whose answers it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from voicekit.transport.config import WarmReport


class Closing:
    """What ``async with`` closes, and does not open again."""

    aclose: Callable[[], Awaitable[None]]
    _check_open: Callable[[], None]

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


def heard(task: asyncio.Task[Any]) -> None:
    """Take note of how it ended: whoever waits has its error, or the next use will."""
    if not task.cancelled():
        task.exception()


class Around(Closing):
    """Base of the caches around an engine."""

    _close: bool
    _inner: Any

    async def warm(self, n: int | None = None, /, *, strict: bool = False) -> WarmReport:
        """Have what is inside warm: see its own.

        Raises:
            ClosedError: The cache is closed.
            VoicekitError: ``strict``, and it failed.
        """
        self._check_open()
        report: WarmReport = await self._inner.warm(*(() if n is None else (n,)), strict=strict)
        return report

    async def __aenter__(self) -> Self:
        self._check_open()
        if self._close:  # else whoever closes it has entered it
            await self._inner.__aenter__()
        return self


def producers(engine: Any, request: Any) -> list[tuple[Any, str]]:
    """The requests of all who may answer, and where each of them is, if that is known.

    Those of members are in the ``of`` of the request to all, a cache's inner one in its ``of``.
    """
    while isinstance(engine, Around):
        engine = engine._inner
    of = getattr(request, "of", None)
    if isinstance(of, tuple) and of:
        engines = getattr(engine, "engines", None)
        if not isinstance(engines, tuple) or len(engines) != len(of):
            engines = (None,) * len(of)
        pairs = zip(engines, of, strict=True)
        return [found for one, each in pairs for found in producers(one, each)]
    if hasattr(of, "identity"):
        return producers(engine, of)
    return [(request, str(getattr(engine, "base_url", "")))]


def places_of(found: Sequence[tuple[Any, str]]) -> dict[str, list[str]]:
    """Where those are, by the identities of their requests.

    Where somebody is, is no part of a request: two may have the same, and answer otherwise.
    """
    places: dict[str, set[str]] = {}
    for request, address in found:
        places.setdefault(request.identity, set()).add(address)
    return {identity: sorted(each) for identity, each in places.items()}
