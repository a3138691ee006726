"""How a file is fetched: where it lies only its address is known, and perhaps not yet.

It is asked for with the account's credential, waited for if it is not there yet, and followed
to where it lies without the credential.

Source: Twilio fact sheet of 2026-11, §8.1 (recorded redirects; 404 right after a webhook in
chatwoot #15499 and twilio-node #636).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from voicekit.clients.execute import read_refusal, request_id_of
from voicekit.clients.refusals import build
from voicekit.clients.twilio.errors import DIALECT
from voicekit.clients.twilio.hosts import Origin, gets_credential, may_hold_media, origin_of
from voicekit.errors import (
    InvalidRequestError,
    ProviderError,
    RemoteProtocolError,
    UnavailableError,
)
from voicekit.resilience.waiting import pause
from voicekit.transport.messages import Request

if TYPE_CHECKING:
    from voicekit.operation import Call
    from voicekit.transport.interfaces import Response
    from voicekit.transport.transport import Transport

NOT_THERE_YET: Final = (0.5, 1.0, 2.0)
"""Seconds between asking again for a file that came in just now. Source: design §3."""
_MOST_HOPS: Final = 3
"""Redirects of one file; one is usual. Source: ours."""
# The caller's own headers are for the API, too.
_ANONYMOUS: Final = {"Accept": "*/*", "Accept-Encoding": "identity"}
_LEAST: Final = 0.05
"""Seconds. What has less left after a wait is not asked for again."""


class Following:
    """One doing of a download, as something that sends: see ``execute.Sender``.

    A 404 right after a webhook is waited out inside the attempt: no policy sees it, so it
    spends no repeat and is no failure of the server's. After a wait the account is asked
    again, since an address that was given before expires; so are the ``headers`` of a request
    to the API, credential included.

    Attributes:
        request_id: The API's; what holds the file names none.
        followed: Where the file was, if it was somewhere else.
    """

    def __init__(
        self,
        transport: Transport,
        headers: Callable[[], Awaitable[Mapping[str, str]]],
        *,
        own: Origin | None,
        media_hosts: tuple[str, ...],
        waits: tuple[float, ...],
    ) -> None:
        self._transport = transport
        self._headers = headers
        self._own = own
        self._media_hosts = media_hosts
        self._waits = waits
        self.request_id: str | None = None
        self.followed: str | None = None

    async def send(self, request: Request, call: Call) -> Response:
        """Ask, wait and follow until there is the file, or a refusal.

        Raises:
            RemoteProtocolError: It is redirected to where no file may be, or round and round.
            VoicekitError: It is not there or not to be had, a request failed, or a limit passed.
        """
        waits = iter(self._waits)
        while True:
            try:
                return await self._once(request.url, call)
            except _NotThereError as missing:
                wait = next(waits, None)
                left = call.remaining()
                if wait is None or (left is not None and left < wait + _LEAST):
                    raise missing.error from None
            await self._pause(call, wait)

    async def _pause(self, call: Call, seconds: float) -> None:
        # Between two requests of one attempt no limit counts but that of the whole.
        call.waiting()
        await pause(seconds)
        call.asking_again()

    async def _once(self, url: str, call: Call) -> Response:
        """One request, and those that it is redirected to."""
        first = origin_of(url)
        asks = first is not None and gets_credential(first, self._own)
        seen: list[str] = []
        while True:
            seen.append(url)
            headers = await self._headers() if asks else _ANONYMOUS
            response = await self._transport.send(Request("GET", url, headers), call)
            if asks:
                found = request_id_of(response.headers, DIALECT)
                call.request_id = self.request_id = found or self.request_id
            if 300 <= response.status < 400 and "Location" in response.headers:
                response.release()
                url = self._checked(url, response.headers["Location"], seen)
                # The credential stays where it was asked for, whoever asks for it elsewhere.
                asks = asks and origin_of(url) == first
                self.followed = None if asks else url
                continue
            if response.status == 200:
                return response
            await self._refuse(response, asks=asks)

    def _checked(self, url: str, location: str, seen: list[str]) -> str:
        try:
            target = urljoin(url, location).partition("#")[0]
        except ValueError:
            target = ""  # which is nowhere that a file may be
        if target in seen or len(seen) > _MOST_HOPS:
            raise RemoteProtocolError("the file is redirected round and round", retryable=False)
        if not may_hold_media(target, self._own, self._media_hosts):
            # Not named: where somebody else wants us to go is not for a log.
            raise RemoteProtocolError(
                "the file is redirected to a host that is not Twilio's; media_hosts= allows more",
                retryable=False,
            )
        return target

    async def _refuse(self, response: Response, *, asks: bool) -> None:
        status, headers = response.status, response.headers
        body = await read_refusal(response)
        if status < 400:
            raise RemoteProtocolError(f"status {status} is no answer")
        if asks:
            error = DIALECT.read_error(status, headers, body)
            raise _NotThereError(error) if status == 404 else error
        # Nobody's credential was refused there. A store says 403 of what it does not have,
        # and of an address that has expired; either is asked for anew.
        if status in {403, 404}:
            raise _NotThereError(build(InvalidRequestError, status, headers))
        raise build(UnavailableError if status >= 429 else InvalidRequestError, status, headers)


class _NotThereError(Exception):
    """The file is not there, perhaps not yet."""

    def __init__(self, error: ProviderError) -> None:
        self.error = error
