"""Public addresses for clips that a messaging provider fetches: signed, unguessable, expiring."""

from voicekit.media.channels import CHANNELS, Channel
from voicekit.media.host import MediaHost

__all__ = ["CHANNELS", "Channel", "MediaHost"]
