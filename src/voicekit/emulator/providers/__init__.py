"""The emulated providers, one module each, found by name and imported when asked for."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from voicekit.emulator.providers.base import Provider

PROVIDERS: dict[str, tuple[str, str]] = {
    "elevenlabs": ("voicekit.emulator.providers.elevenlabs", "ElevenLabs"),
    "deepgram": ("voicekit.emulator.providers.deepgram", "Deepgram"),
    "openai": ("voicekit.emulator.providers.openai", "OpenAI"),
    "agentforce": ("voicekit.emulator.providers.agentforce", "Agentforce"),
    "twilio": ("voicekit.emulator.providers.twilio", "Twilio"),
}
"""Provider name to the module and class that serve it."""

COMPANIONS: dict[str, dict[str, tuple[str, str]]] = {
    "twilio": {
        "twilio_media": ("voicekit.emulator.providers.twilio_media", "TwilioMedia"),
    },
}
"""Hosts of a provider that clients are led to: each has a port, none is asked for by name."""

_MODULES = {name: found for hosts in COMPANIONS.values() for name, found in hosts.items()}


def with_companions(names: Iterable[str]) -> list[str]:
    """Return the providers of these names and, after them all, the hosts that they lead to."""
    asked = list(names)
    return asked + [host for name in asked for host in COMPANIONS.get(name, ())]


def load(name: str) -> type[Provider]:
    """Import the class of a provider, or of a host that one leads to."""
    module, attribute = _MODULES.get(name) or PROVIDERS[name]
    found: type[Provider] = getattr(import_module(module), attribute)
    return found
