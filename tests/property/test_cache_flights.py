"""Shared speech under thousands of orders in which callers come, leave and fail.

Two searches: ``interleavings`` draws the order of every task step; Hypothesis draws what
happens, and shrinks what breaks.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from interleaving import interleavings
from voicekit import AudioFormat, EngineSpeech, SpeechCache, StreamInterruptedError, VoicekitError
from voicekit.cache import MemoryStorage
from voicekit.cache.encoding import decoded
from voicekit.errors import ConnectionLostError
from voicekit.testing.clock import VirtualLoop
from voicekit.transport.config import WarmReport

PCM = AudioFormat.parse("pcm_24000")
PIECE = 480
# Few, and multiples of one another: everything happens at once as often as can be.
TIMES = (0.0, 0.0, 0.1, 0.2, 0.3)


@dataclass(frozen=True, kw_only=True)
class Line:
    text: str = field(repr=False)
    format: AudioFormat = PCM

    @property
    def identity(self) -> str:
        return self.text


@dataclass
class Making:
    """How one speech is made: seconds before each letter, and after which it fails."""

    waits: tuple[float, ...]
    fails_after: int | None = None


class Reader:
    provider = "reader"

    def __init__(self, plan: list[Making]) -> None:
        self.plan = plan
        self.asked = 0
        self.running = 0
        self.most_running: Counter[str] = Counter()
        self.now: Counter[str] = Counter()
        self.whole = 0

    def request(self, text: str, /, **_: Any) -> Line:
        return Line(text=text)

    def stream_speech(self, text: Any, /, **_: Any) -> EngineSpeech:
        return EngineSpeech(self._read(text), format=PCM, provider=self.provider)

    async def synthesize(self, text: Any, /, **_: Any) -> Any:
        raise NotImplementedError

    async def _read(self, line: Line) -> AsyncIterator[bytes]:
        making = self.plan[self.asked % len(self.plan)]
        self.asked += 1
        self.now[line.text] += 1
        self.most_running[line.text] = max(self.most_running[line.text], self.now[line.text])
        try:
            for number, letter in enumerate(line.text):
                await asyncio.sleep(making.waits[number % len(making.waits)])
                if number == making.fails_after:
                    raise ConnectionLostError("gone")
                yield letter.encode() * PIECE
            self.whole += 1
        finally:
            self.now[line.text] -= 1

    async def warm(self, n: int = 1, /, *, strict: bool = False) -> WarmReport:
        return WarmReport(opened=n, reused=0)

    async def aclose(self) -> None: ...

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *exc: object) -> None: ...


class Slow(MemoryStorage):
    """Takes its time, and may fail."""

    def __init__(self, reading: float, writing: float, fails: bool) -> None:
        super().__init__()
        self.reading, self.writing, self.fails = reading, writing, fails

    async def get(self, key: str, /) -> bytes | None:
        value = await super().get(key)
        await asyncio.sleep(self.reading)  # the answer is on its way, and may be old
        if self.fails:
            raise OSError
        return value

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        await asyncio.sleep(self.writing)
        if self.fails:
            raise OSError
        await super().put(key, value, ttl=ttl)


@dataclass
class Caller:
    """One who listens.

    Attributes:
        text: To what.
        comes: When, in seconds.
        pace: Seconds that he takes over each chunk.
        leaves: When he does, if he does not stay.
        how: By cancelling his task, ``cancel()`` from outside, or after so many chunks.
        entered: Whether he uses ``async with``.
    """

    text: str
    comes: float
    pace: float
    leaves: float | None
    how: str
    entered: bool
    heard: list[str] = field(default_factory=list)
    end: str = ""


async def listen(tts: SpeechCache, caller: Caller) -> None:
    await asyncio.sleep(caller.comes)
    speech: Any = tts.stream_speech(caller.text)
    told: list[int] = []

    async def through() -> None:
        try:
            if caller.entered:
                async with speech:
                    await each()
            else:
                await each()
        except StreamInterruptedError as error:
            caller.end = "interrupted"
            told.append(error.delivered_bytes)
        except VoicekitError as error:
            caller.end = type(error).__name__
        else:
            caller.end = "cancelled" if speech.cancelled else "whole"

    async def each() -> None:
        async for chunk in speech:
            caller.heard.append(bytes(chunk).decode()[::PIECE])
            await asyncio.sleep(caller.pace)

    task = asyncio.create_task(through(), name="listener")
    if caller.leaves is not None:
        await asyncio.wait([task], timeout=caller.leaves)
        if caller.how == "task":
            task.cancel()
        elif caller.how == "cancel":
            await speech.cancel()
        else:
            await speech.aclose()
    await asyncio.wait([task], timeout=1000)
    assert task.done(), "somebody hangs"
    assert told in ([], [PIECE * len("".join(caller.heard))]), "a wrong account"
    if task.cancelled():
        caller.end = "task cancelled"
        await speech.aclose()
    elif (error := task.exception()) is not None:
        raise error


async def check(
    callers: list[Caller], plan: list[Making], storage: Slow, seen: Counter[str] | None = None
) -> None:
    """All of a day's callers, and what is true of each of them and of the storage."""
    reader = Reader(plan)
    async with SpeechCache(reader, storage=storage) as tts:
        await asyncio.gather(*(listen(tts, caller) for caller in callers))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(reader.now.values()), "nobody listens, and it goes on"
        await asyncio.sleep(10)
        assert len(tts._answers._flights) == 0
        assert not tts._answers._flights._looking
        stats = tts.stats()
        slow = storage.reading > 0.02
        if not storage.fails and not slow:
            assert max(reader.most_running.values(), default=0) <= 1 + sum(
                caller.leaves is not None for caller in callers
            )
            if not any(c.leaves is not None for c in callers) and all(
                m.fails_after is None for m in plan
            ):
                assert reader.asked == len({caller.text for caller in callers})
        assert stats.stored <= reader.whole
    for caller in callers:
        said = "".join(caller.heard)
        assert caller.text.startswith(said)
        if caller.end == "whole":
            # closed by another task: iteration ends quietly, wherever it is
            assert said == caller.text or caller.how == "close"
        if caller.end.endswith("Error"):
            assert not said
        if caller.end == "interrupted":
            assert any(m.fails_after is not None for m in plan)
        if seen is not None:
            seen[caller.end] += 1
    for entry in storage._kept.values():
        kept = decoded(entry.value)
        assert kept is not None
        audio = b"".join(kept.play(0, kept.chunks)).decode()[::PIECE]
        assert audio in {caller.text for caller in callers}, "a part was kept"
    await storage.aclose()


