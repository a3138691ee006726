"""What conversations, messages, files and caches protect from."""

from __future__ import annotations

import asyncio
from typing import Any

from mutations import Mutation, constant, straight, swap, wrap

from voicekit.cache import memory
from voicekit.cache.flights import Flights
from voicekit.cache.tape import Tape
from voicekit.clients.agentforce import errors as agent_errors
from voicekit.clients.agentforce.errors import SessionBusyError, SessionLostError
from voicekit.clients.agentforce.opening import Opener
from voicekit.clients.agentforce.resending import Patience, Resend
from voicekit.clients.agentforce.tokens import Tokens
from voicekit.clients.agentforce.turns import Held
from voicekit.clients.twilio import following
from voicekit.clients.twilio.media import MediaSettings
from voicekit.clients.twilio.once import Turn
from voicekit.errors import ClosedError
from voicekit.transport.http_aiohttp import AiohttpResponse

_SEND, _STREAM = "agentforce.send", "agentforce.stream_message"
_OPEN, _MESSAGE = "agentforce.open_session", "twilio.send_message"
_FILE, _SPEECH, _CHAT = "twilio.download_media", "elevenlabs.stream_speech", "openai.chat"
_NOWHERE = ("http", "nowhere", 1)


async def _resent_again(self: Any, call: Any, step: Any, /) -> Any:
    for _ in range(3):
        used = self._session.id
        try:
            return await step(call)
        except SessionLostError:
            await self._session._replace(used, call)
    return await step(call)


def _let_go(self: Any) -> None:
    self._response.abort()
    self._finish()


def _each_by_himself(self: Any) -> Any:
    return self._background.spawn(self._fetched(), "voicekit-agentforce-token")


def _freed_by_failure(leave: Any) -> Any:
    async def mutated(self: Any, kind: object, error: BaseException | None, trace: object) -> None:
        self._free = self._free or (error is not None and self.state == "first")
        await leave(self, kind, error, trace)

    return mutated


def _ends_for_all(leave: Any) -> Any:
    def mutated(self: Any, follower: Any) -> None:
        leave(self, follower)
        if not self.over:
            self._stop(ClosedError("the leader left"))
            if self._task is not None:
                self._task.cancel()

    return mutated


def _whole_anyway(self: Any, _error: Any) -> None:
    self._end()


async def _at_once(self: Any, call: Any, step: Any, /) -> Any:
    del self
    while True:
        try:
            return await step(call)
        except SessionBusyError:
            await asyncio.sleep(0)


MUTATIONS = (
    Mutation(
        name="a lost session is replaced",
        without=swap(Resend, __call__=straight),
        cells=((_SEND, "48c"), (_STREAM, "48c")),
        says="SessionLost",
    ),
    Mutation(
        name="what a lost session did not hear is said again once",
        without=swap(Resend, __call__=_resent_again),
        cells=((_SEND, "48c"),),
        says="more than one",
    ),
    Mutation(
        name="only what is proven not to have been heard is said again",
        without=swap(agent_errors, _is_lost=constant(True)),
        cells=((_SEND, "48c"),),
        says="SessionLost",
    ),
    Mutation(
        name="a busy session is asked again",
        without=swap(Patience, __call__=straight),
        cells=((_SEND, "48b"), (_STREAM, "48b")),
        says="SessionBusy",
    ),
    Mutation(
        name="a busy session is asked later and later",
        without=swap(Patience, __call__=_at_once),
        cells=((_SEND, "48b"),),
        says="asked again after",
    ),
    Mutation(
        name="a turn that is left is read to its end",
        without=swap(Held, abort=_let_go),
        cells=((_STREAM, "48d"),),
        says="met the turn",
    ),
    Mutation(
        name="one login for all whose token was refused",
        without=swap(Tokens, _begin=_each_by_himself),
        cells=((_SEND, "26c"),),
        says="not one login",
    ),
    Mutation(
        name="a session that nobody waits for is ended",
        without=swap(Opener, give_up=constant(None)),
        cells=((_OPEN, "48a"),),
        says="of 8 were ended",
    ),
    Mutation(
        name="a file that is not there yet is waited for",
        without=swap(MediaSettings, waits=property(constant(()))),
        cells=((_FILE, "20c"),),
        says="InvalidRequest",
    ),
    Mutation(
        name="the store of files gets no credential",
        without=swap(following, gets_credential=constant(True), origin_of=constant(_NOWHERE)),
        cells=((_FILE, "27c"),),
        says="credential went",
    ),
    Mutation(
        name="files are fetched from Twilio's hosts alone",
        without=swap(following, may_hold_media=constant(True)),
        cells=((_FILE, "27c"),),
        says="succeeded|nobody allowed",
    ),
    Mutation(
        name="a webhook runs once",
        without=swap(Turn, __bool__=constant(True)),
        cells=((_MESSAGE, "49"),),
        says="ran again|more than once",
    ),
    Mutation(
        name="a webhook whose answer failed does not run again",
        without=wrap(Turn, "__aexit__", _freed_by_failure),
        cells=((_MESSAGE, "49"),),
        says="may or may not|more than once",
    ),
    Mutation(
        name="what is being made is made once",
        without=swap(Flights, joinable=constant(None)),
        cells=((_SPEECH, "45a"), (_CHAT, "45a")),
        says="loads|I8|failed",
    ),
    Mutation(
        name="followers outlive who asked first",
        without=wrap(Tape, "leave", _ends_for_all),
        cells=((_SPEECH, "45c"),),
        says="failed|another load",
    ),
    Mutation(
        name="what broke off is not kept",
        without=swap(Tape, _stop=_whole_anyway),
        cells=((_SPEECH, "45d"),),
        says="succeeded",
    ),
    Mutation(
        name="an operation frees a few of many that are over",
        without=swap(memory, _SWEPT=1 << 30),
        cells=((_CHAT, "46"),),
        says="ms",
    ),
    Mutation(
        name="what arrived before a connection broke is handed out",
        without=swap(AiohttpResponse, _arrived=constant(b"")),
        cells=((_STREAM, "28b"),),
        says="may or may not",
    ),
)
