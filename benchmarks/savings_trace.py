"""What ten thousand people ask, for ``savings``: seeded, and the agent's answers to it.

A module of its own, because the answers travel to the emulator's process. The agent knows every
spelling by heart, and folds nothing: that two spellings mean the same is for the cache to find.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate

from voicekit.emulator.scenario import SCENARIOS, Scenario

SEED = 20
INTENTS, SPELLINGS = 2000, 5
QUESTIONS, FOLLOW_UPS = 10_000, 500
EXPONENT = 1.1
"""Of Zipf's law: the intent of rank r is asked in proportion to 1 / r ** EXPONENT."""

AFTERWARDS = ("yes", "and tomorrow?", "Why?", "no, the other one")

_ASKS = (
    "When does {} open", "Where is {}", "How do I get to {}", "Is {} open on Sunday",
    "What is the phone number of {}", "Who runs {}", "Do I need a ticket for {}",
    "Puis-je réserver {}", "Wie teuer ist {}", "Quanto costa {}",
)  # fmt: skip
_PLACES = (
    "the café", "the cafe", "the straße museum", "gate {0}", "gate -{0}", "hall {0}²", "hall {0}2",
    "room {0}.5", "room {0}5", "the {0} o'clock tour",
)  # fmt: skip
"""Among them such as differ only in what must not be folded: accents, signs, powers, points."""

_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}


@dataclass(frozen=True, slots=True)
class Asked:
    """One conversation.

    Attributes:
        intent: What is meant, as its rank.
        question: As it is put.
        then: What is said afterwards, if anything is.
    """

    intent: int
    question: str
    then: str | None = None


def intents() -> list[str]:
    """Every question in its plain spelling; no two mean the same."""
    made = [
        ask.format(place.format(number))
        for number in range(1, 1 + INTENTS // 20)
        for place in _PLACES
        for ask in _ASKS
    ]
    # Those without a number come once only.
    found = list(dict.fromkeys(made))[:INTENTS]
    if len(found) != INTENTS:
        raise RuntimeError(f"{len(found)} intents")
    random.Random(SEED).shuffle(found)
    return found


def folding(text: str, rng: random.Random) -> tuple[str, ...]:
    """Spellings that differ in case, width, white space and punctuation at the ends alone."""
    return (
        text,
        f"{text.upper()}?",
        f"  {text.translate(_FULL_WIDTH)}？",
        f"“{rng.choice((' ', chr(0xA0), '  ')).join(text.split(' '))}…”",
        f"{text.swapcase()}{rng.choice(('', ' ?', '?!', '.'))}\u200b",
    )


def rewording(text: str, _rng: random.Random) -> tuple[str, ...]:
    """Spellings in other words: no folding makes one of them."""
    return (
        text, f"Please tell me: {text}", f"Hello! {text}, please", f"{text} today",
        f"Sorry, I meant: {text}",
    )  # fmt: skip


KINDS = {"folding": folding, "rewording": rewording}


def trace(kind: str, questions: int = QUESTIONS, follow_ups: int = FOLLOW_UPS) -> list[Asked]:
    """The conversations in their order, the same ones each time."""
    rng = random.Random(f"{SEED}/{kind}")
    spelled = _spelled(kind)
    weights = list(accumulate(1 / rank**EXPONENT for rank in range(1, INTENTS + 1)))
    meant = rng.choices(range(INTENTS), cum_weights=weights, k=questions)
    more = set(rng.sample(range(questions), follow_ups))
    return [
        Asked(
            intent,
            rng.choice(spelled[intent]),
            rng.choice(AFTERWARDS) if number in more else None,
        )
        for number, intent in enumerate(meant)
    ]


@cache
def _spelled(kind: str) -> list[tuple[str, ...]]:
    rng = random.Random(f"{SEED}/{kind}/spellings")
    return [KINDS[kind](text, rng) for text in intents()]


@cache
def _answers() -> dict[str, str]:
    return {
        spelling: answer_to(intent)
        for kind in KINDS
        for intent, spellings in enumerate(_spelled(kind))
        for spelling in spellings
    }


def answer_to(intent: int) -> str:
    """What the agent answers to it, however it is put."""
    return f"This is the answer to question {intent}."


def reply(said: str) -> str:
    """The agent's answer; to what it does not know by heart it is another one each time."""
    known = _answers().get(said)
    return known if known is not None else f"And as to “{said}”: yes."


def scripted() -> Scenario:
    """No latency, and these answers."""
    return replace(SCENARIOS["instant"], name="savings", agent_replies=reply)
