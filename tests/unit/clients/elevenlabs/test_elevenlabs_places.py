"""What answers tell of the account, and what views of a client share of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from voicekit.clients.elevenlabs import Concurrency, ElevenLabsClient
from voicekit.clients.elevenlabs.places import SOCKETS, Places
from voicekit.transport.config import PoolConfig

NAMES = ("current-concurrent-requests", "maximum-concurrent-requests")


def answered(*values: str | None) -> Any:
    pairs = zip(NAMES, values, strict=True)
    return SimpleNamespace(headers={name: value for name, value in pairs if value is not None})


def test_concurrency_of_anything_with_headers() -> None:
    """Both counts, or nothing."""
    assert Concurrency.of(answered("3", "10")) == Concurrency(current=3, maximum=10)


@pytest.mark.parametrize(
    "values", [(None, None), ("3", None), ("x", "10"), ("-1", "10"), ("1" * 50, "10"), ("²", "3")]
)
def test_no_concurrency_where_it_is_not_told(values: tuple[str | None, str | None]) -> None:
    """What is missing or no number is None, never a guess."""
    assert Concurrency.of(answered(*values)) is None


class FakePool:
    def __init__(self) -> None:
        self.size = 0

    def resize(self, size: int) -> None:
        self.size = size


def test_pools_grow_with_the_account_and_are_not_kept() -> None:
    """What one answer tells every pool hears; a pool that nobody uses is forgotten."""
    places, config, pool = Places(fixed=False), PoolConfig(max_connections=40), FakePool()
    assert places.sized(config).max_connections == SOCKETS
    places.watch(pool)  # type: ignore[arg-type]
    places.learn({NAMES[1]: "12"}, config)
    assert (pool.size, places.sized(config).max_connections) == (12, 12)
    places.learn({NAMES[1]: "1000"}, config)
    assert pool.size == 40 - SOCKETS, "as many connections stay for HTTP"
    places.learn({NAMES[1]: "many"}, config)
    places.learn({}, config)
    assert pool.size == 40 - SOCKETS
    assert len(places._pools) == 1
    del pool
    assert len(places._pools) == 0


def test_sizes_that_the_user_chose_stay() -> None:
    """A pool or a transport of the user's own is not for us to size."""
    places, config = Places(fixed=True), PoolConfig(max_connections=7)
    places.learn({NAMES[1]: "12"}, config)
    assert places.sized(config) is config


@pytest.mark.anyio
async def test_views_share_the_account() -> None:
    """What an answer to a view tells, the client knows, and the other way round."""
    async with ElevenLabsClient("key", voice="v") as client:
        view = client.with_options(voice="w").with_options(seed=1)
        view._places.learn({NAMES[1]: "8"}, PoolConfig())
        assert client._places.sized(PoolConfig()).max_connections == 8
