"""What every part of ``TwilioClient`` stands on: its addresses, and requests with its account."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

from voicekit.checks import Check
from voicekit.clients.base import Client
from voicekit.clients.execute import fetch
from voicekit.clients.pages import Page
from voicekit.clients.refusals import Dialect, body_of
from voicekit.clients.settings import Settings
from voicekit.clients.twilio.errors import DIALECT, PROVIDER
from voicekit.clients.twilio.forms import with_query
from voicekit.clients.twilio.hosts import Hosts, Origin, origin_of
from voicekit.clients.twilio.message_options import MessageSettings
from voicekit.clients.twilio.resources import Resource
from voicekit.errors import RemoteProtocolError
from voicekit.operation import Call, Limits, Operation, OperationClass
from voicekit.transport.messages import Request, merge_headers

if TYPE_CHECKING:
    from voicekit.transport.interfaces import Response

T = TypeVar("T")
S = TypeVar("S", bound=Settings)

FORM: Final = "application/x-www-form-urlencoded"
SENDING: Final = Limits(connect=2.0, first_output=10.0, total=10.0)
_READING: Final = Limits(connect=1.0, first_output=5.0, total=5.0)


def reading(name: str) -> Operation:
    """Looks at something."""
    return Operation(provider=PROVIDER, name=name, kind=OperationClass.PURE, limits=_READING)


def changing(name: str) -> Operation:
    """Changes something that is there: done twice, it is done."""
    return Operation(provider=PROVIDER, name=name, kind=OperationClass.IDEMPOTENT, limits=SENDING)


class PlainSettings(Settings):
    """Checked extras of what has no options."""

    purpose: ClassVar[str] = "this"
    option_checks: ClassVar[Mapping[str, Check]] = {}


class Authorized(Client):
    """A client with an account.

    Its parts, a family of operations each, derive from it; ``TwilioClient`` is all of them.
    """

    provider: ClassVar[str] = PROVIDER

    account_sid: str
    """``AC…``, in the path of what is asked for, whoever asks."""
    _user: str
    """Who asks: the account, or an API key."""
    _hosts: Hosts
    _basic: tuple[str, str] = ("", "")

    @property
    def _account(self) -> str:
        """The account's path at the API."""
        return f"/2010-04-01/Accounts/{self.account_sid}"

    def _extras(self, kind: type[S], options: Mapping[str, Any]) -> S:
        """Settings of what has no options in the constructor: its query and headers, the call's."""
        family = self._family(MessageSettings)
        common = {"extra_query": family.extra_query, "extra_headers": family.extra_headers}
        return kind().updated(common).updated(options)

    async def _authorization(self) -> str:
        """The value of that header, for the next request."""
        secret = await self._credential.get()
        if self._basic[0] != secret:
            pair = f"{self._user}:{secret}".encode()
            self._basic = secret, f"Basic {base64.b64encode(pair).decode('ascii')}"
        return self._basic[1]

    async def _headers(self, extra: Mapping[str, str], *, form: bool = False) -> dict[str, str]:
        headers = {
            "Authorization": await self._authorization(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if form:
            headers["Content-Type"] = FORM
        return merge_headers(headers, extra)

    async def _ask(
        self,
        operation: Operation,
        method: str,
        path: str,
        read: Callable[..., T],
        settings: Settings,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        status: int = 200,
        base_url: str | None = None,
        dialect: Dialect = DIALECT,
    ) -> T:
        """One request with the settings of a call, one answer, which ``read`` makes the value of.

        ``query`` is in place of the extra one, ``base_url`` of the API's.

        Raises:
            OutcomeUnknownError: It was an effect, and may have happened.
            VoicekitError: It failed.
        """
        call = self._call(operation, settings)
        url = with_query(
            (base_url or self.base_url) + path, settings.extra_query if query is None else query
        )

        async def prepare() -> Request:
            headers = await self._headers(settings.extra_headers, form=body is not None)
            return Request(method, url, headers, body)

        def parse(data: bytes, response: Response) -> T:
            value = body_of(data) if status != 204 else {}
            if value is None:
                raise RemoteProtocolError("the answer is no JSON")
            return read(value, headers=response.headers)

        kinds = ("json",) if status != 204 else ()
        result: Any = await fetch(
            self.transport, call, prepare, dialect, parse, kinds=kinds, status=status
        )
        return cast("T", _with_evidence(result, call))

    @property
    def _own_origin(self) -> Origin | None:
        """Of the API."""
        return origin_of(self.base_url)


def _with_evidence(result: Any, call: Call) -> Any:
    if isinstance(result, Resource | Page):
        return replace(result, request_id=call.request_id, **call.evidence())
    return result
