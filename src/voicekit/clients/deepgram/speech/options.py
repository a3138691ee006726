"""Every option of speech, what it may be, and the check that says so before any I/O.

Source: Deepgram fact sheet of 2026-11, §5 and §6 (OpenAPI and AsyncAPI of July 2026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from voicekit import checks
from voicekit.checks import Check, is_number, is_sequence, wrong
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.deepgram.speech.formats import exact
from voicekit.clients.settings import split_above
from voicekit.speech import AudioFormat

DEFAULT_MODEL: Final = "aura-2-thalia-en"
"""The voice of the vendor's own examples for Aura-2; its default, aura-asteria-en, is a voice
of the first Aura. As of 2026-11-20. Source: sheet §5."""

MAX_CHARACTERS: Final = 2000
"""Of one text, or of one message on a socket. Source: sheet §5; the vendor's error page says
2,400, its page on features 2,000."""

MAX_BUFFERED_S: Final = 120.0

_MAX_TAG: Final = 128
_SHORTEST_PART: Final = 50
"""Characters; a voice needs a sentence to sound like one. Source: ours."""


class SpeechDefaults(Extras, total=False):
    """Options of speech, for the constructor and for each call alike.

    Absent, None and brackets mean what ``Extras`` says. Those marked † need the
    whole text and are no option of a session; those marked ‡ are for sessions alone, which
    is text that arrives in pieces.

    Attributes:
        model: The voice (``aura-2-thalia-en``, ours; always sent, the vendor's default is
            an old one).
        format: An ``AudioFormat`` or its short name (``"pcm_24000"``, ours; always sent).
            Sockets make raw PCM, µ-law and A-law only.
        speed: Factor on the pace; not every language has it (1).
        mip_opt_out: Keeps the text out of the vendor's model improvement (False).
        tag: Labels for billing, at most 128 characters each.
        callback: † URL that gets the audio *instead of* the caller: ``submit_speech`` only.
        callback_method: † ``"POST"`` or ``"PUT"`` (POST).
        split: † True speaks a text of more than 2,000 characters in as few parts as its
            sentences allow, one after the other, as one stream; a number is the most
            characters of a part (False: such a text is refused).
        resume: † Whether a part of ``split`` that breaks off is asked for again, once and
            charged anew, if you have no byte of it (False). Needs ``split``.
        max_buffered_s: ‡ Seconds of audio that may wait for a slow consumer before the
            session fails (120).
    """

    model: str | None
    format: AudioFormat | str | None
    speed: float | None
    mip_opt_out: bool | None
    tag: str | Sequence[str] | None
    callback: str | None
    callback_method: str | None
    split: bool | int | None
    resume: bool | None
    max_buffered_s: float | None


class SpeechOptions(SpeechDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


def _format(name: str, value: Any) -> AudioFormat:  # noqa: ARG001 - the seam of a check
    return exact(AudioFormat.parse(value))


def _above_zero(name: str, value: Any) -> float:
    if not is_number(value) or not 0 < value < 1e9:
        raise wrong(name, value, "a number > 0")
    return value


def _tag(name: str, value: Any) -> Any:
    allowed = f"a str of at most {_MAX_TAG} characters, or a sequence of them"
    tags = (value,) if isinstance(value, str) else value
    if not is_sequence(tags) or not tags:
        raise wrong(name, value, allowed)
    for each in tags:
        if not isinstance(each, str) or not 0 < len(each) <= _MAX_TAG:
            raise wrong(name, each, allowed)
    return value if isinstance(value, str) else tuple(tags)


CHECKS: Final[Mapping[str, Check]] = {
    "model": checks.text,
    "format": _format,
    "speed": _above_zero,
    "mip_opt_out": checks.flag,
    "tag": _tag,
    "callback": checks.text,
    "callback_method": checks.word("POST", "PUT"),
    "split": split_above(_SHORTEST_PART),
    "resume": checks.flag,
    "max_buffered_s": _above_zero,
}
"""The check of each option; their order is the order in the URL."""

WHOLE_TEXT_ONLY: Final = frozenset({"callback", "callback_method", "split", "resume"})
SESSION_ONLY: Final = frozenset({"max_buffered_s"})
