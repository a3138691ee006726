"""Salesforce Agentforce: its tokens, the Agent API, and the action route of the core REST API.

One origin stands for both of the vendor's hosts: the token's `instance_url` and its
`api_instance_url` are this server. Source: this project's fact sheet of 2026-11 (OpenAPI reference
1.0.0, guide pages, captured traffic); where that calls server behaviour unverified, this twin is
tolerant and notes it in the journal.
"""

from __future__ import annotations

import random
import re
from typing import Any

from aiohttp import web
from typing_extensions import override

from voicekit.emulator.body import uuid_of
from voicekit.emulator.providers.agentforce_exchange import (
    API,
    core_error,
    error_object,
    links,
    message_writer,
    origin,
    request_id,
    takes_chunks,
    token_error,
    words_of,
)
from voicekit.emulator.providers.agentforce_journal import OPENED
from voicekit.emulator.providers.agentforce_plan import plan
from voicekit.emulator.providers.agentforce_refusals import (
    Refusal,
    check_feedback,
    check_message,
    check_start,
    lost,
    of_status,
    start_advice,
)
from voicekit.emulator.providers.agentforce_sessions import Session, Sessions
from voicekit.emulator.providers.agentforce_stream import SSE, TurnStream
from voicekit.emulator.providers.agentforce_tokens import (
    TokenRefusalError,
    Tokens,
    credentials,
)
from voicekit.emulator.providers.agentforce_turn import AgentTurn
from voicekit.emulator.providers.base import BAD_KEY, Context, Exchange, Provider, always, bearer
from voicekit.emulator.records import json_object

TOKEN = "/services/oauth2/token"  # noqa: S105 - a path
ACTION = "/services/data/{version}/actions/custom/generateAiAgentResponse/{agent}"

END_REASONS = ("UserRequest", "Transfer", "Expiration", "Error", "Other")
NO_LINKS = {"self": None, "messages": None, "session": None, "end": None}

NOT_THERE = "<!doctype html><title>URL No Longer Exists</title><p>URL No Longer Exists"
"""What both hosts answer to a path that they do not have. Source: community captures."""

ATTACHED = "Connected app is not attached to Agent"


