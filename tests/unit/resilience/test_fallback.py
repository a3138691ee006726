"""``fallback``: who answers, when it moves on, and when it must not."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from scripted_members import PCM, SOUND, Does, Ears, Mind, Voice, failing, heard

from settling import library_tasks
from voicekit import deadline
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeout,
    FirstOutputTimeout,
    InvalidArgumentError,
    InvalidRequestError,
    LocalProtocolError,
    OverloadedError,
    PoolTimeout,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
)
from voicekit.events import MemberChosen, MemberFailed
from voicekit.interfaces import SpeechSessions, Synthesizer
from voicekit.resilience.members.fallback import fallback
from voicekit.resilience.members.spread import spread
from voicekit.resilience.members.trail import errors_of
from voicekit.testing import VIRTUAL, RecordingObserver

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


def both(*first: Any, **options: Any) -> tuple[Any, Voice, Voice]:
    """A fallback whose first member does ``first``, call by call."""
    a, b = Voice("a", *first), Voice("b")
    return fallback(a, b, **options), a, b


CURABLE = [
    ConnectError,
    ConnectionLostError,
    RemoteProtocolError,
    PoolTimeout,
    ConnectTimeout,
    FirstOutputTimeout,
    TotalTimeout,
    AuthenticationError,
    RateLimitError,
    QuotaError,
    UnavailableError,
    CircuitOpenError,
    OverloadedError,
]
INCURABLE = [InvalidRequestError, InvalidArgumentError, LocalProtocolError, ClosedError]


@pytest.mark.parametrize("error", CURABLE, ids=lambda each: each.__name__)
async def test_the_next_member_answers(error: Any) -> None:
    """What another member may cure moves on; the handle says who it was, and why."""
    seen = RecordingObserver()
    failed = failing(error)
    tts, a, b = both(failed, observers=[seen])
    async with tts, tts.stream_speech("Hello") as speech:
        assert speech.member == "b"
        assert dict(speech.errors) == {"a": failed}
        assert speech.attempts == 1 + 1
        assert await heard(speech) == 2 * len(SOUND)
    assert (a.heard, b.heard) == (["Hello"], ["Hello"])
    assert [(e.member, e.reason) for e in seen.of(MemberChosen)] == [
        ("a", "first"),
        ("b", "failed_over"),
    ]
    assert [(e.member, e.error) for e in seen.of(MemberFailed)] == [("a", error.__name__)]
    assert failed.__traceback__ is None  # its frames would keep what they hold


@pytest.mark.parametrize("error", INCURABLE, ids=lambda each: each.__name__)
async def test_what_is_wrong_with_the_request_surfaces(error: Any) -> None:
    """Nobody else is asked, and the member does not rest for it."""
    tts, _, b = both(failing(error))
    async with tts:
        with pytest.raises(error):
            await heard(tts.stream_speech("Hello"))
        assert tts.stats()[0].state == "well"
    assert b.heard == []


async def test_more_reasons_to_move_on() -> None:
    """``on`` adds some."""
    tts, _, b = both(failing(InvalidRequestError), on=(InvalidRequestError,))
    async with tts:
        assert (await tts.synthesize("Hello")).member == "b"
    assert b.heard == ["Hello"]


async def test_a_bug_of_an_engine_is_no_reason() -> None:
    """Not ours to hide."""

    class Buggy(Voice):
        async def synthesize(self, text: Any, /, **options: Any) -> Any:
            raise ZeroDivisionError

    b = Voice("b")
    async with fallback(Buggy("a"), b) as tts:
        with pytest.raises(ZeroDivisionError):
            await tts.synthesize("Hello")
        assert [each.outstanding for each in tts.stats()] == [0, 0]
    assert b.heard == []


@pytest.mark.parametrize(
    "run",
    [
        lambda tts: heard(tts.stream_speech("Hello")),
        lambda tts: tts.stream_speech("Hello").clip(),
        lambda tts: tts.synthesize("Hello"),
    ],
    ids=["stream", "clip", "synthesize"],
)
async def test_after_the_first_audio_nothing_moves(run: Any) -> None:
    """The error is the member's own, with its exact account."""
    tts, _, b = both(Does(after=failing(ConnectionLostError)))
    async with tts:
        with pytest.raises(StreamInterruptedError) as caught:
            await run(tts)
        assert caught.value.delivered_bytes == len(SOUND)
        assert isinstance(caught.value.__cause__, ConnectionLostError)
        assert tts.stats()[0].state == "well"
        assert tts.stats()[0].outstanding == 0
    assert b.heard == []


