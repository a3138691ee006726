"""Text in pieces at several members: said again to the next one, until it is heard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scripted_members import SOUND, Does, Voice, failing, heard, pieces_of

from settling import library_tasks
from voicekit.errors import (
    ClosedError,
    ConnectionLostError,
    FirstOutputTimeout,
    InvalidArgumentError,
    InvalidRequestError,
    LocalProtocolError,
    UnavailableError,
)
from voicekit.resilience.members.fallback import fallback
from voicekit.resilience.members.shared_text import MOST_KEPT
from voicekit.testing import VIRTUAL

pytestmark = pytest.mark.anyio

NOT_ACCEPTED = Does(before=failing(UnavailableError), pieces=0)
MUTE = Does(before=failing(ConnectionLostError))
"""Accepts, and breaks before its first audio."""


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def both(*first: Any, **options: Any) -> tuple[Any, Voice, Voice]:
    a, b = Voice("a", *first), Voice("b")
    return fallback(a, b, **options), a, b


# -- text from an iterable -----------------------------------------------------------------------


async def test_the_next_member_hears_the_whole_text() -> None:
    """The iterable is read once, and closed at the end."""
    ended: list[str] = []
    tts, a, b = both(failing(UnavailableError))
    async with tts:
        text = pieces_of("Hel", "lo ", "there.", ended=ended)
        async with tts.stream_speech(text) as speech:
            assert speech.member == "b"
            assert set(speech.errors) == {"a"}
            assert await heard(speech) == 2 * len(SOUND)
            assert speech.delivered_bytes == 2 * len(SOUND)
            assert speech.delivered_s == 0.02
        assert [each.outstanding for each in tts.stats()] == [0, 0]
    assert (a.heard, b.heard) == (["Hel"], ["Hello there."])
    assert ended == ["closed"]
    assert library_tasks() == []


async def test_a_member_that_is_late_does_not_harm_the_text() -> None:
    """It is cancelled while it waits for a piece; the iterable does not notice."""
    gate = asyncio.Event()

    async def text() -> Any:
        yield "one "
        await gate.wait()
        yield "two"

    tts, a, b = both(Does(wait=9), timeout=1.0)
    async with tts:
        speech = tts.stream_speech(text())
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(heard(speech))
            await asyncio.sleep(30)  # text takes its time: nobody is late
            gate.set()
        assert reading.result() == 2 * len(SOUND)
        assert isinstance(speech.errors["a"], FirstOutputTimeout)
    assert (a.heard, b.heard) == (["one two"], ["one two"])


@pytest.mark.parametrize("error", [UnavailableError("the model's"), ZeroDivisionError()])
async def test_an_error_of_the_text_is_no_members(error: Exception) -> None:
    """It is raised as it is; nobody else is asked, nobody rests."""

    async def text() -> Any:
        yield "one"
        raise error

    tts, _, b = both()
    async with tts:
        with pytest.raises((UnavailableError, ZeroDivisionError)) as caught:
            await heard(tts.stream_speech(text()))
        assert error in (caught.value, caught.value.__cause__)
        assert tts.stats()[0].state == "well"
    assert b.heard == []
    assert library_tasks() == []


async def test_what_is_no_text_is_refused() -> None:
    """Of a piece, as soon as it comes."""

    async def text() -> Any:
        yield 5

    tts, _, b = both()
    async with tts:
        with pytest.raises(InvalidArgumentError, match="text"):
            await heard(tts.stream_speech(text()))
        with pytest.raises(InvalidArgumentError, match="text"):
            tts.stream_speech(5)
    assert b.heard == []


async def test_too_much_text_is_not_said_again() -> None:
    """What is kept is bounded; the error says why there was no other attempt."""

    async def text() -> Any:
        for _ in range(3):
            yield "x" * (MOST_KEPT // 2)

    tts, a, b = both(Does(wait=1, before=failing(UnavailableError)))
    async with tts:
        with pytest.raises(UnavailableError) as caught:
            await heard(tts.stream_speech(text()))
        assert caught.value.retry_stopped == "not_replayable"
    assert len(a.heard[0]) == 3 * (MOST_KEPT // 2)
    assert b.heard == []


async def test_text_is_let_go_after_the_first_audio() -> None:
    """A long speech is not kept in memory."""

    class Talks(Voice):
        async def _speak(self, pieces: Any) -> Any:
            async for _ in pieces:
                yield SOUND

    async with fallback(Talks("a"), Voice("b")) as tts:
        speech = tts.stream_speech(pieces_of(*["word "] * 50))
        async with speech:
            async for _ in speech:
                assert len(speech.text._kept) <= 2


@pytest.mark.parametrize("how", ["aclose", "cancel", "unopened", "task", "entered"])
async def test_ending_early_closes_the_text(how: str) -> None:
    """In whatever way; nothing is left."""
    ended: list[str] = []
    tts, a, _ = both()
    a.then(Does(wait=3600))
    async with tts:
        speech = tts.stream_speech(pieces_of("one", "two", ended=ended))
        if how == "unopened":
            await speech.aclose()
        elif how in {"aclose", "cancel"}:
            task = asyncio.create_task(heard(speech))
            await asyncio.sleep(1)
            await getattr(speech, how)()
            await asyncio.wait([task])
        else:

            async def use() -> None:
                if how == "entered":
                    async with speech:
                        await heard(speech)
                else:
                    await heard(speech)

            task = asyncio.create_task(use())
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert ended == ([] if how == "unopened" else ["closed"])
        assert library_tasks() == []
        assert tts.stats()[0].outstanding == 0
        assert await heard(speech) == 0


@pytest.mark.parametrize("how", ["cancel", "task"])
async def test_text_that_nobody_asked_for_is_closed_too(how: str) -> None:
    """The iterable waits to be read when the speech is ended."""

    class ReadsOne(Voice):
        async def _speak(self, pieces: Any) -> Any:
            async for _ in pieces:
                yield SOUND
                await asyncio.sleep(3600)

    ended: list[str] = []
    async with fallback(ReadsOne("a"), Voice("b")) as tts:
        speech = tts.stream_speech(pieces_of("one", "two", ended=ended))
        task = asyncio.create_task(heard(speech))
        await asyncio.sleep(1)
        assert ended == []
        if how == "cancel":
            await speech.cancel()
            assert await task == len(SOUND)
        else:
            task.cancel()
            await asyncio.wait([task])
        assert ended == ["closed"]
        assert library_tasks() == []


async def test_its_text_comes_from_the_iterable() -> None:
    """And from nowhere else."""
    tts, _, _ = both()
    async with tts:
        speech = tts.stream_speech(pieces_of("one"))
        for refused in (speech.send("x"), speech.flush(), speech.finish()):
            with pytest.raises(LocalProtocolError):
                await refused
        await speech.aclose()


# -- sessions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [NOT_ACCEPTED, MUTE], ids=["refused", "mute"])
async def test_a_session_moves_until_its_first_audio(first: Does) -> None:
    """The next one is told everything that was sent, in order, once."""
    tts, a, b = both(first)
    async with tts:
        async with tts.open_speech() as utterance:
            await utterance.send("Hel")
            await utterance.send("lo.")
            await utterance.flush()
            await utterance.finish()
            assert await heard(utterance) == 2 * len(SOUND)
            assert (utterance.member, set(utterance.errors)) == ("b", {"a"})
        assert [each.outstanding for each in tts.stats()] == [0, 0]
    (second,) = b.sessions
    assert second.said == ["Hel", "lo.", "<flush>", "<finish>"]
    assert all(each.closed for each in a.sessions)
    assert library_tasks() == []


async def test_what_is_sent_meanwhile_is_said_too() -> None:
    """By whoever looks for the next member, or after it was found."""
    tts, _, b = both(Does(wait=1, before=failing(ConnectionLostError)))
    original = b.open_speech

    def slow(**options: Any) -> Any:
        """Takes a second to accept."""
        session = original(**options)
        opened = session._open

        async def late() -> Any:
            await asyncio.sleep(1)
            return await opened()

        session._open = late
        return session

    b.open_speech = slow  # type: ignore[method-assign]
    async with tts, tts.open_speech() as utterance:
        await utterance.send("one ")
        reading = asyncio.create_task(heard(utterance))
        await asyncio.sleep(1.5)  # a has broken, b does not accept yet
        assert utterance.member is None
        await utterance.send("two ")
        await asyncio.sleep(1)
        await utterance.send("three")
        await utterance.finish()
        assert await reading == 2 * len(SOUND)
    assert b.sessions[0].said == ["one ", "two ", "three", "<finish>"]


async def test_a_send_that_fails_is_no_end() -> None:
    """The text is kept, and the reader finds the next member."""
    tts, _, b = both(MUTE)
    async with tts, tts.open_speech() as utterance:
        await utterance.send("fails")
        await utterance.send("goes on")
        await utterance.finish()
        assert await heard(utterance) == 2 * len(SOUND)
    assert b.sessions[0].said == ["fails", "goes on", "<finish>"]


async def test_a_send_that_hangs_at_a_member_that_is_left() -> None:
    """Its text was said to the next one meanwhile: who sent it learns nothing of it."""
    tts, _, b = both(MUTE)
    async with tts, tts.open_speech() as utterance:
        sending = asyncio.create_task(utterance.send("hangs"))
        reading = asyncio.create_task(heard(utterance))
        await asyncio.sleep(0.1)
        await utterance.finish()
        assert await reading == 2 * len(SOUND)
        assert not sending.done()
        await sending
    assert b.sessions[0].said == ["hangs", "<finish>"]


async def test_a_send_that_no_member_can_cure_fails() -> None:
    """At once."""
    tts, _, b = both(Does(before=failing(InvalidRequestError)))
    async with tts, tts.open_speech() as utterance:
        with pytest.raises(InvalidRequestError):
            await utterance.send("fails")
    assert b.sessions == []


async def test_after_the_first_audio_a_session_stays() -> None:
    """Its error surfaces as it is."""
    tts, _, b = both(Does(after=failing(ConnectionLostError)))
    async with tts, tts.open_speech() as utterance:
        await utterance.send("Hello")
        await utterance.finish()
        await anext(utterance)
        with pytest.raises(ConnectionLostError):
            await anext(utterance)
        assert utterance.member == "a"
    assert b.sessions == []


async def test_a_session_is_late_only_when_its_text_has_ended() -> None:
    """The clock of ``timeout`` runs from ``finish``, also for who waits already."""
    tts, a, b = both(Does(wait=9), timeout=1.0)
    loop = asyncio.get_running_loop()
    async with tts, tts.open_speech() as utterance:
        reading = asyncio.create_task(heard(utterance))
        await asyncio.sleep(30)
        await utterance.send("Hello")
        began = loop.time()
        await utterance.finish()
        assert await reading == 2 * len(SOUND)
        assert loop.time() - began == pytest.approx(1.0, abs=0.05)
        assert isinstance(utterance.errors["a"], FirstOutputTimeout)
    assert a.sessions[0].closed
    assert b.sessions[0].said == ["Hello", "<finish>"]


async def test_too_much_text_in_a_session() -> None:
    """Beyond the bound it stays where it is."""
    tts, a, b = both(Does(wait=1, before=failing(ConnectionLostError)))
    async with tts, tts.open_speech() as utterance:
        for _ in range(3):
            await utterance.send("x" * (MOST_KEPT // 2))
        assert utterance._script == []
        await utterance.finish()
        with pytest.raises(ConnectionLostError) as caught:
            await heard(utterance)
        assert caught.value.retry_stopped == "not_replayable"
    assert b.sessions == []
    assert len(a.sessions[0].said) == 4


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_a_session_closed_while_it_moves(how: str) -> None:
    """Another task's iteration ends quietly."""
    tts, _, b = both(MUTE)
    b.then(Does(wait=5, before=failing(UnavailableError), pieces=0))
    async with tts:
        utterance = tts.open_speech()
        await utterance
        reading = asyncio.create_task(heard(utterance))
        await asyncio.sleep(1)
        assert utterance.member is None
        await getattr(utterance, how)()
        assert await reading == 0
        assert utterance.cancelled is (how == "cancel")
        with pytest.raises(ClosedError):
            await utterance.send("more")
        assert [each.outstanding for each in tts.stats()] == [0, 0]


