"""A live transcription survives its connections: each word once, in order, or a reported gap."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from listening import listening, outcomes, texts_in

from settling import eventually, library_tasks
from voicekit.clients.deepgram import DeepgramClient, TranscriptionSession
from voicekit.emulator import Emulator, Fault, Link, Scenario
from voicekit.emulator.codecs import wav_header
from voicekit.emulator.spoken import Spoken, SpokenWord
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectionLostError,
    DeadlineError,
    InvalidRequestError,
    QuotaError,
    StreamInterruptedError,
    TotalTimeout,
    VoicekitError,
)
from voicekit.events import CallEnded, Event, Reconnected
from voicekit.operation import Limits
from voicekit.speech import TranscriptionGap, TranscriptionResult

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

RATE = 16_000
FRAME = 640
SECONDS = 24.0


def said(recognised: float = 0.5, *, seed: int = 4) -> Spoken:
    """Words of uneven length with uneven pauses: some long enough to end an utterance."""
    rng, words, at = random.Random(seed), [], 0.2
    while at < SECONDS - 1:
        length = rng.uniform(0.12, 0.6)
        words.append(SpokenWord(f"w{len(words)}", at, at + length))
        at += length + rng.choice((0.02, 0.05, 0.1, 0.4))
    return Spoken(tuple(words), recognised)


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        return ("asyncio", {"loop_factory": uvloop.new_event_loop})
    return "asyncio"


def scene(spoken: Spoken) -> Scenario:
    return Scenario(name="test", heard=spoken, transcript_final=0.002)


@pytest.fixture(autouse=True)
def quick_dials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between dials, scaled down."""
    monkeypatch.setattr("voicekit.clients.deepgram.outages.FIRST_DELAY_S", 0.02)
    monkeypatch.setattr("voicekit.clients.deepgram.outages.MAX_DELAY_S", 0.05)


