"""Embeddings: what is asked within the vendor's limits, and vectors however they travel."""

from __future__ import annotations

import base64
import json
import struct
from array import array
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekit.clients.openai import EmbeddingDefaults, Embeddings, OpenAIClient
from voicekit.clients.openai.embedding_options import CHECKS
from voicekit.clients.openai.embedding_protocol import read_embeddings
from voicekit.errors import InvalidArgumentError, QuotaError, RemoteProtocolError
from voicekit.operation import Limits

pytestmark = pytest.mark.anyio


def client(**embedding) -> OpenAIClient:
    embedding = {"model": "text-embedding-3-small", **embedding}
    return OpenAIClient("key", model="gpt-x", embedding=embedding)


def sent(request) -> dict:
    return json.loads(request.body)


# -- what is asked -----------------------------------------------------------------------------


def test_every_option_is_checked() -> None:
    """The typed options and the checks name the same fields."""
    extras = {"extra_query", "extra_headers", "extra_body"}
    assert set(get_type_hints(EmbeddingDefaults)) - extras == set(CHECKS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", "m"), ("dimensions", 1), ("encoding_format", "float"), ("user", "u")],
)
def test_every_option_works_in_the_constructor_and_per_call(name, value) -> None:
    """Both ways give the same body."""
    once = sent(client(**{name: value}).embedding_request("hi"))
    assert sent(client().embedding_request("hi", **{name: value})) == once
    assert once[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ""),
        ("dimensions", 0),
        ("dimensions", 1.5),
        ("encoding_format", "hex"),
        ("user", 1),
        ("temperature", 1),
        ("extra_body", {"input": "x"}),
    ],
)
async def test_a_value_that_is_not_allowed_is_refused_before_any_io(name, value) -> None:
    """In the constructor, in a request and in a call."""
    for attempt in (
        lambda: client(**{name: value}),
        lambda: client().embedding_request("hi", **{name: value}),
    ):
        with pytest.raises(InvalidArgumentError):
            attempt()
    with pytest.raises(InvalidArgumentError):
        await client().embed("hi", **{name: value})


def test_base64_is_asked_for_unless_declined() -> None:
    """None is for servers that know no such field."""
    assert sent(client().embedding_request("hi")) == {
        "encoding_format": "base64",
        "model": "text-embedding-3-small",
        "input": "hi",
    }
    assert "encoding_format" not in sent(client(encoding_format=None).embedding_request("hi"))


def test_a_chats_model_embeds_nothing() -> None:
    """A model of its own is required."""
    with pytest.raises(InvalidArgumentError, match="model"):
        OpenAIClient("key", model="gpt-x").embedding_request("hi")


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        ("hi", 1),
        (["hi"], 1),
        (("a", "b"), 2),
        (["x"] * 2048, 2048),
        ([1, 2, 3], 1),
        ([[1], [2, 3]], 2),
        ([[7] * 8192], 1),
    ],
)
def test_what_can_be_embedded(texts, count) -> None:
    """Texts and ids of tokens, up to the vendor's limits."""
    request = client().embedding_request(texts)
    assert request.count == count
    assert sent(request)["input"] == json.loads(json.dumps(texts))


@pytest.mark.parametrize(
    "texts",
    [
        "",
        [],
        None,
        5,
        b"hi",
        {"a": 1},
        [""],
        ["a", ""],
        ["a", 1],
        ["a", ["b"]],
        [None],
        ["x"] * 2049,
        [1, "a"],
        [-1],
        [True],
        [1.5],
        [[]],
        [[1], "a"],
        [[7] * 8193],
        [7] * 8193,
        [[7] * 8192] * 37,
        ["\ud800"],
    ],
)
def test_what_cannot_be_embedded_is_refused_before_any_io(texts) -> None:
    """Nothing, empty texts, other kinds, and more than the vendor takes."""
    with pytest.raises(InvalidArgumentError):
        client().embedding_request(texts)


def test_the_older_model_takes_no_dimensions() -> None:
    """As the sheet says."""
    with pytest.raises(InvalidArgumentError, match="dimensions"):
        client(model="text-embedding-ada-002").embedding_request("hi", dimensions=8)


def test_identity_and_repr() -> None:
    """All that can change the vectors is in the one, no text in the other."""
    llm = client()
    base = llm.embedding_request("SECRETTEXT")
    others = [
        llm.embedding_request("other"),
        llm.embedding_request("SECRETTEXT", dimensions=8),
        llm.embedding_request("SECRETTEXT", extra_headers={"x": "SECRET"}),
    ]
    assert len({base.identity, *(other.identity for other in others)}) == 4
    assert llm.embedding_request("SECRETTEXT", limits=Limits(total=1)).identity == base.identity
    assert "SECRET" not in repr([base, *others, llm._settings])


# -- what comes --------------------------------------------------------------------------------


def packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answer(*embeddings, **more) -> dict:
    data = [
        {"object": "embedding", "index": index, "embedding": each}
        for index, each in enumerate(embeddings)
    ]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    return {"object": "list", "data": data, "model": "m-1", "usage": usage, **more}


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_base64_and_lists_give_the_same_vector(numbers) -> None:
    """Little-endian float32, bit for bit."""
    read = read_embeddings(answer(packed(numbers), numbers), 2, {})
    assert list(read.vectors[0]) == numbers
    assert read.vectors[0] == read.vectors[1]


def test_the_facts_beside_the_vectors() -> None:
    """Counts, the model, the vendor's own object."""
    value = answer(packed([1.0]))
    read = read_embeddings(value, 1, {})
    assert (read.usage.input_tokens, read.usage.total_tokens, read.model) == (4, 4, "m-1")
    assert read.raw is value


def test_vectors_stand_in_the_order_of_the_texts() -> None:
    """By their index, where they have one."""
    value = answer(packed([1.0]), packed([2.0]))
    value["data"].reverse()
    assert [list(v) for v in read_embeddings(value, 2, {}).vectors] == [[1.0], [2.0]]
    for each in value["data"]:
        del each["index"]
    assert [list(v) for v in read_embeddings(value, 2, {}).vectors] == [[2.0], [1.0]]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"data": {}},
        answer(),
        answer(packed([1.0]), packed([1.0])),
        answer("not base64!"),
        answer("QUI="),
        answer(""),
        answer([]),
        answer(["a"]),
        answer([None]),
        answer(None),
        answer(7),
        {"data": ["what"]},
        {"data": [{"index": 0, "embedding": [1.0]}] * 2},
        {"data": [{"index": 5, "embedding": [1.0]}]},
        {"data": [{"index": "0", "embedding": [1.0]}]},
    ],
)
def test_what_are_not_the_vectors_asked_for(value) -> None:
    """Another number of them, or unreadable ones: a typed error."""
    with pytest.raises(RemoteProtocolError):
        read_embeddings(value, 1, {})


def test_an_error_with_status_200() -> None:
    """Is one."""
    with pytest.raises(QuotaError):
        read_embeddings({"error": {"code": "insufficient_quota"}}, 1, {})


def test_the_value_is_a_sequence_of_vectors() -> None:
    """And shows none of them."""
    vectors = (array("f", [0.5]), array("f", [0.25]))
    value = Embeddings(vectors=vectors)
    assert [*value] == [*vectors]
    assert (len(value), value[1]) == (2, vectors[1])
    assert value == Embeddings(vectors=vectors, headers={"a": "b"})
    assert "0.5" not in repr(value)
