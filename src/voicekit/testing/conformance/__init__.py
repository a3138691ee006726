"""Checks for your own engines: what voicekit promises of its own, asked of yours.

Each check is an async function that raises ``AssertionError`` with the promise that was
broken. They need no test framework; with pytest and anyio::

    @pytest.mark.anyio
    @pytest.mark.parametrize("check", SYNTHESIZER_CHECKS, ids=lambda check: check.__name__)
    async def test_my_engine(check):
        await check(lambda: MyEngine(...))

A check makes what it needs by calling its argument, and closes it. The checks of engines
really use them, with a word or two; those of HTTP transports bring a server of their own
on the loopback interface, so their time is real.
"""

from voicekit.testing.conformance.chat import CHAT_MODEL_CHECKS
from voicekit.testing.conformance.http import HTTP_TRANSPORT_CORE_CHECKS
from voicekit.testing.conformance.http_warm import HTTP_TRANSPORT_WARM_CHECKS
from voicekit.testing.conformance.speech import SYNTHESIZER_CHECKS
from voicekit.testing.conformance.transcription import TRANSCRIBER_CHECKS

__all__ = [
    "CHAT_MODEL_CHECKS",
    "HTTP_TRANSPORT_CORE_CHECKS",
    "HTTP_TRANSPORT_WARM_CHECKS",
    "SYNTHESIZER_CHECKS",
    "TRANSCRIBER_CHECKS",
]
