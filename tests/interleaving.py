"""A loop on virtual time whose ready tasks run in a seeded random order.

asyncio runs what is ready first in, first out, so that a test sees one order of the many that
real traffic brings. Here the next task step is drawn among all that are ready; two runs with
one seed are alike. Callbacks that are no task step keep their order among themselves, as code
may rely on it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from voicekit.testing.clock import VirtualLoop


class _Shuffled(deque[asyncio.Handle]):
    """What is ready to run; ``popleft`` draws instead of taking the first."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    def popleft(self) -> asyncio.Handle:
        if len(self) < 2:
            return super().popleft()
        drawn, callback = [], False
        for place, handle in enumerate(self):
            called = handle._callback  # type: ignore[attr-defined]
            if isinstance(getattr(called, "__self__", None), asyncio.Task):
                drawn.append(place)
            elif not callback:  # the first of the callbacks stands for all of them
                callback = True
                drawn.append(place)
        place = drawn[int(self._rng.random() * len(drawn))]
        handle = self[place]
        del self[place]
        return handle


class ShuffledLoop(VirtualLoop):
    """``VirtualLoop`` whose task steps run in the order that ``seed`` draws."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._ready = _Shuffled(random.Random(seed))


async def _alone(scenario: Coroutine[Any, Any, None]) -> None:
    await scenario
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {sorted(task.get_name() for task in left)}"


def interleavings(
    scenario: Callable[[random.Random], Coroutine[Any, Any, None]],
    seeds: Iterable[int] = range(2000),
) -> None:
    """Run ``scenario`` once per seed, each time on a new ``ShuffledLoop``.

    Args:
        scenario: Makes everything it needs, asserts, and leaves no task behind. It is given
            a generator with the same seed, for what it draws itself.
        seeds: ``[17]`` repeats what failed with seed 17.

    Raises:
        Exception: The first failure, with the seed as a note. Also what the loop was told
            and nobody else was: an exception in a callback or in a forgotten task.
    """
    for seed in seeds:
        unheard: list[dict[str, Any]] = []
        try:
            with asyncio.Runner(loop_factory=lambda seed=seed: ShuffledLoop(seed)) as runner:  # type: ignore[misc]
                runner.get_loop().set_exception_handler(
                    lambda _loop, context, unheard=unheard: unheard.append(context)  # type: ignore[misc]
                )
                runner.run(_alone(scenario(random.Random(seed))))
            assert not unheard, f"the loop was told: {unheard}"
        except BaseException as error:
            error.add_note(f"interleaving of seed {seed}: interleavings(…, seeds=[{seed}])")
            raise
