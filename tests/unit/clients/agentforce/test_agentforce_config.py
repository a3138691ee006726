"""Options, the org's address, variables: checked before any I/O, merged once."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from voicekit.clients.agentforce import AgentforceClient, Variable
from voicekit.clients.agentforce.config import API_URL, api_url_of, domain_of
from voicekit.errors import InvalidArgumentError, MissingCredentialError

AGENT = "0XxHu000000XXXXKX4"
SECRET = "marked-secret-4711"


def client(**options: Any) -> AgentforceClient:
    given = {"client_id": "id", "client_secret": SECRET, "domain": "acme", "agent_id": AGENT}
    return AgentforceClient(**{**given, **options})


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_ID", "CLIENT_SECRET", "DOMAIN", "AGENT_ID", "BASE_URL"):
        monkeypatch.delenv(f"AGENTFORCE_{name}", raising=False)


# -- the org ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("acme", "https://acme.my.salesforce.com"),
        ("Acme", "https://acme.my.salesforce.com"),
        ("acme--uat.sandbox", "https://acme--uat.sandbox.my.salesforce.com"),
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("https://acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        (" https://acme.my.salesforce.com\n", "https://acme.my.salesforce.com"),
        ("https://acme.my.salesforce.mil", "https://acme.my.salesforce.mil"),
        ("http://127.0.0.1:4711", "http://127.0.0.1:4711"),
        ("http://[::1]:4711", "http://[::1]:4711"),
    ],
)
def test_the_address_of_an_org(given: str, address: str) -> None:
    """A name, a host, or an address; without a trailing slash or newline."""
    assert domain_of(given) == address


@pytest.mark.parametrize(
    "given",
    [
        "https://login.salesforce.com",
        "login.salesforce.com",
        "TEST.salesforce.com",
        "https://acme.lightning.force.com",
        "acme.my.salesforce-setup.com",
        "https://acme.my.salesforce.com/services",
        "https://acme.my.salesforce.com?x=1",
        "https://user:pass@acme.my.salesforce.com",
        "ftp://acme.my.salesforce.com",
        "https://",
        "https://a b",
        "http://[::1",
        "-acme",
    ],
)
def test_what_is_no_org(given: str) -> None:
    """Hosts that never answer client credentials are refused before any I/O."""
    with pytest.raises(InvalidArgumentError) as caught:
        client(domain=given)
    assert caught.value.argument == "domain"
    assert "pass@" not in str(caught.value)


def test_who_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the argument and the variable of the environment."""
    for name, variable in (
        ("client_id", "AGENTFORCE_CLIENT_ID"),
        ("client_secret", "AGENTFORCE_CLIENT_SECRET"),
        ("domain", "AGENTFORCE_DOMAIN"),
    ):
        with pytest.raises(MissingCredentialError, match=variable):
            client(**{name: None})
        monkeypatch.setenv(variable, "acme")
        client(**{name: None})


def test_everything_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the emulator's ``env()`` gives it."""
    for name, value in {
        "CLIENT_ID": "id",
        "CLIENT_SECRET": SECRET,
        "DOMAIN": "acme",
        "AGENT_ID": AGENT,
        "BASE_URL": "https://api.gov.salesforce.com/",
    }.items():
        monkeypatch.setenv(f"AGENTFORCE_{name}", value)
    agents = AgentforceClient()
    assert agents.api_url == "https://api.gov.salesforce.com"
    assert agents.session_request().agent_id == AGENT


def test_where_the_api_is() -> None:
    """What was given, else what the token says, else Salesforce's own; TLS is never lost."""
    org = "https://acme.my.salesforce.com"
    assert client(base_url="https://proxy.example/sf/").api_url == "https://proxy.example/sf"
    assert client().api_url == API_URL
    assert api_url_of("https://api.gov.salesforce.com/", org) == "https://api.gov.salesforce.com"
    assert api_url_of("http://127.0.0.1:1", "http://127.0.0.1:2") == "http://127.0.0.1:1"
    for odd in (None, 7, "", "api", "http://api.salesforce.com", "https://x@y", "http://[::"):
        assert api_url_of(odd, org) == API_URL


def test_a_token_and_an_app_are_one_too_many() -> None:
    """Which of both is meant cannot be told."""
    with pytest.raises(InvalidArgumentError, match="api_key"):
        client(api_key="token")


def test_no_secret_is_shown() -> None:
    """Neither by the client nor by its requests."""
    agents = client(variables={"Pin": "1234-marked"})
    request = agents.session_request(extra_headers={"x-marked": "marked"})
    shown = f"{agents!r} {request!r} {vars(agents)!r}"
    assert SECRET not in shown
    assert "1234-marked" not in shown


# -- sessions --------------------------------------------------------------------------------


def body_of(**options: Any) -> Any:
    return json.loads(client().session_request(**options).body)


