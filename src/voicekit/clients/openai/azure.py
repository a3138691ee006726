"""``AzureOpenAIClient``: the same operations, of deployments in an Azure resource.

Source: SDK openai 3.52.0, lib/azure.py, for arguments, environment, addresses and headers.
No fact sheet covers Azure: that its answers and errors have OpenAI's shape is unverified.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Unpack
from urllib.parse import parse_qs, urlsplit

from voicekit.checks import wrong
from voicekit.clients.base import ApiKey, Credential
from voicekit.clients.openai.account import Account
from voicekit.clients.openai.client import ClientOptions, OpenAIClient
from voicekit.clients.openai.config import account_headers
from voicekit.clients.openai.errors import PROVIDER
from voicekit.clients.urls import segment_of
from voicekit.errors import InvalidArgumentError, MissingCredentialError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voicekit.events import Observer
    from voicekit.operation import Limits
    from voicekit.resilience.policies import Policies
    from voicekit.transport.config import PoolConfig
    from voicekit.transport.transport import Transport

TokenProvider = Callable[[], str | Awaitable[str]]
"""Returns a token of the directory for the next request, as ``azure.identity`` makes them."""

_DEPLOYED: Final = frozenset(
    {"/chat/completions", "/embeddings", "/audio/transcriptions", "/audio/speech"}
)
"""Operations whose address names the deployment; of the others, the body does."""


class AzureAccount(Account):
    """Azure's addresses and credentials.

    Without a ``deployment`` the one that is named like the model answers. The credential is a
    ``token`` of the directory, or else a key.
    """

    __slots__ = ("_deployment", "_token", "_version")

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        version: str,
        deployment: str | None,
        token: bool,
    ) -> None:
        super().__init__(base_url, headers)
        self._version = f"api-version={segment_of('api_version', version)}"
        self._deployment = (
            None if deployment is None else segment_of("azure_deployment", deployment)
        )
        self._token = token

    def url(self, path: str, model: str, query: str) -> str:
        """The address of an operation; see the base."""
        if path in _DEPLOYED and "/deployments/" not in urlsplit(self.base_url).path:
            path = f"/deployments/{self._deployment or segment_of('model', model)}{path}"
        if "api-version" not in parse_qs(query):
            query = f"{self._version}&{query}" if query else self._version
        return super().url(path, model, query)

    def credential(self, key: str) -> dict[str, str]:
        """The headers that say who asks, in a new dict."""
        return super().credential(key) if self._token else {"api-key": key}


class AzureOpenAIClient(OpenAIClient):
    """OpenAI's models in an Azure resource; every operation and option of ``OpenAIClient``.

    Constructing does no I/O and needs no event loop. ``model`` names a deployment, unless
    ``azure_deployment`` does for all calls. At most one of the three credentials is given;
    without any, the environment's ``AZURE_OPENAI_AD_TOKEN`` or ``AZURE_OPENAI_API_KEY`` is
    taken, in this order. The new ``…/openai/v1`` addresses of a resource are a plain
    ``OpenAIClient``'s ``base_url``.

    Args:
        azure_endpoint: ``https://NAME.openai.azure.com``; the environment's
            ``AZURE_OPENAI_ENDPOINT`` by default.
        azure_deployment: Which deployment answers, whatever ``model`` says.
        api_version: Such as ``"2025-04-01-preview"``; ``OPENAI_API_VERSION`` by default.
        api_key: The resource's key, or an async callable that returns it.
        azure_ad_token: A token of the directory (Entra ID), as it is: it ends in an hour.
        azure_ad_token_provider: Returns the token for the next request, or an awaitable of
            it. One that does I/O should be async: it is asked on the event loop.
        base_url: In place of ``azure_endpoint``: the API's address, ``/openai`` included.
        organization: ``OPENAI_ORG_ID`` by default.
        project: ``OPENAI_PROJECT_ID`` by default.
        transport: As of ``OpenAIClient``, like the rest.
        pool: As of ``OpenAIClient``.
        ca: As of ``OpenAIClient``.
        proxy: As of ``OpenAIClient``.
        limits: As of ``OpenAIClient``.
        policies: As of ``OpenAIClient``.
        observers: As of ``OpenAIClient``.
        **options: Defaults for every call.

    Raises:
        MissingCredentialError: No credential was given and the environment holds none.
        InvalidArgumentError: An argument is missing or not allowed.

    Example:
        >>> async with AzureOpenAIClient(
        ...     azure_endpoint="https://example.openai.azure.com",
        ...     api_version="2025-04-01-preview",
        ...     azure_ad_token_provider=get_bearer_token_provider(credential, scope),
        ...     model="my-deployment",
        ... ) as llm:
        ...     print((await llm.chat("When are you open?")).text)
    """

    def __init__(
        self,
        *,
        azure_endpoint: str | None = None,
        azure_deployment: str | None = None,
        api_version: str | None = None,
        api_key: ApiKey | None = None,
        azure_ad_token: str | None = None,
        azure_ad_token_provider: TokenProvider | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        transport: Transport | None = None,
        pool: PoolConfig | None = None,
        ca: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] = (),
        **options: Unpack[ClientOptions],
    ) -> None:
        credential, token = _credential(api_key, azure_ad_token, azure_ad_token_provider)
        version = api_version or os.environ.get("OPENAI_API_VERSION")
        if not version or not isinstance(version, str):
            raise InvalidArgumentError(
                "is required", argument="api_version", allowed="a str, or OPENAI_API_VERSION"
            )
        if azure_deployment is not None and (
            not isinstance(azure_deployment, str) or not azure_deployment
        ):
            raise wrong("azure_deployment", azure_deployment, "the name of a deployment")
        # Past OpenAIClient's own: its environment and its credential are not ours.
        super(OpenAIClient, self).__init__(
            credential=credential,
            base_url=_address(azure_endpoint, base_url),
            transport=transport,
            pool=pool,
            ca=ca,
            proxy=proxy,
            limits=limits,
            policies=policies,
            observers=observers,
            options=options,
        )
        self._account = AzureAccount(
            self.base_url,
            account_headers(organization, project),
            version=version,
            deployment=azure_deployment,
            token=token,
        )


def _address(endpoint: str | None, base_url: str | None) -> str:
    if base_url is not None:
        if endpoint is not None:
            raise InvalidArgumentError(
                "has its own base_url", argument="azure_endpoint", allowed="one of both"
            )
        return base_url
    endpoint = endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT")
    if not isinstance(endpoint, str) or not endpoint:
        raise InvalidArgumentError(
            "is required",
            argument="azure_endpoint",
            allowed="https://NAME.openai.azure.com, or AZURE_OPENAI_ENDPOINT",
        )
    return endpoint.rstrip("/") + "/openai"


def _credential(
    api_key: ApiKey | None, token: str | None, provider: TokenProvider | None
) -> tuple[Credential, bool]:
    """The credential, and whether it is a token."""
    if sum(each is not None for each in (api_key, token, provider)) > 1:
        raise InvalidArgumentError(
            "exclude one another",
            argument="api_key, azure_ad_token, azure_ad_token_provider",
            allowed="one of them",
        )
    key_env, token_env = "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"
    if (api_key, token, provider) == (None, None, None):
        token = os.environ.get(token_env) or None
        api_key = os.environ.get(key_env) if token is None else None
        if token is None and not api_key:
            raise MissingCredentialError(
                "no credential: pass api_key=, azure_ad_token= or azure_ad_token_provider=, "
                f"or set {key_env} or {token_env}",
                provider=PROVIDER,
            )
    given: ApiKey | None = api_key
    if provider is not None:
        given = _asking(provider)
    elif token is not None:
        given = token
    return Credential(given, env=key_env, provider=PROVIDER), api_key is None


def _asking(provider: TokenProvider) -> ApiKey:
    if not callable(provider):
        raise wrong("azure_ad_token_provider", provider, "a callable that returns a token")

    async def ask() -> str:
        token = provider()
        return await token if inspect.isawaitable(token) else token

    return ask
