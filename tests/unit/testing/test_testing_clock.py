"""Virtual time: it jumps, in order, for what voicekit waits for; and waits for threads."""

from __future__ import annotations

import asyncio
import time

import pytest

from voicekit import OpenAIClient
from voicekit.errors import FirstOutputTimeout, GapTimeout, StreamInterruptedError, TotalTimeout
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES
from voicekit.testing import Answer, ScriptedTransport, VirtualLoop, virtual_time
from voicekit.transport.transport import Transport

MESSAGES = [{"role": "user", "content": "Hi"}]
EVENTS = {"Content-Type": "text/event-stream"}
HELLO = b'data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


async def ask(*delays: float, limits: Limits) -> str:
    http = ScriptedTransport([Answer(headers=EVENTS, chunks=[HELLO, DONE], delays=delays)])
    async with (
        Transport(http=http) as transport,
        OpenAIClient(model="m", api_key="k", transport=transport, policies=NO_POLICIES) as llm,
        llm.stream_chat(MESSAGES, limits=limits) as stream,
    ):
        return "".join([text async for text in stream])


@pytest.mark.parametrize(
    ("delays", "limits", "error", "after"),
    [
        ((0, 0, 100), Limits(gap=30.0), GapTimeout, 30.0),
        ((0, 100), Limits(first_output=40.0), FirstOutputTimeout, 40.0),
        ((100,), Limits(first_output=50.0), FirstOutputTimeout, 50.0),
        ((0, 7, 100), Limits(total=20.0), TotalTimeout, 27.0),
    ],
)
def test_limits_pass_at_once(
    delays: tuple[float, ...], limits: Limits, error: type[Exception], after: float
) -> None:
    """Half a minute of a limit takes milliseconds, and always as many virtual seconds."""
    for _ in range(3):
        began = time.monotonic()
        with virtual_time() as clock:
            with pytest.raises((error, StreamInterruptedError)) as caught:
                clock.run(ask(*delays, limits=limits))
            assert isinstance(caught.value, error) or isinstance(caught.value.__cause__, error)
            assert clock.now == pytest.approx(after, abs=0.1)
        assert time.monotonic() - began < 10


def test_pauses_within_the_limits_pass_too() -> None:
    """A slow answer is heard to its end."""
    with virtual_time() as clock:
        assert clock.run(ask(1, 20, 25, limits=Limits(gap=30.0, first_output=60.0))) == "Hello"
        assert clock.now == pytest.approx(46.0)


def test_everybody_sleeps_in_order() -> None:
    """Timers fire by their time, across tasks."""
    seen = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((seconds, asyncio.get_running_loop().time()))

    async def main() -> None:
        await asyncio.gather(*(sleeper(s) for s in (3600.0, 5.0, 60.0)))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    assert seen == [(5.0, 1005.0), (60.0, 1060.0), (3600.0, 4600.0)]


def test_time_rests_while_a_thread_works() -> None:
    """A timer does not pass a thread that is still at it."""

    async def main() -> str:
        async with asyncio.timeout(5):
            await asyncio.to_thread(time.sleep, 0.05)
        return "done"

    with virtual_time() as clock:
        assert clock.run(main()) == "done"
        assert clock.now == 0.0


def test_waiting_for_ever_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadlock fails instead of hanging."""
    monkeypatch.setattr("voicekit.testing.clock._GRACE", 0.01)

    async def main() -> None:
        await asyncio.Event().wait()

    with virtual_time() as clock, pytest.raises(RuntimeError, match="never end"):
        clock.run(main())
