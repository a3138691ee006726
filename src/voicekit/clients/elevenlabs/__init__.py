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
from voicekit.lazy import loader

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.catalogue import Model, Subscription, User, Voice

else:
    # What an account has is read by few; its classes are made for those.
    __getattr__ = loader(
        __name__, dict.fromkeys(("Model", "Subscription", "User", "Voice"), ".catalogue")
    )


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
