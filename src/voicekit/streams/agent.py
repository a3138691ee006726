"""An agent's turn as it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from voicekit.speech import AgentRetraction
from voicekit.streams.base import Decoder, Opened
from voicekit.streams.text import DeltaStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voicekit.operation import Call
    from voicekit.speech import AgentAnswer


class AgentDecoder(Decoder[Any], Protocol):
    """Reads a turn of an agent; text deltas are plain ``str``, other events values of their own.

    An ``AgentRetraction`` voids the text before it.
    """

    text: list[str]

    def answer(self, call: Call, headers: Mapping[str, str], /) -> AgentAnswer:
        """The turn, as far as it was read."""
        ...


class AgentReply(DeltaStream):
    """An agent's turn as it is said: iterate for text deltas (``str``).

    ``events()`` gives everything in order: ``AgentProgress``, ``AgentRetraction``, and the
    provider's own messages. When the agent takes back what it said, text that was not yet
    handed out is dropped, and iteration goes on with what it says instead.
    """

    @property
    def _read(self) -> AgentDecoder | None:
        opened = self._opened
        return None if opened is None else cast("AgentDecoder", opened.decoder)

    @property
    def text(self) -> str:
        """What holds so far: without what was retracted."""
        return "".join(self._read.text) if self._read is not None else ""

    @property
    def answer(self) -> AgentAnswer | None:
        """The turn so far, whole once iteration has ended; None before it is open."""
        opened, read = self._opened, self._read
        if opened is None or read is None:
            return None
        return read.answer(opened.call, opened.response.headers)

    async def result(self) -> AgentAnswer:
        """Read to the end and return the whole turn; closes the stream."""
        async with self:
            async for _ in self:
                pass
        answer = self.answer
        assert answer is not None  # noqa: S101 - it was opened
        return answer

    async def _open(self) -> Self:
        await super()._open()
        self._retract()
        return self

    async def _more(self, opened: Opened[Any]) -> None:
        await super()._more(opened)
        self._retract()

    def _retract(self) -> None:
        """Drop the text that waits before a retraction, which then says how much was too late."""
        items = self._items
        at = next((i for i in reversed(range(len(items))) if type(items[i]) is AgentRetraction), 0)
        if not at and not (items and type(items[0]) is AgentRetraction):
            return
        before = [items.popleft() for _ in range(at)]
        said = replace(items.popleft(), delivered_characters=self.delivered_characters)
        items.extendleft(reversed([item for item in before if type(item) is not str] + [said]))
