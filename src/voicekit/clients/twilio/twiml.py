"""TwiML: what a webhook is answered with, in the few verbs that messages and calls here need.

Everything is escaped. For what has no function here, use the vendor's own builder: any TwiML
text is as good.

Source: Twilio fact sheet of 2026-11, §5 and §10.1 ("TwiML for messaging", "Stream").

Example:
    >>> messaging(message("Here it is", media="https://cdn.example.com/a/77.ogg"))
    >>> voice(say("Hello", language="it-IT"), connect_stream("wss://rt.example.com/media"))
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from voicekit.checks import wrong
from voicekit.errors import InvalidArgumentError

__all__ = [
    "EMPTY",
    "MEDIA_TYPE",
    "Verb",
    "connect_stream",
    "hangup",
    "message",
    "messaging",
    "pause",
    "play",
    "redirect",
    "reject",
    "say",
    "voice",
]

MEDIA_TYPE: Final = "text/xml"
"""The ``Content-Type`` of an answer."""

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>'
EMPTY: Final = f"{_HEAD}<Response/>"
"""Says nothing, does nothing; HTTP 204 means the same for a message."""

# XML 1.0 §2.2: what no document can hold, escaped or not.
_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Verb(str):
    """A finished piece of TwiML; a plain text is none, lest it be taken for one."""

    __slots__ = ()


def messaging(*messages: Verb | str) -> str:
    """The answer to a message: none, one or several messages; a text is one by itself."""
    verbs = [each if isinstance(each, Verb) else message(each) for each in messages]
    return _response(verbs)


def message(
    body: str | None = None,
    *,
    media: str | Sequence[str] = (),
    to: str | None = None,
    from_: str | None = None,
    action: str | None = None,
) -> Verb:
    """A message in an answer.

    Args:
        body: The text.
        media: Public addresses of files.
        to: Somebody else than who wrote.
        from_: Another sender than the one that was written to.
        action: Where Twilio tells how it fares.

    Raises:
        InvalidArgumentError: It has neither text nor files.
    """
    files = [media] if isinstance(media, str) else list(media)
    if not body and not files:
        raise InvalidArgumentError("is missing", argument="body", allowed="body or media")
    inner = [_verb("Body", body)] if body else []
    inner += [_verb("Media", each) for each in files]
    return _verb("Message", inner, to=to, **{"from": from_}, action=action)


def voice(*verbs: Verb) -> str:
    """The answer to a call: what to do, in order."""
    for each in verbs:
        if not isinstance(each, Verb):
            raise wrong("verbs", each, "say(…), play(…), …")
    return _response(verbs)


def say(
    text: str, *, voice: str | None = None, language: str | None = None, loop: int | None = None
) -> Verb:
    """Twilio's own voice says it."""
    return _verb("Say", text, voice=voice, language=language, loop=loop)


def play(url: str | None = None, *, loop: int | None = None, digits: str | None = None) -> Verb:
    """A recording is played, or keys are pressed."""
    if (url is None) is (digits is None):
        raise InvalidArgumentError("one of both", argument="url, digits", allowed="url or digits")
    return _verb("Play", url, loop=loop, digits=digits)


def pause(seconds: int = 1) -> Verb:
    """Silence."""
    return _verb("Pause", None, length=seconds)


def redirect(url: str, *, method: str | None = None) -> Verb:
    """Ask there what to do next."""
    return _verb("Redirect", url, method=method)


def reject(reason: str | None = None) -> Verb:
    """Do not take the call: ``"busy"`` or ``"rejected"``. Only as the first verb."""
    return _verb("Reject", None, reason=reason)


def hangup() -> Verb:
    """End the call."""
    return _verb("Hangup", None)


def connect_stream(
    url: str,
    *,
    parameters: Mapping[str, str] | None = None,
    action: str | None = None,
    name: str | None = None,
    status_callback: str | None = None,
) -> Verb:
    """The call's audio to a WebSocket and back, until that is closed.

    Args:
        url: ``wss://…``, without a query: Twilio drops it.
        parameters: Told to the socket when it starts.
        action: Where Twilio asks what to do afterwards.
        name: Of the stream.
        status_callback: Where Twilio tells how the stream fares.

    Raises:
        InvalidArgumentError: The address is no such one.
    """
    if not isinstance(url, str) or not url.startswith("wss://"):
        raise wrong("url", url, "wss://host/path")
    if "?" in url:
        raise InvalidArgumentError("has a query", argument="url", allowed="parameters={…} instead")
    inner = [
        _verb("Parameter", None, name=key, value=value) for key, value in (parameters or {}).items()
    ]
    stream = _verb("Stream", inner, url=url, name=name, statusCallback=status_callback)
    return _verb("Connect", [stream], action=action)


def _response(verbs: Sequence[Verb]) -> str:
    return f"{_HEAD}{_verb('Response', list(verbs))}"


def _verb(tag: str, content: str | list[Verb] | None, **attributes: str | int | None) -> Verb:
    shown = "".join(
        f" {name}={quoteattr(_legal(name, str(value)))}"
        for name, value in attributes.items()
        if value is not None
    )
    if content is None:
        inner = ""
    elif isinstance(content, list) and all(isinstance(each, Verb) for each in content):
        inner = "".join(content)
    else:
        inner = escape(_legal(tag, content))
    return Verb(f"<{tag}{shown}>{inner}</{tag}>" if inner else f"<{tag}{shown}/>")


def _legal(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise wrong(name, text, "a str")
    if _ILLEGAL.search(text):
        raise InvalidArgumentError(
            "holds a control character that no XML can", argument=name, allowed="text"
        )
    return text
