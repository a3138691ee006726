"""How clients are: decided from what they saw, looked at once for all, and remembered for a day."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from voicekit import (
    ClosedError,
    InvalidArgumentError,
    UnavailableError,
    WarmReport,
    health,
    sync,
)
from voicekit.observe.availability import DAY, HOUR, Availability
from voicekit.observe.health_state import of_all, state_of
from voicekit.resilience import BreakerStats, CredentialStats, OperationHealth
from voicekit.testing.clock import VIRTUAL, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL


WELL = BreakerStats(
    state="closed", calls=20, failure_rate=0.0, slow_rate=0.0, opened=0, rejected=0, since=0.0,
    retry_in=None,
)  # fmt: skip
OPEN = replace(WELL, state="open", failure_rate=0.6, opened=1, retry_in=5.0)
UNUSED = replace(WELL, calls=0)
REFUSED = CredentialStats(
    state="open", reason="AuthenticationError 401", opened=1, rejected=0, since=0.0, retry_in=5.0
)


@dataclass
class Pool:
    ready: int = 0


@dataclass
class Seen:
    """What a client's ``health()`` says."""

    operations: Any = field(default_factory=dict)
    credential: Any = None
    pool: Any = field(default_factory=Pool)
    token: bool | None = None


def seen(credential: Any = None, ready: int = 0, **breakers: BreakerStats) -> Seen:
    operations = {name: OperationHealth(breaker=each) for name, each in breakers.items()}
    return Seen(operations=operations, credential=credential, pool=Pool(ready))


class Client:
    """Is watched; says what it is told to."""

    def __init__(self, provider: str = "elevenlabs", **said: Any) -> None:
        self.provider = provider
        self.said = seen(**said)
        self.warmed: list[float] = []
        self.takes = 0.0
        self.fails: BaseException | None = None
        self.report = WarmReport(opened=1, reused=0)

    def health(self) -> Seen:
        return self.said

    async def warm(self, n: int) -> WarmReport:
        assert n == 1
        self.warmed.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if self.fails is not None:
            raise self.fails
        return self.report


class Wrapper:
    def __init__(self, **members: Client) -> None:
        self.members = members
        self.provider = "fallback"


# -- what follows from what -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "probe", "state", "reason"),
    [
        (seen(), None, "ok", None),
        (None, None, "ok", None),
        (None, "ConnectError", "down", "probe: ConnectError"),
        (seen(say=WELL), None, "ok", None),
        (seen(say=OPEN), None, "down", "circuit open: say"),
        (seen(say=OPEN, voices=WELL), None, "degraded", "circuit open: say"),
        (seen(say=OPEN, voices=UNUSED), None, "down", "circuit open: say"),
        (seen(say=replace(OPEN, state="forced_open")), None, "down", "circuit open: say"),
        (seen(say=replace(OPEN, state="half_open")), None, "degraded", "on probation: say"),
        (seen(say=replace(OPEN, retry_in=0.0)), "", "degraded", "on probation: say"),
        (seen(say=replace(OPEN, retry_in=0.0)), "ConnectError", "down", "probe: ConnectError"),
        (seen(say=replace(OPEN, state="disabled")), None, "ok", None),
        (seen(say=replace(WELL, failure_rate=0.3)), None, "degraded", "30% of 20 calls"),
        (seen(say=replace(WELL, failure_rate=0.3, calls=4)), None, "ok", None),
        (seen(REFUSED), None, "down", "credential refused: AuthenticationError 401"),
        (seen(replace(REFUSED, retry_in=0.0)), "", "degraded", "credential refused"),
        (seen(replace(REFUSED, state="half_open")), "", "degraded", "credential refused"),
        (replace(seen(REFUSED), token=False), None, "down", "credential refused"),
        (replace(seen(REFUSED), token=True), None, "degraded", "credential refused"),
        (replace(seen(token=OPEN, send=WELL), token=False), None, "down", "circuit open: token"),
        (replace(seen(token=OPEN, send=WELL), token=True), None, "degraded", "circuit open: token"),
        (seen(say=WELL), "ConnectError", "degraded", "probe: ConnectError"),
        (seen(say=UNUSED), "ConnectError", "down", "probe: ConnectError"),
        (seen(say=UNUSED), "", "ok", None),
    ],
)
def test_the_state_of_a_client(said: Any, probe: str | None, state: str, reason: str) -> None:
    """From breakers, the credential and the probe; with the reason."""
    found, reasons = state_of(said, probe)
    assert found == state
    assert (reason in "; ".join(reasons)) if reason else not reasons


