"""The journal is for reading: no credential is in it, however it was sent."""

from __future__ import annotations

import json

import aiohttp
import pytest

from voicekit.emulator import Emulator

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

MARK = "marked-secret-7d1f"


async def test_a_key_in_a_subprotocol_a_query_or_a_message_is_kept_as_a_digest():
    """Vendors accept keys outside of headers; those never reach the journal in clear either."""
    async with (
        Emulator(providers=("elevenlabs", "deepgram"), scenario="instant") as world,
        aiohttp.ClientSession() as http,
    ):
        listen = (
            f"{world.deepgram.ws_url}/v1/listen?model=nova-3&encoding=linear16&sample_rate=8000"
        )
        async with http.ws_connect(listen, protocols=("token", MARK)):
            pass
        speak = (
            f"{world.elevenlabs.ws_url}/v1/text-to-speech/v/stream-input?output_format=pcm_16000"
        )
        async with http.ws_connect(f"{speak}&single_use_token={MARK}") as ws:
            await ws.send_json({"text": " ", "xi_api_key": MARK, "authorization": MARK})
            await ws.send_json({"text": ""})
            await ws.receive(timeout=2)
        assert len(world.journal.requests) == 2
        assert any("xi_api_key" in (frame.data or {}) for frame in world.journal.frames)
        assert MARK not in json.dumps(world.journal.to_json())
