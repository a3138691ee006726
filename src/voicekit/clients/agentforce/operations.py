"""What is done at Agentforce, in which class, within which limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from voicekit.clients.agentforce.errors import PROVIDER
from voicekit.clients.agentforce.tokens import TOKEN
from voicekit.operation import Limits, Operation, OperationClass

OPEN_SESSION: Final = Operation(
    provider=PROVIDER,
    name="open_session",
    kind=OperationClass.COMPUTE,  # a lost answer leaks an idle session
    limits=Limits(connect=2.0, first_output=10.0, total=15.0),
    repeats=1,
)
SEND: Final = Operation(
    provider=PROVIDER,
    name="send",
    kind=OperationClass.EFFECT,
    # The server gives up a turn after 120 s. Source: sheet §12.
    limits=Limits(connect=2.0, first_output=60.0, gap=20.0, total=125.0),
    reconcile=(
        "the API shows no turn afterwards; ask the agent in the same session whether it was "
        "done, or look at what it should have changed"
    ),
)
STREAM_MESSAGE: Final = replace(SEND, name="stream_message")
END_SESSION: Final = Operation(
    provider=PROVIDER,
    name="end_session",
    kind=OperationClass.IDEMPOTENT,
    limits=Limits(connect=2.0, first_output=3.0, total=3.0),
    repeats=1,
)
FEEDBACK: Final = replace(END_SESSION, name="feedback")
STATUS: Final = Operation(
    provider=PROVIDER,
    name="status",
    kind=OperationClass.PURE,
    limits=Limits(connect=1.0, first_output=2.0, total=2.0),
    repeats=1,
)

ALL: Final = (TOKEN, OPEN_SESSION, SEND, STREAM_MESSAGE, END_SESSION, FEEDBACK, STATUS)
