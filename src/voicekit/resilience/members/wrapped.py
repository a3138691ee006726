"""The wrapper that fits the members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from voicekit.events import Observer, Observers
from voicekit.interfaces import SpeechSessions, TranscriptionSessions
from voicekit.resilience.members.chat import ChatOfMembers
from voicekit.resilience.members.kinds import common_kind, names_of
from voicekit.resilience.members.options import MemberOptions, Options, Table
from voicekit.resilience.members.patience import checked_timeout
from voicekit.resilience.members.speech import SpeechOfMembers, SpokenByMembers
from voicekit.resilience.members.trail import Choice, Group, Member
from voicekit.resilience.members.transcription import HeardByMembers, TranscriptionOfMembers
from voicekit.resilience.members.wrapper import Wrapper
from voicekit.tasks import Background


def wrapped(
    members: Sequence[Any],
    choice: Choice,
    *,
    names: Sequence[str] | None,
    observers: Sequence[Observer],
    close: bool,
    timeout: float | None = None,
    options: Options | None = None,
    table: Table | None = None,
) -> Wrapper:
    """``members`` behind the interface that all of them implement."""
    called = names_of(members, names)
    kind = common_kind(members, called, wrapper=choice.kind)
    group = Group(
        members=tuple(
            Member(e, i, n) for i, (e, n) in enumerate(zip(members, called, strict=True))
        ),
        choice=choice,
        options=MemberOptions(called, options, table),
        background=Background(),
        timeout=checked_timeout(timeout),
        observer=Observers.of(observers),
    )
    if kind.name not in _OF:
        return ChatOfMembers(group, close=close)
    sessions, live, plain = _OF[kind.name]
    made = live if all(isinstance(each, sessions) for each in members) else plain
    return made(group, close=close)


_OF: Final[dict[str, tuple[type, type[Wrapper], type[Wrapper]]]] = {
    "Synthesizer": (SpeechSessions, SpokenByMembers, SpeechOfMembers),
    "Transcriber": (TranscriptionSessions, HeardByMembers, TranscriptionOfMembers),
}
"""What opens sessions of a kind, the wrapper of those that all do, and that of others."""
