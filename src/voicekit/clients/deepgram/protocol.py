"""Live transcription on the wire, sans-IO: the handshake, what we say, and what is owed.

Source: Deepgram fact sheet of 2026-11, §3 (AsyncAPI of /v1/listen, July 2026; pages on
KeepAlive, Finalize and CloseStream).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from voicekit import __version__, checks
from voicekit.checks import encodable, is_sequence, wrong
from voicekit.clients.deepgram.errors import read_error_message
from voicekit.clients.deepgram.finals import Finals
from voicekit.clients.deepgram.results import (
    read_message,
    read_results,
    read_speech_started,
    read_utterance_end,
)
from voicekit.errors import ProviderError
from voicekit.speech import SpeechStarted, TranscriptionGap, TranscriptionResult, UtteranceEnd
from voicekit.transport.messages import Request, merge_headers

if TYPE_CHECKING:
    from voicekit.clients.deepgram.audio import WireAudio
    from voicekit.clients.deepgram.config import ListenRequest

ListenEvent = TranscriptionResult | SpeechStarted | UtteranceEnd | TranscriptionGap
"""What a live transcription yields."""

KEEP_ALIVE: Final = '{"type":"KeepAlive"}'
FINALIZE: Final = '{"type":"Finalize"}'
CLOSE_STREAM: Final = '{"type":"CloseStream"}'

# Source: ours. Results end at the vendor's own frames, not at the last sample that it has.
_COVERED_S: Final = 0.050

# Source: sheet §3, interims come about once a second: the vendor may hold that much
# and say nothing until more audio comes. Twice that, since it is "about".
_HELD_S: Final = 2.0


def listen_request(url: str, scheme: str, key: str, request: ListenRequest) -> Request:
    """The handshake of one socket; ``scheme`` is ``"Token"`` for a key, else ``"Bearer"``."""
    headers = headers_of(scheme, key, request.headers)
    return Request("GET", f"{url}?{request.query}", headers)


def headers_of(
    scheme: str, key: str, extra: Mapping[str, str], content_type: str | None = None
) -> dict[str, str]:
    """The headers of one request; the caller's own stand in place of ours."""
    headers = {"Authorization": f"{scheme} {key}", "User-Agent": f"voicekit/{__version__}"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    return merge_headers(headers, extra)


def finalize_message(channel: int | None) -> str:
    """Asks for everything heard so far, on one channel or on all."""
    return FINALIZE if channel is None else f'{{"type":"Finalize","channel":{channel:d}}}'


def configure_fields(keyterms: Sequence[str] | None, numerals: bool | None) -> dict[str, Any]:
    """What a stream under way is to change: an empty sequence and None in turn change nothing.

    Raises:
        InvalidArgumentError: Nothing is to be changed, or not to that.
    """
    fields: dict[str, Any] = {}
    if keyterms is None:
        fields["keyterms"] = None
    elif not is_sequence(keyterms) or not all(isinstance(term, str) for term in keyterms):
        raise wrong("keyterms", keyterms, "a sequence of str, or None for no words at all")
    elif keyterms:
        fields["keyterms"] = [encodable("keyterms", term) for term in keyterms]
    if numerals is not None:
        fields["features"] = {"numerals": checks.flag("numerals", numerals)}
    if not fields:
        raise wrong("keyterms", keyterms, "something to change: keyterms=…, numerals=…")
    return fields


def configure_message(fields: Mapping[str, Any]) -> str:
    """Asks for the change."""
    return json.dumps({"type": "Configure", **fields}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Configured:
    """The answer to a ``Configure`` message; ``error`` is None for yes."""

    error: ProviderError | None = None


class ListenState:
    """One socket's stream: what was sent, what of it was answered, what is still owed.

    The vendor counts time from the first byte on the socket. Callers count from the
    first byte of the session, so every time in a result is shifted: by ``offset``, and
    back by the silence of ours that went before theirs. ``acknowledged_s`` is how far
    final results reach: what was sent after it may have to be sent again on another
    socket, whose state then starts with an offset a little before it.

    Earlier sockets' final results are ``finals``, and reach, by channel, up to the ``settled``
    seconds. Of a ``silent`` stream the results go elsewhere, so that none are owed here.

    Attributes:
        offset: Second of the session at which this socket's audio begins.
        finishing: ``CloseStream`` was sent.
        done: The stream came to its own end.
        sent_bytes: Of audio, ours included; counted by whoever sends, as is ``quiet``.
        quiet: The vendor was told that no audio comes for the time being.
        metadata: Its summary of the stream, at the end.
        request_id: Its id of the stream, from a result.
        finals: What was said for good, on this and earlier sockets.
    """

    __slots__ = (
        "_again_until",
        "_answered_bytes",
        "_channels",
        "_final_s",
        "_heard_s",
        "_held_s",
        "_of",
        "_pad_bytes",
        "_rate",
        "_settled",
        "_settled_s",
        "_shift",
        "_silent",
        "done",
        "finals",
        "finishing",
        "metadata",
        "offset",
        "quiet",
        "request_id",
        "sent_bytes",
    )

    def __init__(
        self,
        audio: WireAudio,
        *,
        offset: float = 0.0,
        settled: Mapping[int, float] | None = None,
        finals: Finals | None = None,
        interim_results: bool = True,
        silent: bool = False,
    ) -> None:
        self.offset = offset
        self.finishing = self.done = self.quiet = False
        self.metadata: dict[str, Any] | None = None
        self.request_id: str | None = None
        self.finals = finals or Finals()
        self._settled = settled or {0: offset}
        self._settled_s = min(self._settled.values())
        self._again_until = self.finals.resume(offset, settled) if settled else 0.0
        self._rate = audio.byte_rate
        self._held_s = _HELD_S if interim_results else float("inf")
        self._silent = silent
        self._shift = offset
        self.sent_bytes = 0
        self._pad_bytes = 0
        self._answered_bytes = 0  # for audio whose bytes do not tell its time
        self._heard_s = 0.0  # on the socket's clock, as are the next two
        self._final_s = 0.0
        self._channels: dict[int, tuple[float, float]] = {}
        self._of = 1

    # -- what was sent --

    def padded(self, size: int) -> None:
        """So many bytes of silence of ours went out before any of the caller's."""
        assert self._rate is not None  # noqa: S101 - silence is made only where bytes tell
        self.sent_bytes += size
        self._pad_bytes += size
        seconds = self._pad_bytes / self._rate
        self._shift = self.offset - seconds
        # Nobody waits for what is said about it.
        self._heard_s = self._final_s = seconds

    @property
    def audio_bytes(self) -> int:
        """Of the caller's audio, on this socket."""
        return self.sent_bytes - self._pad_bytes

    @property
    def unanswered(self) -> bool:
        """Whether audio was sent since the last result."""
        return self.sent_bytes > self._answered_bytes

    @property
    def answered(self) -> bool:
        """Whether this socket has said anything about its audio."""
        return self._answered_bytes > 0

    @property
    def sent_s(self) -> float | None:
        """Seconds of the session that went out so far; None where bytes do not tell."""
        rate = self._rate
        if rate is None:
            return None
        return self.offset + self.audio_bytes / rate

    @property
    def acknowledged_s(self) -> float:
        """Seconds of the session that final results cover, on every channel."""
        return max(self._settled_s, self._final_s + self._shift)

    @property
    def settled(self) -> dict[int, float]:
        """The same, by channel."""
        if not self._channels:
            return {**self._settled, 0: max(self._settled.get(0, 0.0), self.acknowledged_s)}
        settled = {c: self._settled.get(c, self._settled_s) for c in range(self._of)}
        for channel, (_, final) in self._channels.items():
            settled[channel] = max(settled[channel], final + self._shift)
        return settled

    @property
    def heard_s(self) -> float:
        """Seconds of the session that any result covers, on every channel."""
        return max(self._settled_s, self._heard_s + self._shift)

    def owes(self) -> bool:
        """Whether the vendor has something to say without hearing more first."""
        if self.finishing:
            return not self.done
        if self._silent:
            return False
        if self._rate is None:
            return self.sent_bytes > self._answered_bytes and not self.quiet
        uncovered = self.sent_bytes / self._rate - self._heard_s
        # Once audio pauses, the rest of a second may stay with the vendor for as long as
        # the pause lasts: that is no failure of its.
        return uncovered > _COVERED_S and not (self.quiet and uncovered <= self._held_s)

    # -- what was said --

    def read(self, data: str | bytes) -> ListenEvent | Configured | None:
        """One frame from the server; None for what is nothing to the caller.

        Raises:
            ProviderError: The vendor reports an error.
            RemoteProtocolError: It is no message of this protocol.
            LocalProtocolError: The transcript is larger than any speech.
        """
        message = read_message(data)
        kind = message.get("type")
        if kind == "Results":
            result = read_results(message, self._shift)
            self._heard(result, message)
            if result.start < self._again_until:
                rest = self.finals.cut(result)
                if rest is None:
                    return None
                result = rest
            if result.is_final and not self.finals.add(result):
                return None
            return result
        match kind:
            case "SpeechStarted":
                started = read_speech_started(message, self._shift)
                return started if self.finals.tells(started, self._again_until) else None
            case "UtteranceEnd":
                ended = read_utterance_end(message, self._shift)
                return ended if self.finals.tells(ended, self._again_until) else None
            case "Metadata":
                self.metadata = message
                # Unasked for, it ends nothing: what is sent after it would be lost.
                self.done = self.finishing
            case "Error":
                raise read_error_message(message)
            case "ConfigureSuccess":
                return Configured()
            case "ConfigureFailure":
                return Configured(read_error_message(message))
        return None  # newer messages are not for us

    def _heard(self, result: TranscriptionResult, message: dict[str, Any]) -> None:
        self._answered_bytes = self.sent_bytes
        end = message["start"] + result.duration
        index, of = result.channel or (0, 1)
        if of == 1:
            if end > self._heard_s:
                self._heard_s = end
            if result.is_final and end > self._final_s:
                self._final_s = end
        else:
            self._of = of
            heard, final = self._channels.get(index, (0.0, 0.0))
            self._channels[index] = max(heard, end), max(final, end) if result.is_final else final
            if len(self._channels) >= of:
                self._heard_s = max(self._heard_s, min(h for h, _ in self._channels.values()))
                self._final_s = max(self._final_s, min(f for _, f in self._channels.values()))
        if self.request_id is None:
            named = message.get("metadata")
            if isinstance(named, dict) and isinstance(named.get("request_id"), str):
                self.request_id = named["request_id"][:200]
        if result.language is not None:
            self.finals.language = result.language

    @property
    def duration(self) -> float:
        """Seconds of audio that the vendor has heard of this session."""
        told = self.metadata.get("duration") if self.metadata is not None else None
        if checks.is_number(told) and 0 <= told < float("inf"):
            return max(0.0, told + self._shift)
        return self.heard_s
