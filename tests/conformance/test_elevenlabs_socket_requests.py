"""The same utterance said by us and by the vendor's SDK on ``stream-input``: what differs."""

from __future__ import annotations

import pytest
from requests_alike import differences
from test_elevenlabs_sdk import FAST, TEXT, VOICE, realtime

from voicekit.clients.elevenlabs import ElevenLabsClient, VoiceSettings
from voicekit.emulator import Emulator

pytestmark = [pytest.mark.anyio, pytest.mark.sdk, pytest.mark.emulated]


async def test_an_utterance() -> None:
    """The handshake, then the messages: the same text, opened and ended the same way."""
    async with Emulator(providers=("elevenlabs",), tls=True, scenario=FAST) as world:
        async with (
            ElevenLabsClient(
                "k",
                base_url=world.elevenlabs.url,
                ca=str(world.ca_file),
                voice=VOICE,
                format="pcm_16000",
                socket="stream-input",
            ) as client,
            client.open_speech(voice_settings=VoiceSettings(stability=0.4)) as speech,
        ):
            for word in TEXT.split():
                await speech.send(f"{word} ")
            await speech.finish()
            assert [chunk async for chunk in speech]
        await realtime(world, SETTINGS="1")
        mine, other = world.journal.requests_for("elevenlabs", "speech.socket")
        assert differences(mine, other) == {
            # Ours by default: a socket should outlast the pauses of a conversation.
            "query.inactivity_timeout": ("180", None)
        }
        ours = [frame.data for frame in world.journal.frames_for(mine, "in")]
        theirs = [frame.data for frame in world.journal.frames_for(other, "in")]
        assert ours[0]["text"] == theirs[0]["text"] == " "
        # The SDK sends what is not set as null.
        settings = {k: v for k, v in theirs[0]["voice_settings"].items() if v is not None}
        assert ours[0]["voice_settings"] == settings == {"stability": 0.4}
        # The SDK takes 50 characters always; ours begins with 50 and grows, for the prosody.
        assert theirs[0]["generation_config"] == {"chunk_length_schedule": [50]}
        assert ours[0]["generation_config"] == {"chunk_length_schedule": [50, 120, 160, 250]}
        # The SDK adds a space to a piece that ends in one, and asks for generation each time,
        # which the schedule does by itself.
        said = "".join(message["text"] for message in ours[1:-1])
        assert said.split() == "".join(message["text"] for message in theirs[1:-1]).split()
        assert all(message["try_trigger_generation"] for message in theirs[1:-1])
        # The end flushes what is left, so our last text says no more than the SDK's.
        assert ours[-1] == theirs[-1] == {"text": ""}
