"""What the transport protects from: names, dials, pooled connections, what comes on them."""

from __future__ import annotations

import ssl
from typing import Any

from mutations import Mutation, after, both, constant, swap, wrap

from voicekit.clients import execute
from voicekit.errors import ConnectError, VoicekitError
from voicekit.operation import Call, _AttemptLimit
from voicekit.transport import connector, dns, failures, held, http_aiohttp, tls
from voicekit.transport.connector import PooledProtocol, WarmConnector
from voicekit.transport.dns import ServeStaleResolver
from voicekit.transport.http_pool import HttpPool
from voicekit.transport.keeper import IdleConn
from voicekit.transport.transport import Transport

_CHAT, _SPEECH, _EFFECT = "openai.chat", "elevenlabs.stream_speech", "twilio.send_message"
_UPLOAD = "deepgram.transcribe"
_VOICES, _LISTEN = "elevenlabs.voices", "deepgram.open_transcription"


def _forgetting(resolve: Any) -> Any:
    async def mutated(self: Any, *args: Any, **options: Any) -> Any:
        self._answers.clear()
        return await resolve(self, *args, **options)

    return mutated


def _setting(**settings: Any) -> Any:
    """The connector, with attributes of aiohttp's set otherwise."""

    def change(self: Any) -> None:
        for name, value in settings.items():
            setattr(self, name, value)

    return wrap(WarmConnector, "__init__", after(change))


