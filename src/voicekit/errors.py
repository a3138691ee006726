"""Every exception that voicekit raises, in one tree.

::

    VoicekitError                    provider, operation, request_id, retryable, retry_after, …
      ConfigurationError             before any I/O
        MissingCredentialError
        InvalidArgumentError         also a ValueError
        WrongLoopError               a client belongs to the event loop that first used it
      ClosedError                    used after aclose()
      TransportError
        ConnectError                 DNS, TCP, TLS or proxy: nothing was sent
        ConnectionLostError          the connection ended under us
        LocalProtocolError           our fault
        RemoteProtocolError          the server's fault
      DeadlineError                  also a TimeoutError
        PoolTimeout  ConnectTimeout  FirstOutputTimeout  GapTimeout  TotalTimeout
      ProviderError                  status, code, param, detail
        AuthenticationError  InvalidRequestError  RateLimitError  QuotaError  UnavailableError
      RejectedError                  we refused before asking
        CircuitOpenError  OverloadedError
      OutcomeUnknownError            an effect may have happened; see hint
      SignatureError                 what came in was not signed by who it claims to be from
      StreamInterruptedError         after the commit point; says what was delivered

Providers decide ``retryable`` once, in their error table; policies only read it.
No message holds a secret or speech content: what a vendor wrote, which may
quote either, is in ``ProviderError.detail`` and never in ``str()`` or ``repr()``.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo, Timings

Outcome = Literal["not_applied", "unknown", "applied", "partial"]
"""What is known of a call's effect at the provider."""


_REDACTED = "[redacted]"
SHORTEST_SECRET = 8
"""Characters. Keys are longer; replacing less, such as a local server's "key", garbles words."""


class VoicekitError(Exception):
    """Base of everything that voicekit raises.

    Attributes:
        provider: Short provider name, such as ``"elevenlabs"``.
        operation: Operation name, such as ``"stream_speech"``.
        request_id: The provider's own id of the request, for its support.
        retryable: Whether the same call may succeed later without a change.
        retry_after: Seconds that the provider asked us to wait, if it did.
        attempts: How many times the request was put on the wire.
        outcome: Whether the provider may have acted.
        timings: Where the time went, as far as it is known.
        connection: Which connection carried the last attempt.
        retry_stopped: Why no further attempt was made, when one was possible.
    """

    outcome: Outcome = "not_applied"
    retryable: bool = False
    provider: str | None = None
    operation: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    attempts: int = 0
    timings: Timings | None = None
    connection: ConnectionInfo | None = None
    retry_stopped: str | None = None

    def __init__(self, message: str = "", /, **facts: Any) -> None:
        super().__init__(message)
        for name, value in facts.items():
            if not hasattr(type(self), name):
                msg = f"{type(self).__name__} has no attribute {name!r}"
                raise TypeError(msg)
            setattr(self, name, value)

    @property
    def message(self) -> str:
        """The text alone, without the provider and operation in front."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        where = " ".join(part for part in (self.provider, self.operation) if part)
        return f"{where}: {self.message}" if where else self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def redact(self, secret: str) -> None:
        """Take ``secret`` out of what this error and its causes say.

        Servers quote what they refuse. Also where it was cut off at the end of a text. What is
        too short to be a secret stays.
        """
        if len(secret) < SHORTEST_SECRET:
            return
        error: BaseException | None = self
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            if isinstance(error, VoicekitError):
                error.args = tuple(_without(secret, value) for value in error.args)
                for name, value in vars(error).items():
                    setattr(error, name, _without(secret, value))
            error = error.__cause__ or error.__context__

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _without(secret: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = re.sub(re.escape(secret), _REDACTED, value, flags=re.IGNORECASE)
    low, start = value.lower(), secret.lower()
    for length in range(min(len(start) - 1, len(low)), SHORTEST_SECRET - 1, -1):
        if low.endswith(start[:length]):
            return value[:-length] + _REDACTED
    return value


def _rebuild(
    kind: type[VoicekitError], args: tuple[Any, ...], state: dict[str, Any]
) -> VoicekitError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(VoicekitError):
    """The call could not be made as asked; nothing was sent."""


class MissingCredentialError(ConfigurationError):
    """No API key was given, nor by the environment, nor in time by the callable that has it."""


class InvalidArgumentError(ConfigurationError, ValueError):
    """One argument is wrong. Names it, what was given and what is allowed."""

    argument: str = ""

    def __init__(
        self, message: str = "", /, *, argument: str = "", allowed: str = "", **facts: Any
    ) -> None:
        parts = [f"{argument}: {message}" if argument else message]
        if allowed:
            parts.append(f"allowed: {allowed}")
        super().__init__("; ".join(parts), **facts)
        self.argument = argument


class WrongLoopError(ConfigurationError):
    """A client is used from another event loop than the one that opened it."""


class ClosedError(VoicekitError):
    """Used after ``aclose()``."""


class TransportError(VoicekitError):
    """The network or the peer's protocol failed, not the provider's service."""

    retryable = True


class ConnectError(TransportError):
    """No connection came about (DNS, TCP, TLS, proxy); nothing was sent."""


class ConnectionLostError(TransportError):
    """The connection ended before the protocol's own end."""

    outcome: Outcome = "unknown"


