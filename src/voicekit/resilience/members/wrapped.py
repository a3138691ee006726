"""The wrapper that fits the members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicekit.events import Observer
from voicekit.interfaces import SpeechSessions, TranscriptionSessions
from voicekit.resilience.members.chat import ChatOfMembers
from voicekit.resilience.members.kinds import common_kind, names_of
from voicekit.resilience.members.options import Options, Table
from voicekit.resilience.members.speech import SpeechOfMembers, SpokenByMembers
from voicekit.resilience.members.trail import Choice
from voicekit.resilience.members.transcription import HeardByMembers, TranscriptionOfMembers
from voicekit.resilience.members.wrapper import Wrapper, group_of

__all__ = ["wrapped"]


def wrapped(
    members: Sequence[Any],
    choice: Choice,
    *,
    timeout: float | None,
    options: Options | None,
    table: Table | None,
    names: Sequence[str] | None,
    observers: Sequence[Observer],
    close: bool,
) -> Wrapper:
    """``members`` behind the interface that all of them implement.

    Raises:
        InvalidArgumentError: There is none, or an argument makes no sense.
    """
    kind = common_kind(members, names_of(members, names), wrapper=choice.kind)
    group = group_of(
        members,
        choice,
        names=names,
        options=options,
        table=table,
        timeout=timeout,
        observers=observers,
    )
    if kind.name == "Synthesizer":
        speaks = all(isinstance(each, SpeechSessions) for each in members)
        return (SpokenByMembers if speaks else SpeechOfMembers)(group, close=close)
    if kind.name == "Transcriber":
        hears = all(isinstance(each, TranscriptionSessions) for each in members)
        return (HeardByMembers if hears else TranscriptionOfMembers)(group, close=close)
    return ChatOfMembers(group, close=close)