async def speak(
    session: TranscriptionSession, pcm: bytes, at: dict[int, Callable[[], Any]] | None = None
) -> None:
    """Send it in 20 ms frames, twenty times as fast as real, doing things on the way."""
    for number in range(0, len(pcm), FRAME):
        if at and (act := at.get(number // FRAME)) is not None:
            # Each cut cuts a connection that carries the stream.
            assert await eventually(lambda: session._socket is not None or session._ended)
            act()
        await session.send(pcm[number : number + FRAME])
        await asyncio.sleep(0.001)
    await session.finish()


async def gather(session: TranscriptionSession) -> list[Any]:
    return [event async for event in session]


def finals(events: list[Any]) -> list[str]:
    return [
        word.text
        for event in events
        if isinstance(event, TranscriptionResult) and event.is_final
        for word in event.words
    ]


def check(session: TranscriptionSession, events: list[Any], spoken: Spoken) -> None:
    """Each word once, in order, at its time; nothing lost."""
    expected = [word.text for word in spoken.words]
    assert session.transcript.split() == expected
    assert finals(events) == expected
    for word, true in zip(session._state.finals.words, spoken.words, strict=True):
        assert abs(word.start - true.start) < 0.35, (word, true)
        assert abs(word.end - true.end) < 0.35, (word, true)
    times = [e.start for e in events if isinstance(e, TranscriptionResult) and e.is_final]
    assert times == sorted(times)
    assert session.gaps == ()
    assert not [each for each in events if isinstance(each, TranscriptionGap)]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_ten_cuts(how: Any, tls: bool) -> None:
    """Cut ten times anywhere: every word of the final transcript once, in order, in time."""
    spoken = said()
    rng = random.Random(f"{how}{tls}")
    pcm = spoken.pcm(RATE, SECONDS)
    frames = len(pcm) // FRAME
    # One every two seconds of audio or so: each connection says something in between.
    cuts = [round((number + rng.uniform(0.3, 1.2)) * frames / 12) for number in range(1, 11)]
    async with listening(scene(spoken), emulator={"tls": tls, "link": Link()}) as (world, stt):
        async with stt.open_transcription() as session:
            at = {cut: lambda: world.cut("deepgram", how=how) for cut in cuts}
            reading = asyncio.create_task(gather(session))
            await speak(session, pcm, at)
            events = await reading
            check(session, events, spoken)
            assert session.reconnects == 10
            assert session.connection is not None
            assert session.metadata is not None
        assert len(world.journal.requests) == session.reconnects + 1
        assert await eventually(lambda: stt.stats().leased == 0)
    assert await eventually(lambda: library_tasks() == [])


@pytest.mark.parametrize("recognised", [0.2, 0.5, 0.9])
async def test_cuts_in_the_middle_of_words(recognised: float) -> None:
    """A word that is being said when the connection goes is there once."""
    spoken = said(recognised, seed=9)
    pcm = spoken.pcm(RATE, SECONDS)
    middles = [round((w.start + w.end) / 2 / 0.020) for w in spoken.words[3::6]][:10]
    async with (
        listening(scene(spoken), emulator={"link": Link()}) as (world, stt),
        stt.open_transcription() as session,
    ):
        at = {middle: lambda: world.cut("deepgram", how="rst") for middle in middles}
        reading = asyncio.create_task(gather(session))
        await speak(session, pcm, at)
        check(session, await reading, spoken)
        assert session.reconnects == len(middles)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_cuts_right_after_a_final(how: Any) -> None:
    """A final result in the middle of words, asked for, and the connection goes at once."""
    spoken = said(0.4, seed=2)
    pcm = spoken.pcm(RATE, SECONDS)
    async with (
        listening(scene(spoken), emulator={"link": Link()}) as (world, stt),
        stt.open_transcription() as session,
    ):
        events: list[Any] = []

        async def read() -> None:
            async for event in session:
                events.append(event)
                if isinstance(event, TranscriptionResult) and event.from_finalize:
                    world.cut("deepgram", how=how)

        reading = asyncio.create_task(read())
        for number in range(0, len(pcm), FRAME):
            await session.send(pcm[number : number + FRAME])
            await asyncio.sleep(0.001)
            if number // FRAME % 110 == 109:
                await session.finalize()
        await session.finish()
        await reading
        check(session, events, spoken)
        assert session.reconnects >= 5


async def test_a_black_hole_is_noticed_and_left() -> None:
    """Nothing comes and nothing ends: the gap limit finds it, and nothing is lost."""
    spoken = said()
    pcm = spoken.pcm(RATE, SECONDS)
    limits = {"open_transcription": Limits(connect=5.0, gap=0.25)}
    async with listening(scene(spoken), emulator={"link": Link()}, limits=limits) as (world, stt):
        async with stt.open_transcription() as session:
            at = {number: lambda: world.cut("deepgram", how="blackhole") for number in (250, 800)}
            reading = asyncio.create_task(gather(session))
            await speak(session, pcm, at)
            check(session, await reading, spoken)
            assert session.reconnects >= 2  # on a busy machine it leaves living ones, too
        assert await eventually(lambda: stt.stats().leased == 0)
    assert await eventually(lambda: library_tasks() == [])


BREAKS = [
    Fault("reset", after_events=1),
    Fault("close", after_events=1),
    Fault("ws_close", after_events=1, code=1000),
    Fault("ws_close", after_events=2, code=1011, reason="see https://dpgr.am/net0001"),
    Fault("ws_garbage", after_events=2),
    Fault("ws_hang", after_events=2),
    Fault("in_stream_error", after_events=2),
    Fault("no_end_marker"),
    Fault("reset"),
]


@pytest.mark.parametrize("fault", BREAKS, ids=lambda each: each.kind)
async def test_whatever_ends_a_connection(fault: Fault) -> None:
    """Each way in which the vendor's connections end is survived."""
    spoken = said()
    limits = {"open_transcription": Limits(connect=2.0, gap=1.0)}
    async with listening(scene(spoken), limits=limits) as (world, stt):
        world.inject("deepgram", fault)
        async with stt.open_transcription() as session:
            reading = asyncio.create_task(gather(session))
            await speak(session, spoken.pcm(RATE, SECONDS))
            check(session, await reading, spoken)
            assert session.reconnects == (fault.kind != "no_end_marker")
    assert await eventually(lambda: library_tasks() == [])


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        ((Fault("ws_refuse", status=401),), AuthenticationError),
        ((Fault("ws_refuse", status=402),), QuotaError),
        ((Fault("ws_refuse", status=503), Fault("ws_refuse", status=400)), InvalidRequestError),
    ],
)
async def test_what_repeating_cannot_mend(faults: tuple[Fault, ...], kind: type[Exception]) -> None:
    """Refused for good on the way back, it ends at once, typed, and says what is lost."""
    spoken = said()
    async with listening(scene(spoken), emulator={"link": Link()}) as (world, stt):
        async with stt.open_transcription() as session:
            pcm = spoken.pcm(RATE, 5.0)
            await session.send(pcm)
            await session.finalize()
            while not (await anext(session)).is_final:  # type: ignore[union-attr]
                pass
            await session.send(pcm)
            for fault in faults:
                world.inject("deepgram", fault)
            world.cut("deepgram")
            with pytest.raises(StreamInterruptedError) as caught:
                await gather(session)
            assert type(caught.value.__cause__) is kind
            assert caught.value.__cause__.retry_stopped == "not retryable"  # type: ignore[union-attr]
            [gap] = session.gaps
            assert gap.end == pytest.approx(10.0, abs=0.05)
            with pytest.raises(VoicekitError):
                await session.send(pcm)
        assert len(world.journal.requests) == 1 + len(faults)
    assert await eventually(lambda: library_tasks() == [])


