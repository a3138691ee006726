"""Text in pieces goes out in whole words."""

from __future__ import annotations

import pytest

from voicekit.wire.words import WholeWords


@pytest.mark.parametrize(
    ("pieces", "sent", "rest"),
    [
        (["Hel", "lo. ", "How"], ["", "Hello. ", ""], "How"),
        (["Hello", " wor", "ld"], ["", "Hello ", ""], "world"),
        (["a b c"], ["a b "], "c"),
        (["a\n", "b\tc", "\u00a0d", "\u2003e"], ["a\n", "b\t", "c\u00a0", "d\u2003"], "e"),
        (["", " ", ""], ["", " ", ""], ""),
        (["你好", "世界", "。"], ["你好", "世界", "。"], ""),
        (["abc你", "def"], ["abc你", ""], "def"),
        (["カタ", "カナ！"], ["カタ", "カナ！"], ""),
        (["안녕하", "세요 ", "여러분"], ["", "안녕하세요 ", ""], "여러분"),
        (["it's 3.", "14"], ["it's ", ""], "3.14"),
    ],
)
def test_words_wait_for_their_end(pieces, sent, rest):
    """White space ends a word, and so does each sign of a script without spaces."""
    words = WholeWords()
    assert [words.feed(piece) for piece in pieces] == sent
    assert words.pending == rest
    assert words.flush() == rest
    assert words.flush() == ""


@pytest.mark.parametrize(
    "text",
    [
        "ที่นี่เป็นภาษาไทย",  # vowels and tones above and before their consonants
        "ນີ້ແມ່ນພາສາລາວ",
        "នេះជាភាសាខ្មែរ",  # ខ្ម: the second consonant hangs below the first
        "ဒါကမြန်မာစာပါ",
    ],
)
def test_clusters_are_not_torn(text):
    """No vowel, tone mark or subscript leaves without the consonant that it belongs to."""
    import unicodedata

    words = WholeWords()
    sent = [words.feed(sign) for sign in text] + [words.flush()]
    assert "".join(sent) == text
    parts = [part for part in sent if part]
    assert len(parts) > 4
    for part in parts:
        assert unicodedata.category(part[0]) not in ("Mn", "Mc")
        assert part[-1] not in "เแโใไເແໂໃໄ\u17d2\u1039"


def test_what_is_no_word_is_let_go():
    """More than 512 characters without an end are sent: the provider waits for text too."""
    words = WholeWords()
    assert words.feed("x" * 512) == ""
    assert words.feed("y") == "x" * 512 + "y"
    assert words.feed("a " + "z" * 600) == "a " + "z" * 600
    assert words.pending == ""
