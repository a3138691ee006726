"""Forms: what is put in comes out, whatever it is, and nothing can be smuggled in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.errors import InvalidArgumentError
from voicekit.wire.multipart import multipart

pytestmark = pytest.mark.anyio

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ANYTHING = st.text()  # lone surrogates too: file names may hold bytes that are no text
HOSTILE = 'a"\r\nContent-Type: text/html\r\n\r\n<b>\\"; x="y'


class Pieces:
    """An upload of pieces; notes how often it was opened and closed."""

    def __init__(self, *pieces: bytes, size: int | None = None) -> None:
        self._pieces = pieces
        self.size = size
        self.replayable = True
        self.opened = self.closed = 0

    def open(self) -> AsyncIterator[bytes]:
        self.opened += 1
        return self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        try:
            for piece in self._pieces:
                yield piece
        finally:
            self.closed += 1


def parts_of(content_type: str, body: bytes) -> list[Message]:
    """As the standard library reads it."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    assert message.is_multipart()
    assert not message.defects
    parts = message.get_payload()
    assert isinstance(parts, list)
    return parts  # type: ignore[return-value]


def raw_parts(content_type: str, body: bytes) -> list[tuple[bytes, bytes]]:
    """Headers and content by the boundary alone, byte for byte."""
    boundary = content_type.partition("boundary=")[2].encode()
    pieces = body.split(b"--" + boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    found = []
    for piece in pieces[1:-1]:
        assert piece.startswith(b"\r\n")
        assert piece.endswith(b"\r\n")
        head, _, content = piece[2:-2].partition(b"\r\n\r\n")
        found.append((head, content))
    return found


def whole(body: object) -> bytes:
    assert isinstance(body, bytes)
    return body


@given(fields=st.lists(st.tuples(ANYTHING, TEXT)), filename=ANYTHING, data=st.binary(max_size=99))
def test_what_goes_in_comes_out(fields: list[tuple[str, str]], filename: str, data: bytes) -> None:
    """Values and file byte for byte, in their order; each head has exactly its own lines."""
    content_type, body = multipart(fields, ("file", filename, "audio/wav", data))
    parts = raw_parts(content_type, whole(body))
    assert [content for _, content in parts] == [
        *(value.encode() for _, value in fields),
        data,
    ]
    quoted = rb'"[^"\r\n\x00-\x1f]*"'
    for head, _ in parts[:-1]:
        assert re.fullmatch(rb"Content-Disposition: form-data; name=" + quoted, head)
    assert re.fullmatch(
        rb'Content-Disposition: form-data; name="file"; filename='
        + quoted
        + rb"\r\nContent-Type: audio/wav",
        parts[-1][0],
    )


@given(name=st.text(st.characters(codec="ascii", exclude_characters='"\\', min_codepoint=32,
                                  max_codepoint=126)), value=TEXT)  # fmt: skip
def test_names_come_out_as_they_went_in(name: str, value: str) -> None:
    """As somebody else's parser reads them."""
    content_type, body = multipart([(name, value)])
    (part,) = parts_of(content_type, whole(body))
    assert part.get_param("name", header="Content-Disposition") == name
    assert part.get_content_disposition() == "form-data"


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("a.wav", "a.wav"),
        ("Wörter 1.wav", "Wörter 1.wav"),
        ('say "hi".wav', "say %22hi%22.wav"),
        ("a\r\nb.wav", "a%0D%0Ab.wav"),
        ("a\0.wav", "a%00.wav"),
        ("a\\b.wav", "a\\\\b.wav"),
        ("caf\udce9.wav", "caf?.wav"),
    ],
)
def test_file_names(filename: str, shown: str) -> None:
    """Written as the vendors' SDKs write them, so that servers know how to read them."""
    content_type, body = multipart([], ("file", filename, "audio/wav", b"x"))
    ((head, _),) = raw_parts(content_type, whole(body))
    assert f'filename="{shown}"'.encode() in head


def test_nothing_can_be_smuggled_in() -> None:
    """Not by a name, a file name or a value."""
    content_type, body = multipart([(HOSTILE, HOSTILE)], (HOSTILE, HOSTILE, "audio/wav", b"x"))
    parts = parts_of(content_type, whole(body))
    assert len(parts) == 2
    assert [part.keys() for part in parts] == [
        ["Content-Disposition"],
        ["Content-Disposition", "Content-Type"],
    ]
    assert raw_parts(content_type, whole(body))[0][1] == HOSTILE.encode()


@pytest.mark.parametrize(
    "media_type", ["", "audio", "audio/wav\r\nX: y", "audio/wäv", "audio /wav", "audio/wav; a=\n"]
)
def test_a_media_type_that_no_header_holds(media_type: str) -> None:
    """Refused, and not quoted."""
    with pytest.raises(InvalidArgumentError) as caught:
        multipart([], ("file", "a", media_type, b"x"))
    assert caught.value.argument == "media_type"


def test_a_value_that_is_no_text_is_refused() -> None:
    """A lone surrogate: refused by the name of its field, not sent as something else."""
    with pytest.raises(InvalidArgumentError) as caught:
        multipart([("prompt", "marked\ud800")])
    assert caught.value.argument == "prompt"
    assert "marked" not in str(caught.value)


def test_boundaries_differ() -> None:
    """So that no content can be made to hold one."""
    assert len({multipart([("a", "b")])[0] for _ in range(100)}) == 100


@pytest.mark.parametrize("size", [7, None])
async def test_around_an_upload(size: int | None) -> None:
    """Size known when the file's is; opened for each attempt; closed with it."""
    content = Pieces(b"123", b"", b"4567", size=size)
    content_type, body = multipart([("model", "m")], ("file", "a.wav", "audio/wav", content))
    assert not isinstance(body, bytes)
    for _ in range(2):
        sent = b"".join([piece async for piece in body.open()])
        assert raw_parts(content_type, sent)[1][1] == b"1234567"
        assert body.size == (None if size is None else len(sent))
    assert body.replayable
    assert (content.opened, content.closed) == (2, 2)
    pieces = body.open()
    await anext(pieces)
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    assert content.closed == 3
    content.replayable = False
    assert not body.replayable
    assert "123" not in repr(body)
