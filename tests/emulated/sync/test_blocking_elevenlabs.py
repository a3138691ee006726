"""``sync.ElevenLabsClient``: values, streams, utterances, pages, and what is left behind."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from blocking_world import (
    HEARD,
    LONG,
    PACED,
    RATE,
    VOICE,
    crossing,
    emulated,
    eventually,
    marked,
    once,
    readers,
    voice_of,
)

from voicekit import AudioClip, AudioFormat, ClosedError, LocalProtocolError
from voicekit.emulator.material import check_tones
from voicekit.errors import InvalidArgumentError

pytestmark = pytest.mark.emulated

CLIP = AudioClip(data=bytes(32_000), format=AudioFormat.parse("pcm_16000"))


def right(audio: bytes, *texts: str) -> bool:
    """Whether it is exactly the tones of the texts; one that is not says how."""
    fault = check_tones(audio, texts, voice_id=VOICE, sample_rate=RATE)
    assert fault is None, str(fault)
    return True


def voices_leased(tts: Any) -> int:
    """How many speech sockets are in use."""
    sockets = tts.stats().sockets
    return 0 if sockets is None else sockets.leased


def test_every_value_takes_one_crossing() -> None:
    """Speech, a recording, voices, models, the user: each goes over once."""
    with emulated("elevenlabs") as world, voice_of(world) as tts:
        assert right(once(lambda: tts.synthesize("Hello.")).data, "Hello.")
        assert right(once(lambda: tts.synthesize(tts.request("Hello."))).data, "Hello.")
        assert once(lambda: tts.transcribe(CLIP)).text.lower().strip(".") == HEARD
        request = tts.transcription_request(CLIP)
        assert once(lambda: tts.as_transcriber().transcribe(request)).text
        assert once(lambda: tts.submit_transcription(CLIP)).request_id
        assert once(lambda: tts.voice(VOICE)).id == VOICE
        assert once(lambda: tts.voice_settings(VOICE)) is not None
        assert len(once(tts.models))
        assert once(tts.user).raw
        assert once(tts.subscription).raw
        assert once(lambda: tts.warm(2)).reused >= 1


def test_a_stream_of_speech() -> None:
    """Chunks, their account and their evidence, as on the event loop."""
    with emulated("elevenlabs") as world, voice_of(world) as tts:
        with tts.stream_speech(LONG) as stream:
            first = next(stream)
            assert stream.delivered_bytes == len(first)
            assert stream.format.name == f"pcm_{RATE}"
            rest = b"".join(stream)
            assert stream.delivered_s == pytest.approx((len(first) + len(rest)) / 2 / RATE)
            assert stream.ended
            assert stream.timings.first_output is not None
        assert right(first + rest, LONG)


def test_the_clip_of_a_stream_that_was_begun() -> None:
    """``clip()`` is everything that is still to come, whatever has crossed over already."""
    with emulated("elevenlabs") as world, voice_of(world) as tts:
        with tts.stream_speech(LONG, timestamps=True) as whole:
            words = whole.clip().words
        with tts.stream_speech(LONG, timestamps=True) as stream:
            first = next(stream)
            clip = stream.clip()
        assert right(bytes(first) + clip.data, LONG)
        assert (*first.words, *clip.words) == words
        assert stream.delivered_bytes == len(first) + len(clip.data)
        with tts.open_speech() as utterance:
            utterance.send(LONG)
            utterance.finish()
            assert eventually(lambda: utterance._inner._ended)
            head = next(utterance)
            assert utterance._here  # all of it has crossed over
            tail = utterance.clip().data
            assert utterance.delivered_bytes == len(head) + len(tail)
        assert right(bytes(head) + tail, LONG)


def test_cancelling_tells_exactly_what_was_handed_out() -> None:
    """What had crossed over and was not iterated over counts as not delivered."""
    with emulated("elevenlabs") as world, voice_of(world) as tts:
        with tts.open_speech() as utterance:
            utterance.send(LONG)
            utterance.finish()
            assert eventually(lambda: utterance._inner._ended)
            heard = next(utterance)
            assert utterance._here
            utterance.cancel()
            assert list(utterance) == []
            assert utterance.cancelled
            assert utterance.ended
            assert utterance.delivered_bytes == len(heard)
        assert right(tts.synthesize("Again.").data, "Again.")


def test_an_utterance_by_hand() -> None:
    """Text goes in piece by piece from one thread, audio comes out in another."""
    pieces = ["Here ", "is a ", "sentence. ", "And another."]
    with emulated("elevenlabs", scenario=PACED) as world, voice_of(world) as tts:
        with tts.open_speech() as utterance:

            def say() -> None:
                for piece in pieces:
                    utterance.send(piece)
                utterance.flush()
                utterance.finish()

            thread = threading.Thread(target=say)
            thread.start()
            audio = b"".join(utterance)
            thread.join()
            assert utterance.connection is not None
            assert utterance.attempts == 1
            assert utterance.delivered_bytes == len(audio)
        with pytest.raises(ClosedError):
            utterance.send("More.")
        assert right(audio, "".join(pieces) + " ")


def test_text_from_a_generator() -> None:
    """A blocking generator is read in a thread of its own, which ends with it."""
    seen: list[str] = []

    def text() -> Any:
        for piece in ("One ", "two ", "three."):
            seen.append(threading.current_thread().name)
            yield piece

    with emulated("elevenlabs") as world, voice_of(world) as tts:
        with tts.stream_speech(text()) as speech:
            clip = speech.clip()
            with pytest.raises(LocalProtocolError):
                speech.send("More.")
        assert right(clip.data, "One two three. ")
        assert right(b"".join(tts.stream_speech(["A list ", "of text."])), "A list of text. ")
        assert eventually(lambda: not readers())
    assert set(seen) == {"voicekit-sync-text"}


def test_an_error_of_the_text_is_raised_as_it_is() -> None:
    """What was said before it is delivered, then it is the caller's own error."""
    go = threading.Event()

    def text() -> Any:
        yield "A sentence that is spoken. "
        go.wait()
        raise ZeroDivisionError

    with emulated("elevenlabs") as world, voice_of(world) as tts:
        speech = tts.stream_speech(text())
        with speech:
            go.set()
            assert eventually(lambda: speech._inner.ended)
            with pytest.raises(ZeroDivisionError):
                list(speech)
        assert eventually(lambda: not readers())


