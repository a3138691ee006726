"""``TwilioClient``: what users hold."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self, Unpack

from voicekit.checks import is_header_text, is_sequence, wrong
from voicekit.clients.base import ApiKey, Credential, by_name
from voicekit.clients.settings import Settings
from voicekit.clients.twilio import addresses, webhook
from voicekit.clients.twilio.call_options import PhoneCallDefaults, PhoneCallSettings
from voicekit.clients.twilio.calls import FETCH_CALL, HANG_UP, PLACE_CALL, UPDATE_CALL, Calls
from voicekit.clients.twilio.errors import PROVIDER
from voicekit.clients.twilio.hosts import check_hosts, hosts_of
from voicekit.clients.twilio.inbound import InboundMessage, MessageStatus
from voicekit.clients.twilio.media import (
    DOWNLOAD_MEDIA,
    STREAM_MEDIA,
    MediaDefaults,
    MediaFiles,
    MediaSettings,
)
from voicekit.clients.twilio.message_options import MessageDefaults, MessageSettings
from voicekit.clients.twilio.messages import (
    CANCEL_MESSAGE,
    DELETE_MESSAGE,
    FETCH_MESSAGE,
    MESSAGE_MEDIA,
    MESSAGES,
    REDACT_MESSAGE,
    SEND_MESSAGE,
    TYPING,
    Messages,
)
from voicekit.errors import InvalidArgumentError, MissingCredentialError
from voicekit.events import Observer
from voicekit.operation import Limits, Operation
from voicekit.resilience.policies import Policies
from voicekit.transport.config import PoolConfig, WarmReport, together
from voicekit.transport.transport import Transport

__all__ = ["ClientOptions", "TwilioClient"]

_ACCOUNT: Final = addresses.sid("AC")
_KEY: Final = addresses.sid("SK")
_CDN: Final = "https://mms.twiliocdn.com"
"""Where most files lie. Source: recorded redirects."""


class ClientOptions(MessageDefaults, total=False):
    """Defaults for every call: those of messages as they are, the others by family.

    Attributes:
        calls: Those of calls.
        media: Those of files.
    """

    calls: PhoneCallDefaults
    media: MediaDefaults


class TwilioClient(Messages, Calls, MediaFiles):
    """Messages and calls by Twilio: webhooks read, files fetched, answers sent.

    Constructing does no I/O. What acts, a message or a call, is never done twice.

    What asks Twilio raises ``InvalidArgumentError`` before any I/O, ``AuthenticationError`` for
    wrong credentials, ``InvalidRequestError`` for what Twilio refuses, and the other errors of
    ``voicekit.errors``. Cancelling frees the connection at once.

    Args:
        account_sid: ``AC…``; ``TWILIO_ACCOUNT_SID`` by default.
        auth_token: The account's token, or an async callable that returns it;
            ``TWILIO_AUTH_TOKEN`` by default. Webhooks are signed with it, so it is needed for
            them also beside an API key. What a callable returns is known from the first
            request on: before that only ``webhook_tokens`` are.
        api_key: ``SK…``, whose secret requests are made with in place of the token;
            ``TWILIO_API_KEY`` by default. Keys are of one region.
        api_key_secret: Its secret, or an async callable that returns it;
            ``TWILIO_API_SECRET`` by default.
        webhook_tokens: Further tokens that webhooks may be signed with: the other one while a
            token is being changed, those of sub-accounts.
        shared_keys: Secrets of shared keys by their ids, for webhooks signed with those.
        region: Where data is processed (``"ie1"``, ``"au1"``, …); with its ``edge``.
            ``TWILIO_REGION`` by default.
        edge: Where the network is entered (``"dublin"``, …); ``TWILIO_EDGE`` by default.
        base_url: In place of both; ``TWILIO_BASE_URL`` by default.
        messaging_base_url: Where the typing indicator is; as ``base_url`` where that is given.
        media_hosts: Where files may be fetched from besides Twilio's own hosts: ``"host"``,
            ``"host:port"`` or ``"*.domain"``. None of them gets the credential.
        transport: A transport to share; the client makes (and closes) its own otherwise.
        pool: Sizes and ages of its own transport's connections.
        ca: PEM file of certificate authorities for its own transport.
        proxy: ``http://[user:password@]host:port`` for its own transport.
        limits: Replaces the limits of single operations, by name: ``"send_message"``, …
        policies: Around every operation, or around single ones, by the same names.
        observers: See every event of this client.
        **options: Defaults for every call: those of messages (``from_``,
            ``status_callback``, ``validity_period``, …), ``calls={…}``, ``media={…}``.

    Raises:
        MissingCredentialError: No account, or neither its token nor an API key.
        InvalidArgumentError: An argument or option is not allowed; a region without its edge.

    Example:
        >>> async with TwilioClient() as twilio:
        ...     message = twilio.parse_webhook(url, request.headers, await request.body())
        ...     note = await twilio.download_media(message.media[0])
        ...     await twilio.send_message(to=message.from_, from_=message.to, body="Heard you.")
    """

    families: ClassVar[Mapping[str, type[Settings]]] = {
        "messages": MessageSettings,
        "calls": PhoneCallSettings,
        "media": MediaSettings,
    }
    operations: ClassVar[Mapping[str, Operation]] = by_name(
        SEND_MESSAGE,
        TYPING,
        FETCH_MESSAGE,
        MESSAGES,
        MESSAGE_MEDIA,
        CANCEL_MESSAGE,
        REDACT_MESSAGE,
        DELETE_MESSAGE,
        DOWNLOAD_MEDIA,
        STREAM_MEDIA,
        PLACE_CALL,
        FETCH_CALL,
        UPDATE_CALL,
        HANG_UP,
    )

    def __init__(
        self,
        account_sid: str | None = None,
        auth_token: ApiKey | None = None,
        *,
        api_key: str | None = None,
        api_key_secret: ApiKey | None = None,
        webhook_tokens: Sequence[str] = (),
        shared_keys: Mapping[str, str] | None = None,
        region: str | None = None,
        edge: str | None = None,
        base_url: str | None = None,
        messaging_base_url: str | None = None,
        media_hosts: Sequence[str] = (),
        transport: Transport | None = None,
        pool: PoolConfig | None = None,
        ca: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] = (),
        **options: Unpack[ClientOptions],
    ) -> None:
        self.account_sid = _account_of(account_sid)
        if api_key is None and auth_token is None:
            api_key = os.environ.get("TWILIO_API_KEY") or None
        auth_token = auth_token or os.environ.get("TWILIO_AUTH_TOKEN") or None
        if api_key is None:
            self._user = self.account_sid
            credential = Credential(auth_token, env="TWILIO_AUTH_TOKEN", provider=PROVIDER)
        else:
            self._user = _KEY("api_key", api_key)
            credential = Credential(api_key_secret, env="TWILIO_API_SECRET", provider=PROVIDER)
        self._auth_token = auth_token if isinstance(auth_token, str) else None
        self._webhook_tokens = _tokens(webhook_tokens)
        self._shared_keys = _shared(shared_keys or {})
        self._media_hosts = check_hosts(media_hosts)
        if messaging_base_url is not None:
            messaging_base_url = addresses.url("messaging_base_url", messaging_base_url).rstrip("/")
        self._hosts = hosts_of(base_url, messaging_base_url, region, edge)
        super().__init__(
            credential=credential,
            base_url=self._hosts.api,
            transport=transport,
            pool=pool,
            ca=ca,
            proxy=proxy,
            limits=limits,
            policies=policies,
            observers=observers,
            options=options,
        )

    def with_options(
        self,
        *,
        limits: Mapping[str, Limits] | None = None,
        policies: Policies | Mapping[str, Policies] | None = None,
        observers: Sequence[Observer] | None = None,
        **options: Unpack[ClientOptions],
    ) -> Self:
        """This client with other defaults; shares everything else, connections above all.

        Closing it closes nothing; closing the client that it came from does.

        Raises:
            InvalidArgumentError: An option is not allowed.
        """
        return self._view(options, limits, policies, observers)

    # -- webhooks --

    def parse_webhook(
        self, url: str, headers: webhook.Headers, body: webhook.Body = None, /
    ) -> InboundMessage | MessageStatus:
        """Check a webhook's signature, and read the message or the status in it. No I/O.

        Args:
            url: The public address, exactly as Twilio calls it, query included. Behind a
                proxy that ends TLS, put it together from configuration and the raw path.
            headers: Of the request.
            body: Of the request: raw is best. A parsed form must hold empty values as well.

        Raises:
            SignatureError: It is not from Twilio, or not for this address: answer 403.
            MissingCredentialError: The client has no auth token.
            InvalidArgumentError: It is signed, and neither a message nor a status: see
                ``verify_webhook``.

        Example:
            >>> try:
            ...     came = twilio.parse_webhook(PUBLIC_URL, request.headers, body)
            ... except SignatureError:
            ...     return Response(status_code=403)
        """
        return webhook.parse_webhook(
            url, headers, body, tokens=self._tokens, shared_keys=self._shared_keys
        )

    def verify_webhook(
        self, url: str, headers: webhook.Headers, body: webhook.Body = None, /
    ) -> dict[str, str]:
        """Check any request of Twilio's: calls, streams, sockets. No I/O.

        Args:
            url: The public address; of a socket ``wss://…`` as it stands in the TwiML.
            headers: Of the request, or of the socket's handshake.
            body: Of the request; None or empty for GET and sockets.

        Returns:
            The form's fields; those of the query where there is no form.

        Raises:
            SignatureError: It is not from Twilio, or not for this address: answer 403.
            MissingCredentialError: The client has no auth token.
            InvalidArgumentError: An argument cannot be what it should be.
        """
        return webhook.verify_webhook(
            url, headers, body, tokens=self._tokens, shared_keys=self._shared_keys
        )

    @property
    def _tokens(self) -> Sequence[str]:
        # The one that requests are made with may have been rotated, or is asked for.
        own = self._credential.last() if self._user == self.account_sid else self._auth_token
        tokens = (own, *self._webhook_tokens) if own else self._webhook_tokens
        if not tokens and not self._shared_keys:
            raise MissingCredentialError(
                "webhooks are signed with the auth token: pass auth_token= or webhook_tokens=",
                provider=PROVIDER,
            )
        return tokens

    # -- connections --

    async def _warm(self, n: int) -> WarmReport:
        """TLS alone.

        What could be asked for shows the auth token, or what people wrote. Source: sheet §2.4.
        """
        others = {self._hosts.messaging} - {self.base_url}
        if self.base_url.endswith(".twilio.com"):
            others.add(_CDN)
        reports = await asyncio.gather(
            self.transport.warm(self.base_url, n),
            *(self.transport.warm(each, 1) for each in others),
        )
        return together(reports)


def _account_of(account_sid: str | None) -> str:
    account_sid = account_sid or os.environ.get("TWILIO_ACCOUNT_SID")
    if not account_sid:
        raise MissingCredentialError(
            "no account: pass account_sid= or set TWILIO_ACCOUNT_SID", provider=PROVIDER
        )
    return str(_ACCOUNT("account_sid", account_sid))


def _tokens(given: Sequence[str]) -> tuple[str, ...]:
    if not is_sequence(given) or not all(is_header_text(each) and each for each in given):
        raise wrong("webhook_tokens", given, "a sequence of auth tokens")
    return tuple(given)


def _shared(given: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(given, Mapping) or not all(
        isinstance(each, str) and each for pair in given.items() for each in pair
    ):
        raise InvalidArgumentError(
            "are none", argument="shared_keys", allowed="secrets by the ids of their keys"
        )
    return dict(given)
