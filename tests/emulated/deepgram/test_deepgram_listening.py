"""Live transcription over the wire: what is heard, what the server sees, what it costs."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Any

import pytest
from listening import (
    HEARD,
    INSTANT,
    KEY,
    SPEECH,
    audio_in,
    listening,
    outcomes,
    read,
    silence,
    texts_in,
    tone,
    whole,
)

from settling import eventually, library_tasks
from voicekit import PoolConfig
from voicekit.clients.deepgram import DeepgramClient
from voicekit.emulator import Scenario, g711
from voicekit.emulator.codecs import wav_header
from voicekit.emulator.providers.deepgram import Deepgram
from voicekit.errors import InvalidRequestError
from voicekit.events import CallEnded, ConnectionAcquired, Event, FirstOutput
from voicekit.speech import SpeechStarted, TranscriptionResult, UtteranceEnd

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_interims_then_finals(tls: bool) -> None:
    """Interims replace each other, finals stand, and the journal has every byte once."""
    async with listening(emulator={"tls": tls}) as (world, stt):
        audio = tone(3.1) + silence(0.5)
        async with stt.open_transcription(punctuate=True) as session:
            for start in range(0, len(audio), 640):
                await session.send(audio[start : start + 640])
                if start % 32_000 == 0:
                    await asyncio.sleep(0.01)
            await session.finish()
            results = await read(session)
            interims = [each for each in results if not each.is_final]
            assert len(interims) >= 2
            assert [each.start for each in interims] == [0.0] * len(interims)
            finals = [each for each in results if each.is_final]
            assert " ".join(each.text for each in finals if each.text).lower() == f"{HEARD}."
            assert session.transcript == " ".join(each.text for each in finals if each.text)
            assert finals[0].words[0].punctuated == "One"
            assert max(each.end for each in results) == pytest.approx(3.6, abs=0.02)
            assert session.metadata is not None
            assert session.metadata["sha256"] == hashlib.sha256(audio).hexdigest()
            assert session.request_id == session.metadata["request_id"]
            assert session.headers["dg-request-id"] == session.request_id
        [request] = world.journal.requests
        assert await eventually(lambda: request.outcome is not None)
        assert request.outcome == "complete"
        assert request.query == {
            "model": ["nova-3"],
            "encoding": ["linear16"],
            "sample_rate": ["16000"],
            "interim_results": ["true"],
            "punctuate": ["true"],
        }
        assert sum(audio_in(world)) == len(audio)
        assert texts_in(world) == ["CloseStream"]


async def test_speech_events() -> None:
    """SpeechStarted and UtteranceEnd come when asked for, timed in the session's seconds."""
    async with (
        listening(vad_events=True, utterance_end_ms=1000) as (_, stt),
        stt.open_transcription() as session,
    ):
        await session.send(silence(0.5) + tone(1.0) + silence(2.0))
        await session.finish()
        events = await read(session)
        [started] = [each for each in events if isinstance(each, SpeechStarted)]
        [ended] = [each for each in events if isinstance(each, UtteranceEnd)]
        assert started.at == pytest.approx(0.5, abs=0.1)
        assert ended.last_word_end is not None
        assert any(isinstance(each, TranscriptionResult) and each.speech_final for each in events)


async def test_finalize_brings_a_final_now() -> None:
    """Finalize freezes what was sent, without a pause in the speech."""
    async with listening(interim_results=False) as (_, stt), stt.open_transcription() as session:
        await session.send(tone(0.5))
        await session.finalize()
        result = await anext(session)
        assert isinstance(result, TranscriptionResult)
        assert result.is_final
        assert result.from_finalize
        assert result.text == HEARD


