"""Messages, a part of ``TwilioClient``: send, follow, list, take back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

from voicekit.clients.pages import Page, Pages
from voicekit.clients.twilio import addresses
from voicekit.clients.twilio.authorized import SENDING, Authorized, PlainSettings, changing, reading
from voicekit.clients.twilio.errors import ONCE_DIALECT, PROVIDER, PartlySentError
from voicekit.clients.twilio.forms import encoded
from voicekit.clients.twilio.message_options import (
    MessageFilters,
    MessageListSettings,
    MessageOptions,
    MessageSettings,
    OneMessageSettings,
)
from voicekit.clients.twilio.message_request import parts_of
from voicekit.clients.twilio.resources import (
    Message,
    SentMessage,
    read_media,
    read_message,
    read_sent,
)
from voicekit.errors import (
    ClosedError,
    ConfigurationError,
    InvalidRequestError,
    OutcomeUnknownError,
    RemoteProtocolError,
    VoicekitError,
)
from voicekit.operation import Limits, Operation, OperationClass

if TYPE_CHECKING:
    from voicekit.clients.base import CallOptions
    from voicekit.clients.twilio.inbound import MediaRef

T = TypeVar("T")

SEND_MESSAGE: Final = Operation(
    provider=PROVIDER,
    name="send_message",
    kind=OperationClass.EFFECT,
    limits=SENDING,
    reconcile="list by To and DateSent, messages(to=…, sent_on=…), or wait for the status callback",
)
TYPING: Final = Operation(
    # A courtesy: repeated only where nothing was sent, and once. Source: sheet §13.
    provider=PROVIDER,
    name="typing",
    kind=OperationClass.EFFECT,
    limits=Limits(connect=2.0, first_output=5.0, total=5.0),
    repeats=1,
    reconcile="there is no need to: it ends by itself",
)

FETCH_MESSAGE: Final = reading("fetch_message")
MESSAGES: Final = reading("messages")
MESSAGE_MEDIA: Final = reading("message_media")
CANCEL_MESSAGE: Final = changing("cancel_message")
REDACT_MESSAGE: Final = changing("redact_message")
DELETE_MESSAGE: Final = changing("delete_message")

_MESSAGE: Final = addresses.sid("SM", "MM")
_NOT_FOUND: Final = 404


class Messages(Authorized):
    """Messages over any channel of Twilio's."""

    async def send_message(
        self,
        *,
        to: str,
        body: str | None = None,
        media: str | Sequence[str] | None = None,
        **options: Unpack[MessageOptions],
    ) -> SentMessage:
        """Send a message; returns when Twilio has accepted it, not when it is delivered.

        Limits: connect 2 s, answer and total 10 s, for each part. It is repeated only where it
        is proven that Twilio has not taken it: no connection, or 429. Never sent twice.

        A text of more than 1,600 characters goes out as several messages, in order, each after
        the one before was accepted; files go with the first. Cancelled, the message under way
        may have been accepted.

        Args:
            to: The recipient: E.164, or with its channel, ``whatsapp:+…``.
            body: The text.
            media: Public addresses of files: at most 10, on WhatsApp one.
            **options: On top of the constructor's; ``from_`` or ``messaging_service_sid`` in
                one of both, ``content_sid`` for a template in place of text and files.

        Raises:
            OutcomeUnknownError: It may or may not have been accepted; ``hint`` says how to
                find out.
            PartlySentError: Of a long text, some parts were accepted and one was not; it says
                which.
            UnsubscribedError: The recipient has said STOP.
            RateLimitError: Too many requests at a time, also after the repeats.
            InvalidArgumentError: Before any I/O.
            VoicekitError: Nothing was sent.

        Example:
            >>> sent = await twilio.send_message(
            ...     to=message.from_, from_=message.to, body="On its way.", validity_period=120
            ... )
            >>> print(sent.sid, sent.status)
        """
        family = self._family(MessageSettings)
        settings = OneMessageSettings(
            options=family.options,
            extra_query=family.extra_query,
            extra_headers=family.extra_headers,
            extra_body=family.extra_body,
            limits=family.limits,
            policies=family.policies,
        ).updated({"to": addresses.recipient("to", to), "body": body, "media": media, **options})
        parts = parts_of(settings)
        path = f"{self._account}/Messages.json"
        sent: list[SentMessage] = []
        for form, _ in parts:
            try:
                sent.append(
                    await self._ask(
                        SEND_MESSAGE, "POST", path, read_sent, settings, body=form, status=201
                    )
                )
            except VoicekitError as error:
                if not sent:
                    raise  # nothing went out, or the error itself says that it may have
                raise _partly(error, sent, [text for _, text in parts]) from error
        return sent[0] if len(sent) == 1 else replace(sent[0], parts=tuple(sent))

    async def typing(
        self, message_sid: str, /, *, strict: bool = False, **options: Unpack[CallOptions]
    ) -> bool:
        """Show the sender of a WhatsApp message that an answer is being written.

        It also marks the message as read, and ends with the answer or after some 25 s (both
        unverified). A courtesy that must not break a conversation: it raises nothing that the
        network or Twilio does, unless it is asked to. Sent once; again only where there was no
        connection. Limit: 5 s in all.

        Args:
            message_sid: Of the message that came in.
            strict: Raise what went wrong.
            **options: Of this call.

        Returns:
            Whether Twilio took it.

        Raises:
            InvalidArgumentError: That is no message's sid.
            ClosedError: The client is closed.
            VoicekitError: With ``strict``, it failed.
        """
        form = {"channel": "whatsapp", "messageId": _MESSAGE("message_sid", message_sid)}
        settings = self._extras(PlainSettings, options)
        try:
            return await self._ask(
                TYPING,
                "POST",
                "/v2/Indicators/Typing.json",
                _succeeded,
                settings,
                body=encoded({**form, **settings.extra_body}),
                base_url=self._hosts.messaging,
                dialect=ONCE_DIALECT,
            )
        except (ClosedError, ConfigurationError):
            raise
        except VoicekitError:
            if strict:
                raise
            return False

    async def fetch_message(self, message_sid: str, /, **options: Unpack[CallOptions]) -> Message:
        """A message as it stands now: how it fares, and why it failed.

        Raises:
            InvalidRequestError: There is none with that sid.
        """
        return await self._of_message(FETCH_MESSAGE, "GET", message_sid, read_message, options)

    def messages(self, **filters: Unpack[MessageFilters]) -> Pages[Message]:
        """The account's messages: ``await`` for the first page, ``async for`` for all.

        Raises:
            InvalidArgumentError: A filter makes no sense; everything else is raised by the
                handle.
        """
        return Pages(partial(self._page, self._extras(MessageListSettings, filters)))

    async def cancel_message(self, message_sid: str, /, **options: Unpack[CallOptions]) -> Message:
        """Take back a message that is scheduled or queued. May be repeated.

        Raises:
            InvalidRequestError: It is too late, or there is none with that sid.
        """
        return await self._of_message(
            CANCEL_MESSAGE, "POST", message_sid, read_message, options, {"Status": "canceled"}
        )

    async def redact_message(self, message_sid: str, /, **options: Unpack[CallOptions]) -> Message:
        """Have Twilio forget a message's text. May be repeated.

        Raises:
            InvalidRequestError: There is none with that sid.
        """
        return await self._of_message(
            REDACT_MESSAGE, "POST", message_sid, read_message, options, {"Body": ""}
        )

    async def delete_message(self, message_sid: str, /, **options: Unpack[CallOptions]) -> bool:
        """Delete a message and its files at Twilio. May be repeated.

        Returns:
            Whether it was there: after a repeat, False may mean that the first one did it.

        Raises:
            InvalidRequestError: It is still under way (``code="20009"``).
        """
        try:
            return await self._of_message(
                DELETE_MESSAGE, "DELETE", message_sid, _done, options, status=204
            )
        except InvalidRequestError as error:
            if error.status == _NOT_FOUND:
                return False
            raise

    async def message_media(
        self, message_sid: str, /, **options: Unpack[CallOptions]
    ) -> Page[MediaRef]:
        """The files of a message, on one page.

        Raises:
            InvalidRequestError: There is none with that sid.
        """
        read = partial(_media_list, self.base_url)
        return await self._of_message(
            MESSAGE_MEDIA, "GET", message_sid, read, options, part="/Media"
        )

    async def _of_message(
        self,
        operation: Operation,
        method: str,
        message_sid: str,
        read: Callable[..., T],
        options: Mapping[str, Any],
        form: Mapping[str, Any] | None = None,
        *,
        part: str = "",
        status: int = 200,
    ) -> T:
        settings = self._extras(PlainSettings, options)
        return await self._ask(
            operation,
            method,
            f"{self._account}/Messages/{_MESSAGE('message_sid', message_sid)}{part}.json",
            read,
            settings,
            body=None if form is None else encoded({**form, **settings.extra_body}),
            status=status,
        )

    async def _page(self, settings: MessageListSettings, name: str | None) -> Page[Message]:
        options = settings.options
        query = {
            "To": options.get("to"),
            "From": options.get("from_"),
            "DateSent": options.get("sent_on"),
            "DateSent>": options.get("sent_after"),
            "DateSent<": options.get("sent_before"),
            "PageSize": options.get("page_size"),
            **settings.extra_query,
        }
        # A page names the next one whole, query included.
        path = f"{self._account}/Messages.json" if name is None else name
        return await self._ask(
            MESSAGES,
            "GET",
            path,
            partial(_messages, self._account),
            settings,
            query=query if name is None else {},
        )


