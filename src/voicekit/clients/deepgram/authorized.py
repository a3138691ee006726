"""What every part of ``DeepgramClient`` stands on."""

from __future__ import annotations

from typing import ClassVar

from voicekit.clients.base import Client
from voicekit.clients.deepgram.errors import PROVIDER


class Authorized(Client):
    """A client with a key, or with a short-lived token in its place.

    Its parts, a family of operations each, derive from it; ``DeepgramClient`` is all of them.
    """

    provider: ClassVar[str] = PROVIDER

    _scheme: str
    """Before the credential in its header: ``Token`` for a key, ``Bearer`` for a token."""
