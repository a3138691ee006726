"""What a call may be told, and the checks before any I/O.

Source: Twilio fact sheet of 2026-11, §9.1 (OpenAPI twilio_api_v2010 @d50069b).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from voicekit import checks
from voicekit.checks import Check, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.settings import Settings
from voicekit.clients.twilio import addresses
from voicekit.errors import InvalidArgumentError

MOST_TWIML: Final = 4000
_EVENTS: Final = frozenset({"initiated", "ringing", "answered", "completed"})
_RECORDING_EVENTS: Final = frozenset({"in-progress", "completed", "absent"})
_DIGITS: Final = frozenset("0123456789ABCD#*wW")


class PhoneCallDefaults(Extras, total=False):
    """Options of calls. Absent is the vendor's default, in brackets.

    Attributes:
        from_: Who calls: E.164, or ``client:…``.
        url: Where Twilio asks what to do once it is answered.
        method: How it asks there (POST).
        twiml: What to do, at once, up to 4,000 characters; saves asking.
        application_sid: ``AP…``, whose address is asked.
        fallback_url: Asked when ``url`` fails.
        fallback_method: How (POST).
        status_callback: Where Twilio tells how the call fares.
        status_callback_method: How (POST).
        status_callback_event: Of ``"initiated"``, ``"ringing"``, ``"answered"``,
            ``"completed"`` (``["completed"]``).
        timeout: Seconds of ringing, at most 600 (60).
        send_digits: Keys to press once it is answered: at most 32 of ``0-9 A-D # * w W``.
        machine_detection: ``"Enable"`` or ``"DetectMessageEnd"`` (off).
        machine_detection_timeout: Seconds (30).
        machine_detection_speech_threshold: Milliseconds, 1,000 to 6,000 (2,400).
        machine_detection_speech_end_threshold: Milliseconds, 500 to 5,000 (1,200).
        machine_detection_silence_timeout: Milliseconds, 2,000 to 10,000 (5,000).
        async_amd: Detect while the call goes on (False: the call begins with the silence
            that detection takes).
        async_amd_status_callback: Where it is told what was detected.
        async_amd_status_callback_method: How (POST).
        record: Record the call (False).
        recording_channels: ``"mono"`` or ``"dual"`` (mono).
        recording_track: ``"inbound"``, ``"outbound"`` or ``"both"`` (both).
        recording_status_callback: Where it is told of the recording.
        recording_status_callback_method: How (POST).
        recording_status_callback_event: Of ``"in-progress"``, ``"completed"``, ``"absent"``
            (``["completed"]``).
        trim: ``"trim-silence"`` or ``"do-not-trim"`` (trim-silence).
        time_limit: Seconds after which the call is ended.
        caller_id: Shown to the callee.
        byoc: ``BY…``, a trunk.
        call_reason: Shown to the callee.
        call_token: From a call that came in.
        sip_auth_username: Of a SIP address.
        sip_auth_password: Of a SIP address.
        client_notification_url: Of a ``client:`` address.
    """

    from_: str | None
    url: str | None
    method: str | None
    twiml: str | None
    application_sid: str | None
    fallback_url: str | None
    fallback_method: str | None
    status_callback: str | None
    status_callback_method: str | None
    status_callback_event: Sequence[str] | None
    timeout: int | None
    send_digits: str | None
    machine_detection: str | None
    machine_detection_timeout: int | None
    machine_detection_speech_threshold: int | None
    machine_detection_speech_end_threshold: int | None
    machine_detection_silence_timeout: int | None
    async_amd: bool | None
    async_amd_status_callback: str | None
    async_amd_status_callback_method: str | None
    record: bool | None
    recording_channels: str | None
    recording_track: str | None
    recording_status_callback: str | None
    recording_status_callback_method: str | None
    recording_status_callback_event: Sequence[str] | None
    trim: str | None
    time_limit: int | None
    caller_id: str | None
    byoc: str | None
    call_reason: str | None
    call_token: str | None
    sip_auth_username: str | None
    sip_auth_password: str | None
    client_notification_url: str | None


class PhoneCallOptions(PhoneCallDefaults, CallOptions, total=False):
    """The same for one call."""


class PhoneCallUpdate(CallOptions, total=False):
    """What a live call is to do instead; ``url`` and ``twiml`` also end ``<Connect>``.

    Attributes:
        url: Where Twilio asks what to do now.
        method: How it asks there (POST).
        twiml: What to do now.
        status: ``"completed"`` to hang up, ``"canceled"`` only before it is answered.
        fallback_url: Asked when ``url`` fails.
        fallback_method: How (POST).
        status_callback: Where Twilio tells how the call fares.
        status_callback_method: How (POST).
        time_limit: Seconds after which the call is ended.
    """

    url: str | None
    method: str | None
    twiml: str | None
    status: str | None
    fallback_url: str | None
    fallback_method: str | None
    status_callback: str | None
    status_callback_method: str | None
    time_limit: int | None


def _some_of(words: frozenset[str]) -> Check:
    allowed = f"a sequence of {', '.join(sorted(words))}"

    def check(name: str, value: Any) -> list[str]:
        if not checks.is_sequence(value) or not value or not set(value) <= words:
            raise wrong(name, value, allowed)
        return list(value)

    return check


def _digits(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 32 or not set(value) <= _DIGITS:
        raise wrong(name, value, "at most 32 of 0-9 A-D # * w W")
    return value


_METHOD: Final = checks.word("GET", "POST")
_ADDRESS: Final[Mapping[str, Check]] = {
    "url": addresses.url,
    "method": _METHOD,
    "twiml": checks.text_up_to(MOST_TWIML),
    "fallback_url": addresses.url,
    "fallback_method": _METHOD,
    "status_callback": addresses.url,
    "status_callback_method": _METHOD,
    "time_limit": checks.integer(1),
}
_CHECKS: Final[Mapping[str, Check]] = {
    **_ADDRESS,
    "from_": addresses.caller,
    "application_sid": addresses.sid("AP"),
    "status_callback_event": _some_of(_EVENTS),
    "timeout": checks.integer(1, 600),
    "send_digits": _digits,
    "machine_detection": checks.word("Enable", "DetectMessageEnd"),
    "machine_detection_timeout": checks.integer(1),
    "machine_detection_speech_threshold": checks.integer(1000, 6000),
    "machine_detection_speech_end_threshold": checks.integer(500, 5000),
    "machine_detection_silence_timeout": checks.integer(2000, 10_000),
    "async_amd": checks.flag,
    "async_amd_status_callback": addresses.url,
    "async_amd_status_callback_method": _METHOD,
    "record": checks.flag,
    "recording_channels": checks.word("mono", "dual"),
    "recording_track": checks.word("inbound", "outbound", "both"),
    "recording_status_callback": addresses.url,
    "recording_status_callback_method": _METHOD,
    "recording_status_callback_event": _some_of(_RECORDING_EVENTS),
    "trim": checks.word("trim-silence", "do-not-trim"),
    "caller_id": checks.text,
    "byoc": addresses.sid("BY"),
    "call_reason": checks.text,
    "call_token": checks.text,
    "sip_auth_username": checks.text,
    "sip_auth_password": checks.text,
    "client_notification_url": addresses.url,
}


class PhoneCallSettings(Settings):
    """Checked options of calls."""

    purpose: ClassVar[str] = "calls"
    option_checks: ClassVar[Mapping[str, Check]] = _CHECKS

    def _displaced(self, given: Mapping[str, Any]) -> Sequence[str]:
        # One says what to do: the call's wins over the constructor's.
        asked = {"url", "twiml", "application_sid"}
        named = {name for name in asked if given.get(name) is not None}
        return [name for name in asked - named if named and name not in given]


class PhoneCallUpdateSettings(Settings):
    """Checked changes of a live call."""

    purpose = "update_call()"
    option_checks: ClassVar[Mapping[str, Check]] = {
        **_ADDRESS,
        "status": checks.word("completed", "canceled"),
    }


def check_one_of(options: Mapping[str, Any], *names: str, needed: bool = True) -> None:
    """Exactly one of these says what to do; at most one where none is needed.

    Raises:
        InvalidArgumentError: None does, or two do, of which Twilio would ignore one.
    """
    given = [name for name in names if options.get(name) is not None]
    if len(given) > 1 or (needed and not given):
        raise InvalidArgumentError(
            f"{' and '.join(given)} are given" if given else "is missing",
            argument=given[-1] if given else names[0],
            allowed=f"one of {', '.join(names)}",
        )
