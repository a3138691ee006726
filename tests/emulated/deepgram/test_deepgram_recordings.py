"""Recordings over the wire: every way to give one, the evidence, what goes wrong, tokens."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from listening import KEY, listening, outcomes, silence, tone

from fault_limits import limits_of
from settling import eventually, library_tasks
from voicekit import AudioClip, AudioFormat, AudioURL, deadline
from voicekit.clients.deepgram import AccessToken, DeepgramClient
from voicekit.emulator import Fault, Scenario
from voicekit.emulator.codecs import wav_header
from voicekit.emulator.providers.deepgram import Deepgram
from voicekit.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    FirstOutputTimeout,
    InvalidRequestError,
    OutcomeUnknownError,
    ProviderError,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES
from voicekit.speech import PendingTranscript, Transcript

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

DIALOGUE = Scenario(name="dialogue", heard="good morning\nhello what can I do\nnothing thanks")
SAID = "Good morning. Hello what can I do. Nothing thanks."
PCM = tone(8.0, 8000)
WAV = wav_header(8000, len(PCM)) + PCM
STEREO = AudioClip(data=PCM * 2, format=AudioFormat.parse("pcm_8000_2ch"))
URL = AudioURL("https://example.com/call.wav")
OPERATIONS = ("transcribe", "submit_transcription", "grant_token")


def speaking(**options: Any) -> Any:
    return listening(DIALOGUE, **{"format": "pcm_8000", "smart_format": True, **options})


async def fails(stt: DeepgramClient, audio: Any = WAV, **options: Any) -> VoicekitError:
    with pytest.raises(VoicekitError) as caught:
        await stt.transcribe(audio, **options)
    return caught.value


# -- what goes well -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["bytes", "view", "path", "file", "pipe", "clip", "mulaw", "url", "raw", "request"]
)
async def test_every_way_to_give_a_recording(kind: str, tmp_path: Path) -> None:
    """The vendor gets the same sound, and we the same words."""
    path = tmp_path / "call.wav"
    path.write_bytes(b"skipped" + WAV if kind == "file" else WAV)
    async with speaking() as (world, stt):
        with path.open("rb") as file:
            file.read(7 if kind == "file" else 0)
            audio: Any = {
                "bytes": WAV,
                "view": memoryview(WAV),
                "path": path,
                "file": file,  # from where it stands
                "pipe": NotSeekable(WAV),
                "clip": AudioClip(data=PCM, format=AudioFormat.parse("pcm_8000")),
                "mulaw": AudioClip(data=PCM[:64_000], format=AudioFormat.parse("mulaw_8000")),
                "url": URL,
                "raw": PCM,
                "request": stt.request(WAV),
            }[kind]
            heard = await stt.transcribe(audio)
        assert isinstance(heard, Transcript)
        assert heard.text == SAID
        assert heard.duration == (10.0 if kind == "url" else 8.0)
        (record,) = world.journal.requests_for("deepgram", "listen")
        if kind == "url":
            assert json.loads(record.body) == {"url": URL.url}
        elif kind == "raw":
            assert record.body == PCM
            assert record.query["encoding"] == ["linear16"]
            assert record.query["sample_rate"] == ["8000"]
        elif kind == "mulaw":
            assert record.headers["content-type"] == "audio/wav"
        else:
            assert record.body == WAV
            assert "encoding" not in record.query
        assert "interim_results" not in record.query
    assert await eventually(lambda: library_tasks() == [])


class NotSeekable(io.RawIOBase):
    """Bytes that come once, as from a pipe."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._rest.read(size)


async def test_who_said_what_when() -> None:
    """Utterances, paragraphs and speakers, and the subtitles made of them."""
    async with speaking() as (_, stt):
        heard = await stt.transcribe(WAV, utterances=True, paragraphs=True, diarize_model="v2")
        assert [(each.speaker, each.text) for each in heard.utterances] == [
            (0, "Good morning."),
            (1, "Hello what can I do."),
            (0, "Nothing thanks."),
        ]
        assert [each.speaker for each in heard.paragraphs] == [0, 1, 0]
        assert {word.speaker for word in heard.words} == {0, 1}
        assert heard.channels == ()
        assert "\nAnn: Good morning.\n" in heard.to_srt(speakers={0: "Ann", 1: "Bob"})
        assert "\n<v Bob>Hello what can I do.\n" in heard.to_vtt(speakers={0: "Ann", 1: "Bob"})


