"""Recordings as bodies: every kind, what is known of each, and what is refused before I/O."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from voicekit.clients.uploads import limits_of, upload_of
from voicekit.errors import InvalidArgumentError, LocalProtocolError
from voicekit.operation import Limits
from voicekit.speech import AudioClip, AudioFormat
from voicekit.speech.wav import wav_header
from voicekit.transport.files import PIECE_BYTES, READ_BYTES
from voicekit.transport.messages import Upload

pytestmark = pytest.mark.anyio

PCM16 = AudioFormat.parse("pcm_16000")
WAV = wav_header(PCM16, 32_000) + bytes(32_000)
STREAMED = wav_header(PCM16, None) + bytes(32_000)
# Layer III, 128 kbit/s at 44.1 kHz: 417 bytes, 1152 samples.
MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * 100


def body(upload: bytes | Upload) -> AsyncIterator[bytes]:
    assert not isinstance(upload, bytes)
    return upload.open()


async def read(upload: bytes | Upload) -> bytes:
    return b"".join([piece async for piece in body(upload)])


# -- what is known ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name", "media_type", "filename", "seconds"),
    [
        (WAV, "wav_16000", "audio/wav", "audio.wav", 1.0),
        (STREAMED, "wav_16000", "audio/wav", "audio.wav", 1.0),
        (WAV[:16_044], "wav_16000", "audio/wav", "audio.wav", 0.5),
        (MP3, "mp3", "audio/mpeg", "audio.mp3", 100 * 1152 / 44_100),
        (b"ID3" + bytes(20), "mp3", "audio/mpeg", "audio.mp3", None),
        (b"OggS" + bytes(24) + b"OpusHead", "ogg_opus", "audio/ogg", "audio.ogg", None),
        (b"OggS" + bytes(24) + b"\x01vorbis", None, "audio/ogg", "audio.ogg", None),
        (b"fLaC" + bytes(40), "flac", "audio/flac", "audio.flac", None),
        (b"\xff\xf1" + bytes(40), "aac", "audio/aac", "audio.aac", None),
        (b"\x1aE\xdf\xa3" + bytes(40), None, "audio/webm", "audio.webm", None),
        (bytes(4) + b"ftypM4A " + bytes(40), None, "audio/mp4", "audio.m4a", None),
        (b"#!AMR\n" + bytes(40), None, "audio/amr", "audio.amr", None),
        (wav_header(AudioFormat.parse("mulaw_8000"), 800) + bytes(800), None,
         "audio/wav", "audio.wav", 0.1),
        (b"RIFF\0\0\0\0WAVEjunk", None, "audio/wav", "audio.wav", None),
        (b"\xff", None, "application/octet-stream", "audio", None),
        (bytes(500), None, "application/octet-stream", "audio", None),
    ],
)  # fmt: skip
def test_bytes_tell_what_they_are(
    data: bytes, name: str | None, media_type: str, filename: str, seconds: float | None
) -> None:
    """Format, media type and length by the content alone; a name for servers that go by it."""
    for given in (data, bytearray(data), memoryview(data)):
        recording = upload_of(given)
        assert recording.upload == data
        assert type(recording.upload) is bytes
        assert (recording.format and recording.format.name) == name
        assert (recording.media_type, recording.filename) == (media_type, filename)
        assert recording.duration_s == pytest.approx(seconds)
        assert recording.size == len(data)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("pcm_16000", "audio/wav"),
        ("mulaw_8000", "audio/wav"),
        ("alaw_8000_2ch", "audio/wav"),
        ("mp3_44100_128", "audio/mpeg"),
        ("ogg_opus", "audio/ogg"),
    ],
)
def test_a_clip_is_a_file(name: str, media_type: str) -> None:
    """Headerless samples get their header, or nobody could tell what they are."""
    clip = AudioClip(data=bytes(16_000), format=AudioFormat.parse(name))
    recording = upload_of(clip)
    assert recording.media_type == media_type
    assert recording.upload == (clip.wav() if media_type == "audio/wav" else clip.data)
    assert recording.duration_s == clip.duration
    if name == "pcm_16000":
        assert recording.format == AudioFormat.parse("wav_16000")


async def test_a_path_is_opened_for_each_attempt(tmp_path: Path) -> None:
    """The name says the media type; the content is read later, as often as it is asked for."""
    path = tmp_path / "call 1.MP3"
    path.write_bytes(data := os.urandom(2 * READ_BYTES + 7))
    recording = upload_of(path)
    assert (recording.media_type, recording.filename) == ("audio/mpeg", "call 1.MP3")
    assert (recording.size, recording.duration_s, recording.format) == (len(data), None, None)
    assert not isinstance(recording.upload, bytes)
    assert (recording.upload.size, recording.upload.replayable) == (len(data), True)
    assert await read(recording.upload) == data
    assert await read(recording.upload) == data
    sizes = {len(piece) async for piece in body(recording.upload)}
    assert max(sizes) == PIECE_BYTES


async def test_what_is_appended_later_is_not_sent(tmp_path: Path) -> None:
    """The size was told already."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"12345")
    recording = upload_of(path)
    with path.open("ab") as file:
        file.write(b"678")
    assert await read(recording.upload) == b"12345"


