"""An answer as it is kept: words, and who said them. Plain JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

_VERSION: Final = 1
"""What an older or a newer version wrote is a miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an entry holds: nothing of who asked, and nothing that refers to his request.

    Attributes:
        text: The answer.
        model: The model that gave it, as the provider names it.
        service_tier: Which of the provider's tiers did.
        member: Who gave it, of several.
    """

    text: str = field(repr=False)
    model: str | None = None
    service_tier: str | None = None
    member: str | None = None


def encoded(kept: Kept) -> bytes:
    """``kept`` as bytes."""
    held: dict[str, Any] = {"v": _VERSION, "text": kept.text}
    for name in ("model", "service_tier", "member"):
        value = getattr(kept, name)
        if value is not None:
            held[name] = value
    return json.dumps(held, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def decoded(data: bytes) -> Kept | None:
    """What ``encoded`` made; None for anything else, whatever it is."""
    try:
        held = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(held, dict) or held.get("v") != _VERSION:
        return None
    text = held.get("text")
    facts = {name: held.get(name) for name in ("model", "service_tier", "member")}
    if not isinstance(text, str) or not text:
        return None
    if any(not isinstance(value, str | None) for value in facts.values()):
        return None
    return Kept(text=text, **facts)
