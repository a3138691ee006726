"""``spread``: calls go to whichever of several equal members has least to do."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Unpack, overload

from voicekit.errors import (
    CircuitOpenError,
    ConnectError,
    ConnectTimeout,
    PoolTimeout,
    RejectedError,
    VoicekitError,
)
from voicekit.events import Observer
from voicekit.interfaces import ChatModel, Synthesizer, Transcriber
from voicekit.resilience.members.chat import ChatOfMembers
from voicekit.resilience.members.fallback import LiveTranscriber, SpeakingSynthesizer
from voicekit.resilience.members.options import SharedOptions
from voicekit.resilience.members.speech import SpeechOfMembers, SpokenByMembers
from voicekit.resilience.members.trail import Group, Member, MemberStats, Place
from voicekit.resilience.members.transcription import HeardByMembers, TranscriptionOfMembers
from voicekit.resilience.members.wrapped import wrapped

_UNSENT: Final = (RejectedError, PoolTimeout, ConnectError, ConnectTimeout)
"""What proves that nothing was sent, so that another member costs nothing more. Not a rate
limit: equal members most often share the account that reached it."""

_LONGEST: Final = 60.0
"""Seconds for which an open circuit is believed without asking again."""
_FORCED: Final = 1.0
"""Seconds likewise, of one that was opened by hand and does not say for how long."""


class LeastOutstanding:
    """The member with the fewest calls under way; of several, any.

    One whose circuit is open comes last until its breaker wants to be tried: it never has
    calls under way, and would be asked first each time.
    """

    kind = "spread"

    def __init__(self, *, rng: random.Random | None, clock: Callable[[], float]) -> None:
        self._rng = rng or random.Random()
        self._clock = clock
        self._open_until: dict[int, float] = {}

    def next(self, members: Sequence[Member], group: Group) -> tuple[Member, str]:  # noqa: ARG002
        """The least busy one."""
        now = self._clock()
        closed = [m for m in members if self._open_until.get(m.index, now) <= now] or members
        least = min(member.outstanding for member in closed)
        equals = [member for member in closed if member.outstanding == least]
        chosen = equals[0] if len(equals) == 1 else self._rng.choice(equals)
        return chosen, "least_outstanding"

    def asked(self, member: Member, place: Place) -> int:  # noqa: ARG002
        """A call goes there."""
        return 0

    def moves_on(self, error: VoicekitError) -> bool:
        """Whether nothing was sent."""
        return isinstance(error, _UNSENT)

    def failed(self, member: Member, error: VoicekitError, epoch: int) -> None:  # noqa: ARG002
        """Remember an open circuit."""
        if isinstance(error, CircuitOpenError):
            rest = _FORCED if error.retry_after is None else min(error.retry_after, _LONGEST)
            self._open_until[member.index] = self._clock() + rest

    def proved(self, member: Member, epoch: int) -> None:  # noqa: ARG002
        """Its circuit is closed."""
        self._open_until.pop(member.index, None)

    def stats(self, member: Member) -> MemberStats:
        """What is known of it."""
        rests = max(0.0, self._open_until.get(member.index, 0.0) - self._clock())
        return MemberStats(
            name=member.name,
            state="resting" if rests else "well",
            outstanding=member.outstanding,
            rests_for=rests,
        )


class SpreadOptions(SharedOptions, total=False):
    """What ``spread`` takes beside the members."""

    rng: random.Random | None


@overload
def spread(
    first: SpeakingSynthesizer,
    second: SpeakingSynthesizer,
    /,
    *others: SpeakingSynthesizer,
    **options: Unpack[SpreadOptions],
) -> SpokenByMembers: ...


@overload
def spread(
    first: Synthesizer,
    second: Synthesizer,
    /,
    *others: Synthesizer,
    **options: Unpack[SpreadOptions],
) -> SpeechOfMembers: ...


@overload
def spread(
    first: LiveTranscriber,
    second: LiveTranscriber,
    /,
    *others: LiveTranscriber,
    **options: Unpack[SpreadOptions],
) -> HeardByMembers: ...


@overload
def spread(
    first: Transcriber,
    second: Transcriber,
    /,
    *others: Transcriber,
    **options: Unpack[SpreadOptions],
) -> TranscriptionOfMembers: ...


@overload
def spread(
    first: ChatModel, second: ChatModel, /, *others: ChatModel, **options: Unpack[SpreadOptions]
) -> ChatOfMembers: ...


def spread(
    *members: Any,
    names: Sequence[str] | None = None,
    observers: Sequence[Observer] = (),
    close: bool = True,
    rng: random.Random | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """Each call goes to the member with the fewest calls under way.

    For members that are equal: processes of one engine, accounts of one provider, regions.
    Returns an object of the interface that all of them implement. A stream or a session
    counts until its end. Limits and breakers are each member's own; when one of them refuses
    a call, or the member cannot be reached, nothing was sent and the next takes it. Every
    other error surfaces: for that there is ``fallback``.

    Args:
        *members: Two or more.
        names: Of the members, for events, errors and ``handle.member``.
        observers: See ``MemberChosen`` and ``MemberFailed``.
        close: Whether closing it closes the members, and entering it enters them.
        rng: Decides between members with equally much to do.
        clock: Monotonic seconds.

    Raises:
        InvalidArgumentError: They have no interface in common, or an argument makes no sense.

    Example:
        >>> voices = [ToneEngine(), ToneEngine(), ToneEngine()]
        >>> async with spread(*voices) as tts:
        ...     clips = await asyncio.gather(*(tts.synthesize(text) for text in texts))
    """
    return wrapped(
        members,
        LeastOutstanding(rng=rng, clock=clock),
        names=names,
        observers=observers,
        close=close,
    )
