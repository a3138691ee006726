"""``sync.DeepgramClient``: recordings, live transcription from threads, speech, tokens."""

from __future__ import annotations

import math
import threading
from array import array

import pytest
from blocking_world import HEARD, LONG, ears_of, emulated, eventually, once

from voicekit import ClosedError, TranscriptionResult
from voicekit.errors import InvalidArgumentError
from voicekit.sync import DeepgramClient

pytestmark = pytest.mark.emulated


def tone(seconds: float) -> bytes:
    samples = (round(8000 * math.sin(i / 5)) for i in range(round(seconds * 16_000)))
    return array("h", samples).tobytes()


SPEECH = tone(1.2) + bytes(2 * 9600)


def test_every_value_takes_one_crossing() -> None:
    """Recordings, speech, a token: each goes over once."""
    with emulated("deepgram") as world, ears_of(world) as stt:
        assert once(lambda: stt.transcribe(SPEECH)).text
        assert once(lambda: stt.transcribe(stt.request(SPEECH))).text
        pending = once(lambda: stt.submit_transcription(SPEECH, callback="https://a.example"))
        assert pending.request_id
        assert once(lambda: stt.synthesize("Hello.")).data
        assert once(lambda: stt.as_synthesizer().synthesize("Hello.")).data
        assert once(lambda: stt.submit_speech("Hi.", callback="https://a.example")).request_id
        assert once(lambda: stt.grant_token(60)).token


def test_a_thread_sends_and_another_reads() -> None:
    """Live transcription: results come while audio is sent; all of it is heard once."""
    with emulated("deepgram") as world, ears_of(world) as stt:
        with stt.open_transcription() as session:

            def microphone() -> None:
                for start in range(0, len(SPEECH), 3200):
                    session.send(SPEECH[start : start + 3200])
                session.finish()

            thread = threading.Thread(target=microphone)
            thread.start()
            results = [each for each in session if isinstance(each, TranscriptionResult)]
            thread.join()
        finals = " ".join(each.text for each in results if each.is_final and each.text)
        assert finals.lower().strip(".") == HEARD
        assert session.transcript == finals
        assert session.ended
        assert session.gaps == ()
        assert session.reconnects == 0
        assert session.metadata is not None
        assert session.request.audio.sample_rate == 16_000
        with pytest.raises(ClosedError):
            session.send(b"1234")


def test_everything_that_a_session_can_be_told() -> None:
    """``finalize``, ``configure`` and ``result``, a crossing each."""
    with emulated("deepgram") as world, ears_of(world) as stt:
        with stt.open_transcription(model="nova-3") as session:
            once(lambda: session.send(SPEECH))
            once(session.finalize)
            once(lambda: session.configure(numerals=True))
            once(session.finish)
            transcript = once(session.result)
        assert transcript.text.lower().strip(".") == HEARD
        assert transcript.connection is not None


def test_closing_ends_another_threads_reading() -> None:
    """The thread that iterates sees the end, and nothing is left."""
    with emulated("deepgram") as world, ears_of(world) as stt:
        session = stt.open_transcription(stt.live_request())
        with session:
            threading.Timer(0.1, session.close).start()
            assert list(session) == []
        assert eventually(lambda: stt.stats().leased == 0)


def test_an_utterance_and_text_from_a_generator() -> None:
    """Speech by hand and from a generator say the same."""
    with emulated("deepgram") as world, ears_of(world) as tts:
        with tts.open_speech() as utterance:
            utterance.send(LONG)
            utterance.finish()
            first = next(utterance)
            assert utterance.metadata["type"] == "Metadata"
            by_hand = len(first) + len(utterance.clip().data)
        fed = tts.as_synthesizer().stream_speech(piece + " " for piece in LONG.split())
        with fed:
            assert len(b"".join(fed)) == by_hand
        with tts.stream_speech(LONG) as stream:
            assert len(stream.clip().data) == by_hand


def test_barge_in_from_another_thread() -> None:
    """Cancelled while it speaks: iteration ends quietly, the socket goes back warm."""
    with emulated("deepgram") as world, ears_of(world) as tts:
        with tts.open_speech() as utterance:
            utterance.send("A sentence that is spoken. ")
            utterance.flush()
            next(utterance)
            threading.Timer(0.1, utterance.cancel).start()
            list(utterance)
            assert utterance.cancelled
        with tts.open_speech() as again:
            again.send("Hi.")
            again.finish()
            assert again.clip().data
            assert again.connection is not None
            assert again.connection.reused


def test_a_token_from_a_blocking_callable() -> None:
    """``access_token`` takes what asks one's own server, and blocks meanwhile."""
    with emulated("deepgram") as world:
        with ears_of(world) as stt, pytest.raises(InvalidArgumentError):
            stt.request(b"")

        def fresh() -> str:
            with ears_of(world) as granting:
                return granting.grant_token().token

        with DeepgramClient(access_token=fresh, base_url=world.deepgram.url) as stt:
            assert stt.transcribe(SPEECH, format="pcm_16000").text