async def test_channels_on_their_own() -> None:
    """Each has its own words; utterances say which channel they are from."""
    async with speaking() as (_, stt):
        heard = await stt.transcribe(STEREO, multichannel=True, utterances=True)
        assert [each.index for each in heard.channels] == [0, 1]
        assert [each.text for each in heard.channels] == [SAID, SAID]
        assert heard.text == f"{SAID}\n{SAID}"
        assert {each.channel for each in heard.utterances} == {0, 1}
        assert heard.duration == 8.0


async def test_the_evidence() -> None:
    """Where the time went, on which connection, under which id, and what else came."""
    async with speaking() as (world, stt):
        await stt.warm(1)
        heard = await stt.transcribe(WAV, detect_language=True)
        (record,) = world.journal.requests_for("deepgram", "listen")
        assert heard.connection is not None
        assert heard.connection.reused
        assert heard.timings is not None
        assert heard.timings.total is not None
        assert heard.timings.total >= (heard.timings.first_output or 0) > 0
        assert heard.request_id == heard.headers["dg-request-id"]
        assert heard.raw["metadata"]["request_id"] == heard.request_id
        assert heard.language == "en"
        assert heard.usage is not None
        assert heard.usage.audio_seconds == heard.duration == 8.0
        assert heard.words[0].punctuated == "Good"
        assert record.headers["content-type"] == "audio/wav"
        assert "Good" not in repr(heard)


async def test_options_meet_in_the_query() -> None:
    """The constructor's, the call's over them, and the escape hatches."""
    async with speaking(
        model="nova-2", utterances=True, extra_headers={"x-a": "1"}, extra_query={"tag": "t"}
    ) as (world, stt):
        await stt.transcribe(
            WAV, model="nova-3", search=["tea", "milk"], extra_headers={"X-B": "2"}
        )
        (record,) = world.journal.requests_for("deepgram", "listen")
        assert record.query == {
            "model": ["nova-3"],
            "smart_format": ["true"],
            "search": ["tea", "milk"],
            "utterances": ["true"],
            "tag": ["t"],
        }
        assert (record.headers["x-a"], record.headers["x-b"]) == ("1", "2")


async def test_a_view_has_its_own_defaults() -> None:
    """On the same connections."""
    async with speaking() as (_, stt):
        view = stt.with_options(utterances=True, diarize_model="v1")
        assert (await stt.transcribe(WAV)).utterances == ()
        heard = await view.transcribe(WAV)
        assert len(heard.utterances) == 3
        assert heard.connection is not None
        assert heard.connection.reused


async def test_a_transcript_that_is_delivered_elsewhere() -> None:
    """It is accepted at once, under the id that the delivery will carry."""
    async with speaking(callback="https://example.com/hook") as (world, stt):
        pending = await stt.submit_transcription(WAV, callback_method="PUT")
        assert isinstance(pending, PendingTranscript)
        assert pending.request_id == pending.headers["dg-request-id"]
        assert pending.timings is not None
        assert pending.connection is not None
        other = "https://example.com/other"
        await stt.submit_transcription(stt.request(WAV, callback=other))
        first, second = world.journal.requests_for("deepgram", "listen")
        assert first.query["callback"] == ["https://example.com/hook"]
        assert first.query["callback_method"] == ["PUT"]
        assert second.query["callback"] == [other]
        # The constructor's is not for those who wait for the answer themselves.
        assert (await stt.transcribe(WAV)).text == SAID


