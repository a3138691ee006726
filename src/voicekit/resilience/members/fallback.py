"""``fallback``: the first member, and the next ones for when it fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, Unpack, overload

from voicekit.checks import is_number
from voicekit.errors import (
    CircuitOpenError,
    DeadlineError,
    InvalidArgumentError,
    InvalidRequestError,
    LocalProtocolError,
    MissingCredentialError,
    OverloadedError,
    PoolTimeout,
    ProviderError,
    RejectedError,
    TransportError,
    VoicekitError,
)
from voicekit.events import Observer
from voicekit.interfaces import (
    ChatModel,
    SpeechSessions,
    Synthesizer,
    Transcriber,
    TranscriptionSessions,
)
from voicekit.resilience.members.chat import ChatOfMembers
from voicekit.resilience.members.health import Health
from voicekit.resilience.members.options import Options, SharedOptions, Table
from voicekit.resilience.members.speech import SpeechOfMembers, SpokenByMembers
from voicekit.resilience.members.trail import Group, Member, MemberStats, Place
from voicekit.resilience.members.transcription import HeardByMembers, TranscriptionOfMembers
from voicekit.resilience.members.wrapped import wrapped
from voicekit.resilience.members.wrapper import probe

_log = logging.getLogger("voicekit.resilience")

PROBE_LIMIT: Final = 10.0
"""Seconds. Source: design, "warm has its own 10 s limit"; an own engine may have none."""

_CURABLE: Final = (
    TransportError, DeadlineError, ProviderError, RejectedError, MissingCredentialError
)  # fmt: skip
_INCURABLE: Final = (InvalidRequestError, LocalProtocolError)
_BUSY: Final = (OverloadedError, PoolTimeout)
"""We ourselves ask too much at the moment; the member is not ill."""


class SpeakingSynthesizer(Synthesizer, SpeechSessions, Protocol):
    """A ``Synthesizer`` that opens sessions as well."""


class LiveTranscriber(Transcriber, TranscriptionSessions, Protocol):
    """A ``Transcriber`` that opens sessions as well."""


class Leading:
    """The first member that is well; who failed rests, and is probed before it leads again."""

    kind = "fallback"

    def __init__(
        self,
        *,
        on: tuple[type[VoicekitError], ...],
        rest: float,
        longest: float,
        clock: Callable[[], float],
    ) -> None:
        for name, value in (("probe_after", rest), ("longest_rest", longest)):
            if not is_number(value) or not value >= 0:
                raise InvalidArgumentError(f"got {value!r}", argument=name, allowed="seconds ≥ 0")
        if not isinstance(on, tuple) or not all(
            isinstance(each, type) and issubclass(each, VoicekitError) for each in on
        ):
            raise InvalidArgumentError(
                "holds something else", argument="on", allowed="a tuple of voicekit's errors"
            )
        self._on = on
        self._rest = rest
        self._longest = longest
        self._clock = clock
        self._health: dict[int, Health] = {}

    def _of(self, member: Member) -> Health:
        health = self._health.get(member.index)
        if health is None:
            health = self._health[member.index] = Health(self._rest, self._longest)
        return health

    def next(self, members: Sequence[Member], group: Group) -> tuple[Member, str]:
        """The first that may lead; where none may, the one whose rest is over first."""
        now = self._clock()
        for member in members:
            if self._of(member).due(now):
                group.background.spawn(self._probe(member), f"voicekit-probe-{member.name}")
        for place, member in enumerate(members):
            health = self._of(member)
            if health.leads:
                if health.state == "trial":
                    return member, "recovered"
                return member, "resting" if place else "first"
        return min(members, key=lambda member: self._of(member).until), "last_resort"

    def asked(self, member: Member, place: Place) -> int:
        """A call goes there."""
        return self._of(member).asked(place)

    def moves_on(self, error: VoicekitError) -> bool:
        """Whether it says something of the member rather than of what was asked."""
        if isinstance(error, self._on):
            return True
        return isinstance(error, _CURABLE) and not isinstance(error, _INCURABLE)

    def failed(self, member: Member, error: VoicekitError, epoch: int) -> None:
        """It rests, unless it is only busy."""
        if not isinstance(error, _BUSY):
            self._of(member).failed(
                self._clock(),
                epoch,
                wait=error.retry_after,
                exactly=isinstance(error, CircuitOpenError),
            )

    def proved(self, member: Member, epoch: int) -> None:
        """It is well."""
        self._of(member).proved(epoch)

    async def _probe(self, member: Member) -> None:
        """Try it with something free."""
        fine = False
        try:
            async with asyncio.timeout(PROBE_LIMIT):
                await probe(member.engine)
            fine = True
        except Exception as error:  # noqa: BLE001 - whatever it is, the member is not back
            _log.info("%s is not back yet: %s", member.name, type(error).__name__)
        self._of(member).probed(self._clock(), fine=fine)

    def stats(self, member: Member) -> MemberStats:
        """What is known of it."""
        health = self._of(member)
        resting = health.state == "resting"
        return MemberStats(
            name=member.name,
            state=health.state,
            outstanding=member.outstanding,
            failures=health.failures,
            rests_for=max(0.0, health.until - self._clock()) if resting else 0.0,
        )


class FallbackOptions(SharedOptions, total=False):
    """What ``fallback`` takes beside the members."""

    timeout: float | None
    options: Options | None
    map: Table | None
    on: tuple[type[VoicekitError], ...]
    probe_after: float
    longest_rest: float


@overload
def fallback(
    first: SpeakingSynthesizer,
    second: SpeakingSynthesizer,
    /,
    *others: SpeakingSynthesizer,
    **options: Unpack[FallbackOptions],
) -> SpokenByMembers: ...


@overload
def fallback(
    first: Synthesizer,
    second: Synthesizer,
    /,
    *others: Synthesizer,
    **options: Unpack[FallbackOptions],
) -> SpeechOfMembers: ...


@overload
def fallback(
    first: LiveTranscriber,
    second: LiveTranscriber,
    /,
    *others: LiveTranscriber,
    **options: Unpack[FallbackOptions],
) -> HeardByMembers: ...


@overload
def fallback(
    first: Transcriber,
    second: Transcriber,
    /,
    *others: Transcriber,
    **options: Unpack[FallbackOptions],
) -> TranscriptionOfMembers: ...


@overload
def fallback(
    first: ChatModel, second: ChatModel, /, *others: ChatModel, **options: Unpack[FallbackOptions]
) -> ChatOfMembers: ...


def fallback(
    *members: Any,
    timeout: float | None = None,
    options: Options | None = None,
    map: Table | None = None,  # noqa: A002 - what it is
    on: tuple[type[VoicekitError], ...] = (),
    probe_after: float = 5.0,
    longest_rest: float = 60.0,
    names: Sequence[str] | None = None,
    observers: Sequence[Observer] = (),
    close: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """The first member answers; when it fails before its first useful output, the next one does.

    Returns an object of the interface that all members implement, so that it nests:
    ``fallback(spread(a, b), c)``. Sessions are there when all members open sessions.

    A member is left for the next when it cannot be reached, is late, unavailable, limited, out
    of quota, refuses the key, or its circuit is open. What is wrong with the *request*
    (``InvalidArgumentError``, ``InvalidRequestError``) surfaces: another member would hide a
    fault of the program, and be paid for it for ever. After the first useful output nothing
    moves: ``StreamInterruptedError`` surfaces as it is. When all members failed, the last
    error that is no refusal of our own surfaces; ``errors_of(error)`` and its notes tell the
    others. ``deadline()`` is one budget for all of them.

    A member that failed rests for ``probe_after`` seconds, twice as long after each further
    failure in a row, at most ``longest_rest``; as long as its breaker or ``Retry-After`` says,
    where they do. After that the next call has it probed in the background, by its
    ``probe()``, which is free (``warm(1, strict=True)``, where it has none); then it leads again,
    for one call at a time until one succeeds. Members that rest are asked when nobody else is
    left.

    Args:
        *members: Two or more, in the order of preference.
        timeout: Seconds that a member may take to its first useful output; None leaves that to
            the member's own limits. For ``chat`` and ``transcribe`` the first is the last. For
            text in pieces it counts from the end of the text (or ``flush``).
        options: What each member gets with every call that does not say otherwise.
        map: What a call's option means at each member: a table of its values, each with what
            the members get for it (another value, or a mapping of other options), or the
            option's name at each member. None: that member does without. Options in neither
            go to all members as they are; who does not know one refuses it, before any I/O.
        on: Further errors that are a reason to move on.
        probe_after: Seconds of a first rest.
        longest_rest: Seconds of the longest.
        names: Of the members, for events, errors and ``handle.member``; the providers' by
            default.
        observers: See ``MemberChosen`` and ``MemberFailed``.
        close: Whether closing it closes the members, and entering it enters them.
        clock: Monotonic seconds, for the rests.

    Raises:
        InvalidArgumentError: They have no interface in common, or an argument makes no sense.

    Example:
        >>> async with fallback(elevenlabs, deepgram.as_synthesizer(), timeout=1.5) as tts:
        ...     async with tts.stream_speech("Hello", format="pcm_24000") as speech:
        ...         print(speech.member, speech.errors)
    """
    choice = Leading(on=on, rest=probe_after, longest=longest_rest, clock=clock)
    return wrapped(
        members,
        choice,
        timeout=timeout,
        options=options,
        table=map,
        names=names,
        observers=observers,
        close=close,
    )
