"""When Deepgram says something about a stream: pauses, spans and what is due, without I/O.

Audio goes in as PCM in pieces of any size; out come, in order, the audio to be heard and the
moments at which a result falls due. Times are seconds of audio since the stream began.

Pauses are found by energy. A stretch counts as a pause only after `HANGOVER` of low energy, as a
voice activity detector would have it; the vendor's `endpointing` milliseconds run from there, so
that its default of 10 ms does not cut at every closed lip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voicekit.emulator.samples import samples_of

FRAME = 0.010
"""Seconds per decision."""

HANGOVER = 0.300
"""Seconds of low energy that make a pause. Ours: longer than the gaps inside spoken sentences of
the test recordings (up to 0.22 s)."""

ONSET_FRAMES = 3
"""Frames of energy in a row that make speech: a click is none."""

QUIET = 500
"""Sample peak below which nothing is speech, of 32,768."""

RELATIVE_QUIET = 0.06
"""The same as a fraction of the loudest sample so far."""

SPAN_LIMITS = ((5.0, 0.150), (8.0, 0.040), (9.5, 0.0))
"""A span this old (s) is frozen at the next dip this long (s), paused or not.

The vendor freezes spans every few seconds of unbroken speech and promises no number; within ten
seconds every second of audio is covered by some result.
"""


@dataclass(frozen=True, slots=True)
class Hear:
    """Audio that belongs to the span under way."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class InterimDue:
    """An interim result for [start, end); `voiced` as in `FinalDue`."""

    start: float
    end: float
    voiced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalDue:
    """A frozen span [start, end), with energy in it or not; the audio after it begins the next."""

    start: float
    end: float
    speech_final: bool = False
    from_finalize: bool = False
    voiced: bool = False


@dataclass(frozen=True, slots=True)
class SpeechStartedDue:
    """Speech began at this second."""

    at: float


@dataclass(frozen=True, slots=True)
class UtteranceEndDue:
    """The gap asked for has passed since speech was last heard, at this second."""

    last_speech: float


Due = Hear | InterimDue | FinalDue | SpeechStartedDue | UtteranceEndDue


class Listener:
    """The listening state of one channel; times in seconds of audio.

    `endpointing` is the pause that ends an utterance, `utterance_end` what `UtteranceEndDue` waits
    for, None never.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        endpointing: float | None,
        utterance_end: float | None = None,
        interim_every: float = 1.0,
    ) -> None:
        self._rate = sample_rate
        self._endpointing = endpointing
        self._utterance_end = utterance_end
        self._interim_every = interim_every
        self._frame_bytes = 2 * max(1, round(sample_rate * FRAME))
        self._rest = b""
        self._samples = 0
        self._span_start = 0.0
        self._last_result = 0.0
        self._loudest = 0
        self._loud_frames = 0
        self._quiet = 0.0
        self._voiced = False
        self._in_speech = False
        self._last_speech: float | None = None

    @property
    def position(self) -> float:
        """Seconds of audio taken in."""
        return self._samples / self._rate

    def feed(self, pcm: bytes) -> Iterator[Due]:
        """Take in audio; yields what it is and what falls due. Must be iterated to its end."""
        data = self._rest + pcm
        size = self._frame_bytes
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        unheard = 0
        for offset in range(0, whole, size):
            dues = self._frame(data[offset : offset + size])
            if dues:
                yield Hear(data[unheard : offset + size])
                unheard = offset + size
                yield from dues
        if unheard < whole:
            yield Hear(data[unheard:whole])

    def finalize(self, *, requested: bool) -> Iterator[Due]:
        """End the span under way, if it holds any audio: `requested`, or at the stream's end."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._samples += len(rest) // 2
            yield Hear(rest)
        if self.position > self._span_start:
            yield self._freeze(speech_final=True, from_finalize=requested)

    def _frame(self, frame: bytes) -> list[Due]:
        self._samples += len(frame) // 2
        now = self.position
        dues: list[Due] = []
        if self._is_loud(frame):
            self._loud_frames += 1
            if self._loud_frames >= ONSET_FRAMES:
                self._quiet = 0.0
                self._voiced = True
                self._last_speech = now
                if not self._in_speech:
                    self._in_speech = True
                    dues.append(SpeechStartedDue(max(0.0, now - ONSET_FRAMES * FRAME)))
        else:
            self._loud_frames = 0
            self._quiet += FRAME
        if self._paused():
            self._in_speech = False
            dues.append(self._freeze(speech_final=True))
        elif self._too_long(now - self._span_start):
            dues.append(self._freeze())
        elif now - self._last_result >= self._interim_every:
            self._last_result = now
            dues.append(InterimDue(self._span_start, now, self._voiced))
        ended = self._last_speech
        if ended is not None and self._gap_passed(now - ended):
            dues.append(UtteranceEndDue(ended))
            self._last_speech = None
            self._in_speech = False
        return dues

    def _is_loud(self, frame: bytes) -> bool:
        samples = samples_of(frame)
        peak = max(*samples, -min(samples))
        self._loudest = max(self._loudest, peak)
        return peak > max(QUIET, RELATIVE_QUIET * self._loudest)

    def _paused(self) -> bool:
        """Tell whether an utterance has just ended."""
        return (
            self._endpointing is not None
            and self._voiced
            and self._quiet >= HANGOVER + self._endpointing - FRAME / 2
        )

    def _too_long(self, age: float) -> bool:
        return any(age >= limit and self._quiet >= dip for limit, dip in SPAN_LIMITS)

    def _gap_passed(self, gap: float) -> bool:
        return self._utterance_end is not None and gap >= self._utterance_end

    def _freeze(self, *, speech_final: bool = False, from_finalize: bool = False) -> FinalDue:
        now = self.position
        due = FinalDue(
            start=self._span_start,
            end=now,
            speech_final=speech_final,
            from_finalize=from_finalize,
            voiced=self._voiced,
        )
        self._span_start = self._last_result = now
        self._voiced = False
        if speech_final:
            self._in_speech = False
        return due
