"""Caches of answers and sessions as type checkers see them."""

from __future__ import annotations

from typing import assert_type

from voicekit import Agent, AgentforceClient, ChatModel, OpenAIClient, ResponseCache, SessionStore
from voicekit.cache.response_agent import CachedAgent
from voicekit.cache.response_chat import CachedChat
from voicekit.speech import AgentAnswer, ChatResult
from voicekit.streams import AgentReply, TextStream


async def chat() -> None:
    """Around a chat model it is one."""
    scope = {"tenant": "acme"}
    llm = ResponseCache(OpenAIClient(model="m"), ttl=lambda question, answer: 5.0, scope=scope)
    assert_type(llm, CachedChat)
    model: ChatModel = llm
    async with llm:
        assert_type(await model.chat([]), ChatResult)
        assert_type(await llm.chat("x"), ChatResult)
        async with llm.stream_chat("x") as reply:
            assert_type(reply, TextStream)
    ResponseCache(OpenAIClient(), history_variable="x")  # type: ignore[call-overload]
    ResponseCache(object())  # type: ignore[call-overload]


async def agent() -> None:
    """Around an agent as well, with sessions."""
    agents = ResponseCache(AgentforceClient(), history_variable="EarlierTurns")
    assert_type(agents, CachedAgent)
    same: Agent = agents
    async with SessionStore(same) as store, store.session("k") as session:
        assert_type(await session.send("x"), AgentAnswer)
        assert_type(session.stream_message("x"), AgentReply)
    async with agents.open_session("k") as cached:
        assert_type(await cached.send("x"), AgentAnswer)
    SessionStore(AgentforceClient(), ttl="1")  # type: ignore[arg-type]
