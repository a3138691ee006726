"""From a request of Twilio's to what it says: the signature first, then the fields. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from voicekit.checks import is_sequence, wrong
from voicekit.clients.twilio import signing
from voicekit.clients.twilio.inbound import InboundMessage, MessageStatus, is_inbound, is_status
from voicekit.errors import InvalidArgumentError, SignatureError

__all__ = ["Body", "Headers", "parse_webhook", "verify_webhook"]

Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""A framework's headers, or pairs as ASGI has them; their names have no case."""

Body = bytes | str | Mapping[str, Any] | None
"""The raw body; or a parsed form, empty values included; None or empty for GET and sockets."""

_DELIVERY_HEADER: Final = "i-twilio-idempotency-token"
_MOST_FIELDS: Final = 1000
"""Source: ours; a message has some 30."""


def verify_webhook(
    url: str,
    headers: Headers,
    body: Body,
    *,
    tokens: Sequence[str],
    shared_keys: Mapping[str, str],
) -> dict[str, str]:
    """Check the signature, and give the fields; see ``TwilioClient.verify_webhook``.

    Of a name that came several times, the last value.
    """
    if not isinstance(url, str) or "://" not in url or not _is_url(url):
        raise wrong("url", url, "the whole public address, with https:// or wss://")
    found = _headers(headers)
    signature = found.get(signing.HEADER.lower(), "").strip()
    if not signature:
        raise SignatureError("the X-Twilio-Signature header is missing", reason="missing")
    algorithm, key = signing.algorithm_of(found.get(signing.SETTINGS_HEADER.lower()))
    secrets = _secrets(algorithm, key, tokens, shared_keys)
    params, right = _params(url, found, body)
    if not signing.matches(signature, url, params, secrets, algorithm=algorithm):  # type: ignore[arg-type]
        raise SignatureError(
            "the signature is not of this address and content with this secret; is url the "
            "public address, exactly as Twilio calls it?",
            reason="mismatch",
        )
    if not right:
        raise SignatureError("the body is not the one that was signed", reason="body")
    if not params:
        query = parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        params = _gathered(query)
    return {name: value[-1] if value else "" for name, value in params.items()}


def parse_webhook(
    url: str,
    headers: Headers,
    body: Body,
    *,
    tokens: Sequence[str],
    shared_keys: Mapping[str, str],
) -> InboundMessage | MessageStatus:
    """Check the signature, and read what came; see ``TwilioClient.parse_webhook``."""
    headers = _headers(headers)
    fields = verify_webhook(url, headers, body, tokens=tokens, shared_keys=shared_keys)
    token = headers.get(_DELIVERY_HEADER) or None
    if is_inbound(fields) or is_status(fields):
        kind = MessageStatus if is_status(fields) else InboundMessage
        return kind.read(fields, token)
    raise InvalidArgumentError(
        "is signed, and neither a message nor the status of one",
        argument="body",
        allowed="a messaging webhook; verify_webhook() is for all others",
    )


def _is_url(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def _secrets(
    algorithm: str, key: str | None, tokens: Sequence[str], shared_keys: Mapping[str, str]
) -> Sequence[str]:
    if algorithm == "HMAC_SHA1":
        return tokens
    if algorithm != "HMAC_SHA256":
        raise SignatureError("it is signed with an unknown algorithm", reason="algorithm")
    if key is not None and key in shared_keys:
        return (shared_keys[key],)
    raise SignatureError(
        "it is signed with a shared key that is not in shared_keys", reason="algorithm"
    )


def _params(url: str, headers: Mapping[str, str], body: Body) -> tuple[dict[str, list[str]], bool]:
    """What was signed besides the address, and whether a digest in the address is right."""
    if isinstance(body, Mapping):
        return _of_mapping(body), True
    if not isinstance(body, bytes | bytearray | memoryview | str | None):
        raise wrong("body", body, "bytes, str, a mapping, or None")
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body or b"")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    digest = signing.body_matches(url, raw)
    if digest is not None and kind != "application/x-www-form-urlencoded":
        return {}, digest  # of an empty body as well: it was taken away then
    if not raw:
        return {}, True
    if kind and kind != "application/x-www-form-urlencoded":
        # Signed by its digest or not at all: only the form's fields are in the string.
        raise SignatureError(
            f"the body is no form, and {signing.DIGEST_FIELD} is missing in url", reason="body"
        )
    try:
        pairs = parse_qsl(
            raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        pairs = None
    if pairs is None:
        # Whoever sends this is nobody yet: no fault of the caller's arguments.
        raise SignatureError(f"the body has more than {_MOST_FIELDS} fields", reason="body")
    return _gathered(pairs), True


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _of_mapping(body: Mapping[str, Any]) -> dict[str, list[str]]:
    """A parsed form; the multidicts of aiohttp and werkzeug, Django and Starlette among them."""
    of = getattr(body, "getall", None) or getattr(body, "getlist", None)
    found: dict[str, list[str]] = {}
    for name in body:
        value = of(name) if of is not None else body[name]
        values = list(value) if is_sequence(value) else [value]
        if not isinstance(name, str) or not all(isinstance(each, str) for each in values):
            raise wrong("body", body, "a form: str by str")
        found[name] = values
    return found


def _headers(headers: Headers) -> Mapping[str, str]:
    pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers
    found: dict[str, str] = {}
    try:
        for name, value in pairs:
            found.setdefault(_text(name).lower(), _text(value))
    except (TypeError, ValueError, AttributeError):
        raise InvalidArgumentError(
            "are none", argument="headers", allowed="a mapping, or pairs of names and values"
        ) from None
    return found


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value + ""