def test_the_worst_decides_unless_it_is_optional() -> None:
    """An application lives without what it does not need."""
    assert of_all([("ok", False), ("ok", True)]) == "ok"
    assert of_all([("ok", False), ("down", True)]) == "degraded"
    assert of_all([("degraded", False), ("ok", True)]) == "degraded"
    assert of_all([("down", False), ("ok", False)]) == "down"


# -- availability -------------------------------------------------------------------------------


def test_availability_is_of_the_time_that_was_looked_at() -> None:
    """A tenth down is nine tenths there; the hour forgets before the day does."""
    seen = Availability()
    assert seen.share(0.0, HOUR) is None
    for minute in range(100):
        seen.look(minute * 60.0, up=minute % 10 != 3)
    now = 99 * 60.0
    assert seen.share(now, HOUR) == pytest.approx(0.9, abs=0.02)
    for minute in range(100, 200):
        seen.look(minute * 60.0, up=True)
    now = 199 * 60.0
    assert seen.share(now, HOUR) == 1.0
    assert seen.share(now, DAY) == pytest.approx(1 - 10 / 199, abs=1e-3)


def test_before_any_time_has_passed_it_is_the_last_look() -> None:
    """A first report says something."""
    seen = Availability()
    seen.look(50.0, up=False)
    assert seen.share(50.0, HOUR) == 0.0
    seen.look(50.0, up=True)
    assert seen.share(50.0, HOUR) == 1.0


def test_what_nobody_looked_at_is_not_known() -> None:
    """A night without a look is neither up nor down, but for its first minutes."""
    seen = Availability()
    seen.look(0.0, up=False)
    seen.look(12 * HOUR, up=True)
    seen.look(12 * HOUR + 300, up=True)
    assert seen.share(12 * HOUR + 300, DAY) == pytest.approx(0.5)
    assert seen.share(12 * HOUR + 300, HOUR) == 1.0


def test_a_year_takes_no_more_memory_than_a_day() -> None:
    """The ring is as long as a day, and yesterday is overwritten."""
    seen = Availability()
    for hour in range(24 * 30):
        for part in range(0, 3600, 200):
            seen.look(hour * HOUR + part, up=hour < 24 * 29 - 1)
    assert len(seen._seen) == 288
    assert seen.share(24 * 30 * HOUR, DAY) == pytest.approx(0.0, abs=0.01)


def test_a_clock_that_goes_back_adds_nothing() -> None:
    """Monotonic clocks do not; an injected one may."""
    seen = Availability()
    seen.look(100.0, up=True)
    seen.look(50.0, up=True)
    seen.look(110.0, up=True)
    assert seen.share(110.0, HOUR) == 1.0
    assert sum(seen._seen) == pytest.approx(10.0)


# -- looking ------------------------------------------------------------------------------------


async def test_a_report_says_who_is_how_since_when() -> None:
    """Per client, with reasons and availability, as JSON too."""
    now = asyncio.get_running_loop()
    tts, stt = Client(say=WELL), Client("deepgram", say=WELL)
    status = health(tts, stt, clock=now.time)
    first = await status.check()
    assert (first.state, first.serving) == ("ok", True)
    await asyncio.sleep(60)
    tts.said = seen(say=OPEN)
    second = await status.check()
    assert (second.state, second.serving) == ("down", False)
    await asyncio.sleep(60)
    third = await status.check()
    down = third.clients["elevenlabs"]
    assert down.state == "down"
    assert down.reasons == ("circuit open: say",)
    assert (third.at - down.since).total_seconds() == pytest.approx(60, abs=1)
    assert down.availability == {"1h": 0.5, "24h": 0.5}
    assert third.clients["deepgram"].availability == {"1h": 1.0, "24h": 1.0}
    assert third.availability["1h"] == 0.5
    said = json.loads(json.dumps(third.to_dict()))
    assert said["clients"]["elevenlabs"]["state"] == "down"
    assert said["clients"]["elevenlabs"]["detail"]["operations"]["say"]["breaker"]["calls"] == 20
    await status.aclose()


