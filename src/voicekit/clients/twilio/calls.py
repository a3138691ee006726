"""Calls, a part of ``TwilioClient``: place, follow, redirect, end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Unpack

from voicekit.clients.twilio import addresses
from voicekit.clients.twilio.authorized import SENDING, Authorized, PlainSettings, changing, reading
from voicekit.clients.twilio.call_options import (
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
from voicekit.operation import Operation, OperationClass

if TYPE_CHECKING:
    from voicekit.clients.base import CallOptions
    from voicekit.clients.settings import Settings

PLACE_CALL: Final = Operation(
    provider=PROVIDER,
    name="place_call",
    kind=OperationClass.EFFECT,
    limits=SENDING,
    reconcile="list the account's calls by To and StartTime, or wait for the status callback",
)
FETCH_CALL: Final = reading("fetch_call")
UPDATE_CALL: Final = changing("update_call")
HANG_UP: Final = changing("hang_up")

_CALL: Final = addresses.sid("CA")
_NOT_FOUND: Final = 404
_NOT_LIVE: Final = "21220"
"""The call is over already. Unverified: from the vendor's error dictionary, not the sheet."""


class Calls(Authorized):
    """Phone calls. Each of these limited to 10 s in all."""

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
        form = form_of({"to": addresses.callee("to", to), **given})
        return await self._ask(
            PLACE_CALL,
            "POST",
            f"{self._account}/Calls.json",
            read_call,
            settings,
            body=encoded({**form, **settings.extra_body}),
            status=201,
        )

    async def fetch_call(self, call_sid: str, /, **options: Unpack[CallOptions]) -> PhoneCall:
        """A call as it stands now.

        Raises:
            InvalidRequestError: There is none with that sid.
        """
        return await self._of_call(FETCH_CALL, call_sid, self._extras(PlainSettings, options))

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
        form = form_of(settings.options)
        if not any(value is not None for value in form.values()) and not settings.extra_body:
            raise InvalidArgumentError("are missing", argument="changes", allowed="twiml, url, …")
        return await self._of_call(UPDATE_CALL, call_sid, settings, form)

    async def hang_up(self, call_sid: str, /, **options: Unpack[CallOptions]) -> PhoneCall | None:
        """End a call. May be repeated, and is; one that is over already is no error.

        Returns:
            The call; None when there was nothing to end.
        """
        settings = self._extras(PlainSettings, options)
        try:
            return await self._of_call(HANG_UP, call_sid, settings, {"Status": "completed"})
        except InvalidRequestError as error:
            if error.status == _NOT_FOUND or error.code == _NOT_LIVE:
                return None
            raise

    async def _of_call(
        self,
        operation: Operation,
        call_sid: str,
        settings: Settings,
        form: Mapping[str, Any] | None = None,
    ) -> PhoneCall:
        return await self._ask(
            operation,
            "GET" if form is None else "POST",
            f"{self._account}/Calls/{_CALL('call_sid', call_sid)}.json",
            read_call,
            settings,
            body=None if form is None else encoded({**form, **settings.extra_body}),
        )
