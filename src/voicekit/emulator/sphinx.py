"""PocketSphinx: what was said, from audio alone. Used inside the ears' worker process only.

Two readings of the same frames. While they come, a streaming decoder follows them one by one and
gives interim text; when an utterance is over, its whole buffer is decoded again, with the mean of
its own cepstra instead of a running guess, which hears better. Nothing is looked up anywhere.

Source: pocketsphinx 5.1.1 and the ``en-us`` model in its wheel.
"""

from __future__ import annotations

import random
import re
import warnings
from array import array
from dataclasses import dataclass, field
from typing import Any, Final

from voicekit.emulator.codecs import PcmReader
from voicekit.emulator.resample import Resampler
from voicekit.emulator.samples import samples_of

SAMPLE_RATE: Final = 16_000
MAX_UTTERANCE_S: Final = 120
"""Seconds of one utterance that are kept and heard; what follows is not."""

_TELEPHONE_RATE: Final = 8000
_FRAME_BYTES: Final = 640  # 20 ms
_SLICE_FRAMES: Final = 5
"""Frames decoded before waiting requests are looked at: about 10 ms of work."""

_MAX_STREAMS: Final = 2
"""Streaming decoders, at 100 MB each. More hearings than that take turns, from their buffers."""

_BATCH_S: Final = 0.1
"""Seconds collected before resampling: the filter's set-up is paid per batch."""

_SILENCE: Final = 150
"""Peaks below it are silence (-47 dB): in digital silence PocketSphinx hears the word "in"."""

_MARGIN_S: Final = 0.2
"""Seconds of silence kept around the voiced part; decoding the rest would only take time."""

_MAX_ACTIVE: Final = 3000
"""PocketSphinx's ``maxhmmpf``, hypotheses kept per frame, by default 30,000.

Measured: on our three recordings the same words as with the default in half the time (0.25 s for
2.4 s of speech); with 2,000 the words begin to differ.
"""

_MAX_ACTIVE_INTERIM: Final = 1500

Word = tuple[str, float, float, float]
"""The word, its start and end in seconds from the utterance's first sample, its posterior."""


