"""The Agentforce twin over the wire: tokens, sessions, messages, and what it refuses."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import aiohttp
import pytest
from talking import AGENT, API, FORM, start_body, talking

from voicekit.emulator import (
    SCENARIOS,
    AgentTurn,
    Emulator,
    EmulatorProcess,
    Fault,
    Scenario,
    agent_messages,
    agent_sessions,
)
from voicekit.emulator.providers.agentforce_refusals import INACTIVE_AGENT, UNKNOWN_AGENT

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

SLOW = 30.0
"""Seconds that no test waits: a turn that takes as long is one that is still running."""


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return found


# -- tokens ------------------------------------------------------------------------------------


async def test_a_token_is_a_jwt_that_says_when_it_ends() -> None:
    """The answer is the vendor's: no `expires_in`, both hosts this server, `exp` in the JWT."""
    async with talking(Scenario(name="test", agent_token_lifetime=600)) as talk:
        granted = await talk.token()
    assert set(granted) == {
        "status", "access_token", "signature", "token_format", "scope", "instance_url", "id",
        "token_type", "issued_at", "api_instance_url",
    }  # fmt: skip
    assert granted["token_format"] == "jwt"
    assert set(granted["scope"].split()) == {"api", "chatbot_api", "sfap_api"}
    said = claims(granted["access_token"])
    assert said["exp"] - said["iat"] == 600
    assert abs(said["iat"] - time.time()) < 30
    assert granted["instance_url"] == granted["api_instance_url"] == said["iss"]
    assert isinstance(granted["issued_at"], str)
    assert granted["issued_at"].isdigit()


