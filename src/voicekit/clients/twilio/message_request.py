"""A message, checked: the forms that go out, one for each part. No I/O.

Source: Twilio fact sheet of 2026-11, §3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voicekit.clients.twilio.forms import encoded, form_of
from voicekit.clients.twilio.inbound import channel_of
from voicekit.clients.twilio.message_options import OneMessageSettings
from voicekit.errors import InvalidArgumentError
from voicekit.speech.sentences import passages

MOST_CHARACTERS: Final = 1600
"""Of a message on any channel. Source: sheet §3, code 21617."""


def parts_of(settings: OneMessageSettings) -> list[tuple[bytes, str]]:
    """Check what belongs together: the form that goes out for each part, and its text.

    Raises:
        InvalidArgumentError: Something does not.
    """
    options = {name: value for name, value in settings.options.items() if value is not None}
    split = options.pop("split", True)
    text = options.pop("body", None)
    _check_sender(options)
    _check_content(options, text)
    texts: tuple[str, ...] = (text or "",)
    if text is not None and split and _units(text) > MOST_CHARACTERS:
        texts = _cut(text)
    elif len(texts[0]) > MOST_CHARACTERS:
        raise InvalidArgumentError(
            f"a text of {len(texts[0])} characters",
            argument="body",
            allowed=f"at most {MOST_CHARACTERS}, or split=True",
        )
    form = form_of(options)
    if "send_at" in options:
        form["ScheduleType"] = "fixed"
    parts = []
    for index, part in enumerate(texts):
        fields = {**form, "Body": part} if text is not None else dict(form)
        if index:
            fields.pop("MediaUrl", None)  # goes with the first part
        parts.append((encoded({**fields, **settings.extra_body}), part))
    return parts


def _cut(text: str) -> tuple[str, ...]:
    """A long text as messages, in order, cut at sentences, else at words.

    Nothing is lost but the white space around a cut.
    """
    parts: list[str] = []
    for passage in passages(text, most=MOST_CHARACTERS):
        fits = _units(passage) <= MOST_CHARACTERS
        parts += [passage] if fits else passages(passage, most=MOST_CHARACTERS // 2)
    return tuple(part for part in map(str.strip, parts) if part)


def _units(text: str) -> int:
    """Characters at most: whether Twilio counts signs beyond 16 bits twice is not verified."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _check_sender(options: Mapping[str, Any]) -> None:
    to, from_ = options["to"], options.get("from_")
    if from_ is None and "messaging_service_sid" not in options:
        raise InvalidArgumentError(
            "is missing", argument="from_", allowed="a sender, or messaging_service_sid"
        )
    if from_ is not None and channel_of(from_) != channel_of(to):
        # The vendor's 21910, without the round trip.
        raise InvalidArgumentError(
            f"is of {channel_of(from_)}, and to is of {channel_of(to)}",
            argument="from_",
            allowed='both on one channel: "whatsapp:+…" to "whatsapp:+…"',
        )
    for name in ("send_at", "shorten_urls"):
        if options.get(name) and "messaging_service_sid" not in options:
            raise InvalidArgumentError("needs messaging_service_sid", argument=name)


def _check_content(options: Mapping[str, Any], text: str | None) -> None:
    media = options.get("media")
    if "content_sid" in options:
        if text is not None or media is not None:
            raise InvalidArgumentError(
                "takes the place of body and media", argument="content_sid", allowed="one of both"
            )
    elif "content_variables" in options:
        raise InvalidArgumentError("needs content_sid", argument="content_variables")
    elif text is None and media is None:
        raise InvalidArgumentError(
            "is missing", argument="body", allowed="body, media or content_sid"
        )
    if text is not None and not text.strip():
        raise InvalidArgumentError("is blank", argument="body", allowed="a text")
    if media is not None and len(media) > 1 and channel_of(options["to"]) == "whatsapp":
        # Source: sheet §3, documented for WhatsApp; the API's specification does not say it.
        raise InvalidArgumentError(
            f"{len(media)} files", argument="media", allowed="one in a WhatsApp message"
        )
