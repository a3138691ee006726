"""voicekit: latency-optimized speech clients.

Every name here is loaded on first use, so that ``import voicekit`` is free: no HTTP
library is imported before a client needs it.
"""

# ruff: noqa: I001 - type checkers read the imports ("as" marks what is public), the table serves at
# run time, a test compares them

from __future__ import annotations

from voicekit.lazy import loader

TYPE_CHECKING = False  # type checkers know it by name; importing typing takes longer than the rest

if TYPE_CHECKING:
    from voicekit.cache.memory import MemoryStorage as MemoryStorage
    from voicekit.cache.response import ResponseCache as ResponseCache
    from voicekit.cache.sessions import SessionStore as SessionStore
    from voicekit.cache.speech import SpeechCache as SpeechCache
    from voicekit.cache.storage import Storage as Storage
    from voicekit.clients.agentforce import AgentforceClient as AgentforceClient
    from voicekit.clients.deepgram import DeepgramClient as DeepgramClient
    from voicekit.clients.elevenlabs import (
        ElevenLabsClient as ElevenLabsClient,
        VoiceSettings as VoiceSettings,
    )
    from voicekit.clients.openai import (
        AzureOpenAIClient as AzureOpenAIClient,
        OpenAIClient as OpenAIClient,
    )
    from voicekit.clients.twilio import (
        InboundMessage as InboundMessage,
        MessageStatus as MessageStatus,
        Once as Once,
        PartlySentError as PartlySentError,
        TemplateRequiredError as TemplateRequiredError,
        TwilioClient as TwilioClient,
        UnsubscribedError as UnsubscribedError,
    )
    from voicekit.deadlines import deadline as deadline
    from voicekit.errors import (
        AuthenticationError as AuthenticationError,
        CircuitOpenError as CircuitOpenError,
        ClosedError as ClosedError,
        ConfigurationError as ConfigurationError,
        ConnectError as ConnectError,
        ConnectionLostError as ConnectionLostError,
        ConnectTimeout as ConnectTimeout,
        DeadlineError as DeadlineError,
        FirstOutputTimeout as FirstOutputTimeout,
        GapTimeout as GapTimeout,
        InvalidArgumentError as InvalidArgumentError,
        InvalidRequestError as InvalidRequestError,
        LocalProtocolError as LocalProtocolError,
        MissingCredentialError as MissingCredentialError,
        OutcomeUnknownError as OutcomeUnknownError,
        OverloadedError as OverloadedError,
        PoolTimeout as PoolTimeout,
        ProviderError as ProviderError,
        QuotaError as QuotaError,
        RateLimitError as RateLimitError,
        RejectedError as RejectedError,
        RemoteProtocolError as RemoteProtocolError,
        SignatureError as SignatureError,
        StreamInterruptedError as StreamInterruptedError,
        TotalTimeout as TotalTimeout,
        TransportError as TransportError,
        UnavailableError as UnavailableError,
        VoicekitError as VoicekitError,
        WrongLoopError as WrongLoopError,
    )
    from voicekit.events import (
        Event as Event,
        Observer as Observer,
    )
    from voicekit.interfaces import (
        Agent as Agent,
        ChatModel as ChatModel,
        SpeechSessions as SpeechSessions,
        Synthesizer as Synthesizer,
        Transcriber as Transcriber,
        TranscriptionSessions as TranscriptionSessions,
    )
    from voicekit.media import MediaHost as MediaHost
    from voicekit.observe import (
        Alerts as Alerts,
        LogObserver as LogObserver,
        Metrics as Metrics,
        health as health,
    )
    from voicekit.operation import Limits as Limits
    from voicekit.own_engine import EngineSpeech as EngineSpeech
    from voicekit.resilience import (
        NO_POLICIES as NO_POLICIES,
        Breaker as Breaker,
        Budget as Budget,
        Hedge as Hedge,
        Limit as Limit,
        Policies as Policies,
        Retry as Retry,
        fallback as fallback,
        spread as spread,
    )
    from voicekit.running import (
        background as background,
        drain as drain,
    )
    from voicekit.speech import (
        AgentAnswer as AgentAnswer,
        AgentProgress as AgentProgress,
        AgentRetraction as AgentRetraction,
        AudioChunk as AudioChunk,
        AudioClip as AudioClip,
        AudioFormat as AudioFormat,
        AudioURL as AudioURL,
        ChatResult as ChatResult,
        PendingTranscript as PendingTranscript,
        ToolCall as ToolCall,
        Transcript as Transcript,
        TranscriptionGap as TranscriptionGap,
        TranscriptionResult as TranscriptionResult,
        Usage as Usage,
        Utterance as Utterance,
        Word as Word,
    )
    from voicekit.timing import (
        ConnectionInfo as ConnectionInfo,
        Timings as Timings,
    )
    from voicekit.transport.config import (
        PoolConfig as PoolConfig,
        PoolStats as PoolStats,
        WarmReport as WarmReport,
    )
    from voicekit.transport.http_httpx import HttpxTransport as HttpxTransport
    from voicekit.transport.transport import Transport as Transport

