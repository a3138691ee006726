"""The client itself: its hosts and its credentials, by hand and by the environment."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from scripting import (
    AC,
    API,
    FROM,
    TO,
    TOKEN,
    _made,
    accepted,
    closed,
)

from voicekit import Transport
from voicekit.clients.twilio import (
    TwilioClient,
)
from voicekit.errors import (
    InvalidArgumentError,
    MissingCredentialError,
)
from voicekit.testing.transport import ScriptedTransport

__all__ = ["closed"]

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("options", "api", "messaging"),
    [
        ({}, "https://api.twilio.com", "https://messaging.twilio.com"),
        ({"region": "us1"}, "https://api.us1.twilio.com", "https://messaging.us1.twilio.com"),
        (
            {"edge": "dublin"},
            "https://api.dublin.us1.twilio.com",
            "https://messaging.dublin.us1.twilio.com",
        ),
        (
            {"edge": "dublin", "region": "ie1"},
            "https://api.dublin.ie1.twilio.com",
            "https://messaging.dublin.ie1.twilio.com",
        ),
        ({"base_url": "http://127.0.0.1:9/"}, "http://127.0.0.1:9", "http://127.0.0.1:9"),
        (
            {"base_url": "http://a", "messaging_base_url": "http://b/"},
            "http://a",
            "http://b",
        ),
    ],
)
async def test_hosts(options: dict[str, Any], api: str, messaging: str) -> None:
    """By edge and region together; one of them alone never makes a host that is off."""
    twilio = TwilioClient(AC, TOKEN, **options)
    assert twilio.base_url == api
    assert twilio._hosts.messaging == messaging


@pytest.mark.parametrize(
    "options",
    [
        {"region": "ie1"},
        {"region": "au1"},
        {"region": "ie1.evil.com/", "edge": "dublin"},
        {"region": "ie1", "edge": "a@b"},
        {"base_url": "http://a", "edge": "dublin"},
        {"base_url": "http://user:pw@a"},
        {"messaging_base_url": "ftp://a"},
        {"media_hosts": "a.com"},
        {"media_hosts": ["https://a.com"]},
        {"media_hosts": 7},
        {"webhook_tokens": "one"},
        {"shared_keys": ["one"]},
        {"from_": "nobody at all"},
        {"validity_period": 0},
        {"calls": {"timeout": 601}},
        {"media": {"max_bytes": 0}},
        {"no_such": 1},
    ],
)
async def test_what_a_client_refuses(options: dict[str, Any]) -> None:
    """A region without its edge above all: its hosts are switched off."""
    with pytest.raises(InvalidArgumentError):
        TwilioClient(AC, TOKEN, **options)


async def test_a_region_of_the_environment_needs_its_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the vendor's SDK reads them; an address given by hand wins over both."""
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    with pytest.raises(InvalidArgumentError, match="edge"):
        TwilioClient(AC, TOKEN)
    assert TwilioClient(AC, TOKEN, base_url="http://a").base_url == "http://a"
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    assert TwilioClient(AC, TOKEN).base_url == "https://api.dublin.ie1.twilio.com"
    monkeypatch.setenv("TWILIO_BASE_URL", "http://twin:1")
    assert TwilioClient(AC, TOKEN).base_url == "http://twin:1"
    assert TwilioClient(AC, TOKEN, edge="dublin").base_url == "https://api.dublin.us1.twilio.com"


async def test_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Account and token; a key in their place; what is missing is named."""
    with pytest.raises(MissingCredentialError, match="TWILIO_ACCOUNT_SID"):
        TwilioClient()
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", AC)
    with pytest.raises(MissingCredentialError, match="TWILIO_AUTH_TOKEN"):
        TwilioClient()
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    assert TwilioClient()._user == AC
    monkeypatch.setenv("TWILIO_API_KEY", "SK01")
    with pytest.raises(MissingCredentialError, match="TWILIO_API_SECRET"):
        TwilioClient()
    monkeypatch.setenv("TWILIO_API_SECRET", "marked-secret-0123")
    assert TwilioClient()._user == "SK01"
    assert TwilioClient(auth_token=TOKEN)._user == AC  # given by hand
    with pytest.raises(InvalidArgumentError, match="account_sid"):
        TwilioClient("SK01", TOKEN)
    with pytest.raises(InvalidArgumentError, match="api_key"):
        TwilioClient(AC, api_key="AC01", api_key_secret="x")
    with pytest.raises(InvalidArgumentError, match="account_sid"):
        TwilioClient("AC/../..", TOKEN)


async def test_who_asks() -> None:
    """The account by its token, or a key by its secret, which may be asked for; the account
    stays in the path.
    """

    async def secret() -> str:
        return "marked-secret-0123"

    for options, user in (
        ({"auth_token": TOKEN}, f"{AC}:{TOKEN}"),
        ({"auth_token": secret}, f"{AC}:marked-secret-0123"),
        ({"api_key": "SK01", "api_key_secret": secret}, "SK01:marked-secret-0123"),
    ):
        http = ScriptedTransport([accepted()])
        _made.append(Transport(http=http))
        twilio = TwilioClient(AC, transport=_made[-1], **options)  # type: ignore[arg-type]
        await twilio.send_message(to=TO, from_=FROM, body="Ciao")
        assert "marked" not in repr(twilio)
        [request] = http.requests
        pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic "))
        assert pair.decode() == user
        assert request.url == f"{API}/Messages.json"