class LocalProtocolError(TransportError):
    """We broke the protocol or a bound of our own."""

    retryable = False


class RemoteProtocolError(TransportError):
    """The server sent what its protocol does not allow."""

    outcome: Outcome = "unknown"


class DeadlineError(VoicekitError, TimeoutError):
    """A limit passed. ``limit`` is its length in seconds."""

    retryable = True
    outcome: Outcome = "unknown"
    limit: float | None = None


class PoolTimeout(DeadlineError):  # noqa: N818 - timeouts end in Timeout
    """No connection became free within ``PoolConfig.max_wait``; nothing was sent."""

    outcome: Outcome = "not_applied"


class ConnectTimeout(DeadlineError):  # noqa: N818
    """DNS, TCP and TLS together took longer than the connect limit; nothing was sent."""

    outcome: Outcome = "not_applied"


class FirstOutputTimeout(DeadlineError):  # noqa: N818
    """The provider took the request and gave nothing useful in time."""


class GapTimeout(DeadlineError):  # noqa: N818
    """The useful output stopped for longer than the gap limit."""


class TotalTimeout(DeadlineError):  # noqa: N818
    """The whole operation, or the ambient ``deadline()``, ran out of time."""


class ProviderError(VoicekitError):
    """The provider answered, and the answer is an error.

    Attributes:
        status: HTTP status, or WebSocket close code.
        code: The vendor's machine-readable code, if it is a plain token.
        param: The request field the vendor complains about, if it names one.
        detail: The vendor's own words. May quote your text: never logged by us.
    """

    status: int | None = None
    code: str | None = None
    param: str | None = None
    detail: str | None = None


class AuthenticationError(ProviderError):
    """The credential is wrong, lacks a permission, or may not do this."""


class InvalidRequestError(ProviderError):
    """The provider refuses the request as it is; repeating it cannot help."""


class RateLimitError(ProviderError):
    """Too many requests at once or per minute; the request was not processed."""

    retryable = True


class QuotaError(ProviderError):
    """The account has no credit left; waiting does not help."""


class UnavailableError(ProviderError):
    """The provider failed or is overloaded."""

    retryable = True
    outcome: Outcome = "unknown"


class RejectedError(VoicekitError):
    """We refused the call before anything was sent."""

    retryable = True


class CircuitOpenError(RejectedError):
    """The circuit breaker is open."""


class OverloadedError(RejectedError):
    """Our own limiter's queue is full."""


class OutcomeUnknownError(VoicekitError):
    """An effect may or may not have happened; ``hint`` says how to find out."""

    outcome: Outcome = "unknown"
    hint: str = ""


class StreamInterruptedError(VoicekitError):
    """A stream broke after its commit point; says exactly what was delivered.

    Attributes:
        delivered_bytes: Audio bytes handed to the caller.
        delivered_s: The same in seconds of audio, where the format tells.
        delivered_characters: Characters of text handed to the caller.
        segment: Of speech, the first segment, counted from 0, that is not proven to have been
            delivered whole: a part of ``split``; with ``resume`` and ``timestamps``, a sentence.
            A text that was asked for as one is one segment.
        resumable: Of speech: no byte of that segment was delivered, so that to speak the text
            from there on would be the rest, without a gap or a repeat.
    """

    outcome: Outcome = "partial"
    delivered_bytes: int = 0
    delivered_s: float | None = None
    delivered_characters: int = 0
    segment: int | None = None
    resumable: bool = False


class SignatureError(VoicekitError):
    """A request that came in is not signed as it should be: answer 403, and use nothing of it.

    Attributes:
        reason: ``"missing"``: there is no signature; ``"mismatch"``: it is of another address,
            other content or another secret; ``"body"``: the content is not the one that was
            signed; ``"algorithm"``: it was made in a way or with a key that is not known here.
            Never what would have been right.
    """

    reason: Literal["missing", "mismatch", "body", "algorithm"] = "mismatch"


E = TypeVar("E", bound=Exception)


def for_one(error: E) -> E:
    """What several wait for has failed: the error of one, with a traceback and evidence of its own.

    What is none of ours stays as it is.
    """
    if not isinstance(error, VoicekitError):
        return error
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin
