"""``message``: the WhatsApp turn, ``whatsapp`` timings in real seconds, RTT 0.

A signed webhook with a voice note arrives; the recording goes from Twilio into the transcription
while the agent's session opens; the agent answers; the text is sent, and the voice made, hosted
and sent. Many turns are under way at a time, begun one after the other, so that each is alone
with its own steps; between the first of ours begin those of a version that does one step after the
other over a new session each (``message_sequential``), for the reader.

A turn counts from the moment at which the emulator begins to call the application, and the text is
ready when the emulator has the whole request to send it. What is bounded is how far that lies
beyond max(download + transcription, session open) + agent, by the scenario's own seconds: the
emulator's lateness is charged to us. How late it was, as far as its journal tells, stands in the
rows.

Cached, the answer and its speech have been given to somebody before. Three of four messages are
text, one a voice note; time counts from the words in hand: the webhook's body, or the transcript.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from benchmarks.measure import MIN_PAIRS, Goal, Result, estimate, goal, narrow
from benchmarks.message_ours import Ours
from benchmarks.message_script import COMMON, PROVIDERS, whatsapp
from benchmarks.message_sequential import Sequential
from benchmarks.tail import percentile
from voicekit.emulator import EmulatorProcess

BEYOND_LIMIT_MS = 20.0
TEXT_LIMIT_MS, VOICE_LIMIT_MS = 20.0, 50.0
STAGGER_S = 0.25
TURNS, MOST_TURNS = 40, 200
"""Of a round, those of the sequential version among them in the first; and of ours in all."""

CACHED_STAGGER_S = 0.06
CACHED, MOST_CACHED = 300, 900
ASKED = (COMMON, "what are your OPENING hours?", "  What are your\u00a0opening hours…", COMMON)
"""Spellings of the one question; the last one is spoken."""


SEQUENTIAL = "sequential, a session per step"


@dataclass(slots=True)
class Seen:
    """What came of turns, in ms; one number each."""

    beyond: list[float] = field(default_factory=list)
    text: list[float] = field(default_factory=list)
    voice: list[float] = field(default_factory=list)


def run() -> Result:
    with EmulatorProcess(providers=PROVIDERS, scenario=whatsapp()) as world:
        return asyncio.run(_measure(world))


def bound(scenario: Any) -> float:
    """Seconds from the webhook to the text that the providers' own times allow."""
    listening = scenario.media_download + scenario.transcript_final
    return float(max(listening, scenario.agent_session_open) + scenario.agent_first_text)


async def _measure(world: Any) -> Result:
    result = Result("message")
    app = web.Application()
    runner = web.AppRunner(app, access_log=None)
    async with AsyncExitStack() as stack:
        # The port is known when the socket is bound, the routes when the sides are made.
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        public = f"http://127.0.0.1:{listening.getsockname()[1]}"
        ours, sequential = Ours(world, public), Sequential(world, public)
        app.router.add_post("/ours", ours.webhook)
        app.router.add_post("/sequential", sequential.webhook)
        app.router.add_route("*", "/media/{name}", ours.media.aiohttp_handler)
        app.router.add_get("/clips/{name}", sequential.clip)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()
        await stack.enter_async_context(ours)
        people = People(world)
        await _uncached(world, people, ours, sequential, result)
        await _cached(world, people, ours, result)
    return result


