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
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from voicekit.emulator.providers.base import Exchange
from voicekit.emulator.providers.openai_refusals import (
    Refusal,
    body_of,
    check_choice,
    check_model,
    missing,
    too_long,
    wrong_type,
)

SIZES: Mapping[str, int] = {"text-embedding-3-large": 3072}
SIZE = 1536
"""Numbers per vector of every other model."""

MAX_INPUTS = 2048
MAX_TOKENS = 8192
MAX_TOTAL_TOKENS = 300_000


async def answer_embedding(exchange: Exchange) -> web.StreamResponse:
    """Answer one request."""
    body = body_of(exchange)
    _check(body)
    model = body["model"]
    check_model(model)
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


def _check(body: Mapping[str, Any]) -> None:
    if not isinstance(body.get("model"), str):
        raise Refusal(message="you must provide a model parameter")
    given = body.get("input")
    if given is None:
        raise missing("input")
    if not isinstance(given, str | list) or not given:
        raise Refusal(message="'$.input' is invalid. Please check the API reference.")
    if isinstance(given, list) and len(given) > MAX_INPUTS:
        raise too_long("input", len(given), MAX_INPUTS)
    if isinstance(given, list) and not (
        all(isinstance(each, str) and each for each in given)
        or all(_is_token(each) for each in given)
        or all(isinstance(each, list) and each and all(map(_is_token, each)) for each in given)
    ):
        raise Refusal(message="'$.input' is invalid. Please check the API reference.")
    counts = [_tokens(each) for each in _inputs(given)]
    if max(counts) > MAX_TOKENS:
        raise Refusal(message=f"Invalid 'input': maximum context length is {MAX_TOKENS} tokens.")
    if sum(counts) > MAX_TOTAL_TOKENS:
        raise Refusal(
            message=f"Invalid 'input': maximum request size is {MAX_TOTAL_TOKENS} tokens."
        )
    check_choice("encoding_format", body.get("encoding_format"), frozenset({"float", "base64"}))
    size = body.get("dimensions")
    if size is None:
        return
    if isinstance(size, bool) or not isinstance(size, int):
        raise wrong_type("dimensions", "an integer")
    if size < 1:
        # Source: a recorded 400 of this very request.
        raise Refusal(
            message=f"Invalid value for 'dimensions' = {size}. Must be greater than 0.",
            code="decimal_below_min_value",
        )
    if "ada-002" in body["model"]:
        raise Refusal(message="This model does not support specifying dimensions.")


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
