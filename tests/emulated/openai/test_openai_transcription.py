"""Transcriptions against the emulated vendor: every shape; uploads; bad servers; leaving."""

from __future__ import annotations

import asyncio
import io
import logging
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audio_world import APART, CLIP, INSTANT, OPERATIONS, PACED, WORDS, WRITTEN, audio_world

from fault_limits import BEGUN, limits_of
from settling import settled, steps
from voicekit import events
from voicekit.clients.openai import OpenAIClient
from voicekit.emulator import Fault
from voicekit.emulator.forms import Form, read_form
from voicekit.errors import (
    ConnectionLostError,
    FirstOutputTimeout,
    GapTimeout,
    InvalidArgumentError,
    InvalidRequestError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
)
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES
from voicekit.speech import Utterance
from voicekit.testing import RecordingObserver
from voicekit.transport.config import PoolConfig

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

KEY = "MARKEDKEY"
MARKED = "MARKEDTEXT"
TWO = replace(INSTANT, heard="good morning\nhow are you")


def form_of(record: Any) -> Form:
    return read_form(record.headers["content-type"], record.body)


# -- what is right -----------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_a_clip(tls: bool) -> None:
    """Its text, with the evidence of how it came."""
    async with audio_world(tls=tls) as (world, client):
        await client.warm(1)
        heard = await client.transcribe(CLIP, language="en")
        assert (heard.text, heard.language) == (WRITTEN, "en")
        assert heard.usage is not None
        assert heard.usage.total_tokens == heard.raw["usage"]["total_tokens"]
        assert heard.request_id == heard.headers["x-request-id"]
        assert heard.connection is not None
        assert heard.connection.reused
        assert heard.timings is not None
        assert heard.timings.first_output is not None
        (request,) = world.journal.requests_for("openai", "transcriptions")
        form = form_of(request)
        assert form.fields == [("model", "gpt-transcribe"), ("language", "en")]
        file = form.file("file")
        assert file is not None
        assert file.data == CLIP.wav()


async def test_every_kind_of_recording(tmp_path: Path) -> None:
    """Bytes, clip, path and open file: the same form, the same text."""
    path = tmp_path / "call.wav"
    CLIP.save(path)
    async with audio_world() as (world, client):
        with path.open("rb") as file:
            for audio in (CLIP, CLIP.wav(), path, file, io.BytesIO(CLIP.wav())):
                assert (await client.transcribe(audio)).text == WRITTEN
        files = [form_of(record).files[0] for record in world.journal.requests]
        assert {file.data for file in files} == {CLIP.wav()}
        assert {file.content_type for file in files} == {"audio/wav"}
        assert [file.filename for file in files[2:4]] == ["call.wav", "call.wav"]


async def test_times() -> None:
    """Words and segments of Whisper's, usable as subtitles."""
    async with audio_world(TWO) as (_, client):
        heard = await client.transcribe(CLIP, model="whisper-1", timestamps=["word", "segment"])
        assert [word.text for word in heard.words] == ["good", "morning", "how", "are", "you"]
        assert [each.text for each in heard.utterances] == ["Good morning.", "How are you."]
        assert (heard.duration, heard.language) == (1.0, "english")
        assert heard.usage is not None
        assert heard.usage.audio_seconds == 1.0
        assert "Good morning." in heard.to_srt()


async def test_subtitles_of_an_answer_without_times(tmp_path: Path) -> None:
    """One cue as long as the recording, where that tells it; an error where it does not."""
    path = tmp_path / "call.mp3"  # a path is not read before it is sent
    path.write_bytes(CLIP.wav())
    async with audio_world() as (_, client):
        for heard in (
            await client.transcribe(CLIP),
            await client.transcribe(CLIP.wav(), response_format="text"),
            await client.stream_transcription(CLIP.wav()).result(),
        ):
            assert heard.duration == CLIP.duration
            assert heard.to_srt() == f"1\n00:00:00,000 --> 00:00:01,000\n{WRITTEN}\n"
        heard = await client.transcribe(path)
        assert heard.duration is None
        with pytest.raises(InvalidArgumentError, match='timestamps="segment"'):
            heard.to_vtt()


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
async def test_plain_answers(response_format: Any) -> None:
    """Read, and given as they came in ``raw``."""
    async with audio_world(TWO) as (_, client):
        heard = await client.transcribe(CLIP, model="whisper-1", response_format=response_format)
        assert heard.text == "Good morning. How are you."
        assert heard.raw.endswith("\n")
        assert len(heard.utterances) == (0 if response_format == "text" else 2)