async def test_configure_on_the_fly() -> None:
    """Key terms change under way; a refusal leaves the stream as it was."""
    async with listening() as (_, stt):
        async with stt.open_transcription() as session:
            await session.send(tone(0.2))
            await session.configure(keyterms=["voicekit"])
            await session.configure(keyterms=None)
        async with stt.open_transcription(model="nova-2") as session:
            await session.send(tone(0.2))
            with pytest.raises(InvalidRequestError, match="CONFIGURE_KEYTERMS_NOT_SUPPORTED"):
                await session.configure(keyterms=["voicekit"])
            await session.finish()
            assert (await session.result()).text == HEARD


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("pcm_16000", lambda pcm: pcm),
        ("mulaw_16000", lambda pcm: g711.encode("mulaw", pcm)),
        ("alaw_16000", lambda pcm: g711.encode("alaw", pcm)),
        ("wav_16000", lambda pcm: wav_header(16_000, len(pcm)) + pcm),
    ],
)
async def test_formats(name: str, encode: Any) -> None:
    """The vendor hears as many seconds as were sent, whatever they were packed in."""
    async with listening() as (_, stt), stt.open_transcription(format=name) as session:
        await session.send(encode(tone(1.0)))
        await session.finish()
        transcript = await session.result()
        assert transcript.text == HEARD
        assert transcript.duration == pytest.approx(1.0, abs=0.02)


async def test_channels_are_transcribed_apart() -> None:
    """With multichannel, each result says which channel it is of."""
    async with (
        listening(format="pcm_16000_2ch", multichannel=True) as (_, stt),
        stt.open_transcription() as session,
    ):
        mono = tone(1.0)
        stereo = b"".join(mono[i : i + 2] * 2 for i in range(0, len(mono), 2))
        await session.send(stereo)
        await session.finish()
        events = await read(session)
        assert {each.channel for each in events} == {(0, 2), (1, 2)}


async def test_a_warm_connection_is_used() -> None:
    """warm() opens TLS and no stream; a session rides on it, and another one is made ready."""
    async with listening(emulator={"tls": True}, pool=PoolConfig(min_ready=1)) as (world, stt):
        report = await stt.warm(1)
        assert (report.opened, report.failures) == (1, ())
        assert world.journal.requests == []
        for _ in range(3):
            mark = world.journal.now()
            async with stt.open_transcription() as session:
                assert session.connection is not None
                assert session.connection.reused
                assert session.timings.connect == 0.0
                await session.send(SPEECH)
                await session.finish()
                assert (await session.result()).text == HEARD
            assert all(
                record.requests == 0 or record.opened_at < mark
                for record in world.journal.connections
            )
            assert await eventually(lambda: stt.stats().ready == 1 and stt.stats().leased == 0)
        assert len(world.journal.requests) == 3


async def test_a_cold_session_says_so() -> None:
    """Without warm-up the evidence tells of the dial."""
    async with listening() as (_, stt), stt.open_transcription() as session:
        assert session.connection is not None
        assert not session.connection.reused


async def test_keep_alives_keep_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller may be silent longer than the vendor's limit, before and between audio."""
    monkeypatch.setattr(Deepgram, "time_scale", 0.06)  # 10 s become 600 ms
    async with listening() as (world, stt):
        session = stt.open_transcription()
        session._pulse.keep_alive, session._pulse.first_audio = 0.2, 0.3
        async with session:
            await asyncio.sleep(1.0)
            assert audio_in(world) == [640]
            await session.send(SPEECH)
            await asyncio.sleep(0.9)
            await session.finish()
            transcript = await session.result()
        assert transcript.text == HEARD
        assert transcript.duration == pytest.approx(1.8, abs=0.02)
        assert texts_in(world).count("KeepAlive") >= 4
        assert await eventually(lambda: outcomes(world) == ["complete"])


async def test_without_signs_of_life_the_vendor_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protection matters: without it the same silence ends in NET-0001."""
    monkeypatch.setattr(Deepgram, "time_scale", 0.03)
    async with listening() as (_, stt), stt.open_transcription(reconnect=False) as session:
        session._heartbeat.stop()
        with pytest.raises(Exception, match="NET-0001"):
            await anext(session)


async def test_a_slow_consumer_loses_nothing() -> None:
    """Results wait for whoever reads late; the socket stays, and so does every result."""
    async with listening() as (_, stt), stt.open_transcription() as session:
        for _ in range(10):
            await session.send(tone(1.0))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        await session.finish()
        results = await read(session)
        assert max(each.end for each in results) == pytest.approx(10.0, abs=0.02)
        assert len([each for each in results if not each.is_final]) >= 3


async def test_leaving_early_frees_the_accounts_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor hears CloseStream from every session left early: the next one may open."""
    monkeypatch.setattr(Deepgram, "max_streams", 1)
    async with listening() as (world, stt):
        for count in range(1, 11):
            async with stt.open_transcription() as session:
                await session.send(tone(1.5))
                await anext(session)
            assert await eventually(
                lambda count=count: texts_in(world).count("CloseStream") == count
            )
            assert await eventually(lambda: None not in outcomes(world))
        assert await eventually(lambda: stt.stats().leased == 0)
        assert outcomes(world) == ["complete"] * 10


