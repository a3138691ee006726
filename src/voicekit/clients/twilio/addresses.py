"""Whom a message or a call may come from and go to: the checks before any I/O.

Source: Twilio fact sheet of 2026-11, §3 (``To``, ``From``) and §9.1.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from voicekit.checks import Check, wrong
from voicekit.errors import InvalidArgumentError

_E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_SHORT_CODE: Final = re.compile(r"[0-9]{3,8}")
# Source: GSM alphabet of sender ids, at most 11 characters of which one is a letter.
_ALPHANUMERIC: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &_+-]{1,11}")
_OTHER: Final = re.compile(r"[a-z][a-z0-9_]{0,31}:[!-~]{1,256}")
_CLIENT: Final = re.compile(r"(client|sips?|sim):[!-~]{1,1024}")


def recipient(name: str, value: Any) -> str:
    """An address that a message may go to."""
    if isinstance(value, str):
        channel, colon, number = value.rpartition(":")
        if not colon or channel == "whatsapp":
            fine = _E164.fullmatch(number) is not None
        else:
            fine = _OTHER.fullmatch(value) is not None  # channels that Twilio adds
        if fine:
            return value
    raise wrong(name, value, '"+15551234567" (E.164), or with its channel: "whatsapp:+1555…"')


def sender(name: str, value: Any) -> str:
    """An address that a message may come from."""
    if isinstance(value, str):
        if ":" in value:
            return recipient(name, value)
        if any(each.fullmatch(value) for each in (_E164, _SHORT_CODE, _ALPHANUMERIC)):
            return value
    raise wrong(
        name, value, '"+15551234567", a short code, a name of at most 11 characters, "whatsapp:+1…"'
    )


def _of_calls(allowed: str) -> Check:
    def check(name: str, value: Any) -> str:
        if isinstance(value, str) and (_E164.fullmatch(value) or _CLIENT.fullmatch(value)):
            return value
        raise wrong(name, value, f'"+15551234567" (E.164), {allowed}')

    return check


callee: Final = _of_calls('"sip:…" or "client:…"')
"""An address that a call may go to."""
caller: Final = _of_calls('or "client:…"')
"""An address that a call may come from."""


def sid(*prefixes: str) -> Check:
    """Twilio's name of something, which begins with one of these; goes into a path."""
    allowed = " or ".join(f'"{prefix}…"' for prefix in prefixes)

    def check(name: str, value: Any) -> str:
        fine = isinstance(value, str) and value.startswith(prefixes) and len(value) <= 64
        if not fine or not (value.isascii() and value.isalnum()):
            raise wrong(name, value, allowed)
        return str(value)

    return check


def url(name: str, value: Any) -> str:
    """An address that Twilio can ask; it refuses an underscore in a host."""
    try:
        fine = isinstance(value, str) and value.isprintable()
        parts = urlsplit(value) if fine else None
        host = parts.hostname if parts is not None else None
    except ValueError:
        parts = host = None
    if parts is None or parts.scheme not in {"http", "https"} or not host or " " in value:
        raise wrong(name, value, "a URL, https://host/path")
    if "_" in host:
        raise InvalidArgumentError("has an underscore in its host", argument=name)
    return str(value)