async def test_speakers() -> None:
    """Letters, or the names that were given with recordings."""
    async with audio_world(TWO) as (_, client):
        view = client.with_options(
            transcription={"model": "gpt-4o-transcribe-diarize", "diarize": True}
        )
        heard = await view.transcribe(CLIP)
        assert [each.speaker for each in heard.utterances] == ["A", "B"]
        heard = await view.transcribe(
            CLIP, known_speaker_names=["Ann"], known_speaker_references=[CLIP]
        )
        assert [each.speaker for each in heard.utterances] == ["Ann", "B"]
        assert heard.duration == 1.0


async def test_a_stream() -> None:
    """Deltas as they are written, the transcript at the end, each with its evidence."""
    async with audio_world(PACED) as (world, client):
        async with client.stream_transcription(CLIP, model="gpt-4o-transcribe") as stream:
            assert stream.raw is None
            assert tuple([text async for text in stream]) == WORDS
            assert stream.raw["text"] == WRITTEN
            assert stream.raw == stream.transcript.raw
            assert stream.text == stream.transcript.text == WRITTEN
            assert stream.transcript.request_id == stream.request_id is not None
            assert stream.transcript.usage == stream.usage is not None
            assert stream.delivered_characters == len(WRITTEN)
        assert form_of(world.journal.requests[0]).get("stream") == "true"
        assert stream.timings.first_output < stream.timings.total


async def test_a_stream_with_speakers_and_probabilities() -> None:
    """Everything in order; passages in the transcript."""
    async with audio_world(TWO) as (_, client):
        model = "gpt-4o-transcribe-diarize"
        stream = client.stream_transcription(CLIP, model=model, diarize=True)
        events = [event async for event in stream.events()]
        passages = [event for event in events if isinstance(event, Utterance)]
        assert [each.speaker for each in passages] == ["A", "B"]
        assert stream.transcript.utterances == tuple(passages)
        options = {"model": "gpt-4o-transcribe", "include": ["logprobs"]}
        events = [event async for event in client.stream_transcription(CLIP, **options).events()]
        assert sum(type(event).__name__ == "LogProbs" for event in events) == 5


async def test_the_other_ways_to_read_a_stream() -> None:
    """All at once; in whatever has arrived."""
    async with audio_world() as (_, client):
        heard = await client.stream_transcription(CLIP).result()
        assert (heard.text, heard.language) == (WRITTEN, "en")
        async with client.stream_transcription(CLIP) as stream:
            got = []
            while some := await stream.take():
                got += some
            assert "".join(got) == WRITTEN
        # Whisper does not stream: everything comes at the end.
        whisper = client.stream_transcription(CLIP, model="whisper-1")
        assert [text async for text in whisper] == [WRITTEN]
        assert whisper.usage is not None
        assert whisper.usage.audio_seconds == 1.0


async def test_silence() -> None:
    """Is an answer, streamed and whole."""
    async with audio_world(replace(INSTANT, heard="")) as (_, client):
        assert (await client.transcribe(CLIP)).text == ""
        assert (await client.stream_transcription(CLIP).result()).text == ""


async def test_a_role_and_a_request_ask_the_same() -> None:
    """The interface's names, and a request made once; a form is sent again whole."""
    async with audio_world() as (world, client):
        stt = client.as_transcriber()
        request = stt.request(CLIP)
        assert (await stt.transcribe(request)).text == WRITTEN
        assert (await client.transcribe(request)).text == WRITTEN
        one, other = map(form_of, world.journal.requests)
        assert one == other


async def test_real_ears_hear_a_real_voice() -> None:
    """What was spoken through one endpoint is heard through the other."""
    from voicekit.emulator import Emulator

    pytest.importorskip("pocketsphinx", reason="the real ears need the demo extra")
    pytest.importorskip("espeakng_loader", reason="the real voice needs the demo extra")
    async with (
        Emulator(providers=("openai",), scenario="instant", speech="real") as world,
        OpenAIClient("key", base_url=world.openai.url) as client,
    ):
        said = "What are your opening hours today?"
        spoken = await client.synthesize(said, model="tts-1", voice="alloy")
        heard = await client.transcribe(spoken, model="whisper-1", timestamps="word")
        assert "opening hours" in heard.text.lower()
        assert heard.words[-1].end <= (spoken.duration or 0) + 0.1