@pytest.mark.parametrize("run", ["stream", "synthesize"])
async def test_a_late_first_audio_is_a_reason(run: str) -> None:
    """Within ``timeout`` of each member; who was late is cancelled, and closed by then."""
    tts, a, b = both(Does(wait=60.0), timeout=1.5)
    b.then(Does(wait=1.4))
    loop = asyncio.get_running_loop()
    async with tts:
        began = loop.time()
        if run == "stream":
            async with tts.stream_speech("Hello") as speech:
                took = loop.time() - began
                assert a.ended == 1
                assert isinstance(speech.errors["a"], FirstOutputTimeout)
                assert speech.errors["a"].limit == 1.5
                assert await heard(speech) == 2 * len(SOUND)
        else:
            clip = await tts.synthesize("Hello")
            took = loop.time() - began
            assert (clip.member, clip.data) == ("b", 2 * SOUND)
            assert clip.identity == "b|pcm_16000|plain|Hello"
    assert took == pytest.approx(2.9)
    assert library_tasks() == []


async def test_a_slow_flow_is_not_late() -> None:
    """``timeout`` is over with the first audio."""

    class Slow(Voice):
        async def _speak(self, pieces: Any) -> Any:
            for _ in range(3):
                yield SOUND
                await asyncio.sleep(10)

    async with fallback(Slow("a"), Voice("b"), timeout=0.5) as tts:
        clip = await tts.synthesize("Hello")
    assert (clip.member, len(clip.data)) == ("a", 3 * len(SOUND))


async def test_all_members_failed() -> None:
    """The last real error, with the others on it."""
    first, second = failing(UnavailableError, status=503), failing(RateLimitError, retry_after=3.0)
    tts, _, b = both(first)
    b.then(second)
    async with tts:
        with pytest.raises(RateLimitError) as caught:
            await heard(tts.stream_speech("Hello"))
    assert caught.value is second
    assert dict(errors_of(second)) == {"a": first}
    assert second.__notes__ == ["fallback: a failed with UnavailableError"]


async def test_a_refusal_of_our_own_is_no_real_error() -> None:
    """What a provider said tells more than an open circuit."""
    first, second = failing(UnavailableError), failing(CircuitOpenError)
    tts, _, b = both(first)
    b.then(second)
    async with tts:
        with pytest.raises(UnavailableError) as caught:
            await tts.synthesize("Hello")
    assert dict(errors_of(caught.value)) == {"b": second}


async def test_members_that_rest_are_the_last_resort() -> None:
    """They are asked when nobody else is left."""
    seen = RecordingObserver()
    tts, a, b = both(failing(UnavailableError), observers=[seen])
    async with tts:
        await tts.synthesize("one")
        b.then(failing(UnavailableError))
        assert (await tts.synthesize("two")).member == "a"
        assert tts.stats()[0].state == "well"
    assert (a.heard, b.heard) == (["one", "two"], ["one", "two"])


async def test_timings_count_from_the_start() -> None:
    """Of the whole call, with the time that the first member took."""
    tts, _, _ = both(failing(UnavailableError))
    async with tts, tts.stream_speech("Hello") as speech:
        await heard(speech)
        inner = speech._inner.timings
        assert speech.timings.first_output > inner.first_output
        assert speech.timings.total > inner.total


async def test_whole_answers_and_transcripts() -> None:
    """The same for those that come whole; ``timeout`` is for all of it."""
    async with fallback(Mind("a", Does(wait=9)), Mind("b"), timeout=2) as llm:
        answer = await llm.chat("Hello")
        assert (answer.text, answer.member) == ("b", "b")
        assert answer.identity.startswith("b|")
        assert isinstance(answer.errors["a"], FirstOutputTimeout)
    async with fallback(Ears("a", failing(UnavailableError)), Ears("b")) as stt:
        heard_ = await stt.transcribe(b"sound")
        assert (heard_.text, heard_.member) == ("b", "b")
        assert (await stt.transcribe(stt.request(b"sound"))).member == "b"


