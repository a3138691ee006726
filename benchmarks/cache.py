"""``cache``: what was made once, from memory: hit to first audio, and many callers of a cold key.

A hit is one call through ``SpeechCache.stream_speech``, from before the handle is made until its
first audio is in hand; nothing of it leaves the process. A sample is the median of a block, so
that a pause of the machine is no result; the slowest of all calls stand in the rows.

A hundred callers ask at once for what nobody has said yet. Upstream requests are counted by the
emulator's journal. The loop gives each piece to one caller after the other, whoever had it made;
so what is bounded is how far behind the *first* of them a caller is (in the median of the pieces),
at the 95th percentile of the callers. The last of them all stands in the rows.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.measure import MIN_PAIRS, Goal, Result, estimate, goal, narrow
from benchmarks.tail import percentile
from voicekit import AgentforceClient, ElevenLabsClient, OpenAIClient, PoolConfig
from voicekit.cache import MemoryStorage, ResponseCache, SpeechCache
from voicekit.emulator import EmulatorProcess
from voicekit.emulator.scenario import SCENARIOS

VOICE = "21m00Tcm4TlvDq8ikWAM"
TEXT = "We are open from nine to six."
LONG = " ".join([TEXT] * 20)
QUESTION = "When are you open?"
HIT_LIMIT_MS = 0.1
BEHIND_LIMIT_MS = 1.0
BLOCK, MOST_BLOCKS = 200, 150
CALLERS = 100
MOST_ROUNDS = 120

Once = Callable[[], Awaitable[float]]
"""Makes one call and returns the seconds that it took."""


def run() -> Result:
    result = Result("cache")
    # Pieces 20 ms apart, as a provider sends them: at once, there would be nothing to follow.
    scenario = replace(
        SCENARIOS["instant"],
        name="cache",
        speech_first_audio=0.02,
        speech_real_time_factor=0.05,
        speech_chunk_bytes=8192,
    )
    with EmulatorProcess(
        providers=("elevenlabs", "openai", "agentforce"), scenario=scenario
    ) as world:
        asyncio.run(_measure(world, result))
    return result


async def _measure(world: Any, result: Result) -> None:
    tts = ElevenLabsClient(
        api_key="emulated",
        base_url=world.elevenlabs.url,
        voice=VOICE,
        pool=PoolConfig(max_connections=2 * CALLERS),
    )
    async with SpeechCache(tts, storage=MemoryStorage()) as speech:
        await _hits(world, speech, result)
        await _many(world, speech, result)


# -- hits -------------------------------------------------------------------------------------


async def _hits(world: Any, speech: SpeechCache, result: Result) -> None:
    await speech.preload([TEXT, LONG])
    env = world.env()
    llm = OpenAIClient(api_key="emulated", base_url=world.openai.url, model="emulated")
    agent = AgentforceClient(
        client_id=env["AGENTFORCE_CLIENT_ID"],
        client_secret=env["AGENTFORCE_CLIENT_SECRET"],
        agent_id=env["AGENTFORCE_AGENT_ID"],
        domain=world.agentforce.url,
        base_url=world.agentforce.url,
    )
    async with ResponseCache(llm) as answers, ResponseCache(agent) as agents:

        async def first_audio(text: str = TEXT) -> float:
            started = time.perf_counter()
            async with speech.stream_speech(text) as stream:
                async for _ in stream:
                    took = time.perf_counter() - started
                    break
            _is_hit(stream)
            return took

        async def first_of_long() -> float:
            return await first_audio(LONG)

        async def clip() -> float:
            started = time.perf_counter()
            found = await speech.synthesize(TEXT)
            took = time.perf_counter() - started
            _is_hit(found)
            return took

        async def chat() -> float:
            started = time.perf_counter()
            found = await answers.chat(QUESTION)
            took = time.perf_counter() - started
            _is_hit(found)
            return took

        async def first_delta() -> float:
            started = time.perf_counter()
            async with answers.stream_chat(QUESTION) as stream:
                async for _ in stream:
                    took = time.perf_counter() - started
                    break
            _is_hit(stream)
            return took

        async def turn() -> float:
            """A whole conversation of one question: open, ask, close."""
            started = time.perf_counter()
            async with agents.open_session() as session:
                found = await session.send(QUESTION)
            took = time.perf_counter() - started
            _is_hit(found)
            return took

        seconds = (await speech.synthesize(LONG)).duration or 0.0
        await answers.chat(QUESTION)
        async with agents.open_session() as session:
            await session.send(QUESTION)
        calls: dict[str, Once] = {
            "speech, first audio": first_audio,
            f"speech of {seconds:.0f} s, first audio": first_of_long,
            "speech, the whole clip": clip,
            "chat, first delta": first_delta,
            "chat, the whole answer": chat,
            "agent, a conversation of one question": turn,
        }
        for name, call in calls.items():
            medians, seen = await _blocks(call, until=name == "speech, first audio")
            if name == "speech, first audio":
                result.goals.append(goal("hit to first audio, memory, ms", medians, HIT_LIMIT_MS))
            result.rows.append(_row(name, seen))


def _is_hit(found: Any) -> None:
    if found.cache != "hit":
        raise RuntimeError(f"no hit, but {found.cache}")


async def _blocks(call: Once, *, until: bool) -> tuple[list[float], list[float]]:
    """The median of each block, and all calls, in ms; blocks until they tell enough."""
    for _ in range(BLOCK):
        await call()
    medians: list[float] = []
    seen: list[float] = []
    while len(medians) < MIN_PAIRS or (
        until and len(medians) < MOST_BLOCKS and not narrow(estimate(medians), HIT_LIMIT_MS)
    ):
        block = [await call() * 1000 for _ in range(BLOCK)]
        medians.append(statistics.median(block))
        seen += block
        await asyncio.sleep(0)
    return medians, seen


def _row(name: str, seen: Sequence[float]) -> dict[str, Any]:
    return {
        "hit": name,
        "p50_us": round(statistics.median(seen) * 1000, 1),
        "p99_us": round(percentile(seen, 0.99).value * 1000, 1),
        "calls": len(seen),
    }


# -- many callers of a cold key ---------------------------------------------------------------


async def _many(world: Any, speech: SpeechCache, result: Result) -> None:
    behind: list[float] = []
    last: list[float] = []
    most_requests = pieces = 0
    while len(behind) < MOST_ROUNDS and not (
        len(behind) >= MIN_PAIRS and narrow(estimate(behind), BEHIND_LIMIT_MS)
    ):
        world.clear_journal()
        text = f"Number {len(behind)}: {TEXT} {TEXT}"
        heard = await asyncio.gather(*(_hear(speech, text) for _ in range(CALLERS)))
        most_requests = max(most_requests, len(world.journal.requests_for("elevenlabs")))
        if sorted(str(cache) for cache, _ in heard) != ["None", *["joined"] * (CALLERS - 1)]:
            raise RuntimeError("somebody neither led nor joined")
        late = [each * 1000 for each in lateness([times for _, times in heard])]
        pieces = len(heard[0][1])
        behind.append(percentile(late, 0.95).value)
        last.append(max(late))
    result.goals += [
        Goal(
            f"upstream requests of {CALLERS} callers (journal)",
            most_requests,
            (most_requests, most_requests),
            1,
            "lower",
            most_requests == 1,
        ),
        goal(f"behind the first, p95 of {CALLERS} callers, ms", behind, BEHIND_LIMIT_MS),
    ]
    result.rows.append(
        {
            "callers": CALLERS,
            "pieces": pieces,
            "p95_behind_ms": round(estimate(behind).value, 3),
            "last_behind_ms": round(estimate(last).value, 3),
            "rounds": len(behind),
        }
    )


async def _hear(speech: SpeechCache, text: str) -> tuple[str | None, list[tuple[int, float]]]:
    """Where it came from; and after each piece the bytes so far, and when."""
    times: list[tuple[int, float]] = []
    size = 0
    async with speech.stream_speech(text) as stream:
        async for piece in stream:
            size += len(piece)
            times.append((size, time.perf_counter()))
    return stream.cache, times


def lateness(heard: Sequence[Sequence[tuple[int, float]]]) -> list[float]:
    """How many seconds after the first of them each caller has a piece, in the median of pieces.

    Args:
        heard: Of each caller, after each piece that he was given, the bytes so far, and when.

    Raises:
        ValueError: They did not hear the same.
    """
    if len({times[-1][0] for times in heard}) != 1:
        raise ValueError("they did not hear the same")
    sizes = sorted({size for times in heard for size, _ in times})
    had = [_had(times, sizes) for times in heard]
    first = [min(moments) for moments in zip(*had, strict=True)]
    return [
        statistics.median(at - best for at, best in zip(moments, first, strict=True))
        for moments in had
    ]


def _had(times: Sequence[tuple[int, float]], sizes: Sequence[int]) -> list[float]:
    """When so many bytes were there, for each of ``sizes``."""
    moments, place = [], 0
    for size in sizes:
        while times[place][0] < size:
            place += 1
        moments.append(times[place][1])
    return moments
