"""The wrapper that fits the members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    if kind.name == "Synthesizer":
        speaks = all(isinstance(each, SpeechSessions) for each in members)
        return (SpokenByMembers if speaks else SpeechOfMembers)(group, close=close)
    if kind.name == "Transcriber":
        hears = all(isinstance(each, TranscriptionSessions) for each in members)
        return (HeardByMembers if hears else TranscriptionOfMembers)(group, close=close)
    return ChatOfMembers(group, close=close)
