"""The checks for HTTP transports, passed by ours and failed by broken ones."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import httpx
import pytest

from voicekit.errors import ConnectError, VoicekitError
from voicekit.operation import Call
from voicekit.testing.conformance import HTTP_TRANSPORT_CORE_CHECKS, HTTP_TRANSPORT_WARM_CHECKS
from voicekit.testing.conformance import http as core
from voicekit.testing.conformance import http_warm as warm
from voicekit.transport.http_httpx import HttpxTransport
from voicekit.transport.interfaces import Capabilities, Response
from voicekit.transport.messages import Request
from voicekit.transport.transport import Transport

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

Check = Callable[[Callable[[], Any]], Awaitable[None]]


class Default(Transport):
    """Our own pool, as the seam has it."""

    capabilities = Capabilities(warms=True, aborts=True)


@pytest.mark.parametrize("check", HTTP_TRANSPORT_CORE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", [Default, HttpxTransport])
async def test_core(make: Callable[[], Any], check: Check) -> None:
    """What every transport must do, ours do."""
    await check(make)


@pytest.mark.parametrize("check", HTTP_TRANSPORT_CORE_CHECKS, ids=lambda check: check.__name__)
async def test_core_over_a_users_client(check: Check) -> None:
    """A user's own client is as good."""
    async with httpx.AsyncClient(trust_env=False) as client:
        await check(lambda: HttpxTransport(client))
        assert not client.is_closed


@pytest.mark.parametrize("check", HTTP_TRANSPORT_WARM_CHECKS, ids=lambda check: check.__name__)
async def test_warm(check: Check) -> None:
    """What the default transport says it can, it can."""
    await check(Default)


class Broken:
    """A response that wraps a good one, badly."""

    def __init__(self, response: Response) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)


class EndsCleanly(Broken):
    async def chunk(self) -> bytes:
        try:
            return await self._response.chunk()
        except VoicekitError:
            return b""


class Deaf(Broken):
    def interrupt(self, error: VoicekitError) -> None:
        """Nobody hears it."""


class Keeps(Broken):
    def abort(self) -> None:
        """Not now."""


class Proven(Broken):
    delimited = True


class CaseSensitive(Broken):
    @property
    def headers(self) -> Mapping[str, str]:
        return dict(self._response.headers)


class Loses(Broken):
    async def chunk(self) -> bytes:
        try:
            return await self._response.chunk()
        except BaseException:
            self._response.abort()
            raise


class BadTransport(Default):
    """Breaks one promise."""

    response: ClassVar[type[Broken]] = Broken

    async def send(self, request: Request, call: Call) -> Response:
        return self.response(await super().send(request, call))  # type: ignore[return-value]


class SendsTwice(Default):
    async def send(self, request: Request, call: Call) -> Response:
        try:
            return await super().send(request, call)
        except ConnectError:
            raise
        except VoicekitError:
            return await super().send(request, call)


class Follows(Default):
    async def send(self, request: Request, call: Call) -> Response:
        response = await super().send(request, call)
        if response.status == 307:
            response.release()
            return await super().send(request, call)
        return response


class Untold(Default):
    async def send(self, request: Request, call: Call) -> Response:
        from voicekit.testing.conformance.peer import WatchedCall

        return await super().send(request, WatchedCall())


class ForgetsTheLength(Default):
    async def send(self, request: Request, call: Call) -> Response:
        body = request.body
        if body is not None and not isinstance(body, bytes):
            data = b"".join([piece async for piece in body.open()])
            request = Request(request.method, request.url, request.headers, data)
        return await super().send(request, call)


class Builtin(Default):
    async def send(self, request: Request, call: Call) -> Response:
        try:
            return await super().send(request, call)
        except VoicekitError as error:
            raise ConnectionError(f"{request.headers}") from error


class WarmsByAsking(Default):
    async def warm(self, url: str, n: int, **more: Any) -> Any:
        from voicekit.testing.conformance.peer import WatchedCall, ask

        await super().send(ask(url), WatchedCall())
        return await super().warm(url, n)


def bad(kind: type[Broken]) -> type[BadTransport]:
    return type(f"Bad{kind.__name__}", (BadTransport,), {"response": kind})


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("make", "check"),
    [
        (bad(CaseSensitive), core.answers_arrive_as_they_were_sent),
        (bad(Proven), core.an_end_without_framing_is_not_proven),
        (bad(EndsCleanly), core.a_truncated_body_is_a_lost_connection),
        (bad(Deaf), core.an_interrupt_wakes_a_waiting_chunk),
        (bad(Loses), core.a_cancelled_chunk_loses_no_bytes),
        (Follows, core.redirects_are_not_followed),
        (SendsTwice, core.a_request_is_sent_once),
        (Builtin, core.a_refused_dial_says_that_nothing_happened),
        (Untold, core.the_call_is_told_how_far_it_has_come),
        (ForgetsTheLength, core.uploads_arrive_whole),
        (Builtin, core.an_upload_that_fails_is_our_fault),
        (bad(Keeps), core.an_aborted_response_frees_its_connection),
        (WarmsByAsking, warm.warming_opens_connections_without_a_request),
        (bad(Keeps), warm.leaving_frees_the_connection_at_once),
    ],
    ids=lambda value: value.__name__,
)
async def test_a_broken_one_fails(
    make: type[Default], check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check sees the fault it is for, and says the promise in words."""
    monkeypatch.setattr("voicekit.testing.conformance.watching.PATIENCE", 0.3)
    with pytest.raises(AssertionError) as caught:
        await check(make)
    assert len(str(caught.value).split()) > 3
    del caught
    gc.collect()  # what a broken one leaves goes here, and not in another test
    await asyncio.sleep(0)
