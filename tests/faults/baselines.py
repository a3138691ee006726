"""The baselines: what a careful user builds without voicekit. They must fail where the grid says.

Each is a ``Subject``: the same columns, criteria and invariants judge it, only that its errors
need not be voicekit's. It gets every chance: one session for all calls, limits as ours, a pool
of our size.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import aiohttp
import pybreaker
import tenacity
from aiohttp.abc import AbstractResolver, ResolveResult
from operations import KEY, RECORDING, TEXT, Row, Taken
from operations_twilio import ACCOUNT, BODY, FROM, TO
from recording import FRAME, PCM
from subjects import POOL
from world import Names

from voicekit.errors import CircuitOpenError
from voicekit.events import Observer
from voicekit.transport.config import PoolConfig, PoolStats
from voicekit.transport.tls import _build

_WORK = 0.02
"""Seconds of the loop that a session takes to be made, which here is a part of the cell."""
_LISTEN = "/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000&interim_results=true"


class _Resolver(AbstractResolver):
    """Asks the cell's name server, as aiohttp's own asks the system's: in a thread of the loop."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self._names.lookup, host, port, family)

    async def close(self) -> None:
        pass


class Client:
    """A ``ClientSession`` with limits, and what the columns want to know of a client."""

    def __init__(
        self, url: str, names: Names, row: Row, ca: str | None, options: dict[str, Any]
    ) -> None:
        self.url, self._names, self._ca = url, names, ca
        self.key: Any = options.get("api_key", KEY)
        self._pool: PoolConfig = options.get("pool", POOL)
        self._limits = options.get("limits", {}).get(row.name, row.limits)
        self.policies = options.get("policies")

    async def __aenter__(self) -> Self:
        limits = self._limits
        connector = aiohttp.TCPConnector(
            limit=self._pool.max_connections,
            ttl_dns_cache=0,  # every answer is stale at once, as ours is
            resolver=_Resolver(self._names),
            ssl=_build(self._ca) if self._ca else True,
        )
        self.session = aiohttp.ClientSession(
            connector=connector,
            raise_for_status=True,
            timeout=aiohttp.ClientTimeout(
                total=limits.total,
                connect=limits.connect,  # the wait for a place as well
                sock_read=limits.first_output,
            ),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self.session.close()
        await asyncio.sleep(0.05)  # aiohttp's docs: TLS takes a moment to close

    def rotate_key(self, key: str) -> None:
        self.key = key

    async def headers(self, name: str, prefix: str = "") -> dict[str, str]:
        key = await self.key() if callable(self.key) else self.key
        return {name: prefix + key}

    def stats(self) -> PoolStats:
        connector: Any = self.session.connector
        ready = sum(len(conns) for conns in connector._conns.values())
        leased = len(connector._acquired)
        waiting = sum(len(waiters) for waiters in connector._waiters.values())
        return PoolStats(
            open=ready + leased, ready=ready, leased=leased, dialing=0, opened=0, reused=0,
            closed={}, idle_cutoff=15.0, waiting=waiting,
        )  # fmt: skip


class Kept:
    """What was received, in a dictionary: the usual cache."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.known: dict[str, bytes] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.known.clear()


# -- the rows: one buffered POST, one stream, one effect, one WebSocket -------------------------

Wrap = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""What stands around one request: nothing, or retry and breaker."""


async def _plainly(request: Callable[[], Awaitable[Any]]) -> Any:
    return await request()


async def _chat(client: Client, got: Taken, wrap: Wrap, _row: Row) -> None:
    messages = [{"role": "user", "content": TEXT}]
    body = {"model": "gpt-4o-mini", "messages": messages}

    async def request() -> Any:
        headers = await client.headers("Authorization", "Bearer ")
        url = client.url + "/v1/chat/completions"
        async with client.session.post(url, json=body, headers=headers) as response:
            return await response.json()

    answer = await wrap(request)
    got += answer["choices"][0]["message"]["content"].encode()


async def _speech(client: Client, got: Taken, wrap: Wrap, _row: Row) -> None:
    """Repeated until its headers are there; audio that has come is not asked for again."""
    body = {"text": TEXT, "model_id": "eleven_flash_v2_5"}
    url = client.url + "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream?output_format=pcm_24000"

    async def request() -> Any:
        headers = await client.headers("xi-api-key")
        return await client.session.post(url, json=body, headers=headers)

    async with await wrap(request) as response:
        async for piece in response.content.iter_any():
            await got.took(piece)


async def _send(client: Client, got: Taken, wrap: Wrap, _row: Row) -> None:
    form = {"To": TO, "From": FROM, "Body": BODY}
    url = f"{client.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"

    async def request() -> Any:
        key = await client.key() if callable(client.key) else client.key
        pair = base64.b64encode(f"{ACCOUNT}:{key}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}"}
        async with client.session.post(url, data=form, headers=headers) as response:
            return await response.json()

    got += (await wrap(request))["sid"].encode()


async def _listen(client: Client, got: Taken, wrap: Wrap, audio: bytes, pace: float) -> None:
    async def request() -> Any:
        headers = await client.headers("Authorization", "Token ")
        return await client.session.ws_connect(client.url + _LISTEN, headers=headers)

    async with await wrap(request) as ws:
        speaking = asyncio.create_task(_speak(ws, audio, pace))
        try:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    text = _final(json.loads(message.data))
                    if text:
                        await got.took(text.encode() + b" ")
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])
        if not speaking.cancelled():
            speaking.result()


