"""A text beyond one request, as the parts that are asked for one after the other. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

CONTEXT: Final = 300
"""Characters of the neighbours that are told for the prosody. Source: ours; the vendor asks for
"the text that came before" without a number, and a few sentences are all a voice can use."""


class Passage(NamedTuple):
    """One part of a text.

    Attributes:
        text: What is to be spoken.
        before: What was said just before; None at the beginning.
        after: What will be said next; None at the end.
    """

    text: str
    before: str | None
    after: str | None


def passages_of(text: str, most: int | None) -> Iterator[Passage]:
    """The parts of a text that end with sentences, no blank ones; one where ``most`` is None."""
    if most is None:
        yield Passage(text, None, None)
        return
    from voicekit.speech.sentences import passages

    parts = [part for part in passages(text, most=most) if part.strip()]
    for number, part in enumerate(parts):
        yield Passage(
            part,
            passages(parts[number - 1], most=CONTEXT)[-1] if number else None,
            passages(parts[number + 1], most=CONTEXT)[0] if number + 1 < len(parts) else None,
        )
