"""Values that users hold: formats, audio, transcripts, chat answers.

Frozen, comparable and picklable; none of them does network I/O or knows a provider.
What a vendor sent beside the named fields is in ``raw`` and ``headers``; neither
takes part in equality or shows in a repr. A repr never shows what was said: values end
up in logs, and ``.text`` is there for whoever wants to see it.
"""

from voicekit.speech.agent import AgentAnswer, AgentProgress, AgentRetraction
from voicekit.speech.audio_format import AudioFormat, Encoding
from voicekit.speech.audio_source import AudioSource, AudioURL
from voicekit.speech.character import Character
from voicekit.speech.chat import ChatResult, ToolCall
from voicekit.speech.chunk import AudioChunk
from voicekit.speech.clip import AudioClip
from voicekit.speech.rate_limits import RateLimit, RateLimits
from voicekit.speech.transcript import (
    Channel,
    Paragraph,
    PendingTranscript,
    SpeechStarted,
    Transcript,
    TranscriptionGap,
    TranscriptionResult,
    Utterance,
    UtteranceEnd,
    Word,
)
from voicekit.speech.usage import Usage

__all__ = [
    "AgentAnswer",
    "AgentProgress",
    "AgentRetraction",
    "AudioChunk",
    "AudioClip",
    "AudioFormat",
    "AudioSource",
    "AudioURL",
    "Channel",
    "Character",
    "ChatResult",
    "Encoding",
    "Paragraph",
    "PendingTranscript",
    "RateLimit",
    "RateLimits",
    "SpeechStarted",
    "ToolCall",
    "Transcript",
    "TranscriptionGap",
    "TranscriptionResult",
    "Usage",
    "Utterance",
    "UtteranceEnd",
    "Word",
]
