"""Where the emulated providers are, and how to point a client or a vendor's SDK at them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicekit.emulator.errors import EmulatorError

API_KEY = "emulator-key"
"""The key that `env()` and `sdk()` hand out; the emulator accepts any but "bad-key"."""

AGENTFORCE_CLIENT = "emulator-client"
AGENT_ID = "0XxEm0000000001AAA"
"""The agent that `env()` and `sdk()` name; any other of that shape will do."""

ACCOUNT_SID = "AC" + "e0" * 16
AUTH_TOKEN = "emulator-auth-token"  # noqa: S105 - nobody's
"""The Twilio account that `env()` names; its token signs webhooks, any but "bad-key" is let in."""

PATHS = {"openai": "/v1"}
"""What a provider's base URL ends in, for those whose variable includes a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One provider's address.

    Attributes:
        url: Base URL as the vendor's `*_BASE_URL` variable holds it ("/v1" included for OpenAI).
        ws_url: The same with a WebSocket scheme.
    """

    provider: str
    host: str
    port: int
    tls: bool

    @property
    def url(self) -> str:
        """Base URL for HTTP."""
        return self._base("http")

    @property
    def ws_url(self) -> str:
        """Base URL for WebSockets."""
        return self._base("ws")

    def _base(self, scheme: str) -> str:
        path = PATHS.get(self.provider, "")
        return f"{scheme}{'s' * self.tls}://{self.host}:{self.port}{path}"


class Addresses:
    """The read surface that every way of running the emulator has in common."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self.ca_file: Path | None = None

    def endpoint(self, provider: str) -> Endpoint:
        """Return a provider's address.

        Raises:
            EmulatorError: It is not served, or the emulator is not running.
        """
        try:
            return self.endpoints[provider]
        except KeyError:
            served = ", ".join(self.endpoints) or "nothing: is the emulator running?"
            raise EmulatorError(f"{provider} is not served here, but {served}") from None

    @property
    def elevenlabs(self) -> Endpoint:
        """Where ElevenLabs is."""
        return self.endpoint("elevenlabs")

    @property
    def deepgram(self) -> Endpoint:
        """Where Deepgram is."""
        return self.endpoint("deepgram")

    @property
    def openai(self) -> Endpoint:
        """Where OpenAI is."""
        return self.endpoint("openai")

    @property
    def agentforce(self) -> Endpoint:
        """Where Agentforce is: My Domain and the API's host in one."""
        return self.endpoint("agentforce")

    @property
    def twilio(self) -> Endpoint:
        """Where Twilio is: its API and its messaging host in one; media lead to `twilio_media`."""
        return self.endpoint("twilio")

    def env(self) -> dict[str, str]:
        """Return the environment that points voicekit and the OpenAI SDK here.

        Under TLS it holds `SSL_CERT_FILE` too, which OpenSSL-based clients read when they build
        their context.
        """
        env: dict[str, str] = {}
        for name, endpoint in self.endpoints.items():
            if name == "agentforce":
                env |= {
                    "AGENTFORCE_DOMAIN": endpoint.url,
                    "AGENTFORCE_CLIENT_ID": AGENTFORCE_CLIENT,
                    "AGENTFORCE_CLIENT_SECRET": API_KEY,
                    "AGENTFORCE_AGENT_ID": AGENT_ID,
                    "AGENTFORCE_BASE_URL": endpoint.url,
                }
            elif name == "twilio":
                env |= {
                    "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
                    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
                    "TWILIO_BASE_URL": endpoint.url,
                }
            elif name != "twilio_media":  # no client is pointed there: redirects lead to it
                env[f"{name.upper()}_API_KEY"] = API_KEY
                env[f"{name.upper()}_BASE_URL"] = endpoint.url
        if self.ca_file is not None:
            env["SSL_CERT_FILE"] = str(self.ca_file)
        return env

    def sdk(self, provider: str, *, asynchronous: bool = False) -> dict[str, Any]:
        """Return the constructor arguments that point a vendor's SDK here.

        - `openai`: `OpenAI(**world.sdk("openai"))`, sync and async.
        - `elevenlabs`: `ElevenLabs(**world.sdk("elevenlabs"))`, sync and async. Its SDK has no
          argument for a CA: under TLS set `SSL_CERT_FILE` (see `env`) before building the client.
          Its `convert_realtime` dials wss whatever the base URL says, so it needs `tls=True`.
        - `deepgram`: `DeepgramClient(**world.sdk("deepgram"))`; needs the SDK installed, since
          its environment is a class of its own. TLS as for ElevenLabs.
        - `twilio`: `Client(**world.sdk("twilio"))`; needs the SDK installed, since the way to
          other addresses is an HTTP client of its own kind (the one for a running event loop
          with `asynchronous=True`; close it). `client.api.base_url = world.twilio.url`, and the
          same for every other domain used, does it too.
        - `agentforce`: there is none for Python; `domain`, `client_id`, `client_secret` and
          `agent_id` are what any client needs, `voicekit.clients.AgentforceClient` by these names.

        Raises:
            EmulatorError: The provider is not served, or its SDK is needed and not installed.
        """
        endpoint = self.endpoint(provider)
        if provider == "agentforce":
            return {
                "domain": endpoint.url,
                "client_id": AGENTFORCE_CLIENT,
                "client_secret": API_KEY,
                "agent_id": AGENT_ID,
            }
        if provider == "twilio":
            from voicekit.emulator.providers.twilio_sdk import arguments_of

            return arguments_of(endpoint.url, asynchronous=asynchronous)
        arguments: dict[str, Any] = {"api_key": API_KEY}
        if provider != "deepgram":
            return {**arguments, "base_url": endpoint.url}
        try:
            from deepgram.environment import DeepgramClientEnvironment
        except ImportError as missing:
            raise EmulatorError(
                "sdk('deepgram') needs the SDK: pip install deepgram-sdk"
            ) from missing
        return {
            **arguments,
            "environment": DeepgramClientEnvironment(
                base=endpoint.url,
                production=endpoint.ws_url,
                agent=endpoint.ws_url,
                agent_rest=endpoint.url,
            ),
        }
