"""Names of entries, from which nobody can guess what is in them."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import Final

from voicekit.checks import wrong

_LONGEST: Final = 64
"""Bytes of a blake2b key. Source: RFC 7693 §2.1."""

_OURS: Final = os.urandom(32)


class Keys:
    """Keyed digests of identities, in a namespace of their owner's, which is in front of each key.

    An identity holds what is said, and there are few short phrases: a plain digest would let
    whoever sees a storage try them all. The identity itself is stored and logged nowhere.

    Processes that share a storage must be given the same secret. Without one, it is the
    storage's own (``MemoryStorage`` has one), else this process's, with which nobody else finds
    anything.

    Raises:
        InvalidArgumentError: The secret is empty, or neither ``str`` nor ``bytes``.
    """

    __slots__ = ("_keyed", "_namespace")

    def __init__(
        self, namespace: str, secret: str | bytes | None = None, *, storage: object = None
    ) -> None:
        if secret is None:
            secret = getattr(storage, "secret", None) or _OURS
        if not isinstance(secret, str | bytes) or not secret:
            raise wrong("secret", secret, "a str or bytes, not empty")
        key = secret.encode() if isinstance(secret, str) else secret
        if len(key) > _LONGEST:
            key = blake2b(key).digest()
        self._namespace = namespace
        self._keyed = blake2b(namespace.encode() + b"\0", key=key, digest_size=20)

    def of(self, *parts: str) -> str:
        """The key of what these say together; ``("ab", "c")`` is another than ``("a", "bc")``."""
        digest = self._keyed.copy()
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data))
            digest.update(data)
        return f"{self._namespace}:{digest.hexdigest()}"

    def __repr__(self) -> str:
        return f"Keys({self._namespace!r})"
