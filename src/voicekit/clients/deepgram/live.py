"""Live transcription, a part of ``DeepgramClient``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from voicekit.checks import no_options
from voicekit.clients.deepgram.authorized import Authorized
from voicekit.clients.deepgram.config import (
    LISTEN_PATH,
    ListenOptions,
    ListenRequest,
    ListenSettings,
)
from voicekit.clients.deepgram.errors import DIALECT, PROVIDER
from voicekit.clients.deepgram.protocol import listen_request
from voicekit.clients.deepgram.sessions import TranscriptionSession
from voicekit.clients.execute import open_socket
from voicekit.clients.urls import socket_url
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits, Operation, OperationClass

if TYPE_CHECKING:
    from voicekit.operation import Call
    from voicekit.transport.interfaces import Socket

OPEN_TRANSCRIPTION: Final = Operation(
    provider=PROVIDER,
    name="open_transcription",
    service="transcription",
    kind=OperationClass.COMPUTE,
    limits=Limits(connect=2.0, gap=10.0),
    session=True,
)
# What the provider owes first is its answer to the handshake.
_LIMITS: Final = replace(OPEN_TRANSCRIPTION.limits, first_output=OPEN_TRANSCRIPTION.limits.gap)

# Source: ours. Calls have few sets of options, most often one.
_MAX_REQUESTS: Final = 64


class LiveTranscription(Authorized):
    """Audio in, results out, over a socket of its own."""

    _live_requests: dict[tuple[Any, ...], ListenRequest]
    """Those made before, by their options. The constructor's, and each view has its own."""

    def live_request(self, **options: Unpack[ListenOptions]) -> ListenRequest:
        """Merge, validate and freeze; no I/O.

        Args:
            **options: On top of the constructor's.

        Raises:
            InvalidArgumentError: Naming the argument, what it was and what is allowed.
        """
        # By type as well: 0 and False are equal, and not the same.
        key = tuple([(name, type(value), value) for name, value in options.items()])
        try:
            known = self._live_requests.get(key)
        except TypeError:  # a list or a mapping, which has no hash
            return self._family(ListenSettings).updated(options, where="live").request()
        if known is None:
            known = self._family(ListenSettings).updated(options, where="live").request()
            if len(self._live_requests) < _MAX_REQUESTS:
                self._live_requests[key] = known
        return known

    def open_transcription(
        self, request: ListenRequest | None = None, /, **options: Unpack[ListenOptions]
    ) -> TranscriptionSession:
        """Audio goes in, interim and final results come out: see ``TranscriptionSession``.

        Returns a handle without I/O; entering, awaiting or iterating it opens one socket, on
        a warm connection if there is one (``session.connection.reused``). Limits: connect
        2 s; gap 10 s, for the handshake's answer and for results while audio was sent that
        none of them covers, or after ``finish()``. Cancelled while it opens, nothing is
        left. A connection that is lost afterwards is replaced (``reconnect``).

        Args:
            request: A request made before (then no options).
            **options: On top of the constructor's; ``format`` above all.

        Raises:
            InvalidArgumentError: At once; everything else is raised by the handle.
            InvalidRequestError: The vendor refuses the request, or cannot decode the audio.
            RateLimitError: Too many streams are open on the account.
            UnavailableError: The vendor failed, or closed for want of audio.
            TransportError: The connection failed, or what came is no transcription.
            StreamInterruptedError: While iterating: it broke off after its first result.
            VoicekitError: As for ``transcribe``.
        """
        if request is None:
            request = self.live_request(**options)
        elif not isinstance(request, ListenRequest):
            raise InvalidArgumentError(
                f"got a {type(request).__name__}",
                argument="request",
                allowed="what live_request() returns; audio is for the session's send()",
            )
        else:
            no_options(options, allowed="in live_request()")
        return TranscriptionSession(
            request,
            make_call=partial(self._listen_call, request),
            dial=partial(self._dial, request),
            background=lambda: self.transport.background,
        )

    def _listen_call(self, request: ListenRequest | None = None) -> Call:
        call = self._call(OPEN_TRANSCRIPTION, request)
        if call.limits is OPEN_TRANSCRIPTION.limits:
            call.limits = _LIMITS
        elif call.limits.first_output is None:
            call.limits = replace(call.limits, first_output=call.limits.gap)
        return call

    async def _dial(self, request: ListenRequest, call: Call) -> Socket:
        key = await self._credential.get()
        url = socket_url(self.base_url, LISTEN_PATH)
        handshake = listen_request(url, self._scheme, key, request)
        return await open_socket(self.transport, call, handshake, DIALECT)
