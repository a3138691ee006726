"""``TwilioClient``, blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from voicekit.clients import twilio
from voicekit.clients.twilio.client import ClientOptions
from voicekit.events import Observer
from voicekit.operation import Limits
from voicekit.resilience.policies import Policies
from voicekit.sync.client import Client, Transport, declared, viewing
from voicekit.sync.delegation import Evidence, blocking, directly
from voicekit.sync.handles import Stream
from voicekit.sync.keys import ApiKey
from voicekit.sync.pages import Pages
from voicekit.transport.config import PoolConfig

__all__ = ["MediaStream", "TwilioClient"]


class MediaStream(Stream[bytes]):
    """See ``voicekit.clients.twilio.MediaStream``: iterate for ``bytes``."""

    content_type = Evidence(twilio.MediaStream.content_type)
    size = Evidence(twilio.MediaStream.size)

    @property
    def delivered_bytes(self) -> int:
        """How many bytes iteration has handed out."""
        return int(self._inner.delivered_bytes) - self._withheld()

    def _weigh(self, item: bytes) -> int:
        return len(item)


class TwilioClient(Client[twilio.TwilioClient]):
    """See ``voicekit.TwilioClient``; here everything blocks."""

    _kind = twilio.TwilioClient

    @declared
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
    ) -> None: ...

    with_options = viewing(twilio.TwilioClient.with_options)

    account_sid = Evidence[str](doc="``AC…``, whose messages and calls they are.")

    # -- webhooks --

    parse_webhook = directly(twilio.TwilioClient.parse_webhook)
    verify_webhook = directly(twilio.TwilioClient.verify_webhook)

    # -- messages --

    send_message = blocking(twilio.TwilioClient.send_message)
    typing = blocking(twilio.TwilioClient.typing)
    fetch_message = blocking(twilio.TwilioClient.fetch_message)
    cancel_message = blocking(twilio.TwilioClient.cancel_message)
    redact_message = blocking(twilio.TwilioClient.redact_message)
    delete_message = blocking(twilio.TwilioClient.delete_message)
    message_media = blocking(twilio.TwilioClient.message_media)

    def messages(self, **filters: Unpack[twilio.MessageFilters]) -> Pages[twilio.Message]:
        """See ``voicekit.TwilioClient.messages``: ``page()`` for the first, or iterate."""
        return Pages(self, self._inner.messages(**filters))

    # -- files --

    download_media = blocking(twilio.TwilioClient.download_media)

    def stream_media(
        self, media: twilio.MediaRef | str, /, **options: Unpack[twilio.MediaOptions]
    ) -> MediaStream:
        """See ``voicekit.TwilioClient.stream_media``."""
        return MediaStream(self, self._inner.stream_media(media, **options))

    # -- calls --

    place_call = blocking(twilio.TwilioClient.place_call)
    fetch_call = blocking(twilio.TwilioClient.fetch_call)
    update_call = blocking(twilio.TwilioClient.update_call)
    hang_up = blocking(twilio.TwilioClient.hang_up)
