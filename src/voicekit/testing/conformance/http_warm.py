"""Checks of an ``HttpTransport`` whose ``capabilities`` say that it warms and aborts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from voicekit.errors import ClosedError
from voicekit.testing.conformance.http import Check, asked, read, served
from voicekit.testing.conformance.peer import Peer, WatchedCall, always, ask, stalled, unused_url
from voicekit.testing.conformance.watching import require, within

_AT_ONCE: Final = 1.0
"""Seconds; a transport that waits for its peer's goodbye waits longer."""


@served(always)
async def warming_opens_connections_without_a_request(transport: Any, peer: Peer) -> None:
    """As many as asked for; the next request finds one."""
    require(transport.capabilities.warms, "capabilities.warms must be True for the warm tier")
    report = await within(transport.warm(peer.url, 2), "warm() must end")
    require(report.opened == 2, f"warm(2) opened {report.opened} connections")
    require(not report.failures, "a warm-up that worked reports no failure")
    await asyncio.sleep(0.05)
    require(peer.connections == 2, "warm() must really open connections")
    require(not peer.heads, "warm() must send no request")
    again = await within(transport.warm(peer.url, 2), "warm() must end")
    require((again.opened, again.reused) == (0, 2), "warming what is warm opens nothing")
    call = WatchedCall()
    response = await transport.send(ask(peer.url), call)
    await read(response)
    require(response.connection.reused, "a request after warm() must use a ready connection")
    require("dialing" not in call.told, "a request after warm() must not dial")


@served(always)
async def a_failed_warm_up_is_a_report(transport: Any, _peer: Peer) -> None:
    """Nothing is raised: a cold start must not stop a service."""
    report = await within(transport.warm(unused_url(), 1), "warm() must end")
    require(len(report.failures) == 1, "a failed dial must be in the report")
    require(report.opened == 0, "a failed dial opened nothing")


@served(partial(stalled, body=b"abc"))
async def leaving_frees_the_connection_at_once(transport: Any, peer: Peer) -> None:
    """``abort`` and ``interrupt`` do not wait for a peer that says nothing."""
    require(transport.capabilities.aborts, "capabilities.aborts must be True for the warm tier")
    for how in ("abort", "interrupt"):
        peer.left.clear()
        response = await asked(transport, peer.url)
        await response.chunk()
        if how == "abort":
            response.abort()
        else:
            response.interrupt(ClosedError("interrupted by the check"))
        await within(peer.left.wait(), f"{how}() must free the connection at once", _AT_ONCE)


HTTP_TRANSPORT_WARM_CHECKS: Final[tuple[Check, ...]] = (
    warming_opens_connections_without_a_request,
    a_failed_warm_up_is_a_report,
    leaving_frees_the_connection_at_once,
)
"""Of one that says it warms and aborts: each takes a function that makes one."""
