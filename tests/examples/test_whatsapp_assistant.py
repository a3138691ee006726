"""The WhatsApp assistant keeps its promises; the twins' journals are the truth."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

if any(
    find_spec(name) is None for name in ("starlette", "uvicorn", "prometheus_client", "lameenc")
):
    pytest.skip(
        "starlette or uvicorn of the docs group, or an extra, is not installed",
        allow_module_level=True,
    )

sys.path.insert(0, str(Path(__file__).parent))
from whatsapp_world import ANNA, BEN, PROVIDERS, ROOT, TOKEN, Running, Settings, running

import voicekit
from voicekit.clients.twilio import signing
from voicekit.emulator import SCENARIOS, Emulator, Fault
from voicekit.emulator.endpoints import AUTH_TOKEN
from voicekit.emulator.thread import ThreadedEmulator
from waiting import eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("docs")]

ANSWER = "Your order left yesterday."
SCENARIO = replace(
    SCENARIOS["instant"],
    agent_replies=lambda said: f"{ANSWER} You asked: {said}",
    message_fetches_media=True,
)
NOTHING = "Sorry, I "


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Emulator]:
    async with Emulator(providers=PROVIDERS, scenario=SCENARIO) as world:
        for name in world.env():
            monkeypatch.setenv(name, "")
        yield world


@pytest.fixture
async def bot(world: Emulator) -> AsyncIterator[Running]:
    async with running(world) as bot:
        yield bot


@pytest.mark.anyio
async def test_a_text_is_answered_in_text_and_then_in_voice(bot: Running) -> None:
    """At once with 204; media and transcription are skipped; the voice note is what was said."""
    told = await bot.tell(body="Where is my order?")
    assert (told.status, told.messages) == (204, [])
    await bot.replied()
    assert bot.texts() == [f"{ANSWER} You asked: Where is my order?"]
    (voice,) = bot.voices()
    text, later = bot.world.journal.sent_to(ANNA)
    assert (text.body, later.media[0]["content_type"]) == (bot.texts()[0], "audio/mpeg")
    (spoken,) = bot.world.journal.requests_for("elevenlabs", "speech.stream")
    assert spoken.json()["text"] == bot.texts()[0]
    assert voice.media[0]["size"] == spoken.audio_bytes_sent
    assert not bot.world.journal.requests_for("deepgram")
    assert not bot.failed()


@pytest.mark.anyio
async def test_a_voice_note_is_heard(bot: Running) -> None:
    """As it is, while the session is being opened; the answer is to its words."""
    await bot.tell(voice="where is my order")
    await bot.replied()
    assert bot.texts() == [f"{ANSWER} You asked: where is my order"]
    (heard,) = bot.world.journal.requests_for("deepgram")
    assert heard.body.startswith(b"OggS")


@pytest.mark.anyio
async def test_the_session_opens_while_the_note_is_on_its_way(bot: Running) -> None:
    """The agent is ready when the words are: neither waits for the other."""
    bot.world.set_scenario(replace(SCENARIO, transcript_final=0.5, agent_session_open=0.5))
    await bot.tell(voice="where is my order")
    await bot.replied()
    (heard,) = bot.world.journal.requests_for("deepgram")
    (opened,) = bot.world.journal.requests_for("agentforce", "session.start")
    assert opened.received_at < heard.finished_at


@pytest.mark.anyio
async def test_a_conversation_is_one_session(bot: Running) -> None:
    """Two messages of one sender are two turns of one session; another sender has another."""
    await bot.tell(body="one")
    await bot.replied()
    await bot.tell(body="two")
    await bot.replied(texts=2, voices=2)
    await bot.tell(BEN, body="three")
    await bot.replied(BEN)
    assert bot.asked("agentforce", "session.start") == 2


@pytest.mark.anyio
async def test_a_question_asked_before_costs_nothing(bot: Running) -> None:
    """Neither agent nor voice is asked again, in another spelling, by somebody else."""
    await bot.tell(body="What are your opening hours?")
    await bot.replied()
    asked = len(bot.world.journal.requests_for("agentforce"))
    await bot.tell(BEN, body="  what are your  OPENING hours")
    await bot.replied(BEN)
    assert bot.texts(BEN) == bot.texts(ANNA)
    assert len(bot.world.journal.requests_for("agentforce")) == asked
    assert bot.asked("elevenlabs", "speech.stream") == 1
    assert bot.voices(BEN)[0].media[0]["sha256"] == bot.voices(ANNA)[0].media[0]["sha256"]


@pytest.mark.anyio
@pytest.mark.parametrize("redelivery", ["after", "concurrent"])
async def test_a_message_delivered_again_is_answered_once(bot: Running, redelivery: Any) -> None:
    """Beside the first delivery, after it, and long after the reply."""
    told = await bot.tell(body="Hello?", redeliver=4, redelivery=redelivery)
    await bot.replied()
    await bot.world.calls_back.again(told)
    await bot.at_rest()
    assert len(bot.texts()) == len(bot.voices()) == 1
    assert bot.figures()["caches"]["once"]["repeated"] == 5
    assert {each.status for each in told.webhooks} == {204}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("provider", "operation", "words", "counted"),
    [
        ("agentforce", "messages", "cannot answer", "answering"),
        ("deepgram", None, "could not listen", "listening"),
    ],
)
async def test_a_failure_is_told_once(
    bot: Running, provider: str, operation: str | None, words: str, counted: str
) -> None:
    """In one short text, and in the metrics; and a message delivered again stays answered."""
    bot.world.inject(provider, Fault("status", status=500, times=None, operation=operation))
    told = await bot.tell(voice="where is my order")
    await bot.replied(voices=0)
    await bot.world.calls_back.again(told)
    await bot.at_rest()
    (text,) = bot.texts()
    assert words in text
    assert not bot.voices()
    assert bot.failed() == {counted: 1}
    _, metrics = await bot.get("/metrics", TOKEN)
    assert metrics["stages"][counted]["failed"] == 1


@pytest.mark.anyio
async def test_a_voice_that_fails_leaves_the_text(bot: Running) -> None:
    """The answer is there; a second short text says that there will be no voice."""
    bot.world.inject("elevenlabs", Fault("status", status=500, times=None))
    await bot.tell(body="Where is my order?")
    await bot.replied(texts=2, voices=0)
    answer, excuse = bot.texts()
    assert answer.startswith(ANSWER)
    assert "could not record" in excuse
    assert bot.failed() == {"speaking": 1}


@pytest.mark.anyio
async def test_a_reply_of_unknown_outcome_is_not_sent_again(bot: Running) -> None:
    """Twilio took it and did not say so: one message, one failure in the metrics."""
    bot.world.inject("twilio", Fault("reset", operation="messages.create", after_bytes=1))
    told = await bot.tell(body="Where is my order?")
    await bot.until(lambda: bot.failed().get("replying"))
    await bot.world.calls_back.again(told)
    await bot.at_rest()
    assert len(bot.texts()) <= 1
    assert not bot.voices()


@pytest.mark.anyio
async def test_a_turn_is_not_over_before_twilio_has_the_voice_note(bot: Running) -> None:
    """Or a process that ends would take it along, and nobody could fetch it."""
    import aiohttp

    bot.world.set_scenario(replace(SCENARIO, message_fetches_media=False))
    await bot.tell(body="Where is my order?")
    await bot.until(bot.voices)
    assert any(task.get_name().startswith("message ") for task in asyncio.all_tasks())
    url = bot.voices()[0].media[0]["url"]
    async with aiohttp.ClientSession() as twilio, twilio.get(url) as fetched:
        assert (fetched.status, fetched.content_type) == (200, "audio/mpeg")
        await fetched.read()
    await bot.at_rest()
    assert not bot.failed()


@pytest.mark.anyio
async def test_a_message_that_is_not_delivered_is_counted(
    bot: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted by Twilio, refused by WhatsApp: known from the status callback alone."""
    monkeypatch.setattr("examples.whatsapp_assistant.assistant.FETCHED_WITHIN", 0.1)
    bot.world.set_scenario(replace(SCENARIO, message_error=63024))
    await bot.tell(body="Where is my order?")
    await bot.until(lambda: bot.failed().get("delivery") == 2)


