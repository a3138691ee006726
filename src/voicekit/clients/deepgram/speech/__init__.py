"""Deepgram's speech: whole texts over HTTP, text in pieces over reusable sockets.

``family.py`` is the client's part, ``options.py`` and ``config.py`` what it can be asked,
``formats.py`` the audio, ``utterance.py`` the live handle, ``sockets.py`` a pooled socket,
``messages.py`` its grammar, ``flushes.py`` the limit on flushes, ``errors.py`` what goes wrong.
"""

from voicekit.clients.deepgram.speech.config import SpeechRequest, SpeechSettings
from voicekit.clients.deepgram.speech.family import Speech
from voicekit.clients.deepgram.speech.options import SpeechDefaults, SpeechOptions
from voicekit.clients.deepgram.speech.pending import PendingSpeech
from voicekit.clients.deepgram.speech.utterance import FedUtterance, Utterance

__all__ = [
    "FedUtterance",
    "PendingSpeech",
    "Speech",
    "SpeechDefaults",
    "SpeechOptions",
    "SpeechRequest",
    "SpeechSettings",
    "Utterance",
]
