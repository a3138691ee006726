"""``Once``: what a webhook asks for is done once, however often it is delivered."""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, Self, TypeVar

from voicekit import events
from voicekit.cache.teller import Teller
from voicekit.checks import flag, is_number, text, wrong
from voicekit.errors import ClosedError, LocalProtocolError, RejectedError

if TYPE_CHECKING:
    from voicekit.cache.storage import Storage

__all__ = ["Once", "State", "Turn"]

T = TypeVar("T")

State = Literal["first", "running", "done", "failed", "unknown"]
_Here = tuple[State, float]

_DAY: Final = 86_400.0
_PATIENCE: Final = 2.0
"""Seconds for one question to the storage; the webhook's answer waits for it. Source: ours."""
_MOST_HERE: Final = 10_000
"""Keys that this process remembers by itself; 2 MB."""


class Once:
    """Runs what belongs to a key once; its other deliveries run nothing.

    Also while the first is still running, and after it has failed: whether its answer went
    out before it failed, nobody can tell, and two answers are worse than none. What failed
    *before* it did anything may run again, where the handler says so (``before_effects``).

    ======================================== ====================================================
    the first delivery                       one that comes later
    ======================================== ====================================================
    is running                               runs nothing; ``state`` is ``"running"``
    ended                                    runs nothing: ``"done"``
    raised, or was cancelled                 runs nothing: ``"failed"``
    … inside ``before_effects``              runs
    was killed with its process              runs nothing until ``running_for`` is over
    ======================================== ====================================================

    With ``MemoryStorage`` a claim ends with its process: what is delivered again to the next
    one runs, which after a kill in the middle may be a second answer. With a storage that
    outlives it, a claim whose process was killed stays, so that nothing is answered twice and
    that message not at all, unless ``running_for`` says after how many seconds a claim that
    was not ended counts for nothing.

    A delivery that ran nothing because the first was running is not run later, should that
    one fail. Answer it with a 503 and Twilio delivers again, where the webhook's retry policy
    includes ``5xx``; with a 204 it is over.

    A storage that fails, or takes longer than 2 s, is an event, and the delivery runs: a
    message without an answer is certain then, a second answer is only possible, and only
    from another process, because this one remembers its own last 10,000 keys by itself.
    ``refuse_without_storage`` chooses the other way.

    A claim is given back only while it is the delivery's own: one that has run out, or that was
    never made, may be another's by now. A storage is asked and then told, which are two steps: a
    claim that runs out and is made anew exactly in between is lost, and its message may be
    answered twice. ``running_for`` longer than the longest handler rules that out.

    Args:
        storage: Where claims are kept; not closed here.
        ttl: Seconds for which a key counts as done. Twilio delivers again within minutes.
        running_for: Seconds after which a claim that was not ended counts for nothing; None is
            ``ttl``. Longer than the longest handler, or it runs twice.
        refuse_without_storage: Raise ``RejectedError`` when the storage fails.
        namespace: Keeps apart what shares a storage.
        observers: Told of deliveries that ran nothing (``CacheAnswered`` with the result
            ``"repeated"``), and of a storage that failed (``"bypass"``; ``CacheStored`` with
            ``stored=False``).

    Raises:
        InvalidArgumentError: An argument makes no sense.

    Example:
        >>> once = Once(MemoryStorage())
        >>> async with once(message.sid) as first:
        ...     if first:
        ...         with first.before_effects():
        ...             heard = await stt.transcribe(await twilio.download_media(ref))
        ...         await twilio.send_message(to=message.from_, from_=message.to, body="…")
    """

    def __init__(
        self,
        storage: Storage,
        *,
        ttl: float = _DAY,
        running_for: float | None = None,
        refuse_without_storage: bool = False,
        namespace: str = "webhook",
        observers: Sequence[events.Observer] = (),
    ) -> None:
        self._storage = storage
        self._ttl = _seconds("ttl", ttl)
        self._running_for = (
            self._ttl if running_for is None else _seconds("running_for", running_for)
        )
        self._refuse = flag("refuse_without_storage", refuse_without_storage)
        self._namespace = text("namespace", namespace)
        self._teller = Teller("once", "twilio", observers)
        # By key: state, and when it is over by the monotonic clock.
        self._here: OrderedDict[str, _Here] = OrderedDict()

    def __call__(self, key: str, /) -> Turn:
        """One delivery of what the key names; to be entered with ``async with``.

        Args:
            key: The same for every delivery of the same thing: ``message.sid``, which is signed.
                (``message.token`` comes in a header that nobody signs.)

        Raises:
            InvalidArgumentError: It is no text.
        """
        # Its digest: what names a message is nothing for whoever reads the storage.
        mark = text("key", key).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(mark, digest_size=20, person=b"voicekit-once")
        return Turn(self, f"{self._namespace}:{digest.hexdigest()}")

    # -- for a turn --

    def _known(self, key: str) -> State | None:
        """What this process knows by itself."""
        known = self._here.get(key)
        if known is None:
            return None
        state, until = known
        if until <= time.monotonic():
            del self._here[key]
            return None
        return state

    def _keep(self, key: str, state: State, seconds: float) -> _Here:
        here = self._here
        kept = here[key] = state, time.monotonic() + seconds
        here.move_to_end(key)
        if len(here) > _MOST_HERE:
            oldest = next((k for k, (each, _) in here.items() if each != "running"), None)
            if oldest is not None:
                del here[oldest]
        return kept

    def _forget(self, key: str, kept: _Here | None) -> None:
        """Forget what a turn has kept here, unless another's has taken its place."""
        if self._here.get(key) is kept:
            self._here.pop(key, None)

    async def _asked(self, work: Awaitable[T]) -> T:
        """The storage's answer, soon.

        Raises:
            Exception: What the storage raises; TimeoutError.
        """
        async with asyncio.timeout(_PATIENCE):
            return await work

    def __repr__(self) -> str:
        return f"<Once {self._namespace} {len(self._here)} here>"


