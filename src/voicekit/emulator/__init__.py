"""A wire-level stand-in for the speech providers: no key, no network, no bill.

Point voicekit or a vendor's own SDK at it and assert on what the server saw:

    async with Emulator(tls=True, link=Link(rtt=0.040)) as world:
        client = AsyncOpenAI(**world.sdk("openai"))
        ...
        assert len(world.journal.new_connections("openai")) == 1
"""

from voicekit.emulator.endpoints import API_KEY, Endpoint
from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.faults import Fault
from voicekit.emulator.journal import (
    ConnectionRecord,
    DeliveryRecord,
    FrameRecord,
    Journal,
    RequestRecord,
    WebhookRecord,
)
from voicekit.emulator.link import Link
from voicekit.emulator.process import EmulatorProcess
from voicekit.emulator.providers.agentforce_journal import (
    AgentMessageRecord,
    AgentSessionRecord,
    agent_messages,
    agent_sessions,
)
from voicekit.emulator.providers.agentforce_turn import AgentFraming, AgentTurn
from voicekit.emulator.providers.twilio_inbound import Attachment, CalledBack
from voicekit.emulator.scenario import SCENARIOS, Reply, Scenario, ToolCall
from voicekit.emulator.server import Emulator
from voicekit.emulator.voice_notes import voice_note

__all__ = [
    "API_KEY",
    "SCENARIOS",
    "AgentFraming",
    "AgentMessageRecord",
    "AgentSessionRecord",
    "AgentTurn",
    "Attachment",
    "CalledBack",
    "ConnectionRecord",
    "DeliveryRecord",
    "Emulator",
    "EmulatorError",
    "EmulatorProcess",
    "Endpoint",
    "Fault",
    "FrameRecord",
    "Journal",
    "Link",
    "Reply",
    "RequestRecord",
    "Scenario",
    "ToolCall",
    "WebhookRecord",
    "agent_messages",
    "agent_sessions",
    "voice_note",
]
