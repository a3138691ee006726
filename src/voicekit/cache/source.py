"""What a handle of ours reads from, where nothing comes over a wire."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, cast

from voicekit.streams import Opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voicekit.errors import VoicekitError
    from voicekit.operation import Call
    from voicekit.transport.interfaces import Response


class HandleSource:
    """To a handle a response and its decoder at once; this one waits for nothing, holds nothing."""

    status = 200
    delimited = True

    def opened(self, call: Call, items: Iterable[Any]) -> Opened[Any]:
        """What a handle reads it from, with these in hand."""
        return Opened(call, cast("Response", self), cast("Any", self), deque(items))

    def interrupt(self, error: VoicekitError) -> None:
        """Make a waiting (or the next) ``chunk()`` raise ``error``."""

    def abort(self) -> None:
        """Nobody reads on. Idempotent."""

    def release(self) -> None:
        """Everything was read."""

    def eof(self, *, delimited: bool) -> Sequence[Any]:  # noqa: ARG002 - a decoder's
        """The end."""
        return ()
