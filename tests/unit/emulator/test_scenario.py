"""What a scenario answers, and that its seed decides its draws."""

from __future__ import annotations

import random

import pytest

from voicekit.emulator import SCENARIOS, Reply, Scenario, ToolCall
from voicekit.emulator.scenario import draw, scenario


def test_named_scenarios_are_found_and_others_explained() -> None:
    """A wrong name lists the right ones."""
    assert scenario("phone") is SCENARIOS["phone"]
    own = Scenario(name="own")
    assert scenario(own) is own
    with pytest.raises(ValueError, match="instant, phone, typical"):
        scenario("fone")


def test_phone_has_the_measured_timings() -> None:
    """The figures of the project's design, in seconds."""
    phone = SCENARIOS["phone"]
    assert phone.transcript_final == 0.002
    assert phone.chat_first_token == (1.166, 1.539)
    assert phone.speech_first_audio == 0.420
    assert phone.speech_first_audio_cold == (0.639, 0.642)


def test_instant_spends_no_time() -> None:
    """Benchmarks measure the client, not the scenario."""
    instant = SCENARIOS["instant"]
    assert instant.chat_first_token == instant.chat_token_gap == 0.0
    assert instant.speech_first_audio == instant.speech_real_time_factor == 0.0
    assert instant.transcript_final == 0.0


def test_the_opening_hours_answer_is_long_enough_to_stream() -> None:
    """Speech scheduled after 50 characters starts well before the text ends."""
    answer = SCENARIOS["typical"].reply_to("What are your opening hours today?").text
    assert len(answer) > 120
    assert answer.isascii()


def test_other_questions_are_answered_with_what_was_heard() -> None:
    """The answer quotes the question, so that a person sees what was heard."""
    assert "he was not an ill disposed young man" in (
        SCENARIOS["typical"].reply_to("he was not an ill disposed young man").text
    )
    assert SCENARIOS["typical"].reply_to("").text


def test_replies_may_be_one_answer_a_mapping_or_a_function() -> None:
    """Exact questions first, the default under the empty one."""
    call = Reply(tool_calls=(ToolCall(name="f"),))
    assert Scenario(name="s", replies="yes").reply_to("?").text == "yes"
    mapped = Scenario(name="s", replies={"a": "A", "": call})
    assert mapped.reply_to("a").text == "A"
    assert mapped.reply_to("b") is call
    assert Scenario(name="s", replies={}).reply_to("b").text == ""
    assert Scenario(name="s").with_replies(str.upper).reply_to("b").text == "B"


def test_draws_repeat_with_the_seed_and_stay_in_range() -> None:
    """Two generators of one seed draw the same; a plain number draws nothing."""
    one, two = random.Random(3), random.Random(3)
    drawn = [draw((0.1, 0.2), one) for _ in range(50)]
    assert drawn == [draw((0.1, 0.2), two) for _ in range(50)]
    assert all(0.1 <= each <= 0.2 for each in drawn)
    before = one.getstate()
    assert draw(0.5, one) == 0.5
    assert one.getstate() == before
