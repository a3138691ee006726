"""What callers put into a URL: its query, and names in its path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from voicekit.checks import UTF8, encodable, is_sequence, wrong


def query_of(parameters: Mapping[str, Any]) -> str:
    """The query of a URL: sequences as repeated names, booleans in small letters, None left out.

    Raises:
        InvalidArgumentError: UTF-8 cannot carry one of them; names it.
    """
    return "&".join(pair for each in parameters.items() if (pair := _pairs(*each)))


def segment_of(name: str, value: str) -> str:
    """A value as one segment of a path.

    Raises:
        InvalidArgumentError: UTF-8 cannot carry it.
    """
    return quote(encodable(name, value), safe="")


def socket_url(base_url: str, target: str) -> str:
    """The address of a socket: ``http`` becomes ``ws``, ``https`` ``wss``."""
    return f"ws{base_url.removeprefix('http')}{target}"


def _pairs(name: str, value: Any) -> str:
    if value is None:
        return ""
    plain = [_plain(each) for each in value] if is_sequence(value) else _plain(value)
    try:
        return urlencode({name: plain}, doseq=True)
    except UnicodeEncodeError:
        # Without the cause: it quotes the content.
        shown = str(name).encode("ascii", "replace").decode("ascii")
        raise wrong(shown, value, UTF8) from None


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
