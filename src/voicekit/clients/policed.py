"""What a client knows of policies: which are around what, and what they have seen."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar
from urllib.parse import urlsplit

from voicekit.checks import wrong
from voicekit.clients.credential import Credential, Reauthorize
from voicekit.clients.health import Health
from voicekit.errors import AuthenticationError, InvalidArgumentError, InvalidRequestError
from voicekit.operation import Limits, Operation
from voicekit.resilience.policies import DEFAULT_POLICIES, NO_POLICIES, Policies
from voicekit.resilience.scopes import Scopes

if TYPE_CHECKING:
    from collections.abc import Hashable

    from voicekit import events
    from voicekit.pipeline import Pipeline
    from voicekit.resilience.breaker import Breaker
    from voicekit.transport.transport import Transport

V = TypeVar("V")


class Given(Protocol):
    """What a request, or the settings of one, may say of its call."""

    @property
    def limits(self) -> Limits | None:
        """In place of the operation's and the client's."""
        ...

    @property
    def policies(self) -> Policies | None:
        """In place of the client's."""
        ...


class Policed:
    """Base of ``Client``: the policies around its operations.

    Attributes:
        operations: Those that this client has, by name.
    """

    provider: ClassVar[str]
    operations: ClassVar[Mapping[str, Operation]]

    base_url: str
    transport: Transport
    _credential: Credential
    _scopes: Scopes
    _observer: events.Observer | None
    _policies: Policies = DEFAULT_POLICIES
    _policies_of: Mapping[str, Policies] = {}

    def _adopt(self, policies: Policies | Mapping[str, Policies] | None) -> None:
        """Have these, on a transport and with a credential that are there by now."""
        transport, credential = self.transport, self._credential
        self._policies, self._policies_of = self._with_policies(policies)
        self._scopes = Scopes(
            transport.shared,
            (self.provider, *_address(self.base_url)),
            credential=lambda: credential.fingerprint,
            renewal=partial(_renewal, credential, transport),
        )
        credential.on_change = partial(_retire, transport, weakref.ref(self._scopes))

    def _policies_for(self, name: str) -> Policies:
        """The client's, around the operation of that name."""
        return self._policies_of.get(name) or self._policies

    def _with_policies(
        self, given: Policies | Mapping[str, Policies] | None
    ) -> tuple[Policies, Mapping[str, Policies]]:
        """Those of all operations, and those of single ones, with ``given`` on top."""
        if given is None:
            return self._policies, self._policies_of
        if isinstance(given, Policies):
            return given, {}
        return self._policies, {**self._policies_of, **self._named("policies", given, Policies)}

    def _named(self, argument: str, given: object, kind: type[V]) -> dict[str, V]:
        """What a caller gave by the names of operations."""
        said = f"{kind.__name__}(…) by operation"
        if not isinstance(given, Mapping):
            raise wrong(argument, given, said)
        for name, value in given.items():
            if name not in self.operations:
                raise InvalidArgumentError(
                    f"{str(name)[:64]!r} is no operation of this client",
                    argument=argument,
                    allowed=", ".join(self.operations),
                )
            if not isinstance(value, kind):
                raise wrong(argument, value, said)
        return dict(given)

    def _operation(self, name: str) -> Operation:
        operation = self.operations.get(name) if isinstance(name, str) else None
        if operation is None:
            raise InvalidArgumentError(
                f"got {name!r}"[:80], argument="operation", allowed=", ".join(self.operations)
            )
        return operation

    # -- for users --

    def pipeline(self, operation: str, /) -> Pipeline:
        """The policies around an operation, outermost first; its repr reads like a sentence.

        Raises:
            InvalidArgumentError: The client has no operation of that name.
        """
        return self._scopes.pipeline(self._operation(operation), self._policies_for(operation))

    def breaker(self, operation: str, /) -> Breaker:
        """The live breaker of an operation: to be forced open, disabled or reset.

        It is that of every client and view with the same provider, address and credential that
        shares the transport. This client's observers hear of what is done to it.

        Raises:
            InvalidArgumentError: The client has no operation of that name, or its policies no
                breaker.
        """
        known = self._operation(operation)
        breaker = self._scopes.breaker(known, self._policies_for(operation))
        if breaker is None:
            raise InvalidArgumentError(
                f"{operation} has policies without a breaker", argument="operation"
            )
        breaker.tell(self._observer, known)
        return breaker

    async def probe(self) -> None:
        """Ask for something free: whether the provider answers again. ``fallback`` asks so.

        The list of models, past all policies, where the client has one; else a new connection.

        Raises:
            VoicekitError: It does not, or says that it is not well.
        """
        read = getattr(self, "models", None)
        if read is None:
            await self.transport.dial(self.base_url)
            return
        # No such list, or not for this key: whoever says so is there.
        with suppress(AuthenticationError, InvalidRequestError):
            await read(policies=NO_POLICIES)

    def health(self) -> Health:
        """What the policies have seen, and the connections, as of now. No I/O."""
        return Health(
            provider=self.provider,
            operations=self._scopes.operations(self._policies_for),
            limit=self._scopes.limit(),
            credential=self._scopes.credential(),
            pool=self.transport.stats(),
        )


def by_name(*operations: Operation) -> Mapping[str, Operation]:
    """A client's operations, as ``Client.operations`` has them."""
    return {operation.name: operation for operation in operations}


def _address(url: str) -> tuple[Hashable, ...]:
    """One for all spellings: scheme and host in any case, the scheme's port named or not."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return parts.scheme, parts.hostname, port, parts.path


def _retire(transport: Transport, scopes: weakref.ref[Scopes]) -> None:
    """Another key is in force."""
    transport.retire()
    if (alive := scopes()) is not None:  # which holds the credential itself
        alive.credential_changed()


def _renewal(credential: Credential, transport: Transport) -> Reauthorize | None:
    if not credential.asks:
        return None
    return Reauthorize(credential, lambda: transport.background)
