"""The blocking client of agents, against the twin."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from voicekit import sync
from voicekit.emulator import Emulator, Scenario, agent_messages, agent_sessions
from voicekit.emulator.thread import ThreadedEmulator
from voicekit.errors import ClosedError

pytestmark = pytest.mark.emulated

ANSWER = "It left yesterday. Expect it on Friday."
PACED = Scenario(name="test", agent_replies=ANSWER, agent_chunk_gap=0.02)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedEmulator]:
    with Emulator.in_thread(scenario=PACED, providers=("agentforce",)) as world:
        for name, value in world.env().items():
            monkeypatch.setenv(name, value)
        yield world


def test_a_conversation(world: ThreadedEmulator) -> None:
    """Opened, asked, streamed, rated, ended: the same as the asynchronous one."""
    with sync.AgentforceClient() as agents, agents.open_session(key="a") as session:
        assert session.greeting
        assert session.key == "a"
        answer = session.send("Where is it?")
        assert (answer.text, answer.plain) == (ANSWER, True)
        with session.stream_message("And now?") as reply:
            assert "".join(reply) == ANSWER
        assert reply.answer is not None
        assert reply.answer.feedback_id
        assert session.stream_message("Again?").result().text == ANSWER
        session.feedback(answer, "GOOD")
        assert agents.status().up
    (seen,) = agent_sessions(world.journal)
    assert len(seen.messages) == 3
    assert seen.end_reason == "UserRequest"
    with pytest.raises(ClosedError):
        session.send("hi")


def test_threads_share_a_session(world: ThreadedEmulator) -> None:
    """Their turns wait for each other; a barge-in leaves the line in order."""
    with sync.AgentforceClient() as agents:
        opening = agents.start_session(key="a")
        session = agents.open_session(key="a").session()
        assert opening.session().id == session.id
        reply = session.stream_message("one")
        next(iter(reply))
        reply.cancel()
        threads = [threading.Thread(target=session.send, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        session.close()
    said = agent_messages(world.journal)
    assert [each.request.status for each in said] == [200] * 5
    assert len(agent_sessions(world.journal)) == 1
