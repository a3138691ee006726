"""A row of the grid: one operation, and what its cells need to know of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from servers import Reply, Seen

from voicekit import AudioClip, AudioFormat
from voicekit.operation import Limits

KEY = "vk-marked-key-0123456789abcdef"
WORDS = "quetzalmark"
TEXT = f"The {WORDS} speaks, and says it once more."
RECORDING = bytes(range(256)) * 125  # a second of 16 kHz PCM
LONG_RECORDING = AudioClip(  # more than one write takes
    data=RECORDING * 20, format=AudioFormat.parse("pcm_16000")
)
CALLBACK = "https://example.com/hook"

# All limits, a tenth of design §3's or less, so that no cell takes longer than 3 s.
LIMITS = Limits(connect=0.2, first_output=0.4, gap=0.4, total=2.0)


class Taken(bytearray):
    """What a caller has received; one that is ``slow`` pauses after the first piece."""

    slow = 0.0

    async def took(self, piece: bytes) -> None:
        self.extend(piece)
        if self.slow:
            pause, self.slow = self.slow, 0.0
            await asyncio.sleep(pause)


Make = Callable[..., Any]
Ask = Callable[[Any, Taken], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One operation.

    Attributes:
        provider: Short name; of the emulator as well, which gives the reference answer.
        name: Of the operation, as its method is called.
        kind: P pure, C compute, I idempotent, E effect: what a repeat does.
        make: Makes the client: ``make(base_url=…, **common)``.
        ask: Does it once, adding to its second argument what the caller receives, as it comes.
        streams: The answer is handed out as it comes, so that it commits before its end.
        commits: It commits before its end although the caller gets it whole.
        audio: The answer is audio without an end marker.
        socket: It is a WebSocket.
        one_use: Its socket ends with it, and none waits in a pool.
        uploads: The body goes out in pieces.
        method: Of HTTP.
        path: Put after the server's address.
        answer: A fixed good answer, where the emulator's needs what was done before.
        aside: Answers requests that are none of the operation's: what it is preceded or followed
            by. No fault strikes them, nor are they counted with it.
        bodiless: Its answer is a status, whatever body there is.
        final: Statuses after which nothing is repeated, where others of their kind allow it.
        outlives: Who leaves is told at once; the request goes on, so that what comes of it can
            be undone.
        follows: A redirect is a part of it.
        opaque: What it fetches may be anything, so that only its type tells what it is not.
        turns: It is a turn of a conversation, one at a time.
        cached: A cache around its client, for what can be kept.
        member: Its client as one of several, where that has an interface in common with others.
        resumes: Options with which it goes on by itself after a break.
        like: Another row that goes the same way, with another address and form: only the columns
            that depend on what a repeat does are live for both.
        secret: The credential as a request carries it, in clear.
        also: Other operations that an error of it may name.
        repeats: How often it may be asked for again.
    """

    provider: str
    name: str
    kind: str
    make: Make
    ask: Ask
    streams: bool = False
    commits: bool = False
    audio: bool = False
    socket: bool = False
    one_use: bool = False
    uploads: bool = False
    method: str = "POST"
    path: str = ""
    label: str = ""
    answer: Reply | None = None
    bodiless: bool = False
    final: tuple[str, ...] = ()
    outlives: bool = False
    follows: bool = False
    opaque: bool = False
    like: str = ""
    turns: bool = False
    cached: Callable[[Any], Any] | None = None
    member: Callable[[Any], Any] | None = None
    resumes: dict[str, Any] | None = None
    aside: Callable[[Seen], Reply | None] | None = None
    secret: Callable[[Seen], bytes] = lambda seen: seen.head
    limits: Limits = LIMITS
    also: tuple[str, ...] = ()
    repeats: int = 2

    @property
    def id(self) -> str:
        return f"{self.provider}.{self.label or self.name}"

    @property
    def s(self) -> bool:
        """Whether a part of the answer may be in the caller's hands, or in ours, for good."""
        return self.streams or self.commits


async def took_value(
    method: str, show: Callable[[Any], object], client: Any, got: Taken, *args: Any, **options: Any
) -> None:  # fmt: skip
    """What a method gives, as ``show`` shows it."""
    got += str(show(await getattr(client, method)(*args, **options))).encode()


def asks(method: str, show: Callable[[Any], object], *args: Any, **options: Any) -> Ask:
    """A method whose value comes whole."""
    return lambda client, got: took_value(method, show, client, got, *args, **options)
