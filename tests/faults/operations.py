"""The rows of the grid: each operation once, how to ask for it and what the caller then holds.

A new operation is a new entry of ``ROWS``: nothing else knows operations by name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from voicekit import AudioClip, AudioFormat, DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.clients.base import Client, Credential
from voicekit.clients.execute import fetch_json
from voicekit.clients.refusals import Dialect, body_of, build, class_of
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.transport.messages import Request

KEY = "vk-marked-key-0123456789abcdef"
WORDS = "quetzalmark"
TEXT = f"The {WORDS} speaks, and says it once more."
RECORDING = bytes(range(256)) * 125  # a second of 16 kHz PCM
LONG_RECORDING = AudioClip(  # more than one write takes
    data=RECORDING * 20, format=AudioFormat.parse("pcm_16000")
)
CALLBACK = "https://example.com/hook"

# All limits, a tenth of design §3's or less, so that no cell takes longer than 3 s.
LIMITS = Limits(connect=0.2, first_output=0.4, gap=0.4, total=2.0)


class Taken(bytearray):
    """What a caller has received; one that is ``slow`` pauses after the first piece."""

    slow = 0.0

    async def took(self, piece: bytes) -> None:
        self.extend(piece)
        if self.slow:
            pause, self.slow = self.slow, 0.0
            await asyncio.sleep(pause)


Make = Callable[..., Any]
Ask = Callable[[Any, Taken], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One operation.

    Attributes:
        provider: Short name; of the emulator as well, which gives the reference answer.
        name: Of the operation, as its method is called.
        kind: P pure, C compute, I idempotent, E effect: what a repeat does.
        make: Makes the client: ``make(base_url=…, **common)``.
        ask: Does it once, adding to its second argument what the caller receives, as it comes.
        streams: The answer is handed out as it comes, so that it commits before its end.
        commits: It commits before its end although the caller gets it whole.
        audio: The answer is audio without an end marker.
        socket: It is a WebSocket.
        one_use: Its socket ends with it, and none waits in a pool.
        uploads: The body goes out in pieces.
        method: Of HTTP.
        path: Put after the server's address.
        answer: A fixed good answer, where the emulator has none.
        reconcile: An unknown outcome says how to find out.
        also: Other operations that an error of it may name.
    """

    provider: str
    name: str
    kind: str
    make: Make
    ask: Ask
    streams: bool = False
    commits: bool = False
    audio: bool = False
    socket: bool = False
    one_use: bool = False
    uploads: bool = False
    method: str = "POST"
    path: str = ""
    label: str = ""
    answer: bytes = b""
    limits: Limits = LIMITS
    reconcile: bool = False
    also: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.provider}.{self.label or self.name}"

    @property
    def s(self) -> bool:
        """Whether a part of the answer may be in the caller's hands, or in ours, for good."""
        return self.streams or self.commits

    @property
    def repeats(self) -> int:
        return 2


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


async def _text(method: str, client: Any, got: Taken, asked: Any) -> None:
    async with getattr(client, method)(asked) as reply:
        async for text in reply:
            await got.took(text.encode())


async def _value(
    method: str, show: Callable[[Any], object], client: Any, got: Taken, *args: Any, **options: Any
) -> None:  # fmt: skip
    got += str(show(await getattr(client, method)(*args, **options))).encode()


async def _live(client: Any, got: Taken) -> None:
    async with client.open_transcription(format="pcm_16000") as session:
        for at in range(0, len(RECORDING), 3200):
            await session.send(RECORDING[at : at + 3200])
        await session.finish()
        async for result in session:
            if result.is_final:
                await got.took(result.text.encode() + b" ")


def _asks(method: str, show: Callable[[Any], object], *args: Any, **options: Any) -> Ask:
    return lambda client, got: _value(method, show, client, got, *args, **options)


# -- an effect through the seam, until the providers with effects are there ---------------------

_MESSAGE = Operation(
    provider="effects",
    name="send_message",
    kind=OperationClass.EFFECT,
    limits=LIMITS,
    reconcile="look the message up by its key",
)
_DIALECT = Dialect(
    provider="effects",
    request_id_headers=("x-request-id",),
    read_error=lambda status, headers, body: build(
        class_of(status), status, headers, detail=str(body_of(body))
    ),
)