async def test_handles_wander_between_tasks() -> None:
    """Entered, sent to, iterated and closed in different tasks: the same results."""
    async with listening() as (_, stt):
        session = stt.open_transcription()

        async def in_a_task(work: Any) -> Any:
            return await asyncio.create_task(work)

        await in_a_task(session.__aenter__())
        await in_a_task(session.send(SPEECH))
        await in_a_task(session.finish())
        results = await in_a_task(read(session))
        await in_a_task(session.__aexit__(None, None, None))
        assert [each.text for each in results if each.is_final and each.text] == [HEARD]
        assert await eventually(
            lambda: library_tasks() == [] or not any("deepgram" in n for n in library_tasks())
        )


async def test_sender_and_reader_run_side_by_side() -> None:
    """Audio in real time from one task, results in another, ten sessions at once."""
    async with listening() as (world, stt):

        async def one() -> str:
            async with stt.open_transcription() as session:

                async def microphone() -> None:
                    for start in range(0, len(SPEECH), 3200):
                        await session.send(SPEECH[start : start + 3200])
                        await asyncio.sleep(0.002)
                    await session.finish()

                async with asyncio.TaskGroup() as group:
                    group.create_task(microphone())
                    return (await session.result()).text

        assert await asyncio.gather(*(one() for _ in range(10))) == [HEARD] * 10
        assert await eventually(lambda: outcomes(world) == ["complete"] * 10)
        assert await eventually(lambda: stt.stats().leased == 0)


async def test_events_tell_the_story() -> None:
    """One record per step of a call, the same facts as on the handle, and no content."""
    seen: list[Event] = []

    class Watcher:
        def on_event(self, event: Event) -> None:
            seen.append(event)

    async with listening(observers=[Watcher()]) as (_, stt):
        assert await whole(stt) == HEARD
    kinds = [type(event).__name__ for event in seen]
    assert kinds == [
        "PoolOpened",
        "CallStarted",
        "AttemptStarted",
        "ConnectionAcquired",
        "FirstOutput",
        "CallEnded",
    ]
    assert isinstance(seen[3], ConnectionAcquired)
    assert isinstance(seen[4], FirstOutput)
    assert isinstance(seen[-1], CallEnded)
    assert seen[-1].result == "ok"
    assert seen[-1].request_id is not None
    assert HEARD not in repr(seen)


async def test_credentials_reach_the_vendor_and_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Keys by Token, tokens by Bearer, asked anew for each socket; never logged."""
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        return f"{KEY}-{asked}"

    with caplog.at_level(logging.DEBUG):
        async with listening() as (world, stt):
            assert await whole(stt) == HEARD
            bearer = DeepgramClient(
                access_token=token, base_url=world.deepgram.url, format="pcm_16000"
            )
            async with bearer:
                assert await whole(bearer) == HEARD
                assert await whole(bearer) == HEARD
            assert asked == 2
            digests = {request.headers["authorization"] for request in world.journal.requests}
            assert len(digests) == 3
    assert "marked" not in caplog.text
    assert HEARD not in caplog.text


async def test_a_paced_scenario_overlaps() -> None:
    """Results come while audio still goes out, not after it."""
    scenario = Scenario(name="test", heard=HEARD, transcript_interim_every=0.2)
    async with listening(scenario) as (_, stt), stt.open_transcription() as session:
        first = asyncio.create_task(anext(session))
        for _ in range(20):
            await session.send(tone(0.05))
            await asyncio.sleep(0.005)
            if first.done():
                break
        assert first.done()
        await session.finish()
        await read(session)
    assert INSTANT.heard == HEARD
