"""What clients, streams and calls protect from: answers that are no answers, and their own ends."""

from __future__ import annotations

import re
from typing import Any

from mutations import Mutation, after, both, constant, swap, wrap

from voicekit.clients import audio_body, execute, refusals
from voicekit.clients.audio_body import AudioDecoder
from voicekit.clients.credential import Credential, Reauthorize
from voicekit.clients.openai.stream import ChatDecoder
from voicekit.operation import Call
from voicekit.streams import Stream
from voicekit.watchdog import Watchdog

_CHAT, _STREAM_CHAT = "openai.chat", "openai.stream_chat"
_SPEECH, _CLIP = "elevenlabs.stream_speech", "deepgram.synthesize"
_UPLOAD, _SESSION = "deepgram.transcribe", "deepgram.open_transcription"


def _as_delimited(eof: Any) -> Any:
    return lambda self, *, delimited: eof(self, delimited=True)


def _ends_quietly(self: Any, *, delimited: bool) -> list[Any]:
    del delimited
    self.done = True
    return []


async def _whole(response: Any, _most: int) -> bytes:
    parts = []
    while data := await response.chunk():
        parts.append(data)
    return b"".join(parts)


def _twice(end: Any) -> Any:
    def mutated(self: Any, error: BaseException | None = None) -> None:
        self._ended = False
        end(self, error)

    return mutated


async def _each_by_himself(self: Any, refused: str, *_background: Any) -> bool:
    if self._key == refused and self._ask is not None:
        self._learn(await self._ask())
    return bool(self._key != refused)


async def _straight(_self: Any, call: Any, step: Any, /) -> Any:
    return await step(call)


def _running_on(_arrived: Any) -> Any:
    """The clock of gaps does not stop while the caller is busy."""

    def mutated(self: Any, *, useful: bool) -> None:
        del useful
        self._waiting_since = now = self._loop.time()
        if self.limit is not None:
            self._clock.set(self._alarm, now + self.limit)

    return mutated


def _unlimited(decoder: Any) -> None:
    decoder._most = decoder._left = 1 << 60


MUTATIONS = (
    Mutation(
        name="limit: gap between outputs",
        without=wrap(Watchdog, "__init__", after(lambda self: setattr(self, "limit", None))),
        cells=((_SPEECH, "30"),),
        says="s$|took",
    ),
    Mutation(
        name="the gap's clock stands still while the caller is busy",
        without=both(
            wrap(Watchdog, "__init__", after(lambda self: self.waiting())),
            wrap(Watchdog, "arrived", _running_on),
        ),
        cells=((_SPEECH, "34"),),
        says="broke off",
    ),
    Mutation(
        name="the end of audio must be framed",
        without=wrap(AudioDecoder, "eof", _as_delimited),
        cells=((_SPEECH, "29"), (_CLIP, "29")),
        says="succeeded with",
    ),
    Mutation(
        name="the end of a chat must be marked",
        without=swap(ChatDecoder, eof=_ends_quietly),
        cells=((_STREAM_CHAT, "29"),),
        says="succeeded with",
    ),
    Mutation(
        name="the content type of audio is checked",
        without=swap(audio_body, checked_type=constant("audio/pcm"), _check_named=constant(None)),
        cells=((_SPEECH, "32"), (_CLIP, "32")),
        says="wrong type: succeeded",
    ),
    Mutation(
        name="errors in audio's place are found",
        without=swap(audio_body, _NO_AUDIO=re.compile(rb"(?!)")),
        cells=((_SPEECH, "32"),),
        says="by another name: succeeded",
    ),
    Mutation(
        name="compressed audio is refused",
        without=swap(audio_body, checked_type=constant("audio/pcm")),
        cells=((_SPEECH, "33"),),
        says="succeeded",
    ),
    Mutation(
        name="a whole answer has a longest length",
        without=swap(execute, read_body=_whole),
        cells=((_CHAT, "33b"),),
        says="MB|succeeded",
    ),
    Mutation(
        name="audio has a longest length",
        without=wrap(AudioDecoder, "__init__", after(_unlimited)),
        cells=((_CLIP, "33b"), (_SPEECH, "33b")),
        says="MB|succeeded",
    ),
    Mutation(
        name="Retry-After is read",
        without=swap(refusals, parse_retry_after=lambda *_args, **_options: None),
        cells=((_CHAT, "21"),),
        says="seconds: ",
    ),
    Mutation(
        name="what was uploaded whole is not uploaded again",
        without=swap(Call, _final=lambda _self, error: error),
        cells=((_UPLOAD, "18"),),
        says="it was repeated",
    ),
    Mutation(
        name="a call ends once",
        without=wrap(Call, "end", _twice),
        cells=((_SESSION, "1"),),
        says="I4",
    ),
    Mutation(
        name="a refused key is asked for again",
        without=swap(Reauthorize, __call__=_straight),
        cells=((_CHAT, "26"),),
        says="401",
    ),
    Mutation(
        name="one asks for another key, whoever else was refused",
        without=swap(Credential, renew=_each_by_himself),
        cells=((_CHAT, "26"),),
        says="asked for another token",
    ),
    Mutation(
        name="what a stream holds is freed when its caller leaves",
        without=swap(Stream, _abandon=constant(None)),
        cells=((_SPEECH, "15"),),
        says="leased=20",
    ),
)