async def _trusting_everyone(_ca: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class _RetryableConnectError(ConnectError):
    def __init__(self, message: str = "", /, **facts: Any) -> None:
        super().__init__(message, **facts | {"retryable": True})


def _following(send: Any) -> Any:
    """What aiohttp's own session does unless it is told not to."""

    async def mutated(self: Any, request: Any, call: Any) -> Any:
        for _ in range(3):
            response = await send(self, request, call)
            target = response.headers.get("Location")
            if not (300 <= response.status < 400 and target):
                break
            response.abort()
            if target.startswith("/"):
                target = "/".join(request.url.split("/", 3)[:3]) + target
            request = type(request)(request.method, target, request.headers, request.body)
        return response

    return mutated


def _not_taken_back(self: Any) -> bool:
    self._stopped = self._rung
    return bool(self._rung)


async def _all_first(self: Any, request: Any, connection: Any, _protocol: Any) -> Any:
    del self
    response, sending = await request.start_upload(connection)
    await sending.run()
    await response.start(connection)
    return response


def _politely(self: Any, cause: str) -> None:
    self.close_cause = self.close_cause or cause
    self.close()


def _expanding(method: Any) -> Any:
    def mutated(self: Any, **options: Any) -> None:
        method(self, **options | {"auto_decompress": True})

    return mutated


def _any_loop(opened: Any) -> Any:
    def mutated(self: Any) -> Any:
        import asyncio

        if self._loop is not None:
            self._loop = asyncio.get_running_loop()
        return opened(self)

    return mutated


MUTATIONS = (
    Mutation(
        name="a stale DNS answer is served when there is no new one",
        without=wrap(ServeStaleResolver, "resolve", _forgetting),
        cells=((_CHAT, "2"),),
        says="cannot be resolved",
    ),
    Mutation(
        name="a stale DNS answer is served when a new one takes long",
        without=swap(dns, STALE_AFTER=9.0),
        cells=((_CHAT, "2b"),),
        says="no connection within",
    ),
    Mutation(
        name="names are looked up in threads of our own",
        without=swap(dns, ThreadPoolExecutor=constant(None)),
        cells=((_CHAT, "42b"),),
        says="no connection within",
    ),
    Mutation(
        name="happy eyeballs: the second address after 0.1 s",
        without=_setting(_happy_eyeballs_delay=None),
        cells=((_CHAT, "4"),),
        says="no connection|assert",
    ),
    Mutation(
        name="limit: connect",
        without=wrap(Call, "dialing", after(lambda call: call._arm(None))),
        cells=((_CHAT, "6"), (_CHAT, "7")),
        says="TotalTimeout|took",
    ),
    Mutation(
        name="limit: first output",
        without=wrap(Call, "sent", after(lambda call: call._arm(None))),
        cells=((_CHAT, "18"),),
        says="took|hangs|Gap",
    ),
    Mutation(
        name="limit: total",
        without=swap(Call, remaining=constant(None)),
        cells=((_SPEECH, "30b"),),
        says="took|TimeoutError",
    ),
    Mutation(
        name="a limit that has passed leaves no cancellation on the task",
        without=swap(_AttemptLimit, expired=_not_taken_back),
        cells=((_CHAT, "18"),),
        says="cancellation is left",
    ),
    Mutation(
        name="certificates are verified",
        without=swap(tls, tls_context=_trusting_everyone),
        cells=((_CHAT, "8"),),
        says="succeeded",
    ),
    Mutation(
        name="a bad certificate is not dialled again",
        without=swap(failures, ConnectError=_RetryableConnectError),
        cells=((_CHAT, "8"),),
        says="does not get better",
    ),
    Mutation(
        name="a stale connection is found before it is used",
        without=swap(PooledProtocol, readable=property(constant(False))),
        cells=((_EFFECT, "11"),),
        says="may or may not|ConnectionLost",
    ),
    Mutation(
        name="aiohttp sends no handshake twice",
        without=wrap(
            WarmConnector,
            "__init__",
            after(lambda self: setattr(self.session, "_retry_connection", True)),
        ),
        cells=((_LISTEN, "13c"),),
        says="sent behind our back",
    ),
    Mutation(
        name="connections older than the idle cut-off are replaced",
        without=both(
            swap(IdleConn, due_at=constant(float("inf"))),
            swap(IdleConn, dead_at=constant(float("inf"))),
        ),
        cells=((_EFFECT, "12b"),),
        says="may or may not",
    ),
    Mutation(
        name="the wait for a place in the pool is bounded",
        without=swap(
            WarmConnector,
            _wait_for_available_connection=connector.aiohttp.TCPConnector._wait_for_available_connection,
        ),
        cells=((_CHAT, "14"),),
        says="succeeded",
    ),
    Mutation(
        name="the keeper holds its minimum",
        without=swap(HttpPool, _keep=constant(None)),
        cells=((_CHAT, "15"),),
        says="not warm again",
    ),
    Mutation(
        name="a connection that was given up is replaced, without a minimum too",
        without=swap(HttpPool, refill=constant(None)),
        cells=((_CHAT, "15"),),
        says="not replaced",
    ),
    Mutation(
        name="back-pressure: what nobody takes is not read",
        without=swap(connector, _READ_BUFFER=1 << 30),
        cells=((_SPEECH, "34"),),
        says="read ahead",
    ),
    Mutation(
        name="compressed answers are refused, and not expanded",
        without=both(
            wrap(PooledProtocol, "set_response_params", _expanding),
            swap(execute, check_type=constant(None)),
        ),
        cells=((_CHAT, "33"),),
        says="MB",
    ),
    Mutation(
        name="redirects are not followed",
        without=wrap(Transport, "send", _following),
        cells=((_CHAT, "27"),),
        says="succeeded|credential",
    ),
    Mutation(
        name="an answer is read while the upload goes on",
        without=swap(WarmConnector, _upload=_all_first),
        cells=((_UPLOAD, "17b"),),
        says="GapTimeout|ConnectionLost|took",
    ),
    Mutation(
        name="a large body goes out in pieces",
        without=swap(held, _LARGE_BODY=1 << 60),
        cells=((_UPLOAD, "18"),),
        says="it was repeated",
    ),
    Mutation(
        name="what is given up is aborted: a close would wait for a peer that hangs",
        without=both(
            swap(PooledProtocol, drop=_politely),
            swap(http_aiohttp, abort_response=lambda response: response.close()),
        ),
        cells=((_CHAT, "15"), (_SPEECH, "15")),
        says="sockets more",
    ),
    Mutation(
        name="aiohttp's errors show no headers",
        without=swap(failures, _forget_content=constant(None)),
        cells=((_CHAT, "33"),),
        says="vk-marked|I5",
    ),
    Mutation(
        name="keys are taken out of errors",
        without=swap(VoicekitError, redact=constant(None)),
        cells=((_CHAT, "26b"),),
        says="the key in an attribute",
    ),
    Mutation(
        name="a client belongs to one event loop",
        without=wrap(Transport, "_opened", _any_loop),
        cells=((_CHAT, "47b"),),
        says=".",
    ),
)
