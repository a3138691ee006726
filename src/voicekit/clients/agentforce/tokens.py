"""The access token: fetched once for all who wait, and anew before it ends.

A token is a header of each request and no property of a connection: another one keeps all
connections.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from voicekit.clients.agentforce.config import RequestSettings
from voicekit.clients.agentforce.errors import PROVIDER, TOKEN_DIALECT
from voicekit.clients.agentforce.grant import Grant, read_grant, token_request
from voicekit.clients.base import Client, Credential, by_name
from voicekit.clients.execute import fetch_json
from voicekit.errors import ClosedError, VoicekitError, for_one
from voicekit.operation import Limits, Operation, OperationClass

if TYPE_CHECKING:
    from voicekit.clients.settings import Settings
    from voicekit.tasks import Background
    from voicekit.transport.interfaces import Response
    from voicekit.transport.messages import Request

TOKEN: Final = Operation(
    provider=PROVIDER,
    name="token",
    kind=OperationClass.PURE,
    limits=Limits(connect=2.0, first_output=5.0, total=5.0),
    repeats=2,
)

_MARGIN: Final = 2.0
"""Seconds before its end from when on a token is not sent any more; it has a way to go."""
_LEAST_WAIT: Final = 5.0
"""Seconds between two refreshes in the background, of which the first failed: logins are
counted, and the token at hand is good meanwhile. Source: sheet §3.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app of an org, by its consumer key and secret: who asks for tokens."""

    domain: str
    client_id: str
    secret: Credential

    @property
    def identity(self) -> Hashable:
        """Equal for equal credentials; shows no secret."""
        return self.domain, self.client_id, self.secret.fingerprint


class TokenClient(Client):
    """Asks the org for tokens: another host, another secret, and policies of its own."""

    provider: ClassVar[str] = PROVIDER
    families: ClassVar[Mapping[str, type[Settings]]] = {"token": RequestSettings}
    operations: ClassVar[Mapping[str, Operation]] = by_name(TOKEN)

    def __init__(self, app: App, **given: Any) -> None:
        super().__init__(credential=app.secret, pool=None, ca=None, proxy=None, options={}, **given)
        self._client_id = app.client_id
        self._used = True  # its connections are another client's, who tells that they are used

    async def fetch(self) -> Grant:
        """A new token."""
        call = self._call(TOKEN)
        return await fetch_json(self.transport, call, self._prepare, TOKEN_DIALECT, self._read)

    async def _prepare(self) -> Request:
        return token_request(self.base_url, self._client_id, await self._credential.get())

    def _read(self, value: dict[str, Any], response: Response) -> Grant:
        return read_grant(
            value,
            response.headers,
            domain=self.base_url,
            now=time.monotonic(),
            wall=time.time(),
        )


class Tokens:
    """The token in force. Callable as a ``Credential`` asks for keys.

    ``background`` owns the fetching, so that a caller who is cancelled takes nothing from the
    others, and the refreshing. Equal for equal identities.

    Attributes:
        fetch: Makes a new one.
        grant: The one that was fetched last and not refused.
    """

    fetch: Callable[[], Awaitable[Grant]]

    def __init__(
        self,
        background: Background,
        identity: Hashable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.grant: Grant | None = None
        self._background = background
        self._identity = identity
        self._clock = clock
        self._fetching: asyncio.Task[Grant | Exception] | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __call__(self) -> str:
        """The token for the next request."""
        return (await self.get()).token

    async def get(self, within: float | None = None) -> Grant:
        """The token in force, or a new one, ``within`` seconds. One request for all who wait.

        Raises:
            TimeoutError: It took longer; it goes on for others.
            VoicekitError: The org gave none. Nothing else was sent.
        """
        grant = self.grant
        if grant is not None and self.in_force:
            if self._clock() >= grant.refresh_at and self._keeper is None:
                self._keep()  # it gave up, or the machine slept
            return grant
        task = self._begin()
        done, _ = await asyncio.wait([task], timeout=within)
        if not done:
            raise TimeoutError
        if task.cancelled():
            raise ClosedError("the client is closed", provider=PROVIDER)
        result = task.result()
        if isinstance(result, Exception):
            told = for_one(result)
            if isinstance(told, VoicekitError):
                told.outcome = "not_applied"  # of whoever waited, nothing was sent
            raise told
        return result

    @property
    def in_force(self) -> bool:
        """Whether there is a token that requests are sent with."""
        grant = self.grant
        if grant is None:
            return False
        return self._clock() < max(grant.expires_at - _MARGIN, grant.refresh_at)

    def drop(self, refused: str) -> None:
        """This token was refused; one that came meanwhile stays."""
        if self.grant is not None and self.grant.token == refused:
            self.grant = None

    def clear(self) -> None:
        """Have a new one fetched before the next request; who waits for one has that."""
        self.grant = self._fetching = None

    def _begin(self) -> asyncio.Task[Grant | Exception]:
        task = self._fetching
        if task is None:
            task = self._background.spawn(self._fetched(), "voicekit-agentforce-token")
            self._fetching = task
            task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Grant | Exception]) -> None:
        if self._fetching is task:
            self._fetching = None

    async def _fetched(self) -> Grant | Exception:
        """A value either way: a failure is told to those who wait, each by itself."""
        try:
            grant = await self.fetch()
        except Exception as error:  # noqa: BLE001 - told to those who wait
            return error
        if self._fetching is not asyncio.current_task():
            return grant  # cleared meanwhile: it was asked for with what is not in force
        self.grant = grant
        if self._keeper is None:
            self._keep()
        return grant

    # -- in the background --

    def _keep(self) -> None:
        keeper = self._background.spawn(self._refresh(), "voicekit-agentforce-refresh")
        self._keeper = keeper
        keeper.add_done_callback(self._kept)

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        if self._keeper is keeper:
            self._keeper = None

    async def _refresh(self) -> None:
        """Have another token before the one in force ends, again and again."""
        while (grant := self.grant) is not None:
            await asyncio.sleep(max(0.0, grant.refresh_at - self._clock()))
            if self.grant is not grant:
                continue
            await asyncio.wait([self._begin()])
            if self.grant is not grant:
                continue
            left = grant.expires_at - self._clock()
            if left <= 0:
                return  # whoever needs one will ask
            await asyncio.sleep(max(left / 2, _LEAST_WAIT))

    # Equal for equal credentials, so that their breakers and limits are shared.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokens) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return "<Tokens>"


class TokenCredential(Credential):
    """The key is the token in force; one that is refused is dropped and fetched anew, once."""

    __slots__ = ("_tokens",)

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(tokens, env="", provider=PROVIDER)
        self._tokens = tokens

    async def renew(
        self, refused: str, background: Background, within: float | None = None
    ) -> bool:
        """See ``Credential.renew``."""
        if not refused:
            return False
        self._tokens.drop(refused)
        return await super().renew(refused, background, within)
