"""Where a proxy is, and what it wants to see; read before any I/O.

Supported: one ``http://`` proxy for everything of a transport, with or without a user
and a password (Basic). Plain HTTP goes to it as it is; TLS, so sockets too, through a
tunnel (CONNECT), so that it sees host and port and nothing else.

Not supported: TLS to the proxy itself, SOCKS, other ways to log in (Digest, NTLM),
exceptions by host, ``HTTP_PROXY`` and the like (never read). A ``ws://`` address goes
without a tunnel, which few proxies forward.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from voicekit.errors import InvalidArgumentError

_ALLOWED = "http://[user:password@]host:port"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy.

    Attributes:
        url: ``http://host:port``, without credentials.
        authorization: For its ``Proxy-Authorization`` header; None for none.
    """

    url: str
    authorization: str | None = field(default=None, repr=False)


def parse_proxy(text: str) -> Proxy:
    """Read an address as users give it.

    Raises:
        InvalidArgumentError: It is none, or not of a supported kind. Never quotes it, as
            it may hold a password.
    """
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except (ValueError, TypeError, AttributeError):
        raise _refused("not an address") from None
    if scheme != "http":
        known = scheme if scheme in {"https", "socks4", "socks5", "socks5h"} else "another kind"
        raise _refused(f"{known} is not supported" if scheme else "not an address")
    if not host or port is None:
        raise _refused("has no host or no port")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise _refused("has more than a host and a port")
    if not (host.isascii() and host.isprintable()) or " " in host:
        raise _refused("its host is no name")
    where = f"[{host}]" if ":" in host else host
    url = f"http://{where}:{port}"
    if parts.username is None and parts.password is None:
        return Proxy(url)
    if not text.isprintable():
        raise _refused("holds what no address does")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if ":" in user:
        raise _refused("a user name cannot hold a colon")
    # Source: RFC 7617 §2; UTF-8 as most proxies take it.
    token = b64encode(f"{user}:{password}".encode()).decode("ascii")
    return Proxy(url, f"Basic {token}")


def _refused(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(why, argument="proxy", allowed=_ALLOWED)