async def test_credentials_come_by_form_or_by_basic_header() -> None:
    """Both ways are served, and none of the secrets reaches the journal."""
    async with talking(signed_in=False) as talk:
        assert (await talk.token(client_secret="marked-secret"))["status"] == 200
        async with talk.http.post(
            "/services/oauth2/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {base64.b64encode(b'key:marked-secret').decode()}"},
        ) as response:
            assert response.status == 200
        journal = talk.world.journal
        assert [record.operation for record in journal.requests] == ["token", "token"]
        assert b"client_id=key" in journal.requests[0].body
        assert b"marked-secret" not in b"".join(record.body for record in journal.requests)
        assert "marked-secret" not in json.dumps(journal.to_json())


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_secret": "bad-key"}, "invalid_client"),
        ({"client_secret": ""}, "invalid_client"),
        ({"client_id": "bad-key"}, "invalid_client_id"),
        ({"client_id": ""}, "invalid_client_id"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
async def test_a_token_is_refused(form: dict[str, str], error: str) -> None:
    """The errors of the token route are its own: 400, `error` and `error_description`."""
    async with talking(signed_in=False) as talk:
        refused = await talk.token(**form)
    assert refused["status"] == 400
    assert refused["error"] == error
    assert refused["error_description"]


async def test_a_token_request_fails_in_the_shape_of_its_route() -> None:
    """An injected status has the token route's errors, not those of the Agent API."""
    async with talking(signed_in=False) as talk:
        talk.world.inject("agentforce", Fault("status", operation="token", status=503))
        assert set(await talk.token()) == {"status", "error", "error_description"}


@pytest.mark.parametrize("bearer", [None, "Bearer nobody's", "Bearer bad-key", "Bearer ü.ü.ü"])
async def test_an_unknown_token_opens_nothing(bearer: str | None) -> None:
    """Without a token that was granted here every call is the Error object of a 401."""
    async with talking(signed_in=False) as talk:
        talk.headers = {} if bearer is None else {"Authorization": bearer}
        for method, path in (
            ("POST", f"/agents/{AGENT}/sessions"),
            ("POST", "/sessions/s/messages"),
            ("POST", "/sessions/s/messages/stream"),
            ("POST", "/sessions/s/feedback"),
            ("DELETE", "/sessions/s"),
        ):
            status, error = await talk.call(method, path, {})
            assert (status, error["status"], error["error"]) == (401, 401, "UnauthorizedException")


async def test_the_status_needs_no_token() -> None:
    """Whether the vendor's does is unverified."""
    async with talking(signed_in=False) as talk:
        assert await talk.call("GET", "/status") == (200, {"status": "UP"})


async def test_a_token_ends() -> None:
    """A token is good until its `exp`, and a 401 from then on; a new one is good again."""
    async with talking(Scenario(name="test", agent_token_lifetime=0.05)) as talk:
        granted = await talk.token()
        while time.time() < claims(granted["access_token"])["exp"]:
            await asyncio.sleep(0.02)
        talk.headers = {"Authorization": f"Bearer {granted['access_token']}"}
        status, error = await talk.start()
        assert (status, error["message"]) == (401, "The access token is expired")
        talk.world.set_scenario(Scenario(name="test"))
        await talk.sign_in()
        assert (await talk.start())[0] == 200
        assert len(talk.world.journal.requests_for("agentforce", "token")) == 3


async def test_an_app_that_is_not_attached_is_refused_with_a_good_token() -> None:
    """The other 401: nothing that a new token cures."""
    async with talking(Scenario(name="test", agent_attached=False)) as talk:
        status, error = await talk.start()
    assert (status, error["message"]) == (401, "Connected app is not attached to Agent")


# -- sessions ----------------------------------------------------------------------------------


async def test_a_session_opens_with_its_links_and_a_greeting() -> None:
    """The start's answer has the vendor's fields, the greeting's ids empty as captured."""
    async with talking(Scenario(name="test", agent_greeting="Ciao")) as talk:
        status, opened = await talk.start()
        url = talk.world.agentforce.url
    assert status == 200
    assert list(opened) == ["sessionId", "_links", "messages"]
    own = f"{url}{API}/sessions/{opened['sessionId']}"
    assert opened["_links"] == {
        "self": None,
        "messages": {"href": f"{own}/messages"},
        "messagesStream": {"href": f"{own}/messages/stream"},
        "session": {"href": f"{url}{API}/agents/{AGENT}/sessions"},
        "end": {"href": own},
    }
    (greeting,) = opened["messages"]
    assert greeting.pop("id")
    assert greeting == {
        "type": "Inform", "metrics": {}, "feedbackId": "", "planId": "", "isContentSafe": True,
        "message": "Ciao", "result": [], "citedReferences": [],
    }  # fmt: skip


async def test_no_greeting_is_no_message() -> None:
    """An agent may say nothing first."""
    async with talking(Scenario(name="test", agent_greeting=None)) as talk:
        assert (await talk.start())[1]["messages"] == []


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"externalSessionKey": None}, 400, "'externalSessionKey'"),
        ({"instanceConfig": None}, 400, "'instanceConfig.endpoint'"),
        ({"instanceConfig": {}}, 400, "'instanceConfig.endpoint'"),
        ({"instanceConfig": {"endpoint": "https://a.b\n"}}, 500, "Bad force-config endpoint"),
        ({"instanceConfig": {"endpoint": "a.b"}}, 500, "Bad force-config endpoint"),
        ({"bypassUser": "yes"}, 400, "'bypassUser'"),
        ({"tz": 2}, 400, "'tz'"),
        ({"featureSupport": "Both"}, 400, "'featureSupport'"),
        ({"featureSupport": ["Sync"]}, 400, "'featureSupport'"),
        ({"streamingCapabilities": {"chunkTypes": ["Audio"]}}, 400, "chunkTypes"),
        ({"streamingCapabilities": []}, 400, "chunkTypes"),
        ({"variables": {}}, 400, "'variables'"),
        ({"variables": ["a"]}, 400, "'variables'"),
        ({"variables": [{"name": "a", "type": "Text"}]}, 400, "'value'"),
        ({"variables": [{"name": "a", "type": "Word", "value": ""}]}, 400, "'variables.type'"),
    ],
)
async def test_a_start_is_refused(fields: dict[str, Any], status: int, message: str) -> None:
    """What the reference requires is required; the endpoint's refusal is the known 500."""
    async with talking() as talk:
        answered, error = await talk.start(**fields)
    assert answered == error["status"] == status
    assert message in error["message"]


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        ("0Xw000000000001", 400),
        ("0Xx00000000001", 400),
        (UNKNOWN_AGENT, 500),
        (INACTIVE_AGENT, 422),
        ("0Xx000000000001", 200),
    ],
)
async def test_an_agent_is_known_by_the_shape_of_its_id(agent: str, status: int) -> None:
    """15 or 18 characters from `0Xx`; two ids stand for no agent and an inactive one."""
    async with talking() as talk:
        body = start_body(talk.world)
        assert (await talk.call("POST", f"/agents/{agent}/sessions", body))[0] == status


