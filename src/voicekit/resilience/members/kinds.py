"""What members have in common: which of the interfaces all of them implement."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from voicekit.errors import InvalidArgumentError
from voicekit.interfaces import ChatModel, Synthesizer, Transcriber


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """An interface.

    Attributes:
        interface: Says only which methods there are.
        subject: The first argument of its ``request``.
        way: The method by which a client of several roles takes this one.
    """

    name: str
    interface: Any
    subject: str
    way: str | None


KINDS: Final = (
    Kind(name="Synthesizer", interface=Synthesizer, subject="text", way="as_synthesizer"),
    Kind(name="Transcriber", interface=Transcriber, subject="audio", way="as_transcriber"),
    Kind(name="ChatModel", interface=ChatModel, subject="messages", way=None),
)


def common_kind(engines: Sequence[Any], names: Sequence[str], *, wrapper: str) -> Kind:
    """The interface that all of them implement."""
    if len(engines) < 2:
        raise InvalidArgumentError(f"got {len(engines)}", argument="members", allowed="two or more")
    if len({id(engine) for engine in engines}) < len(engines):
        raise InvalidArgumentError(
            f"{wrapper} has one of them twice", argument="members", allowed="each once"
        )
    kinds = [_kinds_of(engine) for engine in engines]
    ways = []
    for kind in KINDS:
        others = [
            (engine, name)
            for engine, name, own in zip(engines, names, kinds, strict=True)
            if kind not in own
        ]
        if not others:
            return kind
        way = kind.way
        if way is not None and all(callable(getattr(engine, way, None)) for engine, _ in others):
            calls = ", ".join(f"{name}.{way}()" for _, name in others)
            ways.append(f"{kind.name}s, by way of {calls}")
    what = [" and ".join(f"a {kind.name}" for kind in own) or "none of them" for own in kinds]
    told = "; ".join(f"{name} is {each}" for name, each in zip(names, what, strict=True))
    raise InvalidArgumentError(
        f"are of no common interface: {told}",
        argument="members",
        allowed=" or ".join(ways) if ways else "all of them Synthesizer, Transcriber or ChatModel",
    )


def _kinds_of(engine: Any) -> tuple[Kind, ...]:
    """A client of several roles has the methods of all; its ``request`` is of the main one."""
    if isinstance(engine, type):
        return ()
    found = tuple(kind for kind in KINDS if isinstance(engine, kind.interface))
    if len(found) < 2:
        return found
    try:
        subject = next(iter(inspect.signature(engine.request).parameters), "")
    except (TypeError, ValueError):
        return found
    return tuple(kind for kind in found if kind.subject == subject) or found


def names_of(engines: Sequence[Any], given: Sequence[str] | None) -> tuple[str, ...]:
    """A name for each: the given ones, else its provider's; numbered where they are equal."""
    if given is not None:
        fine = not isinstance(given, str) and all(isinstance(n, str) and n for n in given)
        if not fine or len(given) != len(engines) or len(set(given)) != len(given):
            raise InvalidArgumentError(
                "are not one for each", argument="names", allowed=f"{len(engines)} different names"
            )
        return tuple(given)
    plain = [_name_of(engine) for engine in engines]
    return tuple(
        f"{name}-{plain[: index + 1].count(name)}" if plain.count(name) > 1 else name
        for index, name in enumerate(plain)
    )


def _name_of(engine: Any) -> str:
    provider = getattr(engine, "provider", None)
    if isinstance(provider, str) and provider:
        return provider
    return type(engine).__name__.removesuffix("Role").removesuffix("Client").lower()
