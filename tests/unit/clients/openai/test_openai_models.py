"""Models and rate limits: values out of what the vendor says, and none where it says nonsense."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from voicekit.clients.openai import Model, OpenAIClient, rate_limits_of
from voicekit.clients.openai.models import _page
from voicekit.errors import InvalidArgumentError, RemoteProtocolError
from voicekit.speech import RateLimit, RateLimits

pytestmark = pytest.mark.anyio

# -- models ------------------------------------------------------------------------------------


def test_a_model() -> None:
    """With the day on which it ends, where one is announced."""
    value = {
        "id": "gpt-4o",
        "object": "model",
        "created": 1750000000,
        "owned_by": "system",
        "shutdown_date": "2027-01-14",
    }
    model = Model.read(value)
    assert model == Model(
        id="gpt-4o",
        owned_by="system",
        created_at=1750000000,
        shutdown_date=dt.date(2027, 1, 14),
    )
    assert model.raw is value


@pytest.mark.parametrize("date", [None, "soon", "2027-13-01", 7, ""])
def test_a_date_that_is_none(date) -> None:
    """Older recordings have no such field; another word is as good as none."""
    assert Model.read({"id": "m", "shutdown_date": date}).shutdown_date is None
    assert Model.read({"id": "m"}) == Model(id="m")


@pytest.mark.parametrize("value", [None, [], {}, {"id": ""}, {"id": 7}])
def test_what_is_no_model(value) -> None:
    """Has no id."""
    with pytest.raises(RemoteProtocolError):
        Model.read(value)
    with pytest.raises(RemoteProtocolError):
        _page({"data": [value]})


def test_what_is_no_list_of_models() -> None:
    """Has no data."""
    for value in ({}, {"data": {}}):
        with pytest.raises(RemoteProtocolError):
            _page(value)


async def test_what_is_asked_is_checked_before_any_io() -> None:
    """An id, and options that there are."""
    llm = OpenAIClient("key")
    for wrong in ("", None, 5):
        with pytest.raises(InvalidArgumentError, match="id"):
            await llm.model(wrong)
    with pytest.raises(InvalidArgumentError, match="temperature"):
        await llm.models(temperature=1)


# -- rate limits -------------------------------------------------------------------------------

# Source: the sheet's table of response headers, and its Go-style durations.
HEADERS = {
    "x-ratelimit-limit-requests": "30000",
    "x-ratelimit-remaining-requests": "29999",
    "x-ratelimit-reset-requests": "2ms",
    "x-ratelimit-limit-tokens": "150000000",
    "x-ratelimit-remaining-tokens": "149999992",
    "x-ratelimit-reset-tokens": "1m13.588s",
}


def test_the_six_headers() -> None:
    """Counts, and seconds out of Go's durations; in any case of the names."""
    expected = RateLimits(
        requests=RateLimit(limit=30000, remaining=29999, reset_s=0.002),
        tokens=RateLimit(limit=150_000_000, remaining=149_999_992, reset_s=pytest.approx(73.588)),
    )
    assert rate_limits_of(HEADERS) == expected
    assert rate_limits_of(CIMultiDict({k.title(): v for k, v in HEADERS.items()})) == expected


def test_three_of_them_and_none() -> None:
    """Transcription has no tokens; a list of models has nothing."""
    three = {name: value for name, value in HEADERS.items() if name.endswith("requests")}
    limits = rate_limits_of(three)
    assert limits.requests.remaining == 29999
    assert limits.tokens == RateLimit()
    assert rate_limits_of({"x-request-id": "r"}) is None


@pytest.mark.parametrize("reset", ["0s", "6ms", "76ms", "1m13.588s", "23h55m16.126s"])
def test_every_duration_of_the_sheet(reset) -> None:
    """Is read."""
    assert rate_limits_of({"x-ratelimit-reset-tokens": reset}).tokens.reset_s is not None


@given(st.dictionaries(st.sampled_from(sorted(HEADERS)), st.text(max_size=30)))
def test_any_text_is_a_count_or_none(headers) -> None:
    """Nothing escapes, whatever a server writes."""
    limits = rate_limits_of(headers)
    if limits is not None:
        for limit in (limits.requests, limits.tokens):
            assert limit.limit is None or limit.limit >= 0
            assert limit.reset_s is None or limit.reset_s >= 0


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "٣", "9" * 30, "1e3"])
def test_what_is_no_count(text) -> None:
    """Is as good as absent."""
    assert rate_limits_of({"x-ratelimit-limit-requests": text}) is None