@pytest.mark.anyio
async def test_what_it_does_not_understand_it_says(bot: Running) -> None:
    """A picture gets an answer too, without any provider but the messenger."""
    await bot.tell(media=b"\xff\xd8 a picture")
    await bot.replied(voices=0)
    assert "only understand text and voice" in bot.texts()[0]
    assert not bot.world.journal.requests_for("deepgram")
    assert not bot.world.journal.requests_for("agentforce", "messages")


@pytest.mark.anyio
async def test_who_is_not_twilio_is_refused(bot: Running) -> None:
    """An unsigned or a changed request runs nothing."""
    import aiohttp

    told = await bot.tell(body="Hello?")
    await bot.replied()
    fields = {**told.fields, "MessageSid": "SM" + "0" * 32}
    async with aiohttp.ClientSession() as client:
        for headers in ({}, {"X-Twilio-Signature": "bm8="}):
            async with client.post(bot.webhook, data=fields, headers=headers) as answer:
                assert answer.status == 403
        async with client.post(bot.webhook, data=b"x" * 100_000) as answer:
            assert answer.status == 413
    await bot.at_rest()
    assert len(bot.texts()) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "length", "fields", "status"),
    [
        (b"a=\xe9\xff", None, {"Body": "Hello?"}, 403),
        (b"", "\u0661\u0662", {"Body": "Hello?"}, 413),
        (b"", "1_0", {"Body": "Hello?"}, 413),
        (b"", None, {"CallSid": "CA1", "CallStatus": "ringing"}, 400),
    ],
    ids=["a query that is no ASCII", "digits of another script", "a length", "a phone call"],
)
async def test_a_request_that_makes_no_sense_is_refused(
    bot: Running, query: bytes, length: str | None, fields: dict[str, str], status: int
) -> None:
    """As servers that are less strict hand it on; nothing breaks, and nothing runs."""
    body = urlencode(fields).encode()
    signature = signing.sign(bot.webhook, fields, AUTH_TOKEN)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await bot.app(
        {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/twilio",
            "root_path": "",
            "query_string": query,
            "headers": [
                (b"content-type", b"application/x-www-form-urlencoded"),
                (b"content-length", (length or str(len(body))).encode()),
                (b"x-twilio-signature", signature.encode()),
            ],
        },
        receive,
        send,
    )
    assert sent[0]["status"] == status


