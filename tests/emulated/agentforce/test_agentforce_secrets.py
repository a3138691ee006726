"""A server that quotes what it was sent; an owner who forgets to close."""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
import warnings

import pytest
from agent_world import AGENT, SECRET, world_and_client

from settling import until
from voicekit.clients.agentforce import AgentforceClient
from voicekit.emulator import Emulator, Fault
from voicekit.errors import ProviderError, VoicekitError
from voicekit.resilience import NO_POLICIES
from voicekit.testing import RecordingObserver

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "MARKEDTEXT MARKEDTEXT"


def all_of(error: BaseException) -> str:
    """Whatever an error shows to who prints it, its causes too."""
    shown = "".join(traceback.format_exception(error))
    each: BaseException | None = error
    while each is not None:
        kept = {k: v for k, v in vars(each).items() if k != "detail"}
        shown += f"{each!r}{each!s}{each.args!r}{kept!r}"
        each = each.__cause__ or each.__context__
    return shown


async def test_the_secret_of_the_app_is_taken_out_of_what_the_org_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also out of ``detail``, and whatever header quotes it."""
    caplog.set_level(logging.DEBUG)
    seen = RecordingObserver()
    echo = {"error": "invalid_client", "error_description": f"you sent {SECRET}"}
    async with world_and_client(observers=(seen,), policies=NO_POLICIES) as (world, agents):
        for status in (400, 401, 500):
            world.inject(
                "agentforce",
                Fault(
                    "status",
                    status=status,
                    operation="token",
                    body=echo,
                    headers=(("X-Request-ID", SECRET),),
                ),
            )
            with pytest.raises(ProviderError) as caught:
                await agents.open_session()
            assert SECRET not in f"{caught.value.detail}"
            assert SECRET not in all_of(caught.value)
        assert SECRET not in f"{seen.events!r}{caplog.text}{agents.health()!r}"


async def test_token_and_text_are_taken_out_of_what_the_api_says() -> None:
    """The text may be in ``detail``, and nowhere else; the token nowhere."""
    seen = RecordingObserver()
    async with world_and_client(observers=(seen,), policies=NO_POLICIES) as (world, agents):
        session = await agents.open_session()
        token = agents._credential.last()
        for status in (400, 401, 404, 410, 423, 429, 500, 503):
            body = {"status": status, "error": f"X {token}", "message": f"{TEXT} {token}"}
            world.inject(
                "agentforce",
                Fault(
                    "status",
                    status=status,
                    operation="messages",
                    times=None,
                    body=body,
                    headers=(("X-Request-ID", token),),
                ),
            )
            with pytest.raises(VoicekitError) as caught:
                await session.send(TEXT, limits=agents.operations["feedback"].limits)
            shown = all_of(caught.value)
            assert token not in shown
            assert TEXT not in shown
            if isinstance(caught.value, ProviderError):
                assert token not in f"{caught.value.detail}"
            world.clear_faults()
            session = await agents.open_session() if status in {410, 404} else session
        assert token not in f"{seen.events!r}"
        assert TEXT not in f"{seen.events!r}"


async def test_a_forgotten_client_is_told_of_and_leaves_nothing() -> None:
    """A warning; its connections, its refresh and what waits in the background end."""
    async with Emulator(providers=("agentforce",)) as world:

        async def forget() -> None:
            agents = AgentforceClient(
                client_id="app", client_secret=SECRET, domain=world.agentforce.url, agent_id=AGENT
            )
            await agents.warm(1)
            session = await agents.open_session()
            await session.send("hi")

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await asyncio.create_task(forget())
            gc.collect()
            names = [str(each.message) for each in caught]
            assert any("AgentforceClient was never closed" in name for name in names)
            await until(
                lambda: (
                    not {
                        task.get_name()
                        for task in asyncio.all_tasks()
                        if task.get_name().startswith("voicekit-")
                        and "agentforce" in task.get_name()
                    }
                )
            )
            await until(lambda: not world.connections("agentforce"))
