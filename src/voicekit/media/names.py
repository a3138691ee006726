"""The last part of a media address: what it names, until when, and the proof that we said so.

52 characters of URL-safe base64 and a suffix: 12 bytes of the content's keyed digest, 6 drawn,
so that no two names are alike, 5 of the second at which it expires, 16 of an HMAC-SHA256 over them
and the suffix. No padding and no spare bits, so one name has one spelling.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

_ID_BYTES: Final = 12
_DRAWN_BYTES: Final = 6
_EXPIRY_BYTES: Final = 5
_MAC_BYTES: Final = 16
_NAME: Final = re.compile(r"([A-Za-z0-9_-]{52})\.([a-z0-9]{2,4})")


class UnknownName(Exception):  # noqa: N818 - an answer to give, not an error to report
    """No name of this kind."""


class ForgedName(Exception):  # noqa: N818
    """The shape of a name, which we have not signed."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name that was signed here."""

    id: str
    expires: int
    suffix: str


class Names:
    """Makes names and reads them, with one secret."""

    __slots__ = ("_digest_key", "_sign_key")

    def __init__(self, secret: bytes) -> None:
        # Two keys, so that a digest says nothing about a signature.
        self._digest_key = hashlib.blake2b(secret, digest_size=32, person=b"media digest").digest()
        self._sign_key = hashlib.blake2b(secret, digest_size=32, person=b"media signature").digest()

    def id_of(self, data: bytes, ttl: float) -> str:
        """Equal for equal bytes that are kept for as long; not to be guessed from them."""
        digest = hashlib.blake2b(
            digest_size=_ID_BYTES, key=self._digest_key, salt=round(ttl).to_bytes(16, "big")
        )
        digest.update(data)
        return urlsafe_b64encode(digest.digest()).decode("ascii")

    def sign(self, id_: str, expires: int, suffix: str) -> str:
        """A new name of a content, until a second of the clock."""
        drawn = secrets.token_bytes(_DRAWN_BYTES)
        said = urlsafe_b64decode(id_) + drawn + expires.to_bytes(_EXPIRY_BYTES, "big")
        return f"{urlsafe_b64encode(said + self._mac(said, suffix)).decode('ascii')}.{suffix}"

    def read(self, name: str) -> Name:
        """What a name names. In constant time, as far as the signature is concerned.

        Raises:
            UnknownName: It has not the shape.
            ForgedName: We have not signed it.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise UnknownName
        try:
            content = urlsafe_b64decode(found[1])
        except binascii.Error:  # pragma: no cover - 52 characters of the alphabet always decode
            raise UnknownName from None
        said, mac = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(said, found[2])):
            raise ForgedName
        return Name(
            id=urlsafe_b64encode(said[:_ID_BYTES]).decode("ascii"),
            expires=int.from_bytes(said[-_EXPIRY_BYTES:], "big"),
            suffix=found[2],
        )

    def _mac(self, said: bytes, suffix: str) -> bytes:
        # What is said has one length, so where the suffix begins is not in doubt.
        return hmac.digest(self._sign_key, said + suffix.encode("ascii"), "sha256")[:_MAC_BYTES]

    def __repr__(self) -> str:
        return "<Names>"