@pytest.mark.parametrize("how", ["file", "memory", "spooled"])
async def test_an_open_file_is_sent_from_its_position(how: str, tmp_path: Path) -> None:
    """Again for each attempt, wherever the last one left it; its owner closes it."""
    path = tmp_path / "named.wav"
    path.write_bytes(b"skipped" + WAV)
    handle: Any
    if how == "file":
        handle = path.open("rb")
    elif how == "memory":
        handle = io.BytesIO(b"skipped" + WAV)
    else:
        handle = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - closed below
        handle.write(b"skipped" + WAV)
    with handle:
        handle.seek(7)
        recording = upload_of(handle)
        assert handle.tell() == 7
        assert recording.filename == ("named.wav" if how == "file" else "audio.wav")
        assert (recording.size, recording.duration_s) == (len(WAV), 1.0)
        assert recording.format == AudioFormat.parse("wav_16000")
        assert await read(recording.upload) == WAV
        assert await read(recording.upload) == WAV
        both = await asyncio.gather(read(recording.upload), read(recording.upload))
        assert both == [WAV, WAV]
        assert not handle.closed


async def test_a_pipe_is_sent_once() -> None:
    """Of unknown size, and the second time is refused at once."""
    receive, send = os.pipe()
    os.write(send, WAV)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        recording = upload_of(pipe)
        assert (recording.size, recording.duration_s) == (None, None)
        assert not isinstance(recording.upload, bytes)
        assert not recording.upload.replayable
        assert await read(recording.upload) == WAV
        with pytest.raises(LocalProtocolError):
            recording.upload.open()


async def test_a_pipe_gives_what_is_there() -> None:
    """Sound that is recorded while it is sent is not held back for a full piece."""
    receive, send = os.pipe()
    with os.fdopen(receive, "rb") as pipe, os.fdopen(send, "wb", buffering=0) as filling:
        pieces = body(upload_of(pipe).upload)
        for _ in range(3):
            filling.write(b"a little")
            assert await anext(pieces) == b"a little"
        filling.close()
        assert [piece async for piece in pieces] == []


async def test_files_are_read_off_the_event_loop() -> None:
    """Not on its thread, and not on its default executor, which may be full."""
    seen: set[str] = set()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            seen.add(threading.current_thread().name)
            return super().read(size)

    recording = upload_of(Slow(WAV))
    seen.clear()
    await read(recording.upload)
    assert seen == {"voicekit-upload"}


# -- what fails while it is read ----------------------------------------------------------------


class Odd(io.BytesIO):
    """Gives what a test wants from the second piece on."""

    def __init__(self, then: Any) -> None:
        super().__init__(bytes(2 * READ_BYTES))
        self._then = then
        self.armed = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.armed and self.tell() >= READ_BYTES:
            if isinstance(self._then, Exception):
                raise self._then
            return self._then  # type: ignore[no-any-return]
        return super().read(size)


@pytest.mark.parametrize(
    "then", [b"", None, "text", OSError(5, "marked"), ValueError("marked"), KeyError("marked")]
)
async def test_a_file_that_fails_is_typed(then: Any) -> None:
    """LocalProtocolError, not retryable, without what the file's error said."""
    odd = Odd(then)
    recording = upload_of(odd)
    odd.armed = True
    with pytest.raises(LocalProtocolError) as caught:
        await read(recording.upload)
    assert not caught.value.retryable
    assert "marked" not in str(caught.value)