async def test_an_error_is_the_vendors_object() -> None:
    """Its fields, its path without the API's prefix, its request id that of the header."""
    async with (
        talking() as talk,
        talk.http.post(
            f"{API}/sessions/gone/messages", json=talk.said(), headers=talk.headers
        ) as response,
    ):
        error = await response.json()
        assert response.status == 404
        assert error.pop("requestId") == response.headers["X-Request-ID"]
    assert abs(error.pop("timestamp") - time.time() * 1000) < 30_000
    assert error == {
        "status": 404,
        "path": "v6.0.0/sessions/gone/messages",
        "error": "NotFoundException",
        "message": "V6Session not found for sessionId: gone",
    }


@pytest.mark.parametrize("path", [f"/agents/{AGENT}/sessions", "/sessions/s/messages"])
async def test_another_content_type_is_a_500(path: str) -> None:
    """As seen: a body that is not said to be JSON is an "Unsupported Media Type" of status 500."""
    async with (
        talking() as talk,
        talk.http.post(API + path, data=b"{}", headers=talk.headers) as response,
    ):
        assert response.status == 500
        assert (await response.json())["message"] == "Unsupported Media Type"


async def test_a_path_that_is_not_served_is_a_page() -> None:
    """Both hosts answer an unknown path with HTML, not with the Error object."""
    async with (
        talking() as talk,
        talk.http.get("/einstein/ai-agent/v2/status", headers=talk.headers) as response,
    ):
        assert (response.status, response.content_type) == (404, "text/html")
        assert response.headers["X-Request-ID"]


async def test_a_session_ends_once() -> None:
    """The end needs its reason, answers `SessionEnded`, and leaves nothing to end again."""
    async with talking() as talk:
        session = await talk.open()
        status, error = await talk.call("DELETE", f"/sessions/{session}")
        assert (status, error["message"]) == (400, "Missing header x-session-end-reason")
        assert (await talk.end(session, "Bored"))[0] == 400
        status, ended = await talk.end(session, "Transfer")
        assert status == 200
        (message,) = ended["messages"]
        assert (message["type"], message["reason"]) == ("SessionEnded", "ClientRequest")
        assert ended["_links"] == {"self": None, "messages": None, "session": None, "end": None}
        assert (await talk.end(session))[0] == 404
        assert (await talk.say(session))[0] == 404
        (record,) = agent_sessions(talk.world.journal)
        assert (record.id, record.end_reason) == (session, "Transfer")


async def test_a_new_scenario_opens_no_session_twice() -> None:
    """The draws begin again with a scenario; ids of sessions that are open do not."""
    async with talking() as talk:
        first = await talk.open()
        talk.world.set_scenario("instant")
        assert await talk.open() != first


# -- messages ----------------------------------------------------------------------------------


async def test_a_message_is_answered_whole() -> None:
    """One `Inform` with the scripted text, whichever way it is scripted."""
    for replies in ("Yes.", {"Open?": "Yes.", "": "No."}, lambda said: f"Yes{said[4:-1]}."):
        async with talking(Scenario(name="test", agent_replies=replies)) as talk:
            session = await talk.open()
            status, answered = await talk.say(session, "Open?")
        assert status == 200
        (message,) = answered["messages"]
        assert (message["type"], message["message"]) == ("Inform", "Yes.")
        assert message["feedbackId"]
        assert message["planId"]
        assert answered["_links"]["end"]["href"].endswith(session)


