"""espeak-ng through ctypes: text in, PCM out. Used inside the voice's worker process only.

The library keeps state between readings (the phase of its wave generator, its noise), so the
same text would sound slightly different each time. It is therefore loaded afresh for every
reading, which costs 4 ms and makes a reading depend on nothing but its arguments.

Source: espeak-ng 1.52, ``speak_lib.h``; the library and its data come with ``espeakng_loader``.
"""

from __future__ import annotations

import _ctypes
import ctypes
import hashlib
import os
from array import array
from collections.abc import Callable
from typing import Any, Final

_SYNCHRONOUS: Final = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, no sound device
_DONT_EXIT: Final = 0x8000  # espeakINITIALIZE_DONT_EXIT: report missing data, do not exit()
_POS_CHARACTER: Final = 1
_UTF8: Final = 1
_END_PAUSE: Final = 0x1000  # espeakENDPAUSE: also after the last sentence
_PITCH: Final = 3
_SEED: Final = 1
_VOICE: Final = b"en-us+f3"
"""The female variant: of those tried, the one in which PocketSphinx makes out most words."""

_FULL_STOPS: Final = ".!?…"

_SILENCE: Final = 100
"""Samples below it are silence: -50 dB. espeak's pauses are digital zeros."""

_MID_SENTENCE_PAUSE_S: Final = 0.03
"""What is left of the pause at the end of a text that breaks off inside a sentence.

Measured: with it the parts of a text, cut at the first word's end from 50, 80 or 120 characters
on, add up to 0.99-1.05 of the whole text's reading; espeak's own pause is 0.3 s for each part.
"""

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """One clear English voice, at espeak-ng's own speed; voices differ in pitch.

    Args:
        library: Path of the shared library.
        data: Path of the ``espeak-ng-data`` directory.

    Attributes:
        sample_rate: Hz of what `read` returns.

    Raises:
        OSError: The library does not load, or finds no data.
    """

    def __init__(self, library: str, data: str) -> None:
        self._library = library
        self._data = os.fsencode(data)
        self._samples = bytearray()
        self._callback = _Callback(self._collect)
        self.sample_rate = 0
        self._read("", 50)

    def read(self, text: str, *, voice_id: str) -> bytes:
        """Read a text aloud.

        Args:
            text: Plain text. No mark-up is understood.
            voice_id: Any string; each has its own pitch, all the same speed.

        Returns:
            PCM, signed 16-bit, native byte order, mono, at `sample_rate`; empty if there is
            nothing to say.
        """
        pcm = self._read(text, _pitch(voice_id))
        return _trimmed(pcm, self.sample_rate, ends=text.rstrip().endswith(tuple(_FULL_STOPS)))

    def _collect(self, samples: Any, count: int, _events: object) -> int:
        if samples and count > 0:
            self._samples += ctypes.string_at(samples, 2 * count)
        return 0

    def _read(self, text: str, pitch: int) -> bytes:
        self._samples.clear()
        lib = ctypes.CDLL(self._library)
        try:
            rate = lib.espeak_Initialize(_SYNCHRONOUS, 0, self._data, _DONT_EXIT)
            if rate <= 0:
                raise OSError("espeak-ng did not find its data")
            self.sample_rate = rate
            lib.espeak_SetSynthCallback(self._callback)
            lib.espeak_SetVoiceByName(_VOICE)
            lib.espeak_SetParameter(_PITCH, pitch, 0)
            seed: Callable[..., int] | None = getattr(lib, "espeak_ng_SetRandSeed", None)
            if seed is not None:
                seed(ctypes.c_long(_SEED))
            # A NUL would end the text early.
            spoken = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
            size = ctypes.c_size_t(len(spoken))
            lib.espeak_Synth(spoken, size, 0, _POS_CHARACTER, 0, _UTF8 | _END_PAUSE, None, None)
            lib.espeak_Synchronize()
            lib.espeak_Terminate()
        finally:
            _unload(lib)
        return bytes(self._samples)


def _unload(lib: ctypes.CDLL) -> None:
    """Give the library back to the system, so that the next load starts from its initial state."""
    close = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary", None)
    if close is not None:
        close(lib._handle)


def _pitch(voice_id: str) -> int:
    """A pitch for espeak, 0-99: near its default of 50, where it is clearest."""
    return 42 + hashlib.blake2b(voice_id.encode("utf-8", "replace"), digest_size=1).digest()[0] % 17


def _trimmed(pcm: bytes, sample_rate: int, *, ends: bool) -> bytes:
    """Cut the pause before the text, and after it unless a sentence ends there."""
    samples = array("h", pcm)
    first, last = 0, len(samples)
    while first < last and abs(samples[first]) < _SILENCE:
        first += 1
    if not ends:
        while last > first and abs(samples[last - 1]) < _SILENCE:
            last -= 1
        last = min(len(samples), last + round(_MID_SENTENCE_PAUSE_S * sample_rate))
    return samples[first:last].tobytes()
