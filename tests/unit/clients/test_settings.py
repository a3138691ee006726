"""Settings: merged name by name, refused by name, frozen into canonical text."""

from __future__ import annotations

import json
from collections import UserDict, UserList
from collections.abc import Collection, Mapping
from dataclasses import FrozenInstanceError
from typing import Any, ClassVar

import pytest

from voicekit import checks
from voicekit.clients.settings import (
    EXTRAS,
    Settings,
    base_url_of,
    dumps,
    identity_of,
    json_of,
)
from voicekit.errors import InvalidArgumentError
from voicekit.operation import Limits


class TeaSettings(Settings):
    """A provider's, as small as can be."""

    purpose = "a tea"
    option_checks: ClassVar = {
        "leaves": checks.text,
        "grams": checks.integer(1),
        "pot": lambda _name, value: tuple(value),
        "cup": checks.text,
    }
    extra_checks: ClassVar = {**EXTRAS, "extra_body": checks.without({"water": "the tap"})}

    def _displaced(self, given: Mapping[str, Any]) -> Collection[str]:
        return ("cup",) if "pot" in given else ()


def test_nothing_given_costs_nothing() -> None:
    """Without options the settings are the same object, with all that they worked out."""
    made = TeaSettings().updated({"leaves": "assam"})
    assert made.updated({}) is made


def test_the_later_word_wins_name_by_name() -> None:
    """A call's option stands over the constructor's, None takes it back, others stay."""
    made = TeaSettings().updated({"leaves": "assam", "grams": 3})
    call = made.updated({"grams": None, "pot": ["a"]})
    assert type(call) is TeaSettings
    assert call.options == {"leaves": "assam", "grams": None, "pot": ("a",)}
    assert made.options == {"leaves": "assam", "grams": 3}


def test_some_options_make_others_void() -> None:
    """What a subclass says is displaced goes, unless it is given along."""
    made = TeaSettings().updated({"cup": "blue"})
    assert made.updated({"pot": ""}).options == {"pot": ()}
    assert made.updated({"pot": "", "cup": "red"}).options == {"pot": (), "cup": "red"}


@pytest.mark.parametrize("name", ["extra_query", "extra_headers", "extra_body"])
def test_extras_merge_by_field(name: str) -> None:
    """Extras of a call come on top of the constructor's; None and nothing leave them alone."""
    made = TeaSettings().updated({name: {"a": "1", "b": "1"}})
    assert getattr(made.updated({name: {"b": "2", "c": "2"}}), name) == {
        "a": "1",
        "b": "2",
        "c": "2",
    }
    assert getattr(made.updated({name: None, "grams": 1}), name) == {"a": "1", "b": "1"}
    assert getattr(made.updated({name: {}, "grams": 1}), name) == {"a": "1", "b": "1"}
    assert getattr(made, name) == {"a": "1", "b": "1"}


def test_extras_are_the_settings_own() -> None:
    """A mapping that the caller changes afterwards changes nothing here."""
    given = {"a": "1"}
    made = TeaSettings().updated({"extra_query": given})
    given["a"] = "2"
    assert made.extra_query == {"a": "1"}


def test_limits_replace_limits() -> None:
    """They are whole: a call's take the place of the constructor's, None of any."""
    made = TeaSettings().updated({"limits": Limits(gap=1.0)})
    assert made.updated({"limits": Limits(total=2.0)}).limits == Limits(total=2.0)
    assert made.updated({"limits": None}).limits is None


