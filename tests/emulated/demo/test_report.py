"""What a person sees: pictures to one scale, a table, with rich and without."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from voicekit.demo.report import show, waterfall


def _stage(name: str, start: float, first: float | None, end: float, kind: str) -> dict[str, Any]:
    return {
        "name": name, "start_ms": start, "first_output_ms": first, "end_ms": end,
        "connection": kind,
    }  # fmt: skip


def _turn(label: str, delay: float, kind: str) -> dict[str, Any]:
    return {
        "label": label,
        "first_audio_ms": 900.0 + delay,
        "transcript_to_audio_ms": 550.0 + delay,
        "new_connections_on_turn": 0 if kind == "reused" else 2,
        "handshake_round_trips_on_turn": 0 if kind == "reused" else 4,
        "end_of_speech_ms": 2400.0,
        "stages": [
            _stage("listening", 0.0, 1300.0, 2750.0, kind),
            _stage("answering", 2750.0, 3100.0 + delay, 3600.0 + delay, kind),
            _stage("speaking", 3200.0 + delay, 3300.0 + delay, 4100.0 + delay, kind),
        ],
    }


def _again() -> dict[str, Any]:
    return {
        "label": "again",
        "first_audio_ms": 353.0,
        "transcript_to_audio_ms": 3.0,
        "new_connections_on_turn": 0,
        "handshake_round_trips_on_turn": 0,
        "end_of_speech_ms": 2400.0,
        "stages": [
            _stage("listening", 0.0, 1300.0, 2750.0, "reused"),
            _stage("answering", 2750.0, 2751.0, 2751.0, "cache"),
            _stage("speaking", 2752.0, 2753.0, 2754.0, "cache"),
        ],
    }


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "question": {"said": None, "heard": "are [bold]you[/bold] open"},
        "turns": [_turn("cold", 200.0, "new"), _turn("warm", 0.0, "reused"), _again()],
        "answer": {"text": " Yes. ", "audio": "answer.wav", "duration_s": 0.8},
    }


def test_pictures_share_one_scale_and_mark_the_end_of_the_speech(document) -> None:
    """The mark is in one column everywhere, and what came later lies further right."""
    cold, warm, again = waterfall(document["turns"])
    (mark,) = {line.index("|") for line in (*cold[1:], *warm[1:], *again[1:])}
    assert cold[0][mark] == warm[0][mark] == "█"  # still being heard
    assert cold[2].index("█") > warm[2].index("█") > mark
    assert cold[0].endswith("heard +350 ms, new")
    assert warm[1].endswith("first word +700 ms, reused")
    assert warm[2].endswith("first audio +900 ms, reused")
    assert warm[2].index("█") > again[2].index("█") > mark
    assert again[2].endswith("first audio +353 ms, cache")
    assert {len(line[:51]) for line in (*cold, *warm, *again)} == {51}


def test_a_stage_without_output_is_drawn(document) -> None:
    """Nothing heard, no end: no picture fails."""
    document["turns"][0]["stages"][0]["first_output_ms"] = None
    document["turns"][1]["stages"][2]["first_output_ms"] = None
    document["turns"][1]["stages"][2]["end_ms"] = None
    document["turns"][1]["first_audio_ms"] = None
    out = io.StringIO()
    show(document, out)
    assert "–" in out.getvalue()


@pytest.mark.parametrize("rich", [True, False])
def test_the_terminal_says_it_all(document, monkeypatch: pytest.MonkeyPatch, rich: bool) -> None:
    """Pictures, table, what was heard, said and written; brackets are no markup."""
    if rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
        monkeypatch.setitem(sys.modules, "rich.console", None)
    out = io.StringIO()
    show(document, out)
    text = out.getvalue()
    for part in (
        "cold", "warm", "again", "listening", "answering", "speaking", "speech → audio",
        "transcript → audio", "1100 ms", "900 ms", "353 ms", "750 ms", "550 ms", "3 ms",
        "200 ms sooner, asked again 747 ms", "are [bold]you[/bold] open", "answer: Yes.",
        "answer.wav (0.8 s)",
    ):  # fmt: skip
        assert part in text
    assert [line for line in text.splitlines() if line.startswith("speaking")] == [
        lines[2] for lines in waterfall(document["turns"])
    ]
