"""Many conversations at once with the WhatsApp assistant, one provider down for a while.

    python tests/examples/load_whatsapp.py            # 200 people, 30 s of outage
    python tests/examples/load_whatsapp.py --quick    # scaled

The application is a process of its own, as in production; the twins and the people are here. What
is judged is what the twins' journal says that people got.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from voicekit.emulator import SCENARIOS, DeliveryRecord, Emulator, Fault

ROOT = Path(__file__).parents[2]
PROVIDERS = ("twilio", "deepgram", "agentforce", "elevenlabs")
TOKEN = "token-of-the-load"
HOURS = "What are your opening hours?"
EXCUSES = ("Sorry, I ", "(I could not")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much, and for how long. Seconds."""

    people: int = 200
    seconds: float = 110.0
    outage_at: float = 30.0
    outage: float = 30.0
    think: tuple[float, float] = (8.0, 14.0)
    arrive_within: float = 3.0
    slow_share: float = 0.10
    slow: float = 10.0
    redelivered: float = 0.15
    down: str = "agentforce"
    breaker: float = 2.0
    patience: float = 12.0
    scale: float = 1.0
    give_up: float = 45.0


QUICK = Load(
    people=40,
    seconds=9.0,
    outage_at=2.5,
    outage=3.0,
    think=(0.8, 1.4),
    arrive_within=0.5,
    slow=1.0,
    breaker=0.5,
    patience=3.0,
    scale=0.1,
    give_up=12.0,
)


def answer_to(question: str) -> str:
    """What the agent says; each question has its own answer.

    Before a question may stand what was answered from the cache meanwhile.
    """
    own = re.search(r"person \d+ asks \d+$", question)
    return f"Yes: {own[0] if own else question}"


@dataclass
class Asked:
    """One message of one person, and what they got for it."""

    question: str
    voice_note: bool
    at: float
    texts: list[str] = field(default_factory=list)
    voices: list[str] = field(default_factory=list)
    excuses: list[str] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def got(self, sent: DeliveryRecord) -> None:
        if sent.media:
            self.voices.append(str(sent.media[0].get("sha256") or sent.media[0].get("error")))
        elif sent.body.startswith(EXCUSES):
            self.excuses.append(sent.body)
        else:
            self.texts.append(sent.body)
        if (self.texts and (self.voices or self.excuses)) or (self.excuses and not self.texts):
            self.done.set()


@dataclass
class Told:
    """The verdict."""

    messages: int = 0
    outside: int = 0
    answered: int = 0
    spoken: int = 0
    doubled: int = 0
    unreported: int = 0
    voiceless_unreported: int = 0
    wrong: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    caches: dict[str, int] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    cached_mib: list[float] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)
    exit_code: int | None = None
    stages: dict[str, Any] = field(default_factory=dict)
    webhook_p95_s: float = 0.0
    log: str = ""

    @property
    def text_share(self) -> float:
        return self.answered / max(self.outside, 1)

    @property
    def own_mib(self) -> list[float]:
        """Memory of the process without what its caches say that they hold."""
        return [round(a - b, 1) for a, b in zip(self.rss_mib, self.cached_mib, strict=True)]

    @property
    def voice_share(self) -> float:
        return self.spoken / max(self.outside, 1)


class People:
    """Everybody who writes, and one look at the journal for all of them."""

    def __init__(self, world: Emulator, url: str, load: Load) -> None:
        self.world, self.url, self.load = world, url, load
        self.rng = random.Random(5)
        self.asked: dict[str, list[Asked]] = {}
        self.seen = 0
        self.began = asyncio.get_running_loop().time()

    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.05)

    def look(self) -> None:
        deliveries = self.world.journal.deliveries
        while self.seen < len(deliveries):
            sent = deliveries[self.seen]
            if sent.media and "sha256" not in sent.media[0] and "error" not in sent.media[0]:
                break  # still being fetched; in its turn
            self.seen += 1
            self.asked[sent.recipient][-1].got(sent)

    async def person(self, number: int) -> None:
        rng = random.Random(number)
        who = f"whatsapp:+3902{number:08d}"
        mine = self.asked[who] = []
        await asyncio.sleep(rng.uniform(0, self.load.arrive_within))
        while self.now() < self.load.seconds:
            common = not mine and number % 5 == 0
            question = HOURS if common else f"person {number} asks {len(mine)}"
            note = not common and rng.random() < 0.5
            asked = Asked(question, note, self.now())
            mine.append(asked)
            again = int(rng.random() < self.load.redelivered)
            await self.world.calls_back.message(
                f"{self.url}/twilio",
                from_=who,
                redeliver=2 * again,
                redelivery=rng.choice(("after", "concurrent")),
                redeliver_after=rng.choice((0.0, 1.0)) * self.load.scale,
                **({"voice": question} if note else {"body": question}),
            )
            try:
                async with asyncio.timeout(self.load.give_up):
                    await asked.done.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(rng.uniform(*self.load.think))


