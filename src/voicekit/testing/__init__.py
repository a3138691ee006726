"""For your own tests: a scripted network, virtual time, an observer, checks for own engines.

Nothing here needs pytest but ``voicekit.testing.pytest``, a plugin with the fixture
``voicekit_emulator``; it is loaded by ``pytest_plugins = ["voicekit.testing.pytest"]``.
The checks are in ``voicekit.testing.conformance``.
"""

from voicekit.resilience.waiting import no_waits
from voicekit.testing.clock import VIRTUAL, VirtualClock, VirtualLoop, virtual_time
from voicekit.testing.observer import RecordingObserver
from voicekit.testing.transport import Answer, ScriptedTransport, SentRequest

__all__ = [
    "VIRTUAL",
    "Answer",
    "RecordingObserver",
    "ScriptedTransport",
    "SentRequest",
    "VirtualClock",
    "VirtualLoop",
    "no_waits",
    "virtual_time",
]
