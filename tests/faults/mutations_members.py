"""What members in one place and speech that goes on protect from."""

from __future__ import annotations

import importlib
from typing import Any

from mutations import Mutation, constant, swap, wrap

from voicekit.clients import resumable
from voicekit.clients.resuming import Segments
from voicekit.errors import ConnectError
from voicekit.resilience.members.fallback import Leading
from voicekit.resilience.members.patience import Patience
from voicekit.resilience.members.spread import LeastOutstanding

_CHAT, _SPEECH, _CLIP = "openai.chat", "elevenlabs.stream_speech", "elevenlabs.synthesize"


async def _warmed(engine: Any) -> None:
    if (await engine.warm(1, strict=True)).failures:
        raise ConnectError


def _always_the_first(_self: Any, members: Any, _group: Any) -> Any:
    return members[0], "least_outstanding"


def _patient(init: Any) -> Any:
    return lambda self, _timeout, *args, **options: init(self, None, *args, **options)


def _heard_or_not(resume_from: Any) -> Any:
    return lambda self, *, delivered, read: resume_from(self, delivered=delivered * 0, read=read)


MUTATIONS = (
    Mutation(
        name="fallback: what fails before its first output is asked elsewhere",
        without=swap(Leading, moves_on=constant(False)),
        cells=((_CHAT, "50a"), (_SPEECH, "50a")),
        says="failed: ",
    ),
    Mutation(
        name="fallback: a late first output is a reason to move on",
        without=wrap(Patience, "__init__", _patient),
        cells=((_SPEECH, "50a"), (_CHAT, "50a")),
        says="took",
    ),
    Mutation(
        name="fallback: who failed rests",
        without=swap(Leading, failed=constant(None)),
        cells=((_CHAT, "50a"), (_SPEECH, "50a")),
        says="asked again at once",
    ),
    Mutation(
        name="fallback: a probe asks the provider, and not the pool",
        without=swap(
            importlib.import_module("voicekit.resilience.members.fallback"), probe=_warmed
        ),
        cells=((_CHAT, "50b"),),
        says="a member that is ill",
    ),
    Mutation(
        name="spread: who has least to do is asked",
        without=swap(LeastOutstanding, next=_always_the_first),
        cells=((_CHAT, "51"),),
        says="they were asked",
    ),
    Mutation(
        name="spread: what was not sent is asked elsewhere",
        without=swap(LeastOutstanding, moves_on=constant(False)),
        cells=((_CHAT, "51"), (_SPEECH, "51")),
        says="failed: C",
    ),
    Mutation(
        name="spread: an open circuit is left alone",
        without=swap(LeastOutstanding, failed=constant(None)),
        cells=((_CHAT, "51"),),
        says="the open circuit was asked",
    ),
    Mutation(
        name="resume: a clip that broke off goes on",
        without=swap(resumable, may_resume=constant(False)),
        cells=((_CLIP, "52a"),),
        says="failed: StreamInterrupted",
    ),
    Mutation(
        name="resume: what the caller has is not said again",
        without=wrap(Segments, "resume_from", _heard_or_not),
        cells=((_SPEECH, "52b"),),
        says="asked for again|succeeded|I10",
    ),
)
