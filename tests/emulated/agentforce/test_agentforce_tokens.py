"""The token of an app: one for all, renewed ahead, and again when it is refused."""

from __future__ import annotations

import asyncio

import pytest
from agent_world import AGENT, ANSWER, SECRET, asked, world_and_client

from settling import until
from voicekit import health
from voicekit.clients.agentforce import AgentforceClient
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    RateLimitError,
    UnavailableError,
)
from voicekit.resilience import NO_POLICIES

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

WRONG = {"error": "invalid_client", "error_description": "invalid client credentials"}
REFUSED = Fault("status", status=401, operation="messages")


async def test_one_token_for_all_who_begin() -> None:
    """However many, from nothing."""
    async with world_and_client() as (world, agents):
        sessions = await asyncio.gather(*(agents.open_session().session() for _ in range(20)))
        assert len({session.id for session in sessions}) == 20
        assert asked(world, "token") == [200]


async def test_a_refused_token_is_replaced_once_for_all() -> None:
    """Ten messages meet the same 401: one new token, each said again once, on warm sockets."""
    async with world_and_client() as (world, agents):
        sessions = await asyncio.gather(*(agents.open_session().session() for _ in range(10)))
        opened = agents.stats().opened
        old = agents._credential.last()
        world.inject("agentforce", Fault("status", status=401, operation="messages", times=10))
        answers = await asyncio.gather(*(session.send("hi") for session in sessions))
        assert {each.text for each in answers} == {ANSWER}
        assert {each.attempts for each in answers} <= {1, 2}
        assert agents._credential.last() != old
        assert len(asked(world, "token")) == 2
        assert asked(world, "messages").count(200) == 10
        assert agents.stats().opened == opened
        assert (await sessions[0].send("hi")).attempts == 1


async def test_a_token_that_is_refused_again_is_an_error() -> None:
    """One repeat, no loop; the credential rests, and works again with the next token."""
    async with world_and_client() as (world, agents):
        session = await agents.open_session()
        world.inject("agentforce", Fault("status", status=401, operation="messages", times=2))
        with pytest.raises(AuthenticationError) as caught:
            await session.send("hi")
        assert (caught.value.attempts, caught.value.outcome) == (2, "not_applied")
        assert asked(world, "token", "messages") == [200, 401, 200, 401]
        with pytest.raises(CircuitOpenError):
            await session.send("hi")
        agents.rotate_key(SECRET + "2")
        assert (await session.send("hi")).text == ANSWER


async def test_a_token_is_renewed_in_the_background() -> None:
    """Before it ends; nobody waits for it, and no connection is given up."""
    short = Scenario(name="test", agent_replies=ANSWER, agent_token_lifetime=1.5)
    async with world_and_client(short) as (world, agents):
        session = await agents.open_session()
        await until(lambda: len(asked(world, "token")) >= 2)
        answer = await session.send("hi")
        assert (answer.attempts, answer.connection is not None) == (1, True)


async def test_a_call_that_is_cancelled_takes_no_token_from_the_others() -> None:
    """The fetch is the client's own."""
    late = Scenario(name="test", agent_replies=ANSWER, agent_token_issue=0.1)
    async with world_and_client(late) as (world, agents):
        first = asyncio.create_task(agents.open_session().session())
        second = asyncio.create_task(agents.open_session().session())
        await until(lambda: world.journal.requests_for("agentforce", "token"))
        first.cancel()
        assert (await second).id
        assert asked(world, "token") == [200]


async def test_a_wrong_secret_is_not_tried_again_and_again() -> None:
    """The vendor counts logins: the org is asked once, then it rests."""
    async with world_and_client(client_secret="bad-key") as (world, agents):
        with pytest.raises(AuthenticationError) as caught:
            await agents.open_session()
        assert caught.value.code == "invalid_client"
        assert "bad-key" not in repr(caught.value)
        for _ in range(20):
            with pytest.raises(CircuitOpenError):
                await agents.open_session()
        assert asked(world, "token") == [400]
        await _is(agents, "down", "credential refused: AuthenticationError 400 invalid_client")
        agents.rotate_key(SECRET)
        async with agents.open_session() as session:
            assert session.id
        await _is(agents, "ok")


