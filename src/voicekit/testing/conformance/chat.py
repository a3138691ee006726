"""Checks of a ``ChatModel``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from voicekit.testing.conformance import handles, requests
from voicekit.testing.conformance.watching import leaving_nothing, require, with_engine

if TYPE_CHECKING:
    from voicekit.interfaces import ChatModel

MakeChatModel = Callable[[], "ChatModel"]
MESSAGES: Final = ({"role": "user", "content": "Please say hello."},)
OTHERS: Final = ({"role": "user", "content": "Please say goodbye."},)


@with_engine
async def request_is_frozen_and_does_no_io(model: ChatModel) -> None:
    """``request()`` merges, validates, freezes, and does nothing else."""
    requests.frozen_and_alone(lambda: model.request(list(MESSAGES)), "messages")
    said = [dict(message) for message in MESSAGES]
    request = model.request(said)
    identity = request.identity
    said[0]["content"] = "changed"
    require(
        request.identity == identity and request.messages[0]["content"] != "changed",
        "a request must not change with the messages it was made of",
    )


@with_engine
async def identity_tells_requests_apart(model: ChatModel) -> None:
    """Equal for equal requests; different for other messages."""
    same = (model.request(list(MESSAGES)), model.request(list(MESSAGES)))
    requests.identities(same, {"message": model.request(list(OTHERS))})


@with_engine
async def no_messages_are_refused_before_io(model: ChatModel) -> None:
    """Nothing asked is an ``InvalidArgumentError``, before anything is dialled."""
    await requests.refused_before_io(model, "chat", [], "no messages")


@leaving_nothing
@with_engine
async def answers_are_whole_and_as_they_are_written(model: ChatModel) -> None:
    """A result with text, and a stream of text; a request does for both."""
    result = await model.chat(list(MESSAGES))
    require(isinstance(result.text, str) and result.text, "chat() must give a text")
    require((await model.chat(model.request(list(MESSAGES)))).text, "chat() must take a request")
    await handles.awaited_and_entered(
        lambda: model.stream_chat(list(MESSAGES)), str, "a piece of text"
    )
    async with model.stream_chat(model.request(list(MESSAGES))) as stream:
        pieces = [piece async for piece in stream]
    require(stream.text == "".join(pieces), "a stream's text must be its pieces together")


HANDLE_CHECKS: Final = handles.checks_of(lambda model: model.stream_chat(list(MESSAGES)))
(
    handle_is_made_without_io,
    handle_moves_between_tasks,
    leaving_early_frees_everything,
    cancel_ends_iteration_quietly,
    cancelled_reader_leaves_nothing,
    cancelled_opening_leaves_nothing,
) = HANDLE_CHECKS


async def closing_twice_and_using_afterwards(make: MakeChatModel) -> None:
    """Closed is closed: ``ClosedError``, and no dial."""
    await requests.closed_is_closed(make, lambda model: model.chat(list(MESSAGES)))


CHAT_MODEL_CHECKS: Final[tuple[Callable[[MakeChatModel], Awaitable[None]], ...]] = (
    request_is_frozen_and_does_no_io,
    identity_tells_requests_apart,
    no_messages_are_refused_before_io,
    answers_are_whole_and_as_they_are_written,
    *HANDLE_CHECKS,
    closing_twice_and_using_afterwards,
)
"""Of a ``ChatModel``: each takes a function that makes one."""
