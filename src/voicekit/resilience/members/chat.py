"""Several chat models as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voicekit.resilience.members.produced import ProducedChat, produced
from voicekit.resilience.members.requests import RequestOfMembers
from voicekit.resilience.members.streams import MemberTextStream
from voicekit.resilience.members.wrapper import Wrapper
from voicekit.speech import ChatResult

if TYPE_CHECKING:
    from voicekit import interfaces

Messages = str | Sequence[Mapping[str, Any]]


class ChatRequestOfMembers(RequestOfMembers["interfaces.ChatRequest"]):
    """What is asked, as each member would be."""

    __slots__ = ()

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation, as the first member has it."""
        return self.of[0].messages


class ChatOfMembers(Wrapper):
    """A ``ChatModel`` made of several."""

    def request(self, messages: Messages, /, **options: Any) -> ChatRequestOfMembers:
        """Merge, validate and freeze, at every member; no I/O.

        Raises:
            InvalidArgumentError: A member refuses it.
        """
        return ChatRequestOfMembers(of=self._requests(messages, options), owner=self)

    def stream_chat(
        self, messages: Messages | interfaces.ChatRequest, /, **options: Any
    ) -> MemberTextStream:
        """The answer as it is written, by the first member that has one.

        No I/O before it is opened.

        Raises:
            InvalidArgumentError: A member refuses it.
        """
        self._group.check_open()
        request = self._request_of(messages, options)
        handles = self._handles("stream_chat", request)
        return MemberTextStream(self._group, "stream_chat", handles, request.at)

    async def chat(
        self, messages: Messages | interfaces.ChatRequest, /, **options: Any
    ) -> ChatResult:
        """The whole answer; with a ``timeout``, it must come within that.

        Raises:
            InvalidArgumentError: A member refuses it.
            VoicekitError: Every member failed.
        """
        self._group.check_open()
        request = self._request_of(messages, options)
        result, member, errors, asked = await self._whole("chat", request)
        return produced(ProducedChat, result, member, errors, request=asked)

    def _request_of(
        self, messages: Messages | interfaces.ChatRequest, options: Mapping[str, Any]
    ) -> ChatRequestOfMembers:
        return self._made(ChatRequestOfMembers, self.request, messages, "messages", options)
