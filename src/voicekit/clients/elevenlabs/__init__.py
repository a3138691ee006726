"""ElevenLabs: text to speech, over HTTP and over sockets that stay open; speech to text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.clients.elevenlabs.account_options import VoiceFilters
from voicekit.clients.elevenlabs.client import ElevenLabsClient
from voicekit.clients.elevenlabs.concurrency import Concurrency
from voicekit.clients.elevenlabs.config import SpeechRequest
from voicekit.clients.elevenlabs.options import SpeechOptions
from voicekit.clients.elevenlabs.sessions import FedUtterance, Utterance
from voicekit.clients.elevenlabs.transcription_config import TranscriptionRequest
from voicekit.clients.elevenlabs.transcription_options import TranscriptionOptions
from voicekit.clients.elevenlabs.voice_settings import VoiceSettings

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.catalogue import Model, Subscription, User, Voice

else:

    def __getattr__(name: str) -> object:
        """What an account has is read by few; its classes are made for those."""
        if name not in {"Model", "Subscription", "User", "Voice"}:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from voicekit.clients.elevenlabs import catalogue

        return getattr(catalogue, name)


__all__ = [
    "Concurrency",
    "ElevenLabsClient",
    "FedUtterance",
    "Model",
    "SpeechOptions",
    "SpeechRequest",
    "Subscription",
    "TranscriptionOptions",
    "TranscriptionRequest",
    "User",
    "Utterance",
    "Voice",
    "VoiceFilters",
    "VoiceSettings",
]
