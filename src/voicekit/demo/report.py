"""What a person sees of the turns, and what a program gets: terminal and JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from voicekit.demo.emulated import Handshakes
from voicekit.demo.question import Question
from voicekit.demo.turn import Stage, Turn

_WIDTH = 40
_BEFORE_MS = 500.0
"""Milliseconds of speech in the picture: what matters comes after its end."""

_FIRST = {"listening": "heard", "answering": "first word", "speaking": "first audio"}


def as_json(
    question: Question, turns: Sequence[tuple[Turn, Handshakes]], answer_path: str
) -> dict[str, Any]:
    """The document of ``--json``. Times are milliseconds; stages count from the start of speech.

    ``first_audio_ms`` counts from the end of the speech, ``end_of_speech_ms`` says when that was;
    ``transcript_to_audio_ms`` counts from the transcript in hand.
    """
    last = turns[-1][0]
    seconds = last.format.duration_s(len(last.audio)) if last.format is not None else None
    return {
        "question": {"said": question.said, "heard": last.heard},
        "turns": [
            {
                "label": turn.label,
                "first_audio_ms": _round(turn.first_audio_ms),
                "transcript_to_audio_ms": _round(turn.transcript_to_audio_ms),
                "new_connections_on_turn": seen.new_connections,
                "handshake_round_trips_on_turn": seen.round_trips,
                "end_of_speech_ms": _round((turn.speech_ended - turn.started) * 1000),
                "stages": [_stage(stage, turn.started) for stage in turn.stages],
            }
            for turn, seen in turns
        ],
        "answer": {
            "text": last.answer,
            "audio": answer_path,
            "duration_s": None if seconds is None else round(seconds, 3),
        },
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _stage(stage: Stage, origin: float) -> dict[str, Any]:
    first, end = stage.first_output, stage.end
    return {
        "name": stage.name,
        "start_ms": _round((stage.start - origin) * 1000),
        "first_output_ms": None if first is None else _round((first - origin) * 1000),
        "end_ms": None if end is None else _round((end - origin) * 1000),
        "connection": _came(stage),
    }


def _came(stage: Stage) -> str:
    if stage.cache == "hit":
        return "cache"
    return "reused" if stage.connection and stage.connection.reused else "new"


def waterfall(turns: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The pictures of the turns, all to one scale, a line per stage.

    ``·`` waits for output, ``█`` output flows, ``|`` the speech ends; in words, when the
    stage's part was there, counted from that end.
    """
    longest = max(
        (stage["end_ms"] or 0.0) - turn["end_of_speech_ms"]
        for turn in turns
        for stage in turn["stages"]
    )
    scale = _WIDTH / (_BEFORE_MS + max(longest, 1.0))
    return [
        [_line(stage, turn["end_of_speech_ms"], scale) for stage in turn["stages"]]
        for turn in turns
    ]


def _line(stage: dict[str, Any], zero: float, scale: float) -> str:
    def column(at: float) -> int:
        return min(_WIDTH, max(0, round((at - zero + _BEFORE_MS) * scale)))

    end = stage["end_ms"] if stage["end_ms"] is not None else stage["start_ms"]
    flows = stage["first_output_ms"] if stage["first_output_ms"] is not None else end
    start, first, last = column(stage["start_ms"]), column(flows), column(end)
    cells = list(" " * start + "·" * (first - start) + "█" * max(1, last - first))
    cells = (cells + [" "] * _WIDTH)[:_WIDTH]
    if cells[column(zero)] == " ":
        cells[column(zero)] = "|"
    # What is heard is known at the end of the stage, the others count by their first output.
    when = end if stage["name"] == "listening" else flows
    return (
        f"{stage['name']:<9} {''.join(cells)} "
        f"{_FIRST.get(stage['name'], 'output')} {when - zero:+.0f} ms, {stage['connection']}"
    )


def show(document: dict[str, Any], out: TextIO | None = None) -> None:
    """Waterfalls and table, with rich where it is installed."""
    out = sys.stdout if out is None else out
    turns = document["turns"]
    heads = ("turn", "speech → audio", "transcript → audio", "new connections", "round trips")
    rows = [
        (
            turn["label"],
            _milliseconds(turn["first_audio_ms"]),
            _milliseconds(turn["transcript_to_audio_ms"]),
            str(turn["new_connections_on_turn"]),
            str(turn["handshake_round_trips_on_turn"]),
        )
        for turn in turns
    ]
    pictures = waterfall(turns)
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        for turn, lines in zip(turns, pictures, strict=True):
            out.write("\n".join(["", turn["label"], *lines, ""]))
        out.write("\n")
        for row in (heads, *rows):
            cells = (cell.ljust(len(head)) for cell, head in zip(row, heads, strict=True))
            out.write("  ".join(cells).rstrip() + "\n")
    else:
        console = Console(file=out, highlight=False)
        for turn, lines in zip(turns, pictures, strict=True):
            console.print(f"\n[bold]{turn['label']}[/bold]")
            for line in lines:
                console.print(line, markup=False, no_wrap=True, crop=False, soft_wrap=True)
        table = Table(*heads)
        for row in rows:
            table.add_row(*row)
        console.print()
        console.print(table)
    answer = document["answer"]
    out.write(
        "\n| is the end of the speech, from which times count; audio is its first, round\n"
        f"trips are those of handshakes. {_gain(turns)}\n"
    )
    out.write(
        f"\nheard:  {document['question']['heard']}\nanswer: {answer['text'].strip()}\n"
        f"spoken: {answer['audio']} ({answer['duration_s']} s)\n"
    )
    out.flush()


def _gain(turns: Sequence[dict[str, Any]]) -> str:
    took = {turn["label"]: turn["first_audio_ms"] for turn in turns}
    cold, warm, again = took.get("cold"), took.get("warm"), took.get("again")
    if cold is None or warm is None:
        return ""
    gain = f"Warm, the answer came {cold - warm:.0f} ms sooner"
    return f"{gain}." if again is None else f"{gain}, asked again {cold - again:.0f} ms."


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"