@pytest.mark.timing
async def test_a_read_under_way_is_not_waited_for() -> None:
    """Cancelled, the caller goes at once; the thread ends with what it does."""
    gate = threading.Event()

    class Stuck(io.BytesIO):
        armed = False

        def read(self, size: int | None = -1, /) -> bytes:
            if self.armed:
                gate.wait(5)
            return super().read(size)

    stuck = Stuck(WAV)
    recording = upload_of(stuck)
    stuck.armed = True
    task = asyncio.create_task(read(recording.upload))
    await asyncio.sleep(0.02)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 1.0
    gate.set()


# -- what is refused -------------------------------------------------------------------------------


class AsyncFile:
    async def read(self, size: int = -1) -> bytes:
        return b""


class BytesPath:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self._path)


class OddFile:
    def read(self) -> bytes:
        return b""


def test_a_path_of_bytes_is_one(tmp_path: Path) -> None:
    """Whatever ``os.fspath`` takes."""
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    given: Any = BytesPath(path)
    assert upload_of(given).filename == "a.wav"


def closed() -> io.BytesIO:
    file = io.BytesIO(WAV)
    file.close()
    return file


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("/tmp/a.wav", "got a str"),
        (None, "got None"),
        (7, "got 7"),
        ([b"a"], "got a list"),
        (b"", "is empty"),
        (bytearray(), "is empty"),
        (io.BytesIO(), "has nothing"),
        (io.StringIO("sound"), "as text"),
        (closed(), "is closed"),
        (AsyncFile(), "is async"),
        (OddFile(), "cannot be read"),
        (AudioClip(data=b"", format=PCM16), "empty clip"),
        (Path("/nowhere/at/all.wav"), "no such file"),
        (Path("/"), "a directory"),
        (Path("/dev/null"), "not a regular file"),
        (Path("with\0null"), "cannot be read"),
    ],
)
def test_what_cannot_be_sent_is_refused(given: Any, why: str) -> None:
    """Before any I/O with the provider, named, without showing path or content."""
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        upload_of(given)
    assert caught.value.argument == "audio"
    assert "Path(…)" in str(caught.value)
    assert "nowhere" not in str(caught.value)


def test_files_that_cannot_be_sent(tmp_path: Path) -> None:
    """Empty, or open for writing only, or at its end."""
    path = tmp_path / "a.wav"
    path.touch()
    with pytest.raises(InvalidArgumentError, match="empty file"):
        upload_of(path)
    with path.open("wb") as file, pytest.raises(InvalidArgumentError, match="writing only"):
        upload_of(file)
    path.write_bytes(WAV)
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        with pytest.raises(InvalidArgumentError, match="nothing after"):
            upload_of(file)


def test_no_repr_shows_content_or_names(tmp_path: Path) -> None:
    """A recording's name may be a person's."""
    path = tmp_path / "marked.wav"
    path.write_bytes(b"marked speech")
    with path.open("rb") as handle:
        for given in (path, b"marked speech", handle):
            recording = upload_of(given)
            assert "marked" not in repr(recording) + repr(recording.upload).replace(
                "b'marked speech'", ""
            )


# -- limits ------------------------------------------------------------


def test_limits_grow_with_the_sound(tmp_path: Path) -> None:
    """30 s and a tenth of its length; by size where the length is not known; never less."""
    base = Limits(first_output=30.0, total=30.0)
    assert limits_of(upload_of(WAV), base) == Limits(first_output=30.1, total=30.1)
    path = tmp_path / "a.mp3"
    path.write_bytes(bytes(2_000_000))
    assert limits_of(upload_of(path), base).total == pytest.approx(30 + 100)
    long = Limits(first_output=100.0, total=None, gap=3.0)
    assert limits_of(upload_of(WAV), long) == long
    receive, send = os.pipe()
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        unknown = limits_of(upload_of(pipe), base)
    assert (unknown.first_output, unknown.total, unknown.connect) == (None, None, 2.0)