async def test_without_agent_replies_it_says_what_a_chat_would() -> None:
    """One `replies` scripts every kind of answer."""
    async with talking(Scenario(name="test", replies={"a": "b"})) as talk:
        _, answered = await talk.say(await talk.open(), "a")
    assert answered["messages"][0]["message"] == "b"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "'message'"),
        ([], "'message'"),
        ({"message": {"type": "Text", "text": "a"}, "sequenceId": 1}, "'sequenceId'"),
        ({"message": {"sequenceId": "1", "type": "Text", "text": "a"}}, "'sequenceId'"),
        ({"message": {"sequenceId": True, "type": "Text", "text": "a"}}, "'sequenceId'"),
        ({"message": {"sequenceId": 1, "text": "a"}}, "'type'"),
        ({"message": {"sequenceId": 1, "type": "Shout", "text": "a"}}, "'message.type'"),
        ({"message": {"sequenceId": 1, "type": ["Text"], "text": "a"}}, "'message.type'"),
        ({"message": {"sequenceId": 1, "type": "Text"}}, "'text'"),
        ({"message": {"sequenceId": 1, "type": "Reply"}}, "'reply'"),
        ({"message": {"sequenceId": 1, "type": "Cancel"}, "variables": 1}, "'variables'"),
    ],
)
async def test_a_message_is_refused(body: Any, message: str) -> None:
    """Required fields are required, where they belong; both ways of sending refuse alike."""
    async with talking() as talk:
        session = await talk.open()
        for path in ("messages", "messages/stream"):
            status, error = await talk.call("POST", f"/sessions/{session}/{path}", body)
            assert status == 400
            assert message in error["message"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"type": "Reply", "reply": [{"type": "Text", "property": "a", "value": "yes"}]}, "yes"),
        ({"type": "Cancel"}, "Cancel"),
        ({"type": "TransferSucceeded"}, "TransferSucceeded"),
        ({"type": "TransferFailed", "reason": "Error"}, "TransferFailed"),
        ({"type": "PlanTemplate", "details": {}}, "PlanTemplate"),
    ],
)
async def test_other_messages_are_scripted_by_value_or_type(
    message: dict[str, Any], said: str
) -> None:
    """A `Reply` is scripted by what it replies, the others by their type."""
    async with talking(Scenario(name="test", agent_replies={said: "so"})) as talk:
        status, answered = await talk.say(await talk.open(), message=message)
    assert (status, answered["messages"][0]["message"]) == (200, "so")


async def test_numbers_that_do_not_grow_are_noted_or_refused() -> None:
    """The vendor's strictness is unverified: tolerant unless the scenario is strict."""
    async with talking() as talk:
        session = await talk.open()
        for number in (5, 5, 4):
            assert (await talk.say(session, message={"sequenceId": number}))[0] == 200
        notes = [message.request.notes for message in agent_messages(talk.world.journal)]
        assert [bool(each) for each in notes] == [False, True, True]
        talk.world.set_scenario(Scenario(name="test", agent_strict_sequence=True))
        status, error = await talk.say(session, message={"sequenceId": 5})
        assert (status, error["message"]) == (400, "sequenceId must be increasing")
        assert (await talk.say(session, message={"sequenceId": 1764000123456}))[0] == 200


async def test_one_request_at_a_time() -> None:
    """While a turn runs, whatever else its session is sent is a 423; other sessions go on."""
    scenario = Scenario(name="test", agent_replies=lambda said: said, agent_first_text=(SLOW, SLOW))
    async with talking(scenario) as talk:
        session, other = await talk.open(), await talk.open()
        running = asyncio.ensure_future(talk.say(session, "first"))
        while not talk.world.journal.requests_for("agentforce", "messages"):
            await asyncio.sleep(0.005)
        talk.world.set_scenario("instant")
        status, error = await talk.say(session)
        assert (status, error["error"]) == (423, "ServerBusyError")
        assert error["message"] == "Session Already Locked Exception"
        assert (await talk.end(session))[0] == 423
        async with talk.streaming(session) as response:
            assert response.status == 423
        assert (await talk.say(other))[0] == 200
        running.cancel()


