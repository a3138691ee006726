"""What a client sends, cut anywhere, decoded to PCM per channel."""

from __future__ import annotations

from voicekit.emulator.codecs import PcmReader, WavHeader, read_wav_header
from voicekit.emulator.samples import channel_of, mono


class StreamDecoder:
    """Turns the frames of one stream, cut anywhere, into PCM; without an encoding it reads a WAV.

    Attributes:
        sample_rate: Hz; 0 until a container's header has been read.
        channels: How many channels `feed` returns, one unless they are split; known when
            `sample_rate` is.
    """

    def __init__(
        self, encoding: str | None, *, sample_rate: int, channels: int, split: bool
    ) -> None:
        self.sample_rate = sample_rate
        self.channels = channels if split else 1
        self._split = split
        self._interleaved = channels
        self._encoding = encoding
        self._rest = b""
        self._header = b""
        self._left: int | None = None
        self._reader = None if encoding is None else self._raw(encoding)

    def feed(self, data: bytes) -> list[bytes]:
        """Return signed 16-bit little-endian PCM, one item per channel; none while sniffing.

        Raises:
            UnsupportedFormat: Without an encoding, what came is no WAV.
        """
        if self._reader is None:
            data = self._header + data
            header = read_wav_header(data)
            if header is None:
                self._header = data
                return []
            self._header = b""
            data = data[header.size :]
            self._reader = self._contained(header)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if self._encoding == "linear32":
            data = self._halve(data)
        pcm = self._rest + self._reader.feed(data)
        whole = len(pcm) - len(pcm) % (2 * self._interleaved)
        pcm, self._rest = pcm[:whole], pcm[whole:]
        if not self._split:
            return [mono(pcm, self._interleaved)]
        return [channel_of(pcm, index, self._interleaved) for index in range(self._interleaved)]

    def _contained(self, header: WavHeader) -> PcmReader:
        self.sample_rate = header.sample_rate
        self._interleaved = header.channels
        self.channels = header.channels if self._split else 1
        self._left = header.data_bytes
        return self._raw(header.encoding)

    def _raw(self, encoding: str) -> PcmReader:
        """Return a reader of single samples; channels are told apart afterwards."""
        plain = "linear16" if encoding == "linear32" else encoding
        return PcmReader(plain, sample_rate=self.sample_rate, channels=1)

    def _halve(self, data: bytes) -> bytes:
        """Keep the upper half of every 32-bit sample."""
        data = self._header + data
        whole = len(data) - len(data) % 4
        self._header = data[whole:]
        halved = bytearray(whole // 2)
        halved[0::2] = data[2:whole:4]
        halved[1::2] = data[3:whole:4]
        return bytes(halved)
