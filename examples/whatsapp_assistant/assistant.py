"""One turn of a conversation: from a message that came in to its reply in text and in voice."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import uniform
from time import monotonic
from typing import TypeVar

import voicekit
from voicekit import (
    AgentAnswer,
    AgentforceClient,
    Breaker,
    CircuitOpenError,
    DeepgramClient,
    ElevenLabsClient,
    Limit,
    Limits,
    MediaHost,
    OutcomeUnknownError,
    Policies,
    PoolConfig,
    RemoteProtocolError,
    TwilioClient,
    VoicekitError,
)
from voicekit.cache import MemoryStorage, ResponseCache, SessionStore, SpeechCache
from voicekit.clients.twilio import InboundMessage, MessageStatus, Once
from voicekit.observe import Alert, Alerts, Metrics, Rule, health

from .settings import Settings

T = TypeVar("T")

log = logging.getLogger(__name__)

NOT_HEARD = "Sorry, I could not listen to that. Could you write it, or say it again?"
NOTHING_SAID = "Sorry, I did not hear any words in that. Could you say it again?"
ONLY_WORDS = "Sorry, I only understand text and voice notes."
NO_ANSWER = "Sorry, I cannot answer at the moment. Please ask me again in a minute."
NO_VOICE = "(I could not record this answer for you.)"

RULES = [
    Rule(name="down", value="health.clients.*.state", equals="down", severity="critical"),
    Rule(name="unwell", value="health.clients.*.state", equals=("degraded", "down")),
    Rule(name="slow", value="total_time.recent.p95", above=30.0, clear_at=20.0, lasting=60.0),
]
FETCHED_WITHIN = 15.0


async def alert(change: Alert) -> None:
    """A change for the worse or the better; a pager's webhook belongs here."""
    log.error("%s", change)