@pytest.mark.parametrize(
    ("given", "argument", "said"),
    [
        ({"grams": 0}, "grams", "an int ≥ 1"),
        ({"limits": 5}, "limits", "Limits(…)"),
        ({"extra_query": "a=b"}, "extra_query", "a mapping"),
        ({"extra_headers": {"a b": ""}}, "extra_headers key", "header names"),
        ({"extra_body": {"water": 1}}, "extra_body.water", "the tap"),
        ({"gram": 1}, "gram", "is no option of a tea"),
        ({"gram": 1}, "gram", "leaves, grams, pot, cup, extra_query, extra_headers, extra_body"),
        ({"marked" * 100: 1}, ("marked" * 100)[:64], "limits"),
    ],
)
def test_bad_options_are_refused_by_name(given: Any, argument: str, said: str) -> None:
    """Unknown names and values that are not allowed; the refusal lists what there is."""
    with pytest.raises(InvalidArgumentError) as caught:
        TeaSettings().updated(given)
    assert caught.value.argument == argument
    assert said in str(caught.value)


def test_settings_are_frozen_and_discreet() -> None:
    """They cannot be changed, and their repr shows neither options nor extras."""
    made = TeaSettings().updated(
        {"leaves": "marked", "extra_headers": {"marked": "marked"}, "extra_body": {"marked": 1}}
    )
    assert "marked" not in repr(made)
    assert repr(made).startswith("TeaSettings(")
    with pytest.raises(FrozenInstanceError):
        made.options = {}  # type: ignore[misc]


def test_identity_is_canonical() -> None:
    """The same facts in another order, or headers in another case, are the same request."""
    one = identity_of("tea", {"X-A": "1", "B": "2"}, path="/brew", body={"a": 1, "b": [2]})
    other = identity_of("tea", {"b": "2", "x-a": "1"}, body={"b": [2], "a": 1}, path="/brew")
    assert one == other
    assert json.loads(one) == {
        "provider": "tea",
        "headers": {"x-a": "1", "b": "2"},
        "path": "/brew",
        "body": {"a": 1, "b": [2]},
    }
    assert identity_of("tea", {}, path="/brew") != identity_of("tea", {"a": ""}, path="/brew")
    assert identity_of("tea", {}, path="/brew") != identity_of("chai", {}, path="/brew")


def test_where_an_api_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address, else a region's, else the environment's, else the default; never two."""
    there = {"env": "TEA_BASE_URL", "default": "http://tea", "regions": {"eu": "http://eu.tea"}}

    def where(base_url: str | None, region: Any) -> str:
        return base_url_of(base_url, region, **there)  # type: ignore[arg-type]

    assert where(None, None) == "http://tea"
    monkeypatch.setenv("TEA_BASE_URL", "http://env")
    assert where(None, None) == "http://env"
    assert where("http://mine", None) == "http://mine"
    assert where(None, "eu") == "http://eu.tea"
    for bad in (("http://mine", "eu"), (None, "mars"), (None, ["eu"]), (None, "")):
        with pytest.raises(InvalidArgumentError) as caught:
            where(*bad)
        assert caught.value.argument == "region"


def test_json_is_short_and_takes_the_callers_own_kinds() -> None:
    """UTF-8 as it is, no spaces, and any mapping or sequence is one."""
    assert json_of({"a": UserDict({"é": UserList([1, None])})}, "options") == '{"a":{"é":[1,null]}}'
    assert dumps("é") == '"é"'


@pytest.mark.parametrize(
    "value", [object(), b"marked", bytearray(b"marked"), float("nan"), "marked\ud800", {1, 2}]
)
def test_what_is_not_json_is_refused_without_its_content(value: Any) -> None:
    """Bytes, sets, NaN and lone surrogates; neither error nor context quotes them."""
    with pytest.raises(InvalidArgumentError, match="not JSON") as caught:
        json_of({"marked": value}, "the options")
    assert caught.value.argument == "the options"
    assert caught.value.__context__ is None
    assert "marked" not in f"{caught.value!r}"


def test_endless_nesting_is_refused() -> None:
    """A body that holds itself, or is too deep to be written, is no JSON either."""
    endless: dict[str, Any] = {}
    endless["self"] = endless
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for body in (endless, {"deep": deep}):
        with pytest.raises(InvalidArgumentError, match="not JSON"):
            json_of(body, "options")
