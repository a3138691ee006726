"""Checks of an ``HttpTransport``: what every one must do."""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from voicekit.errors import (
    ClosedError,
    ConnectError,
    ConnectionLostError,
    LocalProtocolError,
    TransportError,
)
from voicekit.testing.conformance.peer import (
    SECRET,
    Handler,
    Peer,
    Pieces,
    Visit,
    WatchedCall,
    always,
    ask,
    stalled,
    unused_url,
)
from voicekit.testing.conformance.watching import nothing_left, refusal, refused, require, within

if TYPE_CHECKING:
    from voicekit.transport.interfaces import HttpTransport, Response
    from voicekit.transport.messages import Upload

CHUNKS: Final = b"3\r\nabc\r\n0\r\n\r\n"
MakeTransport = Callable[[], "HttpTransport"]
Check = Callable[[MakeTransport], Awaitable[None]]


def served(handler: Handler) -> Callable[[Callable[[Any, Peer], Awaitable[None]]], Check]:
    """Make a check of what is done with a transport and a server; nothing is left of either."""

    def checked(check: Callable[[Any, Peer], Awaitable[None]]) -> Check:
        @functools.wraps(check)
        async def run(make: MakeTransport) -> None:
            async with nothing_left(), Peer(handler) as peer:
                transport = make()
                try:
                    await check(transport, peer)
                finally:
                    await within(transport.aclose(), "aclose() must end")
                    await within(transport.aclose(), "aclose() may be called twice")

        return run

    return checked


def asked(
    transport: Any, url: str, body: bytes | Upload | None = b"{}", method: str = "POST"
) -> Coroutine[Any, Any, Response]:
    """Send a request of which nobody asks how far it has come."""
    sending: Coroutine[Any, Any, Response] = transport.send(ask(url, body, method), WatchedCall())
    return sending


async def read(response: Response) -> bytes:
    """The whole body."""
    body = bytearray()
    while piece := await within(response.chunk(), "chunk() must give what has arrived"):
        body += piece
    return bytes(body)


async def _in_two_pieces(visit: Visit) -> None:
    await visit.write(
        b"HTTP/1.1 503 No\r\nX-Marked: yes\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 8\r\n\r\nnot "
    )
    await visit.peer.go.wait()
    await visit.write(b"gzip")


@served(_in_two_pieces)
async def answers_arrive_as_they_were_sent(transport: Any, peer: Peer) -> None:
    """Status, headers in any case, the body untouched and piece by piece, its end proven."""
    response = await within(asked(transport, peer.url), "send() must return with the headers")
    require(response.status == 503, "any status is an answer, given as it is")
    for name in ("X-Marked", "x-marked", "X-MARKED"):
        require(response.headers.get(name) == "yes", "headers are looked up in any case")
    require(response.delimited, "a body with a length is delimited")
    first = await within(response.chunk(), "chunk() must not wait for the whole body")
    require(first == b"not ", "a body must come as it arrived, not decoded")
    peer.go.set()
    require(await read(response) == b"gzip", "a body must come whole")
    require(await response.chunk() == b"", "after its end a body is empty, each time")
    require(peer.bodies == [b"{}"], "the request's body must arrive as it was given")


async def _framed_or_not(visit: Visit) -> None:
    if b"/framed" in visit.head:
        await visit.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS)
    else:
        await visit.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc")
        visit.close()


@served(_framed_or_not)
async def an_end_without_framing_is_not_proven(transport: Any, peer: Peer) -> None:
    """A body that ends with its connection is not delimited; a chunked one is."""
    for path, proven in (("", False), ("/framed", True)):
        response = await asked(transport, peer.url + path)
        require(await read(response) == b"abc", "a body must come whole")
        require(response.delimited is proven, "delimited must say whether the end is proven")


async def _cut_short(visit: Visit) -> None:
    framing = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    if b"/length" in visit.head:
        framing = b"Content-Length: 10\r\n\r\nabc"
    await visit.write(b"HTTP/1.1 200 OK\r\n" + framing)
    visit.close()


@served(_cut_short)
async def a_truncated_body_is_a_lost_connection(transport: Any, peer: Peer) -> None:
    """What came is given, then ``ConnectionLostError``; never a clean end."""
    for path in ("/length", "/chunked"):
        response = await asked(transport, peer.url + path)
        require(
            await within(response.chunk(), "what came must be given") == b"abc",
            "what came before a body was cut must be given",
        )
        await refused(
            ConnectionLostError,
            "a truncated body",
            response.chunk(),
            "a truncated body must not end cleanly",
        )
        response.abort()  # as every client of ours does after an error


