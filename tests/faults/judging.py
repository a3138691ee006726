"""One cell, run for its verdict: what is red in it, in words."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cell import Cell, in_loop, run
from invariants import BrokenError
from operations import ROWS, Row
from subjects import VOICEKIT, Subject

from faults import Fault, columns

if TYPE_CHECKING:
    from world import World

LONGEST = 6.0
"""Seconds; a cell takes three. One that hangs is red, and must not hang the others."""
_CHANCES = 3


def row_of(name: str) -> Row:
    return next(row for row in ROWS if row.id == name)


def column_of(number: str) -> Fault:
    return next(fault for fault in columns() if fault.number == number)


def red(
    world: World,
    row: Row,
    fault: Fault,
    *,
    tls: bool | None = None,
    loop: str = "asyncio",
    subject: Subject = VOICEKIT,
    seed: str = "0",
    longest: float = LONGEST,
) -> str:
    """What does not hold in one cell; empty when all does.

    A stall of the loop alone, which the machine can cause as well, must come again each time.
    """
    told = ""
    forget()
    for _ in range(_CHANCES):
        cell = Cell(
            world,
            row,
            tls=fault.tls[0] if tls is None else tls,
            seed=f"{row.id}/{fault.number}/{seed}",
            subject=subject,
        )
        if hasattr(subject, "names"):
            subject.names = cell.names

        async def bounded(cell: Cell = cell) -> None:
            async with asyncio.timeout(longest):
                await run(cell, fault)

        try:
            with _alarm():
                in_loop(loop, bounded)
            return ""
        except Exception as error:  # whatever it is, the cell is not green
            told = f"{type(error).__name__}: {error}".split("\n", 1)[0][:300]
            if not (isinstance(error, BrokenError) and error.may_be_the_machines):
                return told
    return told


def forget() -> None:
    """What a red cell left to the collector must not be heard in the next one."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
    finally:
        sys.unraisablehook = hook


@contextmanager
def _alarm() -> Iterator[None]:
    """For a cell that does not even end when it is cancelled."""

    def ring(*_: Any) -> None:
        raise TimeoutError("it hangs, and cannot be cancelled")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST + 5, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
