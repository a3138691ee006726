"""The handles that users hold while something flows one way: speech, or a model's words.

Each is loaded when it is first asked for: a voice needs no chat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicekit.lazy import loader

if TYPE_CHECKING:
    from voicekit.streams.agent import AgentDecoder, AgentReply
    from voicekit.streams.base import Decoder, Opened, Stream
    from voicekit.streams.speech import SpeechParts, SpeechStream
    from voicekit.streams.text import DeltaStream, TextDecoder, TextStream

else:
    _WHERE = {
        "AgentDecoder": ".agent",
        "AgentReply": ".agent",
        "Decoder": ".base",
        "DeltaStream": ".text",
        "Opened": ".base",
        "SpeechParts": ".speech",
        "SpeechStream": ".speech",
        "Stream": ".base",
        "TextDecoder": ".text",
        "TextStream": ".text",
    }
    __getattr__ = loader(__name__, _WHERE)

__all__ = [
    "AgentDecoder",
    "AgentReply",
    "Decoder",
    "DeltaStream",
    "Opened",
    "SpeechParts",
    "SpeechStream",
    "Stream",
    "TextDecoder",
    "TextStream",
]
