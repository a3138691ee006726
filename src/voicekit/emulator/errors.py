"""What the emulator raises of its own."""

from __future__ import annotations


class EmulatorError(RuntimeError):
    """The emulator cannot do what was asked; the message says what is missing."""
