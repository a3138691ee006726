"""Embeddings: vectors that depend on nothing but the text, as floats or as base64.

Source: fact sheet of 2026-11, embeddings (SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import random
import sys
from array import array
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from voicekit.emulator.providers.openai_refusals import (
    Refusal,
    missing,
    not_among,
    wrong_type,
)

if TYPE_CHECKING:
    from aiohttp import web

    from voicekit.emulator.providers.base import Exchange

SIZES: Mapping[str, int] = {"text-embedding-3-large": 3072}
SIZE = 1536
"""Numbers per vector of every other model."""

MAX_INPUTS = 2048
MAX_TOKENS = 8192
MAX_TOTAL_TOKENS = 300_000


async def answer_embedding(exchange: Exchange, *, unknown_model: str) -> web.Response | Refusal:
    """Answer one request, or return why not."""
    try:
        body = exchange.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return Refusal(message="We could not parse the JSON body of your request.")
    for refusal in _refusals(body):
        return refusal
    model = body["model"]
    if model == unknown_model:
        return Refusal(
            status=404,
            message=f"The model `{model}` does not exist or you do not have access to it.",
            code="model_not_found",
        )
    inputs = _inputs(body["input"])
    size = body.get("dimensions") or SIZES.get(model, SIZE)
    packed = body.get("encoding_format") == "base64"
    data = []
    for index, given in enumerate(inputs):
        numbers = vector(given, size)
        data.append(
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(numbers) if packed else list(numbers),
            }
        )
    counted = sum(_tokens(given) for given in inputs)
    return exchange.answer(
        {
            "object": "list",
            "data": data,
            "model": model,
            "usage": {"prompt_tokens": counted, "total_tokens": counted},
        },
        headers={"openai-model": model},
    )


@functools.lru_cache(maxsize=256)
def vector(given: str, size: int) -> array[float]:
    """Return the vector of an input: of length one, the same in every process."""
    seed = hashlib.sha256(given.encode()).digest()
    rng = random.Random(seed)
    drawn = [rng.gauss(0, 1) for _ in range(size)]
    norm = math.sqrt(sum(number * number for number in drawn))
    return array("f", [number / norm for number in drawn])


def _base64(numbers: array[float]) -> str:
    if sys.byteorder == "big":
        numbers = array("f", numbers)
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _inputs(given: Any) -> list[str]:
    """Return each input as text; token ids are text of their own."""
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [_ids(given)]
    return [each if isinstance(each, str) else _ids(each) for each in given]


def _ids(numbers: list[int]) -> str:
    return " ".join(str(number) for number in numbers)


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _refusals(body: Mapping[str, Any]) -> Iterator[Refusal]:
    if not isinstance(body.get("model"), str):
        yield Refusal(message="you must provide a model parameter")
    given = body.get("input")
    if given is None:
        yield missing("input")
        return
    if not isinstance(given, str | list) or not given:
        yield Refusal(message="'$.input' is invalid. Please check the API reference.")
        return
    if isinstance(given, list) and len(given) > MAX_INPUTS:
        yield Refusal(
            message=f"Invalid 'input': array too long. Expected an array with maximum length "
            f"{MAX_INPUTS}, but got an array with length {len(given)} instead.",
            param="input",
            code="array_above_max_length",
        )
        return
    if isinstance(given, list) and not (
        all(isinstance(each, str) and each for each in given)
        or all(_is_token(each) for each in given)
        or all(isinstance(each, list) and each and all(map(_is_token, each)) for each in given)
    ):
        yield Refusal(message="'$.input' is invalid. Please check the API reference.")
        return
    counts = [_tokens(each) for each in _inputs(given)]
    if max(counts) > MAX_TOKENS:
        yield Refusal(message=f"Invalid 'input': maximum context length is {MAX_TOKENS} tokens.")
    if sum(counts) > MAX_TOTAL_TOKENS:
        yield Refusal(
            message=f"Invalid 'input': maximum request size is {MAX_TOTAL_TOKENS} tokens."
        )
    form = body.get("encoding_format")
    if form is not None and form not in {"float", "base64"}:
        yield not_among("encoding_format", form, frozenset({"float", "base64"}))
    size = body.get("dimensions")
    if size is None:
        return
    if isinstance(size, bool) or not isinstance(size, int):
        yield wrong_type("dimensions", "an integer")
    elif size < 1:
        # Source: a recorded 400 of this very request.
        yield Refusal(
            message=f"Invalid value for 'dimensions' = {size}. Must be greater than 0.",
            code="decimal_below_min_value",
        )
    elif "ada-002" in body["model"]:
        yield Refusal(message="This model does not support specifying dimensions.")


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