class Agentforce(Provider):
    """My Domain's token route and `api.salesforce.com`, for the part that voicekit uses."""

    name = "agentforce"

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.tokens = Tokens(ctx.seed)
        self.sessions = Sessions()

    @override
    def routes(self, router: web.UrlDispatcher) -> None:
        session = f"{API}/sessions/{{session}}"
        self.add(router, "POST", TOKEN, "token", self.token)
        self.add(
            router, "POST", f"{API}/agents/{{agent}}/sessions", "session.start", self.start_session
        )
        self.add(router, "POST", f"{session}/messages", "messages", self.messages)
        self.add(router, "POST", f"{session}/messages/stream", "messages.stream", self.stream)
        self.add(router, "DELETE", session, "session.end", self.end_session)
        self.add(router, "POST", f"{session}/feedback", "feedback", self.feedback)
        self.add(router, "GET", f"{API}/status", "status", always({"status": "UP"}))
        self.add(router, "POST", ACTION, "action", self.action)

    # -- what the vendor looks like --

    @override
    def headers(self, exchange: Exchange) -> dict[str, str]:
        """Return the request's id, which every answer carries."""
        headers = {"X-Request-ID": request_id(exchange)}
        if exchange.record.operation == "session.start":
            headers["x-session-mode"] = "default"  # Source: one community capture.
        return headers

    @override
    def credential(self, request: web.Request) -> str | None:
        return bearer(request)

    @override
    def needs_key(self, exchange: Exchange) -> bool:
        """Tell whether a token is needed; that of `/status` is unverified, so it is not."""
        return exchange.record.operation not in {"token", "status", "unknown"}

    @override
    def journaled(self, exchange: Exchange) -> bytes:
        """Return the body without the client's secret."""
        if exchange.record.operation == "token":
            return re.sub(rb"(client_secret=)[^&]*", rb"\1***", exchange.body)
        return exchange.body

    @override
    def error(self, exchange: Exchange, status: int) -> web.Response:
        operation = exchange.record.operation
        if operation == "token":
            return exchange.answer(token_error(status), status=status)
        if operation == "action":
            return exchange.answer(core_error(status), status=status)
        return self.refuse(exchange, of_status(status))

    @override
    def refuse(self, exchange: Exchange, refused: Refusal) -> web.Response:
        return exchange.answer(error_object(exchange, refused), status=refused.status)

    @override
    def expected_type(self, exchange: Exchange) -> str:
        return SSE if exchange.record.operation == "messages.stream" else "application/json"

    @override
    async def not_found(self, exchange: Exchange) -> web.StreamResponse:
        """Answer a path that is not served, as the gateway in front does."""
        headers = exchange.headers({"Content-Type": "text/html; charset=utf-8"})
        return web.Response(text=NOT_THERE, status=404, headers=headers)

    # -- operations --

    async def token(self, exchange: Exchange) -> web.StreamResponse:
        """Grant an access token."""
        request, scenario = exchange.request, self.ctx.scenario
        await exchange.pause(scenario.agent_token_issue)
        asked = credentials(
            exchange.body, request.content_type, request.headers.get("Authorization", "")
        )
        try:
            granted = self.tokens.grant(
                asked,
                lifetime=scenario.agent_token_lifetime,
                origin=origin(request),
                bad=BAD_KEY,
            )
        except TokenRefusalError as refused:
            return exchange.answer(
                {"error": refused.error, "error_description": refused.description}, status=400
            )
        return exchange.answer(granted)

    async def start_session(self, exchange: Exchange) -> web.StreamResponse:
        """Open a session."""
        agent = exchange.request.match_info["agent"]
        body = self._body(exchange)
        check_start(agent, body)
        exchange.note(*start_advice(body))
        scenario = self.ctx.scenario
        session = self._open(exchange, agent, chunked=takes_chunks(body))
        await exchange.pause(scenario.agent_session_open)
        writer = message_writer(exchange)
        greeting = scenario.agent_greeting
        return exchange.answer(
            {
                "sessionId": session.id,
                "_links": links(exchange, session),
                "messages": [] if greeting is None else [writer.greeting(greeting)],
            }
        )

    async def messages(self, exchange: Exchange) -> web.StreamResponse:
        """Answer a message, whole."""
        session, turn = self._accept(exchange)
        found = await self._whole(exchange, session, turn)
        return exchange.answer({"messages": found, "_links": links(exchange, session)})

    async def stream(self, exchange: Exchange) -> web.StreamResponse:
        """Answer a message as a stream of events."""
        session, turn = self._accept(exchange)
        scenario = self.ctx.scenario
        steps = plan(
            turn,
            scenario=scenario,
            chunked=session.chunked,
            draw=exchange.draw,
            writer=message_writer(exchange),
        )
        session.begin(min(steps[-1].due, scenario.agent_timeout))
        stream = TurnStream(
            exchange,
            steps,
            links=links(exchange, session),
            ended=lambda: self._end_turn(session, turn),
            error=lambda message: error_object(
                exchange, Refusal(status=500, error="InternalServerError", message=message)
            ),
        )
        try:
            return await stream.send()
        finally:
            session.leave()

    async def end_session(self, exchange: Exchange) -> web.StreamResponse:
        """End a session."""
        self._check_token(exchange)
        reason = exchange.request.headers.get("x-session-end-reason")
        if reason not in END_REASONS:
            said = "Missing" if reason is None else "Invalid"
            raise of_status(400, f"{said} header x-session-end-reason")
        session = self._session(exchange)
        self.sessions.end(session.id)
        ended = message_writer(exchange).message(
            {"type": "SessionEnded", "reason": "ClientRequest"}
        )
        return exchange.answer({"messages": [ended], "_links": NO_LINKS})

    async def feedback(self, exchange: Exchange) -> web.StreamResponse:
        """Take a feedback; a session that has ended takes it too (unverified)."""
        check_feedback(self._body(exchange, json_only=False))
        name = exchange.request.match_info["session"]
        if self.sessions.known(name) is None:
            raise lost(name)
        # Source: the vendor's examples say 201, its reference 202.
        return web.Response(status=201, headers=exchange.headers())

    async def action(self, exchange: Exchange) -> web.StreamResponse:
        """Answer a message by the core REST API's action; opaque tokens open it as well."""
        if self.tokens.state(self.credential(exchange.request) or "") == "expired":
            return self.error(exchange, 401)
        body = json_object(exchange.body) or {}
        inputs = body.get("inputs")
        asked = inputs[0] if isinstance(inputs, list) and inputs else None
        if not isinstance(asked, dict) or not isinstance(asked.get("userMessage"), str):
            return exchange.answer(
                [{"message": "Missing required input: userMessage", "errorCode": "INVALID_INPUT"}],
                status=400,
            )
        session = self.sessions.get(str(asked.get("sessionId") or ""))
        if session is None:
            agent = exchange.request.match_info["agent"]
            session = self._open(exchange, agent, chunked=False)
        turn = self.ctx.scenario.agent_turn(asked["userMessage"])
        try:
            found = await self._whole(exchange, session, turn)
        except Refusal as refused:
            failed = [{"statusCode": refused.error, "message": refused.message}]
            return exchange.answer([{"isSuccess": False, "errors": failed}])
        said = " ".join(each["message"] for each in found if "message" in each)
        outputs = {"sessionId": session.id, "agentResponse": said}
        return exchange.answer([{"isSuccess": True, "outputValues": outputs}])

    # -- what they have in common --

    def _check_token(self, exchange: Exchange) -> None:
        state = self.tokens.state(self.credential(exchange.request) or "")
        if state != "good":
            raise of_status(401, f"The access token is {state}")
        if not self.ctx.scenario.agent_attached:
            raise of_status(401, ATTACHED)

    def _body(self, exchange: Exchange, *, json_only: bool = True) -> dict[str, Any]:
        """Return a request's body, once its token and its type have been checked."""
        self._check_token(exchange)
        if exchange.request.content_type != "application/json":
            if json_only:
                # Source: fact sheet: a missing JSON content type is answered with a 500.
                raise of_status(500, "Unsupported Media Type")
            # The vendor's own Node client sends feedback as text/plain.
            exchange.note("the content type is documented as application/json")
        return json_object(exchange.body) or {}

    def _session(self, exchange: Exchange) -> Session:
        """Return the session of the path, if it is there and free."""
        name, scenario = exchange.request.match_info["session"], self.ctx.scenario
        if exchange.has_fault("session_lost"):
            exchange.struck()
            self.sessions.end(name)
        session = self.sessions.get(
            name, turns=scenario.agent_session_turns, idle=scenario.agent_session_idle
        )
        if session is None:
            raise lost(name)
        if session.locked:
            raise of_status(423)
        return session

    def _accept(self, exchange: Exchange) -> tuple[Session, AgentTurn]:
        """Return the session and the turn that a message begins."""
        body = self._body(exchange)
        check_message(body)
        session = self._session(exchange)
        message = body["message"]
        number, last = message["sequenceId"], session.last_sequence
        if last is not None and number <= last:
            # Whether the vendor refuses this is unverified; it does say that numbers grow.
            if self.ctx.scenario.agent_strict_sequence:
                raise of_status(400, "sequenceId must be increasing")
            exchange.note("sequenceId is documented as increasing")
        session.last_sequence = number if last is None else max(last, number)
        for each in body.get("variables") or ():
            if each["name"].startswith("$Context.") and each["name"] != "$Context.EndUserLanguage":
                exchange.note(f"{each['name']} is read-only once the session has started")
        return session, self.ctx.scenario.agent_turn(words_of(message))

    async def _whole(
        self, exchange: Exchange, session: Session, turn: AgentTurn
    ) -> list[dict[str, Any]]:
        """Take the time of a whole turn and return its messages."""
        if session.locked:
            raise of_status(423)
        scenario = self.ctx.scenario
        writer = message_writer(exchange)
        seconds = exchange.draw(scenario.agent_first_text)
        session.begin(min(seconds, scenario.agent_timeout))
        try:
            await exchange.pause(min(seconds, scenario.agent_timeout))
            self._end_turn(session, turn)
        finally:
            session.leave()
        if seconds > scenario.agent_timeout:
            raise of_status(500, "The request timed out")
        if exchange.has_fault("in_stream_error"):
            exchange.struck()
            return [writer.message({"type": "Error"})]
        return list(writer.answers(turn))

    def _open(self, exchange: Exchange, agent: str, *, chunked: bool) -> Session:
        # By the record's number, not the exchange's generator: that one begins again with
        # every new scenario, and an open session must not be opened again.
        rng = random.Random(f"{exchange.ctx.seed}/session/{exchange.record.id}")
        session = self.sessions.open(uuid_of(rng), agent=agent, chunked=chunked)
        exchange.note(f"{OPENED}{session.id}")
        return session

    def _end_turn(self, session: Session, turn: AgentTurn) -> None:
        session.end()
        if any(given["type"] == "SessionEnded" for given in turn.messages or ()):
            self.sessions.end(session.id)