async def test_optional_ones_degrade() -> None:
    """Text goes out although there is no voice."""
    tts, stt = Client(say=OPEN), Client("deepgram", say=WELL)
    async with health(stt, tts, optional=[tts], every=0) as status:
        report = await status.check()
        assert (report.state, report.serving) == ("degraded", True)
        assert report.clients["elevenlabs"].optional
    assert list((await one_look(stt, optional=[tts])).clients) == ["deepgram", "elevenlabs"]


async def one_look(*clients: Any, **options: Any) -> Any:
    status = health(*clients, **options)
    report = await status.check()
    await status.aclose()
    return report


async def test_a_wrapper_is_there_while_a_member_is() -> None:
    """Its members are shown; one down degrades it, all down end it."""
    one, two = Client("deepgram", say=WELL), Client(say=OPEN)
    report = await one_look(Wrapper(deepgram=one, elevenlabs=two))
    assert report.state == "degraded"
    members = report.clients["fallback"].members
    assert {name: each.state for name, each in members.items()} == {
        "deepgram": "ok",
        "elevenlabs": "down",
    }
    assert report.clients["fallback"].reasons == ("elevenlabs is down",)
    one.said = seen(say=OPEN)
    assert (await one_look(Wrapper(deepgram=one, elevenlabs=two))).state == "down"


async def test_only_who_gives_no_evidence_is_probed() -> None:
    """Calls that went well, or a ready connection, tell more than a handshake."""
    used, ready, silent = Client(say=WELL), Client("a", ready=1), Client("b", say=UNUSED)
    report = await one_look(used, ready, silent)
    assert (used.warmed, ready.warmed, len(silent.warmed)) == ([], [], 1)
    assert report.state == "ok"


async def test_who_is_down_comes_back_without_a_call() -> None:
    """Nobody is sent to who is down: when its circuit's time is over, a probe decides."""
    client = Client(ready=2, say=OPEN)
    assert (await one_look(client)).state == "down"
    client.said = seen(ready=2, say=replace(OPEN, retry_in=0.0))
    assert (await one_look(client)).state == "degraded"
    client.fails = ConnectionError()
    assert (await one_look(client)).state == "down"


@pytest.mark.parametrize(
    ("fails", "report", "reason"),
    [
        (UnavailableError("what it said"), None, "probe: UnavailableError"),
        (None, WarmReport(opened=0, reused=0, failures=("ConnectError",)), "probe: ConnectError"),
        (
            None,
            WarmReport(opened=1, reused=0, failures=("AuthenticationError",)),
            "probe: AuthenticationError",
        ),
    ],
)
async def test_a_probe_that_fails_is_down(fails: Any, report: Any, reason: str) -> None:
    """By the type of the error, never its text; a connection is nothing without a token."""
    client = Client()
    client.fails, client.report = fails, report or client.report
    found = (await one_look(client)).clients["elevenlabs"]
    assert (found.state, found.reasons) == ("down", (reason,))


async def test_own_probes() -> None:
    """A status call instead of a handshake; False is down; None asks nothing."""

    async def no() -> bool:
        return False

    @dataclass
    class Status:
        up: bool = False

    async def status() -> Status:
        return Status()

    a, b = Client("a"), Client("b")
    told = await one_look(a, probes={"a": status})
    assert told.clients["a"].reasons == ("probe: said no",)
    report = await one_look(a, b, probes={"a": no, "b": None})
    assert report.clients["a"].reasons == ("probe: said no",)
    assert report.clients["b"].state == "ok"
    assert a.warmed == b.warmed == []


