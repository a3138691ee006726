"""Each client as users write it. Never run: mypy --strict reads it.

A ``type: ignore`` here is an assertion: strict mode complains of one that is not needed.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import assert_type

from voicekit import (
    NO_POLICIES,
    AudioChunk,
    AudioClip,
    AudioFormat,
    AudioURL,
    AzureOpenAIClient,
    Breaker,
    ChatResult,
    ConnectionInfo,
    DeepgramClient,
    ElevenLabsClient,
    Hedge,
    Limits,
    OpenAIClient,
    Policies,
    PoolConfig,
    PoolStats,
    Retry,
    Timings,
    ToolCall,
    Transcript,
    TranscriptionResult,
    Transport,
    Usage,
    VoiceSettings,
    WarmReport,
    Word,
)
from voicekit.clients.openai import Embeddings
from voicekit.speech import Channel, PendingTranscript, RateLimits, Utterance


def play(audio: bytes) -> None: ...


async def fresh_key() -> str:
    return "key"


async def speaking() -> None:
    async with ElevenLabsClient(voice="21m00Tcm4TlvDq8ikWAM") as tts:
        assert_type(tts, ElevenLabsClient)
        report = await tts.warm(2)
        assert_type(report, WarmReport)
        assert_type(report.opened, int)
        assert_type(report.failures, tuple[str, ...])
        tts.start_warming()

        clip = await tts.synthesize("Hello")
        assert_type(clip, AudioClip)
        assert_type(clip.data, bytes)
        assert_type(clip.format, AudioFormat)
        assert_type(clip.duration, float | None)
        assert_type(clip.timings, Timings | None)
        assert_type(clip.usage, Usage | None)
        assert_type(clip.words, tuple[Word, ...])
        clip.save("a.wav")
        clip.save(Path("a.wav"))

        async with tts.stream_speech("Hello") as speech:
            async for chunk in speech:
                assert_type(chunk, AudioChunk)
                play(chunk)
                assert_type(chunk.format, AudioFormat)
                assert_type(chunk.words, tuple[Word, ...])
            assert_type(speech.connection, ConnectionInfo | None)
            assert_type(speech.timings, Timings)
        awaited = await tts.stream_speech("Hello", format="mulaw_8000")
        async for chunk in awaited:
            play(chunk)
        await awaited.cancel()
        async for chunk in tts.stream_speech("Hello"):
            play(chunk)

        async with tts.open_speech() as utterance:
            await utterance.send("Hel")
            await utterance.send("lo. ")
            await utterance.finish()
            async for chunk in utterance:
                assert_type(chunk, AudioChunk)
            await utterance.cancel()
            assert_type(utterance.cancelled, bool)

        request = tts.request("Hello", format=AudioFormat.parse("pcm_16000"))
        assert_type(request.identity, str)
        await tts.synthesize(request)
        async with tts.stream_speech(request) as speech:
            pass

        await tts.synthesize(
            "Hello",
            voice="x",
            model="eleven_flash_v2_5",
            voice_settings=VoiceSettings.fast(),
            extra_query={"a": 1},
            extra_headers={"a": "b"},
            extra_body={"a": [1]},
            limits=Limits(first_output=1.0),
        )
        async with tts.open_speech(socket="stream-input") as utterance:
            await utterance.cancel()
        heard = await tts.transcribe(b"RIFF", diarize=True)
        assert_type(heard, Transcript)
        assert_type(await tts.transcribe(tts.transcription_request(b"RIFF")), Transcript)
        assert_type(await tts.submit_transcription(b"RIFF", webhook_id="w"), PendingTranscript)
        await tts.transcribe(b"RIFF", diarise=True)  # type: ignore[call-arg]
        await tts.transcribe("call.wav")  # type: ignore[arg-type]
        await tts.synthesize(b"Hello")  # type: ignore[arg-type]
        await tts.synthesize("Hello", voise="x")  # type: ignore[call-arg]
        await tts.synthesize("Hello", limits=3.0)  # type: ignore[arg-type]
        await tts.synthesize(text="Hello")  # type: ignore[call-arg]


async def listening(pcm: bytes) -> None:
    async with DeepgramClient() as stt:
        async with stt.open_transcription(format="pcm_16000") as session:
            await session.send(pcm)
            await session.send(memoryview(pcm))
            await session.finalize()
            await session.finish()
            async for result in session:
                if isinstance(result, TranscriptionResult):
                    assert_type(result.text, str)
                    assert_type(result.is_final, bool)
                    assert_type(result.words, tuple[Word, ...])
            assert_type(session.transcript, str)
        opened = await stt.open_transcription(
            format=AudioFormat.parse("mulaw_8000"), interim_results=True, keyterm=["voicekit"]
        )
        assert_type(await opened.result(), Transcript)
        request = stt.request(format="pcm_16000")
        assert_type(request.identity, str)
        async with stt.open_transcription(request) as session:
            pass
        stt.open_transcription(fromat="pcm_16000")  # type: ignore[call-arg]
        stt.open_transcription(interim_results="yes")  # type: ignore[arg-type]
        stt.open_transcription(utterances=True)  # type: ignore[call-arg]

        heard = await stt.transcribe(Path("a.wav"), utterances=True, diarize_model="v2")
        assert_type(heard, Transcript)
        assert_type(heard.utterances, tuple[Utterance, ...])
        assert_type(heard.channels, tuple[Channel, ...])
        assert_type(heard.to_vtt(speakers={0: "Ann"}), str)
        await stt.transcribe(AudioURL("https://example.org/a.wav"))
        with Path("a.wav").open("rb") as file:
            await stt.transcribe(file)
        recording = stt.request(pcm, format="pcm_16000")
        assert_type(recording.identity, str)
        assert_type(await stt.transcribe(recording), Transcript)
        pending = await stt.submit_transcription(pcm, callback="https://example.org/hook")
        assert_type(pending, PendingTranscript)
        assert_type((await stt.grant_token(60)).token, str)
        await stt.transcribe("a.wav")  # type: ignore[arg-type]
        await stt.transcribe(pcm, interim_results=True)  # type: ignore[call-arg]
        DeepgramClient(utterances=True, interim_results=True, utt_split=1.0)


async def speaking_with_deepgram() -> None:
    async with DeepgramClient(speech={"model": "aura-2-thalia-en", "format": "mulaw_8000"}) as dg:
        clip = await dg.synthesize("Hello", speed=1.1, tag=["a"], split=True)
        assert_type(clip, AudioClip)
        async with dg.stream_speech("Hello") as speech:
            async for chunk in speech:
                assert_type(chunk, AudioChunk)
        async with dg.open_speech() as session:
            await session.send("Hello. ")
            await session.flush()
            await session.finish()
            async for chunk in session:
                assert_type(chunk, AudioChunk)
            await session.cancel()
        request = dg.speech_request("Hello", format="pcm_16000")
        assert_type(await dg.synthesize(request), AudioClip)
        pending = await dg.submit_speech("Hello", callback="https://example.org/hook")
        assert_type(pending.request_id, str)
        assert_type(await dg.as_synthesizer().synthesize("Hello"), AudioClip)
        await dg.synthesize(b"Hello")  # type: ignore[arg-type]
        await dg.synthesize("Hello", voice="x")  # type: ignore[call-arg]
    DeepgramClient(speech={"voice": "x"})  # type: ignore[typeddict-unknown-key]


async def speaking_and_listening_with_openai() -> None:
    async with OpenAIClient(
        speech={"model": "tts-1", "voice": "alloy"}, transcription={"model": "whisper-1"}
    ) as client:
        clip = await client.synthesize("Hello", format="mp3", voice={"id": "v"}, split=True)
        assert_type(clip, AudioClip)
        async with client.stream_speech("Hello", speed=1.1) as speech:
            async for chunk in speech:
                assert_type(chunk, AudioChunk)
        said = client.speech_request("Hello", instructions="Calm.")
        assert_type(await client.synthesize(said), AudioClip)
        assert_type(await client.as_synthesizer().synthesize("Hello"), AudioClip)
        client.speech_request("Hello", emotion="glad")  # type: ignore[call-arg]
        client.stream_speech(b"Hello")  # type: ignore[arg-type]

        heard = await client.transcribe(Path("a.mp3"), timestamps=["word", "segment"])
        assert_type(heard, Transcript)
        assert_type(await client.transcribe(clip, diarize=True), Transcript)
        async with client.stream_transcription(clip, language="en") as stream:
            async for delta in stream:
                assert_type(delta, str)
            assert_type(stream.transcript, Transcript)
        assert_type(await client.stream_transcription(clip).result(), Transcript)
        asked = client.transcription_request(clip, include=["logprobs"])
        assert_type(await client.as_transcriber().transcribe(asked), Transcript)
        await client.transcribe("a.mp3")  # type: ignore[arg-type]
        await client.transcribe(clip, timestamps="letter")  # type: ignore[arg-type]
    OpenAIClient(speech={"text": "x"})  # type: ignore[typeddict-unknown-key]


async def at_azure() -> None:
    async with AzureOpenAIClient(
        azure_endpoint="https://me.openai.azure.com",
        api_version="2025-04-01",
        azure_ad_token_provider=fresh_key,
        model="my-deployment",
    ) as llm:
        assert_type((await llm.chat("Hello")).text, str)
        assert_type(llm.with_options(temperature=0.2), AzureOpenAIClient)
        AzureOpenAIClient(region="eu")  # type: ignore[call-arg]


async def chatting() -> None:
    messages = [{"role": "user", "content": "Hello"}]
    async with OpenAIClient(model="m", temperature=0.2) as llm:
        async with llm.stream_chat(messages) as reply:
            async for delta in reply:
                assert_type(delta, str)
            assert_type(reply.tool_calls, tuple[ToolCall, ...])
            assert_type(reply.usage, Usage | None)
            assert_type(reply.finish_reason, str | None)
        async with llm.stream_chat("Hello") as reply:
            async for event in reply.events():
                print(event)
        answer = await llm.chat(messages, max_completion_tokens=5, tools=[{"type": "function"}])
        assert_type(answer, ChatResult)
        assert_type(answer.text, str)
        assert_type(answer.refusal, str | None)
        assert_type(answer.connection, ConnectionInfo | None)
        request = llm.request(messages)
        assert_type(await llm.chat(request), ChatResult)
        await llm.chat(messages, temprature=0.2)  # type: ignore[call-arg]
        await llm.chat(1)  # type: ignore[arg-type]


async def responding_and_embedding() -> None:
    async with OpenAIClient(
        model="m",
        responses={"store": False, "reasoning": {"summary": "auto"}},
        embedding={"model": "e", "dimensions": 256},
    ) as llm:
        async with llm.stream_response("Hello", instructions="Be brief.") as reply:
            async for delta in reply:
                assert_type(delta, str)
            assert_type(reply.id, str | None)
            assert_type(reply.service_tier, str | None)
            assert_type(reply.rate_limits, RateLimits | None)
        items = [{"role": "user", "content": "Hello"}]
        answer = await llm.respond(items, previous_response_id=reply.id)
        assert_type(answer, ChatResult)
        assert_type(await llm.respond(llm.response_request("Hello")), ChatResult)
        await llm.respond("Hello", n=2)  # type: ignore[call-arg]
        await llm.respond(1)  # type: ignore[arg-type]

        made = await llm.embed(["a", "b"])
        assert_type(made, Embeddings)
        assert_type(made[0], array[float])
        assert_type(made.vectors, tuple[array[float], ...])
        await llm.embed("a", dimension=1)  # type: ignore[call-arg]

        for model in await llm.models():
            assert_type(model.shutdown_date, date | None)
        assert_type((await llm.model("m")).id, str)
        OpenAIClient(responses={"n": 2})  # type: ignore[typeddict-unknown-key]


async def composed() -> None:
    """A model's stream speaks as it is written."""
    async with OpenAIClient(model="m") as llm, ElevenLabsClient(voice="v") as tts:
        async with llm.stream_chat("Hello") as reply, tts.stream_speech(reply) as speech:
            async for chunk in speech:
                play(chunk)

        async def words() -> AsyncIterator[str]:
            yield "Hello "

        async with tts.stream_speech(words()) as speech:
            async for chunk in speech:
                assert_type(chunk, AudioChunk)


async def shared() -> None:
    """Clients over one transport; keys from a callable; sizes and limits of one's own."""
    pool = PoolConfig(max_connections=5, min_ready=1)
    async with Transport(pool=pool, ca="ca.pem") as transport:
        stt = DeepgramClient(fresh_key, transport=transport, region="eu")
        llm = OpenAIClient(
            api_key=fresh_key,
            model="m",
            transport=transport,
            limits={"stream_chat": Limits(gap=2.0)},
            policies={"stream_chat": Policies(hedge=Hedge()), "chat": NO_POLICIES},
        )
        assert_type(llm.breaker("chat"), Breaker)
        assert_type(llm.with_options(policies=Policies(retry=Retry(1))), OpenAIClient)
        await llm.chat("Hi", policies=NO_POLICIES)
        await llm.chat("Hi", policies=Retry())  # type: ignore[arg-type]
        tts = ElevenLabsClient("key", voice="v", transport=transport, region="eu")
        assert_type(tts.stats(), PoolStats)
        for client in (stt, llm, tts):
            await client.aclose()
    ElevenLabsClient(1)  # type: ignore[arg-type]
    ElevenLabsClient("key", region="mars")  # type: ignore[arg-type]
    PoolConfig(5)  # type: ignore[call-arg]
