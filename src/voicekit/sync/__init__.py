"""The same clients, blocking: for scripts, threads and notebooks.

One event loop in a background thread serves every blocking client of the process, so that
all threads share their warm connections. Names, parameters, defaults and results are those
of ``voicekit``; what is awaited there blocks here, and ``aclose`` is ``close``. Callables
that return a key, and iterables of text, may block as well: they run in threads of their own.
"""

from voicekit.sync.agentforce import AgentforceClient
from voicekit.sync.client import Transport
from voicekit.sync.deepgram import DeepgramClient
from voicekit.sync.elevenlabs import ElevenLabsClient
from voicekit.sync.openai import AzureOpenAIClient, OpenAIClient
from voicekit.sync.twilio import TwilioClient

__all__ = [
    "AgentforceClient",
    "AzureOpenAIClient",
    "DeepgramClient",
    "ElevenLabsClient",
    "OpenAIClient",
    "Transport",
    "TwilioClient",
]
