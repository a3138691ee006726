"""One upstream, any number of listeners, none of whom notices the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from voicekit import (
    AudioChunk,
    AudioFormat,
    ClosedError,
    ConnectionLostError,
    EngineSpeech,
    LocalProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
    WrongLoopError,
    deadline,
)
from voicekit.cache.follower import Follower
from voicekit.cache.tape import Tape
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.streams import SpeechStream
from voicekit.tasks import Background
from voicekit.testing.clock import VIRTUAL

pytestmark = pytest.mark.anyio

FORMAT = AudioFormat.parse("pcm_24000")
PIECE = 480
ALONE = Operation(
    provider="fake", name="stream_speech", kind=OperationClass.COMPUTE, limits=Limits(connect=None)
)


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


class World:
    """A tape over an engine that says pieces, waits and fails as its script says."""

    def __init__(self, *script: Any, most: int = 1 << 20) -> None:
        self.background = Background()
        self.script = script or ("a", 1.0, "b", 1.0, "c")
        self.starts = 0
        self.given = 0
        self.closed = 0
        self.ended: list[list[Any]] = []
        self.done = 0
        self.most = most
        self.tape: Tape[AudioChunk] = Tape(
            self.start,
            self.background,
            read=SpeechStream.take,
            size_of=len,
            most=most,
            ended=self.note,
            done=self.over,
        )

    async def note(self, tape: Tape[AudioChunk]) -> None:
        self.ended.append(list(tape.items))

    def over(self, _tape: Tape[AudioChunk]) -> None:
        self.done += 1

    def start(self) -> SpeechStream:
        self.starts += 1
        return EngineSpeech(self.speak(), format=FORMAT, provider="fake")

    async def speak(self) -> AsyncIterator[bytes]:
        try:
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, str):
                    self.given += 1
                    yield step.encode() * PIECE
                else:
                    await asyncio.sleep(step)
        finally:
            self.closed += 1

    def listener(self) -> SpeechStream:
        """A handle that joins when it is opened."""

        async def joined() -> Any:
            follower = Follower(self.tape)
            self.tape.join(follower)
            return await self.tape.open(Call(ALONE), follower)

        return SpeechStream(joined, format=FORMAT)


async def everything(stream: SpeechStream, into: list[bytes] | None = None) -> str:
    said = into if into is not None else []
    async with stream:
        async for chunk in stream:
            said.append(bytes(chunk))
    return spelled(said)


def spelled(chunks: list[bytes]) -> str:
    return b"".join(chunks).decode()[::PIECE]


async def test_whoever_joins_mid_stream_hears_it_from_the_beginning() -> None:
    """And no later than the first one from then on."""
    world = World()
    first = asyncio.create_task(everything(world.listener()))
    await asyncio.sleep(1.5)
    late = world.listener()
    began = asyncio.get_running_loop().time()
    async with late:
        assert asyncio.get_running_loop().time() == began
        assert spelled([bytes(chunk) async for chunk in late]) == "abc"
    assert await first == "abc"
    assert world.starts == 1
    assert world.closed == 1
    assert spelled(world.ended[0]) == "abc"
    await world.background.aclose()


async def test_the_last_that_leaves_stops_the_upstream() -> None:
    """Not one of many; and nothing is kept of a part."""
    world = World()
    one, other = world.listener(), world.listener()
    await asyncio.gather(one, other)
    await one.cancel()
    await asyncio.sleep(1.2)
    assert world.tape.followers == 1
    await other.cancel()
    assert not world.tape.joinable
    await asyncio.sleep(0.1)
    assert world.closed == 1
    assert world.given == 2
    assert world.ended == []
    assert world.done == 1


async def test_a_leader_that_is_cancelled_while_it_opens_costs_the_followers_nothing() -> None:
    """They have joined what is being opened; it goes on."""
    world = World(1.0, "a", "b")
    leader = asyncio.create_task(everything(world.listener()))
    await asyncio.sleep(0.2)
    followers = [asyncio.create_task(everything(world.listener())) for _ in range(3)]
    await asyncio.sleep(0.2)
    leader.cancel()
    assert await asyncio.gather(*followers) == ["ab"] * 3
    assert world.starts == 1


async def test_a_failure_before_the_first_output_is_everybodys() -> None:
    """Each has an error of his own, with a traceback of his own."""
    world = World(1.0, UnavailableError("no", status=503))
    results = await asyncio.gather(
        *(everything(world.listener()) for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(each, UnavailableError) and each.status == 503 for each in results)
    assert len({id(each) for each in results}) == 5
    assert len({id(each.__traceback__) for each in results}) == 5  # type: ignore[union-attr]
    assert [each.attempts for each in results] == [1, 0, 0, 0, 0]  # type: ignore[union-attr]
    assert not world.tape.joinable
    assert world.ended == []


async def test_what_broke_off_says_to_each_what_he_was_given() -> None:
    """One who reads slowly gets all that came before, too."""
    world = World("a", 1.0, "b", 1.0, ConnectionLostError("gone"))
    quick, slow = world.listener(), world.listener()
    heard: list[bytes] = []
    await slow
    with pytest.raises(StreamInterruptedError) as caught:
        await everything(quick, heard)
    assert spelled(heard) == "ab"
    assert caught.value.delivered_bytes == 2 * PIECE
    assert isinstance(caught.value.__cause__, ConnectionLostError)
    heard.clear()
    with pytest.raises(StreamInterruptedError) as own:
        await everything(slow, heard)
    assert spelled(heard) == "ab"
    assert own.value.delivered_bytes == 2 * PIECE
    assert own.value.__cause__ is not caught.value.__cause__
    assert own.value.message == "broke off: gone"


async def test_nobodys_deadline_reaches_what_is_shared() -> None:
    """The leader's own is kept all the same."""
    world = World(1.0, "a", "b")

    async def hurried() -> None:
        with deadline(0.5):
            await everything(world.listener())

    leader = asyncio.create_task(hurried())
    await asyncio.sleep(0)
    follower = asyncio.create_task(everything(world.listener()))
    with pytest.raises(TotalTimeout) as caught:
        await leader
    assert caught.value.outcome == "unknown"
    assert await follower == "ab"


