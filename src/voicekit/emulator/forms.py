"""Forms as clients upload them: ``multipart/form-data``, taken apart.

Source: RFC 7578; RFC 2046 §5.1 for the delimiters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP


class FormError(ValueError):
    """The body is no form, or breaks off inside one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A part that carries a file.

    Attributes:
        name: Of the form's field.
        filename: As the client names it.
        content_type: As the client says; empty where it does not.
        data: The content.
    """

    name: str
    filename: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a client filled in.

    Attributes:
        fields: Name and text of each part without a file name, in order.
        files: The others, in order.
    """

    fields: Sequence[tuple[str, str]]
    files: Sequence[File]

    def get(self, name: str) -> str | None:
        """The last value of a field, or None."""
        found = self.all(name)
        return found[-1] if found else None

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for each, value in self.fields if each == name]

    def file(self, name: str) -> File | None:
        """The first file of that name, or None."""
        return next((file for file in self.files if file.name == name), None)


def read_form(content_type: str, body: bytes) -> Form:
    """Take a whole body apart.

    Raises:
        FormError: It is no ``multipart/form-data``, has no end, or a part has no name.
    """
    header = _message(b"Content-Type: " + content_type.encode("latin-1", "replace"))
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise FormError("not multipart/form-data with a boundary")
    fields, files = [], []
    for head, data in _parts(body, b"--" + boundary.encode()):
        part = _message(head)
        name = part.get_param("name", header="content-disposition")
        if part.get_content_disposition() != "form-data" or not isinstance(name, str):
            raise FormError("a part without a name")
        filename = part.get_filename()
        if filename is None:
            try:
                fields.append((name, data.decode()))
            except UnicodeDecodeError:
                raise FormError("a field that is no text") from None
        else:
            kind = part.get_content_type() if "content-type" in part else ""
            files.append(File(name=name, filename=filename, content_type=kind, data=data))
    return Form(fields=fields, files=files)


def _message(head: bytes) -> EmailMessage:
    message = BytesParser(EmailMessage, policy=HTTP).parsebytes(head, headersonly=True)
    assert isinstance(message, EmailMessage)  # noqa: S101 - as asked for
    return message


def _parts(body: bytes, delimiter: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Header and content of each part."""
    pieces = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise FormError("the form has no end")
    for piece in pieces[1:-1]:
        _, line_end, part = piece.partition(b"\r\n")
        head, blank, data = (b"\r\n" + part).partition(b"\r\n\r\n")
        if not line_end or not blank:
            raise FormError("a part without headers")
        yield head.removeprefix(b"\r\n"), data