def test_settings_show_no_secret() -> None:
    """Neither the token of the metrics nor what signs the voice notes."""
    told = Settings(
        public_url="https://bot.example.com", metrics_token=TOKEN, media_secret="s" * 20
    )
    assert TOKEN not in repr(told)
    assert "ssss" not in repr(told)


@pytest.mark.anyio
async def test_an_answer_without_words_is_told(bot: Running) -> None:
    """An agent that only hands over says nothing; the sender is not left waiting."""
    bot.world.set_scenario(replace(SCENARIO, agent_replies=lambda _said: " "))
    await bot.tell(body="Where is my order?")
    await bot.replied(voices=0)
    assert "cannot answer" in bot.texts()[0]
    assert bot.failed() == {"answering": 1}


@pytest.mark.anyio
async def test_who_writes_while_a_provider_is_left_alone_waits(bot: Running) -> None:
    """Nothing was asked for, so it can wait: an answer a little later, and no excuse."""
    breaker = bot.assistant.stt.breaker("transcribe")
    breaker.force_open()
    await bot.tell(voice="where is my order")
    await bot.until(lambda: breaker.stats().rejected)
    assert not bot.texts()
    breaker.reset()
    await bot.replied()
    assert bot.texts()[0].startswith(ANSWER)
    assert len(bot.texts()) == 1
    assert not bot.failed()


@pytest.mark.anyio
async def test_an_indicator_that_fails_is_counted(bot: Running) -> None:
    """And nothing else comes of it."""
    bot.world.inject("twilio", Fault("status", status=500, times=None, operation="typing"))
    await bot.tell(body="Where is my order?")
    await bot.replied()
    await bot.until(lambda: bot.failed() == {"typing": 1})


@pytest.mark.anyio
async def test_the_query_of_the_webhook_is_signed_too(bot: Running) -> None:
    """However Twilio was told to call, the address that it called is checked."""
    url = f"{bot.webhook}?tenant=7&name=a%20b"
    told = await bot.world.calls_back.message(url, from_=ANNA, body="Hello?")
    assert told.status == 204
    await bot.replied()


@pytest.mark.anyio
async def test_health_is_for_all_and_metrics_for_who_has_the_token(bot: Running) -> None:
    """Neither asks a provider for anything that costs."""
    await bot.tell(body="Hello?")
    await bot.replied()
    status, health = await bot.get("/health")
    assert (status, health["state"]) == (200, "ok")
    for token in (None, "", "another"):
        assert (await bot.get("/metrics", token))[0] in {401, 403}
    status, metrics = await bot.get("/metrics", TOKEN)
    assert status == 200
    assert metrics["stages"]["replying"]["count"] == 1
    assert metrics["operations"]["agentforce"]["send"]["ok"] == 1
    assert metrics["total_time"]["count"] == 1


@pytest.mark.anyio
async def test_prometheus_reads_it(bot: Running) -> None:
    """With the token and the header that it sends; what that needs is installed with the rest."""
    import aiohttp

    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": accept}
    url = f"{bot.settings.public_url}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        assert "voicekit_uptime_seconds" in await answer.text()
    for name in ("Dockerfile", "README.md"):
        text = (ROOT / "examples/whatsapp_assistant" / name).read_text()
        (extras,) = re.findall(r'pip install .*\[(.*)\]" uvicorn', text)
        assert {"metrics", "prometheus", "web"} <= set(extras.split(","))


# -- the process -----------------------------------------------------------------------------


