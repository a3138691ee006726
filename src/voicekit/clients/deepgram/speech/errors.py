"""Refusals and losses of speech as our errors, beside those that all of Deepgram shares.

Source: Deepgram fact sheet of 2026-11, §6 (close codes) and §8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from voicekit.clients.deepgram.errors import label_of, read_error, read_loss
from voicekit.errors import ProviderError, RateLimitError, VoicekitError

_TOO_MANY_CHARACTERS = "DATA-0001"


def error_in_body(value: Any, status: int, headers: Mapping[str, str]) -> VoicekitError:
    """Our error for JSON that came where audio was due."""
    return read_error(status, headers, json.dumps(value).encode())


def error_of_loss(error: VoicekitError) -> VoicekitError:
    """Our error for the end of a socket before the end of an utterance."""
    if isinstance(error, ProviderError) and label_of(error.detail or "") == _TOO_MANY_CHARACTERS:
        # It comes with 1008, which says "our fault" of everything else.
        said = f"closed with code {error.status} {_TOO_MANY_CHARACTERS}"
        return RateLimitError(
            said, status=error.status, code=_TOO_MANY_CHARACTERS, detail=error.detail
        )
    return read_loss(error)


def is_of_flushes(fields: Mapping[str, Any]) -> bool:
    """Whether a ``Warning`` says that a Flush was ignored.

    Its code is not documented; old servers spell the fields ``warn_code`` and ``warn_msg``.
    """
    said = [fields.get(name) for name in ("code", "description", "warn_code", "warn_msg")]
    return any(isinstance(text, str) and "flush" in text.lower() for text in said)
