"""``stream-input`` of the ElevenLabs twin, row by row of its sheet."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from test_emulator_elevenlabs import audio_of, emulator, frames, outcome, speaking, text_of

from voicekit.emulator import Fault, Scenario
from voicekit.emulator.providers.elevenlabs import ElevenLabs

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

SINGLE = "stream-input"
LINE = "Twenty characters... "


def begins(frame: dict[str, Any]) -> bool:
    """Whether a piece of audio begins here."""
    return bool(frame.get("alignment"))


async def test_a_flush_speaks_what_is_there_and_the_socket_stays_open() -> None:
    """With a text of its own, or with a space alone; no final comes of it."""
    async with emulator() as (_, session), speaking(session, SINGLE) as ws:
        await ws.send_json({"text": " "})
        await ws.send_json({"text": "One. ", "flush": True})
        assert text_of(await frames(ws, until=begins)) == "One. "
        await ws.send_json({"text": "Two. "})
        await ws.send_json({"text": " ", "flush": True})
        assert text_of(await frames(ws, until=begins)).strip() == "Two."
        await ws.send_json({"text": ""})
        got = await frames(ws)
        assert text_of(got) == ""
        assert got[-1] == {"audio": None, "isFinal": True}
        assert ws.close_code == 1000


async def test_a_space_keeps_the_socket_and_is_not_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer counts from the client's last message."""
    monkeypatch.setattr(ElevenLabs, "time_scale", 0.01)  # 20 s become 0.2
    async with emulator() as (_, session), speaking(session, SINGLE) as ws:
        for _ in range(6):
            await ws.send_json({"text": " "})
            await asyncio.sleep(0.07)
        await ws.send_json({"text": ""})
        assert await frames(ws) == [{"audio": None, "isFinal": True}]
        assert ws.close_code == 1000


async def test_the_schedule_and_how_to_be_sooner() -> None:
    """The n-th count holds back the n-th piece; a trigger asks for a minimum alone."""
    schedule = {"text": " ", "generation_config": {"chunk_length_schedule": [60, 100]}}
    async with emulator() as (_, session):
        for trigger, counts in ((False, [63, 105]), (True, [63, 63])):
            async with speaking(session, SINGLE) as ws:
                await ws.send_json(schedule)
                for _ in range(8):
                    await ws.send_json({"text": LINE, "try_trigger_generation": trigger})
                await ws.send_json({"text": ""})
                spoken = [
                    len(frame["alignment"]["chars"])
                    for frame in await frames(ws)
                    if frame.get("alignment")
                ]
                assert spoken[:2] == counts
                assert sum(spoken) == 8 * len(LINE)


async def test_times_count_from_the_frame_that_carries_them() -> None:
    """With ``sync_alignment`` every frame has its own; together they are the text."""
    scenario = Scenario(name="cut", speech_chunk_bytes=3200)
    async with (
        emulator(scenario) as (_, session),
        speaking(session, SINGLE, sync_alignment="true") as ws,
    ):
        await ws.send_json({"text": " "})
        await ws.send_json({"text": LINE * 3})
        await ws.send_json({"text": ""})
        got = await frames(ws)
        aligned = [frame["alignment"] for frame in got if frame.get("audio")]
        assert text_of(got) == LINE * 3
        assert len(aligned) > 5
        for each in aligned:
            assert set(each) == {"chars", "charStartTimesMs", "charDurationsMs"}
            assert 0 <= each["charStartTimesMs"][0] < 60
            assert all(a < b for a, b in pairwise(each["charStartTimesMs"]))
        assert all(frame["isFinal"] is None for frame in got[:-1])
        assert got[0]["normalizedAlignment"] == got[0]["alignment"]


async def test_nothing_is_said_after_the_end() -> None:
    """What comes after the empty text is not spoken."""
    async with emulator() as (_, session), speaking(session, SINGLE) as ws:
        await ws.send_json({"text": " "})
        await ws.send_json({"text": "Spoken. "})
        await ws.send_json({"text": ""})
        await ws.send_json({"text": "Too late. "})
        got = await frames(ws)
        assert text_of(got) == "Spoken. "
        assert got[-1]["isFinal"] is True


async def test_who_leaves_is_not_spoken_to() -> None:
    """There is no other way to stop it: the audio ends with the socket."""
    slow = Scenario(name="slow", speech_chunk_bytes=800, speech_real_time_factor=1.0)
    async with emulator(slow) as (world, session):
        async with speaking(session, SINGLE) as ws:
            await ws.send_json({"text": " "})
            await ws.send_json({"text": LINE * 5, "flush": True})
            got = await frames(ws, until=lambda frame: frame.get("audio"))
        assert await outcome(world) == "aborted"
        (record,) = world.journal.requests_for("elevenlabs", "speech.socket")
        assert len(audio_of(got)) <= record.audio_bytes_sent < len(LINE) * 5 * 1920


@pytest.mark.parametrize(
    ("message", "code"),
    [("not json", 1008), ("[]", 1008), ('{"flush":true}', 1008), ('{"text":5}', 1008)],
)
async def test_what_is_no_message(message: str, code: int) -> None:
    """An error frame that says so, then a close with the same code."""
    async with emulator() as (_, session), speaking(session, SINGLE) as ws:
        await ws.send_str(message)
        got = await frames(ws)
        assert (got[-1]["error"], got[-1]["code"]) == ("invalid_input_message", code)
        assert ws.close_code == code


async def test_an_internal_error_is_1011() -> None:
    """Said in a frame first, wherever it strikes."""
    async with emulator() as (world, session):
        world.inject("elevenlabs", Fault("in_stream_error", after_events=1))
        async with speaking(session, SINGLE) as ws:
            await ws.send_json({"text": " "})
            await ws.send_json({"text": LINE * 10})
            await ws.send_json({"text": ""})
            got = await frames(ws)
            assert got[-1]["code"] == ws.close_code == 1011
