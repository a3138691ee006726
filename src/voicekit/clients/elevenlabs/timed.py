"""Speech with the time of each character: the reading of JSON that holds audio. No I/O.

Source: OpenAPI file, ``/with-timestamps`` (one object) and ``/stream/with-timestamps`` (one
per line, blank lines in between): ``{"audio_base64": "…", "alignment": A,
"normalized_alignment": A}`` with ``A = {"characters": […],
"character_start_times_seconds": […], "character_end_times_seconds": […]}`` or null.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from voicekit.clients.audio_body import checked_type
from voicekit.clients.elevenlabs.alignment import WordTimes
from voicekit.clients.elevenlabs.errors import error_of
from voicekit.errors import ConnectionLostError, RemoteProtocolError, VoicekitError
from voicekit.speech import AudioChunk, AudioFormat
from voicekit.speech.character import Character
from voicekit.wire.lines import LineDecoder
from voicekit.wire.pcm import Aligner

MAX_LINE_BYTES: Final = 16 << 20
"""Source: ours; what sockets take as one message, four minutes of PCM at 24 kHz."""

_SPAN: Final = 86_400.0
"""Seconds. No speech is longer; a time beyond it is none."""


class TimedDecoder:
    """Reads audio and the times of its characters, and never anything else.

    More than ``most`` bytes of audio cannot be the speech of the text, and ``offset`` seconds of
    it are before them. Of the times of the text as it was sent, and of the ``normalized`` one
    ("five" for "5"), those that were asked for count, or else the others, if those are missing
    from the start. One object may be the ``whole`` answer, whatever line ends are in it.

    Attributes:
        progress: Grows each time 10 ms of audio have come.

    Raises:
        RemoteProtocolError: The headers say that the body is no JSON, or compressed.
    """

    __slots__ = (
        "_aligner",
        "_begun_at",
        "_end",
        "_format",
        "_headers",
        "_heard_bytes",
        "_left",
        "_lines",
        "_names",
        "_offset",
        "_per_line",
        "_uncounted",
        "_useful",
        "_whole",
        "_words",
        "done",
        "progress",
    )

    def __init__(
        self,
        format: AudioFormat,  # noqa: A002 - the option's name
        headers: Mapping[str, str],
        *,
        most: int,
        normalized: bool = False,
        whole: bool = False,
        offset: float = 0.0,
    ) -> None:
        kind = checked_type(headers)
        if kind and "json" not in kind:
            raise RemoteProtocolError(f"the answer is of type {kind[:64]!r}, not JSON")
        self.progress = 0
        self.done = False
        self._format = format
        self._headers = headers
        self._useful = format.useful_bytes
        self._uncounted = 0
        self._heard_bytes = 0
        self._left = most
        self._aligner = Aligner(format.frame_bytes)
        self._words = WordTimes()
        self._offset = offset
        self._begun_at = 0.0  # when the last character began, as the vendor counts
        self._end = 0.0  # of the last character, from the start of this audio
        self._per_line = False
        names = ("alignment", "normalized_alignment")
        self._names: tuple[str, ...] = names[::-1] if normalized else names
        # Base64, and what a character takes in two alignments.
        self._lines = LineDecoder(most // 3 * 4 + (1 << 20) if whole else MAX_LINE_BYTES)
        self._whole = whole

    def feed(self, data: bytes, /) -> Iterator[AudioChunk]:
        """The audio in one piece of the body; what comes before an error is given out first.

        Raises:
            VoicekitError: It is no audio.
        """
        if self._whole:
            data = data.replace(b"\n", b" ")  # inside JSON, line ends are white space
        for line in self._lines.feed(data):
            yield from self._read(line)

    def eof(self, *, delimited: bool) -> Iterable[AudioChunk]:
        """The body ended.

        Raises:
            VoicekitError: It was no audio, or it ended too early: inside an object or a
                sample, without any audio, or without a framing that proves the end.
        """
        if self.done:
            return ()
        if not delimited:
            raise ConnectionLostError("the audio may be cut short: its end is not framed")
        rest = self._lines.flush()
        chunks = list(self._read(rest)) if rest else []
        if self._aligner.pending:
            raise ConnectionLostError("the audio was cut inside a sample")
        if not self._heard_bytes:
            raise RemoteProtocolError("the answer holds no audio")
        if words := self._words.flush():
            chunks.append(AudioChunk(b"", self._format, words))
        self.done = True
        return chunks

    def _read(self, line: bytes) -> Iterator[AudioChunk]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise RemoteProtocolError("the answer holds something else than JSON objects")
        encoded = value.get("audio_base64")
        if encoded is None and (refusal := self._refusal(value)) is not None:
            raise refusal
        characters = self._characters(value)
        audio = self._aligner.feed(_decoded(encoded or ""))
        words = self._words.join(characters)
        self._count(len(audio))
        if audio or characters:
            yield AudioChunk(audio, self._format, words, characters)

    def _refusal(self, value: dict[str, Any]) -> VoicekitError | None:
        """The error in audio's place, in any of the shapes that the vendor has for one."""
        if "detail" in value:
            return error_of(value, 200, self._headers)
        if isinstance(name := value.get("error"), str):
            # The sockets' shape, {"message": "…", "error": "…", "code": 1008}.
            detail = {"code": name, "message": value.get("message"), "param": value.get("param")}
            return error_of({"detail": detail}, 200, self._headers)
        return None

    def _count(self, audio_bytes: int) -> None:
        self._heard_bytes += audio_bytes
        self._left -= audio_bytes
        if self._left < 0:
            raise RemoteProtocolError("the answer is more audio than the text can take")
        self._uncounted += audio_bytes
        if self._uncounted >= self._useful:
            self._uncounted = 0
            self.progress += 1

    def _characters(self, value: dict[str, Any]) -> tuple[Character, ...]:
        for name in self._names:
            if found := _rows(value.get(name)):
                self._names = (name,)  # to mix two texts would double some of both
                break
        else:
            return ()
        # Times count from the start of the answer, as third-party clients of this endpoint
        # read them, so they never go back; where they do, they count from their own line,
        # as they do on the sockets. Unverified, as the vendor's pages do not say.
        if found[0][1] < self._begun_at:
            self._per_line = True
        self._begun_at = found[-1][1]
        before = self._offset
        if self._per_line:
            heard = self._format.duration_s(self._heard_bytes)
            before += self._end if heard is None else heard
        self._end = found[-1][2] + before - self._offset
        return tuple(
            Character(text=text, start=before + start, end=before + end)
            for text, start, end in found
        )


def _decoded(encoded: object) -> bytes:
    if isinstance(encoded, str):
        try:
            return binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:
            pass
    raise RemoteProtocolError("the answer's audio is not base64")


def _rows(alignment: object) -> list[tuple[str, float, float]] | None:
    """Characters with their times; one that makes no sense is taken for none."""
    if not isinstance(alignment, dict):
        return None
    columns = [
        alignment.get("characters"),
        alignment.get("character_start_times_seconds"),
        alignment.get("character_end_times_seconds"),
    ]
    if not all(isinstance(column, list) for column in columns):
        return None
    if len({len(column) for column in columns if column is not None}) != 1:
        return None
    rows = list(zip(*columns, strict=True))
    good = all(type(text) is str and _is_time(start) and _is_time(end) for text, start, end in rows)
    return rows if good else None


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= _SPAN  # type: ignore[operator]
