"""Calls, a part of ``TwilioClient``: place, follow, redirect, end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Unpack

from voicekit.clients.twilio import addresses
from voicekit.clients.twilio.authorized import Authorized, PlainSettings
from voicekit.clients.twilio.call_options import (
    NAMES,
    PhoneCallOptions,
    PhoneCallSettings,
    PhoneCallUpdate,
    PhoneCallUpdateSettings,
    check_one_of,
)
from voicekit.clients.twilio.errors import PROVIDER
from voicekit.clients.twilio.forms import encoded, form_of
from voicekit.clients.twilio.resources import PhoneCall, read_call
from voicekit.errors import InvalidArgumentError, InvalidRequestError
from voicekit.operation import Limits, Operation, OperationClass

if TYPE_CHECKING:
    from voicekit.clients.base import CallOptions
    from voicekit.clients.settings import Settings

_LIMITS: Final = Limits(connect=2.0, first_output=10.0, total=10.0)

PLACE_CALL: Final = Operation(
    provider=PROVIDER,
    name="place_call",
    kind=OperationClass.EFFECT,
    limits=_LIMITS,
    reconcile="list the account's calls by To and StartTime, or wait for the status callback",
)
FETCH_CALL: Final = Operation(
    provider=PROVIDER,
    name="fetch_call",
    kind=OperationClass.PURE,
    limits=Limits(connect=1.0, first_output=5.0, total=5.0),
)
UPDATE_CALL: Final = Operation(
    provider=PROVIDER, name="update_call", kind=OperationClass.IDEMPOTENT, limits=_LIMITS
)
HANG_UP: Final = Operation(
    provider=PROVIDER, name="hang_up", kind=OperationClass.IDEMPOTENT, limits=_LIMITS
)

_CALL: Final = addresses.sid("CA")
_NOT_FOUND: Final = 404
_NOT_LIVE: Final = "21220"
"""The call is over already. Unverified: from the vendor's error dictionary, not the sheet."""


class Calls(Authorized):
    """Phone calls. Each of these limited to 10 s in all.

    All of them raise ``InvalidArgumentError`` before any I/O, ``AuthenticationError`` for wrong
    credentials, ``InvalidRequestError`` for what Twilio refuses, and the other errors of
    ``voicekit.errors``. Cancelling frees the connection at once.
    """

    async def place_call(self, *, to: str, **options: Unpack[PhoneCallOptions]) -> PhoneCall:
        """Call somebody; returns when Twilio has taken it, before it rings.

        Repeated only where it is proven that Twilio has not taken it: no connection, or 429.
        Never placed twice. Cancelled, it may have been placed.

        Args:
            to: E.164, ``sip:…`` or ``client:…``.
            **options: On top of the constructor's ``calls``: ``from_``, and one of ``twiml``,
                ``url`` and ``application_sid``.

        Raises:
            OutcomeUnknownError: It may or may not have been placed; ``hint`` says how to find
                out.
            InvalidArgumentError: Before any I/O.
            VoicekitError: Nothing was placed.
        """
        settings = self._family(PhoneCallSettings).updated(options)
        given = settings.options
        if given.get("from_") is None:
            raise InvalidArgumentError("is missing", argument="from_", allowed="a caller")
        check_one_of(given, "twiml", "url", "application_sid")
        if given.get("send_digits") and given.get("machine_detection"):
            raise InvalidArgumentError(
                "is ignored with send_digits", argument="machine_detection", allowed="one of both"
            )
        form = form_of({"to": addresses.callee("to", to), **given}, NAMES)
        return await self._change(PLACE_CALL, "/Calls.json", form, settings, status=201)

    async def fetch_call(self, call_sid: str, /, **options: Unpack[CallOptions]) -> PhoneCall:
        """A call as it stands now.

        Raises:
            InvalidRequestError: There is none with that sid.
        """
        settings = self._extras(PlainSettings, options)
        return await self._ask(
            FETCH_CALL,
            "GET",
            f"{self._account}/Calls/{_CALL('call_sid', call_sid)}.json",
            read_call,
            settings,
            extra_headers=settings.extra_headers,
            query=settings.extra_query,
        )

    async def update_call(self, call_sid: str, /, **changes: Unpack[PhoneCallUpdate]) -> PhoneCall:
        """Have a live call do something else. May be repeated, and is.

        Args:
            call_sid: Of the call.
            **changes: What it is to do: one of ``twiml``, ``url`` and ``status``, or other
                changes.

        Raises:
            InvalidRequestError: The call is over, or there is none with that sid.
        """
        settings = self._extras(PhoneCallUpdateSettings, changes)
        check_one_of(settings.options, "twiml", "url", "status", needed=False)
        form = form_of(settings.options, NAMES)
        if not any(value is not None for value in form.values()) and not settings.extra_body:
            raise InvalidArgumentError("are missing", argument="changes", allowed="twiml, url, …")
        path = f"/Calls/{_CALL('call_sid', call_sid)}.json"
        return await self._change(UPDATE_CALL, path, form, settings)

    async def hang_up(self, call_sid: str, /, **options: Unpack[CallOptions]) -> PhoneCall | None:
        """End a call. May be repeated, and is; one that is over already is no error.

        Returns:
            The call; None when there was nothing to end.
        """
        settings = self._extras(PlainSettings, options)
        path = f"/Calls/{_CALL('call_sid', call_sid)}.json"
        try:
            return await self._change(HANG_UP, path, {"Status": "completed"}, settings)
        except InvalidRequestError as error:
            if error.status == _NOT_FOUND or error.code == _NOT_LIVE:
                return None
            raise

    async def _change(
        self,
        operation: Operation,
        path: str,
        form: Mapping[str, Any],
        settings: Settings,
        *,
        status: int = 200,
    ) -> PhoneCall:
        return await self._ask(
            operation,
            "POST",
            self._account + path,
            read_call,
            settings,
            extra_headers=settings.extra_headers,
            query=settings.extra_query,
            body=encoded({**form, **settings.extra_body}),
            status=status,
        )