def test_a_session_asks_for_chunks_as_the_assigned_user() -> None:
    """Without ``chunkTypes`` no text streams; service agents need ``bypassUser``."""
    assert body_of() == {
        "instanceConfig": {"endpoint": "https://acme.my.salesforce.com"},
        "variables": [],
        "featureSupport": "Streaming",
        "streamingCapabilities": {"chunkTypes": ["Text"]},
        "bypassUser": True,
    }
    assert body_of(bypass_user=False)["bypassUser"] is False
    assert body_of(tz="Europe/Rome")["tz"] == "Europe/Rome"
    assert body_of(extra_body={"featureSupport": "Sync"})["featureSupport"] == "Sync"


NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "kind", "sent"),
    [
        ("text", "Text", "text"),
        (True, "Boolean", True),
        (7, "Number", 7),
        (0.5, "Number", 0.5),
        (Decimal("1.5"), "Number", 1.5),
        (dt.date(2026, 11, 21), "Date", "2026-11-21"),
        (NOW, "DateTime", "2026-11-21T12:00:00+00:00"),
        ((1, 2), "List", [1, 2]),
        ({"a": 1}, "Object", {"a": 1}),
        (Variable("Money", "12.50"), "Money", "12.50"),
        (Variable("Json", '{"a":1}'), "Json", '{"a":1}'),
    ],
)
def test_what_python_values_become(value: Any, kind: str, sent: Any) -> None:
    """The type of the wire follows from the value's."""
    assert body_of(variables={"Name": value})["variables"] == [
        {"name": "Name", "type": kind, "value": sent}
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"Name": None},
        {"Name": float("nan")},
        {"Name": dt.datetime(2026, 11, 21)},  # noqa: DTZ001 - that is the point
        {"Name": object()},
        {"": "x"},
        {"a b": "x"},
        {"9lives": "x"},
        {"x" * 129: "x"},
        {"$Context.Custom__c": "x"},
        {7: "x"},
        ["Name"],
        "Name",
    ],
)
def test_variables_that_cannot_be(given: Any) -> None:
    """Names and values are checked, and the value is never shown."""
    with pytest.raises(InvalidArgumentError, match="variables"):
        client().session_request(variables=given)
    with pytest.raises(InvalidArgumentError):
        Variable("Float", 1)


def test_variables_are_merged_by_name() -> None:
    """The session's over the constructor's; None takes all of them back."""
    agents = client(variables={"A": "1", "B": "1"})
    merged = json.loads(agents.session_request(variables={"B": "2", "C": "2"}).body)["variables"]
    assert {each["name"]: each["value"] for each in merged} == {"A": "1", "B": "2", "C": "2"}
    assert json.loads(agents.session_request(variables=None).body)["variables"] == []


@pytest.mark.parametrize(
    "given",
    [
        {"agent_id": "0Yx"},
        {"agent_id": "0XxHu000000XXXX/../x"},
        {"tz": "Rome, Italy"},
        {"tz": ""},
        {"bypass_user": 1},
        {"nothing": 1},
        {"extra_body": []},
    ],
)
def test_options_that_cannot_be(given: Any) -> None:
    """In the constructor as in the call."""
    with pytest.raises(InvalidArgumentError):
        client(**given)
    with pytest.raises(InvalidArgumentError):
        client().open_session(**given)


def test_an_agent_must_be_named() -> None:
    """Somewhere."""
    with pytest.raises(InvalidArgumentError, match="agent_id"):
        client(agent_id=None).open_session()


def test_the_identity_covers_what_changes_an_answer() -> None:
    """Agent, org, variables, zone and extras; not how the call is made."""
    agents = client()
    base = agents.session_request()
    assert agents.session_request(extra_body={}).identity == base.identity
    others = [
        agents.session_request(variables={"A": 1}),
        agents.session_request(tz="Europe/Rome"),
        agents.session_request(bypass_user=False),
        agents.session_request(extra_headers={"x": "y"}),
        agents.session_request(extra_query={"x": "y"}),
        agents.session_request(agent_id="0XxHu000000XXXXKX5"),
        client(domain="other").session_request(),
    ]
    assert len({base.identity, *(each.identity for each in others)}) == len(others) + 1


def test_views_merge_on_top() -> None:
    """``with_options`` is the same client with other defaults."""
    view = client(variables={"A": 1}).with_options(tz="Europe/Rome", variables={"B": 2})
    body = json.loads(view.session_request().body)
    assert body["tz"] == "Europe/Rome"
    assert [each["name"] for each in body["variables"]] == ["A", "B"]


def test_limits_and_policies_go_by_the_names_of_operations() -> None:
    """The token's among them, which another client makes."""
    agents = client()
    assert set(agents.operations) == {
        "token",
        "open_session",
        "send",
        "stream_message",
        "end_session",
        "feedback",
        "status",
    }
    for name in agents.operations:
        assert "retry" in repr(agents.pipeline(name))
        assert agents.breaker(name).state == "closed"
    assert "renew" not in repr(agents.pipeline("token"))
    with pytest.raises(InvalidArgumentError):
        client(limits={"chat": agents.operations["send"].limits})
