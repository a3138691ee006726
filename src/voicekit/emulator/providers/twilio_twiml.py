"""What an application answers to a webhook: TwiML for messaging, read as Twilio reads it.

Source: fact sheet of 2026-11, §5 ("TwiML for messaging").
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

_XML = ("text/xml", "application/xml", "text/html")


class TwimlError(ValueError):
    """What came is not TwiML; the code is of the vendor's error dictionary."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class TwimlMessage:
    """One ``<Message>``; another recipient than who wrote, another sender, or None."""

    body: str = ""
    media: tuple[str, ...] = ()
    to: str | None = None
    from_: str | None = None
    status_callback: str | None = None


def read_messaging(content_type: str, body: bytes) -> tuple[list[TwimlMessage], list[str]]:
    """Read an answer: the messages, in order, and what was ignored.

    Raises:
        TwimlError: 12300, a content type that is no document; 12100, a document that does not
            parse; 12200, another root than ``<Response>``.
    """
    if not body.strip():
        return [], []
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/plain":
        return [TwimlMessage(body=body.decode("utf-8", "replace"))], []
    if kind not in _XML:
        raise TwimlError(12300, f"Invalid Content-Type: {kind or 'none'}")
    if b"<!DOCTYPE" in body:
        raise TwimlError(12100, "Document parse failure")  # so that no entity grows
    try:
        root = ET.fromstring(body)  # noqa: S314 - no declarations, see above
    except ET.ParseError:
        raise TwimlError(12100, "Document parse failure") from None
    if root.tag != "Response":
        raise TwimlError(12200, "Schema validation warning: no Response")
    messages, ignored = [], []
    for verb in root:
        if verb.tag == "Message":
            messages.append(_message(verb))
        else:
            ignored.append(f"<{verb.tag}> ignored")
    return messages, ignored


def _message(verb: ET.Element) -> TwimlMessage:
    nested = [child.text or "" for child in verb if child.tag == "Body"]
    text = nested[0] if nested else (verb.text or "").strip()
    media = tuple((child.text or "").strip() for child in verb if child.tag == "Media")
    return TwimlMessage(
        body=text,
        media=tuple(url for url in media if url),
        to=verb.get("to"),
        from_=verb.get("from"),
        status_callback=verb.get("statusCallback") or verb.get("action"),
    )
