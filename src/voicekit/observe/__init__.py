"""Readers of the events: what happened, for people and for other systems."""

from voicekit.observe.log import LogObserver

__all__ = ["LogObserver"]
