"""``OpenAIClient``, blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self, Unpack

from voicekit import interfaces
from voicekit.clients import openai
from voicekit.clients.base import ApiKey
from voicekit.clients.openai.config import ChatDefaults, ChatOptions, Messages
from voicekit.events import Observer
from voicekit.operation import Limits
from voicekit.sync.client import Client, Transport, inner_of
from voicekit.sync.delegation import blocking, directly
from voicekit.sync.handles import TextStream
from voicekit.transport.config import PoolConfig

__all__ = ["OpenAIClient"]


class OpenAIClient(Client[openai.OpenAIClient]):
    """See ``voicekit.OpenAIClient``; here everything blocks."""

    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        region: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        transport: Transport | None = None,
        pool: PoolConfig | None = None,
        ca: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        observers: Sequence[Observer] = (),
        **options: Unpack[ChatDefaults],
    ) -> None:
        super().__init__(
            lambda: openai.OpenAIClient(
                api_key,
                base_url=base_url,
                region=region,
                organization=organization,
                project=project,
                transport=inner_of(transport),
                pool=pool,
                ca=ca,
                proxy=proxy,
                limits=limits,
                observers=observers,
                **options,
            ),
            uses=transport,
        )

    def with_options(
        self,
        *,
        limits: Mapping[str, Limits] | None = None,
        observers: Sequence[Observer] | None = None,
        **options: Unpack[ChatDefaults],
    ) -> Self:
        """See ``voicekit.OpenAIClient.with_options``."""
        return self._view(
            lambda: self._inner.with_options(limits=limits, observers=observers, **options)
        )

    request = directly(openai.OpenAIClient.request)
    chat = blocking(openai.OpenAIClient.chat)

    def stream_chat(
        self, messages: Messages | interfaces.ChatRequest, /, **options: Unpack[ChatOptions]
    ) -> TextStream:
        """See ``voicekit.OpenAIClient.stream_chat``."""
        return TextStream(self, self._inner.stream_chat(messages, **options))
