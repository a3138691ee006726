"""One live transcription: reads audio and controls, hears, and answers in order.

One task reads, one sends results in the order in which they fell due, and a watchdog counts the
client's silence. Decoding starts the moment a result falls due and overlaps
the scenario's latency; a result leaves when both are over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from typing_extensions import override

from voicekit.emulator.codecs import UnsupportedFormat
from voicekit.emulator.ears import Ears, ScriptedEars, spread
from voicekit.emulator.providers.base import Received, Socket
from voicekit.emulator.providers.deepgram_channel import (
    Channel,
    Script,
    final_words,
    interim_text,
)
from voicekit.emulator.providers.deepgram_listen import (
    Due,
    FinalDue,
    Hear,
    InterimDue,
    Listener,
    SpeechStartedDue,
    UtteranceEndDue,
)
from voicekit.emulator.providers.deepgram_outbox import Outbox, Pending
from voicekit.emulator.providers.deepgram_query import (
    MAX_KEYTERM_TOKENS,
    ListenOptions,
    keyterm_words,
)
from voicekit.emulator.providers.deepgram_results import Messages, Word
from voicekit.emulator.providers.session import Goodbye, SocketSession
from voicekit.emulator.spoken import Spoken, SpokenEar
from voicekit.emulator.stream_decoder import StreamDecoder

IDLE_LIMIT = 10.0
"""Seconds without audio or text. Source: the vendor's page on KeepAlive and NET-0001."""

NET_0001 = (
    "Deepgram did not receive audio data or a text message within the timeout window. "
    "See https://dpgr.am/net0001"
)
"""Close reason as seen in the field, prose rather than the bare label."""

NET_0000 = "NET-0000: the service did not produce a transcript. See https://dpgr.am/net0000"
DATA_0000 = "DATA-0000: the payload cannot be decoded as audio. See https://dpgr.am/data0000"


