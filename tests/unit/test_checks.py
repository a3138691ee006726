"""Checks: what each lets through, and how a refusal names it without showing content."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest

from voicekit import checks
from voicekit.checks import Check
from voicekit.errors import InvalidArgumentError

FINE: list[tuple[Check, Any]] = [
    (checks.text, "a"),
    (checks.text_up_to(3), "abc"),
    (checks.flag, False),
    (checks.number(-2, 2), -2),
    (checks.number(-2, 2), 2.0),
    (checks.number(0), math.inf),
    (checks.encodable, ""),
    (checks.encodable, "ü😀"),
    (checks.integer(1), 10**30),
    (checks.integer(1, 4), 4),
    (checks.word("on", "off"), "off"),
    (checks.mapping, {1: 2}),
    (checks.mapping, MappingProxyType({})),
    (checks.fields, {"a": 1}),
    (checks.sequence_of(str, "str", 2), ("a", "b")),
    (checks.sequence_of(str, "str"), []),
    (checks.str_or(checks.word("auto"), checks.mapping), "auto"),
    (checks.str_or(checks.word("auto"), checks.mapping), {}),
    (checks.headers, {"X-Mine": "a b", "!#$%&'*+.^_`|~-": ""}),
    (checks.without({"a": "b"}), {"c": 1}),
]


@pytest.mark.parametrize(("check", "value"), FINE)
def test_what_is_allowed_comes_back(check: Check, value: Any) -> None:
    """A check returns the value that will be sent: here, the very one that was given."""
    assert check("x", value) is value


@pytest.mark.parametrize(
    ("check", "value", "allowed"),
    [
        (checks.text, "", "a str that is not empty"),
        (checks.text, b"a", "a str that is not empty"),
        (checks.text_up_to(3), "abcd", "at most 3 characters"),
        (checks.text_up_to(3), "", "not empty"),
        (checks.flag, 1, "a bool"),
        (checks.flag, "true", "a bool"),
        (checks.number(0, 2), True, "a number from 0 to 2"),
        (checks.number(0, 2), 2.1, "a number from 0 to 2"),
        (checks.number(0, 2), math.nan, "a number from 0 to 2"),
        (checks.number(0, 2), "1", "a number from 0 to 2"),
        (checks.number(0), -0.1, "a number ≥ 0"),
        (checks.number(0), math.nan, "a number ≥ 0"),
        (checks.encodable, "\ud83d", "UTF-8"),
        (checks.integer(1), 0, "an int ≥ 1"),
        (checks.integer(1, 4), 5, "an int from 1 to 4"),
        (checks.integer(0, 4), True, "an int from 0 to 4"),
        (checks.integer(0, 4), 2.0, "an int from 0 to 4"),
        (checks.word("on", "off"), "of", "on, off"),
        (checks.word("on", "off"), [], "on, off"),
        (checks.mapping, [("a", 1)], "a mapping"),
        (checks.fields, {1: 2}, "a mapping with str keys"),
        (checks.fields, "a", "a mapping with str keys"),
        (checks.sequence_of(str, "str", 2), ["a"] * 3, "a sequence of str, at most 2"),
        (checks.sequence_of(str, "str"), ["a", 1], "a sequence of str"),
        (checks.sequence_of(str, "str"), "ab", "a sequence of str"),
        (checks.sequence_of(int, "int"), b"ab", "a sequence of int"),
        (checks.sequence_of(int, "int"), bytearray(b"ab"), "a sequence of int"),
        (checks.sequence_of(int, "int"), memoryview(b"ab"), "a sequence of int"),
        (checks.sequence_of(int, "int"), {1}, "a sequence of int"),
        (checks.str_or(checks.word("auto"), checks.mapping), "none", "auto"),
        (checks.str_or(checks.word("auto"), checks.mapping), 5, "a mapping"),
        (checks.headers, [("a", "b")], "a mapping of header names"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(check: Check, value: Any, allowed: str) -> None:
    """A refusal names the option and says what would be allowed."""
    with pytest.raises(InvalidArgumentError) as caught:
        check("x", value)
    assert caught.value.argument == "x"
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ({"a b": "c"}, "x key"),
        ({"": "c"}, "x key"),
        ({"a:": "c"}, "x key"),
        ({"a\n": "c"}, "x key"),
        ({1: "c"}, "x key"),
        ({"a": "c\r\nd: e"}, "x value"),
        ({"a": "é"}, "x value"),
        ({"a": b"c"}, "x value"),
        ({"a": None}, "x value"),
    ],
)
def test_no_header_writes_another(value: Any, argument: str) -> None:
    """What would end a header, or has no place in one, is refused."""
    with pytest.raises(InvalidArgumentError) as caught:
        checks.headers("x", value)
    assert caught.value.argument == argument


def test_fields_that_have_their_own_way_say_which() -> None:
    """A field that something else decides is refused, with the name of what does."""
    with pytest.raises(InvalidArgumentError, match="is not for extra_body") as caught:
        checks.without({"stream": "stream_chat()"})("extra_body", {"a": 1, "stream": True})
    assert caught.value.argument == "extra_body.stream"
    assert "stream_chat()" in str(caught.value)
    with pytest.raises(InvalidArgumentError, match="str keys"):
        checks.without({})("extra_body", {1: 2})


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (None, "got None"),
        (True, "got True"),
        (2.5, "got 2.5"),
        (10**100, f"got {10**39};"),
        ("marked", "got a str of length 6"),
        (["marked"], "got a list of length 1"),
        ({"marked": "marked"}, "got a dict of length 1"),
        (b"marked", "got a bytes of length 6"),
        (type("Odd", (), {"__repr__": lambda _: "marked"})(), "got a Odd"),
    ],
)
def test_a_refusal_shows_numbers_and_nothing_that_may_be_content(value: Any, given: str) -> None:
    """Values may be speech or secrets: only numbers are quoted, and those not at any length."""
    error = checks.wrong("x", value, "something else")
    assert given in str(error)
    assert "marked" not in f"{error} {error!r}"
