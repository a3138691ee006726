"""Members that failed rest, and are tried with something free before they lead again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scripted_members import Does, Voice, failing, heard

from settling import library_tasks
from voicekit.errors import (
    CircuitOpenError,
    ConnectError,
    InvalidArgumentError,
    OverloadedError,
    PoolTimeout,
    RateLimitError,
    UnavailableError,
)
from voicekit.events import MemberChosen
from voicekit.resilience.members.fallback import fallback
from voicekit.resilience.members.health import Health
from voicekit.resilience.members.spread import spread
from voicekit.resilience.members.trail import Member
from voicekit.testing import VIRTUAL, RecordingObserver

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def resting(*script: Any, **options: Any) -> tuple[Any, Voice, Voice]:
    a, b = Voice("a", *script), Voice("b")
    return fallback(a, b, clock=asyncio.get_running_loop().time, **options), a, b


async def who(tts: Any) -> str:
    return (await tts.synthesize("Hello")).member


async def test_it_rests_is_probed_and_leads_again() -> None:
    """Callers never wait for the probe, and it costs nothing."""
    seen = RecordingObserver()
    tts, a, _ = resting(failing(UnavailableError), observers=[seen])
    async with tts:
        assert await who(tts) == "b"
        assert tts.stats()[0].rests_for == pytest.approx(5.0)
        await asyncio.sleep(4.9)
        assert await who(tts) == "b"
        assert a.warmed == []
        await asyncio.sleep(10)
        assert library_tasks() == []  # no task when nobody calls
        assert await who(tts) == "b"  # who calls first has it probed
        assert library_tasks() == ["voicekit-probe-a"]
        await asyncio.sleep(0.2)
        assert (a.warmed, tts.stats()[0].state) == ([1], "trial")
        assert await who(tts) == "a"
        assert tts.stats()[0].state == "well"
    assert [e.reason for e in seen.of(MemberChosen)] == [
        *("first", "failed_over", "resting", "resting", "recovered"),
    ]
    assert a.heard == ["Hello", "Hello"]


async def test_rests_double() -> None:
    """While its probe fails, and while it fails after that; up to the longest."""
    tts, a, _ = resting(failing(UnavailableError), longest_rest=12.0)
    async with tts:
        rests = []
        await who(tts)
        a.warm_fails = failing(ConnectError)
        for _ in range(2):
            await asyncio.sleep(tts.stats()[0].rests_for)
            await who(tts)
            await asyncio.sleep(0.2)
            rests.append(tts.stats()[0].rests_for)
        assert rests == pytest.approx([9.9, 11.9])
        a.warm_fails = None
        a.then(failing(UnavailableError))
        await asyncio.sleep(12)
        await who(tts)
        await asyncio.sleep(0.2)
        assert await who(tts) == "b"
        assert tts.stats()[0].rests_for == pytest.approx(12.0)
        assert tts.stats()[0].failures == 4


@pytest.mark.parametrize("ill", [0, 1, 2])
async def test_a_wrapper_is_back_when_one_of_its_members_is(ill: int) -> None:
    """An engine may have a probe of its own, which is asked instead."""

    class Probed(Voice):
        async def probe(self) -> None:
            asked.append(self.provider)
            if len(asked) <= ill:
                raise failing(ConnectError)

    asked: list[str] = []
    inner = spread(*(Probed(name, failing(UnavailableError)) for name in "ab"))
    clock = asyncio.get_running_loop().time
    async with fallback(inner, Voice("c"), clock=clock) as tts:
        await who(tts)
        await asyncio.sleep(5)
        await who(tts)
        await asyncio.sleep(0.2)
        assert sorted(asked) == ["a", "b"]
        assert tts.stats()[0].state == ("resting" if ill == 2 else "trial")


async def test_a_probe_that_reports_failures_failed() -> None:
    """An engine may not know ``strict``."""

    class Reports(Voice):
        async def warm(self, n: int = 1, /, *, strict: bool = False) -> Any:
            return type("Report", (), {"failures": ("ConnectError",)})

    a = Reports("a", failing(UnavailableError))
    async with fallback(a, Voice("b"), clock=asyncio.get_running_loop().time) as tts:
        await who(tts)
        await asyncio.sleep(5)
        await who(tts)
        await asyncio.sleep(0.2)
        assert tts.stats()[0].state == "resting"


async def test_a_probe_that_hangs_is_given_up() -> None:
    """After 10 s, whoever's engine it is."""

    class Hangs(Voice):
        async def warm(self, n: int = 1, /, *, strict: bool = False) -> Any:
            await asyncio.sleep(3600)

    async with fallback(
        Hangs("a", failing(UnavailableError)), Voice("b"), clock=asyncio.get_running_loop().time
    ) as tts:
        await who(tts)
        await asyncio.sleep(5)
        await who(tts)
        await asyncio.sleep(10.1)
        assert (tts.stats()[0].state, library_tasks()) == ("resting", [])