async def test_a_reader_cancelled_while_it_moves_loses_nothing() -> None:
    """The next call goes on with the member that was being asked."""
    tts, _, b = both(MUTE)
    b.then(Does(wait=5, before=failing(UnavailableError), pieces=0))
    async with tts, tts.open_speech() as utterance:
        await utterance.send("Hello")
        reading = asyncio.create_task(heard(utterance))
        await asyncio.sleep(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await utterance.finish()
        assert await heard(utterance) == 2 * len(SOUND)
        assert utterance.member == "b"
    assert b.sessions[-1].said == ["Hello", "<finish>"]


async def test_no_member_is_left() -> None:
    """The last error, and the session is over."""
    tts, _, b = both(MUTE)
    b.then(MUTE)
    async with tts, tts.open_speech() as utterance:
        with pytest.raises(ConnectionLostError) as caught:
            await heard(utterance)
        assert set(caught.value.errors) == {"a"}  # type: ignore[attr-defined]
        with pytest.raises(ClosedError):
            await utterance.send("more")


async def test_bad_use_of_a_session() -> None:
    """As of every session."""
    tts, _, _ = both()
    async with tts:
        utterance = tts.open_speech()
        with pytest.raises(ClosedError, match="open"):
            await utterance.send("early")
        async with utterance:
            for bad in (5, "\ud800"):
                with pytest.raises(InvalidArgumentError):
                    await utterance.send(bad)
            await utterance.finish()
            await utterance.finish()
            with pytest.raises(ClosedError):
                await utterance.send("late")
            assert (await utterance.clip()).member == "a"