async def test_real_ears_hear_a_recording() -> None:
    """A human voice is understood, not scripted."""
    pytest.importorskip("pocketsphinx")
    question = Path(__file__).parents[2] / "data" / "speech" / "question.wav"
    async with listening(Scenario(name="real"), emulator={"speech": "real"}) as (_, stt):
        heard = await stt.transcribe(question, punctuate=True, utterances=True)
        assert "opening hours" in heard.text.lower()
        assert heard.words[0].end > heard.words[0].start
        assert "opening hours" in heard.to_srt().lower()


async def test_over_tls() -> None:
    """The same over TLS, an upload from a file included."""
    pytest.importorskip("trustme")
    async with speaking(emulator={"tls": True}) as (world, stt):
        assert (await stt.transcribe(WAV)).text == SAID
        assert (await stt.transcribe(io.BytesIO(WAV))).text == SAID
        assert [len(each.body) for each in world.journal.requests] == [len(WAV)] * 2


# -- what goes wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, InvalidRequestError, False),
        (401, AuthenticationError, False),
        (402, QuotaError, False),
        (403, AuthenticationError, False),
        (404, InvalidRequestError, False),
        (408, UnavailableError, True),
        (413, InvalidRequestError, False),
        (429, RateLimitError, True),
        (499, UnavailableError, True),
        (500, UnavailableError, True),
        (503, UnavailableError, True),
        (504, UnavailableError, True),
    ],
)
async def test_refusals(status: int, kind: type[ProviderError], retryable: bool) -> None:
    """Each status is its error, with the vendor's words and id; the client goes on."""
    async with speaking(policies=NO_POLICIES) as (world, stt):
        world.inject("deepgram", Fault("status", status=status))
        error = await fails(stt)
        assert type(error) is kind
        assert (error.status, error.retryable) == (status, retryable)
        assert error.request_id
        assert error.detail
        assert (error.operation, error.attempts) == ("transcribe", 1)
        assert error.connection is not None
        assert len(world.journal.requests) == 1
        assert (await stt.transcribe(WAV)).text == SAID


async def test_the_vendors_own_refusals() -> None:
    """As its twin words them, in each of the three shapes."""
    async with speaking() as (world, stt):
        async with DeepgramClient("bad-key", base_url=world.deepgram.url) as wrong:
            assert (await fails(wrong)).code == "INVALID_AUTH"  # type: ignore[attr-defined]
        error = await fails(stt, b"no audio at all", format=None)
        assert isinstance(error, InvalidRequestError)
        assert "corrupt" in str(error.detail)
        error = await fails(stt, AudioURL("https://nowhere.invalid/a.wav"))
        assert error.code == "REMOTE_CONTENT_ERROR"  # type: ignore[attr-defined]
        error = await fails(stt, extra_query={"colour": "blue"})
        assert error.code == "INVALID_QUERY_PARAMETER"  # type: ignore[attr-defined]
        assert KEY not in f"{error!r}"


async def test_a_long_recording_that_took_too_long() -> None:
    """It will again; a short one may have met a busy proxy."""
    long = AudioClip(data=bytes(16_000 * 601), format=AudioFormat.parse("pcm_8000"))
    async with speaking(policies=NO_POLICIES) as (world, stt):
        for audio, retryable in ((WAV, True), (long, False), (URL, False)):
            world.inject("deepgram", Fault("status", status=504))
            error = await fails(stt, audio)
            assert isinstance(error, UnavailableError)
            assert error.retryable is retryable


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("html", RemoteProtocolError),
        ("wrong_type", RemoteProtocolError),
        ("half_json", RemoteProtocolError),
        ("empty", RemoteProtocolError),
        ("huge", (RemoteProtocolError, DeadlineError)),
        ("drip", DeadlineError),
        ("silence", DeadlineError),
        ("stall", DeadlineError),
        ("reset", ConnectionLostError),
        ("close", ConnectionLostError),
    ],
)
@pytest.mark.parametrize("operation", ["transcribe", "submit_transcription", "grant_token"])
async def test_answers_that_break(operation: str, kind: Any, expected: Any) -> None:
    """Typed, inside the limits, and the next call is right."""
    fault = Fault(kind)
    limits = limits_of(OPERATIONS, fault)
    async with speaking(limits=limits, callback="https://example.com", policies=NO_POLICIES) as (
        world,
        stt,
    ):

        async def call() -> Any:
            audio = () if operation == "grant_token" else (WAV,)
            return await getattr(stt, operation)(*audio)

        world.inject("deepgram", fault)
        started = time.monotonic()
        with pytest.raises(VoicekitError) as caught:
            await call()
        error: BaseException | None = caught.value
        if operation == "submit_transcription":  # it may be done all the same: an effect
            assert isinstance(error, OutcomeUnknownError)
            error = error.__cause__
        assert isinstance(error, expected), repr(error)
        assert time.monotonic() - started < 5.0
        assert caught.value.operation == operation
        assert await call()
        assert await eventually(lambda: stt.stats().leased == 0)
    assert await eventually(lambda: library_tasks() == [])


