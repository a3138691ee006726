"""The blocking facade against the emulator: what crosses, who waits, what is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from interrupts import interruptible
from voicekit import ClosedError, LocalProtocolError, TotalTimeout, deadline
from voicekit.emulator import Emulator, Fault
from voicekit.sync import OpenAIClient, Transport
from voicekit.sync.portal import portal

pytestmark = pytest.mark.emulated


@pytest.fixture
def world() -> Iterator[Any]:
    with Emulator.in_thread(providers=("openai",), scenario="instant") as world:
        yield world


def client_of(world: Any, **options: Any) -> OpenAIClient:
    options = {"model": "gpt-x", "api_key": "k", "base_url": world.openai.url, **options}
    return OpenAIClient(**options)


def voicekit_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "voicekit-sync"]


def test_a_value_takes_one_crossing(world: Any) -> None:
    """A whole-value call goes over to the event loop once."""
    with client_of(world) as llm:
        llm.chat("Hello")
        before = portal().crossings
        result = llm.chat("Hello")
        assert portal().crossings - before == 1
        assert result.text
        assert result.connection is not None
        assert result.connection.reused


def test_constructing_starts_no_thread_and_closing_ends_it(world: Any) -> None:
    """The loop's thread lives while a client is in use."""
    llm = client_of(world)
    other = client_of(world)
    assert voicekit_threads() == []
    llm.chat("Hello")
    other.chat("Hello")
    assert voicekit_threads() == ["voicekit-sync"]
    llm.close()
    llm.close()
    assert voicekit_threads() == ["voicekit-sync"]
    other.close()
    assert voicekit_threads() == []
    with pytest.raises(ClosedError):
        llm.chat("Hello")


def test_an_iterator_takes_all_that_is_there(world: Any) -> None:
    """A stream crosses at most once per piece from the network, and once to open."""
    with client_of(world) as llm:
        before = portal().crossings
        with llm.stream_chat("Hello") as reply:
            text = "".join(reply)
        crossings = portal().crossings - before
        assert text == reply.text
        assert reply.finish_reason == "stop"
        assert reply.ended
        record = world.journal.requests_for("openai", "chat")[-1]
        assert record.outcome == "complete"
        assert crossings <= 1 + 50  # the emulator writes about a piece per word
        assert crossings < len(text)


def test_leaving_a_for_early_closes_the_stream(world: Any) -> None:
    """Nobody else would close a stream that was not entered."""
    with client_of(world) as llm:
        reply = llm.stream_chat("Hello")
        for _ in reply:
            break
        assert reply.ended
        with llm.stream_chat("Hello") as entered:
            first = next(iter(entered))
            rest = "".join(entered)
        assert first + rest == entered.text


def test_threads_share_one_warm_pool(world: Any) -> None:
    """Many threads, one loop: no more connections than callers at a time."""
    with client_of(world) as llm, ThreadPoolExecutor(8) as threads:
        llm.warm(8)
        texts = list(threads.map(lambda n: llm.chat(f"Hello {n}").text, range(64)))
    assert len(texts) == 64
    assert len(world.journal.connections) == 8


def test_works_inside_a_running_loop(world: Any) -> None:
    """A notebook's cell runs in an event loop; blocking there works all the same."""

    async def cell() -> str:
        with client_of(world) as llm:
            return llm.chat("Hello").text

    assert asyncio.run(cell())


def test_an_interrupt_cancels_what_was_asked(world: Any) -> None:
    """Ctrl-C: the request is abandoned before the interrupt goes on."""
    world.inject("openai", Fault("silence"))
    with interruptible(), client_of(world) as llm:

        def interrupt() -> None:
            while not world.journal.requests_for("openai", "chat"):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            llm.chat("Hello")
        thread.join()
        assert llm.stats().leased == 0
        assert llm.chat("Hello").text


def test_a_deadline_of_the_calling_thread_counts(world: Any) -> None:
    """What is ambient for the caller is so on the other side."""
    world.inject("openai", Fault("silence"))
    with client_of(world) as llm, deadline(0.2), pytest.raises(TotalTimeout):
        llm.chat("Hello")


def test_blocking_from_the_loop_itself_is_refused(world: Any) -> None:
    """It would wait for itself, for ever."""
    seen: list[BaseException] = []

    class Blocks:
        def on_event(self, event: Any, /) -> None:
            try:
                llm.chat("Hello")
            except LocalProtocolError as error:
                seen.append(error)

    with client_of(world, observers=[Blocks()]) as llm:
        llm.chat("Hello")
    assert seen


def test_cancel_from_another_thread_ends_quietly(world: Any) -> None:
    """Barge-in: the thread that iterates sees the end of the stream."""
    world.inject("openai", Fault("stall", after_events=3))
    with client_of(world) as llm, llm.stream_chat("Hello") as reply:
        first = next(reply)
        threading.Timer(0.1, reply.cancel).start()
        list(reply)
        assert first
        assert reply.cancelled


def test_a_shared_transport_is_its_makers(world: Any) -> None:
    """Clients share warm connections; closing a client leaves them open."""
    with Transport() as shared:
        with client_of(world, transport=shared) as one:
            one.chat("Hello")
        with client_of(world, transport=shared) as other:
            connection = other.chat("Hello").connection
            assert connection is not None
            assert connection.reused
            assert other.stats().open == shared.stats().open == 1


def test_a_view_shares_and_outlives_its_name(world: Any) -> None:
    """``with_options`` keeps what it came from."""
    view = client_of(world).with_options(temperature=0.5)
    assert view.chat("Hello").text
    assert world.journal.requests_for("openai", "chat")[-1].json()["temperature"] == 0.5
    source = view._source
    assert isinstance(source, OpenAIClient)
    view.close()
    assert source.stats().open == 1
    source.close()


def test_dropping_an_open_client_warns_once(world: Any) -> None:
    """A leak is said, and its sockets are freed."""
    llm = client_of(world)
    llm.chat("Hello")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del llm
    assert [str(w.message) for w in caught] == ["OpenAIClient was never closed"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_loop_of_its_own(world: Any) -> None:
    """A client made and used before a fork works on both sides, on different sockets."""
    llm = client_of(world)
    llm.chat("Hello")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, llm.chat("Hello from the child").text.encode()[:10])
            llm.close()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert said
    assert llm.chat("Hello").connection.reused  # type: ignore[union-attr]
    llm.close()
