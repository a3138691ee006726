"""What sessions over WebSockets protect from: quiet ends, lost audio, doubled words, silence."""

from __future__ import annotations

from typing import Any

from mutations import Mutation, after, both, constant, swap, wrap

from voicekit.clients.deepgram import reconnecting
from voicekit.clients.deepgram.finals import Finals
from voicekit.clients.deepgram.heartbeat import Heartbeat
from voicekit.clients.deepgram.outages import Outages
from voicekit.clients.deepgram.reconnecting import ReconnectingSession
from voicekit.clients.deepgram.replay import ReplayBuffer
from voicekit.clients.elevenlabs.contexts import OpenContexts
from voicekit.clients.elevenlabs.sessions import Utterance
from voicekit.clients.utterance import SpokenSession
from voicekit.errors import VoicekitError
from voicekit.transport import connector, goodbye, pool, ws_aiohttp
from voicekit.transport.ws_aiohttp import SocketClosed
from voicekit.watchdog import Watchdog

_SPEAK, _SPEAK_ONCE = "elevenlabs.open_speech", "elevenlabs.open_speech+single"
_TALK, _LISTEN = "deepgram.open_speech", "deepgram.open_transcription"


def _ends(self: Any, _error: VoicekitError) -> None:
    """The end of the socket is the end of the utterance, as ``async for`` over one has it."""
    self._end()


def _normally(lose: Any) -> Any:
    """A close frame with 1000 is taken for the end."""

    def mutated(self: Any, error: VoicekitError) -> None:
        if isinstance(error, SocketClosed) and error.status == 1000:
            self._end()
        else:
            lose(self, error)

    return mutated


def _normally_heard(lost: Any) -> Any:
    def mutated(self: Any, line: Any, cause: VoicekitError) -> None:
        if isinstance(cause, SocketClosed) and cause.status == 1000:
            self._end()
        else:
            lost(self, line, cause)

    return mutated


def _never_again(self: Any, line: Any, cause: VoicekitError) -> None:
    if not self._ended and line is self._line:
        self._fail(cause)


async def _nothing_again(*_args: Any, **_facts: Any) -> int:
    return 0


def _forgets_all(self: Any) -> None:
    self._settled_s = self._state.acknowledged_s
    self._replay.restart(self._position)


def _said_again(self: Any, error: VoicekitError) -> None:
    self._give_back(reusable=False, ended=False)
    if self._ended:
        return
    if self._taking:
        self._gone = self._error_of_loss(error)
    elif self._replays:
        self._fail(self._error_of_loss(error))
    else:
        self._say_elsewhere(error)


def _hasty(delay: Any) -> Any:
    def mutated(self: Any, error: VoicekitError, most: float) -> float | None:
        found = delay(self, error, most)
        return None if found is None else 0.0

    return mutated


class _Deaf:
    """An alarm clock that never rings."""

    def set(self, alarm: Any, due: float) -> None:
        pass

    def clear(self, alarm: Any) -> None:
        pass


async def _as_it_is(request: Any, handler: Any) -> Any:
    return await handler(request)


MUTATIONS = (
    Mutation(
        name="speech: the end of a socket is not the end of speech",
        without=swap(SpokenSession, _lose=_ends),
        cells=((_SPEAK, "36b"), (_TALK, "36c")),
        says="succeeded",
    ),
    Mutation(
        name="speech: a normal close before the end marker is none",
        without=wrap(SpokenSession, "_lose", _normally),
        cells=((_SPEAK, "37b"), (_SPEAK_ONCE, "37b")),
        says="1000: succeeded|1000: .*I10",
    ),
    Mutation(
        name="transcription: a normal close before the end marker is none",
        without=wrap(ReconnectingSession, "_lost", _normally_heard),
        cells=((_LISTEN, "37b"),),
        says="1000:",
    ),
    Mutation(
        name="speech: before the first output it is all said again",
        without=swap(SpokenSession, _say_elsewhere=lambda self, cause: self._fail(cause)),
        cells=((_SPEAK, "36a"), (_TALK, "36a")),
        says="failed",
    ),
    Mutation(
        name="speech: after the first output nothing is said again",
        without=swap(SpokenSession, _lose=_said_again),
        cells=((_TALK, "36b"), (_SPEAK, "36b")),
        says="RST: ",
    ),
    Mutation(
        name="transcription: a lost connection is replaced",
        without=swap(ReconnectingSession, _lost=_never_again),
        cells=((_LISTEN, "36b"),),
        says="broke off",
    ),
    Mutation(
        name="transcription: what is not settled is sent again",
        without=swap(reconnecting, send_again=_nothing_again),
        cells=((_LISTEN, "36b"),),
        says="sent to nobody|failed|I10",
    ),
    Mutation(
        name="transcription: what was sent is kept until it is settled",
        without=swap(ReconnectingSession, _settle=_forgets_all),
        cells=((_LISTEN, "36b"),),
        says="RST: ",
    ),
    Mutation(
        name="transcription: words that were said before are cut",
        without=swap(Finals, cut=lambda _self, result: result),
        cells=((_LISTEN, "36b"),),
        says="I10",
    ),
    Mutation(
        name="transcription: what nobody heard is reported as a gap",
        without=swap(ReconnectingSession, _report_gap=constant(None)),
        cells=((_LISTEN, "38d"),),
        says="I10",
    ),
    Mutation(
        name="transcription: what is kept is bounded",
        without=swap(ReplayBuffer, bound=constant(None)),
        cells=((_LISTEN, "38d"),),
        says="were kept",
    ),
    Mutation(
        name="transcription: a wait that is asked for is waited for",
        without=wrap(Outages, "delay", _hasty),
        cells=((_LISTEN, "35b"),),
        says="as long as it was asked",
    ),
    Mutation(
        name="a peer that hangs is noticed",
        without=wrap(Watchdog, "__init__", after(lambda self: setattr(self, "_clock", _Deaf()))),
        cells=((_SPEAK, "38b"), (_LISTEN, "38a")),
        says="hangs|TimeoutError|CancelledError",
    ),
    Mutation(
        name="signs of life: transcription",
        without=swap(Heartbeat, _ring=constant(None)),
        cells=((_LISTEN, "39a"),),
        says="nothing was said|failed|unpack",
    ),
    Mutation(
        name="signs of life: speech",
        without=swap(Utterance, _keep_alive=constant(None)),
        cells=((_SPEAK, "39a"),),
        says="nothing was said|failed|unpack",
    ),
    Mutation(
        name="audio of another context is nobody's",
        without=swap(OpenContexts, is_live=constant(True)),
        cells=((_SPEAK, "40a"),),
        says="another's audio",
    ),
    Mutation(
        name="a message has a longest length",
        without=swap(ws_aiohttp.dial_socket, __kwdefaults__={"max_frame_bytes": 0}),
        cells=((_LISTEN, "40b"), (_TALK, "40b")),
        says="oversized",
    ),
    Mutation(
        name="redirected handshakes are not followed",
        without=swap(connector, refuse=_as_it_is),
        cells=((_LISTEN, "27b"), (_SPEAK, "27b")),
        says="the credential followed",
    ),
    Mutation(
        name="a farewell is bounded",
        without=both(
            swap(pool, CLOSE_LIMIT=9.0),
            swap(goodbye, GOODBYE=9.0),
            swap(ws_aiohttp, _CLOSE_LIMIT=9.0),
        ),
        cells=((_SPEAK, "38c"),),
        says="closed after|TimeoutError",
    ),
)