@pytest.mark.parametrize("kind", ["stall", "reset", "close"])
async def test_a_transcript_that_breaks_off(kind: Any) -> None:
    """Half of it is none."""
    fault = Fault(kind, after_bytes=200)
    async with speaking(limits=limits_of(OPERATIONS, fault), policies=NO_POLICIES) as (world, stt):
        world.inject("deepgram", fault)
        error = await fails(stt)
        assert isinstance(error, DeadlineError if kind == "stall" else ConnectionLostError)
        assert (await stt.transcribe(WAV)).text == SAID


async def test_nobody_there() -> None:
    """A refused connection is a ConnectError: nothing was sent."""
    async with DeepgramClient(KEY, base_url="http://127.0.0.1:9") as stt:
        error = await fails(stt)
        assert isinstance(error, ConnectError)
        assert error.outcome == "not_applied"


async def test_too_many_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is a RateLimitError."""
    monkeypatch.setattr(Deepgram, "max_files", 0)
    async with speaking() as (_, stt):
        assert isinstance(await fails(stt), RateLimitError)


async def test_limits_and_deadlines() -> None:
    """A call's own limits, and the ambient deadline."""
    async with speaking(policies=NO_POLICIES) as (world, stt):
        world.inject("deepgram", Fault("silence", times=2))
        error = await fails(stt, limits=Limits(first_output=0.1))
        assert isinstance(error, FirstOutputTimeout)
        with deadline(0.1):
            assert isinstance(await fails(stt), TotalTimeout)
        assert (await stt.transcribe(WAV)).text == SAID


async def test_a_file_that_goes_away(tmp_path: Path) -> None:
    """Between request() and the call: typed, and the connection is not used again."""
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    async with speaking() as (_, stt):
        request = stt.request(path)
        path.unlink()
        with pytest.raises(VoicekitError):
            await stt.transcribe(request)
        assert (await stt.transcribe(WAV)).text == SAID
        assert await eventually(lambda: stt.stats().leased == 0)


# -- tokens -------------------------------------------------------------------------------


