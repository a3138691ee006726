"""A proxy's address: read before any I/O, and never quoted."""

from __future__ import annotations

from base64 import b64decode

import pytest

from voicekit.errors import InvalidArgumentError
from voicekit.transport.proxy import parse_proxy
from voicekit.transport.transport import Transport

PASSWORD = "marked-password-93"


@pytest.mark.parametrize(
    ("text", "url", "login"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        ("http://proxy.example:3128/", "http://proxy.example:3128", None),
        ("HTTP://Proxy.Example:80", "http://proxy.example:80", None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
        ("http://me:secret@10.0.0.1:8080", "http://10.0.0.1:8080", "me:secret"),
        ("http://me:p%40ss%3Aw%C3%B6rd@h:1", "http://h:1", "me:p@ss:wörd"),
        ("http://me@h:1", "http://h:1", "me:"),
    ],
)
def test_addresses(text: str, url: str, login: str | None) -> None:
    """The address without the credentials, and these as a header holds them."""
    proxy = parse_proxy(text)
    assert proxy.url == url
    if login is None:
        assert proxy.authorization is None
    else:
        kind, _, token = (proxy.authorization or "").partition(" ")
        assert kind == "Basic"
        assert b64decode(token).decode() == login


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy.example:3128",
        f"https://me:{PASSWORD}@h:1",
        f"socks5://me:{PASSWORD}@h:1",
        f"http://me:{PASSWORD}@h",
        f"http://me:{PASSWORD}@:3128",
        f"http://me:{PASSWORD}@h:port",
        f"http://me:{PASSWORD}@h:99999",
        f"http://me:{PASSWORD}@h:1/path",
        f"http://me:{PASSWORD}@h:1?query=1",
        f"http://m%3Ae:{PASSWORD}@h:1",
        f"http://me:{PASSWORD}@h h:1",
        f"http://[me:{PASSWORD}@h:1",
        3128,
        b"http://h:1",
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    """At construction, named, and without quoting what may be a password."""
    with pytest.raises(InvalidArgumentError) as caught:
        Transport(proxy=text)
    assert caught.value.argument == "proxy"
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_repr_shows_the_password() -> None:
    """Neither the transport's nor the proxy's own."""
    text = f"http://me:{PASSWORD}@h:1"
    token = (parse_proxy(text).authorization or "").removeprefix("Basic ")
    for shown in (repr(Transport(proxy=text)), repr(parse_proxy(text)), str(parse_proxy(text))):
        assert PASSWORD not in shown
        assert token not in shown
