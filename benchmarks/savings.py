"""``savings``: how many agent calls a cache of answers saves, and whether its answers are right.

10,000 conversations begin with one of 2,000 questions, drawn by Zipf's law, in one of five
spellings that differ only in what the normaliser folds; 500 of them go on with a word that means
something only after what was said before. Agent calls are the messages in the emulator's journal;
without a cache there is one for each thing that is said. Each answer is compared with the one that
the emulated agent gives to that very spelling when it is asked without a cache.

Beside it, without a goal: the same with spellings in other words, of which each is a question of
its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from benchmarks import savings_trace as said
from benchmarks.measure import Goal, Result
from voicekit import AgentforceClient, PoolConfig
from voicekit.cache import ResponseCache
from voicekit.emulator import EmulatorProcess

LEAST_SAVED = 80.0
"""Per cent."""

CALLERS = 16
HISTORY = "EarlierTurns"


def run() -> Result:
    result = Result("savings")
    with EmulatorProcess(providers=("agentforce",), scenario=said.scripted()) as world:
        for kind in said.KINDS:
            asyncio.run(_measure(world, kind, result))
    return result


def _agent(world: Any) -> AgentforceClient:
    env = world.env()
    return AgentforceClient(
        client_id=env["AGENTFORCE_CLIENT_ID"],
        client_secret=env["AGENTFORCE_CLIENT_SECRET"],
        agent_id=env["AGENTFORCE_AGENT_ID"],
        domain=world.agentforce.url,
        base_url=world.agentforce.url,
        pool=PoolConfig(max_connections=2 * CALLERS, max_idle=2 * CALLERS),
    )


async def _uncached(world: Any, asked: list[said.Asked]) -> dict[str, str]:
    """What the agent itself answers to each thing that is said."""
    words = {each.question for each in asked} | {each.then for each in asked if each.then}
    queue = iter(words)
    answers: dict[str, str] = {}

    async def ask(agent: AgentforceClient) -> None:
        async with agent.open_session() as session:
            for text in queue:
                answers[text] = (await session.send(text)).text

    async with _agent(world) as agent, asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(ask(agent))
    return answers


async def _measure(world: Any, kind: str, result: Result) -> None:
    asked = said.trace(kind)
    right = await _uncached(world, asked)
    world.clear_journal()
    queue = iter(asked)
    wrong: list[said.Asked] = []
    async with ResponseCache(_agent(world), history_variable=HISTORY) as agents:
        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(_converse(agents, queue, right, wrong))
        stats = agents.stats()
    journal = await asyncio.to_thread(lambda: world.journal)
    if journal.dropped:
        raise RuntimeError("the journal has forgotten some of the requests")
    calls = len(journal.requests_for("agentforce", "messages"))
    messages = len(asked) + sum(each.then is not None for each in asked)
    saved = round((1 - calls / messages) * 100, 2)
    if kind == "folding":
        result.goals += [
            Goal(
                f"agent calls saved of {messages}, % (journal)",
                saved,
                (saved, saved),
                LEAST_SAVED,
                "higher",
                saved >= LEAST_SAVED,
            ),
            Goal(
                "answers other than the agent's uncached one",
                len(wrong),
                (len(wrong), len(wrong)),
                0,
                "lower",
                not wrong,
            ),
        ]
    result.rows.append(
        {
            "spellings": kind,
            "messages": messages,
            "agent_calls": calls,
            "saved_percent": saved,
            "hits": stats.hits,
            "joined": stats.joined,
            "questions": len({each.question for each in asked}),
            "intents": len({each.intent for each in asked}),
            "wrong": len(wrong),
        }
    )


async def _converse(
    agents: Any, queue: Iterator[said.Asked], right: dict[str, str], wrong: list[said.Asked]
) -> None:
    for each in queue:
        async with agents.open_session() as session:
            answer = await session.send(each.question)
            good = answer.text == right[each.question]
            if each.then is not None:
                more = await session.send(each.then)
                good = good and more.text == right[each.then] and more.cache is None
        if not good:
            wrong.append(each)