def test_every_interleaving_of_callers() -> None:
    """Each gets all of it, or a beginning and knows why; what is kept is whole; one at a time
    makes it; nothing is left under way.
    """
    seen: Counter[str] = Counter()

    async def scenario(rng: random.Random) -> None:
        plan = [
            Making(
                tuple(rng.choice(TIMES) for _ in range(3)),
                rng.choice((None, None, None, 0, 1, 2)),
            )
            for _ in range(rng.randint(1, 3))
        ]
        callers = [
            Caller(
                text=rng.choice(("abc", "abc", "abcd")),
                comes=rng.choice(TIMES),
                pace=rng.choice((0.0, 0.0, 0.1)),
                leaves=rng.choice((None, None, *TIMES)),
                how=rng.choice(("task", "cancel", "close")),
                entered=rng.random() < 0.7,
            )
            for _ in range(4)
        ]
        storage = Slow(
            rng.choice((0.0, 0.0, 0.01, 0.1)), rng.choice((0.0, 0.1)), rng.random() < 0.1
        )
        await check(callers, plan, storage, seen)

    interleavings(scenario, range(800))
    assert all(seen[end] > 20 for end in ("whole", "interrupted", "cancelled", "task cancelled")), (
        seen
    )


SECONDS = st.sampled_from(TIMES)
CALLERS = st.lists(
    st.builds(
        Caller,
        text=st.sampled_from(("a", "abc", "abcdef")),
        comes=SECONDS,
        pace=st.sampled_from((0.0, 0.1, 0.4)),
        leaves=st.none() | SECONDS,
        how=st.sampled_from(("task", "cancel", "close")),
        entered=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)
PLANS = st.lists(
    st.builds(
        Making,
        waits=st.tuples(SECONDS, SECONDS),
        fails_after=st.none() | st.integers(0, 3),
    ),
    min_size=1,
    max_size=3,
)


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


@settings(max_examples=150)
@given(
    callers=CALLERS,
    plan=PLANS,
    reading=st.sampled_from((0.0, 0.015, 0.5)),
    writing=st.sampled_from((0.0, 0.3)),
    fails=st.booleans(),
)
def test_whoever_comes_and_goes(
    callers: list[Caller], plan: list[Making], reading: float, writing: float, fails: bool
) -> None:
    """The same, as Hypothesis would have it."""
    run(check(callers, plan, Slow(reading, writing, fails)))