__version__ = "0.1.0"

_NAMES = {
    "voicekit.cache.memory": ("MemoryStorage",),
    "voicekit.cache.response": ("ResponseCache",),
    "voicekit.cache.sessions": ("SessionStore",),
    "voicekit.cache.speech": ("SpeechCache",),
    "voicekit.cache.storage": ("Storage",),
    "voicekit.clients.agentforce": ("AgentforceClient",),
    "voicekit.clients.deepgram": ("DeepgramClient",),
    "voicekit.clients.elevenlabs": ("ElevenLabsClient", "VoiceSettings"),
    "voicekit.clients.openai": ("AzureOpenAIClient", "OpenAIClient"),
    "voicekit.clients.twilio": (
        "InboundMessage", "MessageStatus", "Once", "PartlySentError", "TemplateRequiredError",
        "TwilioClient", "UnsubscribedError",
    ),
    "voicekit.deadlines": ("deadline",),
    "voicekit.errors": (
        "AuthenticationError", "CircuitOpenError", "ClosedError", "ConfigurationError",
        "ConnectError", "ConnectTimeout", "ConnectionLostError", "DeadlineError",
        "FirstOutputTimeout", "GapTimeout", "InvalidArgumentError", "InvalidRequestError",
        "LocalProtocolError", "MissingCredentialError", "OutcomeUnknownError", "OverloadedError",
        "PoolTimeout", "ProviderError", "QuotaError", "RateLimitError", "RejectedError",
        "RemoteProtocolError", "SignatureError", "StreamInterruptedError", "TotalTimeout",
        "TransportError", "UnavailableError", "VoicekitError", "WrongLoopError",
    ),
    "voicekit.events": ("Event", "Observer"),
    "voicekit.interfaces": (
        "Agent", "ChatModel", "SpeechSessions", "Synthesizer", "Transcriber",
        "TranscriptionSessions",
    ),
    "voicekit.media": ("MediaHost",),
    "voicekit.observe": ("Alerts", "LogObserver", "Metrics", "health"),
    "voicekit.operation": ("Limits",),
    "voicekit.own_engine": ("EngineSpeech",),
    "voicekit.resilience": (
        "NO_POLICIES", "Breaker", "Budget", "Hedge", "Limit", "Policies", "Retry", "fallback",
        "spread",
    ),
    "voicekit.running": ("background", "drain"),
    "voicekit.speech": (
        "AgentAnswer", "AgentProgress", "AgentRetraction", "AudioChunk", "AudioClip", "AudioFormat",
        "AudioURL", "ChatResult", "PendingTranscript", "ToolCall", "Transcript", "TranscriptionGap",
        "TranscriptionResult", "Usage", "Utterance", "Word",
    ),
    "voicekit.timing": ("ConnectionInfo", "Timings"),
    "voicekit.transport.config": ("PoolConfig", "PoolStats", "WarmReport"),
    "voicekit.transport.http_httpx": ("HttpxTransport",),
    "voicekit.transport.transport": ("Transport",),
}  # fmt: skip
_WHERE = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted([*_WHERE, "__version__"])  # noqa: PLE0605 - one table, not typed twice

if not TYPE_CHECKING:  # so that a type checker still finds a typo
    __getattr__ = loader(__name__, _WHERE)


def __dir__() -> list[str]:
    return list(__all__)
