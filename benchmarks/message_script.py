"""The agent's script of ``message``; a module of its own, because it travels to the emulator."""

from __future__ import annotations

from dataclasses import replace

from voicekit.emulator.scenario import SCENARIOS, Scenario

PROVIDERS = ("twilio", "deepgram", "agentforce", "elevenlabs")
COMMON = "What are your opening hours"
"""The question that was asked before."""


def reply(said: str) -> str:
    """An answer of its own for each question, so that nothing is in a cache by chance."""
    return f"You asked: {said.strip(' .?!')}. We are open from nine to six."


def whatsapp() -> Scenario:
    """The named scenario, its seconds as they are, with these answers."""
    return replace(SCENARIOS["whatsapp"], agent_replies=reply)
