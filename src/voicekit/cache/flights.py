"""Single flight: what is being made for one caller is made for all who ask meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from voicekit.cache.tape import Tape

T = TypeVar("T")


class Flights(Generic[T]):
    """The tapes that are under way, by key.

    A tape stays until it is stored, so that whoever asks between its end and then gets it; and
    as long as somebody looks into the storage for it, since that look may have come too early.
    So one key is made once, however slow the storage is::

        with flights.looking(key):
            tape = flights.joinable(key)
            if tape is None and (value := await storage.get(key)) is None:   # the only wait
                tape = flights.joinable(key) or flights.begin(key, make)
            if tape is not None:
                tape.join(follower := Follower(tape))
    """

    def __init__(self) -> None:
        self._tapes: dict[str, Tape[T]] = {}
        self._looking: dict[str, int] = {}
        self._landed: dict[str, Tape[T]] = {}

    def __len__(self) -> int:
        return len(self._tapes)

    def __iter__(self) -> Iterator[Tape[T]]:
        return iter(list(self._tapes.values()))

    @contextmanager
    def looking(self, key: str) -> Iterator[None]:
        """While somebody looks for ``key``: what ends meanwhile can still be joined."""
        self._looking[key] = self._looking.get(key, 0) + 1
        try:
            yield
        finally:
            left = self._looking[key] = self._looking[key] - 1
            if not left:
                del self._looking[key]
                landed = self._landed.pop(key, None)
                if landed is not None:
                    self._leave(key, landed)

    def _leave(self, key: str, tape: Tape[T]) -> None:
        if self._tapes.get(key) is tape:
            del self._tapes[key]
        tape.retire()

    def joinable(self, key: str) -> Tape[T] | None:
        """What is being made under ``key``, if one who joins now gets all of it."""
        tape = self._tapes.get(key)
        return tape if tape is not None and tape.joinable else None

    def begin(
        self,
        key: str,
        make: Callable[[Callable[[Tape[T]], None]], Tape[T]],
    ) -> Tape[T]:
        """Have it made.

        Args:
            key: Of what.
            make: Makes the tape, given what it must call when it is ``done``. Nobody has joined
                it yet: the caller must do so at once.
        """

        def done(tape: Tape[T]) -> None:
            if self._tapes.get(key) is tape and tape.joinable and key in self._looking:
                self._landed[key] = tape
            else:
                self._leave(key, tape)

        tape = self._tapes[key] = make(done)
        self._landed.pop(key, None)
        return tape