def _final(said: Any) -> str:
    if said.get("type") != "Results" or not said["is_final"]:
        return ""
    return str(said["channel"]["alternatives"][0]["transcript"])


async def _speak(ws: aiohttp.ClientWebSocketResponse, audio: bytes, pace: float) -> None:
    for at in range(0, len(audio), FRAME):
        await asyncio.sleep(pace)
        await ws.send_bytes(audio[at : at + FRAME])
    await ws.send_str('{"type":"CloseStream"}')


async def _listen_as_asked(client: Client, got: Taken, wrap: Wrap, row: Row) -> None:
    if isinstance(row.ask, partial):  # the recording whose words are known
        await _listen(client, got, wrap, PCM, row.ask.keywords.get("pace", 0.001))
    else:
        await _listen(client, got, wrap, RECORDING, 0.0)


_ASKS: dict[str, Callable[[Client, Taken, Wrap, Row], Awaitable[None]]] = {
    "openai.chat": _chat,
    "elevenlabs.stream_speech": _speech,
    "twilio.send_message": _send,
    "deepgram.open_transcription": _listen_as_asked,
}
ROWS = tuple(_ASKS)


# -- the subjects -------------------------------------------------------------------------------


class Bare:
    """aiohttp, and nothing else."""

    name = "aiohttp"
    typed = False
    work = _WORK

    def __init__(self) -> None:
        self.names: Names | None = None  # the cell's, once there is one

    def make(
        self, row: Row, *, url: str, ca: str | None, observer: Observer, **options: Any
    ) -> Client:
        del observer  # it tells nothing
        assert self.names is not None
        return Client(url, self.names, row, ca, options)

    def stats(self, client: Client) -> PoolStats:
        return client.stats()

    async def warm(self, client: Client, url: str, n: int) -> None:
        """The only way there is: so many cheap requests at once."""

        async def touch() -> None:
            async with client.session.get(url) as response:
                await response.read()

        await asyncio.gather(*(touch() for _ in range(n)))

    def cached(self, row: Row, client: Client, **options: Any) -> Kept:
        del row, options
        return Kept(client)

    async def ask(self, row: Row, client: Client | Kept, got: Taken) -> None:
        if not isinstance(client, Kept):
            return await self.asked(row, client, got)
        if row.id not in client.known:
            await self.asked(row, client.client, got)
            client.known[row.id] = bytes(got)
        else:
            got += client.known[row.id]
        return None

    def asked(self, row: Row, client: Client, got: Taken) -> Awaitable[None]:
        """Without a cache."""
        return _ASKS[row.id](client, got, _plainly, row)


class Naive(Bare):
    """tenacity around pybreaker around aiohttp, as their pages show it, scaled as ours is."""

    name = "tenacity + pybreaker on aiohttp"

    def make(self, row: Row, **given: Any) -> Client:
        client = super().make(row, **given)
        open_for = 0.5
        if client.policies is not None and client.policies.breaker is not None:
            open_for = client.policies.breaker._settings["open_for"]
        client.breaker = pybreaker.CircuitBreaker(  # type: ignore[attr-defined]
            fail_max=5, reset_timeout=open_for, throw_new_error_on_trip=False
        )
        return client

    def asked(self, row: Row, client: Client, got: Taken) -> Awaitable[None]:
        breaker: pybreaker.CircuitBreaker = client.breaker  # type: ignore[attr-defined]

        @tenacity.retry(
            stop=tenacity.stop_after_attempt(3),
            wait=tenacity.wait_random_exponential(multiplier=0.03, max=0.8),
            retry=tenacity.retry_if_exception_type((aiohttp.ClientError, TimeoutError)),
            reraise=True,
        )
        async def wrapped(request: Callable[[], Awaitable[Any]]) -> Any:
            with breaker.calling():
                return await request()

        async def wrap(request: Callable[[], Awaitable[Any]]) -> Any:
            try:
                return await wrapped(request)
            except pybreaker.CircuitBreakerError as error:
                raise CircuitOpenError("refused") from error  # the name that the columns know
            except Exception as error:
                # Limits are for each attempt, so the columns ask how many there were.
                error.attempts = wrapped.statistics["attempt_number"]  # type: ignore[attr-defined]
                raise

        return _ASKS[row.id](client, got, wrap, row)


@dataclass(frozen=True)
class Baseline:
    """One of them, and what it shows.

    Attributes:
        fails: Columns of the page in which at least one cell must be red: else the grid does not
            tell it from a client that is right.
        passes: Columns in which all must be green: it is wired as well as it can be.
    """

    make: Callable[[], Bare]
    fails: frozenset[str]
    passes: frozenset[str]


# Source: the grid's page, from what was measured. 44 joins with Redis.
BASELINES = {
    Bare.name: Baseline(
        Bare,
        fails=frozenset({"2", "11", "15", "29", "36", "38", "45"}),
        passes=frozenset({"1", "8", "10", "31", "34"}),
    ),
    Naive.name: Baseline(
        Naive,
        fails=frozenset({"2", "15", "23", "24", "29", "36", "38", "41", "45"}),
        passes=frozenset({"1", "5", "9", "10", "11", "31", "34"}),
    ),
}
