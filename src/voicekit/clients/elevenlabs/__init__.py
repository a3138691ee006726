"""ElevenLabs: text to speech, over HTTP and over sockets that stay open; speech to text."""

from voicekit.clients.elevenlabs.client import ElevenLabsClient
from voicekit.clients.elevenlabs.concurrency import Concurrency
from voicekit.clients.elevenlabs.config import SpeechRequest
from voicekit.clients.elevenlabs.fed import FedUtterance
from voicekit.clients.elevenlabs.options import SpeechOptions
from voicekit.clients.elevenlabs.sessions import Utterance
from voicekit.clients.elevenlabs.transcription_config import TranscriptionRequest
from voicekit.clients.elevenlabs.transcription_options import TranscriptionOptions
from voicekit.clients.elevenlabs.voice_settings import VoiceSettings

__all__ = [
    "Concurrency",
    "ElevenLabsClient",
    "FedUtterance",
    "SpeechOptions",
    "SpeechRequest",
    "TranscriptionOptions",
    "TranscriptionRequest",
    "Utterance",
    "VoiceSettings",
]