async def test_a_turn_goes_on_without_its_client() -> None:
    """Leaving stops no turn: the session is locked until the turn would have ended."""
    async with talking(Scenario(name="test", agent_first_text=0.4)) as talk:
        session = await talk.open()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await talk.say(session, "first")
        statuses = []
        while not statuses or statuses[-1] == 423:
            talk.world.set_scenario(Scenario(name="test"))
            statuses.append((await talk.say(session, "second"))[0])
            await asyncio.sleep(0.02)
        assert time.monotonic() - began >= 0.4
        assert statuses[0] == 423
        assert statuses[-1] == 200


async def test_a_turn_that_takes_too_long_ends_in_a_500() -> None:
    """The server's own limit, scaled."""
    async with talking(Scenario(name="test", agent_first_text=SLOW, agent_timeout=0.02)) as talk:
        session = await talk.open()
        status, error = await talk.say(session)
        assert (status, error["error"]) == (500, "HttpServerErrorException")
        talk.world.set_scenario("instant")
        assert (await talk.say(session))[0] == 200


async def test_sessions_are_lost() -> None:
    """After so many turns, after so long, on demand: then they are not found."""
    async with talking(Scenario(name="test", agent_session_turns=2)) as talk:
        session = await talk.open()
        assert [(await talk.say(session))[0] for _ in range(3)] == [200, 200, 404]
        talk.world.set_scenario(Scenario(name="test"))
        assert (await talk.say(session))[0] == 404

        session = await talk.open()
        talk.world.inject("agentforce", Fault("session_lost", operation="messages"))
        status, error = await talk.say(session)
        assert (status, error["error"]) == (404, "NotFoundException")
        assert f"not found for sessionId: {session}" in error["message"]
        assert (await talk.say(session))[0] == 404

        session = await talk.open()
        talk.world.set_scenario(Scenario(name="test", agent_session_idle=0.01))
        await asyncio.sleep(0.03)
        assert (await talk.say(session))[0] == 404


@pytest.mark.parametrize(
    ("scripted", "fields"),
    [
        ({"type": "Inform", "result": [{"type": "Text", "property": "a", "value": "b"}]},
         {"feedbackId", "planId", "isContentSafe", "message", "result", "citedReferences"}),
        ({"type": "Inquire"}, {"feedbackId", "planId", "isContentSafe", "message", "collect"}),
        ({"type": "Confirm"}, {"feedbackId", "planId", "isContentSafe", "message", "confirm"}),
        ({"type": "Failure"}, {"feedbackId", "planId", "code", "message", "errors"}),
        ({"type": "Escalate", "targets": [{"id": "1", "type": "Queue", "label": "Desk"}]},
         {"feedbackId", "targets"}),
        ({"type": "Error", "httpStatus": 503},
         {"httpStatus", "traceId", "error", "message", "timestamp", "expected", "botMode"}),
        ({"type": "SomethingNew", "value": 1}, {"value"}),
    ],
)  # fmt: skip
async def test_a_turn_may_answer_something_else(scripted: dict[str, Any], fields: set[str]) -> None:
    """A 200 can hold any message; what the script leaves out is what its type always has."""
    turn = AgentTurn(text="Which one?", messages=(scripted,))
    async with talking(Scenario(name="test", agent_replies=turn)) as talk:
        session = await talk.open()
        status, answered = await talk.say(session)
        assert (await talk.say(session))[0] == 200
    assert status == 200
    (message,) = answered["messages"]
    assert message.items() >= scripted.items()
    assert message.keys() >= fields | {"id"}
    if scripted["type"] in {"Inform", "Inquire", "Confirm", "Failure"}:
        assert message["message"] == "Which one?"


