"""What a person sees of the turns, and what a program gets: terminal and JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from voicekit.demo.question import Question
from voicekit.demo.turn import Stage, Turn

_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Handshakes:
    """What the server saw between the end of the speech and the first audio of a turn."""

    new_connections: int
    round_trips: int


def as_json(
    question: Question, turns: Sequence[tuple[Turn, Handshakes]], answer_path: str
) -> dict[str, Any]:
    """The document of ``--json``. Times are milliseconds; stages count from the start of speech.

    ``first_audio_ms`` counts from the end of the speech, ``end_of_speech_ms`` says when that was.
    """
    last = turns[-1][0]
    seconds = last.format.duration_s(len(last.audio)) if last.format is not None else None
    return {
        "question": {"said": question.said, "heard": last.heard},
        "turns": [
            {
                "label": turn.label,
                "first_audio_ms": _round(turn.first_audio_ms),
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
        "connection": "reused" if stage.connection and stage.connection.reused else "new",
    }


def waterfall(turn: dict[str, Any]) -> list[str]:
    """One line per stage: ``·`` waits for output, ``█`` output flows, ``|`` the speech ends."""
    spans = turn["stages"]
    end = max([turn["end_of_speech_ms"], *(stage["end_ms"] or 0 for stage in spans)]) or 1
    scale = _WIDTH / end
    mark = min(_WIDTH - 1, int(turn["end_of_speech_ms"] * scale))
    lines = []
    for stage in spans:
        cells = [" "] * _WIDTH
        start = int(stage["start_ms"] * scale)
        first = int((stage["first_output_ms"] or stage["start_ms"]) * scale)
        last = min(_WIDTH, max(int((stage["end_ms"] or 0) * scale), first + 1))
        cells[start:first] = "·" * (first - start)
        cells[first:last] = "█" * (last - first)
        if cells[mark] == " ":
            cells[mark] = "|"
        lines.append(f"{stage['name']:<10} {''.join(cells)[:_WIDTH]} {stage['connection']}")
    return lines


def show(document: dict[str, Any], out: TextIO = sys.stdout) -> None:
    """Waterfalls and table, with rich where it is installed."""
    rows = [
        (
            turn["label"],
            "–" if turn["first_audio_ms"] is None else f"{turn['first_audio_ms']:.0f} ms",
            str(turn["new_connections_on_turn"]),
            str(turn["handshake_round_trips_on_turn"]),
        )
        for turn in document["turns"]
    ]
    heads = ("turn", "speech end → first audio", "new connections", "handshake round trips")
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        out.writelines(
            f"\n{turn['label']}\n" + "\n".join(waterfall(turn)) + "\n" for turn in document["turns"]
        )
        for row in (heads, *rows):
            cells = (cell.ljust(len(head)) for cell, head in zip(row, heads, strict=True))
            out.write("  ".join(cells).rstrip() + "\n")
    else:
        console = Console(file=out, highlight=False)
        for turn in document["turns"]:
            console.print(f"\n[bold]{turn['label']}[/bold]")
            for line in waterfall(turn):
                console.print(line, markup=False, no_wrap=True, crop=False)
        table = Table(*heads)
        for row in rows:
            table.add_row(*row)
        console.print()
        console.print(table)
    answer = document["answer"]
    out.write(
        f"\nheard:  {document['question']['heard']}\nanswer: {answer['text'].strip()}\n"
        f"spoken: {answer['audio']} ({answer['duration_s']} s)\n"
    )
