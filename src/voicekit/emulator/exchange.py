"""What a provider's handler holds: the emulator's context, and one request under way."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from aiohttp import web

from voicekit.emulator.body import BodyWriter, as_json
from voicekit.emulator.connection import hang_up
from voicekit.emulator.scenario import Range, Scenario, draw
from voicekit.emulator.websocket import Socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from voicekit.emulator.ears import Ears
    from voicekit.emulator.faults import Fault, Faults
    from voicekit.emulator.journal import ConnectionRecord, Journal, RequestRecord
    from voicekit.emulator.providers.base import Provider
    from voicekit.emulator.voice import Voice


MAX_MESSAGE_BYTES = 16 << 20
"""Of one message that a client sends on a socket."""


async def sleep_until(moment: float) -> None:
    """Sleep until a moment of the running loop's clock; one that is past does not yield."""
    seconds = moment - asyncio.get_running_loop().time()
    if seconds > 0:
        await asyncio.sleep(seconds)


class Context:
    """What the emulator hands to one provider.

    Attributes:
        rng: Seeded per provider; `Exchange.rng` is seeded per request and repeats whatever the
            order of concurrent requests.
        voice: A `voicekit.emulator.voice.Voice`.
        ears: A `voicekit.emulator.ears.Ears`, or None with `speech="tones"`.
        world: The emulator itself, for those who tell others where things are.
    """

    def __init__(
        self,
        *,
        provider: str,
        journal: Journal,
        faults: Faults,
        scenario: Callable[[], Scenario],
        seed: int = 0,
        voice: Voice,
        ears: Ears | None = None,
        world: Any = None,
    ) -> None:
        self.provider = provider
        self.journal = journal
        self.faults = faults
        self.seed = seed
        self.voice = voice
        self.ears = ears
        self.world = world
        self._scenario = scenario
        self.restart_seed()

    @property
    def scenario(self) -> Scenario:
        """The scenario in force now."""
        return self._scenario()

    def number(self, operation: str) -> int:
        """Return how many requests of an operation came before this one."""
        count = self._numbers[operation]
        self._numbers[operation] += 1
        return count

    def restart_seed(self) -> None:
        """Begin the seeded draws again, as if nothing had been asked yet."""
        self.rng = random.Random(f"{self.seed}/{self.provider}")
        self._numbers: Counter[str] = Counter()


class Exchange:
    """One request under way.

    Attributes:
        body: The whole request body.
        authorized: False once the key was found missing or wrong.
        number: How many requests of the same operation came before.
        fault: What must go wrong, or None. `BodyWriter` and `Socket` obey the generic kinds; the
            provider obeys those of its own grammar (`empty_deltas`, `no_end_marker`,
            `in_stream_error`) and then calls `struck()`.
    """

    def __init__(
        self, provider: Provider, request: web.Request, record: RequestRecord, number: int
    ) -> None:
        self.provider = provider
        self.ctx = provider.ctx
        self.journal = provider.ctx.journal
        self.request = request
        self.record = record
        self.body = b""
        self.fault: Fault | None = None
        self.response: web.StreamResponse | None = None
        self.number = number
        self.authorized = True
        self._rng: random.Random | None = None

    @property
    def rng(self) -> random.Random:
        """A generator seeded by provider, operation and the request's number within it."""
        if self._rng is None:
            ctx = self.ctx
            self._rng = random.Random(
                f"{ctx.seed}/{ctx.provider}/{self.record.operation}/{self.number}"
            )
        return self._rng

    @property
    def connection(self) -> ConnectionRecord | None:
        """The record of the connection that carries this request."""
        found: ConnectionRecord | None = getattr(self.request.protocol, "record", None)
        return found

    def json(self) -> Any:
        """Return the body parsed as JSON.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)

    @property
    def query(self) -> dict[str, list[str]]:
        """Every query parameter with all its values, as sent."""
        query = self.request.query
        return {name: query.getall(name) for name in query}

    @property
    def upgrades(self) -> bool:
        """Whether the client asks for a WebSocket."""
        return self.request.headers.get("Upgrade", "").lower() == "websocket"

    def note(self, *advice: str) -> None:
        """Journal the vendor's advice that this request ignored; never a refusal."""
        self.record.notes.extend(advice)

    def draw(self, spread: Range) -> float:
        """Return seconds drawn from a scenario's range, repeatable per request."""
        return draw(spread, self.rng) if isinstance(spread, tuple) else spread

    async def pause(self, spread: Range) -> None:
        """Sleep for seconds drawn from a scenario's range; zero does not yield."""
        seconds = self.draw(spread)
        if seconds > 0:
            await asyncio.sleep(seconds)

    def has_fault(self, *kinds: str) -> bool:
        """Tell whether the request's fault is one of these kinds."""
        return self.fault is not None and self.fault.kind in kinds

    def hang_up(self, *, reset: bool) -> None:
        """End the connection from the server's side: an RST, or a FIN after what is buffered."""
        connection = self.connection
        if connection is not None and connection.closed_by is None:
            connection.closed_by = "server"
        hang_up(self.request.transport, reset=reset)

    def check_client(self) -> None:
        """Check that there is still somebody to write to: the journal counts only what was sent.

        Raises:
            ConnectionResetError: The client has gone.
        """
        transport = self.request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")

    def struck(self) -> None:
        """Say in the journal that the fault was applied."""
        if self.record.outcome is None:
            self.record.outcome = "fault"

    async def stream(
        self, *, content_type: str, headers: Mapping[str, str] | None = None
    ) -> BodyWriter:
        """Send the headers of a chunked response and return the writer of its body."""
        response = web.StreamResponse(headers=self.headers(headers))
        response.headers["Content-Type"] = content_type
        return await self.begin(response)

    async def begin(self, response: web.StreamResponse, *, length: int | None = None) -> BodyWriter:
        """Send a response's headers, chunked unless its length is known, and return its writer."""
        if length is not None:
            response.content_length = length
        await response.prepare(self.request)
        self.response = response
        self.record.status = response.status
        return BodyWriter(self, response)

    async def socket(self, *, protocols: Iterable[str] = ()) -> Socket:
        """Accept the WebSocket handshake and return the journaling socket.

        Raises:
            Struck: A fault ended the socket as soon as it was open.
        """
        ws = web.WebSocketResponse(
            protocols=protocols, compress=False, max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0
        )
        ws.headers.update(self.headers())
        await ws.prepare(self.request)
        self.response = ws
        self.record.status = 101
        opened = Socket(self, ws)
        await opened.obey()
        return opened

    def headers(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the provider's response headers, with `extra` over them."""
        headers = self.provider.headers(self)
        if extra:
            headers.update(extra)
        return headers

    def answer(
        self, content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        """Return a JSON response with the provider's headers."""
        return web.Response(
            body=as_json(content),
            status=status,
            headers=self.headers(headers),
            content_type="application/json",
        )