async def _get(url: str, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.get(url + path) as answer:
        return dict(await answer.json())


async def _look_on(url: str, load: Load, told: Told) -> None:
    """What a dashboard would show, now and then."""
    while True:
        report, figures = await asyncio.gather(_get(url, "/health"), _get(url, "/metrics"))
        told.states.append(report["clients"][load.down]["state"])
        told.rss_mib.append(round(figures["process"]["rss_bytes"] / (1 << 20), 1))
        told.cached_mib.append(round(figures["cache_bytes"] / (1 << 20), 1))
        told.tasks.append(figures["process"]["tasks"])
        await asyncio.sleep(max(0.5, load.seconds / 60))


def _slowness(load: Load) -> Fault:
    return Fault("late", operation="messages", delay=load.slow, times=None, share=load.slow_share)


async def _outage(world: Emulator, load: Load) -> None:
    world.inject("agentforce", _slowness(load))
    await asyncio.sleep(load.outage_at)
    world.clear_faults()
    world.inject(load.down, Fault("status", status=503, times=None))
    if load.down != "agentforce":
        world.inject("agentforce", _slowness(load))
    await asyncio.sleep(load.outage)
    world.clear_faults()
    world.inject("agentforce", _slowness(load))


def scenario(load: Load) -> Any:
    timed = SCENARIOS["whatsapp"]
    scaled = {
        name: (tuple(load.scale * each for each in value) if isinstance(value, tuple)
               else load.scale * value)
        for name in ("transcript_final", "agent_session_open", "agent_first_event",
                     "agent_first_text", "speech_first_audio", "media_download", "message_accept")
        for value in (getattr(timed, name),)
    }  # fmt: skip
    statuses = (("sent", 0.2 * load.scale), ("delivered", 0.5 * load.scale))
    return replace(timed, agent_replies=answer_to, message_statuses=statuses, **scaled)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def run(load: Load) -> Told:
    """All of it; the verdict is for the caller to assert on."""
    told = Told()
    async with Emulator(providers=PROVIDERS, scenario=scenario(load)) as world:
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.whatsapp_assistant.app"],
            cwd=ROOT,
            env={
                **os.environ,
                **world.env(),
                "PUBLIC_URL": url,
                "PORT": str(port),
                "METRICS_TOKEN": TOKEN,
                "CONVERSATIONS": "200",
                "VOICE_FORMAT": "mp3_22050_32",
                "LOOK_SECONDS": str(max(0.2, 2 * load.scale)),
                "BREAKER_SECONDS": str(load.breaker),
                "PATIENCE_SECONDS": str(load.patience),
            },
            stderr=subprocess.PIPE,
        )
        stderr = asyncio.create_task(asyncio.to_thread(process.stderr.read))  # type: ignore[union-attr]
        try:
            await _up(url, process)
            people = People(world, url, load)
            watching = asyncio.create_task(people.watch())
            looking = asyncio.create_task(_look_on(url, load, told))
            async with asyncio.TaskGroup() as group:
                group.create_task(_outage(world, load))
                for number in range(load.people):
                    group.create_task(people.person(number))
            await asyncio.sleep(max(1.0, 5 * load.scale))  # whatever is doubled has come by then
            looking.cancel()
            figures = await _get(url, "/metrics")
            process.send_signal(signal.SIGTERM)
            told.exit_code = await asyncio.to_thread(process.wait, 40)
            people.look()
            watching.cancel()
            await asyncio.gather(watching, looking, return_exceptions=True)
        finally:
            process.kill()
            process.wait()
            told.log = (await stderr).decode("utf-8", "replace")
            process.stderr.close()  # type: ignore[union-attr]
        told.failed = {name: each["failed"] for name, each in figures["stages"].items()}
        told.caches = {
            name: each["hit"] + each["joined"] + each.get("repeated", 0)
            for name, each in figures["caches"].items()
        }
        told.alerts = re.findall(r"(?:firing|resolved): \w+ \([a-z]+\)", told.log)
        told.stages = {
            name: figures[name]
            for name in ("download_time", "stt_time", "agentforce_time", "tts_time", "total_time")
        }
        _judge(people, load, told)
    return told


async def _up(url: str, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(30):
        while process.poll() is None:
            try:
                await _get(url, "/health")
                return
            except (aiohttp.ClientError, ValueError):
                await asyncio.sleep(0.05)
    raise RuntimeError("the application does not start")


def _judge(people: People, load: Load, told: Told) -> None:
    waited = sorted(each.seconds or 0.0 for each in people.world.journal.webhooks)
    told.webhook_p95_s = waited[int(len(waited) * 0.95)]
    # Struck is also who was still waiting for a slow answer when it began; nobody who came after.
    struck = (load.outage_at - load.slow - 5 * load.scale, load.outage_at + load.outage)
    for mine in people.asked.values():
        for asked in mine:
            told.messages += 1
            answers, excuses = Counter(asked.texts), asked.excuses
            told.doubled += sum(answers.values()) > 1
            told.doubled += len(asked.voices) > 1 or len(excuses) > 1
            told.wrong += any(text != answer_to(asked.question) for text in answers)
            told.unreported += not answers and not excuses
            told.voiceless_unreported += bool(answers) and not asked.voices and not excuses
            if not struck[0] <= asked.at <= struck[1]:
                told.outside += 1
                told.answered += answers[answer_to(asked.question)] == 1
                told.spoken += len(asked.voices) == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--down", default="agentforce", choices=PROVIDERS)
    parser.add_argument("--people", type=int)
    chosen = parser.parse_args()
    load = replace(QUICK if chosen.quick else Load(), down=chosen.down)
    if chosen.people:
        load = replace(load, people=chosen.people)
    told = asyncio.run(run(load))
    print(json.dumps({name: getattr(told, name) for name in told.__dataclass_fields__
                      if name != "log"}, indent=1))  # fmt: skip
    print(told.log[-3000:])
    print(f"text {told.text_share:.2%}, voice {told.voice_share:.2%} of {told.outside}")
    return 0 if told.text_share >= 0.99 and told.voice_share >= 0.95 and not told.doubled else 1


if __name__ == "__main__":
    sys.exit(main())
