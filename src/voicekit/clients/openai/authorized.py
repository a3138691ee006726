"""What every part of ``OpenAIClient`` stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from voicekit.clients.base import Client
from voicekit.clients.openai.errors import PROVIDER

if TYPE_CHECKING:
    from voicekit.clients.openai.account import Account
    from voicekit.transport.messages import Request


class Authorized(Client):
    """A client with an account.

    Its parts, a family of operations each, derive from it; ``OpenAIClient`` is all of them.
    """

    provider: ClassVar[str] = PROVIDER

    _account: Account
    """Where each operation is, and as whom it is asked."""

    async def _prepare(self, path: str, **facts: Any) -> Request:
        """A request to the account, with the key in force."""
        return self._account.request(await self._credential.get(), path, **facts)
