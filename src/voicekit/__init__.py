"""voicekit: latency-optimized speech clients.

Every name here is loaded on first use, so that ``import voicekit`` is free: no HTTP
library is imported before a client needs it.
"""

# ruff: noqa: F401 - type checkers read the imports, the table serves at run time, a test compares

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicekit.clients.deepgram import DeepgramClient
    from voicekit.clients.elevenlabs import ElevenLabsClient, VoiceSettings
    from voicekit.clients.openai import OpenAIClient
    from voicekit.deadlines import deadline
    from voicekit.errors import (
        AuthenticationError,
        CircuitOpenError,
        ClosedError,
        ConfigurationError,
        ConnectError,
        ConnectionLostError,
        ConnectTimeout,
        DeadlineError,
        FirstOutputTimeout,
        GapTimeout,
        InvalidArgumentError,
        InvalidRequestError,
        LocalProtocolError,
        MissingCredentialError,
        OutcomeUnknownError,
        OverloadedError,
        PoolTimeout,
        ProviderError,
        QuotaError,
        RateLimitError,
        RejectedError,
        RemoteProtocolError,
        StreamInterruptedError,
        TotalTimeout,
        TransportError,
        UnavailableError,
        VoicekitError,
        WrongLoopError,
    )
    from voicekit.events import Event, Observer
    from voicekit.interfaces import ChatModel, SpeechSessions, Synthesizer, Transcriber
    from voicekit.operation import Limits
    from voicekit.speech import (
        AudioChunk,
        AudioClip,
        AudioFormat,
        ChatResult,
        ToolCall,
        Transcript,
        TranscriptionResult,
        Usage,
        Word,
    )
    from voicekit.timing import ConnectionInfo, Timings
    from voicekit.transport.config import PoolConfig, PoolStats, WarmReport
    from voicekit.transport.transport import Transport

__version__ = "0.1.0"

_NAMES = {
    "voicekit.clients.deepgram": ("DeepgramClient",),
    "voicekit.clients.elevenlabs": ("ElevenLabsClient", "VoiceSettings"),
    "voicekit.clients.openai": ("OpenAIClient",),
    "voicekit.deadlines": ("deadline",),
    "voicekit.errors": (
        "AuthenticationError", "CircuitOpenError", "ClosedError", "ConfigurationError",
        "ConnectError", "ConnectTimeout", "ConnectionLostError", "DeadlineError",
        "FirstOutputTimeout", "GapTimeout", "InvalidArgumentError", "InvalidRequestError",
        "LocalProtocolError", "MissingCredentialError", "OutcomeUnknownError", "OverloadedError",
        "PoolTimeout", "ProviderError", "QuotaError", "RateLimitError", "RejectedError",
        "RemoteProtocolError", "StreamInterruptedError", "TotalTimeout", "TransportError",
        "UnavailableError", "VoicekitError", "WrongLoopError",
    ),
    "voicekit.events": ("Event", "Observer"),
    "voicekit.interfaces": ("ChatModel", "SpeechSessions", "Synthesizer", "Transcriber"),
    "voicekit.operation": ("Limits",),
    "voicekit.speech": (
        "AudioChunk", "AudioClip", "AudioFormat", "ChatResult", "ToolCall", "Transcript",
        "TranscriptionResult", "Usage", "Word",
    ),
    "voicekit.timing": ("ConnectionInfo", "Timings"),
    "voicekit.transport.config": ("PoolConfig", "PoolStats", "WarmReport"),
    "voicekit.transport.transport": ("Transport",),
}  # fmt: skip
_WHERE = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted([*_WHERE, "__version__"])  # noqa: PLE0605 - one table, not typed twice


def __getattr__(name: str) -> Any:
    module = _WHERE.get(name)
    if module is None:
        msg = f"module 'voicekit' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
