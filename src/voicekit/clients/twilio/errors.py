"""Twilio's refusals as our errors: of a request at once, and of a message after it was accepted.

Source: Twilio fact sheet of 2026-11, §2.6 and §3.3 (error dictionary, recorded bodies, SDK
9.13.0). HTTP statuses of rare codes could not be verified: a known code decides, whatever its
status; an unknown one is classed by its status.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.refusals import Dialect, body_of, build, class_of
from voicekit.clients.twilio.forms import whole
from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    Outcome,
    ProviderError,
    RateLimitError,
    UnavailableError,
    VoicekitError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.clients.twilio.resources import SentMessage

PROVIDER: Final = "twilio"


class DeliveryError(ProviderError):
    """A message that was accepted has not been delivered, and will not be."""


class TemplateRequiredError(DeliveryError):
    """The 24 hours since the recipient's last message are over: send a template.

    Outside of them WhatsApp takes only what was approved before: ``content_sid``.
    """


class UnsubscribedError(InvalidRequestError):
    """The recipient has said STOP: send nothing until they take it back."""


class PartlySentError(VoicekitError):
    """Of a long text some parts were accepted, and the next one was not; see its cause.

    Attributes:
        sent: What was accepted, in order.
        failed: Of the part that was not, counted from 0.
        maybe_sent: Whether that part may have been accepted all the same; the cause's ``hint``
            says how to find out.
        unsent: The texts from that part on. Never shown.
    """

    outcome: Outcome = "partial"
    sent: tuple[SentMessage, ...] = ()
    failed: int = 0
    maybe_sent: bool = False
    unsent: tuple[str, ...] = ()


_KINDS: Final[Mapping[int, type[ProviderError]]] = {
    20003: AuthenticationError,
    20429: RateLimitError,
    21610: UnsubscribedError,
    63012: UnavailableError,
    63016: TemplateRequiredError,
    63017: RateLimitError,
    63018: RateLimitError,
}
"""Those that are no InvalidRequestError at once, and no DeliveryError afterwards."""

_AT_ONCE: Final[Mapping[int, str]] = {
    20001: "a parameter is wrong",
    20003: "wrong credentials, or a key that may not do this",
    20009: "the message is still under way: try again after a minute",
    20404: "there is no such resource",
    20429: "too many requests at a time",
    21211: "'To' is no valid number",
    21212: "'From' is no valid sender",
    21408: "the account may not send to that region",
    21603: "'From' is missing",
    21606: "'From' is no sender of this account that can do this",
    21608: "a trial account sends only to verified numbers",
    21610: "the recipient has unsubscribed",
    21612: "'To' cannot be reached from this 'From'",
    21614: "'To' is no mobile number",
    21617: "the text is longer than 1600 characters",
    21658: "a parameter is longer than allowed",
    21910: "'From' and 'To' are not of one channel",
    63007: "there is no WhatsApp sender with that 'From'",
}

_AFTERWARDS: Final[Mapping[int, str]] = {
    30003: "the handset cannot be reached",
    30007: "a carrier filtered the message",
    30034: "the sender is not registered for A2P 10DLC",
    30036: "the validity period is over",
    63003: "the destination is not valid",
    63005: "the channel refused the content",
    63012: "the channel failed: try once more, later",
    63013: "the message is against WhatsApp's policy",
    63016: "the 24-hour window is over: send a template with content_sid",
    63017: "too many messages a second over all senders",
    63018: "the channel's rate limit: wait 1 to 60 s",
    63019: "the media could not be fetched from its address",
    63020: "the channel does not take it",
    63021: "the content is not valid, or a template too long",
    63022: "the channel does not take it",
    63024: "the recipient is not valid",
    63025: "the channel does not take it",
    63032: "the channel does not take it",
    63036: "the recipient cannot be reached on this channel",
}


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """Our error for a refusal, whatever its body is.

    ``{"code", "message", "more_info", "status"}`` of the older products (``detail`` with 401),
    RFC 9457 of the newer ones, a proxy's page.
    """
    value = body_of(body)
    said: Mapping[str, Any] = value if isinstance(value, dict) else {}
    code = _number(said.get("code"))
    kind = _kind_of(code) or class_of(status)
    if status >= 500 or status in {408, 425}:
        kind = UnavailableError  # it may have begun, whatever it calls that
    if status == 429:
        kind = RateLimitError
    detail = [said.get("message") or said.get("title"), said.get("detail")]
    error = build(
        kind,
        status,
        headers,
        param=_param(said),
        detail="; ".join(each for each in detail if isinstance(each, str)) or None,
    )
    return _coded(error, code)


def delivery_error(code: object) -> ProviderError | None:
    """Our error for the code of a message that failed after it was accepted.

    It was not delivered, so ``outcome`` is ``"not_applied"``. ``retryable`` says whether the
    same message may arrive when it is sent again later; nobody does that by itself.

    Args:
        code: As a status callback or a message's ``error_code`` gives it; a code that is
            not known is a ``DeliveryError``.

    Returns:
        None where there is no code.
    """
    number = _number(code)
    if not number:
        return None
    error = (_kind_of(number) or DeliveryError)("not delivered")
    error.provider, error.outcome = PROVIDER, "not_applied"
    return _coded(error, number)


def _kind_of(code: int | None) -> type[ProviderError] | None:
    if code is None:
        return None
    otherwise = InvalidRequestError if code in _AT_ONCE else None
    return _KINDS.get(code, DeliveryError if code in _AFTERWARDS else otherwise)


def _coded(error: ProviderError, code: int | None) -> ProviderError:
    if code is not None:
        error.code = str(code)
        words = _AT_ONCE.get(code) or _AFTERWARDS.get(code)
        error.args = (f"{error.args[0]} {code}" + (f": {words}" if words else ""),)
    return error


def _number(code: object) -> int | None:
    """A code as callbacks (text) and bodies (numbers) have it."""
    number = whole(code, 6)
    return number if number is not None and 0 <= number < 1_000_000 else None


def _param(said: Mapping[str, Any]) -> object:
    """The field that an RFC 9457 body complains about."""
    errors = said.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return None
    pointer = first.get("pointer") or first.get("field") or first.get("param")
    return pointer.lstrip("#/") if isinstance(pointer, str) else None


DIALECT: Final = Dialect(
    provider=PROVIDER,
    request_id_headers=("Twilio-Request-Id",),
    read_error=read_error,
)


def _not_again(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    error = read_error(status, headers, body)
    error.retryable = False
    return error


ONCE_DIALECT: Final = replace(DIALECT, read_error=_not_again)
"""For what is not worth a repeat once it was refused."""