async def test_what_the_vendor_refuses_is_typed() -> None:
    """A corrupt file; a language that is none, whose error has usage beside it."""
    async with audio_world() as (_, client):
        with pytest.raises(InvalidRequestError) as refused:
            await client.transcribe(b"RIFF____WAVEnonsense", filename="a.wav")
        assert (refused.value.param, refused.value.code) == ("file", "invalid_value")
        with pytest.raises(InvalidRequestError) as refused:
            await client.transcribe(CLIP, language="english")
        assert refused.value.code == "invalid_language_format"


async def test_an_upload_beyond_the_bound() -> None:
    """Of an unknown model is the server's to refuse, with 413."""
    async with audio_world() as (_, client):
        with pytest.raises(InvalidRequestError) as refused:
            await client.transcribe(CLIP.wav() + bytes(26_300_000), model="my-own")
        assert (refused.value.status, refused.value.retryable) == (413, False)


# -- bad servers -------------------------------------------------------------------------------

QUOTA = {"error": {"message": MARKED, "type": "insufficient_quota", "param": None, "code": "x"}}


async def whole(client: OpenAIClient) -> str:
    return (await client.transcribe(CLIP, prompt=MARKED)).text


async def streamed(client: OpenAIClient) -> str:
    return (await client.stream_transcription(CLIP, prompt=MARKED).result()).text


BEFORE_COMMIT = [
    # fault, error of a whole answer, error of a stream
    (Fault("html"), RemoteProtocolError, RemoteProtocolError),
    (Fault("wrong_type"), RemoteProtocolError, RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError, RemoteProtocolError),
    (Fault("empty"), RemoteProtocolError, RemoteProtocolError),
    (Fault("huge"), RemoteProtocolError, RemoteProtocolError),
    (Fault("drip", delay=0.05), (FirstOutputTimeout, TotalTimeout), FirstOutputTimeout),
    (Fault("silence"), (FirstOutputTimeout, TotalTimeout), FirstOutputTimeout),
    (Fault("reset"), ConnectionLostError, ConnectionLostError),
    (Fault("close"), ConnectionLostError, ConnectionLostError),
    (Fault("close", after_bytes=30), ConnectionLostError, ConnectionLostError),
    (Fault("no_end_marker", after_events=1), None, StreamInterruptedError),
    (Fault("in_stream_error"), UnavailableError, UnavailableError),
    (Fault("in_stream_error", body=QUOTA), QuotaError, QuotaError),
    (Fault("status", status=500), UnavailableError, UnavailableError),
    (Fault("status", status=503), UnavailableError, UnavailableError),
    (Fault("status", status=429), RateLimitError, RateLimitError),
    (Fault("status", status=429, body=QUOTA), QuotaError, QuotaError),
    (Fault("status", status=200, body=QUOTA), QuotaError, QuotaError),
    (Fault("status", status=413), InvalidRequestError, InvalidRequestError),
]


@pytest.mark.parametrize(
    ("fault", "error", "run"),
    [
        pytest.param(fault, error, run, id=f"{fault.kind}-{fault.status or ''}-{run.__name__}")
        for fault, *errors in BEFORE_COMMIT
        for error, run in zip(errors, (whole, streamed), strict=True)
        if error is not None
    ],
)
async def test_a_fault(fault: Fault, error: Any, run: Any, caplog: Any) -> None:
    """The typed error, one request on the wire, no key or text shown, and the next call works."""
    caplog.set_level(logging.DEBUG)
    seen = RecordingObserver()
    limits = limits_of(OPERATIONS, fault)
    async with audio_world(api_key=KEY, limits=limits, observers=(seen,), policies=NO_POLICIES) as (
        world,
        client,
    ):
        world.inject("openai", fault)
        started = world.journal.now()
        with pytest.raises(error) as caught:
            await run(client)
        assert world.journal.now() - started < 5.0
        assert (caught.value.provider, caught.value.attempts) == ("openai", 1)
        assert len(world.journal.requests_for("openai", "transcriptions")) == 1
        assert await run(client) == WRITTEN
        assert [event.result for event in seen.of(events.CallEnded)] == ["error", "ok"]
    shown = repr(caught.value) + caplog.text + repr(seen.events)
    shown += "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert MARKED not in shown
    assert "opening hours" not in shown


