"""Deepgram: live transcription.

``client.py`` is what users hold, ``live.py`` its part for live transcription,
``config.py`` the options and the request they merge
into, ``sessions.py`` the live handle, ``protocol.py`` and ``results.py`` the wire grammar,
``pulse.py`` the signs of life, ``errors.py`` the table of refusals and close codes.
"""

from voicekit.clients.deepgram.client import DeepgramClient
from voicekit.clients.deepgram.config import REGIONS, ListenOptions, ListenRequest
from voicekit.clients.deepgram.protocol import ListenEvent
from voicekit.clients.deepgram.sessions import TranscriptionSession

__all__ = [
    "REGIONS",
    "DeepgramClient",
    "ListenEvent",
    "ListenOptions",
    "ListenRequest",
    "TranscriptionSession",
]
