"""Embeddings on the wire, sans-IO: vectors out of base64 or out of lists of numbers.

Source: OpenAI fact sheet of 2026-11, §7 (SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

import binascii
import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from voicekit.clients.openai.errors import error_of
from voicekit.clients.openai.protocol import count_of, field_of, token_of
from voicekit.errors import RemoteProtocolError
from voicekit.speech import RateLimits, Usage
from voicekit.speech.evidence import Evidence

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo, Timings

# Source: ours. 4,096 numbers of 24 characters each, and room for what stands around them.
BYTES_PER_VECTOR: Final = 128 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings(Evidence):
    """Vectors, with the evidence of how they came about. Iterates over them.

    Attributes:
        vectors: One per text, in their order; each an ``array('f')``, which numpy takes
            without a copy (``numpy.frombuffer(vector, "float32")``).
        usage: Tokens, when the provider reported them.
        model: The model that embedded, as the provider names it.
        rate_limits: What is left of the account's limits, when the provider says so.
    """

    vectors: tuple[array[float], ...] = field(repr=False)
    usage: Usage | None = None
    model: str | None = None
    request_id: str | None = None
    rate_limits: RateLimits | None = field(default=None, compare=False)
    timings: Timings | None = field(default=None, compare=False)
    connection: ConnectionInfo | None = field(default=None, compare=False)
    attempts: int = field(default=0, compare=False)
    hedged: bool = field(default=False, compare=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    raw: Any = field(default=None, repr=False, compare=False)

    __hash__ = None  # type: ignore[assignment] # arrays have none

    def __iter__(self) -> Iterator[array[float]]:
        return iter(self.vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, index: int) -> array[float]:
        return self.vectors[index]


def read_embeddings(value: object, count: int, headers: Mapping[str, str]) -> Embeddings:
    """Read a list of ``embedding`` objects that came with status 200, without the evidence.

    Raises:
        ProviderError: It is an error object, for all its status.
        RemoteProtocolError: It is neither, or not the vectors that were asked for.
    """
    if not isinstance(value, dict):
        raise RemoteProtocolError("the answer is no JSON object")
    if value.get("error"):
        raise error_of(value, 200, headers)
    data = value.get("data")
    if not isinstance(data, list) or len(data) != count:
        found = f"{len(data)} vectors" if isinstance(data, list) else "no list of vectors"
        raise RemoteProtocolError(f"the answer holds {found} for {count} texts")
    vectors: dict[int, array[float]] = {}
    for place, each in enumerate(data):
        # In order in all recordings; the index is what the vendor promises.
        index = field_of(each, "index")
        vectors[place if index is None else index] = _vector(field_of(each, "embedding"))
    if set(vectors) != set(range(count)):
        raise RemoteProtocolError("the indices of the vectors are not those of the texts")
    return Embeddings(
        vectors=tuple(vectors[index] for index in range(count)),
        usage=_usage(value.get("usage")),
        model=token_of(value, "model"),
        raw=value,
    )


def _vector(value: object) -> array[float]:
    vector = array("f")
    try:
        if isinstance(value, str):
            # Source: little-endian float32, SDK openai 3.52.0, lib/_parsing/_embeddings.py.
            vector.frombytes(binascii.a2b_base64(value, strict_mode=True))
            if sys.byteorder == "big":
                vector.byteswap()
        elif isinstance(value, list):  # compatible servers that do not know base64
            vector.fromlist(value)
    except (ValueError, TypeError, OverflowError):
        vector = array("f")
    if not vector:
        raise RemoteProtocolError("a vector cannot be read")
    return vector


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    return Usage(
        input_tokens=count_of(value, "prompt_tokens"),
        total_tokens=count_of(value, "total_tokens"),
        raw=value,
    )
