"""Several chat models as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voicekit.resilience.members.produced import ProducedChat
from voicekit.resilience.members.requests import RequestOfMembers, finished
from voicekit.resilience.members.streams import MemberTextStream
from voicekit.resilience.members.trail import Member
from voicekit.resilience.members.wrapper import Handles, Wrapper, requests_of
from voicekit.speech import ChatResult

if TYPE_CHECKING:
    from voicekit import interfaces

__all__ = ["ChatOfMembers", "ChatRequestOfMembers"]

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
        of = requests_of(
            self._group, lambda member, own: member.engine.request(messages, **own), options
        )
        return ChatRequestOfMembers(of=of, owner=self)

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
        handles = Handles(
            self._group, lambda member: member.engine.stream_chat(request.of[member.index])
        )
        return MemberTextStream(
            self._group,
            "stream_chat",
            handles,
            lambda member: request.of[member.index],
        )

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

        def ask(member: Member) -> Any:
            return member.engine.chat(request.of[member.index])

        result, member, errors = await self._whole("chat", ask)
        return ProducedChat.of(result, member.name, errors, request.of[member.index])

    def _request_of(
        self, messages: Messages | interfaces.ChatRequest, options: Mapping[str, Any]
    ) -> ChatRequestOfMembers:
        if not isinstance(messages, ChatRequestOfMembers):
            # A member's own request is no conversation, and is refused as such.
            return self.request(messages, **options)  # type: ignore[arg-type]
        return finished(messages, self, "messages", options)