async def test_closing_ends_a_probe() -> None:
    """It is owned, and awaited."""
    tts, _, _ = resting(failing(UnavailableError))
    async with tts:
        await who(tts)
        await asyncio.sleep(5)
        await who(tts)
        assert library_tasks() == ["voicekit-probe-a"]
    assert library_tasks() == []


async def test_a_breaker_says_when_it_wants_to_be_tried() -> None:
    """``retry_after`` of an open circuit is the rest; of a rate limit, the least of it."""
    for error, rest in (
        (failing(CircuitOpenError, retry_after=2.0), 2.0),
        (failing(CircuitOpenError), 5.0),
        (failing(RateLimitError, retry_after=2.0), 5.0),
        (failing(RateLimitError, retry_after=20.0), 20.0),
        (failing(RateLimitError, retry_after=3600.0), 60.0),
    ):
        tts, _, _ = resting(error)
        async with tts:
            await who(tts)
            assert tts.stats()[0].rests_for == pytest.approx(rest)


@pytest.mark.parametrize("error", [OverloadedError, PoolTimeout])
async def test_busy_is_not_ill(error: Any) -> None:
    """It takes the next call."""
    tts, _, _ = resting(failing(error))
    async with tts:
        assert [await who(tts), await who(tts)] == ["b", "a"]


async def test_many_that_fail_at_once_are_one_failure() -> None:
    """And late ones say nothing of now."""
    tts, a, _ = resting(*[Does(wait=1, before=failing(UnavailableError)) for _ in range(20)])
    a.then(Does(wait=7, before=failing(UnavailableError)))
    async with tts:
        calls = [asyncio.create_task(who(tts)) for _ in range(21)]
        await asyncio.sleep(1.1)
        assert tts.stats()[0].failures == 1
        await asyncio.sleep(5)
        await who(tts)
        await asyncio.sleep(0.2)
        assert await who(tts) == "a"
        await asyncio.gather(*calls)  # the last of them fails now
        assert (tts.stats()[0].state, tts.stats()[0].failures) == ("well", 0)


async def test_on_trial_it_gets_one_call_at_a_time() -> None:
    """A probe proves little: not everybody waits for a member that is still ill."""
    tts, a, b = resting(failing(UnavailableError))
    async with tts:
        await who(tts)
        await asyncio.sleep(5)
        await who(tts)
        await asyncio.sleep(0.2)
        a.then(Does(wait=3, before=failing(UnavailableError)))
        members = await asyncio.gather(*(who(tts) for _ in range(10)))
        assert members == ["b"] * 10
        assert (len(a.heard), len(b.heard)) == (2, 12)
        assert tts.stats()[0].failures == 2


async def test_a_trial_that_was_given_up_is_no_trial() -> None:
    """Cancelled, or never opened to its first audio: the next call tries."""
    tts, a, _ = resting(failing(UnavailableError))
    async with tts:
        await who(tts)
        await asyncio.sleep(5)
        await who(tts)
        await asyncio.sleep(0.2)
        a.then(Does(wait=9))
        task = asyncio.create_task(who(tts))
        await asyncio.sleep(0.1)
        assert await who(tts) == "b"
        task.cancel()
        await asyncio.wait([task])
        session = tts.open_speech()
        async with session:
            assert session.member == "a"
            assert await who(tts) == "b"
        assert tts.stats()[0].state == "trial"
        async with tts.stream_speech("Hello") as speech:
            await heard(speech)
        assert tts.stats()[0].state == "well"


def test_a_place_that_nobody_holds_ends_a_trial() -> None:
    """A handle that was dropped must not keep the member out."""
    health = Health(5.0, 60.0)
    health.failed(0.0, health.epoch, wait=None, exactly=False)
    assert health.due(5.0)
    assert not health.due(5.0)
    health.probed(5.1, fine=True)
    member = Member(None, 0, "a")
    place = member.place()
    health.asked(place)
    assert not health.leads
    del place
    assert health.leads


@pytest.mark.parametrize("name", ["probe_after", "longest_rest"])
async def test_rests_are_numbers(name: str) -> None:
    """Bad arguments fail at once."""
    with pytest.raises(InvalidArgumentError, match=name):
        fallback(Voice("a"), Voice("b"), **{name: -1})
