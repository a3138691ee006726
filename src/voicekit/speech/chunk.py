"""A piece of streamed audio that is bytes and knows what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from voicekit.speech.audio_format import AudioFormat
    from voicekit.speech.character import Character
    from voicekit.speech.word import Word


class AudioChunk(bytes):
    """Bytes of audio with their format, usable wherever bytes are.

    Slices, sums and ``bytes(chunk)`` are plain bytes. Chunks come in the sizes in
    which the network delivered them, but never end inside a sample.

    Args:
        data: The audio.
        format: What the bytes are.
        words: Words spoken in them, with times in seconds from the start of the
            speech, when the provider was asked for timestamps; usually empty.
        characters: The same character by character, white space included, where the
            provider tells. A word is in the chunk in which it ends, a character in the
            chunk in which it begins.
    """

    # A bytes subclass can have no slots. Words are rare, so their absence lives on the
    # class: a chunk is made for every network read.
    format: AudioFormat
    words: tuple[Word, ...] = ()
    characters: tuple[Character, ...] = ()

    def __new__(  # noqa: D102
        cls,
        data: bytes,
        format: AudioFormat,  # noqa: A002
        words: tuple[Word, ...] = (),
        characters: tuple[Character, ...] = (),
    ) -> Self:
        chunk = bytes.__new__(cls, data)
        chunk.format = format
        if words:
            chunk.words = words
        if characters:
            chunk.characters = characters
        return chunk

    @property
    def duration(self) -> float | None:
        """Seconds of sound; None where bytes do not tell."""
        return self.format.duration_s(len(self))

    def __repr__(self) -> str:
        return f"<AudioChunk {len(self)} bytes {self.format.name}>"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (bytes(self), self.format, self.words, self.characters)
