"""Embeddings and models over the wire: the values, the evidence, and what is refused."""

from __future__ import annotations

import datetime as dt

import pytest
from chat_world import world_and_client

from voicekit.emulator.providers.openai_embeddings import vector
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    InvalidArgumentError,
    InvalidRequestError,
)
from voicekit.resilience import NO_POLICIES

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

MODEL = "text-embedding-3-small"


@pytest.mark.parametrize("how", ["base64", "float", None])
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_vectors_with_their_evidence(how, tls) -> None:
    """The same vectors however they travel; counts, ids, limits, timings beside them."""
    async with world_and_client(tls=tls, embedding={"model": MODEL}) as (world, llm):
        made = await llm.embed(["one", "two"], dimensions=8, encoding_format=how)
        assert [*made] == [vector("one", 8), vector("two", 8)]
        assert made.model == MODEL
        assert made.usage.input_tokens == made.usage.total_tokens == 2
        assert made.rate_limits.tokens.limit == 150_000_000
        assert made.request_id == made.headers["x-request-id"]
        assert made.headers["openai-model"] == MODEL
        assert made.connection.reused is False
        assert 0 < made.timings.first_output <= made.timings.total
        record = world.journal.requests_for("openai", "embeddings")[0]
        assert (record.method, record.path) == ("POST", "/v1/embeddings")
        asked = {"model": MODEL, "dimensions": 8, "input": ["one", "two"]}
        assert record.json() == (asked if how is None else {**asked, "encoding_format": how})


async def test_one_text_ids_and_a_finished_request() -> None:
    """Each gives its vectors; the same request may be sent again."""
    async with world_and_client(embedding={"model": MODEL, "dimensions": 4}) as (_, llm):
        assert (await llm.embed("one")).vectors == (vector("one", 4),)
        assert (await llm.embed([1, 2])).vectors == (vector("1 2", 4),)
        assert (await llm.embed([[1, 2], [3]])).vectors == (vector("1 2", 4), vector("3", 4))
        request = llm.embedding_request("one")
        first, again = await llm.embed(request), await llm.embed(request)
        assert first.vectors == again.vectors
        with pytest.raises(InvalidArgumentError, match="dimensions"):
            await llm.embed(request, dimensions=5)


async def test_a_large_batch_is_read() -> None:
    """Beyond what a whole answer may be otherwise."""
    async with world_and_client(embedding={"model": MODEL, "dimensions": 3072}) as (_, llm):
        texts = [f"text {number % 64}" for number in range(512)]
        made = await llm.embed(texts, encoding_format="float")
        assert len(made) == 512
        assert made[511] == vector(texts[511], 3072)


async def test_what_the_vendor_refuses() -> None:
    """A text that only its tokenizer knows to be too long; an unknown model; a wrong key."""
    async with world_and_client(embedding={"model": MODEL}) as (_, llm):
        with pytest.raises(InvalidRequestError):
            await llm.embed("x" * 40_000)
        with pytest.raises(InvalidRequestError) as caught:
            await llm.embed("x", model="no-such-model")
        assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    async with world_and_client(api_key="bad-key", embedding={"model": MODEL}) as (_, llm):
        with pytest.raises(AuthenticationError):
            await llm.embed("x")
        with pytest.raises(CircuitOpenError) as stopped:  # nobody asks with that key again
            await llm.models()
        assert isinstance(stopped.value.__cause__, AuthenticationError)
        with pytest.raises(AuthenticationError):
            await llm.models(policies=NO_POLICIES)


async def test_models_and_their_ends() -> None:
    """All on one page, one by its id, none by another; the day on which each ends."""
    async with world_and_client(extra_headers={"X-Mine": "1"}) as (world, llm):
        page = await llm.models(extra_query={"a": "b"})
        ends = {model.id: model.shutdown_date for model in page}
        assert ends["gpt-4o"] == dt.date(2027, 1, 14)
        assert ends["gpt-5.5"] is None
        assert page.request_id == page.headers["x-request-id"]
        assert page.timings.total > 0
        model = await llm.model("gpt-4o")
        assert model in page.items
        assert model.request_id is not None
        assert model.connection.reused
        with pytest.raises(InvalidRequestError) as caught:
            await llm.model("no such/model")
        assert (caught.value.status, caught.value.param) == (404, "model")
        sent = world.journal.requests
        assert [(record.method, record.path) for record in sent[:2]] == [
            ("GET", "/v1/models"),
            ("GET", "/v1/models/gpt-4o"),
        ]
        assert sent[0].query == {"a": ["b"]}
        assert sent[0].headers["x-mine"] == "1"
        assert "content-type" not in sent[0].headers
        assert sent[0].body == b""
