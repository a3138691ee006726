"""Columns 35 to 40: WebSockets."""

from __future__ import annotations

from faults import Fault

COLUMNS: tuple[Fault, ...] = ()