async def test_a_turn_may_end_the_session() -> None:
    """`SessionEnded` inside a 200 is meant: the next message finds no session."""
    turn = AgentTurn(messages=({"type": "Inform", "message": "Bye"}, {"type": "SessionEnded"}))
    async with talking(Scenario(name="test", agent_replies=turn)) as talk:
        session = await talk.open()
        _, answered = await talk.say(session)
        assert [message["type"] for message in answered["messages"]] == ["Inform", "SessionEnded"]
        assert answered["messages"][1]["reason"] == "Action"
        assert (await talk.say(session))[0] == 404


async def test_feedback_is_taken_even_after_the_end() -> None:
    """201 without a body; required fields are required, a session that never was is a 404."""
    async with talking() as talk:
        session = await talk.open()
        good = {"feedbackId": "f", "feedback": "GOOD", "text": "nice", "details": {"a": 1}}
        path = f"/sessions/{session}/feedback"
        assert await talk.call("POST", path, good) == (201, None)
        await talk.end(session)
        assert await talk.call("POST", path, good) == (201, None)
        assert (await talk.call("POST", "/sessions/never/feedback", good))[0] == 404
        for wrong in (
            {"feedbackId": ""}, {"feedback": "MEH"}, {"feedback": ["GOOD"]}, {"text": 1},
            {"details": {str(index): index for index in range(11)}},
        ):  # fmt: skip
            assert (await talk.call("POST", path, {**good, **wrong}))[0] == 400


async def test_feedback_may_come_as_plain_text() -> None:
    """The vendor's own Node client sends it so: noted, not refused."""
    async with talking() as talk:
        path = f"{API}/sessions/{await talk.open()}/feedback"
        body = b'{"feedbackId": "f", "feedback": "BAD"}'
        async with talk.http.post(path, data=body, headers=talk.headers) as response:
            assert response.status == 201
        (record,) = talk.world.journal.requests_for("agentforce", "feedback")
        assert record.notes == ["the content type is documented as application/json"]


# -- what others read --------------------------------------------------------------------------


async def test_the_journal_tells_conversations() -> None:
    """Each message's session, its variables, those of its start, in order, across sessions."""
    language = {"name": "$Context.EndUserLanguage", "type": "Text", "value": "it"}
    history = {"name": "History", "type": "Json", "value": "[]"}
    frozen = {"name": "$Context.ContactId", "type": "Text", "value": "003"}
    async with talking() as talk:
        one = await talk.open(externalSessionKey="key-1", variables=[language])
        two = await talk.open(externalSessionKey="key-2")
        await talk.say(one, "a", variables=[history, frozen])
        await talk.stream(two, "b")
        await talk.say(one, "c")
        sessions = agent_sessions(talk.world.journal)
        messages = agent_messages(talk.world.journal)
    assert [(each.id, each.key) for each in sessions] == [(one, "key-1"), (two, "key-2")]
    assert sessions[0].variables == {"$Context.EndUserLanguage": "it"}
    assert [(each.session, each.text, each.streamed) for each in messages] == [
        (one, "a", False),
        (two, "b", True),
        (one, "c", False),
    ]
    assert messages[0].variables == {"History": "[]", "$Context.ContactId": "003"}
    assert messages[0].request.notes == [
        "$Context.ContactId is read-only once the session has started"
    ]
    assert [message.text for message in sessions[0].messages] == ["a", "c"]


async def test_it_is_found_by_environment_and_by_arguments() -> None:
    """What `env()` and `sdk()` hand out opens a session."""
    async with talking(signed_in=False) as talk:
        env, kwargs = talk.world.env(), talk.world.sdk("agentforce")
        assert env["AGENTFORCE_DOMAIN"] == env["AGENTFORCE_BASE_URL"] == kwargs["domain"]
        assert env["AGENTFORCE_DOMAIN"] == talk.world.agentforce.url
        granted = await talk.token(
            client_id=env["AGENTFORCE_CLIENT_ID"], client_secret=env["AGENTFORCE_CLIENT_SECRET"]
        )
        talk.headers = {"Authorization": f"Bearer {granted['access_token']}"}
        path = f"/agents/{env['AGENTFORCE_AGENT_ID']}/sessions"
        assert (await talk.call("POST", path, start_body(talk.world)))[0] == 200
        assert kwargs["agent_id"] == env["AGENTFORCE_AGENT_ID"]
        assert not [name for name in env if name.endswith("API_KEY")]


