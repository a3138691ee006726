"""Everything that a failing call says anywhere, and the operations that are made to fail."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import traceback
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from voicekit import (
    AudioClip,
    AudioFormat,
    AudioURL,
    DeepgramClient,
    ElevenLabsClient,
    Event,
    Limits,
    OpenAIClient,
    PoolConfig,
    ProviderError,
    VoicekitError,
)

KEY = "vk-Qm7-marked-key-0123456789abcdef"
WORDS = ("quetzalmark", "xylomark")
TEXT = f"The {WORDS[0]} said {WORDS[1]}. And again: {' '.join(WORDS)}, in fifty more characters. "
MARKS = (KEY, *WORDS)
AUDIO = (TEXT.encode() * 40)[:3200]
RECORDING = AudioClip(data=AUDIO, format=AudioFormat.parse("pcm_16000"))

LIMITS = Limits(connect=0.5, first_output=0.3, gap=0.3, total=1.0)
QUICK = Limits(connect=0.5, first_output=0.15, gap=0.15, total=0.4)
"""For what is to fail: what is late fails as well, and sooner."""
OPERATIONS = {
    "openai": (
        "chat", "stream_chat", "openai synthesize", "openai transcribe",
        "openai stream_transcription", "stream_chat",
    ),
    "elevenlabs": (
        "synthesize", "stream_speech", "open_speech", "elevenlabs transcribe",
        "elevenlabs submit_transcription", "elevenlabs stream-input", "stream_speech",
        "open_speech",
    ),
    "deepgram": (
        "open_transcription", "configure", "transcribe", "submit_transcription", "grant_token",
        "deepgram synthesize", "deepgram stream_speech", "deepgram open_speech",
        "deepgram submit_speech",
    ),
}  # fmt: skip


class Evidence(logging.Handler):
    """Collects what can be read afterwards: logs, warnings, reprs, events, errors."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.said: list[tuple[str, str]] = []
        self.details: list[str] = []
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.add(f"log {record.name}", logging.Formatter().format(record))
        self.add(f"log {record.name}", repr(record.args))

    def on_event(self, event: Event, /) -> None:
        self.add("event", repr(event))

    def add(self, where: str, text: str) -> None:
        self.said.append((where, text))

    def show(self, where: str, *things: object) -> None:
        for thing in things:
            self.add(f"{where}: repr of {type(thing).__name__}", f"{thing!r} {thing!s}")

    def failed(self, where: str, error: BaseException) -> None:
        """An error, and all that hangs on it."""
        self.errors.append(error)
        self.add(f"{where}: traceback", "".join(traceback.format_exception(error)))
        for each in chain_of(error):
            self.add(f"{where}: {type(each).__name__}", f"{each!r} {each!s} {each.args!r}")
            for name, value in vars(each).items():
                if name == "detail" and isinstance(each, ProviderError):
                    self.details.append(str(value))
                elif isinstance(each, VoicekitError):
                    self.add(f"{where}: {type(each).__name__}.{name}", repr(value))

    def leaks(self) -> list[str]:
        """Where a mark can be read; in ``detail`` only the key counts."""
        found = [
            f"{where}: {mark} in {text[max(0, text.lower().find(mark.lower()) - 200) :][:300]}"
            for where, text in self.said
            for mark in MARKS
            if mark.lower() in text.lower()
        ]
        return found + [f"detail: {text}" for text in self.details if KEY[:12] in text]


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An error with the causes and contexts that a traceback shows, and the members of groups."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        shown = each.__cause__ if each.__suppress_context__ else each.__cause__ or each.__context__
        if shown is not None:
            waiting.append(shown)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


@contextmanager
def listening() -> Iterator[Evidence]:
    """Every log record at DEBUG, every warning, every error that nobody took."""
    evidence = Evidence()
    root = logging.getLogger()
    level, handlers, unraisable = root.level, root.handlers, sys.unraisablehook

    def lost(unraised: Any) -> None:
        evidence.failed("nobody took", unraised.exc_value)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        root.handlers = [evidence]  # without pytest's own: it would print megabytes
        root.setLevel(logging.DEBUG)
        sys.unraisablehook = lost
        try:
            yield evidence
            gc.collect()
        finally:
            sys.unraisablehook = unraisable
            root.setLevel(level)
            root.handlers = handlers
    for warning in caught:
        evidence.add("warning", str(warning.message))


@dataclass
class Addresses:
    """Where the three providers are."""

    deepgram: str
    openai: str
    elevenlabs: str
    ca: str | None = None


