"""The emulated providers, one module each, found by name and imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicekit.emulator.providers.base import Provider

__all__ = ["PROVIDERS", "load"]

PROVIDERS: dict[str, tuple[str, str]] = {
    "elevenlabs": ("voicekit.emulator.providers.elevenlabs", "ElevenLabs"),
    "deepgram": ("voicekit.emulator.providers.deepgram", "Deepgram"),
    "openai": ("voicekit.emulator.providers.openai", "OpenAI"),
    "agentforce": ("voicekit.emulator.providers.agentforce", "Agentforce"),
}
"""Provider name to the module and class that serve it."""


def load(name: str) -> type[Provider]:
    """Import a provider's class.

    Raises:
        ValueError: Nobody of that name is emulated.
    """
    try:
        module, attribute = PROVIDERS[name]
    except KeyError:
        known = ", ".join(sorted(PROVIDERS))
        raise ValueError(f"unknown provider {name!r}; one of {known}") from None
    found: type[Provider] = getattr(import_module(module), attribute)
    return found