async def test_a_recording_that_can_be_read_once() -> None:
    """Goes on only when nothing of it was read."""

    class Pipe:
        def read(self, n: int = -1) -> bytes:
            return b""

        def seekable(self) -> bool:
            return False

    b = Ears("b")
    async with fallback(Ears("a", failing(UnavailableError)), b) as stt:
        with pytest.raises(UnavailableError) as caught:
            await stt.transcribe(Pipe())
        assert caught.value.retry_stopped == "not_replayable"
        assert b.asked == 0
    async with fallback(Ears("a", failing(ConnectError)), b) as stt:
        assert (await stt.transcribe(Pipe())).text == "b"


async def test_nested() -> None:
    """A wrapper is a member like any other; the evidence names the one who did it."""
    a, b, c = Voice("a", failing(CircuitOpenError)), Voice("b"), Voice("c")
    b.then(failing(UnavailableError))
    inner = spread(a, b, rng=_First())
    tts = fallback(inner, c)
    assert repr(tts) == "fallback(spread(a, b), c)"
    assert isinstance(tts, Synthesizer)
    assert isinstance(tts, SpeechSessions)
    async with tts:
        async with tts.stream_speech("one") as speech:
            assert speech.member == "c"
            assert dict(speech.errors["spread"].errors) == {"a": a_error(speech)}
        inner_error = failing(UnavailableError)
        c.then(inner_error)
        clip = await tts.synthesize("two")
        assert clip.member in {"spread/a", "spread/b"}
        assert clip.identity == f"{clip.member[-1]}|pcm_16000|plain|two"
        async with tts.stream_speech("three") as speech:
            assert speech.identity.endswith("|three")
    assert (a.closed, b.closed, c.closed) == (1, 1, 1)


def a_error(speech: Any) -> Any:
    return speech.errors["spread"].errors["a"]


class _First:
    """Of equals, the first."""

    def choice(self, equals: Any) -> Any:
        return equals[0]


async def test_closing() -> None:
    """Closes the members, and nothing is asked any more; ``close=False`` leaves them."""
    tts, a, b = both()
    async with tts:
        pass
    assert (a.entered, b.entered, a.closed, b.closed) == (1, 1, 1, 1)
    for use in (tts.synthesize, tts.stream_speech):
        with pytest.raises(ClosedError):
            await use("Hello")
    tts, a, b = both(close=False)
    async with tts:
        await tts.synthesize("Hello")
    assert (a.entered, b.entered, a.closed, b.closed) == (0, 0, 0, 0)


async def test_warming_is_for_all() -> None:
    """Who is asked next must be warm as well."""
    tts, a, b = both()
    async with tts:
        assert (await tts.warm(2)).opened == 4
        b.warm_fails = failing(ConnectError)
        with pytest.raises(ConnectError):
            await tts.warm(strict=True)
    assert a.warmed == [2, 1]


async def test_a_handle_that_nobody_holds_is_not_outstanding() -> None:
    """Of a stream, a session and a fed speech; without waiting for the collector."""
    tts, a, _ = both()
    gc.disable()
    try:
        async with tts:
            for make in (lambda: tts.stream_speech("Hello"), tts.open_speech):
                handle = await make()
                assert tts.stats()[0].outstanding == 1
                # The member's own says that it was never closed.
                inner, handle = handle._inner, None
                assert tts.stats()[0].outstanding == 0
                await inner.aclose()
    finally:
        gc.enable()
    assert a.closed == 1


async def test_the_deadline_is_one_for_all() -> None:
    """What is left after the first member is what the second has; when it is spent, that is it."""
    left: list[float] = []

    class Slow(Voice):
        async def synthesize(self, text: Any, /, **options: Any) -> Any:
            left.append(deadline(9).remaining())
            raise failing(UnavailableError)

    async with fallback(Slow("a"), Slow("b")) as tts:
        with deadline(5), pytest.raises(UnavailableError):
            await tts.synthesize("Hello")
        assert left[0] >= left[1] > 4
        left.clear()
        with deadline(0), pytest.raises(UnavailableError):
            await tts.synthesize("Hello")
    assert len(left) == 1