@pytest.fixture
def threaded() -> Iterator[ThreadedEmulator]:
    with Emulator.in_thread(
        providers=PROVIDERS, scenario=replace(SCENARIO, agent_first_text=1.0)
    ) as world:
        yield world


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_eventually = partial(eventually, within=15.0)


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    port: int
    url: str

    def ends(self) -> bytes:
        """End it, as a platform does; what it has logged."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=20)
        assert self.process.returncode in {0, -signal.SIGTERM}
        return said


@contextmanager
def _served(world: ThreadedEmulator, **environment: str) -> Iterator[Served]:
    """The application in a process of its own, which listens."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.whatsapp_assistant.app"],
        cwd=ROOT,
        env={
            **os.environ,
            **world.env(),
            "PORT": str(port),
            "PUBLIC_URL": url,
            "VOICE_FORMAT": "mp3_22050_32",
            "CONVERSATIONS": "10",
            **environment,
        },
        stderr=subprocess.PIPE,
    )
    try:

        def listening() -> bool:
            with closing(socket.socket()) as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        assert _eventually(listening)
        yield Served(process, port, url)
    finally:
        process.kill()
        process.communicate()


def test_sigterm_lets_conversations_end(threaded: ThreadedEmulator) -> None:
    """A process told to end in the middle of a turn still answers, in text and in voice."""
    with _served(threaded) as served:
        told = threaded.calls_back.message(f"{served.url}/twilio", body="Hello?").result(15)
        assert told.status == 204
        assert _eventually(lambda: threaded.journal.requests_for("agentforce", "messages"))
        said = served.ends()
        text, voice = threaded.journal.sent_to(told.fields["From"])
        assert text.body.startswith(ANSWER)
        assert voice.media[0]["size"] > 1000
        assert b"Traceback" not in said
        assert b"never awaited" not in said


def test_who_leaves_takes_no_message(threaded: ThreadedEmulator) -> None:
    """It says 503, so that Twilio asks somebody else; whatever it said 204 to is answered."""
    with _served(threaded) as served:

        def tell(who: str) -> int:
            told = threaded.calls_back.message(f"{served.url}/twilio", from_=who, body="Hello?")
            return int(told.result(15).status)

        said = {ANNA: tell(ANNA)}
        assert _eventually(lambda: threaded.journal.requests_for("agentforce", "messages"))
        served.process.send_signal(signal.SIGTERM)
        for number in range(100):  # the signal may come after the first of them
            who = f"whatsapp:+39021111{number:04}"
            said[who] = tell(who)
            if list(said.values()).count(503) == 3:
                break
        _, logged = served.process.communicate(timeout=20)
    assert set(said.values()) == {204, 503}
    for who, status in said.items():
        assert len(threaded.journal.sent_to(who)) == (2 if status == 204 else 0)
    assert b"cut off" not in logged
    assert b"too late" not in logged


@pytest.mark.anyio
async def test_a_message_that_is_read_when_it_begins_to_leave_is_not_taken(bot: Running) -> None:
    """Nothing gets in between the look and the work; statuses, which run nothing, do."""
    await bot.tell(body="Hello?")
    bot.app.state.leaving.begin()
    assert (await bot.tell(BEN, body="Hello?")).status == 503
    await bot.replied()

    def answers() -> set[int]:
        return {each.status for each in bot.world.journal.webhooks_for("twilio", "status")}

    await bot.until(lambda: answers() == {204})  # the last of them may be on its way
    assert not bot.texts(BEN)


@pytest.mark.anyio
async def test_who_drains_again_gets_the_rest(world: Emulator) -> None:
    """The clients close when the time is over that began with the signal; at the second at once."""
    async with running(world) as bot:
        leaving = bot.app.state.leaving
        assert bot.settings.drain_s - 1 < leaving.left() <= bot.settings.drain_s
        leaving.until -= bot.settings.drain_s
        assert leaving.left() == 0
        leaving.until += 100
        leaving.at_once()
        task = voicekit.background(asyncio.sleep(2))
    assert task.cancelled()


def test_nobody_keeps_it_from_ending(threaded: ThreadedEmulator) -> None:
    """Who sends half a request and waits: the process ends in its time, and is not killed."""
    with (
        _served(threaded, DRAIN_SECONDS="1") as served,
        socket.create_connection(("127.0.0.1", served.port)) as idler,
    ):
        idler.sendall(b"POST /twilio HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nBody=")
        time.sleep(0.2)  # until it has read that
        served.ends()


def test_one_command_tries_it() -> None:
    """`python -m examples.whatsapp_assistant` holds a conversation and leaves nothing behind."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.whatsapp_assistant", "--at-once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "We are open from nine to six" in done.stdout
    assert done.stdout.count("voice note,") == 4
    assert '"state": "ok"' in done.stdout
    assert not done.stderr