def test_leaving_early_closes_the_text_and_the_speech() -> None:
    """A generator that is not read to its end is closed, where it was read."""
    closed: list[str] = []

    def text() -> Any:
        try:
            while True:
                yield "More and more of it. "
        finally:
            closed.append(threading.current_thread().name)

    with emulated("elevenlabs") as world, voice_of(world) as tts:
        speech = tts.stream_speech(text())
        for _ in speech:
            break
        assert speech.ended
        assert eventually(lambda: closed and not readers())
        assert closed == ["voicekit-sync-text"]
        assert eventually(lambda: voices_leased(tts) == 0)


def test_text_that_never_comes_keeps_nobody() -> None:
    """A generator that waits is left to its thread, a daemon; closing does not wait for it."""
    go = threading.Event()

    def text() -> Any:
        go.wait()
        yield "Late."

    with emulated("elevenlabs") as world:
        with voice_of(world) as tts:
            speech = tts.stream_speech(text())
            threading.Timer(0.1, speech.close).start()
            assert list(speech) == []
        left = [t for t in threading.enumerate() if t.name == "voicekit-sync-text"]
        assert [t.daemon for t in left] == [True]
        go.set()
        assert eventually(lambda: not readers())


def test_voices_page_by_page() -> None:
    """The first page in one crossing, all in one per page, and nothing open when one leaves."""
    with emulated("elevenlabs") as world, voice_of(world) as tts:
        first = once(tts.voices(page_size=10).page)
        assert len(first) == 10
        assert first.next
        with crossing(4):
            names = [voice.name for voice in tts.voices(page_size=10)]
        assert len(names) == len(set(names)) == 25
        assert [len(page) for page in tts.voices(page_size=10).pages()] == [10, 10, 5]
        before = len(world.journal.requests_for("elevenlabs", "voices"))
        for voice in tts.voices(page_size=10):
            assert voice.id
            break
        assert len(world.journal.requests_for("elevenlabs", "voices")) == before + 1


def test_a_key_from_a_blocking_callable() -> None:
    """It is asked before each request, in a thread of its own, and may be rotated."""
    asked: list[str] = []

    def key() -> str:
        asked.append(threading.current_thread().name)
        return f"key-{len(asked)}"

    async def later() -> str:
        return "key-async"

    with emulated("elevenlabs") as world, voice_of(world) as tts:
        tts.rotate_key(key)
        tts.user()
        tts.user()
        assert len(asked) == 2
        assert "voicekit-sync" not in asked
        tts.rotate_key(later)
        tts.user()
        sent = [record.headers["xi-api-key"] for record in world.journal.requests]
        assert sent == [marked("key-1"), marked("key-2"), marked("key-async")]


def test_what_is_wrong_is_said_at_once() -> None:
    """An option that makes no sense needs no event loop to be refused."""
    with emulated("elevenlabs") as world, voice_of(world) as tts, crossing(0, 0):
        with pytest.raises(InvalidArgumentError):
            tts.stream_speech("Hi.", max_buffered_s=-1.0)
        with pytest.raises(InvalidArgumentError):
            tts.stream_speech(7)  # type: ignore[call-overload]
