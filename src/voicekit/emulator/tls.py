"""A throw-away certificate authority, so that the emulator can be reached over TLS."""

from __future__ import annotations

import importlib.util
import ssl
from pathlib import Path

from voicekit.emulator.errors import EmulatorError

NAMES = ("localhost", "127.0.0.1", "::1")


def require_tls() -> None:
    """Check that certificates can be made, without importing anything heavy.

    Raises:
        EmulatorError: The `emulator` extra is not installed.
    """
    if importlib.util.find_spec("trustme") is None:
        raise EmulatorError("TLS needs the emulator extra: pip install 'voicekit[emulator]'")


class Authority:
    """An authority that lives as long as one emulator; its key never leaves the process."""

    def __init__(self) -> None:
        require_tls()
        import trustme

        self._authority = trustme.CA(organization_name="voicekit emulator")

    def write(self, directory: Path) -> Path:
        """Write the public certificate, for clients to trust, and return its path (PEM)."""
        path = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(path))
        return path

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """Return a server's context with a certificate for the loopback names and `hosts`.

        TLS 1.3 for every client that speaks it, HTTP/1.1 by ALPN. Building takes about 10 ms.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        names = [*NAMES, *(host for host in hosts if host not in NAMES and host != "0.0.0.0")]
        self._authority.issue_cert(*names).configure_cert(context)
        return context
