"""The process that speaks or listens: ``python -m voicekit.emulator.speech_worker``.

Synthesis and decoding hold the GIL for a quarter of a second at a time; in the emulator's own
process they would stall every connection. One worker has one role, ``voice`` or ``ears``, loads
its models, says ``ready``, and then serves requests over the socket that is its standard input.
It is single-threaded: between two slices of work it reads what has come. It ends when that
socket ends or its parent is gone. Its standard output and error lead nowhere, because libespeak
and PocketSphinx write to them as they please.

Requests carry an ``id`` and are answered once, unless cancelled while they waited.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from voicekit.emulator.codecs import PcmReader
from voicekit.emulator.espeak import Espeak
from voicekit.emulator.resample import Resampler
from voicekit.emulator.speech_messages import Message, Splitter, pack
from voicekit.emulator.sphinx import Recognizer, Utterance

_LOOK_FOR_PARENT_S = 1.0
_READ_BYTES = 1 << 18
_SLICE_S = 4
"""Seconds of speech resampled before waiting requests are looked at: about 50 ms of work."""


class _Channel:
    """The socket to the emulator, blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._splitter = Splitter()

    def receive(self, timeout: float) -> list[Message]:
        """Return what has come within so many seconds; EOFError once the emulator is gone."""
        readable, _, _ = select.select([self._sock], [], [], timeout)
        if not readable:
            return []
        data = self._sock.recv(_READ_BYTES)
        if not data:
            raise EOFError
        return self._splitter.feed(data)

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self._sock.sendall(pack(header, payload))


@dataclass(slots=True)
class _Reading:
    """One text on its way to PCM: still text, or some seconds of it converted."""

    id: int
    text: str
    voice_id: str
    sample_rate: int
    spoken: bytes = b""
    resampler: Resampler | None = None
    done: int = 0
    parts: list[bytes] = field(default_factory=list)


class _Voice:
    """Reads texts aloud, taking turns, so that a short one never waits for a long one's end."""

    def __init__(self, channel: _Channel) -> None:
        import espeakng_loader

        self._channel = channel
        self._espeak = Espeak(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
        self._readings: deque[_Reading] = deque()

    @property
    def busy(self) -> bool:
        return bool(self._readings)

    def handle(self, header: dict[str, Any], payload: bytes) -> None:
        if header["kind"] == "speak":
            text = payload.decode("utf-8", "replace")
            self._readings.append(
                _Reading(header["id"], text, header["voice_id"], header["sample_rate"])
            )
        elif header["kind"] == "cancel":
            self._readings = deque(r for r in self._readings if r.id != header["id"])

    def step(self) -> None:
        reading = self._readings.popleft()
        if reading.resampler is None:
            reading.spoken = self._espeak.read(reading.text, voice_id=reading.voice_id)
            reading.resampler = Resampler(self._espeak.sample_rate, reading.sample_rate, lobes=4)
        end = reading.done + _SLICE_S * 2 * self._espeak.sample_rate
        reading.parts.append(reading.resampler.feed(reading.spoken[reading.done : end]))
        reading.done = end
        if end < len(reading.spoken):
            self._readings.append(reading)
        else:
            pcm = b"".join((*reading.parts, reading.resampler.flush()))
            self._channel.send({"id": reading.id}, pcm)


class _Ears:
    """Follows any number of hearings. Finals go first, then interims, then frames to follow."""

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self._recognizer = Recognizer()
        self._hearings: dict[int, Utterance] = {}
        self._behind: dict[int, Utterance] = {}
        self._finals: deque[dict[str, Any]] = deque()
        self._interims: deque[dict[str, Any]] = deque()

    @property
    def busy(self) -> bool:
        return bool(self._finals or self._interims or self._behind)

    def handle(self, header: dict[str, Any], payload: bytes) -> None:
        match header["kind"]:
            case "open":
                reader = PcmReader(
                    header["encoding"],
                    sample_rate=header["sample_rate"],
                    channels=header["channels"],
                )
                self._hearings[header["hearing"]] = Utterance(reader)
            case "feed":
                self._feed(header["hearing"], payload)
            case "interim":
                self._interims.append(header)
            case "final":
                self._finals.append(header)
            case "close":
                self._close(header["hearing"])
            case "cancel":
                gone = header["id"]
                self._finals = deque(w for w in self._finals if w["id"] != gone)
                self._interims = deque(w for w in self._interims if w["id"] != gone)
            case _:
                pass

    def step(self) -> None:
        if self._finals:
            self._final(self._finals.popleft())
        elif self._interims:
            self._interim(self._interims[0])
        else:
            self._catch_up()

    def _feed(self, hearing: int, data: bytes) -> None:
        utterance = self._hearings.get(hearing)
        if utterance is not None:
            utterance.feed(data)
            # Who asked for an interim will ask again: follow the frames as they come.
            if self._recognizer.follows(utterance):
                self._behind[hearing] = utterance

    def _close(self, hearing: int) -> None:
        utterance = self._hearings.pop(hearing, None)
        if utterance is not None:
            self._stop_following(hearing, utterance)

    def _stop_following(self, hearing: int, utterance: Utterance) -> None:
        self._behind.pop(hearing, None)
        self._recognizer.forget(utterance)

    def _final(self, request: dict[str, Any]) -> None:
        utterance = self._utterance(request)
        if utterance is not None:
            # Nobody asks for interims of what is over; its decoder is free for another.
            self._stop_following(request["hearing"], utterance)
            self._channel.send({"id": request["id"], "words": self._recognizer.final(utterance)})

    def _interim(self, request: dict[str, Any]) -> None:
        utterance = self._utterance(request)
        if utterance is None:
            self._interims.popleft()
        elif self._recognizer.advance(utterance):
            self._interims.popleft()
            text = self._recognizer.interim(utterance)
            self._channel.send({"id": request["id"], "text": text})

    def _catch_up(self) -> None:
        hearing, utterance = self._behind.popitem()
        if self._recognizer.follows(utterance) and not self._recognizer.advance(utterance):
            self._behind[hearing] = utterance

    def _utterance(self, request: dict[str, Any]) -> Utterance | None:
        """The request's utterance, or None once the request has been answered with an error."""
        utterance = self._hearings.get(request["hearing"])
        error = "the hearing is closed" if utterance is None else utterance.error
        if error is not None:
            self._channel.send({"id": request["id"], "error": error})
            return None
        return utterance


_ROLES: dict[str, type[_Voice | _Ears]] = {"voice": _Voice, "ears": _Ears}


def main(role: str, parent: int) -> None:
    """Load a role's models, say so, and serve until the emulator, the parent, is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the emulator's: it closes us
    sock = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor, not a file
        os.dup2(nothing.fileno(), 0)
    channel = _Channel(sock)
    with sock, contextlib.suppress(EOFError, ConnectionError):
        try:
            worker = _ROLES[role](channel)
            channel.send({"ready": True})
            _serve(channel, worker, parent)
        except (EOFError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - its last words, without what was said
            channel.send({"fatal": _last_words(error)})


def _serve(channel: _Channel, worker: _Voice | _Ears, parent: int) -> None:
    """Hand messages to the worker, which does no long work with them, and let it work in slices."""
    while os.getppid() == parent:
        # A forked sibling of ours may hold the emulator's end open, so look for the parent too.
        for header, payload in channel.receive(0 if worker.busy else _LOOK_FOR_PARENT_S):
            worker.handle(header, payload)
        if worker.busy:
            worker.step()


def _last_words(error: Exception) -> str:
    if isinstance(error, (ImportError, OSError)):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
