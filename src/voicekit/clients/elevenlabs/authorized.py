"""What every part of ``ElevenLabsClient`` stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voicekit.clients.base import Client
from voicekit.clients.elevenlabs.errors import PROVIDER

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.places import Places


class Authorized(Client):
    """A client with an account.

    Its parts, a family of operations each, derive from it; ``ElevenLabsClient`` is all of
    them.
    """

    provider: ClassVar[str] = PROVIDER

    _places: Places
    """What the account may do at once, as far as its answers tell; views share it."""