class People:
    """Those who write and speak; each of them once."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._count = 0

    async def ask(self, url: str, *, voice: str | None = None, body: str = "") -> str:
        """A message of somebody new, who is returned; the application has it by then."""
        self._count += 1
        who = f"whatsapp:+39021{self._count:07d}"

        def call() -> Any:
            return self._world.calls_back.message(url, from_=who, voice=voice, body=body)

        calling = await asyncio.to_thread(call)
        if (told := await calling).status != 204:
            raise RuntimeError(f"the webhook was answered with {told.status}")
        return who


async def _done(turns: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*turns)
    turns.clear()


# -- nothing is known beforehand ---------------------------------------------------------------


async def _uncached(
    world: Any, people: People, ours: Ours, sequential: Sequential, result: Result
) -> None:
    # One of each first: imports, code that has not run yet.
    sides: tuple[Ours | Sequential, ...] = (ours, sequential)
    for number, side in enumerate(sides):
        await people.ask(side.url, voice=f"Is this on, {number}")
    await asyncio.gather(_done(ours.turns), _done(sequential.turns))
    limit = bound(whatsapp())
    seen: dict[str, Seen] = {"voicekit": Seen(), SEQUENTIAL: Seen()}
    late: list[float] = []
    beyond = seen["voicekit"].beyond
    while len(beyond) < MOST_TURNS and not (
        len(beyond) >= MIN_PAIRS and narrow(estimate(beyond), BEYOND_LIMIT_MS)
    ):
        world.clear_journal()
        askers: dict[str, list[str]] = {name: [] for name in seen}
        for number in range(TURNS):
            # Who is next: ours, and in the first round the other one in turns with it.
            other = int(not beyond and number % 2)
            name, side = ("voicekit", SEQUENTIAL)[other], sides[other]
            words = f"Where is order {len(beyond) + number}"
            askers[name].append(await people.ask(side.url, voice=words))
            await asyncio.sleep(STAGGER_S)
        await asyncio.gather(_done(ours.turns), _done(sequential.turns))
        journal = await asyncio.to_thread(lambda: world.journal)
        called = {each.fields["From"]: each.started_at for each in journal.webhooks}
        for name, whos in askers.items():
            for who in whos:
                text, voice = _sent(journal, who)
                seen[name].text.append((text - called[who]) * 1000)
                seen[name].voice.append((voice - called[who]) * 1000)
                seen[name].beyond.append((text - called[who] - limit) * 1000)
        late.append(lateness(journal, whatsapp()))
    result.goals.append(
        goal(
            "text beyond max(download + transcription, session open) + agent, ms",
            seen["voicekit"].beyond,
            BEYOND_LIMIT_MS,
        )
    )
    result.rows += [
        {
            "turn": name,
            "text_ms": round(estimate(each.text).value, 1),
            "beyond_ms": round(estimate(each.beyond).value, 1),
            "voice_ms": round(estimate(each.voice).value, 1),
            "turns": len(each.text),
        }
        for name, each in seen.items()
    ]
    result.rows.append(
        {
            "bound_ms": round(limit * 1000, 1),
            "emulator_late_in_download_and_agent_ms": round(statistics.median(late), 2),
        }
    )


def _sent(journal: Any, who: str) -> tuple[float, float]:
    """When the emulator had the whole of the text, and of the voice note, each of them once."""
    sent = journal.sent_to(who)
    if len(sent) != 2:
        raise RuntimeError(f"{len(sent)} messages were sent in place of two")
    (text,) = [each for each in sent if each.body and not each.media]
    (voice,) = [each for each in sent if each.media]
    if voice.media[0].get("error") or not voice.media[0].get("size"):
        raise RuntimeError("the voice note was not fetched, or is none")
    return text.accepted_at, voice.accepted_at


def lateness(journal: Any, scenario: Any) -> float:
    """By how many ms the emulator was later than its script, in the median of each part.

    Of a turn's download and agent; when a recording had come in whole the journal does not tell.

    Raises:
        LookupError: The journal has no request of a part.
    """
    scripted = {
        ("twilio", "media.content"): scenario.media_download / 3,
        ("twilio_media", "media.bytes"): scenario.media_download * 2 / 3,
        ("agentforce", "messages"): scenario.agent_first_text,
    }
    late = 0.0
    for where, seconds in scripted.items():
        took = [
            (record.first_byte_at or record.finished_at) - record.received_at
            for record in journal.requests_for(*where)
            if record.finished_at is not None
        ]
        if not took:
            raise LookupError(f"no {where[1]} in the journal")
        late += (statistics.median(took) - seconds) * 1000
    return late


# -- asked before ------------------------------------------------------------------------------


async def _cached(world: Any, people: People, ours: Ours, result: Result) -> None:
    await people.ask(ours.url, body=COMMON)
    await _done(ours.turns)
    text: list[float] = []
    voice: list[float] = []
    calls = spoken = first = 0
    while len(text) < MOST_CACHED and not (
        len(text) >= CACHED and _narrow(text, TEXT_LIMIT_MS) and _narrow(voice, VOICE_LIMIT_MS)
    ):
        world.clear_journal()
        whos = []
        for number in range(CACHED):
            words = ASKED[number % len(ASKED)]
            spoken_words = number % len(ASKED) == len(ASKED) - 1
            said = {"voice": words} if spoken_words else {"body": words}
            whos.append(await people.ask(ours.url, **said))
            await asyncio.sleep(CACHED_STAGGER_S)
        await _done(ours.turns)
        journal = await asyncio.to_thread(lambda: world.journal)
        calls += len(journal.requests_for("agentforce", "messages"))
        spoken += len(journal.requests_for("elevenlabs"))
        for who in whos:
            told, heard = _sent(journal, who)
            text.append((told - ours.words_at[who]) * 1000)
            voice.append((heard - ours.words_at[who]) * 1000)
            first += heard < told
    result.goals += [
        _p95("cached: text, p95, ms from the words in hand", text, TEXT_LIMIT_MS),
        _p95("cached: with voice, p95, ms from the words in hand", voice, VOICE_LIMIT_MS),
        _none("cached: requests to agent and voice (journal)", calls + spoken),
        _none("cached: voice notes that overtook their text", first),
    ]
    result.rows.append(
        {
            "cached_turns": len(text),
            "text_p50_ms": round(statistics.median(text), 1),
            "voice_p50_ms": round(statistics.median(voice), 1),
        }
    )


def _narrow(samples: Sequence[float], limit: float) -> bool:
    return narrow(percentile(samples, 0.95), limit)


def _p95(name: str, samples: Sequence[float], limit: float) -> Goal:
    seen = percentile(samples, 0.95)
    low, value, high = (round(each, 2) for each in (seen.low, seen.value, seen.high))
    ok = low <= limit and narrow(seen, limit)
    return Goal(name, value, (low, high), limit, "lower", ok)


def _none(name: str, count: int) -> Goal:
    return Goal(name, count, (count, count), 0, "lower", count == 0)