async def run_all(
    where: Addresses, evidence: Evidence, before: Callable[[str], None], limits: Limits = LIMITS
) -> None:
    """Each operation once more than it can succeed, of all providers at a time; ``before`` gets
    the provider first.

    The loop is in debug mode and calls every callback slow: asyncio then logs what each one is.
    """
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    loop.set_exception_handler(lambda _, context: evidence.add("loop", repr(context)))
    common: dict[str, Any] = {
        "api_key": KEY,
        "ca": where.ca,
        "pool": PoolConfig(min_ready=1, max_wait=0.5),
        "observers": [evidence],
    }
    stt = DeepgramClient(
        base_url=where.deepgram, keyterm=[TEXT[:40]],
        limits={
            "open_transcription": replace(limits, first_output=None),
            **dict.fromkeys(("transcribe", "submit_transcription", "grant_token"), limits),
            **dict.fromkeys(("synthesize", "stream_speech", "open_speech"), limits),
            "submit_speech": limits,
        },
        speech={"tag": list(WORDS), "extra_body": {"hint": TEXT}}, **common,
    )  # fmt: skip
    heard_and_said = ("stream_speech", "synthesize", "transcribe", "stream_transcription")
    llm = OpenAIClient(
        base_url=where.openai,
        model="m",
        speech={"model": "gpt-4o-mini-tts", "voice": "alloy", "instructions": TEXT},
        transcription={"model": "gpt-transcribe", "prompt": TEXT, "keywords": list(WORDS)},
        limits=dict.fromkeys(("chat", "stream_chat", *heard_and_said), limits),
        **common,
    )
    named = ("synthesize", "stream_speech", "open_speech", "transcribe", "submit_transcription")

    async def fresh_key() -> str:
        return KEY

    tts = ElevenLabsClient(
        base_url=where.elevenlabs,
        voice="v",
        limits=dict.fromkeys(named, limits),
        **{**common, "api_key": fresh_key},
    )
    calls: dict[str, Callable[[Evidence], Awaitable[object]]] = {
        "chat": lambda seen: _chat(llm, seen),
        "stream_chat": lambda seen: _stream_chat(llm, seen),
        "synthesize": lambda seen: _synthesize(tts, seen),
        "stream_speech": lambda seen: _stream_speech(tts, seen),
        "open_speech": lambda seen: _open_speech(tts, seen),
        "open_transcription": lambda seen: _open_transcription(stt, seen),
        "configure": lambda seen: _configure(stt, seen),
        "transcribe": lambda seen: _transcribe(stt, seen),
        "submit_transcription": lambda seen: _submit_transcription(stt, seen),
        "grant_token": lambda seen: _grant_token(stt, seen),
        "elevenlabs transcribe": lambda seen: _listen(tts, seen),
        "elevenlabs submit_transcription": lambda seen: _listen_later(tts, seen),
        "elevenlabs stream-input": lambda seen: _open_speech(tts, seen, socket="stream-input"),
        "openai synthesize": lambda seen: _say(llm, seen),
        "openai transcribe": lambda seen: _hear(llm, seen),
        "openai stream_transcription": lambda seen: _hear_as_written(llm, seen),
        "deepgram synthesize": lambda seen: _speak(stt, seen),
        "deepgram stream_speech": lambda seen: _stream_speech(stt, seen),
        "deepgram open_speech": lambda seen: _open_speech(stt, seen),
        "deepgram submit_speech": lambda seen: _speak_elsewhere(stt, seen),
    }
    try:
        for client in (stt, llm, tts):
            evidence.show("client", client, client.transport, client._credential)

        async def in_turn(provider: str) -> None:
            for name in OPERATIONS[provider]:
                before(provider)
                try:
                    async with asyncio.timeout(5):
                        await calls[name](evidence)
                except Exception as error:
                    evidence.failed(name, error)

        await asyncio.gather(*map(in_turn, OPERATIONS))
        for client in (stt, llm, tts):
            before(client.provider)
            with suppress(VoicekitError):
                evidence.show("warm", await client.warm(1))
            evidence.show("stats", client.stats(), client)
        for task in asyncio.all_tasks():
            evidence.show("task", task)
    finally:
        for client in (stt, llm, tts):
            await client.aclose()
            evidence.show("closed", client, client.transport)


async def _chat(llm: OpenAIClient, seen: Evidence) -> None:
    request = llm.request([{"role": "user", "content": TEXT}], user=WORDS[0])
    seen.show("chat", request)
    seen.show("chat", await llm.chat(request))


async def _stream_chat(llm: OpenAIClient, seen: Evidence) -> None:
    handle = llm.stream_chat(TEXT)
    seen.show("stream_chat", handle)
    async with handle as reply:
        seen.show("stream_chat", reply)
        async for _ in reply:
            seen.show("stream_chat", reply)
        seen.show("stream_chat", reply, reply.usage, reply.timings)