async def test_a_hurried_caller_puts_nobody_to_rest() -> None:
    """Who was given next to nothing is not ill for it."""
    tts, _, _ = both(failing(TotalTimeout))
    async with tts:
        with deadline(0), pytest.raises(TotalTimeout):
            await tts.synthesize("Hello")
        assert tts.stats()[0].state == "well"


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    """An entered stream goes on, and counts until it is left."""
    tts, a, _ = both()

    async def slow(pieces: Any) -> Any:
        for _ in range(3):
            yield SOUND
            await asyncio.sleep(5)

    a._speak = slow  # type: ignore[method-assign]
    async with tts:
        async with tts.stream_speech("Hello") as speech:
            await anext(speech)
            waiting = asyncio.create_task(anext(speech))
            await asyncio.sleep(1)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert tts.stats()[0].outstanding == 1
            assert await heard(speech) == 2 * len(SOUND)
        speech = await tts.stream_speech("Hello")
        await anext(speech)
        waiting = asyncio.create_task(anext(speech))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert tts.stats()[0].outstanding == 0  # nobody else would end it


async def test_a_handle_that_does_not_close_itself_is_closed() -> None:
    """Own engines may return handles of their own."""
    closed: list[str] = []

    class Lingers:
        format = PCM

        def __await__(self) -> Any:
            return self._open().__await__()

        async def _open(self) -> Any:
            raise failing(UnavailableError)

        async def aclose(self) -> None:
            closed.append("closed")
            raise ZeroDivisionError

    tts, a, _ = both()
    a.stream_speech = lambda *_, **__: Lingers()  # type: ignore[method-assign]
    async with tts:
        assert await heard(tts.stream_speech("Hello")) == 2 * len(SOUND)
    assert closed == ["closed"]


async def test_cancelled_while_it_opens() -> None:
    """In whichever member: nothing is left, nobody rests."""
    tts, a, b = both(failing(UnavailableError))
    b.then(Does(wait=9))
    async with tts:
        task = asyncio.create_task(heard(tts.stream_speech("Hello")))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [each.outstanding for each in tts.stats()] == [0, 0]
        assert tts.stats()[1].state == "well"
        assert (a.ended, b.ended) == (1, 1)
        assert library_tasks() == []


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_closed_while_another_task_opens_it(how: str) -> None:
    """Its opening ends with ``ClosedError``, its iteration quietly when it was a barge-in."""
    tts, a, _ = both(Does(wait=9), Does(wait=9))
    async with tts:
        for open_it in (lambda s: s.__aenter__(), heard):
            speech = tts.stream_speech("Hello")
            task = asyncio.create_task(open_it(speech))
            await asyncio.sleep(1)
            await getattr(speech, how)()
            assert task.done() or a.ended  # nothing of it is left
            if open_it is heard and how == "cancel":
                assert await task == 0
            else:
                with pytest.raises(ClosedError):
                    await task
            assert speech.cancelled is (how == "cancel")
            assert await heard(speech) == 0
        assert tts.stats()[0].outstanding == 0


async def test_requests_name_all_and_lead_with_the_first() -> None:
    """For caches: stored under whoever produced it."""
    tts, _, _ = both(failing(UnavailableError))
    async with tts:
        request = tts.request("Hello", voice="x")
        assert request.identity == "a|pcm_16000|x|Hello"
        assert request.identities == ("a|pcm_16000|x|Hello", "b|pcm_16000|x|Hello")
        assert (request.text, request.format) == ("Hello", PCM)
        async with tts.stream_speech(request) as speech:
            assert speech.identity == "b|pcm_16000|x|Hello"
            clip = await speech.clip()
        assert (clip.member, clip.identity) == ("b", "b|pcm_16000|x|Hello")
        with pytest.raises(InvalidArgumentError, match="further options"):
            tts.stream_speech(request, voice="y")
        other, _, _ = both()
        with pytest.raises(InvalidArgumentError):
            other.stream_speech(request)
        await other.aclose()
