"""OpenAI, and servers of the same protocol: chat, responses, embeddings, speech, transcription.

``client.py`` is what users hold, composed of a part per family of operations; ``azure.py``
is the same with Azure's addresses. ``account.py`` is where the operations are and as whom
they are asked, ``errors.py`` the table of refusals, ``rate_limits.py`` what the headers say.

Chat: ``chat.py``, with ``options.py`` (every option and its check), ``config.py`` (merged
into a request), ``protocol.py`` and ``stream.py`` (the wire grammar), ``likeness.py`` (what
makes a stream cheap to read) and ``deltas.py`` (what it yields besides text). Responses,
embeddings, speech and transcription: files of their names, divided alike.
"""

from voicekit.clients.openai.azure import AzureOpenAIClient
from voicekit.clients.openai.client import OpenAIClient
from voicekit.clients.openai.config import ChatDefaults, ChatOptions, ChatRequest
from voicekit.clients.openai.deltas import (
    AudioDelta,
    Finish,
    LogProbs,
    Moderation,
    ReasoningDelta,
    RefusalDelta,
    ResponseEvent,
    TextDelta,
    ToolCallDelta,
)
from voicekit.clients.openai.embedding_options import (
    EmbeddingDefaults,
    EmbeddingOptions,
    EmbeddingRequest,
)
from voicekit.clients.openai.embedding_protocol import Embeddings
from voicekit.clients.openai.models import Model, ModelDefaults, ModelOptions
from voicekit.clients.openai.rate_limits import rate_limits_of
from voicekit.clients.openai.responses_config import ResponseRequest
from voicekit.clients.openai.responses_options import ResponseDefaults, ResponseOptions
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
    "EmbeddingDefaults",
    "EmbeddingOptions",
    "EmbeddingRequest",
    "Embeddings",
    "Finish",
    "LogProbs",
    "Model",
    "ModelDefaults",
    "ModelOptions",
    "Moderation",
    "OpenAIClient",
    "ReasoningDelta",
    "RefusalDelta",
    "ResponseDefaults",
    "ResponseEvent",
    "ResponseOptions",
    "ResponseRequest",
    "SpeechDefaults",
    "SpeechOptions",
    "SpeechRequest",
    "TextDelta",
    "ToolCallDelta",
    "TranscriptStream",
    "TranscriptionDefaults",
    "TranscriptionOptions",
    "TranscriptionRequest",
    "rate_limits_of",
]