async def test_undecodable_audio_is_not_sent_again() -> None:
    """1008 DATA-0000 ends the session; the same bytes would end the next."""
    async with listening(scene(said())) as (world, stt), stt.open_transcription() as session:
        await session.send(b'{"type":"KeepAlive"}')
        with pytest.raises(InvalidRequestError):
            await gather(session)
        assert len(world.journal.requests) == 1


async def test_a_refusal_that_passes() -> None:
    """429 and 503 on the way back are waited out, and a short outage of everything."""
    spoken = said()
    seen: list[Event] = []

    class Watcher:
        def on_event(self, event: Event) -> None:
            seen.append(event)

    async with (
        listening(scene(spoken), emulator={"link": Link()}, observers=[Watcher()]) as (
            world,
            stt,
        ),
        stt.open_transcription() as session,
    ):
        reading = asyncio.create_task(gather(session))

        def cut() -> None:
            for status in (429, 503):
                world.inject("deepgram", Fault("ws_refuse", status=status))
            world.inject("deepgram", Fault("reset"))
            world.cut("deepgram")

        await speak(session, spoken.pcm(RATE, SECONDS), {300: cut})
        check(session, await reading, spoken)
        assert session.reconnects == 1
    [again] = [event for event in seen if isinstance(event, Reconnected)]
    assert again.attempt in {3, 4}
    assert again.lost == 0.0
    assert again.replayed >= 1.0
    assert again.error == "ConnectionLostError"
    assert len([event for event in seen if isinstance(event, CallEnded)]) == 1
    assert "w1" not in repr(seen)


async def test_it_gives_up_in_the_end() -> None:
    """A service that is gone for good ends the session with its last error and the reason."""
    spoken = said()
    async with (
        listening(scene(spoken), emulator={"link": Link()}) as (world, stt),
        stt.open_transcription() as session,
    ):
        await session.send(spoken.pcm(RATE, 3.0))
        await anext(session)
        world.inject("deepgram", Fault("ws_refuse", status=503, times=None))
        world.cut("deepgram")
        started = time.monotonic()
        with pytest.raises(StreamInterruptedError) as caught:
            await gather(session)
        assert time.monotonic() - started < 3.0
        cause = caught.value.__cause__
        assert isinstance(cause, VoicekitError)
        assert "11 connections failed" in str(cause.retry_stopped)
        assert session.gaps[0].end == pytest.approx(3.0, abs=0.05)


async def test_what_is_asked_during_an_outage_is_done_after_it() -> None:
    """Audio, Finalize, Configure and CloseStream wait for the next connection, in order."""
    spoken = said()
    pcm = spoken.pcm(RATE, 6.0)
    async with listening(scene(spoken), emulator={"link": Link()}) as (world, stt):
        async with stt.open_transcription() as session:
            await session.send(pcm[: 2 * FRAME])
            await session.configure(keyterms=["before"])
            world.cut("deepgram")
            assert await eventually(lambda: session._socket is None)
            changing = asyncio.create_task(session.configure(numerals=True))
            await asyncio.sleep(0)
            await session.send(pcm[2 * FRAME : 100 * FRAME])
            await session.finalize()
            await session.send(pcm[100 * FRAME :])
            await session.finish()
            await changing
            events = await gather(session)
            assert any(e.from_finalize for e in events if isinstance(e, TranscriptionResult))
            assert session.gaps == ()
            assert session.transcript.split()[:10] == spoken(6.0).split()[:10]
        again = [f for f in world.journal.frames if f.request == world.journal.requests[1].id]
        said_again = [f.data["type"] for f in again if f.direction == "in" and f.kind == "text"]
        assert said_again == ["Configure", "Finalize", "CloseStream"]
        configure = next(f.data for f in again if f.direction == "in" and f.kind == "text")
        assert configure["keyterms"] == ["before"]
        assert configure["features"] == {"numerals": True}


