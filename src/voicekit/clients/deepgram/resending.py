"""Sends over another socket what its predecessor did not settle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from voicekit.clients.deepgram.protocol import CLOSE_STREAM
from voicekit.errors import GapTimeout, LocalProtocolError, VoicekitError

if TYPE_CHECKING:
    from voicekit.clients.deepgram.replay import ReplayBuffer
    from voicekit.transport.interfaces import Socket

# Frames in one turn of the event loop: well below a millisecond.
_AT_ONCE: Final = 25


async def send_again(
    socket: Socket,
    replay: ReplayBuffer,
    *,
    first: str | None,
    settled_s: float,
    ending: Callable[[], bool],
    limit: float | None,
) -> int:
    """Send what is kept, in order, until nothing is left: also what comes meanwhile.

    As fast as the network takes it. At the vendor's advice of 1.25 times real time, a caller
    who goes on speaking would be behind for four times as long as the outage took. Messages
    before second ``settled_s`` of the session have done their work.

    Returns:
        Bytes of audio that were sent.

    Raises:
        GapTimeout: The peer reads nothing.
        LocalProtocolError: More came than can be kept. Worth another try.
        VoicekitError: The socket ended.
    """
    for opening in (first, replay.preamble):
        if opening:
            await _in_time(socket.send(opening), limit)
    following, position, sent, closed = replay.removed, replay.start, 0, False
    while True:
        while (index := following - replay.removed) < len(replay.items):
            if index < 0:
                raise LocalProtocolError("more audio came than can be kept", retryable=True)
            item = replay.items[index]
            following += 1
            if isinstance(item, bytes):
                position += len(item)
                sent += len(item)
            elif replay.rate is not None and position <= settled_s * replay.rate:
                continue  # it has done its work
            await _in_time(socket.send(item), limit)
            if following % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if closed or not ending():
            return sent
        closed = True
        await _in_time(socket.send(CLOSE_STREAM), limit)


async def _in_time(sending: Awaitable[None], limit: float | None) -> None:
    try:
        async with asyncio.timeout(limit):
            await sending
    except TimeoutError as error:
        if isinstance(error, VoicekitError):
            raise
        raise GapTimeout(f"nothing was read for {limit:g} s", limit=limit) from None
