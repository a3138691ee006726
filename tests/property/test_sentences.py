"""Cutting text loses nothing, whatever the text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicekit.speech.sentences import passages, sentences

WORDS = st.sampled_from(
    [
        "Hello",
        "you",
        "3.14",
        "Mr.",
        "U.S.",
        "etc.",
        "z.B.",
        "再见。",
        "¿Qué?",
        "नमस्ते।",
        "…",
        '"No!"',
        "\n",
        "\n\n",
        "e\u0301",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.lists(st.sampled_from(".!? \n'\")aA1。\u200d\u0301"), max_size=80).map("".join),
)


@given(TEXTS, st.integers(1, 60))
def test_joined_the_parts_are_the_text(text: str, most: int) -> None:
    """No character is lost, doubled or moved; no part is longer than allowed, none is empty."""
    for cut in (sentences, passages):
        parts = cut(text, most=most)
        assert "".join(parts) == text
        assert all(0 < len(part) <= most for part in parts)


@given(TEXTS, st.integers(1, 60))
def test_passages_are_of_whole_sentences(text: str, most: int) -> None:
    """Each ends with a sentence, and has no room for the next."""
    parts = passages(text, most=most)
    whole = sentences(text, most=most)
    ends, at = {}, 0
    for number, sentence in enumerate(whole, 1):
        at += len(sentence)
        ends[at] = number
    at = 0
    for part in parts:
        at += len(part)
        following = whole[ends[at] : ends[at] + 1]  # fails where no sentence ends
        assert all(len(part) + len(sentence) > most for sentence in following)


@given(st.lists(st.decimals(0, 1000, places=2).map(str), min_size=1, max_size=20))
def test_no_number_is_cut(numbers: list[str]) -> None:
    """A price is read as one, wherever it stands."""
    text = " costs ".join(numbers) + "."
    for part in sentences(text, most=1000):
        for token in part.split():
            assert token.rstrip(".") in {*numbers, "costs"}
