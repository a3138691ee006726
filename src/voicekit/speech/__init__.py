"""Values that users hold: formats, audio, transcripts, chat answers.

Frozen, comparable and picklable; none of them does network I/O or knows a provider.
What a vendor sent beside the named fields is in ``raw`` and ``headers``; neither
takes part in equality or shows in a repr. A repr never shows what was said: values end
up in logs, and ``.text`` is there for whoever wants to see it.

Each is loaded when it is first asked for: a voice needs no transcripts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.lazy import loader

if TYPE_CHECKING:
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
    )
    from voicekit.speech.usage import Usage
    from voicekit.speech.word import Word

else:
    _WHERE = {
        "AgentAnswer": ".agent",
        "AgentProgress": ".agent",
        "AgentRetraction": ".agent",
        "AudioChunk": ".chunk",
        "AudioClip": ".clip",
        "AudioFormat": ".audio_format",
        "AudioSource": ".audio_source",
        "AudioURL": ".audio_source",
        "Channel": ".transcript",
        "Character": ".character",
        "ChatResult": ".chat",
        "Encoding": ".audio_format",
        "Paragraph": ".transcript",
        "PendingTranscript": ".transcript",
        "RateLimit": ".rate_limits",
        "RateLimits": ".rate_limits",
        "SpeechStarted": ".transcript",
        "ToolCall": ".chat",
        "Transcript": ".transcript",
        "TranscriptionGap": ".transcript",
        "TranscriptionResult": ".transcript",
        "Usage": ".usage",
        "Utterance": ".transcript",
        "UtteranceEnd": ".transcript",
        "Word": ".word",
    }
    __getattr__ = loader(__name__, _WHERE)


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
