"""Twilio's messages as resources: what is stored, how it is shown, listed and found.

Source: fact sheet of 2026-11, §3 and §3.1.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from voicekit.emulator.bounded import Bounded
from voicekit.emulator.providers.twilio_refusals import coded

FINAL = frozenset(
    {"delivered", "read", "undelivered", "failed", "canceled", "received", "partially_delivered"}
)
"""Statuses after which nothing more is to come, but `read` after `delivered`."""

DEFAULT_PAGE = 50
MAX_PAGE = 1000
MAX_MESSAGES = 10_000
VERSION = "2010-04-01"

TEST_ACCOUNT_SID = "AC" + "7e57" * 8
"""The account whose credentials are test credentials, here."""

_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€"
)


def now() -> datetime:
    """Return the time of day, to the second, as resources show it."""
    return datetime.now(UTC).replace(microsecond=0)


def rfc2822(when: datetime | None) -> str | None:
    """Return a date as resources show it."""
    return None if when is None else format_datetime(when)


def segments(body: str) -> int:
    """Return how many SMS a text takes. Source: sheet §3; joined ones are shorter by a header."""
    whole, joined = (160, 153) if set(body) <= _GSM else (70, 67)
    return 1 if len(body) <= whole else -(-len(body) // joined)


class Sids:
    """Makes identifiers, the same ones in the same order for a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"{seed}/twilio/sids")

    def new(self, prefix: str) -> str:
        """Return another identifier of a kind."""
        return f"{prefix}{self._rng.getrandbits(128):032x}"


@dataclass(slots=True, kw_only=True)
class Media:
    """One file of a message.

    Attributes:
        content_type: As its sender says.
        data: The bytes; None for an outbound one that nobody has fetched.
        missing: How often it is still answered with 404, from its first request on; None until
            then.
    """

    sid: str
    account: str
    parent: str
    content_type: str
    data: bytes | None = field(default=None, repr=False)
    created: datetime = field(default_factory=now)
    missing: int | None = None

    @property
    def path(self) -> str:
        """Where its content is; its metadata are there with ``.json``."""
        return f"/{VERSION}/Accounts/{self.account}/Messages/{self.parent}/Media/{self.sid}"

    def resource(self) -> dict[str, Any]:
        """Return it as the vendor shows it."""
        return {
            "sid": self.sid,
            "account_sid": self.account,
            "parent_sid": self.parent,
            "content_type": self.content_type,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.created),
            "uri": f"{self.path}.json",
        }


@dataclass(slots=True, kw_only=True)
class Message:
    """One message, in or out."""

    sid: str
    account: str
    to: str
    from_: str | None
    body: str
    direction: str
    status: str
    service: str | None = None
    media: list[Media] = field(default_factory=list)
    error: int | None = None
    status_callback: str | None = None
    validity: int = 36_000
    send_at: datetime | None = None
    content_sid: str | None = None
    content_variables: str | None = None
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    sent: datetime | None = None

    @property
    def whatsapp(self) -> bool:
        """Whether it goes over WhatsApp."""
        return self.to.startswith("whatsapp:")

    @property
    def path(self) -> str:
        """Where the resource is, without ``.json``."""
        return f"/{VERSION}/Accounts/{self.account}/Messages/{self.sid}"

    def resource(self) -> dict[str, Any]:
        """Return it as the vendor shows it; the order is its own."""
        return {
            "account_sid": self.account,
            "api_version": VERSION,
            "body": self.body,
            "date_created": rfc2822(self.created),
            "date_sent": rfc2822(self.sent),
            "date_updated": rfc2822(self.updated),
            "direction": self.direction,
            "error_code": self.error,
            "error_message": None if self.error is None else f"Error {self.error}",
            "from": self.from_,
            "messaging_service_sid": self.service,
            "num_media": str(len(self.media)),
            "num_segments": "1" if self.whatsapp else str(segments(self.body)),
            "price": None,
            "price_unit": None,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{self.path}/Media.json"},
            "to": self.to,
            "uri": f"{self.path}.json",
        }