@served(stalled)
async def an_interrupt_wakes_a_waiting_chunk(transport: Any, peer: Peer) -> None:
    """Whoever waits gets the error given, and so does who asks next."""
    for waits in (True, False):
        response = await asked(transport, peer.url)
        waiting = asyncio.ensure_future(response.chunk()) if waits else None
        await asyncio.sleep(0.02)
        mark = ClosedError("interrupted by the check")
        response.interrupt(mark)

        async def wait(
            response: Response = response, waiting: asyncio.Future[bytes] | None = waiting
        ) -> bytes:
            return await (response.chunk() if waiting is None else waiting)

        error = await refusal(wait(), "interrupt() must wake a waiting chunk()")
        require(error is mark, "chunk() must raise what interrupt() was given")
    await within(peer.left.wait(), "interrupt() must free the connection")


async def _in_two_halves(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
    await visit.peer.go.wait()
    await visit.write(b"def")


@served(_in_two_halves)
async def a_cancelled_chunk_loses_no_bytes(transport: Any, peer: Peer) -> None:
    """Cancelled as it waits, the next ``chunk()`` goes on where it was."""
    response = await asked(transport, peer.url)
    got = await within(response.chunk(), "what came must be given")
    for _ in range(3):
        waiting = asyncio.ensure_future(response.chunk())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await within(asyncio.wait((waiting,)), "a cancelled chunk() must end")
        require(waiting.cancelled(), "a cancelled chunk() must raise CancelledError")
    peer.go.set()
    require(got + await read(response) == b"abcdef", "cancelling chunk() must lose no bytes")


async def _redirect(visit: Visit) -> None:
    await visit.answer(status=307, headers="Location: /elsewhere\r\n")


@served(_redirect)
async def redirects_are_not_followed(transport: Any, peer: Peer) -> None:
    """They would carry the key to somebody else."""
    response = await asked(transport, peer.url)
    require(response.status == 307, "a redirect must be given as it is")
    await read(response)
    require(len(peer.heads) == 1, "a redirect must not be followed")


async def _every_other_time(visit: Visit) -> None:
    if len(visit.peer.heads) % 2:
        await visit.answer()
    else:
        visit.close()


@served(_every_other_time)
async def a_request_is_sent_once(transport: Any, peer: Peer) -> None:
    """A connection that ends without an answer is an error, not a second request."""
    for method in ("GET", "POST"):
        await read(await asked(transport, peer.url, None, method))
        before = len(peer.heads)
        error = await refused(
            ConnectionLostError,
            "no answer",
            asked(transport, peer.url, None, method),
            "no answer must be an error",
        )
        require(error.outcome == "unknown", "a request without an answer has an unknown outcome")
        require(len(peer.heads) == before + 1, "a request must never be sent twice")


@served(always)
async def a_refused_dial_says_that_nothing_happened(transport: Any, _peer: Peer) -> None:
    """``ConnectError``, ``not_applied``, and no secret in what is shown of it."""
    error = await refused(
        ConnectError,
        "a refused dial",
        asked(transport, unused_url()),
        "a refused dial must be an error",
    )
    require(error.outcome == "not_applied", "after a refused dial the outcome is not_applied")
    shown = "".join(traceback.format_exception(error)) + repr(transport)
    require(SECRET not in shown, "no error and no repr may show a secret")


async def _when_told(visit: Visit) -> None:
    await visit.peer.go.wait()
    await visit.answer()


@served(_when_told)
async def the_call_is_told_how_far_it_has_come(transport: Any, peer: Peer) -> None:
    """``dialing`` only for a dial, ``sent`` before the answer; which connection, reused or not."""
    call = WatchedCall()
    sending = asyncio.ensure_future(transport.send(ask(peer.url), call))
    await within(peer.arrived.wait(), "a request must arrive")
    await asyncio.sleep(0.02)
    told = list(call.told)
    peer.go.set()
    response = await within(sending, "send() must return with the headers")
    require(told == ["dialing", "sent"], f"told {told}, not dialing, then sent, before the answer")
    require(call.connection is not None, "the call must be told its connection")
    require(not response.connection.reused, "a dialled connection is not a reused one")
    await read(response)
    again = WatchedCall()
    response = await transport.send(ask(peer.url), again)
    await read(response)
    if peer.connections == 1:
        require(again.told == ["sent"], "over a ready connection only sent is told")
        require(response.connection.reused, "a ready connection is a reused one")


@served(always)
async def uploads_arrive_whole(transport: Any, peer: Peer) -> None:
    """With a length if it is known, else in HTTP chunks; told as an upload."""
    for size in (6, None):
        call = WatchedCall()
        pieces = Pieces(b"abc", b"", b"def", size=size, replayable=size is None)
        await read(await transport.send(ask(peer.url, pieces), call))
        require(peer.bodies[-1] == b"abcdef", "an upload must arrive whole")
        sized = b"content-length: 6\r\n" in peer.heads[-1].lower()
        chunked = b"transfer-encoding: chunked" in peer.heads[-1].lower()
        require(sized is (size == 6), "Content-Length must be the upload's size, if known")
        require(chunked is (size is None), "an upload of unknown size goes out in HTTP chunks")
        tail = [word for word in call.told if word != "dialing"]
        require(
            tail[:2] == ["uploading", "progressed"] and tail[-1] == "sent",
            f"told {tail}, not uploading, progressed, sent",
        )
        require(call.uploaded, "an upload that was sent to its end is told as such")
        require(call.replayable is pieces.replayable, "the call must know if it can be sent again")
        require(pieces.closed, "an upload must be closed")


@served(always)
async def an_upload_that_fails_is_our_fault(transport: Any, peer: Peer) -> None:
    """Not the network's: ``LocalProtocolError``; so is one of another length than it said."""
    for pieces in (
        Pieces(b"abc", OSError(f"no {SECRET}"), size=6),
        Pieces(b"abc", size=6),
        Pieces(b"abcdefgh", size=6),
    ):
        error = await refused(
            LocalProtocolError,
            "an upload that fails",
            asked(transport, peer.url, pieces),
            "an upload that fails must fail the call",
        )
        require(SECRET not in str(error), "no error may show a secret")
        require(pieces.closed, "an upload must be closed when it fails")
    require(not peer.bodies, "half an upload must not look like a whole one")


@served(Visit.gone)
async def a_cancelled_request_leaves_nothing(transport: Any, peer: Peer) -> None:
    """The server sees the connection end."""
    sending = asyncio.ensure_future(asked(transport, peer.url))
    await within(peer.arrived.wait(), "a request must arrive")
    sending.cancel()
    await within(asyncio.wait((sending,)), "a cancelled send() must end")
    require(sending.cancelled(), "a cancelled send() must raise CancelledError")
    await within(peer.left.wait(), "a cancelled request's connection must be closed")


async def _whole_or_stalled(visit: Visit) -> None:
    if b"/whole" in visit.head:
        await visit.answer()
        return
    await stalled(visit, b"abc")


@served(_whole_or_stalled)
async def an_aborted_response_frees_its_connection(transport: Any, peer: Peer) -> None:
    """Twice is once; after the end it does nothing; ``release`` may come in between."""
    whole = await asked(transport, peer.url + "/whole")
    await read(whole)
    whole.abort()
    whole.release()
    response = await asked(transport, peer.url)
    require(await response.chunk() == b"abc", "what came must be given")
    response.abort()
    response.abort()
    response.release()
    await within(peer.left.wait(), "abort() must free the connection")
    await within(asked(transport, peer.url + "/whole"), "others go on after an abort")


@served(stalled)
async def closing_ends_what_is_in_flight(transport: Any, peer: Peer) -> None:
    """A waiting ``chunk()`` gets an error, not a cancellation; later sends, ``ClosedError``."""
    response = await asked(transport, peer.url)
    waiting = asyncio.ensure_future(response.chunk())
    await asyncio.sleep(0.02)
    await within(transport.aclose(), "aclose() must not wait for what is in flight")
    await within(asyncio.wait((waiting,)), "aclose() must wake a waiting chunk()")
    require(not waiting.cancelled(), "aclose() must not cancel somebody else's task")
    require(
        isinstance(waiting.exception(), ClosedError | TransportError),
        "aclose() must make a waiting chunk() fail",
    )
    response.abort()  # as every client of ours does after an error
    await within(peer.left.wait(), "aclose() must free every connection")
    await refused(
        ClosedError,
        "a closed transport",
        asked(transport, peer.url),
        "a closed transport must refuse",
    )


HTTP_TRANSPORT_CORE_CHECKS: Final[tuple[Check, ...]] = (
    answers_arrive_as_they_were_sent,
    an_end_without_framing_is_not_proven,
    a_truncated_body_is_a_lost_connection,
    an_interrupt_wakes_a_waiting_chunk,
    a_cancelled_chunk_loses_no_bytes,
    redirects_are_not_followed,
    a_request_is_sent_once,
    a_refused_dial_says_that_nothing_happened,
    the_call_is_told_how_far_it_has_come,
    uploads_arrive_whole,
    an_upload_that_fails_is_our_fault,
    a_cancelled_request_leaves_nothing,
    an_aborted_response_frees_its_connection,
    closing_ends_what_is_in_flight,
)
"""Of every ``HttpTransport``: each takes a function that makes one."""
