"""Scripted answers; a module of their own, because they travel to the emulator's process."""

from __future__ import annotations

from dataclasses import replace

from voicekit.emulator.scenario import SCENARIOS, Reply, Scenario

FIFTY = Reply(text="word " * 50, pieces=("word ",) * 50)
"""An answer in fifty chunks."""


def fifty_chunks() -> Scenario:
    """No latency, and an answer of fifty deltas, each its own event."""
    return replace(SCENARIOS["instant"], replies=FIFTY)
