"""The ambient deadline: one budget for a block, shortened by inner ones, seen by no one else."""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from typing import Any

import pytest

from voicekit.deadlines import ambient_deadline, deadline
from voicekit.errors import InvalidArgumentError

pytestmark = pytest.mark.anyio


def test_outside_there_is_none() -> None:
    """Without a block nothing bounds a call but its own limits."""
    assert ambient_deadline() is None
    assert deadline(1).remaining() == math.inf


@pytest.mark.timing
def test_inner_deadlines_only_shorten() -> None:
    """A longer one inside changes nothing; a shorter one holds until it is left."""
    with deadline(5) as outer:
        at = ambient_deadline()
        assert at is not None
        assert at == pytest.approx(time.monotonic() + 5, abs=0.1)
        with deadline(60):
            assert ambient_deadline() == at
        with deadline(1):
            assert (ambient_deadline() or 0) < at
        assert ambient_deadline() == at
        assert 4.9 < outer.remaining() <= 5
    assert ambient_deadline() is None


def test_it_ends_with_an_exception() -> None:
    """However the block is left."""
    with pytest.raises(KeyError), deadline(1):
        raise KeyError
    assert ambient_deadline() is None


def test_it_may_be_entered_again() -> None:
    """The seconds count from each entering."""
    twice = deadline(1)
    with twice:
        first = ambient_deadline()
        with twice:
            assert ambient_deadline() == first
    with twice:
        assert (ambient_deadline() or 0) >= (first or 0)


async def test_tasks_inherit_it_and_empty_contexts_do_not() -> None:
    """What the block starts is bounded; what is shared starts in a context of its own."""

    async def seen() -> float | None:
        return ambient_deadline()

    with deadline(2):
        inherited = asyncio.create_task(seen())
        shared = asyncio.create_task(seen(), context=contextvars.Context())
    assert await inherited is not None
    assert await shared is None


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, "2", None])
def test_wrong_seconds(seconds: Any) -> None:
    """Refused at once, naming what is allowed."""
    with pytest.raises(InvalidArgumentError, match="seconds"):
        deadline(seconds)


def test_repr() -> None:
    """As it was written."""
    assert repr(deadline(2.5)) == "deadline(2.5)"
