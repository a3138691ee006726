"""The rows of Agentforce.

A turn needs a session, which is not what its faults are about: the row takes one as if it had
been started before. Whoever leaves a turn closes the conversation as well; what is read on in the
background when he does not is a column of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from row import LIMITS, TEXT, Row, Taken
from servers import Reply, Seen

from voicekit import AgentforceClient
from voicekit.clients.agentforce.protocol import Started
from voicekit.clients.agentforce.sessions import AgentforceSession
from voicekit.clients.agentforce.tokens import App, TokenClient
from voicekit.clients.base import Client, Credential
from voicekit.pipeline import Pipeline

AGENT = "0XxHu000000XXXXKX4"
SESSION = "019d4c0e-7b11-7cc1-9d53-6a2f0e8d1b55"
_SAID = ("It left yesterday. ", "Expect it on Friday, ", "at noon, ", "by the usual carrier.")
_DOMAIN = "https://grid.my.salesforce.com"


# -- the provider's answers ---------------------------------------------------------------------


def document(value: Any) -> Reply:
    headers = (("Content-Type", "application/json;charset=UTF-8"), ("X-Request-ID", "r-1"))
    return Reply("200 OK", headers, json.dumps(value).encode(), chunked=False)


def _inform(message: str, **more: Any) -> dict[str, Any]:
    facts = {"feedbackId": "f-1", "planId": "p-1", "isContentSafe": True, "result": []}
    return {"type": "Inform", "id": "m-1", "message": message, "metrics": {}, **facts, **more}


def _event(name: str, message: Mapping[str, Any]) -> str:
    data = {"timestamp": 1764000128004, "originEventId": "1-REQ", "offset": 0, "message": message}
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _streamed() -> Reply:
    chunk = {"type": "TextChunk", "id": "m-1", "formatType": "Text", "metrics": {}}
    pieces = [_event("TEXT_CHUNK", {**chunk, "message": piece}) for piece in _SAID]
    whole = _event("INFORM", _inform("".join(_SAID)))
    body = "".join([*pieces, whole, _event("END_OF_TURN", {"type": "EndOfTurn", "id": "m-2"})])
    headers = (("Content-Type", "text/event-stream;charset=UTF-8"), ("X-Request-ID", "r-1"))
    return Reply("200 OK", headers, body.encode(), chunked=True)


STARTED = document({"sessionId": SESSION, "_links": {}, "messages": [_inform("Hi, I am Ada.")]})
ANSWERED = document({"messages": [_inform("".join(_SAID))], "_links": {}})
STREAMED = _streamed()
NOTHING = Reply("204 No Content", (), b"", chunked=False)
TOKEN = document({"access_token": "a.b.c", "api_instance_url": _DOMAIN, "token_type": "Bearer"})


def session_aside(seen: Seen) -> Reply | None:
    """What is none of a turn's: starts and ends of sessions."""
    if seen.method == "DELETE":
        return NOTHING
    return STARTED if seen.path.endswith("/sessions") else None


def end_aside(seen: Seen) -> Reply | None:
    return NOTHING if seen.method == "DELETE" else None


# -- how to ask ---------------------------------------------------------------------------------


def _agents(**common: Any) -> AgentforceClient:
    given: dict[str, Any] = {"domain": _DOMAIN, **common}
    limits = {"end_session": LIMITS, **(given.pop("limits", None) or {})}
    return AgentforceClient(agent_id=AGENT, limits=limits, **given)


def session_of(client: Any) -> AgentforceSession:
    """A session as if it had been started before."""
    started = Started(id=SESSION, greeting="", raw={}, headers={})
    call: Any = SimpleNamespace(timings=None, connection=None, attempts=1, request_id=None)
    return AgentforceSession(client, client.session_request(), started, call)


@contextmanager
def conversing(client: Any) -> Iterator[AgentforceSession]:
    """A session; whatever is under way in it ends with the block."""
    session = session_of(client)
    try:
        yield session
    finally:
        session._turns.close()


