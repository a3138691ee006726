"""Where a client's key comes from, and what happens when it is refused."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TypeVar

from voicekit.checks import is_header_text
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    InvalidArgumentError,
    MissingCredentialError,
)

if TYPE_CHECKING:
    from voicekit.operation import Call
    from voicekit.tasks import Background

T = TypeVar("T")

ApiKey = str | Callable[[], Awaitable[str]]
"""A key, or an async callable that returns the key to use for the next request."""

KEY_LIMIT: Final = 10.0
"""Seconds that a callable may take to return a key; calls wait for it. Source: ours, as for
any token (design, limits of an operation), with its two repeats."""

_REFUSED: Final = 401
"""403 is a key that is right and may not do this: another of the same holder may not either."""


class Credential:
    """Where the key comes from. Never shows it.

    Attributes:
        on_change: Called when another key than the last one is in force from now on: what
            was opened with the old one must not be used again.
    """

    __slots__ = ("_ask", "_identity", "_key", "_renewal", "on_change")

    def __init__(self, api_key: ApiKey | None, *, env: str, provider: str) -> None:
        self.on_change: Callable[[], None] = _nothing
        self._renewal: asyncio.Task[bool] | None = None
        if api_key is None:
            api_key = os.environ.get(env)
        if not callable(api_key) and not api_key:
            raise MissingCredentialError(
                f"no API key: pass api_key= or set {env}", provider=provider
            )
        self._take(api_key)

    def _take(self, api_key: ApiKey) -> None:
        if callable(api_key):
            self._ask: Callable[[], Awaitable[str]] | None = api_key
            self._key = ""
            self._identity: Hashable = _identity_of(api_key)
            return
        self._key, self._ask = _checked(api_key), None
        digest = hashlib.blake2b(self._key.encode(), digest_size=16)
        self._identity = digest.hexdigest()

    @property
    def asks(self) -> bool:
        """Whether a callable is asked, which may have another key the next time."""
        return self._ask is not None

    async def get(self) -> str:
        """The key for the next request.

        Raises:
            InvalidArgumentError: The callable returned what no header can hold.
            MissingCredentialError: It returned nothing in time.
        """
        if self._ask is not None:
            turn = _turn.get()
            if turn is None or turn.credential is not self:
                await self._fetch()
            else:
                if not turn.renewed:
                    await self._fetch()
                turn.key = self._key
        return self._key

    async def _fetch(self) -> None:
        """Ask the callable. What one says that was replaced meanwhile counts for nothing."""
        while (ask := self._ask) is not None:
            key = await _asked(ask)
            if self._ask is ask:
                self._learn(key)
                return

    def _learn(self, key: str) -> None:
        known = self._key
        if key != known:
            self._key = key
            if known:
                self.on_change()

    async def renew(
        self, refused: str, background: Background, within: float | None = None
    ) -> bool:
        """Have another key than the one that was refused; whether there is one now.

        Whoever comes while the callable is being asked waits for the same answer. It is asked
        by a task of ``background``: a caller who is cancelled takes nothing from the others.
        Nor does one who waits no longer than ``within`` seconds.

        Raises:
            Exception: What the callable raised.
        """
        if self._key != refused:
            return True  # somebody else was quicker
        if self._ask is None:
            return False
        renewal = self._renewal
        if renewal is None:
            renewal = background.spawn(self._renewed(refused), "voicekit-renew-key")
            self._renewal = renewal
            renewal.add_done_callback(self._over)
        await asyncio.wait([renewal], timeout=within)
        if not renewal.done() or renewal.cancelled():  # too late, or all is being closed
            return False
        return renewal.result()

    async def _renewed(self, refused: str) -> bool:
        await self._fetch()
        return self._key != refused

    def _over(self, renewal: asyncio.Task[bool]) -> None:
        if self._renewal is renewal:
            self._renewal = None

    @property
    def renewing(self) -> bool:
        """Whether a refused key is just being replaced."""
        return self._renewal is not None

    def replace(self, api_key: ApiKey) -> None:
        """Take this key, or what this callable returns, from the next request on.

        Raises:
            InvalidArgumentError: No header can hold it.
        """
        last = self._key
        self._take(api_key)
        if callable(api_key):
            self._key = last  # what is under way was sent with it
        self.on_change()

    def last(self) -> str:
        """The key given out last, so that it can be kept out of what is said; empty before."""
        return self._key

    @property
    def fingerprint(self) -> Hashable:
        """Equal for equal credentials, so that their sockets can be shared; shows no key."""
        return self._identity

    def __repr__(self) -> str:
        return "<Credential>"


class Reauthorize:
    """The policy for keys that a callable returns: one that is refused is asked for again.

    All who were refused with the same key wait for one answer; whoever then has another key
    is repeated once. The repeat sends what was asked for, without asking again.
    """

    __slots__ = ("_background", "_credential")

    def __init__(self, credential: Credential, background: Callable[[], Background]) -> None:
        self._credential = credential
        self._background = background

    async def __call__(self, call: Call, step: Callable[[Call], Awaitable[T]], /) -> T:
        """Run ``step``, and once more with another key if it was the key that was refused."""
        turn = _Turn(self._credential)
        outer = _turn.get()
        # Not by a token: a coroutine may be closed in another context than it began in.
        _turn.set(turn)
        try:
            try:
                return await step(call)
            except (AuthenticationError, CircuitOpenError) as error:
                if not await self._again(call, turn, error):
                    raise
            turn.renewed = True
            return await step(call)
        finally:
            _turn.set(outer)

    async def _again(
        self, call: Call, turn: _Turn, error: AuthenticationError | CircuitOpenError
    ) -> bool:
        if not call.replayable:
            return False
        if isinstance(error, AuthenticationError):
            if error.status != _REFUSED or error.retry_stopped is not None:
                return False  # the provider's table may know that no other key would help
            refused = turn.key
        elif self._credential.renewing:
            refused = self._credential.last()  # the circuit was quicker than the new key
        else:
            return False
        try:
            left = call.remaining()
            return await self._credential.renew(refused, self._background(), left)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is the application's
            error.__cause__ = failure
            return False

    def __repr__(self) -> str:
        return "a refused key once asked for again"


class _Turn:
    """One call's use of a credential, from its first attempt to its repeat."""

    __slots__ = ("credential", "key", "renewed")

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self.key = ""
        self.renewed = False