class ListenSession(SocketSession):
    """Serves one socket from its first frame to its close.

    Without ears it hears the scenario's words; `time_scale` is a factor on the 10 s of NET-0001.
    """

    failure = Goodbye(code=1011, reason=NET_0000)

    def __init__(
        self,
        socket: Socket,
        *,
        options: ListenOptions,
        request_id: str,
        time_scale: float = 1.0,
    ) -> None:
        super().__init__(socket)
        self.options = options
        self.messages = Messages(request_id=request_id, options=options)
        self._scenario = socket.exchange.ctx.scenario
        ears = socket.exchange.ctx.ears
        self._ears: Ears = ears if ears is not None else ScriptedEars(self._scenario.heard)
        self._scripted = ears is None
        self._decoder = StreamDecoder(
            options.encoding,
            sample_rate=options.sample_rate,
            channels=options.channels,
            split=options.multichannel,
        )
        self._channels: list[Channel] = []
        self._patience = IDLE_LIMIT * time_scale
        self._opened = self._last_message = self._loop.time()
        self._had_audio = False
        self._finishing = False
        self._digest = hashlib.sha256()
        self._outbox = Outbox()

    @override
    async def serve(self) -> None:
        self.start(self._send_in_order(), name="results")
        try:
            await super().serve()
        finally:
            for channel in self._channels:
                if channel.hearing is not None:
                    channel.hearing.close()

    @property
    @override
    def busy(self) -> bool:
        return not self._outbox.empty

    # -- what the client sends --

    @override
    def take(self, received: Received) -> None:
        if self._finishing:
            return
        if received.binary is not None:
            self._take_audio(received.binary)
            return
        self._last_message = self._loop.time()
        match received.data.get("type") if isinstance(received.data, dict) else None:
            case "KeepAlive":
                pass
            case "Finalize":
                self._finalize(received.data.get("channel"))
            case "CloseStream":
                self._end_stream()
            case "Configure":
                self._outbox.say(self._configure(received.data))
            case _:
                self._outbox.say(self.messages.error("Unknown type of text message."))

    def _take_audio(self, data: bytes) -> None:
        if not data:
            # The vendor ends the stream on a zero-length frame, an older way to say CloseStream.
            self._end_stream()
            return
        if _is_message(data):
            self.close(Goodbye(code=1008, reason=DATA_0000))
            return
        self._last_message = self._loop.time()
        self._had_audio = True
        self._digest.update(data)
        try:
            pieces = self._decoder.feed(data)
        except UnsupportedFormat:
            self.close(Goodbye(code=1008, reason=DATA_0000))
            return
        if pieces and not self._channels:
            self._open_channels()
        for channel, pcm in zip(self._channels, pieces, strict=True):
            self._act(channel, channel.listener.feed(pcm))

    def _open_channels(self) -> None:
        self._channels = [
            Channel(
                index,
                Listener(
                    sample_rate=self._decoder.sample_rate,
                    endpointing=self.options.endpointing,
                    utterance_end=self.options.utterance_end,
                    interim_every=self._scenario.transcript_interim_every,
                ),
                script=Script() if self._scripted else None,
                spoken=self._spoken_ear(),
            )
            for index in range(self._decoder.channels)
        ]
        self.messages = replace(self.messages, channels=self._decoder.channels)

    def _spoken_ear(self) -> SpokenEar | None:
        heard = self._scenario.heard
        if self._scripted and isinstance(heard, Spoken):
            return SpokenEar(heard, self._decoder.sample_rate)
        return None

    def _finalize(self, only: object) -> None:
        for channel in self._channels:
            if only is None or only == channel.index:
                self._act(channel, channel.listener.finalize(requested=True))

    def _end_stream(self) -> None:
        """Answer what is left, say `Metadata` and close normally."""
        self._finishing = True
        for channel in self._channels:
            self._act(channel, channel.listener.finalize(requested=False))
        if not self.socket.exchange.has_fault("no_end_marker"):
            self._outbox.say(self._metadata())
        else:
            self.socket.exchange.struck()
        self._outbox.end()

    def _configure(self, fields: dict[str, Any]) -> dict[str, Any]:
        keyterms = fields.get("keyterms")
        if keyterms is not None and not self.options.model.startswith("nova-3"):
            return self.messages.configured(
                code="CONFIGURE_KEYTERMS_NOT_SUPPORTED",
                description="Key terms need a nova-3 model.",
            )
        if keyterms is not None and not (
            isinstance(keyterms, list) and all(isinstance(term, str) for term in keyterms)
        ):
            return self.messages.error("keyterms must be a list of strings or null")
        if keyterms and keyterm_words(keyterms) > MAX_KEYTERM_TOKENS:
            return self.messages.configured(
                code="CONFIGURE_KEYTERM_LIMIT_EXCEEDED",
                description=f"At most {MAX_KEYTERM_TOKENS} tokens.",
            )
        if "keyterms" in fields:
            self.options = replace(self.options, keyterms=tuple(keyterms or ()))
        return self.messages.configured(keyterms=list(self.options.keyterms))

    # -- what falls due --

    def _act(self, channel: Channel, dues: Iterable[Due]) -> None:
        for due in dues:
            match due:
                case Hear(pcm):
                    self._hear(channel, pcm)
                case InterimDue():
                    self._interim(channel, due)
                case FinalDue():
                    self._final(channel, due)
                case SpeechStartedDue(at) if self.options.vad_events:
                    self._outbox.say(self.messages.speech_started(channel=channel.index, at=at))
                case UtteranceEndDue(last_speech):
                    self._utterance_end(channel, last_speech)

    def _hear(self, channel: Channel, pcm: bytes) -> None:
        if channel.spoken is not None:
            channel.spoken.feed(pcm)
            return
        if channel.hearing is None:
            # One hearing per span: its end is then the exact sample at which the span ended.
            channel.hearing = self._ears.open(
                sample_rate=self._decoder.sample_rate, channels=1, encoding="linear16"
            )
        channel.hearing.feed(pcm)

    def _interim(self, channel: Channel, due: InterimDue) -> None:
        if not self.options.interim_results:
            return
        if channel.spoken is not None:
            self._outbox.say(self._said(channel, due))
            return
        if channel.hearing is None:
            return

        def message(text: str) -> dict[str, Any]:
            return self._results(
                channel, due, spread(text.split(), due.start, due.end, confidence=0.9)
            )

        silent = channel.script is not None and channel.script.silent(voiced=due.voiced)
        heard = self.start(interim_text(channel.hearing, silent=silent), name="interim")
        channel.interims.append(heard)
        heard.add_done_callback(channel.interims.remove)
        self._outbox.put(Pending(message, heard))

    def _final(self, channel: Channel, due: FinalDue) -> None:
        for pointless in channel.interims:
            pointless.cancel()
        ready = self._loop.time() + self.socket.exchange.draw(self._scenario.transcript_final)
        if channel.spoken is not None:
            said = self._said(channel, due)
            self._outbox.put(Pending(lambda _: said, None, ready))
            return
        hearing, channel.hearing = channel.hearing, None

        def message(words: Sequence[Word]) -> dict[str, Any]:
            absolute = [
                (word, due.start + start, due.start + end, confidence)
                for word, start, end, confidence in words
            ]
            return self._results(channel, due, absolute)

        silent = False
        if channel.script is not None:
            silent = channel.script.silent(voiced=due.voiced)
            channel.script.spoken(speech_final=due.speech_final)
        heard = self.start(final_words(hearing, silent=silent), name="final")
        self._outbox.put(Pending(message, heard, ready))

    def _said(self, channel: Channel, due: InterimDue | FinalDue) -> dict[str, Any]:
        """What a recording that tells its places has said in a span."""
        assert channel.spoken is not None  # noqa: S101 - whoever calls has looked
        words = [
            (word, max(start, due.start), min(end, due.end), confidence)
            for word, start, end, confidence in channel.spoken.words(
                final=isinstance(due, FinalDue)
            )
        ]
        return self._results(channel, due, words)

    def _results(
        self, channel: Channel, due: InterimDue | FinalDue, words: Sequence[Word]
    ) -> dict[str, Any]:
        final = due if isinstance(due, FinalDue) else None
        if final is not None and words:
            channel.last_word_end = words[-1][2]
        return self.messages.results(
            words,
            channel=channel.index,
            start=due.start,
            end=due.end,
            is_final=final is not None,
            speech_final=final is not None and final.speech_final,
            from_finalize=final is not None and final.from_finalize,
        )

    def _utterance_end(self, channel: Channel, last_speech: float) -> None:
        def message(_: object) -> dict[str, Any]:
            end = last_speech if channel.last_word_end is None else channel.last_word_end
            return self.messages.utterance_end(channel=channel.index, last_word_end=end)

        self._outbox.put(Pending(message))

    def _metadata(self) -> dict[str, Any]:
        duration = max((each.listener.position for each in self._channels), default=0.0)
        return self.messages.metadata(sha256=self._digest.hexdigest(), duration=duration)

    # -- sending and closing --

    async def _send_in_order(self) -> None:
        await self._outbox.drain(self._send)
        self.close(Goodbye())

    async def _send(self, message: dict[str, Any]) -> None:
        if fault := self.socket.error_due():
            told = fault.body if isinstance(fault.body, dict) else None
            error = told or self.messages.error("Internal error", variant="InternalError")
            self.close(Goodbye(code=fault.code or 1011, reason=NET_0000, message=error))
            return
        await self.socket.send_json(message)

    @override
    def patience_left(self) -> float:
        """Return the seconds until NET-0001; text alone does not count before the first audio."""
        if self._finishing:
            return self._patience
        since = self._last_message if self._had_audio else self._opened
        return since + self._patience - self._loop.time()

    @override
    def expire(self) -> None:
        self.close(Goodbye(code=1011, reason=NET_0001))


def _is_message(data: bytes) -> bool:
    """Tell whether a binary frame is a control message sent the wrong way."""
    if data[:1] != b"{":
        return False
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False
