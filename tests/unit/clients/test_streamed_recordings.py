"""Recordings that are still coming, on their way into a transcription."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from voicekit.clients.uploads import upload_of
from voicekit.errors import AuthenticationError, InvalidArgumentError, LocalProtocolError
from voicekit.transport.files import StreamUpload

pytestmark = pytest.mark.anyio


class Coming:
    """A stream of pieces that may break off."""

    def __init__(
        self, pieces: list[bytes], error: BaseException | None = None, **facts: Any
    ) -> None:
        self.pieces, self.error = pieces, error
        self.closed = 0
        for name, value in facts.items():
            setattr(self, name, value)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed += 1


async def sent(upload: Any) -> bytes:
    return b"".join([piece async for piece in upload.open()])


async def test_it_is_sent_once_and_closed() -> None:
    """Piece by piece; a second attempt would have nothing to send, and is none."""
    stream = Coming([b"Ogg", b"S"], content_type="audio/ogg; codecs=opus", size=4)
    recording = upload_of(stream)  # type: ignore[arg-type]
    assert isinstance(recording.upload, StreamUpload)
    assert (recording.media_type, recording.filename) == ("audio/ogg", "audio.ogg")
    assert (recording.size, recording.duration_s) == (4, None)
    assert not recording.upload.replayable
    assert await sent(recording.upload) == b"OggS"
    assert stream.closed == 1
    with pytest.raises(LocalProtocolError, match="once"):
        await sent(recording.upload)
    assert "OggS" not in repr(recording)


@pytest.mark.parametrize("said", [None, 7, "", "evil\r\nX: y", "audio", "audio/ogg, x"])
async def test_a_type_that_is_none(said: Any) -> None:
    """It goes into a header, so it must be one."""
    facts = {} if said is None else {"content_type": said}
    recording = upload_of(Coming([b"a"], **facts))  # type: ignore[arg-type]
    assert recording.media_type == "application/octet-stream"
    assert recording.size is None


@pytest.mark.parametrize("error", [OSError("marked"), AuthenticationError("marked", status=401)])
async def test_one_that_breaks_off(error: Exception) -> None:
    """Our fault and not the transcriber's, whose circuit must not open for another's key."""
    stream = Coming([b"a"], error)
    upload = upload_of(stream).upload  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError) as caught:
        await sent(upload)
    assert caught.value.__cause__ is error
    assert "marked" not in str(caught.value)
    assert stream.closed == 1


async def test_one_that_is_given_up() -> None:
    """Closed where the upload ends before it does."""
    stream = Coming([b"a", b"b", b"c"])
    pieces: Any = upload_of(stream).upload.open()  # type: ignore[arg-type, union-attr]
    assert await anext(pieces) == b"a"
    await pieces.aclose()
    assert stream.closed == 1


async def test_an_empty_one() -> None:
    """As any other recording."""
    with pytest.raises(InvalidArgumentError, match="empty"):
        upload_of(Coming([], size=0))  # type: ignore[arg-type]
