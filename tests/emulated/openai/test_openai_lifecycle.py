"""Cancelling, leaving early, and handles that wander between tasks: prompt, and nothing leaks."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from chat_world import ANSWER, APART, PACED, world_and_client

from fault_limits import SHORT
from settling import settled, steps
from voicekit.clients.openai import OpenAIClient
from voicekit.emulator import Fault, Scenario
from voicekit.errors import ClosedError, StreamInterruptedError, VoicekitError
from voicekit.transport.config import PoolConfig
from voicekit.transport.transport import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

SLOW = Scenario(name="test", replies=ANSWER, chat_first_token=30.0)


def ours() -> set[str]:
    """Tasks of the library's that wait for something, keepers and sweepers aside."""
    names = {task.get_name() for task in asyncio.all_tasks()}
    return {name for name in names if name.startswith(("voicekit-drain", "victim"))}


async def entered(llm: OpenAIClient) -> str:
    async with llm.stream_chat("hi") as reply:
        return "".join([text async for text in reply])


async def iterated(llm: OpenAIClient) -> str:
    return "".join([text async for text in llm.stream_chat("hi")])


async def awaited(llm: OpenAIClient) -> str:
    reply = await llm.stream_chat("hi")
    return "".join([text async for text in reply])


async def whole(llm: OpenAIClient) -> str:
    return (await llm.chat("hi")).text


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("use", [entered, iterated, awaited, whole])
async def test_cancelled_at_every_await(use, warm) -> None:
    """After any number of steps: CancelledError at once, no task, no leased connection left."""
    async with world_and_client(pool=PoolConfig(min_ready=1)) as (_, llm):
        if warm:
            await llm.warm(1)
        finished = 0
        for count in range(3000):
            task = asyncio.create_task(use(llm), name="victim")
            await steps(task, count)
            task.cancel()
            try:
                assert await task == ANSWER
                finished += 1
            except asyncio.CancelledError:
                pass
            await settled(llm)
            if finished:
                break
        assert finished
        assert count > 5
        assert not ours()
        assert await whole(llm) == ANSWER
        assert llm.stats().open <= 20


async def test_a_waiting_call_is_cancelled_promptly() -> None:
    """While the server thinks, nothing delays the cancellation or keeps its connection."""
    async with world_and_client(SLOW) as (world, llm):
        for use in (entered, whole):
            task = asyncio.create_task(use(llm), name="victim")
            async with asyncio.timeout(2):
                while not world.journal.requests:
                    await asyncio.sleep(0.005)
            started = world.journal.now()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert world.journal.now() - started < 0.5
            assert llm.stats().leased == 0
            world.journal.clear()


async def test_cancelling_one_read_loses_nothing_in_an_entered_stream() -> None:
    """The next read goes on where the cancelled one waited."""
    async with world_and_client(PACED) as (_, llm), llm.stream_chat("hi") as reply:
        got = []
        while True:
            task = asyncio.create_task(reply.__anext__())
            await steps(task, 3)
            if not task.done():
                task.cancel()
            try:
                got.append(await task)
            except asyncio.CancelledError:
                await asyncio.sleep(0.001)
            except StopAsyncIteration:
                break
        assert "".join(got) == ANSWER


async def test_barge_in_ends_iteration_quietly() -> None:
    """``cancel()`` from another task: no error, the connection is freed, the next turn works."""
    async with world_and_client(APART) as (world, llm):
        await llm.warm(1)
        for _ in range(5):
            async with llm.stream_chat("hi") as reply:
                got = []
                async for text in reply:
                    got.append(text)
                    if len(got) == 2:
                        asyncio.get_running_loop().call_soon(
                            lambda r=reply: asyncio.ensure_future(r.cancel())
                        )
                assert ANSWER.startswith("".join(got))
                assert "".join(got) != ANSWER
                assert reply.cancelled
        await settled(llm)
        world.set_scenario(PACED)
        assert await whole(llm) == ANSWER


async def test_leaving_early_frees_the_connection() -> None:
    """Breaking out of the loop or never iterating aborts the answer at the server."""
    async with world_and_client(APART) as (world, llm):
        async with llm.stream_chat("hi") as reply:
            async for _ in reply:
                break
        async with llm.stream_chat("hi"):
            pass
        assert llm.stats().leased == 0
        async with asyncio.timeout(2):
            while any(r.finished_at is None for r in world.journal.requests):
                await asyncio.sleep(0.005)
        assert [r.outcome for r in world.journal.requests] == ["aborted", "aborted"]


async def test_three_tasks_may_share_the_life_of_a_handle() -> None:
    """Entered in one, iterated in another, closed in a third: the same text."""

    async def read(reply) -> str:
        return "".join([text async for text in reply])

    async with world_and_client(PACED) as (_, llm):
        reply = llm.stream_chat("hi")
        await asyncio.create_task(reply.__aenter__())
        assert await asyncio.create_task(read(reply)) == ANSWER
        await asyncio.create_task(reply.__aexit__(None, None, None))
        assert reply.finish_reason == "stop"


async def test_a_handle_closed_while_it_opens_opens_nothing() -> None:
    """The opener is told, and the connection goes back."""
    async with world_and_client(Scenario(name="test", replies=ANSWER, chat_first_token=0.05)) as (
        _,
        llm,
    ):
        reply = llm.stream_chat("hi")

        async def open_it() -> None:
            await reply

        opening = asyncio.create_task(open_it())
        await steps(opening, 5)
        await reply.aclose()
        with pytest.raises(ClosedError):
            await opening
        await settled(llm)


async def test_closing_the_client_ends_what_is_open() -> None:
    """A stream that is being read fails typed when its client is closed under it."""
    async with world_and_client(APART) as (_, llm), llm.stream_chat("hi") as reply:
        await reply.__anext__()
        await llm.aclose()
        with pytest.raises(StreamInterruptedError):
            async for _ in reply:
                pass


async def test_a_shared_transport_outlives_its_clients() -> None:
    """Clients that were given a transport use one pool and leave it open."""
    async with world_and_client() as (world, other):
        async with Transport() as transport:
            for _ in range(3):
                async with OpenAIClient(
                    "k", base_url=world.openai.url, model="m", transport=transport
                ) as llm:
                    assert (await llm.chat("hi")).text == ANSWER
            assert transport.stats().opened == 1
        assert other.stats().opened == 0


async def test_the_pool_is_sane_after_faults() -> None:
    """Failed, timed-out and broken streams leave no lease behind, and few connections."""
    async with world_and_client(PACED, limits={"stream_chat": SHORT}) as (world, llm):
        kinds = ("reset", "close", "stall", "html", "in_stream_error", "no_end_marker", "silence")
        await llm.warm(2)
        for number in range(14):
            world.inject("openai", Fault(kinds[number % 7], after_events=number % 3))
            with contextlib.suppress(VoicekitError):
                await llm.stream_chat("hi").result()
        await settled(llm)
        stats = llm.stats()
        assert stats.leased == 0
        assert 1 <= stats.open <= 3
        assert (await llm.chat("hi")).text == ANSWER