class Effects(Client):
    """The least client with an effect there can be."""

    provider = "effects"
    families: ClassVar[Mapping[str, Any]] = {}
    operations: ClassVar[Mapping[str, Operation]] = {_MESSAGE.name: _MESSAGE}

    def __init__(self, api_key: Any, **common: Any) -> None:
        given = dict.fromkeys(("transport", "pool", "ca", "proxy", "limits", "policies"))
        super().__init__(
            credential=Credential(api_key, env="", provider="effects"),
            **{"observers": (), "options": {}, **given, **common},
        )

    def _merged(self, settings: Any, given: Any) -> dict[Any, Any]:
        return {}

    async def send_message(self) -> str:
        async def prepare() -> Request:
            headers = {"Authorization": await self._credential.get(), "Accept-Encoding": "identity"}
            return Request("POST", f"{self.base_url}/messages", headers, b'{"body": "once"}')

        return await fetch_json(
            self.transport,
            self._call(_MESSAGE),
            prepare,
            _DIALECT,
            lambda value, _response: str(value["sid"]),
        )


DIALS = ("voicekit.clients.elevenlabs.live", "voicekit.clients.deepgram.speech.live")
"""Where ``DIAL`` is the operation that fills a pool of sockets; its limits are its own."""

_EFFECT_ANSWER = json.dumps({"sid": "SM1", "status": "queued"}).encode()

_ELEVENLABS = partial(Row, provider="elevenlabs", make=_elevenlabs)
_DEEPGRAM = partial(Row, provider="deepgram", make=DeepgramClient)
_OPENAI = partial(Row, provider="openai", make=_openai, path="/v1")

ROWS: tuple[Row, ...] = (
    _ELEVENLABS(name="synthesize", kind="C", ask=_clip, commits=True, audio=True),
    _ELEVENLABS(name="stream_speech", kind="C", ask=_speech, streams=True, audio=True),
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
        name="voices", kind="P", ask=_asks("voices", lambda page: [v.id for v in page]),
        method="GET",
    ),
    _ELEVENLABS(
        name="transcribe", kind="C", uploads=True,
        ask=_asks("transcribe", lambda heard: heard.text, LONG_RECORDING),
    ),
    _ELEVENLABS(
        name="submit_transcription", kind="E", uploads=True,
        ask=_asks("submit_transcription", lambda _: "sent", LONG_RECORDING),
    ),
    _DEEPGRAM(
        name="transcribe", kind="C", uploads=True,
        ask=_asks("transcribe", lambda heard: heard.text, LONG_RECORDING),
    ),
    _DEEPGRAM(
        name="submit_transcription", kind="E", uploads=True,
        ask=_asks(
            "submit_transcription", lambda _: "sent", LONG_RECORDING, callback=CALLBACK,
        ),
    ),
    _DEEPGRAM(
        name="open_transcription", kind="C", ask=_live, streams=True, socket=True, one_use=True
    ),
    _DEEPGRAM(name="synthesize", kind="C", ask=_clip, commits=True, audio=True),
    _DEEPGRAM(name="stream_speech", kind="C", ask=_speech, streams=True, audio=True),
    _DEEPGRAM(
        name="submit_speech", kind="E",
        ask=_asks("submit_speech", lambda _: "sent", TEXT, callback=CALLBACK),
    ),
    _DEEPGRAM(
        name="open_speech", kind="C", ask=_session, streams=True, socket=True,
        also=("dial_speech",),
    ),
    _DEEPGRAM(name="grant_token", kind="I", ask=_asks("grant_token", lambda _: "granted")),
    _OPENAI(name="chat", kind="C", ask=_asks("chat", lambda reply: reply.text, TEXT)),
    _OPENAI(
        name="stream_chat", kind="C", streams=True,
        ask=lambda client, got: _text("stream_chat", client, got, TEXT),
    ),
    _OPENAI(name="respond", kind="C", ask=_asks("respond", lambda reply: reply.text, TEXT)),
    _OPENAI(
        name="stream_response", kind="C", streams=True,
        ask=lambda client, got: _text("stream_response", client, got, TEXT),
    ),
    _OPENAI(name="synthesize", kind="C", ask=_clip, commits=True, audio=True),
    _OPENAI(name="stream_speech", kind="C", ask=_speech, streams=True, audio=True),
    _OPENAI(
        name="transcribe", kind="C", uploads=True,
        ask=_asks("transcribe", lambda heard: heard.text, LONG_RECORDING),
    ),
    _OPENAI(
        name="stream_transcription", kind="C", uploads=True, streams=True,
        ask=lambda client, got: _text("stream_transcription", client, got, LONG_RECORDING),
    ),
    _OPENAI(name="embed", kind="C", ask=_asks("embed", lambda e: len(e.vectors), TEXT)),
    _OPENAI(
        name="models", kind="P", ask=_asks("models", lambda page: [m.id for m in page]),
        method="GET",
    ),
    Row(
        provider="effects", name="send_message", kind="E", make=Effects, reconcile=True,
        ask=_asks("send_message", str), answer=_EFFECT_ANSWER,
    ),
)  # fmt: skip
"""Every operation that exists. Class S is a row that ``streams`` or ``commits``, past its commit
point; a column says for itself where its fault strikes."""
