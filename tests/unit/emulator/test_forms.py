"""Forms taken apart as any server would, whoever wrote them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.emulator.forms import File, FormError, read_form
from voicekit.wire.multipart import multipart

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = st.text(st.sampled_from("abz_[]"), min_size=1, max_size=10)


@given(
    st.lists(st.tuples(NAMES, TEXT), max_size=5),
    st.one_of(
        st.none(),
        st.tuples(NAMES, st.just("a b.wav"), st.just("audio/wav"), st.binary(max_size=200)),
    ),
)
def test_what_we_write_is_what_is_read(fields, file) -> None:
    """Every field in its order, every byte of the file, line ends and dashes included."""
    content_type, body = multipart(fields, file)
    assert isinstance(body, bytes)
    form = read_form(content_type, body)
    assert list(form.fields) == fields
    expected = []
    if file is not None:
        name, filename, kind, data = file
        expected = [File(name=name, filename=filename, content_type=kind, data=data)]
    assert list(form.files) == expected


def test_looking_things_up() -> None:
    """The last of several, all of them, none."""
    content_type, body = multipart([("a", "1"), ("b[]", "2"), ("a", "3")], None)
    form = read_form(content_type, body)
    assert (form.get("a"), form.all("a"), form.get("c")) == ("3", ["1", "3"], None)
    assert form.file("file") is None


PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", PART + b"--x--\r\n"),
        ("multipart/form-data; boundary=x", PART),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nno headers--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nX: y\r\n\r\n1\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", PART.replace(b"1", b"\xff") + b"--x--\r\n"),
    ],
)
def test_what_is_no_form(content_type, body) -> None:
    """Another type, no boundary, no end, no names, no text."""
    with pytest.raises(FormError):
        read_form(content_type, body)


def test_a_boundary_in_quotes_and_what_surrounds_the_parts() -> None:
    """As browsers and older libraries write it."""
    body = b"preamble\r\n" + PART + b"--x--\r\nepilogue"
    form = read_form('multipart/form-data; boundary="x"', body)
    assert list(form.fields) == [("a", "1")]