def _partly(
    error: VoicekitError, sent: Sequence[SentMessage], texts: Sequence[str]
) -> PartlySentError:
    total, failed = len(texts), len(sent)
    maybe = isinstance(error, OutcomeUnknownError)
    return PartlySentError(
        f"{failed} of {total} parts were accepted; the next "
        + ("may have been" if maybe else f"was not ({type(error).__name__})"),
        sent=tuple(sent),
        failed=failed,
        maybe_sent=maybe,
        unsent=tuple(texts[failed:]),
        retry_after=error.retry_after,
        request_id=error.request_id,
        attempts=error.attempts,
        timings=error.timings,
        connection=error.connection,
        provider=PROVIDER,
        operation=SEND_MESSAGE.name,
    )


def _messages(account: str, value: Any, **evidence: Any) -> Page[Message]:
    listed = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise RemoteProtocolError("the answer holds no list of messages")
    following = value.get("next_page_uri") or None
    if following is not None and not (
        isinstance(following, str) and following.startswith(f"{account}/Messages.json?")
    ):
        raise RemoteProtocolError("the next page is none of this account's messages")
    return Page(items=tuple(map(read_message, listed)), next=following, raw=value, **evidence)


def _media_list(base_url: str, value: Any, **evidence: Any) -> Page[MediaRef]:
    listed = value.get("media_list") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise RemoteProtocolError("the answer holds no list of files")
    items = tuple(read_media(each, base_url) for each in listed)
    return Page(items=items, raw=value, **evidence)


def _succeeded(value: Any, **_evidence: Any) -> bool:
    return isinstance(value, dict) and value.get("success") is True


def _done(_value: Any, **_evidence: Any) -> bool:
    return True
