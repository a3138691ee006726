"""Where Twilio is: its hosts by region and edge, and those that may have our credential. No I/O.

Source: Twilio fact sheet of 2026-11, §2.3 ("Global infrastructure", SDK 9.13.0) and §8.1
(recorded redirects).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from voicekit.errors import InvalidArgumentError

_LABEL: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
_HOST: Final = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")

_PLAIN_URL: Final = re.compile(r"[!-\[\]-~]{1,4096}")
_PLAIN_HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")

_API: Final = ("twilio.com",)
_MEDIA: Final = ("twilio.com", "twiliocdn.com")
# One of Amazon's hosts, where Twilio has a bucket of this name. Source: recorded redirects.
_BUCKET: Final = ("s3-external-1.amazonaws.com", "/media.twiliocdn.com/")

Origin = tuple[str, str, int]
"""Scheme, host and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Addresses without a trailing slash; the typing indicator has its own."""

    api: str
    messaging: str


def hosts_of(
    base_url: str | None, messaging_base_url: str | None, region: str | None, edge: str | None
) -> Hosts:
    """The addresses, by what was given, else by the environment.

    Raises:
        InvalidArgumentError: A region without an edge: such hosts are switched off; or an
            address and an edge as well.
    """
    if base_url is not None and (region, edge) != (None, None):
        raise InvalidArgumentError("has its own base_url", argument="edge, region")
    if base_url is None and region is None and edge is None:
        base_url = os.environ.get("TWILIO_BASE_URL") or None
        if base_url is None:
            region = os.environ.get("TWILIO_REGION") or None
            edge = os.environ.get("TWILIO_EDGE") or None
    if base_url is not None:
        return Hosts(api=base_url, messaging=messaging_base_url or base_url.rstrip("/"))
    for name, value in (("region", region), ("edge", edge)):
        if value is not None and not (isinstance(value, str) and _LABEL.fullmatch(value)):
            raise InvalidArgumentError(
                "is none", argument=name, allowed='such as "ie1"' if name == "region" else "a word"
            )
    if region is not None and region != "us1" and edge is None:
        # Source: hosts of a region alone ended on 2026-04-28.
        raise InvalidArgumentError(
            "needs its edge: hosts of a region alone are switched off",
            argument="region",
            allowed='both, such as edge="dublin", region="ie1"',
        )
    middle = ".".join(part for part in (edge, region or (edge and "us1")) if part)
    middle = f".{middle}" if middle else ""
    return Hosts(
        api=f"https://api{middle}.twilio.com",
        messaging=messaging_base_url or f"https://messaging{middle}.twilio.com",
    )


def origin_of(url: str) -> Origin | None:
    """Scheme, host and port of an address that can be fetched; None for any other."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        return None
    if not _PLAIN_URL.fullmatch(url) or not _PLAIN_HOST.fullmatch(host):
        return None  # what parsers may read differently is not for any of them
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


def check_hosts(given: object) -> tuple[str, ...]:
    """The value of ``media_hosts``: ``host``, ``host:port`` or ``*.domain``.

    Raises:
        InvalidArgumentError: It is none.
    """
    allowed = 'a sequence of "host", "host:port" or "*.domain"'
    if isinstance(given, str | bytes):
        raise InvalidArgumentError("is one text", argument="media_hosts", allowed=allowed)
    try:
        hosts: tuple[Any, ...] = tuple(given)  # type: ignore[arg-type]
    except TypeError:
        hosts = (None,)
    if not all(isinstance(each, str) and _HOST.fullmatch(each) for each in hosts):
        raise InvalidArgumentError("holds no host", argument="media_hosts", allowed=allowed)
    return tuple(each.lower() for each in hosts)


def gets_credential(origin: Origin, own: Origin | None) -> bool:
    """Whether the API is there: our own address, or a host of Twilio's by TLS."""
    scheme, host, port = origin
    return origin == own or (scheme == "https" and port == 443 and _within(host, _API))


def may_hold_media(url: str, own: Origin | None, more: tuple[str, ...]) -> bool:
    """Whether media may be fetched from there: from Twilio's hosts, ours, and those allowed."""
    origin = origin_of(url)
    if origin is None:
        return False
    scheme, host, port = origin
    if any(_is(each, host, port) for each in more):
        return scheme == "https" or own is None or own[0] == "http"
    if own is not None and host == own[1] and scheme == own[0] and not _within(host, _API):
        return True  # a stand-in serves its media from another port
    if scheme != "https" or port != 443:
        return False
    return _within(host, _MEDIA) or (
        host == _BUCKET[0] and urlsplit(url).path.startswith(_BUCKET[1])
    )


def _within(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == each or host.endswith(f".{each}") for each in domains)


def _is(allowed: str, host: str, port: int) -> bool:
    name, _, number = allowed.partition(":")
    if number and int(number) != port:
        return False
    if name.startswith("*."):
        return host.endswith(name[1:])
    return host == name
