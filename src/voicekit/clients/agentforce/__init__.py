"""Salesforce Agentforce: conversations with the agents of an org, over its Agent API.

``client.py`` is what users hold; ``conversing.py`` what sessions ask of it. A session
(``sessions.py``) has one turn at a time (``turns.py``) and two policies of its own
(``resending.py``); ``opening.py`` starts it. ``tokens.py`` has the access token.
On the wire, sans-IO: ``grant.py`` (the token), ``protocol.py`` (requests), ``turn.py`` (what an
agent says), ``variables.py``; ``errors.py`` is the table of refusals.
"""

from voicekit.clients.agentforce.client import AgentforceClient, ClientOptions
from voicekit.clients.agentforce.config import MessageRequest, SessionRequest
from voicekit.clients.agentforce.errors import (
    SessionBusyError,
    SessionLostError,
    TurnFailedError,
)
from voicekit.clients.agentforce.opening import OpeningSession
from voicekit.clients.agentforce.options import (
    MessageDefaults,
    MessageOptions,
    SessionDefaults,
    SessionOptions,
)
from voicekit.clients.agentforce.service import ServiceStatus
from voicekit.clients.agentforce.sessions import AgentforceSession
from voicekit.clients.agentforce.variables import Variable

__all__ = [
    "AgentforceClient",
    "AgentforceSession",
    "ClientOptions",
    "MessageDefaults",
    "MessageOptions",
    "MessageRequest",
    "OpeningSession",
    "ServiceStatus",
    "SessionBusyError",
    "SessionDefaults",
    "SessionLostError",
    "SessionOptions",
    "SessionRequest",
    "TurnFailedError",
    "Variable",
]
