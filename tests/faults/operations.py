"""The rows of the grid: each operation once, how to ask for it and what the caller then holds.

A new operation is a new entry of ``ROWS``: nothing else knows operations by name.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import operations_agentforce
import operations_twilio
from row import (
    CALLBACK,
    KEY,
    LIMITS,
    LONG_RECORDING,
    RECORDING,
    TEXT,
    WORDS,
    Row,
    Taken,
    asks,
)

from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.cache import ResponseCache, SpeechCache

__all__ = [
    "DIALS",
    "KEY",
    "LIMITS",
    "RECORDING",
    "ROWS",
    "TEXT",
    "WORDS",
    "Row",
    "Taken",
]


def _openai(**common: Any) -> OpenAIClient:
    return OpenAIClient(
        model="gpt-4o-mini",
        speech={"model": "gpt-4o-mini-tts", "voice": "alloy", "format": "pcm_24000"},
        transcription={"model": "gpt-4o-mini-transcribe"},
        embedding={"model": "text-embedding-3-small"},
        **common,
    )


def _elevenlabs(**common: Any) -> ElevenLabsClient:
    return ElevenLabsClient(voice="21m00Tcm4TlvDq8ikWAM", **common)


# -- what the caller receives, by the shape of the call ---------------------------------------


async def _clip(client: Any, got: Taken, **options: Any) -> None:
    clip = await client.synthesize(TEXT, **options)
    got += clip.data


async def _speech(client: Any, got: Taken, **options: Any) -> None:
    async with client.stream_speech(TEXT, **options) as speech:
        async for chunk in speech:
            await got.took(chunk)


async def _session(client: Any, got: Taken, **options: Any) -> None:
    async with client.open_speech(**options) as utterance:
        await utterance.send(TEXT)
        await utterance.finish()
        async for chunk in utterance:
            await got.took(chunk)


def _itself(client: Any) -> Any:
    return client


def _synthesizer(client: Any) -> Any:
    return client if isinstance(client, ElevenLabsClient) else client.as_synthesizer()


def _speech_cache(client: Any, **options: Any) -> Any:
    return SpeechCache(_synthesizer(client), close=False, **options)


def _response_cache(client: Any, **options: Any) -> Any:
    return ResponseCache(client, close=False, **options)


async def _text(method: str, client: Any, got: Taken, asked: Any) -> None:
    async with getattr(client, method)(asked) as reply:
        async for text in reply:
            await got.took(text.encode())


async def _live(client: Any, got: Taken) -> None:
    async with client.open_transcription(format="pcm_16000") as session:
        for at in range(0, len(RECORDING), 3200):
            await session.send(RECORDING[at : at + 3200])
        await session.finish()
        async for result in session:
            if result.is_final:
                await got.took(result.text.encode() + b" ")


DIALS = ("voicekit.clients.elevenlabs.live", "voicekit.clients.deepgram.speech.live")
"""Where ``DIAL`` is the operation that fills a pool of sockets; its limits are its own."""

_RESUMES = {"resume": True, "split": True}
_ELEVENLABS = partial(Row, provider="elevenlabs", make=_elevenlabs)
_DEEPGRAM = partial(Row, provider="deepgram", make=DeepgramClient)
_OPENAI = partial(Row, provider="openai", make=_openai, path="/v1")

ROWS: tuple[Row, ...] = (
    _ELEVENLABS(name="synthesize", kind="C", ask=_clip, commits=True, audio=True,
        resumes=_RESUMES,
    ),
    _ELEVENLABS(name="stream_speech", kind="C", ask=_speech, streams=True, audio=True,
        cached=_speech_cache, member=_synthesizer, resumes=_RESUMES,
    ),
    _ELEVENLABS(
        name="stream_speech",
        label="stream_speech+timestamps",
        kind="C",
        ask=lambda client, got: _speech(client, got, timestamps=True),
        streams=True,
    ),
    _ELEVENLABS(
        name="open_speech", kind="C", ask=_session, streams=True, socket=True,
        also=("dial_speech",),
    ),
    _ELEVENLABS(
        name="open_speech",
        label="open_speech+single",
        kind="C",
        ask=lambda client, got: _session(client, got, socket="stream-input"),
        streams=True,
        socket=True,
        one_use=True,
        also=("dial_speech",),
    ),
    _ELEVENLABS(
        name="voices", kind="P", ask=asks("voices", lambda page: [v.id for v in page]),
        method="GET",
    ),
    _ELEVENLABS(
        name="transcribe", kind="C", uploads=True,
        ask=asks("transcribe", lambda heard: heard.text, LONG_RECORDING),
    ),
    _ELEVENLABS(
        name="submit_transcription", kind="E", uploads=True,
        ask=asks("submit_transcription", lambda _: "sent", LONG_RECORDING),
    ),
    _DEEPGRAM(
        name="transcribe", kind="C", uploads=True,
        ask=asks("transcribe", lambda heard: heard.text, LONG_RECORDING),
    ),
    _DEEPGRAM(
        name="submit_transcription", kind="E", uploads=True,
        ask=asks(
            "submit_transcription", lambda _: "sent", LONG_RECORDING, callback=CALLBACK,
        ),
    ),
    _DEEPGRAM(
        name="open_transcription", kind="C", ask=_live, streams=True, socket=True, one_use=True
    ),
    _DEEPGRAM(name="synthesize", kind="C", ask=_clip, commits=True, audio=True,
        resumes={"speech": _RESUMES},
    ),
    _DEEPGRAM(name="stream_speech", kind="C", ask=_speech, streams=True, audio=True,
        cached=_speech_cache, member=_synthesizer, resumes={"speech": _RESUMES},
    ),
    _DEEPGRAM(
        name="submit_speech", kind="E",
        ask=asks("submit_speech", lambda _: "sent", TEXT, callback=CALLBACK),
    ),
    _DEEPGRAM(
        name="open_speech", kind="C", ask=_session, streams=True, socket=True,
        also=("dial_speech",),
    ),
    _DEEPGRAM(name="grant_token", kind="I", ask=asks("grant_token", lambda _: "granted")),
    _OPENAI(name="chat", kind="C", ask=asks("chat", lambda reply: reply.text, TEXT),
        cached=_response_cache, member=_itself,
    ),
    _OPENAI(
        name="stream_chat", kind="C", streams=True, cached=_response_cache, member=_itself,
        ask=lambda client, got: _text("stream_chat", client, got, TEXT),
    ),
    _OPENAI(name="respond", kind="C", ask=asks("respond", lambda reply: reply.text, TEXT)),
    _OPENAI(
        name="stream_response", kind="C", streams=True,
        ask=lambda client, got: _text("stream_response", client, got, TEXT),
    ),
    _OPENAI(name="synthesize", kind="C", ask=_clip, commits=True, audio=True),
    _OPENAI(name="stream_speech", kind="C", ask=_speech, streams=True, audio=True,
        cached=_speech_cache, member=_synthesizer,
    ),
    _OPENAI(
        name="transcribe", kind="C", uploads=True,
        ask=asks("transcribe", lambda heard: heard.text, LONG_RECORDING),
    ),
    _OPENAI(
        name="stream_transcription", kind="C", uploads=True, streams=True,
        ask=lambda client, got: _text("stream_transcription", client, got, LONG_RECORDING),
    ),
    _OPENAI(name="embed", kind="C", ask=asks("embed", lambda e: len(e.vectors), TEXT)),
    _OPENAI(
        name="models", kind="P", ask=asks("models", lambda page: [m.id for m in page]),
        method="GET",
    ),
    *operations_agentforce.ROWS,
    *operations_twilio.ROWS,
)  # fmt: skip
"""Every operation that exists. Class S is a row that ``streams`` or ``commits``, past its commit
point; a column says for itself where its fault strikes."""