class Assistant:
    """The clients, sized for so many conversations at once, and what is done with them.

    Attributes:
        resources: What opens with the application and closes after it, the last one first.
    """

    def __init__(self, settings: Settings) -> None:
        n = settings.conversations
        self.settings = settings
        self.metrics = Metrics()
        seen = [self.metrics]
        # As many connections as people, so that nobody waits for one; and calls that find the
        # provider's own limit queue for a place rather than fail.
        pool = PoolConfig(max_connections=n, max_idle=n, max_wait=10.0)
        policies = Policies(
            limit=Limit(queue=n, max_wait=30.0),
            # Who fails is left alone for a moment only: people wait for it to come back. Who is
            # slow is not left alone at all: a message that comes late is better than none.
            breaker=Breaker(
                open_for=settings.breaker_s,
                longest_open=2 * settings.breaker_s,
                slow_after=math.inf,
            ),
        )
        self.twilio = TwilioClient(pool=pool, policies=policies, observers=seen)
        self.stt = DeepgramClient(pool=pool, policies=policies, observers=seen)
        agents = AgentforceClient(pool=pool, policies=policies, observers=seen)
        tts = ElevenLabsClient(
            voice=settings.voice,
            # Nobody hears a voice note begin: it may take longer than speech in a call.
            limits={"stream_speech": Limits(connect=2.0, first_output=20.0, gap=10.0)},
            pool=pool,
            policies=policies,
            observers=seen,
        )

        answers = ResponseCache(agents, observers=seen)
        self.sessions = SessionStore(answers, most=10 * n, observers=seen)
        self.speech = SpeechCache(tts, observers=seen)
        self.media = MediaHost(f"{settings.public_url}/media", secret=settings.media_secret)
        claims = MemoryStorage()
        self.once = Once(claims, observers=seen)

        look = settings.look_every_s
        self.health = health(self.twilio, self.stt, agents, optional=[tts], every=look)
        self.alerts = Alerts(
            RULES, send=alert, metrics=self.metrics, health=self.health, every=look
        )
        self.metrics.watch(
            self.twilio, self.stt, agents, tts, answers, self.speech, self.media, claims
        )
        self.resources = [
            self.media, self.twilio, self.stt, answers, self.speech, self.sessions,
            self.health, self.alerts,
        ]  # fmt: skip

    async def take(self, message: InboundMessage) -> None:
        """Answer a message, however often Twilio delivers it."""
        async with self.once(message.sid) as first:
            if not first:
                return
            try:
                await self._converse(message)
            except VoicekitError as error:
                log.warning("%s: not answered: %s", message.sid, type(error).__name__)
            except Exception:  # a fault of ours is no reason for silence either
                log.exception("%s: not answered", message.sid)
                await self._say(message, NO_ANSWER)

    async def _converse(self, message: InboundMessage) -> None:
        began = monotonic()
        voicekit.background(self._show_typing(message), name="typing")
        question = message.body.strip()
        if not question:
            question = await self._listen(message)
        if not question:
            return

        async with self._excused(message, "answering", NO_ANSWER):
            answer = await self._patiently(lambda: self._ask(message.key, question))
            if not answer.text.strip():  # it handed over, or only did something
                raise RemoteProtocolError("an answer without words")
        with self.metrics.stage("replying"):
            await self._send(message, body=answer.text)
        self.metrics.observe_stage("total_time", monotonic() - began)
        async with self._excused(message, "speaking", NO_VOICE):
            await self._speak(message, answer.text)

    async def _ask(self, key: str, question: str) -> AgentAnswer:
        async with self.sessions.session(key) as session:
            return await session.send(question)

    async def _listen(self, message: InboundMessage) -> str:
        """The words of a voice note; empty when there are none, which its sender is told."""
        note = message.media[0] if message.media else None
        if note is None or not (note.content_type or "").startswith("audio/"):
            await self._say(message, ONLY_WORDS)
            return ""
        self.sessions.start(message.key)  # opens while the recording is on its way
        async with self._excused(message, "listening", NOT_HEARD):
            # From Twilio to Deepgram piece by piece; Ogg/Opus goes through as it is.
            heard = await self._patiently(
                lambda: self.stt.transcribe(self.twilio.stream_media(note))
            )
        if not heard.text.strip():
            await self._say(message, NOTHING_SAID)
        return heard.text.strip()

    async def _speak(self, message: InboundMessage, text: str) -> None:
        """The answer once more, as a voice note."""
        clip = await self._patiently(
            lambda: self.speech.synthesize(text, format=self.settings.voice_format)
        )
        url = await self.media.publish(clip)
        await self._send(message, media=url)
        # The clip is in our memory: this work is not over, and the process must not end, before
        # Twilio has fetched it.
        if not await self.media.fetched(url, within=FETCHED_WITHIN):
            self.metrics.stage_failed("fetching")

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something; while its provider is left alone, wait for that rather than give up."""
        until = monotonic() + self.settings.patience_s
        while True:
            try:
                return await work()
            except CircuitOpenError as error:  # which is to say that nothing was asked for
                wait = (error.retry_after or 0.2) * uniform(1.0, 1.5)  # not all at once
                if not error.retryable or monotonic() + wait > until:
                    raise
            await asyncio.sleep(wait)

    # -- words to the sender -----------------------------------------------------------------

    async def _send(
        self, message: InboundMessage, *, body: str | None = None, media: str | None = None
    ) -> None:
        """Send something; never twice, for what may have arrived is not sent again."""
        await self._patiently(
            lambda: self.twilio.send_message(
                to=message.from_,
                from_=message.to,
                status_callback=f"{self.settings.public_url}/twilio",
                validity_period=self.settings.reply_valid_s,
                body=body,
                media=media,
            )
        )

    @asynccontextmanager
    async def _excused(
        self, message: InboundMessage, stage: str, words: str
    ) -> AsyncIterator[None]:
        """Measure a stage; where it fails, count that, and tell the sender in one short text."""
        try:
            with self.metrics.stage(stage):
                yield
        except VoicekitError as error:
            # What may have been sent needs no excuse, which would be wrong if it was.
            sent = isinstance(error, OutcomeUnknownError) and error.provider == "twilio"
            if not sent:
                await self._say(message, words)
            raise

    async def _say(self, message: InboundMessage, text: str) -> None:
        """A short text in place of an answer."""
        try:
            with self.metrics.stage("excusing"):
                await self._send(message, body=text)
        except VoicekitError as error:
            log.warning("%s: not even that: %s", message.sid, type(error).__name__)

    async def _show_typing(self, message: InboundMessage) -> None:
        if not await self.twilio.typing(message.sid):  # a courtesy: it raises nothing of theirs
            self.metrics.stage_failed("typing")

    def delivered(self, status: MessageStatus) -> None:
        """What became of a message that we sent."""
        if status.failed:
            self.metrics.stage_failed("delivery")
            log.warning("%s was not delivered: %s", status.sid, status.error_code)
