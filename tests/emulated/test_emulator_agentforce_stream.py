"""The Agentforce twin's event stream: its grammar, its moments, its choices and its failures."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
from talking import events, kinds, talking

from voicekit.emulator import AgentFraming, AgentTurn, Fault, Scenario
from voicekit.emulator.providers.agentforce_plan import Writer, plan, split

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "It left yesterday. Expect it on Friday."
CHUNKS = ("It left yesterday. ", "Expect it on Friday.")
PLAIN = ["TextChunk", "TextChunk", "Inform", "EndOfTurn"]


def scripted(turn: AgentTurn | None = None, **fields: Any) -> Scenario:
    return Scenario(
        name="test", agent_replies=turn or AgentTurn(text=TEXT, chunks=CHUNKS), **fields
    )


async def heard(scenario: Scenario, *, chunks: bool = True) -> list[tuple[str, dict[str, Any]]]:
    async with talking(scenario) as talk:
        return await talk.stream(await talk.open(chunks=chunks))


# -- grammar -----------------------------------------------------------------------------------


async def test_a_turn_streams_its_deltas_and_then_its_whole() -> None:
    """Chunks join to the text, which comes once more whole, then the end; one id for the answer."""
    found = await heard(scripted())
    assert [name for name, _ in found] == ["TEXT_CHUNK", "TEXT_CHUNK", "INFORM", "END_OF_TURN"]
    messages = [data["message"] for _, data in found]
    assert [message["message"] for message in messages[:3]] == [*CHUNKS, TEXT]
    assert [message["offset"] for message in messages[:2]] == [0, 1]
    assert len({message["id"] for message in messages[:3]}) == 1
    assert messages[3]["id"] != messages[0]["id"]
    assert len({data["originEventId"] for _, data in found}) == 1
    assert len({data["traceId"] for _, data in found}) == 1


async def test_text_is_split_between_words() -> None:
    """The scenario says into how many; the pieces join to the text exactly."""
    assert split("one two  three\nfour ", 3) == ("one ", "two  three\n", "four ")
    for number in range(12):
        pieces = split(TEXT, number)
        assert "".join(pieces) == (TEXT if number else "")
        assert len(pieces) == min(number, 7)
    found = await heard(scripted(AgentTurn(text=TEXT), agent_chunks=3))
    assert kinds(found) == ["TextChunk"] * 3 + ["Inform", "EndOfTurn"]


@pytest.mark.parametrize(
    ("turn", "chunks", "fields"),
    [
        (AgentTurn(text=TEXT, chunks=()), True, {}),
        (AgentTurn(text=TEXT), True, {"agent_chunks": 0}),
        (AgentTurn(text=TEXT, chunks=CHUNKS, retracted=("Never ",)), False, {}),
    ],
)
async def test_a_turn_may_have_no_chunks(
    turn: AgentTurn, chunks: bool, fields: dict[str, Any]
) -> None:
    """By its script, by the scenario, or since the session was started without `chunkTypes`."""
    found = await heard(scripted(turn, **fields), chunks=chunks)
    assert kinds(found) == ["Inform", "EndOfTurn"]


async def test_progress_comes_first() -> None:
    """Indicators with their texts, before the first chunk."""
    turn = AgentTurn(text=TEXT, chunks=CHUNKS, progress=("Looking", "Still looking"))
    found = await heard(scripted(turn))
    assert kinds(found) == ["ProgressIndicator"] * 2 + PLAIN
    first = found[0][1]["message"]
    assert (first["indicatorType"], first["message"]) == ("ACTION", "Looking")


async def test_a_retraction_voids_what_came_before_it() -> None:
    """Retracted deltas, the failure under the same id, then the answer, offsets going on."""
    turn = AgentTurn(text=TEXT, chunks=CHUNKS, retracted=("It is ", "lost."))
    found = await heard(scripted(turn))
    names = [name for name, _ in found]
    assert names == ["TEXT_CHUNK"] * 2 + ["VALIDATION_FAILURE_CHUNK"] + ["TEXT_CHUNK"] * 2 + [
        "INFORM",
        "END_OF_TURN",
    ]
    messages = [data["message"] for _, data in found[:5]]
    assert [message["offset"] for message in messages] == [0, 1, 2, 3, 4]
    assert len({message["id"] for message in messages}) == 1
    assert messages[2]["reason"]
    assert found[5][1]["message"]["message"] == TEXT


async def test_messages_of_unknown_types_are_sent_as_written() -> None:
    """Interludes come between the chunks and the answer, named as the vendor would."""
    odd = {"type": "LightningChunk", "value": {"a": 1}}
    turn = AgentTurn(text=TEXT, chunks=CHUNKS, interludes=(odd,))
    found = await heard(scripted(turn))
    assert kinds(found) == ["TextChunk", "TextChunk", "LightningChunk", "Inform", "EndOfTurn"]
    name, data = found[2]
    assert name == "UNKNOWN"
    assert data["message"].items() >= odd.items()


@pytest.mark.parametrize(
    ("kind", "name", "chunks"),
    [
        ("Inquire", "INQUIRE", 2),
        ("Confirm", "CONFIRM", 2),
        ("Failure", "FAILURE", 0),
        ("Escalate", "ESCALATE", 0),
        ("SessionEnded", "SESSION_ENDED", 0),
        ("Error", "ERROR", 0),
    ],
)
async def test_a_turn_may_end_otherwise(kind: str, name: str, chunks: int) -> None:
    """Every final message has its event; what is spoken of it streams in chunks as well."""
    turn = AgentTurn(text=TEXT, messages=({"type": kind},))
    async with talking(scripted(turn, agent_chunks=2)) as talk:
        session = await talk.open()
        found = await talk.stream(session)
        expected = 404 if kind == "SessionEnded" else 200
        assert (await talk.say(session))[0] == expected
    assert [each for each, _ in found] == ["TEXT_CHUNK"] * chunks + [name, "END_OF_TURN"]


# -- moments -----------------------------------------------------------------------------------


def test_every_event_has_its_moment() -> None:
    """Progress spread until the first text, chunks and the whole by the gap, the end with it."""
    turn = AgentTurn(text=TEXT, chunks=CHUNKS, progress=("a", "b"))
    scenario = scripted(turn, agent_first_event=1.0, agent_first_text=3.0, agent_chunk_gap=0.5)
    steps = plan(
        turn,
        scenario=scenario,
        chunked=True,
        draw=lambda spread: spread if isinstance(spread, float) else spread[0],
        writer=Writer(lambda: "id", lambda: 0),
    )
    assert [(step.kind, step.due) for step in steps] == [
        ("ProgressIndicator", 1.0),
        ("ProgressIndicator", 2.0),
        ("TextChunk", 3.0),
        ("TextChunk", 3.5),
        ("Inform", 4.0),
        ("EndOfTurn", 4.0),
    ]


async def test_what_is_due_is_not_kept_for_what_comes_later() -> None:
    """Each event leaves in its time: progress is there long before the text is."""
    turn = AgentTurn(text=TEXT, chunks=CHUNKS, progress=("Looking",))
    scenario = scripted(turn, agent_first_text=30.0)
    async with talking(scenario) as talk, talk.streaming(await talk.open()) as response:
        async with asyncio.timeout(10):
            first = await response.content.readuntil(b"\n\n")
        assert events(first.decode())[0][0] == "PROGRESS_INDICATOR"


async def test_a_session_is_free_when_its_last_event_is_there() -> None:
    """A client that sends its next message at the end of a turn is never told 423."""
    async with talking(scripted(agent_chunk_gap=0.001)) as talk:
        session = await talk.open()
        for _ in range(20):
            async with talk.streaming(session) as response:
                while b"END_OF_TURN" not in await response.content.readuntil(b"\n\n"):
                    pass
                assert (await talk.say(session))[0] == 200


async def test_barge_in_leaves_the_turn_running() -> None:
    """A client that hangs up locks itself out until the turn would have ended."""
    async with talking(scripted(agent_chunk_gap=0.25)) as talk:
        session = await talk.open()
        began = time.monotonic()
        async with talk.streaming(session) as response:
            await response.content.readuntil(b"\n\n")
            response.close()
        statuses = []
        while not statuses or statuses[-1] == 423:
            async with talk.streaming(session) as response:
                statuses.append(response.status)
                response.close()
            await asyncio.sleep(0.02)
        assert time.monotonic() - began >= 0.5
        assert statuses[0] == 423
        assert statuses[-1] == 200


async def test_a_turn_that_takes_too_long_says_so_in_the_stream() -> None:
    """Headers have left by then: the Error object comes as an event, and nothing after it."""
    turn = AgentTurn(text=TEXT, progress=("Looking",))
    found = await heard(scripted(turn, agent_first_text=30.0, agent_timeout=0.02))
    assert [name for name, _ in found] == ["PROGRESS_INDICATOR", "ERROR"]
    assert found[1][1]["status"] == 500
    assert found[1][1]["path"].endswith("/messages")


# -- framing -----------------------------------------------------------------------------------


async def raw(framing: AgentFraming, text: str = TEXT, **fields: Any) -> bytes:
    scenario = scripted(AgentTurn(text=text), agent_framing=framing, **fields)
    async with talking(scenario) as talk, talk.streaming(await talk.open()) as response:
        return bytes(await response.read())


@pytest.mark.parametrize("end", ["\r\n", "\r"])
async def test_lines_may_end_otherwise(end: Any) -> None:
    """All the line ends that the stream's specification knows."""
    content = (await raw(AgentFraming(line_end=end))).decode()
    assert "\n" not in content.replace(end, "")
    assert kinds(events(content.replace(end, "\n"))) == ["TextChunk"] * 4 + ["Inform", "EndOfTurn"]


