"""What every part of ``DeepgramClient`` stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voicekit.clients.base import Client
from voicekit.clients.deepgram.errors import PROVIDER
from voicekit.clients.deepgram.protocol import headers_of
from voicekit.transport.messages import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.transport.messages import Upload


class Authorized(Client):
    """A client with a key, or with a short-lived token in its place.

    Its parts, a family of operations each, derive from it; ``DeepgramClient`` is all of them.
    """

    provider: ClassVar[str] = PROVIDER

    _scheme: str
    """Before the credential in its header: ``Token`` for a key, ``Bearer`` for a token."""

    async def _post(
        self, target: str, extra: Mapping[str, str], content_type: str, body: bytes | Upload
    ) -> Request:
        """A request with the credential in force; ``target`` is path and query."""
        headers = headers_of(self._scheme, await self._credential.get(), extra, content_type)
        return Request("POST", self.base_url + target, headers, body)