@dataclass(slots=True)
class Utterance:
    """What is being heard: the frames so far, as 16 kHz mono, or what was wrong with them."""

    reader: PcmReader
    error: str | None = None
    _raw: bytearray = field(default_factory=bytearray)
    _resampler: Resampler | None = None
    _pcm: bytearray = field(default_factory=bytearray)
    _peak: int = 0

    def feed(self, data: bytes) -> None:
        """Take what the client sent, cut anywhere."""
        if self.error is not None:
            return
        try:
            self._raw += self.reader.feed(data)
        except ValueError as error:
            self.error = str(error)
            return
        if len(self._raw) >= 2 * self.reader.sample_rate * _BATCH_S:
            self._convert()

    def pcm(self) -> bytearray:
        """All frames so far; not to be changed."""
        if self._raw:
            self._convert()
        return self._pcm

    @property
    def silent(self) -> bool:
        """True while nothing rose above the noise of a quiet room."""
        return self._peak < _SILENCE

    def voiced(self) -> tuple[int, int]:
        """Where the first and the last sound lie, in bytes of `pcm`, with a margin around."""
        samples = samples_of(self.pcm())
        floor, block = max(_SILENCE, self._peak // 64), SAMPLE_RATE // 100
        loud = [
            at
            for at in range(0, len(samples), block)
            if max(samples[at : at + block]) >= floor or -min(samples[at : at + block]) >= floor
        ]
        if not loud:
            return 0, 0
        margin = round(_MARGIN_S * SAMPLE_RATE)
        start, end = max(0, loud[0] - margin), min(len(samples), loud[-1] + block + margin)
        return 2 * start, 2 * end

    def _convert(self) -> None:
        if self.reader.sample_rate == _TELEPHONE_RATE:
            pcm = _doubled(self._raw)
        else:
            if self._resampler is None:
                self._resampler = Resampler(self.reader.sample_rate, SAMPLE_RATE)
            pcm = self._resampler.feed(bytes(self._raw))
        self._raw.clear()
        pcm = pcm[: 2 * SAMPLE_RATE * MAX_UTTERANCE_S - len(self._pcm)]
        if pcm:
            samples = samples_of(pcm)
            loudest, lowest = max(samples), min(samples)
            self._peak = max(self._peak, loudest, -lowest)
            self._pcm += pcm


def _doubled(pcm: bytearray) -> bytes:
    """Each sample twice: 8 kHz to 16 kHz, without taking out the mirror image above 4 kHz.

    It stands in for what the telephone took away, where the model expects consonants to have
    something. Measured: the question, brought to 8 kHz in six ways, has 2 wrong words in all
    instead of 9; the two human recordings fare the same.
    """
    samples = array("h", pcm)
    twice = array("h", bytes(2 * len(pcm)))
    twice[0::2] = twice[1::2] = samples
    return twice.tobytes()


@dataclass(slots=True)
class _Stream:
    """A streaming decoder and the utterance that it follows."""

    decoder: Any
    mean: str
    follows: Utterance | None = None
    done: int = 0

    def follow(self, utterance: Utterance) -> None:
        self.release()
        _forget_the_last(self.decoder)
        self.decoder.set_cmn(self.mean)
        self.decoder.start_utt()
        self.follows, self.done = utterance, 0

    def release(self) -> None:
        if self.follows is not None:
            self.decoder.end_utt()
            self.follows = None

    def advance(self, utterance: Utterance) -> bool:
        """Decode a few frames of what it follows. True when no whole frame is left."""
        pcm = utterance.pcm()
        for _ in range(_SLICE_FRAMES):
            if len(pcm) - self.done < _FRAME_BYTES:
                return True
            frame = bytes(pcm[self.done : self.done + _FRAME_BYTES])
            self.decoder.process_raw(frame, False, False)
            self.done += _FRAME_BYTES
        return len(pcm) - self.done < _FRAME_BYTES

    def text(self) -> str:
        hypothesis = self.decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""


class Recognizer:
    """The decoders, loaded and warm. Single-threaded: PocketSphinx holds the GIL while it works.

    Raises:
        RuntimeError: The model does not load.
    """

    def __init__(self) -> None:
        self._whole = _decoder(cmn="batch", maxhmmpf=_MAX_ACTIVE)
        self._streams = [self._new_stream()]
        self._decode(_noise())

    def final(self, utterance: Utterance) -> list[Word]:
        """Decode the whole buffer. Takes about a tenth of the utterance's duration."""
        start, end = utterance.voiced()
        offset = start / 2 / SAMPLE_RATE
        heard = self._decode(bytes(utterance.pcm()[start:end]))
        return [(word, offset + at, offset + to, sure) for word, at, to, sure in heard]

    def follows(self, utterance: Utterance) -> bool:
        """Whether a streaming decoder is at this utterance."""
        return any(stream.follows is utterance for stream in self._streams)

    def advance(self, utterance: Utterance) -> bool:
        """Let a streaming decoder follow a few frames more. True when it has caught up."""
        return self._stream_of(utterance).advance(utterance)

    def interim(self, utterance: Utterance) -> str:
        """What the frames followed so far sound like."""
        return "" if utterance.silent else self._stream_of(utterance).text()

    def forget(self, utterance: Utterance) -> None:
        """Free the streaming decoder that follows this utterance, if one does."""
        for stream in self._streams:
            if stream.follows is utterance:
                stream.release()

    def _stream_of(self, utterance: Utterance) -> _Stream:
        for stream in self._streams:
            if stream.follows is utterance:
                break
        else:
            stream = next((s for s in self._streams if s.follows is None), self._streams[0])
            if stream.follows is not None and len(self._streams) < _MAX_STREAMS:
                stream = self._new_stream()
                self._streams.append(stream)
            stream.follow(utterance)
        # Last used, last in the list: the first is the one to take from another hearing.
        self._streams.remove(stream)
        self._streams.append(stream)
        return stream

    def _new_stream(self) -> _Stream:
        # Interims may be rough: no second pass, no lattice.
        decoder = _decoder(fwdflat=False, bestpath=False, maxhmmpf=_MAX_ACTIVE_INTERIM)
        return _Stream(decoder, decoder.get_cmn())

    def _decode(self, pcm: bytes) -> list[Word]:
        decoder = self._whole
        if len(pcm) < SAMPLE_RATE // 5:  # a tenth of a second holds no word
            return []
        _forget_the_last(decoder)
        decoder.start_utt()
        decoder.process_raw(pcm, no_search=False, full_utt=True)
        decoder.end_utt()
        words: list[Word] = []
        for segment in decoder.seg() or ():
            if segment.word[0] in "<[+":  # sentence marks, silence and noises
                continue
            word = re.sub(r"\(\d+\)$", "", segment.word)  # which pronunciation it was
            start, end = segment.start_frame / 100, (segment.end_frame + 1) / 100
            words.append((word, start, end, min(1.0, max(0.0, float(segment.prob)))))
        return words


def _decoder(**settings: Any) -> Any:
    import pocketsphinx

    return pocketsphinx.Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **settings)


def _forget_the_last(decoder: Any) -> None:
    """Reset the noise estimate: what was heard before must not colour what is heard now.

    PocketSphinx calls it deprecated and unnecessary. It is neither: without it the same audio
    scores differently after other audio, and close calls ("today", "a day") go either way.
    """
    start_stream = getattr(decoder, "start_stream", None)
    if start_stream is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            start_stream()


def _noise() -> bytes:
    """Half a second that sounds like anything: decoding it brings the model into memory."""
    draw = random.Random(1)
    return array("h", [round(draw.gauss(0, 2000)) for _ in range(SAMPLE_RATE // 2)]).tobytes()
