"""What the normaliser folds, and what it must not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicekit.cache.normalize import normalized

ONE = "when are you open"

_EDGY = st.text(
    alphabet=st.sampled_from(
        list(" \t\n.,;:!?…¿¡“”\"'«»「」。、、-–—0159²½①⒈aAÄßİıſéΣςｶﾞ５％ＡＢ#%()~〜～′″‴")
    )
)
TEXTS = st.one_of(st.text(), _EDGY)


@pytest.mark.parametrize(
    "spelling",
    [
        "When are you open?",
        "WHEN ARE YOU OPEN",
        "  when  are\tyou\n open ?! ",
        "“When are you open?”",
        "«when are you open»…",
        "¿When are you open?",
        "\uff37\uff48\uff45\uff4e are you open\uff1f",  # full width
        "- When are you open…",
        "~ When are you open ~",
        "''When are you open?''",
        "″When are you open?″",
        "when are you open。",
        "when\u00a0are\u3000you open",
        "\ufeffwhen are y\u00adou open\u200b",
    ],
)
def test_spellings_that_mean_the_same_are_one(spelling: str) -> None:
    """Case, width, white space, marks that cannot be seen, punctuation at the edges."""
    assert normalized(spelling) == ONE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("STRASSE", "straße"),
        ("ΟΔΟΣ", "οδος"),
        ("ﾄｳｷｮｳ", "トウキョウ"),
        ("ｶﾞｽ", "ガス"),
        ("٣ أكتوبر؟", "٣ أكتوبر"),
        ("「营业吗？」", "营业吗"),
        ("cafe\u0301", "café"),
        ("ﬁne", "fine"),
        ("क्या आप खुले हैं।", "क्या आप खुले हैं"),
    ],
)
def test_of_no_language(one: str, other: str) -> None:
    """What Unicode says is the same character in another form, in any script."""
    assert normalized(one) == normalized(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 4711", "order 4712"),
        ("is it open", "isn't it open"),
        ("isn't", "isnt"),
        ("5²", "52"),
        ("1½ kg", "11/2 kg"),
        ("10①", "101"),
        ("1⒈", "11."),
        ("-5 degrees", "5 degrees"),
        ("–5 degrees", "5 degrees"),
        (".5 litres", "5 litres"),
        (",5 litres", "5 litres"),
        ("1.5", "15"),
        ("3,000", "3.000"),
        ("résumé", "resume"),
        ("año", "ano"),
        ("let's eat, grandma", "let's eat grandma"),
        ("C#", "C"),
        ("C++", "C"),
        ("100%", "100"),
        ("$5", "5"),
        ("5'", '5"'),
        ("5'", "5''"),
        ("5′", "5″"),
        ("5′", "5′′"),
        ("5″", "5‴"),
        ("5″", "5"),
        ("a 27″ screen", "a 27′ screen"),
        ("~5 minutes", "5 minutes"),
        ("～5 minutes", "5 minutes"),
        ("〜5 minutes", "5 minutes"),
        ("-~5", "5"),
        ("~-5", "-5"),
        ("~.5", ".5"),
        ("5!!", "5!"),
        ("grade A-", "grade A"),
        ("ok :)", "ok :("),
        ("re-sign", "resign"),
        ("is 12:30 fine", "is 1230 fine"),
        ("?", "!"),
        ("👍", "👎"),
        ("می\u200cخواهم", "میخواهم"),
        ("5!", "5"),
        ("no", "yes"),
        ("x^2", "x2"),
        ("a b", "ab"),
        ("ı", "i"),
    ],
)
def test_what_can_change_the_meaning_is_kept(one: str, other: str) -> None:
    """Digits, signs, inner punctuation, negations, accents: a miss rather than a wrong answer."""
    assert normalized(one) != normalized(other)


@given(TEXTS)
@example("ΐ")
@example("\u0345\u0301α")
@example("…5")
@example("--5")
@example("İstanbul")
@example("½\u0338")
@example("-~5")
@example("~~5")
@example("5''\"''")
@example("5′″′")
def test_once_is_enough(text: str) -> None:
    """The one spelling stands for itself."""
    once = normalized(text)
    assert normalized(once) == once


@given(TEXTS)
def test_letters_and_digits_stay(text: str) -> None:
    """A text that says something says as much afterwards; digits stay in their order."""
    once = normalized(text)
    if any(each.isalnum() for each in text):
        assert any(each.isalnum() for each in once)
    elif text.strip():
        assert once or not unicodedata.normalize("NFKC", text).strip() or not text.isprintable()

    def digits(said: str) -> str:
        return "".join(
            str(unicodedata.decimal(each)) if each.isdecimal() else each
            for each in said
            if each.isnumeric()
        )

    assert digits(once) == digits(unicodedata.normalize("NFC", text)) or not text.isascii()


@given(TEXTS, st.sampled_from([str.upper, str.title, str.casefold]))
def test_case_is_none(text: str, spelled: object) -> None:
    """However it is written, as long as Unicode folds it back."""
    other = spelled(text)  # type: ignore[operator]
    if unicodedata.normalize("NFKC", other.casefold()) == unicodedata.normalize(
        "NFKC", text.casefold()
    ):
        assert normalized(other) == normalized(text)


@given(TEXTS, st.sampled_from(["?", " ", "…", "。", "!?", "  ."]))
def test_an_end_more_or_less(text: str, end: str) -> None:
    """What stands behind the last word is no part of it, unless that is a number."""
    last = normalized(text)[-1:]
    if last.isalpha():
        assert normalized(text + end) == normalized(text)