async def test_a_page_is_no_plain_text() -> None:
    """A proxy's page would pass for what was said."""
    async with audio_world(policies=NO_POLICIES) as (world, client):
        world.inject("openai", Fault("html"))
        with pytest.raises(RemoteProtocolError, match="html"):
            await client.transcribe(CLIP, model="whisper-1", response_format="text")


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("stall", after_events=3), GapTimeout),
        (Fault("reset", after_events=3), ConnectionLostError),
        (Fault("close", after_events=3), ConnectionLostError),
        (Fault("no_end_marker", after_events=3), RemoteProtocolError),
        (Fault("in_stream_error", after_events=3, delay=0.05), UnavailableError),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
async def test_a_fault_inside_a_stream(fault: Fault, cause: Any) -> None:
    """What came is handed out, then the error says exactly how much that was, and why."""
    async with audio_world(APART, limits=dict.fromkeys(OPERATIONS, BEGUN)) as (world, client):
        world.inject("openai", fault)
        got: list[str] = []
        async with client.stream_transcription(CLIP) as stream:
            with pytest.raises(StreamInterruptedError) as caught:
                await collect(stream, got)
        assert tuple(got) == WORDS[:3]
        assert caught.value.delivered_characters == len("".join(got))
        assert type(caught.value.__cause__) is cause
        assert stream.text == "".join(got)
        assert await whole(client) == WRITTEN


async def collect(stream: Any, into: list[Any]) -> None:
    async for each in stream:
        into.append(each)


# -- leaving -----------------------------------------------------------------------------------


async def from_a_file(client: OpenAIClient) -> str:
    return (await client.transcribe(io.BytesIO(CLIP.wav()))).text


@pytest.mark.parametrize("use", [whole, streamed, from_a_file])
async def test_cancelled_at_every_await(use: Any) -> None:
    """After any number of steps: CancelledError at once, no leased connection left."""
    async with audio_world(pool=PoolConfig(min_ready=1)) as (_, client):
        for count in range(3000):
            task = asyncio.create_task(use(client), name="victim")
            await steps(task, count)
            task.cancel()
            try:
                assert await task == WRITTEN
                break
            except asyncio.CancelledError:
                pass
            await settled(client)
        assert count > 5
        assert await whole(client) == WRITTEN
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in names if name.startswith(("victim", "voicekit-upload"))}


async def test_leaving_a_stream_early() -> None:
    """Breaking out of the loop aborts the answer at the server."""
    async with audio_world(APART) as (world, client):
        async with client.stream_transcription(CLIP) as stream:
            async for _ in stream:
                break
        assert client.stats().leased == 0
        async with asyncio.timeout(2):
            while any(record.finished_at is None for record in world.journal.requests):
                await asyncio.sleep(0.005)
        assert world.journal.requests[0].outcome == "aborted"


async def test_three_tasks_may_share_the_life_of_a_handle() -> None:
    """Entered in one, iterated in another, closed in a third."""
    async with audio_world(PACED) as (_, client):
        stream = client.stream_transcription(CLIP)
        await asyncio.create_task(stream.__aenter__())
        got: list[str] = []
        await asyncio.create_task(collect(stream, got))
        await asyncio.create_task(stream.__aexit__(None, None, None))
        assert "".join(got) == WRITTEN


async def test_the_limits_grow_with_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second per second; given ones are taken as they are."""
    asked: list[Limits] = []
    async with audio_world() as (_, client):
        make = client._call

        def call(operation: Any, request: Any, *, limits: Limits) -> Any:
            asked.append(limits)
            return make(operation, request, limits=limits)

        monkeypatch.setattr(client, "_call", call)
        await client.transcribe(CLIP)
        await client.stream_transcription(CLIP).result()
        await client.transcribe(CLIP, limits=Limits(total=7.0))
    whole, stream, given = asked
    assert (whole.connect, whole.first_output, whole.gap, whole.total) == (2.0, 30.1, 30.0, 30.1)
    assert (stream.connect, stream.first_output, stream.gap, stream.total) == (2, 30.1, 10, 30.1)
    assert given == Limits(total=7.0)
