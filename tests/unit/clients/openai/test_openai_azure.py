"""Azure's addresses and credentials, from arguments and from the environment."""

from __future__ import annotations

from typing import Any

import pytest

from voicekit import AzureOpenAIClient, OpenAIClient
from voicekit.errors import InvalidArgumentError, MissingCredentialError

pytestmark = pytest.mark.anyio

ENV = (
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_AD_TOKEN",
    "AZURE_OPENAI_ENDPOINT",
    "OPENAI_API_VERSION",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
)
GIVEN: dict[str, Any] = {
    "azure_endpoint": "https://me.openai.azure.com/",
    "api_version": "2025-04-01",
    "api_key": "key",
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENV:
        monkeypatch.delenv(name, raising=False)


async def request(client: OpenAIClient, path: str = "/chat/completions", **more: Any) -> Any:
    key = await client._credential.get()
    return client._account.request(key, path, **{"model": "my model", "body": b"{}", **more})


@pytest.mark.parametrize(
    ("options", "path", "url"),
    [
        ({}, "/chat/completions", "/openai/deployments/my%20model/chat/completions"),
        ({"azure_deployment": "d/1"}, "/chat/completions",
         "/openai/deployments/d%2F1/chat/completions"),
        ({}, "/embeddings", "/openai/deployments/my%20model/embeddings"),
        ({}, "/audio/speech", "/openai/deployments/my%20model/audio/speech"),
        ({}, "/audio/transcriptions", "/openai/deployments/my%20model/audio/transcriptions"),
        ({"azure_deployment": "d"}, "/responses", "/openai/responses"),
        ({"azure_deployment": "d"}, "/models", "/openai/models"),
    ],
)  # fmt: skip
async def test_addresses(options, path, url) -> None:
    """A deployment in the path of those operations that one answers."""
    sent = await request(AzureOpenAIClient(**{**GIVEN, **options}), path)
    assert sent.url == f"https://me.openai.azure.com{url}?api-version=2025-04-01"


async def test_a_base_url_in_place_of_an_endpoint() -> None:
    """With or without its deployment."""
    base = "https://proxy.example/azure"
    given = {"base_url": base, "api_version": "v", "api_key": "k"}
    sent = await request(AzureOpenAIClient(**given))
    assert sent.url == f"{base}/deployments/my%20model/chat/completions?api-version=v"
    given["base_url"] += "/deployments/fixed/"
    sent = await request(AzureOpenAIClient(**given))
    assert sent.url == f"{base}/deployments/fixed/chat/completions?api-version=v"


async def test_the_callers_query_wins() -> None:
    """His own version of the API, too."""
    client = AzureOpenAIClient(**GIVEN)
    sent = await request(client, query="a=1")
    assert sent.url.endswith("?api-version=2025-04-01&a=1")
    sent = await request(client, query="api-version=other")
    assert sent.url.endswith("?api-version=other")


async def test_a_key() -> None:
    """In Azure's own header, from a callable as well; it shows nowhere."""
    client = AzureOpenAIClient(**GIVEN)
    sent = await request(client)
    assert sent.headers["api-key"] == "key"
    assert "Authorization" not in sent.headers
    assert "'key'" not in repr(client) + repr(sent)

    async def ask() -> str:
        return "asked"

    sent = await request(AzureOpenAIClient(**{**GIVEN, "api_key": ask}))
    assert sent.headers["api-key"] == "asked"
    client.rotate_key("another")
    assert (await request(client)).headers["api-key"] == "another"


@pytest.mark.parametrize("kind", ["plain", "sync", "async"])
async def test_a_token(kind) -> None:
    """A bearer's, whoever says it."""

    async def later() -> str:
        return "token"

    given: dict[str, Any] = {**GIVEN, "api_key": None}
    if kind == "plain":
        given["azure_ad_token"] = "token"
    else:
        given["azure_ad_token_provider"] = later if kind == "async" else lambda: "token"
    sent = await request(AzureOpenAIClient(**given))
    assert sent.headers["Authorization"] == "Bearer token"
    assert "api-key" not in sent.headers


async def test_a_token_that_is_none() -> None:
    """What the callable returns is checked like a key."""
    given = {**GIVEN, "api_key": None, "azure_ad_token_provider": lambda: ""}
    with pytest.raises(InvalidArgumentError):
        await request(AzureOpenAIClient(**given))


async def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's names, read when the client is made; a token wins over a key."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://env.example")
    monkeypatch.setenv("OPENAI_API_VERSION", "v1")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "env-key")
    monkeypatch.setenv("OPENAI_API_KEY", "not-this")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://not.this")
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    sent = await request(AzureOpenAIClient())
    assert sent.url.startswith("https://env.example/openai/deployments/")
    assert sent.url.endswith("?api-version=v1")
    assert sent.headers["api-key"] == "env-key"
    assert sent.headers["OpenAI-Organization"] == "org"
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "env-token")
    sent = await request(AzureOpenAIClient())
    assert sent.headers["Authorization"] == "Bearer env-token"
    # What is given wins over both.
    assert (await request(AzureOpenAIClient(api_key="mine"))).headers["api-key"] == "mine"


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("api_version", {"api_version": None}),
        ("azure_endpoint", {"azure_endpoint": None}),
        ("azure_endpoint", {"base_url": "https://x.example"}),
        ("base_url", {"azure_endpoint": "ftp://x"}),
        ("azure_deployment", {"azure_deployment": ""}),
        ("azure_deployment", {"azure_deployment": 7}),
        ("azure_ad_token_provider", {"api_key": None, "azure_ad_token_provider": "token"}),
        ("api_key, azure_ad_token, azure_ad_token_provider", {"azure_ad_token": "t"}),
        ("temperature", {"temperature": 7}),
    ],
)
def test_what_is_refused(argument, options) -> None:
    """Named, when the client is made."""
    with pytest.raises(InvalidArgumentError) as refused:
        AzureOpenAIClient(**{**GIVEN, **options})
    assert refused.value.argument == argument


def test_no_credential() -> None:
    """All ways to give one are named; OpenAI's own key is none."""
    with pytest.raises(MissingCredentialError, match="AZURE_OPENAI_AD_TOKEN"):
        AzureOpenAIClient(**{**GIVEN, "api_key": None})


async def test_it_is_an_openai_client() -> None:
    """With its families, views and roles."""
    speech = {"model": "tts", "voice": "alloy"}
    async with AzureOpenAIClient(**GIVEN, model="m", speech=speech) as client:
        assert isinstance(client, OpenAIClient)
        assert isinstance(client.with_options(temperature=0.5), AzureOpenAIClient)
        assert client.as_synthesizer().request("Hi").text == "Hi"
