"""Checks of a ``ChatModel``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from voicekit.errors import InvalidArgumentError
from voicekit.testing.conformance import handles, requests
from voicekit.testing.conformance.watching import no_dialling, nothing_left, refusal, require

if TYPE_CHECKING:
    from voicekit.interfaces import ChatModel

MakeChatModel = Callable[[], "ChatModel"]
MESSAGES: Final = ({"role": "user", "content": "Please say hello."},)
OTHERS: Final = ({"role": "user", "content": "Please say goodbye."},)


async def request_is_frozen_and_does_no_io(make: MakeChatModel) -> None:
    """``request()`` merges, validates, freezes, and does nothing else."""
    async with make() as model:
        requests.frozen_and_alone(lambda: model.request(list(MESSAGES)), "messages")
        said = [dict(message) for message in MESSAGES]
        request = model.request(said)
        identity = request.identity
        said[0]["content"] = "changed"
        require(
            request.identity == identity and request.messages[0]["content"] != "changed",
            "a request must not change with the messages it was made of",
        )


async def identity_tells_requests_apart(make: MakeChatModel) -> None:
    """Equal for equal requests; different for other messages."""
    async with make() as model:
        same = (model.request(list(MESSAGES)), model.request(list(MESSAGES)))
        requests.identities(same, {"message": model.request(list(OTHERS))})


async def no_messages_are_refused_before_io(make: MakeChatModel) -> None:
    """Nothing asked is an ``InvalidArgumentError``, before anything is dialled."""
    async with make() as model:
        requests.refused_by_request(lambda: model.request([]), "no messages")

        async def ask() -> None:
            await model.chat([])

        with no_dialling("no messages must be refused before any I/O"):
            error = await refusal(ask(), "chat() must refuse no messages")
        require(
            isinstance(error, InvalidArgumentError),
            f"no messages must raise InvalidArgumentError, not {type(error).__name__}",
        )


async def answers_are_whole_and_as_they_are_written(make: MakeChatModel) -> None:
    """A result with text, and a stream of text; a request does for both."""
    async with nothing_left(), make() as model:
        result = await model.chat(list(MESSAGES))
        require(isinstance(result.text, str) and result.text, "chat() must give a text")
        require(
            (await model.chat(model.request(list(MESSAGES)))).text, "chat() must take a request"
        )
        await handles.awaited_and_entered(
            lambda: model.stream_chat(list(MESSAGES)), str, "a piece of text"
        )
        async with model.stream_chat(model.request(list(MESSAGES))) as stream:
            pieces = [piece async for piece in stream]
        require(stream.text == "".join(pieces), "a stream's text must be its pieces together")


async def handle_moves_between_tasks(make: MakeChatModel) -> None:
    """Opened, iterated and closed in three tasks."""
    async with nothing_left(), make() as model:
        await handles.in_three_tasks(lambda: model.stream_chat(list(MESSAGES)))


async def handle_is_made_without_io(make: MakeChatModel) -> None:
    """Making one dials nothing and starts nothing."""
    async with nothing_left(), make() as model:
        with no_dialling("making a handle must do no I/O"):
            await handles.made_without_io(lambda: model.stream_chat(list(MESSAGES)))


async def leaving_early_frees_everything(make: MakeChatModel) -> None:
    """After one piece; closing again is fine."""
    async with nothing_left(), make() as model:
        await handles.left_early(lambda: model.stream_chat(list(MESSAGES)))


async def cancel_ends_iteration_quietly(make: MakeChatModel) -> None:
    """Barge-in from another task is no error for whoever reads."""
    async with nothing_left(), make() as model:
        await handles.cancelled_quietly(lambda: model.stream_chat(list(MESSAGES)))


async def cancelled_reader_leaves_nothing(make: MakeChatModel) -> None:
    """A task that is cancelled as it iterates ends as cancelled."""
    async with nothing_left(), make() as model:
        await handles.reader_cancelled(lambda: model.stream_chat(list(MESSAGES)))


async def cancelled_opening_leaves_nothing(make: MakeChatModel) -> None:
    """Cancelled early, late, or just before the first word."""

    async def open_chat(model: ChatModel) -> None:
        async with model.stream_chat(list(MESSAGES)):
            pass

    for turns in (0, 1, 3, 10):
        await requests.cancelled_while_it_opens(make, open_chat, turns)


async def closing_twice_and_using_afterwards(make: MakeChatModel) -> None:
    """Closed is closed: ``ClosedError``, and no dial."""
    model = make()
    await requests.closes_twice_and_refuses(model, lambda: model.chat(list(MESSAGES)))
    used = make()
    await used.chat(list(MESSAGES))
    await requests.closes_twice_and_refuses(used, lambda: used.chat(list(MESSAGES)))


CHAT_MODEL_CHECKS: Final[tuple[Callable[[MakeChatModel], Awaitable[None]], ...]] = (
    request_is_frozen_and_does_no_io,
    identity_tells_requests_apart,
    no_messages_are_refused_before_io,
    answers_are_whole_and_as_they_are_written,
    handle_is_made_without_io,
    handle_moves_between_tasks,
    leaving_early_frees_everything,
    cancel_ends_iteration_quietly,
    cancelled_reader_leaves_nothing,
    cancelled_opening_leaves_nothing,
    closing_twice_and_using_afterwards,
)
"""Of a ``ChatModel``: each takes a function that makes one."""
