"""Forms as Twilio takes them, and the addresses of its REST API. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from voicekit.checks import is_integer, is_sequence
from voicekit.clients.urls import query_of
from voicekit.errors import InvalidArgumentError


@cache
def vendors(name: str) -> str:
    """``status_callback_event`` is ``StatusCallbackEvent``; only ``media`` is called otherwise."""
    return "".join(word.capitalize() for word in name.split("_")) if name != "media" else "MediaUrl"


def form_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options under the vendor's names."""
    return {vendors(name): value for name, value in options.items()}


def encoded(form: Mapping[str, Any]) -> bytes:
    """The body of a POST: lists as repeated names, booleans in small letters.

    Raises:
        InvalidArgumentError: A text in it cannot be encoded.
    """
    try:
        return urlencode([pair for item in form.items() for pair in _pairs(*item)]).encode("ascii")
    except UnicodeEncodeError:
        pass
    # Raised out here, because the error above quotes the text.
    raise InvalidArgumentError(
        "holds half of a surrogate pair", argument="body", allowed="text that UTF-8 can carry"
    )


def with_query(url: str, query: Mapping[str, Any]) -> str:
    """The address with its query."""
    encoded = query_of(query)
    return f"{url}?{encoded}" if encoded else url


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    if value is None:
        return []
    if is_sequence(value):
        return [(name, _plain(each)) for each in value]
    return [(name, _plain(value))]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def whole(value: object, digits: int) -> int | None:
    """A number, which Twilio now writes as one and now as text; of more digits it is none."""
    if is_integer(value):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= digits:
        return int(value)
    return None