class Turn:
    """One delivery: true where it is the first, and then to be worked on.

    Attributes:
        state: ``"first"``; else how the first one stands: ``"running"``, ``"done"``,
            ``"failed"``, or ``"unknown"`` where the storage does not tell.
    """

    __slots__ = ("_free", "_harmless", "_here", "_key", "_nonce", "_once", "_over", "state")

    def __init__(self, once: Once, key: str) -> None:
        self._once = once
        self._key = key
        self._nonce = b"running " + secrets.token_bytes(12)
        self._harmless: BaseException | None = None
        self._here: _Here | None = None
        self._free = False
        self._over: bool | None = None
        self.state: State = "unknown"

    def __bool__(self) -> bool:
        return self.state == "first"

    async def __aenter__(self) -> Self:
        if self._over is not None:
            raise LocalProtocolError("a delivery is entered once")
        self._over = False
        once, key = self._once, self._key
        known = once._known(key)
        if known is None:
            # Before the storage is asked: a delivery that comes meanwhile must find it.
            self._here = once._keep(key, "running", once._running_for)
            try:
                first = await self._claim()
            except BaseException:
                once._forget(key, self._here)
                raise
            if first:
                self.state = "first"
                return self
            known = await self._told()
            if known in {"done", "failed"}:
                once._keep(key, known, once._ttl)
            else:  # another process has it, whose end we do not see: ask again the next time
                once._forget(key, self._here)
        self.state = known
        once._teller.answered("once", "repeated", known)
        return self

    async def _claim(self) -> bool:
        once = self._once
        try:
            return await once._asked(
                once._storage.add(self._key, self._nonce, ttl=once._running_for)
            )
        except asyncio.CancelledError:
            await self._take_back()
            raise
        except Exception as error:
            once._teller.answered("once", "bypass", "storage")
            if once._refuse:
                await self._take_back()  # it may have been made, and only its answer be late
                raise RejectedError(
                    f"the storage cannot tell whether this was done ({type(error).__name__})"
                ) from error
            return True

    async def _take_back(self) -> None:
        """Undo the claim of a delivery that did nothing, if it was made and is still ours.

        It may have run out meanwhile, or never been made: then another's may stand there. A
        storage compares nothing by itself, so one that runs out and is made anew in between the
        two questions is lost.
        """
        once = self._once
        try:
            if await once._asked(once._storage.get(self._key)) == self._nonce:
                await once._asked(once._storage.delete(self._key))
        except Exception:  # noqa: BLE001 - then it ends by itself
            once._teller.stored("once", "storage")

    async def _told(self) -> State:
        """How the first one stands, by the storage."""
        once = self._once
        try:
            value = await once._asked(once._storage.get(self._key))
        except Exception:  # noqa: BLE001 - it was there a moment ago, which is what counts
            return "unknown"
        if value is None:
            return "unknown"
        if value.startswith(b"running "):
            return "running"
        return "done" if value == b"done" else "failed"

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._over or self.state != "first":
            self._over = True
            return
        self._over = True
        once, key = self._once, self._key
        free = self._free or (error is not None and error is self._harmless)
        ended: State = "done" if error is None else "failed"
        # Here first: it holds at once, also where the storage fails or we are cancelled again.
        if free:
            once._forget(key, self._here)
            await self._take_back()
            return
        once._keep(key, ended, once._ttl)
        try:
            # Over another's claim too, should ours have run out: what this one did is done, and
            # that one may yet give its claim back.
            await once._asked(once._storage.put(key, ended.encode(), ttl=once._ttl))
        except Exception:  # noqa: BLE001 - the handler's own error, or its success, goes on
            once._teller.stored("once", "storage")

    @contextmanager
    def before_effects(self) -> Iterator[None]:
        """What is done in here has no effect that anybody sees: downloads, transcripts.

        If it fails or is cancelled, and that ends the delivery, the claim is given back: the
        next delivery runs.
        """
        try:
            yield
        except BaseException as error:
            self._harmless = error
            raise

    def release(self) -> None:
        """Nothing was done: give the claim back at the end, however it ends.

        Raises:
            ClosedError: It has ended.
        """
        if self._over:
            raise ClosedError("the delivery has ended")
        self._free = True

    def __repr__(self) -> str:
        return f"<Turn {self.state}>"


def _seconds(name: str, value: object) -> float:
    if not is_number(value) or not 0 < value < math.inf:
        raise wrong(name, value, "seconds > 0")
    return float(value)