async def test_an_inform_may_come_without_its_envelope() -> None:
    """The shape of the vendor's guide: messages and links."""
    content = await raw(AgentFraming(wrapped=False))
    found = dict(events(content.decode()))
    assert list(found["INFORM"]) == ["messages", "_links"]
    assert found["INFORM"]["messages"][0]["message"] == TEXT
    assert found["END_OF_TURN"]["message"]["type"] == "EndOfTurn"


async def test_offsets_may_count_characters() -> None:
    """The vendor does not say what they count."""
    found = events(
        (await raw(AgentFraming(offsets="characters"), "ab cd e", agent_chunks=3)).decode()
    )
    assert [data["offset"] for name, data in found if name == "TEXT_CHUNK"] == [0, 3, 6]


async def test_comments_come_while_nothing_else_does() -> None:
    """One at once and then one per interval; they are no events."""
    content = await raw(AgentFraming(heartbeat_every=0.02), agent_first_text=0.15)
    assert content.startswith(b": heartbeat\n\n: heartbeat\n\n")
    assert kinds(events(content.decode()))[-1] == "EndOfTurn"
    content = await raw(AgentFraming(heartbeat_every=30.0))
    assert content.startswith(b": heartbeat\n\nevent: ")


async def test_bytes_may_be_cut_anywhere() -> None:
    """Pieces of one byte: characters, lines and events come apart, and join to the same."""
    text = "È partito ieri 🚚."
    async with (
        talking(scripted(AgentTurn(text=text), agent_framing=AgentFraming(piece_bytes=1))) as talk,
        talk.streaming(await talk.open()) as response,
    ):
        pieces = [piece async for piece, _ in response.content.iter_chunks()]
    assert text in b"".join(pieces).decode()
    assert len(pieces) > 20