async def test_a_token_opens_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings and sockets, until it ends; not another token."""
    async with speaking() as (world, stt):
        before = time.time()
        granted = await stt.grant_token(60)
        assert isinstance(granted, AccessToken)
        assert granted.expires_in == 60
        assert before + 60 <= granted.expires_at <= time.time() + 60
        assert granted.request_id
        assert granted.timings is not None
        assert granted.token not in repr(granted)
        assert granted.raw == {"expires_in": 60}  # all but the token, which is nobody's to log
        (record,) = world.journal.requests_for("deepgram", "grant")
        assert json.loads(record.body) == {"ttl_seconds": 60}
        url = world.deepgram.url
        async with DeepgramClient(access_token=granted.token, base_url=url) as bearer:
            assert (await bearer.transcribe(WAV, smart_format=True)).text == SAID
            async with bearer.open_transcription(format="pcm_8000") as session:
                await session.send(PCM[:16_000] + silence(0.6, 8000))
                await session.finish()
                assert (await session.result()).text
            with pytest.raises(AuthenticationError) as caught:
                await bearer.grant_token()
            assert caught.value.code == "FORBIDDEN"
            assert granted.token not in f"{caught.value!r}{bearer!r}"
        monkeypatch.setattr(Deepgram, "time_scale", 0.0)
        over = await stt.grant_token()
        assert over.expires_in == 30
        async with DeepgramClient(access_token=over.token, base_url=url) as bearer:
            assert isinstance(await fails(bearer), AuthenticationError)


async def test_a_client_that_lives_on_tokens() -> None:
    """As the docstring has it: a callable that is asked before each request."""
    async with speaking() as (world, granting):

        async def fresh() -> str:
            return (await granting.grant_token(60)).token

        async with DeepgramClient(access_token=fresh, base_url=world.deepgram.url) as stt:
            assert (await stt.transcribe(WAV)).text
            assert (await stt.transcribe(WAV)).text
        assert len(world.journal.requests_for("deepgram", "grant")) == 2


async def test_a_grant_takes_the_escape_hatches() -> None:
    """Its own and the constructor's."""
    async with speaking(extra_headers={"x-a": "1"}) as (world, stt):
        await stt.grant_token(
            extra_headers={"x-b": "2"}, extra_query={"q": "3"}, extra_body={"c": 4}
        )
        (record,) = world.journal.requests_for("deepgram", "grant")
        assert (record.headers["x-a"], record.headers["x-b"]) == ("1", "2")
        assert record.query == {"q": ["3"]}
        assert json.loads(record.body) == {"ttl_seconds": 30, "c": 4}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "a"},
        {"access_token": 1, "expires_in": 30},
        {"access_token": "a\n", "expires_in": 1},
        {"access_token": "a", "expires_in": -1},
        {"access_token": "a", "expires_in": "30"},
    ],
)
async def test_a_grant_that_is_none(answer: dict[str, Any]) -> None:
    """No token, or none that a header can hold, or no end."""
    async with speaking(policies=NO_POLICIES) as (world, stt):
        world.inject("deepgram", Fault("status", status=200, body=answer))
        with pytest.raises(RemoteProtocolError):
            await stt.grant_token()


# -- cancellation -------------------------------------------------------------------------


async def from_memory(stt: DeepgramClient, _: Path) -> Any:
    return (await stt.transcribe(WAV)).text


async def from_disk(stt: DeepgramClient, path: Path) -> Any:
    return (await stt.transcribe(path)).text


async def granted(stt: DeepgramClient, _: Path) -> Any:
    assert (await stt.grant_token()).token
    return SAID


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("use", [from_memory, from_disk, granted])
async def test_cancelled_at_every_await(use: Any, warm: bool, tmp_path: Path) -> None:
    """After any number of steps: CancelledError at once, no task, no lease, the next is right."""
    path = tmp_path / "a.wav"
    path.write_bytes(WAV)
    async with speaking() as (world, stt):
        if warm:
            await stt.warm(1)
        finished = count = 0
        while not finished:
            task = asyncio.create_task(use(stt, path))
            for _ in range(count):
                if task.done():
                    break
                await asyncio.sleep(0)
            began = time.monotonic()
            task.cancel()
            try:
                assert await task == SAID
                finished += 1
            except asyncio.CancelledError:
                pass
            assert time.monotonic() - began < 0.5
            count += 1 if count < 60 else 7
            assert count < 20_000
        assert count > 3
        assert await eventually(lambda: stt.stats().leased == 0)
        assert await eventually(lambda: None not in outcomes(world))
        assert await use(stt, path) == SAID
    assert await eventually(lambda: library_tasks() == [])


async def test_made_here_awaited_there() -> None:
    """A request made in one task serves any number of others at once."""
    async with speaking() as (world, stt):
        request = await asyncio.create_task(_made(stt))
        heard = await asyncio.gather(*(stt.transcribe(request) for _ in range(5)))
        assert {each.text for each in heard} == {SAID}
        assert len({each.request_id for each in heard}) == 5
        assert all(record.body == WAV for record in world.journal.requests)


async def _made(stt: DeepgramClient) -> Any:
    return stt.request(io.BytesIO(WAV))
