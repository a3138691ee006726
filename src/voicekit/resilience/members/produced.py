"""Whole results that say which member made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from voicekit.errors import VoicekitError
from voicekit.interfaces import Identified
from voicekit.speech import AudioClip, ChatResult, Transcript

P = TypeVar("P", "ProducedClip", "ProducedChat", "ProducedTranscript")


def produced(
    kind: type[P],
    value: Any,
    member: str | None,
    errors: Mapping[str, VoicekitError],
    **request: Identified | None,
) -> P:
    """``value`` as ``kind``, which adds to what it is."""
    inner = getattr(value, "member", None)
    if isinstance(inner, str):  # a wrapper's, behind another one
        if not (member or "").endswith(f"/{inner}"):
            member = f"{member}/{inner}"
        if "request" in request:
            request["request"] = value.request
    held = {
        each.name: getattr(value, each.name) for each in fields(kind) if hasattr(value, each.name)
    }
    held.update(member=member, errors=errors, **request)
    return kind(**held)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProducedClip(AudioClip):
    """A clip, and who made it.

    Attributes:
        member: The member's name.
        errors: Why other members failed before, by name.
        request: The member's own, where it was made of one.
    """

    member: str | None = field(default=None, compare=False)
    errors: Mapping[str, VoicekitError] = field(default_factory=dict, compare=False)
    request: Identified | None = field(default=None, compare=False)

    @property
    def identity(self) -> str | None:
        """That of the request which produced it. Holds content: never log it."""
        return None if self.request is None else self.request.identity


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducedChat(ChatResult):
    """An answer, and who gave it.

    Attributes:
        member: The member's name.
        errors: Why other members failed before, by name.
        request: The member's own.
    """

    member: str | None = field(default=None, compare=False)
    errors: Mapping[str, VoicekitError] = field(default_factory=dict, repr=False, compare=False)
    request: Identified | None = field(default=None, repr=False, compare=False)

    @property
    def identity(self) -> str | None:
        """That of the request which produced it. Holds content: never log it."""
        return None if self.request is None else self.request.identity


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducedTranscript(Transcript):
    """A transcript, and who made it. It keeps no request, which would keep the recording.

    Attributes:
        member: The member's name.
        errors: Why other members failed before, by name.
    """

    member: str | None = field(default=None, compare=False)
    errors: Mapping[str, VoicekitError] = field(default_factory=dict, repr=False, compare=False)
