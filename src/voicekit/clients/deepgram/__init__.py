"""Deepgram: transcription of recordings and live, speech, and access tokens.

``client.py`` is what users hold, made of parts: ``files.py`` for recordings, ``live.py`` for
live transcription, the package ``speech``, ``tokens.py``. ``options.py`` and
``file_options.py`` are the options, ``config.py`` and ``file_config.py`` the requests they
merge into, ``sessions.py`` the live handle, ``reconnecting.py`` its sockets one after another with
``replay.py``, ``finals.py`` and ``outages.py``, ``protocol.py``, ``results.py`` and
``file_results.py`` the wire grammar, ``pulse.py`` the signs of life, ``errors.py`` the table
of refusals and close codes.
"""

from voicekit.clients.deepgram.client import DeepgramClient
from voicekit.clients.deepgram.config import REGIONS, ListenOptions, ListenRequest
from voicekit.clients.deepgram.file_config import TranscriptionRequest
from voicekit.clients.deepgram.file_options import TranscriptionOptions
from voicekit.clients.deepgram.protocol import ListenEvent
from voicekit.clients.deepgram.sessions import TranscriptionSession
from voicekit.clients.deepgram.speech import (
    FedUtterance,
    PendingSpeech,
    SpeechOptions,
    SpeechRequest,
    Utterance,
)
from voicekit.clients.deepgram.tokens import AccessToken

__all__ = [
    "REGIONS",
    "AccessToken",
    "DeepgramClient",
    "FedUtterance",
    "ListenEvent",
    "ListenOptions",
    "ListenRequest",
    "PendingSpeech",
    "SpeechOptions",
    "SpeechRequest",
    "TranscriptionOptions",
    "TranscriptionRequest",
    "TranscriptionSession",
    "Utterance",
]