async def test_an_engine_that_raises_anything_is_unavailable_to_all() -> None:
    """A start that raises, too: nobody waits for what never comes."""
    world = World()

    def broken() -> Any:
        raise KeyError("secret words")

    world.tape._start = broken
    with pytest.raises(UnavailableError, match="KeyError") as caught:
        await everything(world.listener())
    assert "secret" not in str(caught.value)


async def test_closing_the_owner_ends_everybody() -> None:
    """Who is opening, and who is listening; also before the task took its first step."""
    world = World()
    listening = world.listener()
    await listening
    assert await anext(listening)
    await world.background.aclose()
    with pytest.raises(StreamInterruptedError):
        await anext(listening)
    again = World()
    opening = asyncio.create_task(everything(again.listener()))
    await asyncio.sleep(0)
    await again.background.aclose()
    with pytest.raises(ClosedError):
        await opening
    assert again.done == 1


async def test_beyond_the_bound_one_listener_is_read_for_as_it_listens() -> None:
    """Memory stays bounded and the upstream waits, as a connection would; nothing is lost."""
    world = World(*"abcdefghijklmnop", most=4 * PIECE)
    stream = world.listener()
    said = [bytes(await anext(stream))]
    await asyncio.sleep(1)
    assert world.given < 8
    assert world.tape.overflowed
    assert not world.tape.joinable
    async for chunk in stream:
        said.append(bytes(chunk))
        await asyncio.sleep(0.1)
        assert world.tape.size <= 5 * PIECE
    assert spelled(said) == "abcdefghijklmnop"


async def test_one_that_stands_still_holds_up_nobody() -> None:
    """It gets a typed error for what is held no more; the others get everything."""
    world = World(*"abcdefghijklmnop", most=4 * PIECE)
    still, quick = world.listener(), world.listener()
    await still
    assert await everything(quick) == "abcdefghijklmnop"
    heard: list[bytes] = []
    with pytest.raises(StreamInterruptedError) as caught:
        await everything(still, heard)
    assert isinstance(caught.value.__cause__, LocalProtocolError)
    assert caught.value.delivered_bytes == sum(map(len, heard))
    assert "abcdefghijklmnop".startswith(spelled(heard))


def sweep_steps() -> list[int]:
    return list(range(1, 24))


@pytest.mark.parametrize("steps", sweep_steps())
@pytest.mark.parametrize("who", [0, 1])
async def test_a_cancellation_anywhere_leaves_the_others_whole(steps: int, who: int) -> None:
    """The leader or a follower, at each step of theirs."""
    world = World("a", 0.0, "b", 0.0, "c")
    tasks = [asyncio.create_task(everything(world.listener())) for _ in range(2)]
    for _ in range(steps):
        await asyncio.sleep(0)
    tasks[who].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[1 - who] == "abc"
    assert world.starts == 1
    assert world.tape.followers == 0
    await asyncio.sleep(1)
    assert len(world.background) == 0


async def test_another_loop_is_refused() -> None:
    """What is being made belongs to the loop that makes it."""
    world = World()
    stream = world.listener()
    await stream

    def elsewhere() -> None:
        async def join() -> None:
            world.tape.join(Follower(world.tape))

        asyncio.run(join())

    with pytest.raises(WrongLoopError):
        await asyncio.to_thread(elsewhere)
    await stream.aclose()
    with pytest.raises(LocalProtocolError):
        world.tape.join(Follower(world.tape))
    await asyncio.sleep(0.1)


async def test_who_follows_may_be_cancelled_and_go_on() -> None:
    """Cancelled inside ``anext`` it has lost nothing, as any handle of ours."""
    world = World()
    async with world.listener() as stream:
        said = [bytes(await anext(stream))]
        task = asyncio.create_task(anext(stream))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        said += [bytes(chunk) async for chunk in stream]
    assert spelled(said) == "abc"


async def test_it_is_released_with_its_last_listener_once_nobody_can_join() -> None:
    """Not before: who listens gets everything, and nothing is held for nobody."""
    world = World("a", "b")
    stream = world.listener()
    await stream
    await asyncio.sleep(1)
    world.tape.retire()
    assert not world.tape.joinable
    assert len(world.tape.items) == 2
    assert await everything(stream) == "ab"
    assert world.tape.items == []
    assert stream.ended
