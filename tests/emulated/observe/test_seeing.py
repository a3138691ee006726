"""An outage over real wires, as metrics, health, alerts and the endpoints tell it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("ddsketch", reason="ddsketch of an extra is not installed")

from voicekit import (
    Alerts,
    AudioClip,
    DeepgramClient,
    ElevenLabsClient,
    Metrics,
    VoicekitError,
    fallback,
    health,
)
from voicekit.emulator import Emulator, Fault
from voicekit.observe import Alert, Rule
from voicekit.resilience import NO_POLICIES, Breaker, Policies
from voicekit.web import Endpoints

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

QUICK = Policies(retry=None, breaker=Breaker(least_calls=4, open_for=0.2, longest_open=0.2))


async def get(app: Any, path: str) -> tuple[int, Any]:
    """Ask a plain ASGI application."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def say(tts: Any, times: int) -> list[AudioClip | BaseException]:
    return [
        each
        for _ in range(times)
        for each in await asyncio.gather(tts.synthesize("Hello there."), return_exceptions=True)
    ]


async def test_an_outage_is_told() -> None:
    """Well, down, back: each of the readers says the same, once, and nobody is billed for it."""
    metrics, told = Metrics(), []

    async def send(alert: Alert) -> None:
        told.append(str(alert))

    rules = [
        Rule(name="down", value="health.clients.*.state", equals="down"),
        Rule(name="errors", value="operations.*.synthesize.recent.error_rate", above=0.3),
    ]
    async with (
        Emulator(scenario="instant", providers=["elevenlabs"]) as world,
        ElevenLabsClient(
            "key", base_url=world.elevenlabs.url, voice="v", policies=QUICK, observers=[metrics]
        ) as tts,
        health(tts, every=0) as status,
        Alerts(rules, send=send, metrics=metrics, health=status, every=60, least_gap=0) as alerts,
    ):
        metrics.watch(tts)
        app = Endpoints(health=status, metrics=metrics)
        assert all(isinstance(each, AudioClip) for each in await say(tts, 3))
        assert (await get(app, "/health"))[0] == 200

        world.inject("elevenlabs", Fault("status", status=500, times=None))
        results = await say(tts, 8)
        assert all(isinstance(each, VoicekitError) for each in results)
        code, report = await get(app, "/health")
        assert (code, report["state"]) == (503, "down")
        assert "circuit open: synthesize" in report["clients"]["elevenlabs"]["reasons"]
        await alerts.check()
        await asyncio.sleep(0.05)
        assert sorted(told) == ["firing: down (elevenlabs): down", told[-1]]

        world.clear_faults()
        await asyncio.sleep(0.3)
        await say(tts, 40)
        code, report = await get(app, "/health")
        assert (code, report["clients"]["elevenlabs"]["state"]) == (200, "ok")
        await alerts.check()
        await asyncio.sleep(0.05)

        _, seen = await get(app, "/metrics")
        asked = world.journal.requests_for("elevenlabs", "speech.stream")
        calls = seen["operations"]["elevenlabs"]["synthesize"]
        assert calls["ok"] + calls["failed"] == calls["count"] == 51
        assert calls["ok"] == sum(record.status == 200 for record in asked)
        assert calls["errors"]["CircuitOpenError"] == 51 - len(asked)
        assert calls["breaker_opened"] >= 1
        assert calls["breaker"] == "closed"
        assert seen["tts_time"]["count"] == calls["duration"]["count"] == calls["ok"]
        assert seen["connections"]["open"] >= 1
        assert seen["process"]["tasks"] > 0
    assert len(told) == 4
    assert "resolved: down (elevenlabs): ok" in told


async def test_looking_costs_nothing() -> None:
    """A probe opens a connection; no request of it is ever billed, however often one looks."""
    async with (
        Emulator(scenario="instant", providers=["elevenlabs", "deepgram"]) as world,
        ElevenLabsClient("key", base_url=world.elevenlabs.url, voice="v") as one,
        DeepgramClient("key", base_url=world.deepgram.url) as two,
    ):
        async with health(fallback(one, two.as_synthesizer(), close=False), two, every=0) as status:
            for _ in range(5):
                report = await status.check()
                assert report.state == "ok"
        members = report.clients["fallback"].members
        assert members["deepgram"].detail["pool"]["open"] == 1  # behind a role of the client
        assert {name: each.state for name, each in members.items()} == {
            "elevenlabs": "ok",
            "deepgram": "ok",
        }
        for provider in ("elevenlabs", "deepgram"):
            for record in world.journal.requests_for(provider):
                assert record.operation == "speech.socket"  # a handshake, and nothing said
                assert record.audio_bytes_sent == 0


async def test_a_server_that_is_gone_is_down() -> None:
    """Without any traffic: the probe finds it, and says which error."""
    async with Emulator(scenario="instant", providers=["elevenlabs"]) as world:
        url = world.elevenlabs.url
    async with (
        ElevenLabsClient("key", base_url=url, voice="v", policies=NO_POLICIES) as tts,
        health(tts) as status,
    ):
        report = await status.check()
        assert report.state == "down"
        assert report.clients["elevenlabs"].reasons == ("probe: ConnectError",)