async def _say(llm: OpenAIClient, seen: Evidence) -> None:
    request = llm.speech_request(TEXT, split=50, extra_headers={"x-own": KEY})
    seen.show("openai synthesize", request, llm.as_synthesizer())
    seen.show("openai synthesize", await llm.synthesize(request))


async def _hear(llm: OpenAIClient, seen: Evidence) -> None:
    request = llm.transcription_request(RECORDING, extra_headers={"x-own": KEY})
    seen.show("openai transcribe", request, request.recording)
    seen.show("openai transcribe", await llm.transcribe(request))


async def _hear_as_written(llm: OpenAIClient, seen: Evidence) -> None:
    handle = llm.stream_transcription(RECORDING)
    seen.show("stream_transcription", handle)
    async with handle as stream:
        async for _ in stream:
            seen.show("stream_transcription", stream, stream.transcript)
        seen.show("stream_transcription", stream, stream.transcript, stream.usage)


async def _synthesize(tts: ElevenLabsClient, seen: Evidence) -> None:
    request = tts.request(TEXT, extra_headers={"x-own": KEY})
    seen.show("synthesize", request)
    seen.show("synthesize", await tts.synthesize(request))


async def _speak(tts: DeepgramClient, seen: Evidence) -> None:
    request = tts.speech_request(TEXT, extra_headers={"x-own": KEY})
    seen.show("synthesize", request)
    seen.show("synthesize", await tts.synthesize(request))


async def _speak_elsewhere(tts: DeepgramClient, seen: Evidence) -> None:
    callback = f"https://{WORDS[0]}.example/?{KEY}"
    seen.show("submit_speech", await tts.submit_speech(TEXT, callback=callback))


async def _stream_speech(tts: ElevenLabsClient | DeepgramClient, seen: Evidence) -> None:
    async def pieces() -> AsyncIterator[str]:
        for word in TEXT.split(" "):
            yield word + " "

    async with aclosing(pieces()) as text, tts.stream_speech(text) as speech:
        seen.show("stream_speech", speech)
        async for _ in speech:
            pass
        seen.show("stream_speech", speech)


async def _open_speech(
    tts: ElevenLabsClient | DeepgramClient, seen: Evidence, **options: Any
) -> None:
    handle = tts.open_speech(**options)
    seen.show("open_speech", handle)
    async with handle as utterance:
        await utterance.send(TEXT)
        seen.show("open_speech", utterance)
        await utterance.finish()
        async for _ in utterance:
            pass
        seen.show("open_speech", utterance)


async def _listen(tts: ElevenLabsClient, seen: Evidence) -> None:
    request = tts.transcription_request(
        AUDIO,
        format="pcm_16000",
        keyterms=list(WORDS),
        transcript_edit=TEXT,
        diarize=True,
        extra_headers={"x-own": KEY},
    )
    seen.show("transcribe", request, request.recording)
    seen.show("transcribe", await tts.transcribe(request))


async def _listen_later(tts: ElevenLabsClient, seen: Evidence) -> None:
    audio = AudioURL(f"https://{WORDS[0]}.example/?{KEY}")
    seen.show("submit_transcription", tts.transcription_request(audio), audio)
    pending = await tts.submit_transcription(audio, webhook_metadata={"said": TEXT})
    seen.show("submit_transcription", pending)


async def _open_transcription(stt: DeepgramClient, seen: Evidence) -> None:
    request = stt.request(format="pcm_16000")
    seen.show("open_transcription", request)
    async with stt.open_transcription(request) as session:
        for _ in range(5):
            await session.send(AUDIO)
        seen.show("open_transcription", session)
        await session.finish()
        async for result in session:
            seen.show("open_transcription", result)
        seen.show("open_transcription", session)


async def _configure(stt: DeepgramClient, seen: Evidence) -> None:
    async with stt.open_transcription(format="pcm_16000") as session:
        await session.send(AUDIO)
        try:
            await session.configure(keyterms=[TEXT[:40]])
        except VoicekitError as error:
            seen.failed("configure", error)
        await session.finalize()
        await session.finish()
        await session.result()


async def _transcribe(stt: DeepgramClient, seen: Evidence) -> None:
    request = stt.request(
        AUDIO, format="pcm_16000", search=WORDS, utterances=True, extra_headers={"x-own": KEY}
    )
    seen.show("transcribe", request, request.recording)
    seen.show("transcribe", await stt.transcribe(request))


async def _submit_transcription(stt: DeepgramClient, seen: Evidence) -> None:
    request = stt.request(AudioURL(f"https://{WORDS[0]}.example/?{KEY}"), callback=f"https://{KEY}")
    seen.show("submit_transcription", request, request.audio)
    seen.show("submit_transcription", await stt.submit_transcription(request))


async def _grant_token(stt: DeepgramClient, seen: Evidence) -> None:
    seen.show("grant_token", await stt.grant_token(60))