async def test_a_look_is_bounded_and_hangs_on_nobody() -> None:
    """Who does not answer in time is down; who ignores its cancellation is not asked twice."""
    loop = asyncio.get_running_loop()
    slow, fine = Client("slow"), Client("fine")
    slow.takes = 100.0
    began = loop.time()
    report = await one_look(slow, fine, timeout=2.0)
    assert loop.time() - began == 2.0
    assert report.clients["slow"].reasons == ("probe: no answer in time",)
    assert report.clients["fine"].state == "ok"

    asked: list[int] = []
    release = asyncio.Event()

    async def stubborn() -> None:
        asked.append(1)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    status = health(Client("slow"), probes={"slow": stubborn}, every=0)
    for _ in range(3):
        assert (await status.check()).state == "down"
    assert asked == [1]
    release.set()
    await asyncio.sleep(0)
    await status.aclose()


async def test_a_report_stands_and_is_shared() -> None:
    """A hundred callers make one look; so do callers one after the other within its time."""
    client = Client()
    client.takes = 1.0
    clock = asyncio.get_running_loop().time
    status = health(client, every=10, clock=clock)
    reports = await asyncio.gather(*(status.check() for _ in range(100)))
    assert len({id(each) for each in reports}) == 1
    await asyncio.sleep(9)
    assert await status.check() is status.latest is reports[0]
    assert len(client.warmed) == 1
    await asyncio.sleep(2)
    await status.check()
    await status.check(fresh=True)
    assert len(client.warmed) == 3
    await status.aclose()


async def test_who_leaves_does_not_end_the_look_of_the_others() -> None:
    """Cancelled at its only await; the other one has its report."""
    client = Client()
    client.takes = 1.0
    status = health(client)
    leaver = asyncio.ensure_future(status.check())
    stayer = asyncio.ensure_future(status.check())
    await asyncio.sleep(0.5)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert (await stayer).state == "ok"
    assert len(client.warmed) == 1
    await status.aclose()


async def test_it_looks_by_itself_within_a_block() -> None:
    """So that availability is of all the time; and stops with the block."""
    client = Client()
    async with health(client, every=10, clock=asyncio.get_running_loop().time) as status:
        await asyncio.sleep(101)
        assert len(client.warmed) == 11
        assert status.latest is not None
    with pytest.raises(ClosedError):
        await status.check()
    await status.aclose()
    await asyncio.sleep(100)
    assert len(client.warmed) == 11


async def test_closed_while_it_looks() -> None:
    """Who waits is told, and nothing goes on."""
    client = Client()
    client.takes = 1.0
    status = health(client)
    waiter = asyncio.ensure_future(status.check())
    await asyncio.sleep(0.5)
    await status.aclose()
    with pytest.raises(ClosedError):
        await waiter


async def test_bad_arguments() -> None:
    """Refused before anything is looked at."""
    client = Client()
    for arguments in (
        {"every": -1},
        {"timeout": 0},
        {"names": ["a", "b"]},
        {"probes": {"other": None}},
    ):
        with pytest.raises(InvalidArgumentError):
            health(client, **arguments)  # type: ignore[arg-type]
    blocking = sync.OpenAIClient("key", model="m")
    for clients in ((), (object(),), (Client,), ("elevenlabs",), (blocking,)):
        with pytest.raises(InvalidArgumentError, match="clients"):
            health(*clients)


async def test_names() -> None:
    """By provider, numbered, or as told."""
    pair = Client(ready=1), Client(ready=1)
    assert list((await one_look(*pair)).clients) == ["elevenlabs", "elevenlabs-2"]
    assert list((await one_look(*pair, names=["en", "de"])).clients) == ["en", "de"]


def test_another_loop_while_one_looks() -> None:
    """A health belongs to the loop of its clients; idle, it may be asked from any."""
    status = health(Client(ready=1))
    for _ in range(2):
        with virtual_time() as clock:
            assert clock.run(status.check(fresh=True)).state == "ok"
