"""The trace of the benchmark ``savings``: it is what the benchmark says it is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from voicekit.cache import normalized


@pytest.fixture
def said() -> Any:
    from benchmarks import savings_trace

    return savings_trace


def test_spellings_of_a_question_fold_to_one_and_questions_never_do(said) -> None:
    """2,000 normalised texts of 10,000 spellings, all of them different as they are put."""
    spelled = said._spelled("folding")
    assert (len(spelled), {len(each) for each in spelled}) == (said.INTENTS, {said.SPELLINGS})
    assert len({text for each in spelled for text in each}) == said.INTENTS * said.SPELLINGS
    folded = [{normalized(text) for text in each} for each in spelled]
    assert {len(each) for each in folded} == {1}
    assert len(set().union(*folded)) == said.INTENTS


def test_other_words_do_not_fold(said) -> None:
    """Each of them is a question of its own."""
    spelled = said._spelled("rewording")
    folded = {normalized(text) for each in spelled for text in each}
    assert len(folded) == said.INTENTS * said.SPELLINGS


def test_the_trace_is_the_same_each_time_and_zipfian(said) -> None:
    """So many questions, so many follow-ups; the first of them is asked 1,500 to 2,200 times."""
    asked = said.trace("folding")
    assert asked == said.trace("folding")
    assert len(asked) == said.QUESTIONS
    assert sum(each.then is not None for each in asked) == said.FOLLOW_UPS
    often = Counter(each.intent for each in asked)
    assert 1500 < often[0] < 2200
    assert 2 ** (said.EXPONENT - 0.15) < often[0] / often[1] < 2 ** (said.EXPONENT + 0.15)


def test_the_agent_knows_every_spelling_by_heart(said) -> None:
    """One answer for an intent in any spelling, and another one for any other."""
    for kind in said.KINDS:
        for intent, spellings in enumerate(said._spelled(kind)):
            assert {said.reply(each) for each in spellings} == {said.answer_to(intent)}
    assert said.reply("and tomorrow?") not in {said.answer_to(n) for n in range(said.INTENTS)}
