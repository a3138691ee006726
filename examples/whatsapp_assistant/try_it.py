"""The application and the emulator in one process, and somebody who writes and talks to it.

python -m examples.whatsapp_assistant
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import socket
import time
from dataclasses import replace
from typing import Any

import aiohttp
import uvicorn

from voicekit.emulator import SCENARIOS, Emulator
from voicekit.emulator.thread import ThreadedEmulator

from .app import application
from .settings import Settings

ANNA, BEN = "whatsapp:+390212345678", "whatsapp:+390287654321"
HOURS = "What are your opening hours?"
SAID = [
    (ANNA, "writes", HOURS),
    (ANNA, "says", "And where is my order?"),
    (
        BEN,
        "says",
        "what are your opening hours",
    ),  # another spelling: from the cache
    (BEN, "writes twice", "Thank you!"),  # Twilio delivers it again
]
ANSWERS = {
    HOURS: "We are open from nine to six, Monday through Friday.",
    "And where is my order?": "It left yesterday. Expect it on Friday.",
    "": "You are welcome. Is there anything else?",
}


def settings_for(port: int) -> Settings:
    """Those of the trial: MP3, since the emulator encodes no Opus."""
    return Settings(
        public_url=f"http://127.0.0.1:{port}",
        port=port,
        voice_format="mp3_22050_32",
        conversations=20,
    )


class Trial:
    """Talks to the application through the emulator, and tells what came back and when."""

    def __init__(self, world: ThreadedEmulator, settings: Settings) -> None:
        self.world = world
        self.settings = settings

    async def exchange(self, who: str, how: str, words: str) -> None:
        """One message, and its reply in text and in voice."""
        print(f"\n{who[-4:]} {how}: {words}")
        before, begun = len(self.world.journal.sent_to(who)), time.monotonic()
        await self.world.calls_back.message(
            f"{self.settings.public_url}/twilio",
            from_=who,
            redeliver=int(how == "writes twice"),
            voice=words if how == "says" else None,
            body="" if how == "says" else words,
        )
        told = before
        while told < before + 2 and time.monotonic() < begun + 30:
            for sent in self.world.journal.sent_to(who)[told:]:
                if sent.media and "size" not in sent.media[0]:
                    break  # Twilio is still fetching it
                what = sent.body or f"voice note, {sent.media[0]['size']} bytes"
                print(f"  {time.monotonic() - begun:6.3f} s  {what}")
                told += 1
            await asyncio.sleep(0.005)

    async def read(self, path: str, token: str = "") -> dict[str, Any]:
        """A page of the application, as JSON."""
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        url = self.settings.public_url + path
        async with aiohttp.ClientSession(headers=shown) as client, client.get(url) as answer:
            return dict(await answer.json())


async def talk(world: ThreadedEmulator) -> None:
    """Start the application, hold the conversation, show where the time went, stop it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        settings = settings_for(listening.getsockname()[1])
        app = application(settings)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listening]), name="serving")
        try:
            while not server.started and not serving.done():  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
            trial = Trial(world, settings)
            for who, how, words in SAID:
                await trial.exchange(who, how, words)
            told = await trial.read("/metrics", settings.metrics_token)
            print("\n                 count  average      p95")
            for stage in ("download_time", "stt_time", "agentforce_time", "tts_time", "total_time"):
                seen = told[stage]
                print(f"{stage:16} {seen['count']:5} {seen['average']:6.3f} s {seen['p95']:6.3f} s")
            print(f"{told['calls_saved']} calls saved by the caches")
            print(f"\n/health\n{json.dumps(await trial.read('/health'), indent=2)}")
        finally:
            server.should_exit = True
            await serving


def main() -> None:
    """Everything in this process, and nothing left behind."""
    logging.basicConfig(level=os.environ.get("LOG", "WARNING"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", action="store_true", help="providers that take no time")
    timed = "instant" if parser.parse_args().at_once else "whatsapp"
    scenario = replace(SCENARIOS[timed], agent_replies=ANSWERS, message_fetches_media=True)
    providers = ("twilio", "deepgram", "agentforce", "elevenlabs")
    with Emulator.in_thread(providers=providers, scenario=scenario) as world:
        os.environ.update(world.env())
        asyncio.run(talk(world))


if __name__ == "__main__":
    main()
