"""Where text is cut for voices that take only so much of it."""

from __future__ import annotations

import time

import pytest

from voicekit.errors import InvalidArgumentError
from voicekit.speech.sentences import passages, sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["Hello there. ", "How are you? ", "Fine!"],
        ["He said “Stop!” ", "Then he left. ", "(Really.) ", "Yes."],
        ["I paid $3.14, or 1,000.50 in all. ", "Then I left."],
        ["Ask Mr. Smith of Smith & Co. in St. Ives. ", "He knows."],
        ["It takes approx. half an hour, e.g. by bus, etc. and so on. ", "Or more."],
        ["See U.S. law and J. R. Tolkien. ", "Read it."],
        ["Das kostet z. B. 5,20 Euro. ", "Gut, d.h. billig."],
        ["1. Wash your hands. ", "2. Dry them."],
        ["Well… and so it goes. ", "Wait… ", "What?"],
        ["你好。", "世界！", "「再见。」", "完了"],
        ["これは本です。", "そうですか？", "はい。"],
        ["आप कैसे हैं। ", "ठीक है॥"],
        ["هل هذا صحيح؟ ", "نعم۔ ", "حسنا."],
        ["Это так. ", "Правда?"],
        ["A heading\n", "A line that\nis merely full. ", "The next."],
        ["One paragraph\n\n", "another, in small letters"],
        ["Go to example.com or v2.0. ", "Now."],
        ["  Space before. ", "And behind.   "],
    ],
)
def test_sentences_end_where_people_end_them(expected: list[str]) -> None:
    """Numbers, abbreviations, initials and names with a stop in them are no ends."""
    assert sentences("".join(expected), most=1000) == expected


def test_an_empty_text_has_none() -> None:
    """Nothing in, nothing out; white space is one part, since nothing may be lost."""
    assert sentences("", most=10) == []
    assert passages("", most=10) == []
    assert sentences(" \n ", most=10) == [" \n "]


def test_a_long_sentence_is_cut_at_a_clause_else_at_a_word_else_between_signs() -> None:
    """The least harm to how it sounds."""
    assert sentences("One two, three four five", most=12) == ["One two, ", "three four ", "five"]
    assert sentences("abcdefgh", most=3) == ["abc", "def", "gh"]
    assert sentences("ae\u0301e\u0301", most=2) == ["a", "e\u0301", "e\u0301"]
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert sentences("ab" + family, most=5) == ["ab", family]
    assert sentences("很长的句子，没有结束", most=8) == ["很长的句子，", "没有结束"]


def test_passages_are_the_fewest_parts() -> None:
    """As many whole sentences go together as fit."""
    text = "One. Two. Three. Four."
    assert passages(text, most=100) == [text]
    assert passages(text, most=12) == ["One. Two. ", "Three. Four."]


@pytest.mark.parametrize("most", [0, -1])
def test_a_part_has_room_for_something(most: int) -> None:
    """Parts of no characters would never end."""
    for cut in (sentences, passages):
        with pytest.raises(InvalidArgumentError) as caught:
            cut("text", most=most)
        assert caught.value.argument == "most"


@pytest.mark.parametrize(
    "text",
    [" " * 100_000, ". " * 50_000, "\n " * 50_000, "a" * 100_000, '."' * 50_000, "A. " * 30_000],
    ids=["spaces", "stops", "lines", "letters", "quotes", "initials"],
)
def test_no_text_takes_long(text: str) -> None:
    """Time grows with the text, whatever is in it."""
    started = time.process_time()
    assert "".join(passages(text, most=500)) == text
    assert time.process_time() - started < 2.0