async def test_keep_alives_go_on_over_the_next_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller who is silent after an outage is kept alive as before it."""
    from voicekit.emulator.providers.deepgram import Deepgram

    monkeypatch.setattr(Deepgram, "time_scale", 0.04)  # 10 s become 400 ms
    spoken = said()
    async with listening(scene(spoken), emulator={"link": Link()}) as (world, stt):
        session = stt.open_transcription()
        session._pulse.keep_alive, session._pulse.first_audio = 0.1, 0.2
        async with session:
            await session.send(spoken.pcm(RATE, 3.0))
            world.cut("deepgram")
            assert await eventually(lambda: session.reconnects == 1)
            await asyncio.sleep(1.2)
            assert session.reconnects == 1
            assert texts_in(world).count("KeepAlive") >= 5
            await session.finish()
            await gather(session)


async def test_more_than_can_be_kept_is_a_gap() -> None:
    """Beyond max_replay_s the oldest is lost, and said to be; the rest keeps its time."""
    spoken = said()
    pcm = spoken.pcm(RATE, SECONDS)
    async with (
        listening(
            scene(spoken), emulator={"link": Link()}, max_replay_s=2.0, endpointing=False
        ) as (world, stt),
        stt.open_transcription() as session,
    ):
        reading = asyncio.create_task(gather(session))
        await speak(session, pcm, {200: lambda: world.cut("deepgram")})
        events = await reading
        [gap] = session.gaps
        assert [e for e in events if isinstance(e, TranscriptionGap)] == [gap]
        assert (gap.start, gap.end) == (0.0, pytest.approx(gap.duration))
        heard = finals(events)
        for word in spoken.words:
            if word.end <= gap.start or word.start >= gap.end:
                assert heard.count(word.text) == 1
        times = {word.text: word.start for word in session._state.finals.words}
        for word in spoken.words[-10:]:
            assert times[word.text] == pytest.approx(word.start, abs=0.05)


async def test_wav_is_continued_behind_its_header() -> None:
    """The header is said again first, and samples stay whole."""
    spoken = said()
    pcm = spoken.pcm(RATE, SECONDS)
    wav = wav_header(RATE, len(pcm)) + pcm
    async with (
        listening(scene(spoken), emulator={"link": Link()}, format="wav_16000") as (
            world,
            stt,
        ),
        stt.open_transcription() as session,
    ):
        reading = asyncio.create_task(gather(session))
        cuts = (301, 555, 801)
        for number, start in enumerate(range(0, len(wav), 641)):
            if number in cuts:
                world.cut("deepgram")
            await session.send(wav[start : start + 641])
            await asyncio.sleep(0.001)
        await session.finish()
        check(session, await reading, spoken)
        assert session.reconnects == 3


async def test_without_reconnect_it_breaks_off() -> None:
    """reconnect=False: the loss is the session's end."""
    spoken = said()
    async with listening(scene(spoken), emulator={"link": Link()}, reconnect=False) as (world, stt):
        async with stt.open_transcription() as session:
            await session.send(spoken.pcm(RATE, 3.0))
            await anext(session)
            world.cut("deepgram")
            with pytest.raises(StreamInterruptedError) as caught:
                await gather(session)
            assert isinstance(caught.value.__cause__, ConnectionLostError)
            assert session.gaps == ()
        async with stt.open_transcription(reconnect=True) as session:
            world.cut("deepgram")
            assert await eventually(lambda: session.reconnects == 1)


# -- how it is left -----------------------------------------------------------------------


async def test_closed_while_it_reconnects() -> None:
    """aclose() at any point of an outage ends it quietly, and leaves nothing."""
    spoken = said()
    pcm = spoken.pcm(RATE, 4.0)
    async with listening(scene(spoken), emulator={"link": Link()}) as (world, stt):
        for steps in [*range(0, 60, 3), *range(60, 400, 20)]:
            session = await stt.open_transcription()
            await session.send(pcm)
            reading = asyncio.create_task(gather(session))
            world.cut("deepgram")
            for _ in range(steps):
                await asyncio.sleep(0.0005 if steps > 60 else 0)
            began = time.monotonic()
            await session.aclose()
            await reading
            assert time.monotonic() - began < 0.5
        assert await eventually(lambda: stt.stats().leased == 0)
        assert await eventually(lambda: None not in outcomes(world))
    assert await eventually(lambda: library_tasks() == [])