class Messages:
    """Every message of every account, in the order in which they came."""

    def __init__(self) -> None:
        self._all: Bounded[str, Message] = Bounded(MAX_MESSAGES)

    def add(self, message: Message) -> None:
        """Keep a message, and let go of the oldest where there are many."""
        self._all[message.sid] = message

    def drop(self, message: Message) -> None:
        """Forget a message and its media."""
        self._all.pop(message.sid, None)

    def find(self, account: str, sid: str) -> Message | None:
        """Return an account's message, or None."""
        found = self._all.get(sid)
        return found if found is not None and found.account == account else None

    def media(self, account: str, message: str, sid: str) -> Media | None:
        """Return a file of a message, or None."""
        found = self.find(account, message)
        return next((each for each in found.media if each.sid == sid), None) if found else None

    def last_from(self, sender: str, to: str | None) -> datetime | None:
        """Return when somebody last wrote (to a number), or None."""
        for message in reversed(self._all.values()):
            if (
                message.direction == "inbound"
                and message.from_ == sender
                and to in {None, message.to}
            ):
                return message.created
        return None

    def listed(self, account: str, query: Mapping[str, Sequence[str]]) -> list[Message]:
        """Return an account's messages that a query asks for, newest first."""
        found = [each for each in self._all.values() if each.account == account]
        for name, read in (("To", _to), ("From", _from)):
            if wanted := query.get(name):
                found = [each for each in found if read(each) == wanted[-1]]
        for name, fits in _DATES.items():
            if wanted := query.get(name):
                low, high = _span(wanted[-1])
                found = [each for each in found if each.sent and fits(each.sent, low, high)]
        return found[::-1]


def _to(message: Message) -> str | None:
    return message.to


def _from(message: Message) -> str | None:
    return message.from_


# A date without a time is that whole day.
_DATES: dict[str, Callable[[datetime, datetime, datetime], bool]] = {
    "DateSent": lambda sent, low, high: low <= sent < high,
    "DateSent<": lambda sent, _, high: sent < high,
    "DateSent>": lambda sent, low, _: sent >= low,
}


def _span(text: str) -> tuple[datetime, datetime]:
    try:
        if len(text) == len("2026-11-21"):
            low = datetime.combine(date.fromisoformat(text), time(), UTC)
            return low, low + timedelta(days=1)
        at = datetime.fromisoformat(text)
    except ValueError:
        raise coded(20001, "DateSent must be a date") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at, at + timedelta(seconds=1)


def page(
    name: str,
    path: str,
    found: Sequence[Mapping[str, Any]],
    query: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return one page of a list of resources; the query's filters go into the pages' addresses."""
    last = {key: values[-1] for key, values in query.items() if values}
    try:
        size = int(last.get("PageSize", DEFAULT_PAGE))
        number = int(last.get("Page", 0))
    except ValueError:
        raise coded(20001, "Page and PageSize must be integers") from None
    if size < 1 or number < 0:
        raise coded(20001, "PageSize must be from 1 to 1000")
    size = min(size, MAX_PAGE)
    start = number * size
    if token := last.get("PageToken"):  # the last item of the page before it
        sids = [each["sid"] for each in found]
        known = token.removeprefix("PA") in sids
        start = sids.index(token.removeprefix("PA")) + 1 if known else start
    shown = found[start : start + size]
    filters = {
        key: value for key, value in last.items() if key not in {"Page", "PageSize", "PageToken"}
    }

    def uri(at: int, token: str | None = None) -> str:
        asked = {**filters, "PageSize": size, "Page": at}
        return f"{path}?{urlencode(asked | ({'PageToken': token} if token else {}))}"

    more = start + size < len(found)
    return {
        name: list(shown),
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + max(0, len(shown) - 1),
        "uri": uri(number, last.get("PageToken")),
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1, f"PA{shown[-1]['sid']}") if more else None,
        "previous_page_uri": uri(number - 1) if number else None,
    }
