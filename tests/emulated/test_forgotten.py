"""Clients that nobody closed, and whose event loop has ended: a script, or a notebook's cell."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from settling import eventually, open_sockets
from voicekit import ElevenLabsClient, OpenAIClient
from voicekit.emulator import Emulator
from voicekit.errors import WrongLoopError
from waiting import eventually as closed

pytestmark = [pytest.mark.emulated, pytest.mark.forgets]


@pytest.fixture(autouse=True)
def _said_here() -> Iterator[None]:
    """Whatever the collector would say of what is left, it says in this test."""
    yield
    gc.collect()


@pytest.fixture(params=["tcp", "tls"])
def world(request: pytest.FixtureRequest) -> Iterator[Any]:
    with Emulator.in_thread(
        providers=("elevenlabs", "openai"), scenario="instant", tls=request.param == "tls"
    ) as world:
        yield world


def voice(world: Any) -> ElevenLabsClient:
    ca = str(world.ca_file) if world.ca_file else None
    return ElevenLabsClient("k", base_url=world.elevenlabs.url, voice="v", ca=ca)


async def warmed(tts: ElevenLabsClient) -> ElevenLabsClient:
    await tts.warm(2)
    return tts


async def used(tts: ElevenLabsClient) -> ElevenLabsClient:
    await tts.synthesize("Hello.")
    return tts


async def fed(tts: ElevenLabsClient) -> ElevenLabsClient:
    """A socket is open, and another one is being dialled."""
    async with tts.open_speech() as speech:
        await speech.send("Hello. ")
        await speech.finish()
        async for _ in speech:
            pass
    return tts


def until_complete(work: Coroutine[Any, Any, Any]) -> Any:
    """As old scripts do it: nobody cancels what still runs."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


@pytest.fixture(params=["asyncio", "uvloop", "by hand"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    if request.param == "uvloop":
        return pytest.importorskip("uvloop").run  # type: ignore[no-any-return]
    return asyncio.run if request.param == "asyncio" else until_complete


@pytest.mark.filterwarnings("ignore:unclosed resource:ResourceWarning")  # uvloop, of its own end
@pytest.mark.parametrize("use", [used, warmed, fed], ids=lambda each: each.__name__)
def test_warned_of_once_and_freed(
    world: Any, run: Callable[..., Any], use: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One sentence, and no socket, task or traceback is left of it."""
    before = open_sockets()
    gc.collect()
    tts = run(use(voice(world)))
    with caplog.at_level(logging.WARNING), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del tts
        gc.collect()
    assert [str(each.message) for each in caught] == ["ElevenLabsClient was never closed"]
    assert caplog.records == []
    assert closed(lambda: open_sockets() <= before)


@pytest.mark.filterwarnings("ignore:unclosed resource:ResourceWarning")
def test_closed_in_another_loop(world: Any, run: Callable[..., Any]) -> None:
    """Where the one that opened it has ended; while it lives, only there."""
    before = open_sockets()
    tts = run(warmed(voice(world)))
    run(tts.aclose())
    run(tts.aclose())
    assert not tts.in_use
    assert closed(lambda: open_sockets() <= before)

    async def elsewhere() -> None:
        async with voice(world) as living:
            await living.warm(1)
            with pytest.raises(WrongLoopError):
                await asyncio.to_thread(asyncio.run, living.aclose())

    run(elsewhere())


def test_a_call_that_has_ended_keeps_nothing(world: Any) -> None:
    """No cycle: streams, calls and their client go when they are let go, not when the collector
    comes; what a busy process leaves to it are pauses.
    """
    ca = str(world.ca_file) if world.ca_file else None

    async def main() -> list[weakref.ref[Any]]:
        left: list[weakref.ref[Any]] = []
        async with (
            voice(world) as tts,
            OpenAIClient("k", base_url=world.openai.url, model="m", ca=ca) as llm,
        ):
            for _ in range(2):  # the first one imports
                left.clear()
                speech = tts.stream_speech("Hello.")
                async with speech:
                    assert [chunk async for chunk in speech]
                reply = llm.stream_chat("Hello")
                assert (await reply.result()).text
                left += map(weakref.ref, (speech, reply))
                del speech, reply
        return left

    gc.collect()
    gc.disable()
    try:
        assert [each() for each in asyncio.run(main())] == [None, None]
    finally:
        gc.enable()


def test_what_ends_with_its_loop_begins_nothing(world: Any) -> None:
    """The last turns of a loop, in which every task is cancelled, are no time to dial anew."""

    async def main() -> None:
        tts = await warmed(voice(world))
        kept.append(tts)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.05)
        assert tts.stats().dialing == 0
        dialled = tts.stats().opened
        assert await eventually(lambda: tts.stats().opened > dialled)  # it goes on all the same
        await tts.aclose()

    kept: list[ElevenLabsClient] = []
    asyncio.run(main())
