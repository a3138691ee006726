"""From a provider's "no" to our error: the part that every provider's table shares."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    UnavailableError,
)
from voicekit.wire.retry_after import parse_retry_after

# A code goes into messages, so it must look like one: no prose, no echo of a text.
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,63}")
_ID = re.compile(r"[A-Za-z0-9_.:/+=-]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a provider names its requests and words its refusals.

    Attributes:
        provider: Short name.
        request_id_headers: Response headers that carry its id of a request.
        read_error: Status, headers and body of a refusal to our error.
        read_capacity: Headers of an answer to the requests under way and allowed at a time,
            where the provider says that.
    """

    provider: str
    request_id_headers: tuple[str, ...]
    read_error: Callable[[int, Mapping[str, str], bytes], ProviderError]
    read_capacity: Callable[[Mapping[str, str]], tuple[int, int] | None] | None = None


def class_of(status: int) -> type[ProviderError]:
    """Our error for an HTTP status that a provider's table says nothing special about."""
    match status:
        case 401 | 403:
            return AuthenticationError
        case 402:
            return QuotaError
        case 429:
            return RateLimitError
        case 408 | 425:
            return UnavailableError
        case _:
            return UnavailableError if status >= 500 else InvalidRequestError


def build(
    kind: type[ProviderError],
    status: int,
    headers: Mapping[str, str],
    *,
    code: object = None,
    param: object = None,
    detail: object = None,
    request_id: object = None,
    **facts: Any,
) -> ProviderError:
    """One error with what the refusal says. The vendor's words go into ``detail`` only."""
    code = code if isinstance(code, str) and _TOKEN.fullmatch(code) else None
    param = param if isinstance(param, str) and _TOKEN.fullmatch(param) else None
    message = f"status {status}" if status != 200 else "an error inside the answer, status 200"
    if code:
        message += f" {code}"
    if param:
        message += f" (param {param})"
    return kind(
        message,
        status=status,
        code=code,
        param=param,
        detail=detail if isinstance(detail, str) else None,
        request_id=request_id
        if isinstance(request_id, str) and _ID.fullmatch(request_id)
        else None,
        retry_after=parse_retry_after(headers, now_wall=time.time()),
        **facts,
    )


def body_of(body: bytes) -> Any:
    """The parsed body, or None where it is not JSON (a proxy's HTML, half a document)."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