# -- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1])
async def test_a_stream_may_end_without_its_end(after: int) -> None:
    """EOF before `END_OF_TURN`: after so many events, or in the marker's place."""
    async with talking(scripted()) as talk:
        session = await talk.open()
        talk.world.inject("agentforce", Fault("no_end_marker", after_events=after))
        assert kinds(await talk.stream(session)) == PLAIN[: after or 3]
        assert kinds(await talk.stream(session)) == PLAIN


async def test_an_error_may_come_inside_a_stream() -> None:
    """The Error object itself as an event's data, final for the turn."""
    async with talking(scripted()) as talk:
        session = await talk.open()
        talk.world.inject("agentforce", Fault("in_stream_error", after_events=2))
        found = await talk.stream(session)
        assert [name for name, _ in found] == ["TEXT_CHUNK", "TEXT_CHUNK", "ERROR"]
        assert found[2][1].keys() >= {"status", "path", "requestId", "error", "message"}
        talk.world.inject("agentforce", Fault("in_stream_error", body={"status": 418}))
        assert await talk.stream(session) == [("ERROR", {"status": 418})]
        talk.world.inject("agentforce", Fault("in_stream_error"))
        status, answered = await talk.say(session)
        assert (status, answered["messages"][0]["type"]) == (200, "Error")


async def test_a_turn_that_failed_is_over() -> None:
    """A turn whose end was announced early does not lock its session for the rest of its time."""
    async with talking(scripted(agent_chunk_gap=30.0)) as talk:
        session = await talk.open()
        talk.world.inject("agentforce", Fault("in_stream_error", after_events=1))
        assert [name for name, _ in await talk.stream(session)] == ["TEXT_CHUNK", "ERROR"]
        assert (await talk.say(session))[0] == 200


async def test_a_stream_may_be_cut() -> None:
    """A reset after so many bytes; the turn has gone on and is over by then."""
    async with talking(scripted()) as talk:
        session = await talk.open()
        talk.world.inject("agentforce", Fault("reset", after_bytes=100))
        with pytest.raises(aiohttp.ClientError):
            await talk.stream(session)
        assert kinds(await talk.stream(session)) == PLAIN


async def test_a_stalled_stream_locks_its_session_while_somebody_waits() -> None:
    """The server has not finished: whoever waits is not told 423 by chance but by rule."""
    async with talking(scripted()) as talk:
        session = await talk.open()
        talk.world.inject("agentforce", Fault("stall", after_events=1))
        async with talk.streaming(session) as response:
            await response.content.readuntil(b"\n\n")
            assert (await talk.say(session))[0] == 423
            response.close()
        statuses = [423]
        while statuses[-1] == 423:
            statuses.append((await talk.say(session))[0])
        assert statuses[-1] == 200


async def test_empty_chunks_may_never_end() -> None:
    """A client must not take them for progress."""
    async with talking(scripted()) as talk:
        session = await talk.open()
        talk.world.inject("agentforce", Fault("empty_deltas", delay=0.001))
        async with talk.streaming(session) as response:
            for _ in range(10):
                block = await response.content.readuntil(b"\n\n")
                assert events(block.decode())[0][1]["message"]["message"] == ""
            response.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 412, 422, 423, 429, 500, 503])
async def test_any_status_has_the_vendors_shape(status: int) -> None:
    """A scripted refusal reads as a real one; no `Retry-After` unless the script says so."""
    async with talking(scripted()) as talk:
        session = await talk.open()
        talk.world.inject("agentforce", Fault("status", status=status))
        async with talk.streaming(session) as response:
            error = await response.json()
            assert response.status == error["status"] == status
            assert "Retry-After" not in response.headers
        assert {"path", "requestId", "error", "message", "timestamp"} < error.keys()
        assert json.dumps(error)
