"""How many sockets of one kind a client keeps: as many as its account may use at once."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from voicekit.transport.config import PoolConfig
    from voicekit.transport.pool import SocketPool

SOCKETS: Final = 5
"""Sockets of one kind at a time, unless a pool or a transport says otherwise: what the small
plans generate at once. Grows when a response says that the account has more; as many
connections stay for HTTP. Source: models page, concurrency, August 2025."""


class Places:
    """Lets pools of sockets grow to what the account may do at once.

    One for a client and all its views; ``fixed`` where the sizes are the user's affair.
    """

    __slots__ = ("_heard", "_most", "_pools")

    def __init__(self, *, fixed: bool) -> None:
        self._most = None if fixed else SOCKETS
        self._heard: str | None = None
        # A transport closes pools that are used no more; they are not to be kept for this.
        self._pools: weakref.WeakSet[SocketPool] = weakref.WeakSet()

    def sized(self, config: PoolConfig) -> PoolConfig:
        """The configuration of a pool of sockets."""
        return config if self._most is None else replace(config, max_connections=self._most)

    def watch(self, pool: SocketPool) -> None:
        """Let this pool grow, too."""
        if self._most is not None:
            self._pools.add(pool)

    def learn(self, headers: Mapping[str, str], config: PoolConfig) -> None:
        """Read what a response says of the account."""
        if self._most is None:
            return
        maximum = headers.get("maximum-concurrent-requests")
        if maximum is None or maximum == self._heard:
            return
        self._heard = maximum
        if maximum.isascii() and maximum.isdigit() and len(maximum) < 6:
            most = max(SOCKETS, config.max_connections - SOCKETS)
            self._most = min(max(SOCKETS, int(maximum)), most)
            for pool in self._pools:
                pool.resize(self._most)
