"""`world.calls_back`: makes Twilio call an application, however the emulator runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.providers.twilio_inbound import Attachment, CalledBack, attachments
from voicekit.emulator.voice_notes import voice_note

USER = "whatsapp:+390212345678"
"""Who writes, when nobody else is named."""

_BUSINESS = {"whatsapp:": "whatsapp:+14155238886", "": "+14155550100"}

Media = Attachment | bytes | str | Path | Sequence[Attachment | bytes | str | Path]


def number_of_business(user: str) -> str:
    """Return the number of the business on a user's channel."""
    return _BUSINESS["whatsapp:" if user.startswith("whatsapp:") else ""]


class Calling:
    """A call to an application, under way from the moment it was asked for.

    ``await calling`` or, from a thread that serves nothing, ``calling.result()``.
    """

    def __init__(self, future: Future[CalledBack] | asyncio.Future[CalledBack]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, CalledBack]:
        """Wait for the last answer; cancelling ends the call."""
        future = self._future
        if isinstance(future, Future):
            future = asyncio.wrap_future(future)
        return future.__await__()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> CalledBack:
        """Block until it has ended.

        Args:
            timeout: Seconds; None waits as long as the vendor does.

        Raises:
            EmulatorError: The emulator runs in this event loop, which must not block: await it.
            TimeoutError: It has not ended in time; it goes on.
        """
        if isinstance(self._future, Future):
            return self._future.result(timeout)
        if not self._future.done():
            raise EmulatorError("await it: the emulator runs in this event loop")
        return self._future.result()


class CallsBack:
    """What Twilio tells applications.

    Args:
        start: Begins a call of a kind with its arguments.
    """

    def __init__(
        self,
        start: Callable[[str, dict[str, Any]], Future[CalledBack] | asyncio.Future[CalledBack]],
    ) -> None:
        self._start = start

    def message(
        self,
        url: str,
        *,
        body: str = "",
        media: Media = (),
        voice: str | None = None,
        from_: str = USER,
        to: str | None = None,
        profile_name: str = "Zoë & Co",
        fields: Mapping[str, str] | None = None,
        method: Literal["POST", "GET"] = "POST",
        fallback: str | None = None,
        redeliver: int = 0,
        redelivery: Literal["after", "concurrent"] = "after",
        redeliver_after: float = 0.0,
        signed_for: str | None = None,
        secret: str | None = None,
        shared_key: str | None = None,
    ) -> Calling:
        """Tell an application of a user's message, as its messaging webhook.

        Args:
            url: Where; its fragment may hold the vendor's overrides, such as ``#rc=2&rp=all``.
            body: The text.
            media: Files: an `Attachment`, bytes, a path, or several of these.
            voice: Instead of them, a voice note in which the emulated ears hear this.
            from_: Who writes; ``whatsapp:+…`` or a number.
            to: To whom; None is the business's number on that channel.
            profile_name: A WhatsApp user's.
            fields: Further fields, over the vendor's.
            method: As configured.
            fallback: Called when the webhook has failed.
            redeliver: How often it is delivered again under the same token, whatever came back.
            redelivery: Again once the one before it has ended, or without waiting for it.
            redeliver_after: Seconds between two deliveries.
            signed_for: The public address that is signed, where ``url`` is what a proxy would call.
            secret: Signs in place of the account's token: a forger's, or a shared key's.
            shared_key: That key's name; the signature is then HMAC-SHA256, and a header says so.

        Raises:
            OSError: A file cannot be read.
        """
        files = attachments(media) if voice is None else attachments(voice_note(voice))
        return self._begin(
            "message",
            url=url,
            body=body,
            files=files,
            from_=from_,
            to=to or number_of_business(from_),
            profile=profile_name,
            fields=dict(fields or {}),
            method=method,
            fallback=fallback,
            redeliver=redeliver,
            concurrent=redelivery == "concurrent",
            pause=redeliver_after,
            signing={"signed_for": signed_for, "secret": secret, "shared_key": shared_key},
        )

    def again(self, told: CalledBack, *, url: str | None = None) -> Calling:
        """Deliver once more what was told before: the same fields, the same token."""
        return self._begin("again", told=told, url=url or told.url)

    def status(
        self, url: str, sid: str, status: str, *, fields: Mapping[str, str] | None = None
    ) -> Calling:
        """Tell an application of a message's status, whatever its real one is.

        Args:
            url: Where.
            sid: Of a message, known or not.
            status: Which.
            fields: Further fields, over the vendor's, such as ``ErrorCode``.
        """
        return self._begin("status", url=url, sid=sid, status=status, fields=dict(fields or {}))

    def call(
        self,
        url: str,
        *,
        from_: str = "+390212345678",
        to: str = "+14155550100",
        fields: Mapping[str, str] | None = None,
        method: Literal["POST", "GET"] = "POST",
    ) -> Calling:
        """Tell an application of a phone call that comes in, as its voice webhook."""
        return self._begin(
            "call", url=url, from_=from_, to=to, fields=dict(fields or {}), method=method
        )

    def _begin(self, kind: str, **arguments: Any) -> Calling:
        return Calling(self._start(kind, arguments))