_turn: ContextVar[_Turn | None] = ContextVar("voicekit_turn", default=None)


class _ByIdentity:
    """Stands for a callable without a hash."""

    __slots__ = ("_of",)

    def __init__(self, of: object) -> None:
        self._of = of  # kept, so that nothing else gets its address


def _identity_of(ask: Callable[[], Awaitable[str]]) -> Hashable:
    try:
        hash(ask)
    except TypeError:
        return _ByIdentity(ask)
    return ask


def _nothing() -> None:
    pass


async def _asked(ask: Callable[[], Awaitable[str]]) -> str:
    """A key from the application's own code, which may do anything, or nothing for ever."""
    asking = ask()
    if not hasattr(asking, "__await__"):
        raise InvalidArgumentError(
            f"a callable that returns a {type(asking).__name__} at once",
            argument="api_key",
            allowed="a str, or an async callable that returns one",
        )
    try:
        async with asyncio.timeout(KEY_LIMIT) as limit:
            return _checked(await asking)
    except TimeoutError as error:
        if not limit.expired():
            raise  # the callable's own
        told = f"the api_key callable returned no key within {KEY_LIMIT:g} s"
        raise MissingCredentialError(told) from error


def _checked(key: object) -> str:
    if is_header_text(key) and key:
        return key
    raise InvalidArgumentError(
        f"a {type(key).__name__} that no HTTP header can hold",
        argument="api_key",
        allowed="printable ASCII, not empty",
    )