async def test_under_tls_and_in_another_process() -> None:
    """Addresses in answers are those that the client used, and scripts travel."""
    turn = AgentTurn(text="Yes.", progress=("Wait",))
    scenario = Scenario(name="test", agent_replies={"": turn})
    async with (
        Emulator(providers=("agentforce",), tls=True) as world,
        aiohttp.ClientSession(world.agentforce.url) as http,
        http.post("/services/oauth2/token", data=FORM, ssl=False) as response,
    ):
        granted = await response.json()
        assert granted["api_instance_url"] == world.agentforce.url
        assert world.agentforce.url.startswith("https://")
    with EmulatorProcess(providers=("agentforce",), scenario=scenario) as child:
        async with aiohttp.ClientSession(child.agentforce.url) as http:
            async with http.post("/services/oauth2/token", data=FORM) as response:
                token = (await response.json())["access_token"]
            async with http.post(
                f"{API}/agents/{AGENT}/sessions",
                json=start_body(child),  # type: ignore[arg-type]
                headers={"Authorization": f"Bearer {token}"},
            ) as response:
                session = (await response.json())["sessionId"]
        assert [each.id for each in agent_sessions(child.journal)] == [session]


def test_whatsapp_is_the_designs() -> None:
    """The named scenario has the figures of the design document."""
    whatsapp = SCENARIOS["whatsapp"]
    assert whatsapp.agent_session_open == 1.0
    assert whatsapp.agent_first_text == 2.15
    assert whatsapp.agent_chunk_gap == 0.0
    assert whatsapp.transcript_final == 1.23
    assert whatsapp.speech_first_audio == (2.0, 4.0)


# -- the core REST API's action ----------------------------------------------------------------

ACTION = "/services/data/v63.0/actions/custom/generateAiAgentResponse/Support_Agent"


async def act(talk: Any, inputs: Any, token: str = "opaque-token") -> tuple[int, Any]:
    async with talk.http.post(
        ACTION, json=inputs, headers={"Authorization": f"Bearer {token}"}
    ) as response:
        return response.status, await response.json()


async def test_the_action_answers_in_a_session() -> None:
    """An opaque token opens it; a session is made when none is named and kept when one is."""
    async with talking(Scenario(name="test", agent_replies=str.upper)) as talk:
        status, answered = await act(talk, {"inputs": [{"userMessage": "hello"}]})
        assert status == 200
        (result,) = answered
        assert result["isSuccess"] is True
        assert result["outputValues"]["agentResponse"] == "HELLO"
        session = result["outputValues"]["sessionId"]
        _, again = await act(talk, {"inputs": [{"userMessage": "more", "sessionId": session}]})
        assert again[0]["outputValues"] == {"sessionId": session, "agentResponse": "MORE"}
        assert len(talk.world.journal.requests_for("agentforce", "action")) == 2


async def test_the_action_refuses_as_core_rest_does() -> None:
    """Its errors are lists: a session that is over, an input that is missing."""
    expired = {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
    async with talking(Scenario(name="test", agent_token_lifetime=0)) as talk:
        token = (await talk.token())["access_token"]
        assert await act(talk, {"inputs": []}, token) == (401, [expired])
        assert await act(talk, {"inputs": []}, "bad-key") == (401, [expired])
        talk.world.inject("agentforce", Fault("status", operation="action", status=401))
        assert await act(talk, {"inputs": []}) == (401, [expired])
        status, errors = await act(talk, {"inputs": []})
        assert (status, errors[0]["errorCode"]) == (400, "INVALID_INPUT")
