"""A cached OpenAI model; the twin's journal says what was asked of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from answering_world import ANSWER, QUESTION, chat_and_world, saying

from settling import until
from voicekit import OpenAIClient, ResponseCache, fallback
from voicekit.cache import MemoryStorage
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.errors import ConnectError, StreamInterruptedError
from voicekit.testing.conformance import CHAT_MODEL_CHECKS

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]


def asked(world: Emulator) -> int:
    return len([r for r in world.journal.requests_for("openai") if "chat" in r.operation])


async def test_one_request_for_many_spellings_and_callers() -> None:
    """Streams and whole answers, before, during and after."""
    slow = Scenario(name="test", replies=ANSWER, chat_first_token=0.05, chat_token_gap=0.01)
    async with chat_and_world(slow) as (world, llm), ResponseCache(llm, close=False) as cached:

        async def one(number: int) -> str:
            if number % 2:
                return (await cached.chat(f" {QUESTION.upper()}")).text
            async with cached.stream_chat(QUESTION) as reply:
                return "".join([delta async for delta in reply])

        answers = await asyncio.gather(*(one(number) for number in range(50)))
        assert set(answers) == {ANSWER}
        assert asked(world) == 1
        await until(lambda: cached.stats().stored)
        again = await cached.chat("when are you open")
        assert (again.text, again.cache, again.usage) == (ANSWER, "hit", None)
        assert asked(world) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"n": 2},
        {"logprobs": True},
    ],
)
async def test_what_may_act_or_say_more_is_asked_again(options: dict[str, Any]) -> None:
    """In a call's options as in the constructor's."""
    async with chat_and_world() as (world, llm):
        async with ResponseCache(llm, close=False) as cached:
            for _ in range(2):
                assert (await cached.chat(QUESTION, **options)).cache is None
        async with ResponseCache(llm.with_options(**options), close=False) as cached:
            for _ in range(2):
                assert (await cached.chat(QUESTION)).cache is None
        assert asked(world) == 4


async def test_models_and_instructions_do_not_share() -> None:
    """All of the request but the spelling of the question is in the key."""
    async with chat_and_world() as (world, llm), ResponseCache(llm, close=False) as cached:
        system = {"role": "system", "content": "Be brief."}
        user = {"role": "user", "content": QUESTION}
        for options in ({}, {"model": "gpt-y"}, {"temperature": 0.5}, {"seed": 1}):
            for messages in ([user], [system, user]):
                assert (await cached.chat(messages, **options)).cache is None
                await until(lambda: cached.stats().stored == asked(world))
                assert (await cached.chat(messages, **options)).cache == "hit"
        assert asked(world) == 8


async def test_what_was_cut_is_not_kept() -> None:
    """The connection breaks in the middle: what was heard is told, the next one asks again."""
    async with chat_and_world() as (world, llm), ResponseCache(llm, close=False) as cached:
        world.inject("openai", Fault("reset", after_events=3))
        with pytest.raises(StreamInterruptedError):
            await cached.stream_chat(QUESTION).result()
        assert cached.stats().stored == 0
        assert (await cached.chat(QUESTION)).cache is None


async def test_the_second_provider_s_answer_is_kept_under_its_own_name() -> None:
    """A fallback inside: what one member said is never found as another's."""
    storage = MemoryStorage()
    async with (
        chat_and_world(saying()) as (world, good),
        OpenAIClient(api_key="key", base_url="http://127.0.0.1:9", model="gpt-other") as dead,
        ResponseCache(
            fallback(dead, good, names=("dead", "good"), close=False),
            storage=storage,
            close=False,
        ) as both,
        ResponseCache(dead, storage=storage, close=False) as only_dead,
        ResponseCache(good, storage=storage, close=False) as only_good,
    ):
        async with both.stream_chat(QUESTION) as reply:
            assert "".join([delta async for delta in reply]) == ANSWER
        await until(lambda: both.stats().stored)
        assert (await only_good.chat(QUESTION)).cache == "hit"
        assert (await both.chat(QUESTION)).cache == "hit"
        with pytest.raises(ConnectError):
            await only_dead.chat(QUESTION)
        assert asked(world) == 1


async def test_one_model_at_two_places_is_two() -> None:
    """A gateway or a server of one's own may call its model by the same name."""
    storage = MemoryStorage()
    async with chat_and_world() as (_, one), chat_and_world() as (_, two):
        caches = [ResponseCache(llm, storage=storage, close=False) for llm in (one, two)]
        both = ResponseCache(
            fallback(one, two, close=False, names=("one", "two")), storage=storage, close=False
        )
        for cached in (*caches, both):
            assert (await cached.chat(QUESTION)).cache is None
            await until(lambda cached=cached: cached.stats().stored)  # type: ignore[misc]
            assert (await cached.chat(QUESTION)).cache == "hit"
        for cached in (*caches, both):
            await cached.aclose()


@pytest.mark.parametrize("check", CHAT_MODEL_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("filled", [False, True])
async def test_it_passes_the_checks_for_a_chat_model(check: Any, filled: bool) -> None:
    """As any engine must: first time, and answered from a storage that other ones have filled."""
    storage = MemoryStorage()

    async with Emulator(providers=("openai",), scenario="instant") as world:

        def make() -> Any:
            inner = OpenAIClient(model="gpt-test", api_key="k", base_url=world.openai.url)
            return ResponseCache(inner, storage=storage)

        if filled:
            await check(make)
        await check(make)