async def test_the_client_is_closed_while_it_reconnects() -> None:
    """The session ends typed, not never."""
    spoken = said()
    for pause in (0.0, 0.005, 0.02, 0.05):
        async with listening(scene(spoken), emulator={"link": Link()}) as (world, stt):
            session = await stt.open_transcription()
            await session.send(spoken.pcm(RATE, 4.0))
            reading = asyncio.create_task(gather(session))
            world.cut("deepgram")
            await asyncio.sleep(pause)
            await stt.aclose()
            with pytest.raises((ClosedError, StreamInterruptedError)):
                await asyncio.wait_for(reading, 2.0)
        assert await eventually(lambda: library_tasks() == [])


async def test_cancelled_at_every_await() -> None:
    """Whoever sends, reads or finishes during an outage can be cancelled at any step."""
    spoken = said()
    pcm = spoken.pcm(RATE, 2.0)
    async with listening(scene(spoken), emulator={"link": Link()}) as (world, stt):

        async def use() -> str:
            async with stt.open_transcription() as session:
                await session.send(pcm)
                world.cut("deepgram")
                await session.finalize()
                await session.send(pcm)
                await session.finish()
                return (await session.result()).text

        finished = steps = 0
        while finished < 2 and steps < 4000:
            task = asyncio.create_task(use())
            for _ in range(steps):
                if task.done():
                    break
                await asyncio.sleep(0)
            began = time.monotonic()
            task.cancel()
            try:
                await task
                finished += 1
            except asyncio.CancelledError:
                pass
            assert time.monotonic() - began < 0.5
            steps += 2 if steps < 60 else 1 + steps // 8
        assert await eventually(lambda: stt.stats().leased == 0)
        assert await eventually(lambda: None not in outcomes(world))
    assert await eventually(lambda: library_tasks() == [])


async def test_a_deadline_bounds_reconnecting() -> None:
    """What is left of the total limit is all that an outage may take."""
    spoken = said()
    limits = {"open_transcription": Limits(connect=2.0, gap=5.0, total=0.6)}
    async with (
        listening(scene(spoken), emulator={"link": Link()}, limits=limits) as (world, stt),
        stt.open_transcription() as session,
    ):
        await session.send(spoken.pcm(RATE, 3.0))
        await anext(session)
        world.inject("deepgram", Fault("silence", times=None))
        world.cut("deepgram")
        started = time.monotonic()
        with pytest.raises((StreamInterruptedError, DeadlineError)) as caught:
            await gather(session)
        assert time.monotonic() - started < 1.5
        assert isinstance(caught.value.__cause__ or caught.value, TotalTimeout)
    assert await eventually(lambda: library_tasks() == [])


async def test_three_tasks() -> None:
    """Opened, fed and read in different tasks across a loss."""
    spoken = said()
    async with listening(scene(spoken), emulator={"link": Link()}) as (world, stt):
        session = stt.open_transcription()
        await asyncio.create_task(session.__aenter__())  # type: ignore[arg-type]
        pcm = spoken.pcm(RATE, SECONDS)
        sending = asyncio.create_task(speak(session, pcm, {400: lambda: world.cut("deepgram")}))
        events = await asyncio.create_task(gather(session))
        await sending
        await asyncio.create_task(session.__aexit__(None, None, None))  # type: ignore[arg-type]
        check(session, events, spoken)


async def test_only_this_worlds_connections_are_cut() -> None:
    """Two sessions of one client are cut together, and each has its own words back."""
    spoken = said()
    async with (
        Emulator(providers=("deepgram",), scenario=scene(spoken), link=Link()) as world,
        DeepgramClient("key-of-a-test", base_url=world.deepgram.url, format="pcm_16000") as stt,
    ):
        pcm = spoken.pcm(RATE, SECONDS)

        async def one(number: int) -> None:
            async with stt.open_transcription() as session:
                at = {350: lambda: world.cut("deepgram", how="fin")} if number == 0 else None
                reading = asyncio.create_task(gather(session))
                await speak(session, pcm, at)
                check(session, await reading, spoken)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(one(number))
