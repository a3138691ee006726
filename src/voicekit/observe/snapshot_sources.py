"""Clients and caches that a snapshot looks at: held loosely, asked without I/O."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any, Final

from voicekit.errors import InvalidArgumentError

_log = logging.getLogger("voicekit.observe")

_MOST: Final = 256
"""Things looked at, and members of one thing."""
_DEEPEST: Final = 6


def members_of(thing: Any) -> Mapping[str, Any]:
    """What a wrapper stands in front of, by name; nothing for what is no wrapper.

    A wrapper says so with ``members`` (several, by name) or ``inner`` (one); caches of ours keep
    theirs to themselves.
    """
    members = getattr(thing, "members", None)
    if isinstance(members, Mapping):
        return members
    inner = getattr(thing, "inner", None) or getattr(thing, "_inner", None)
    if inner is not None and callable(getattr(inner, "aclose", None)):
        return {name_of(inner): inner}
    return {}


def itself(thing: Any) -> Any:
    """The client behind one of its roles (``client.as_synthesizer()``); else the thing."""
    client = getattr(thing, "_client", None)
    behind = client is not None and not hasattr(thing, "stats") and hasattr(client, "stats")
    return client if behind else thing


def storage_of(thing: Any) -> Any:
    """Where a cache keeps what it has; the thing itself, if it keeps nothing elsewhere."""
    for path in ("storage", "_storage", "_answers.storage.storage"):  # the last is of speech
        try:
            found = attrgetter(path)(thing)
        except AttributeError:
            continue
        if found is not None:
            return found
    return thing


def name_of(thing: Any) -> str:
    """What to call it: its provider's name, else that of its type."""
    provider = getattr(thing, "provider", None)
    return provider if isinstance(provider, str) and provider else type(thing).__name__


def unused(name: str, taken: Container[str]) -> str:
    """``name``, with a number where that is taken."""
    chosen, number = name, 1
    while chosen in taken:
        number += 1
        chosen = f"{name}-{number}"
    return chosen


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON has it: dataclasses are dicts, and what is unknown is its type's name."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if -1e300 < value < 1e300 else None
    if depth >= _DEEPEST:
        return type(value).__name__
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: plain(getattr(value, item.name), depth + 1)
            for item in fields(value)
            if item.repr
        }
    if isinstance(value, Mapping):
        return {str(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each, depth + 1) for each in value]
    return type(value).__name__


class Sources:
    """What is looked at, by name. Nothing is kept alive for it; what is gone is left out."""

    def __init__(self) -> None:
        self._things: dict[str, Callable[[], Any]] = {}

    def add(self, thing: Any, name: str | None = None) -> str:
        """Look at it from now on; returns its name, with a number where that is taken."""
        thing = itself(thing)
        if not callable(getattr(thing, "stats", None)):
            raise InvalidArgumentError(
                f"a {type(thing).__name__} has no stats()",
                argument="watch",
                allowed="clients, caches, storages, fallback(…), spread(…)",
            )
        for known in [known for known, get in self._things.items() if get() is None]:
            del self._things[known]
        for known, get in self._things.items():
            if get() is thing:
                return known
        if len(self._things) >= _MOST:
            raise InvalidArgumentError(f"more than {_MOST} are watched", argument="watch")
        chosen = unused(name or name_of(thing), self._things)
        try:
            self._things[chosen] = weakref.ref(thing)
        except TypeError:  # it has slots
            self._things[chosen] = lambda: thing
        return chosen

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name, get in list(self._things.items()):
            thing = get()
            if thing is not None:
                yield name, thing

    def look(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Connections of the clients by name, and the statistics of caches by name."""
        pools: dict[str, Any] = {}
        caches: dict[str, Any] = {}
        seen: set[int] = set()
        storages: list[Any] = []
        for name, thing in self:
            self._look(name, thing, pools, caches, storages, seen, 0)
        return pools, caches

    def _look(
        self,
        name: str,
        thing: Any,
        pools: dict[str, Any],
        caches: dict[str, Any],
        storages: list[Any],
        seen: set[int],
        depth: int,
    ) -> None:
        if id(thing) in seen or depth >= _DEEPEST:
            return
        seen.add(id(thing))
        members = members_of(thing)
        for member, engine in list(members.items())[:_MOST]:
            engine = itself(engine)
            if callable(getattr(engine, "stats", None)):
                self._look(f"{name}/{member}", engine, pools, caches, storages, seen, depth + 1)
        try:
            stats = thing.stats()
        except Exception as error:  # noqa: BLE001 - a look must not break the snapshot
            _log.warning("stats() of %s failed: %s", name, type(error).__name__)
            return
        if hasattr(stats, "leased") and hasattr(stats, "open"):
            said = plain(stats)
            # Clients that share a transport see the same connections, which count once.
            transport = getattr(thing, "transport", thing)
            said["shared"] = transport is not thing and id(transport) in seen
            seen.add(id(transport))
            pools[name] = said
        elif is_dataclass(stats):
            said = plain(stats)
            kept = storage_of(thing)
            said["shared"] = any(each is kept for each in storages)
            storages.append(kept)
            caches[name] = said


def bytes_of(caches: Mapping[str, Any]) -> int:
    """What caches hold in all; a storage that several share counts once."""
    return sum(_size(said) for said in caches.values() if not said.get("shared"))


def _size(said: Mapping[str, Any]) -> int:
    size = said.get("size")
    if isinstance(size, int):
        return size
    storage = said.get("storage")
    return _size(storage) if isinstance(storage, Mapping) else 0