async def test_a_secret_refused_while_a_token_is_in_force_degrades() -> None:
    """Calls go on with the token at hand; without it, nothing works."""
    async with world_and_client() as (world, agents), agents.open_session() as session:
        world.inject("agentforce", Fault("status", status=400, operation="token", body=WRONG))
        with pytest.raises(AuthenticationError):
            await agents._token_client.fetch()  # type: ignore[union-attr]
        assert (await session.send("hi")).text == ANSWER
        await _is(agents, "degraded", "credential refused")
        agents._tokens.clear()  # type: ignore[union-attr]
        await _is(agents, "down", "credential refused")
        agents.rotate_key(SECRET)


async def test_an_org_that_gives_no_token_is_down() -> None:
    """Whatever went well before: no call is made without one."""
    async with world_and_client() as (world, agents):
        async with agents.open_session() as session:
            await session.send("hi")
        agents._tokens.clear()  # type: ignore[union-attr]
        world.inject("agentforce", Fault("status", status=500, operation="token", times=None))
        agents.breaker("token").force_open()
        with pytest.raises(CircuitOpenError):
            await agents.open_session()
        await _is(agents, "down", "circuit open: token")


async def test_a_probe_finds_a_refused_secret() -> None:
    """A client that was never used: its connection opens, its token is refused."""
    async with Emulator(providers=("agentforce",)) as world:
        url = world.agentforce.url
        async with AgentforceClient(
            client_id="app", client_secret="bad-key", domain=url, base_url=url, policies=NO_POLICIES
        ) as agents:
            await _is(agents, "down", "probe: AuthenticationError")
            assert agents.stats().ready == 1


async def _is(agents: AgentforceClient, state: str, reason: str = "") -> None:
    watch = health(agents, every=0.0)
    report = await watch.check(fresh=True)
    await watch.aclose()
    assert report.state == state
    assert reason in "; ".join(report.clients["agentforce"].reasons)


async def test_too_many_logins_are_not_repeated() -> None:
    """A loop would make it worse."""
    body = {"error": "access_denied", "error_description": "login rate exceeded"}
    async with world_and_client() as (world, agents):
        world.inject("agentforce", Fault("status", status=403, operation="token", body=body))
        with pytest.raises(RateLimitError) as caught:
            await agents.open_session()
        assert not caught.value.retryable
        assert asked(world, "token") == [403]


async def test_the_org_may_be_asked_again() -> None:
    """On 503: a token is read, and nothing but a token."""
    async with world_and_client() as (world, agents):
        world.inject("agentforce", Fault("status", status=503, operation="token", times=2))
        async with agents.open_session() as session:
            assert session.attempts == 1
        assert asked(world, "token") == [503, 503, 200]
        world.inject("agentforce", Fault("status", status=503, operation="token", times=9))
        agents._tokens.clear()  # type: ignore[union-attr]
        with pytest.raises(UnavailableError) as caught:
            await agents.open_session()
        assert caught.value.outcome == "not_applied"


async def test_a_token_of_ones_own() -> None:
    """Given as it is, or by a callable that is asked again when it is refused."""
    async with world_and_client() as (world, agents):
        await agents.warm(1)
        token = agents._credential.last() or await agents._credential.get()
        given = {"domain": world.agentforce.url, "agent_id": AGENT}
        url = world.agentforce.url
        async with AgentforceClient(token, base_url=url, **given) as own:
            assert (await (await own.open_session()).send("hi")).text == ANSWER
        tokens = iter(["nobody's.own.token", token, token])

        async def ask() -> str:
            return next(tokens)

        own = AgentforceClient(ask, base_url=url, **given)
        async with own, own.open_session() as session:
            assert session.attempts == 2
        assert asked(world, "token") == [200]


async def test_the_status_is_asked_with_the_token() -> None:
    """Whether that is needed is unverified."""
    async with world_and_client() as (world, agents):
        status = await agents.status(extra_query={"a": "b"})
        assert (status.up, status.attempts) == (True, 1)
        (record,) = world.journal.requests_for("agentforce", "status")
        assert record.headers.get("authorization")
        world.inject("agentforce", Fault("status", status=200, operation="status", body={"s": 1}))
        assert not (await agents.status()).up