async def _send(client: Any, got: Taken) -> None:
    with conversing(client) as session:
        answer = await session.send(TEXT)
        got += answer.text.encode()


async def _stream(client: Any, got: Taken) -> None:
    with conversing(client) as session:
        async with session.stream_message(TEXT) as reply:
            async for text in reply:
                await got.took(text.encode())


async def _open(client: Any, got: Taken) -> None:
    """It stays open until the client ends it."""
    session = await client.open_session()
    got += session.greeting.encode()


async def whole_turn(row: Row, session: AgentforceSession) -> bytes:
    """One turn of this row's kind in that session."""
    if not row.streams:
        return (await session.send(TEXT)).text.encode()
    async with session.stream_message(TEXT) as reply:
        return "".join([text async for text in reply]).encode()


def ended(others: Sequence[Seen]) -> list[Seen]:
    """Sessions that were ended."""
    return [seen for seen in others if seen.method == "DELETE"]


class _Ending(AgentforceClient):
    """Ends of sessions fail in silence; what the grid is told is what their policies were."""

    _failed: ContextVar[BaseException | None] = ContextVar("failed", default=None)

    def _call(self, *args: Any, **options: Any) -> Any:
        try:
            call = super()._call(*args, **options)
        except Exception as error:
            self._failed.set(error)
            raise
        inner = () if call.pipeline is None else call.pipeline.policies
        call.pipeline = Pipeline((self._noted, *inner))
        return call

    async def _noted(self, call: Any, step: Any, /) -> Any:
        try:
            return await step(call)
        except Exception as error:
            self._failed.set(error)
            raise

    async def end(self) -> str:
        self._failed.set(None)
        await self._end(SESSION, "UserRequest")
        if (error := self._failed.get()) is not None:
            raise error
        return "ended"


def _ending(**common: Any) -> _Ending:
    return _Ending(agent_id=AGENT, domain=_DOMAIN, **common)


async def _end(client: Any, got: Taken) -> None:
    got += (await client.end()).encode()


class _Logins(TokenClient):
    """Asks for tokens, and for nothing else."""

    def __init__(self, api_key: Any, *, base_url: str, **common: Any) -> None:
        secret = Credential(api_key, env="", provider="agentforce")
        given = dict.fromkeys(("transport", "pool", "ca", "proxy", "limits", "policies"))
        given |= {"observers": (), "options": {}}
        Client.__init__(self, credential=secret, base_url=base_url, **{**given, **common})
        self._client_id = App(domain=base_url, client_id="grid", secret=secret).client_id


async def _login(client: Any, got: Taken) -> None:
    got += (await client.fetch()).token.encode()


def _form_secret(seen: Seen) -> bytes:
    return dict(parse_qsl(seen.body.decode())).get("client_secret", "").encode()


_AGENTFORCE = partial(Row, provider="agentforce", make=_agents)

ROWS: tuple[Row, ...] = (
    _AGENTFORCE(
        name="token", kind="P", make=_Logins, ask=_login, answer=TOKEN,
        secret=_form_secret, final=("429",),
    ),
    _AGENTFORCE(
        name="open_session", kind="C", ask=_open, answer=STARTED, aside=end_aside, repeats=1,
        final=("500",), outlives=True,
    ),
    _AGENTFORCE(name="send", kind="E", ask=_send, answer=ANSWERED, aside=session_aside,
        turns=True,
    ),
    _AGENTFORCE(
        name="stream_message", kind="E", ask=_stream, streams=True, answer=STREAMED,
        aside=session_aside, turns=True,
    ),
    _AGENTFORCE(
        name="end_session", kind="I", make=_ending, ask=_end, answer=NOTHING, method="DELETE",
        repeats=1, bodiless=True, like="agentforce.open_session",
    ),
)  # fmt: skip
