"""OpenAI: chat completions, streamed and whole.

``client.py`` is what users hold, composed of a part per family of operations
(``chat.py``); ``account.py`` is where they are and as whom they are asked.
``options.py`` lists every option with its check and ``config.py`` merges them into a
request; ``protocol.py`` and ``stream.py`` are the wire grammar, ``likeness.py`` what makes
a stream cheap to read, ``deltas.py`` what it yields besides text, ``errors.py`` the table
of refusals.
"""

from voicekit.clients.openai.azure import AzureOpenAIClient
from voicekit.clients.openai.client import OpenAIClient
from voicekit.clients.openai.config import ChatDefaults, ChatOptions, ChatRequest
from voicekit.clients.openai.deltas import (
    AudioDelta,
    Finish,
    LogProbs,
    Moderation,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from voicekit.clients.openai.speech_options import SpeechDefaults, SpeechOptions
from voicekit.clients.openai.transcript_stream import TranscriptStream
from voicekit.clients.openai.transcription_options import (
    TranscriptionDefaults,
    TranscriptionOptions,
)
from voicekit.clients.openai.transcription_request import TranscriptionRequest
from voicekit.clients.openai_speech import SpeechRequest

__all__ = [
    "AudioDelta",
    "AzureOpenAIClient",
    "ChatDefaults",
    "ChatOptions",
    "ChatRequest",
    "Finish",
    "LogProbs",
    "Moderation",
    "OpenAIClient",
    "RefusalDelta",
    "SpeechDefaults",
    "SpeechOptions",
    "SpeechRequest",
    "TextDelta",
    "ToolCallDelta",
    "TranscriptStream",
    "TranscriptionDefaults",
    "TranscriptionOptions",
    "TranscriptionRequest",
]
