"""Files of messages against the twin: where they are fetched, when, and how they go on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from messaging import INSTANT, messaging, posted, received

from settling import eventually
from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.clients.twilio import Media
from voicekit.emulator import Fault
from voicekit.emulator.endpoints import API_KEY
from voicekit.errors import (
    ConnectionLostError,
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Limits
from voicekit.resilience.waiting import no_waits

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

DATA = b"OggS" + bytes(range(256)) * 400
STORE = "twilio_media"


async def whole(stream: Any) -> bytes:
    return b"".join([each async for each in stream])


async def note(world: Any, twilio: Any) -> Any:
    message = await received(world, twilio, media=DATA)
    [ref] = message.media
    return ref


@pytest.mark.parametrize("tls", [False, True])
async def test_a_voice_note(tls: bool) -> None:
    """From Twilio with the credential, from the store without; one connection to each."""
    async with messaging(emulator={"tls": tls}) as (world, twilio):
        ref = await note(world, twilio)
        for _ in range(2):
            media = await twilio.download_media(ref)
            assert isinstance(media, Media)
            assert (bytes(media), media.content_type) == (DATA, "audio/ogg")
            assert await whole(twilio.stream_media(ref)) == DATA
        asked = world.journal.requests_for("twilio", "media.content")
        fetched = world.journal.requests_for(STORE)
        assert len(asked) == len(fetched) == 4
        assert all("Authorization" not in record.headers for record in fetched)
        assert media.request_id is not None
        assert media.request_id.startswith("RQ")
        assert len(world.connections("twilio")) == len(world.connections(STORE)) == 1


async def test_a_file_that_is_not_there_yet() -> None:
    """Asked for again while the webhook is fresh; given up after the third time."""
    async with messaging(replace(INSTANT, media_not_ready=3)) as (world, twilio):
        ref = await note(world, twilio)
        with no_waits():
            media = await twilio.download_media(ref)
        assert (bytes(media), media.attempts) == (DATA, 4)
        seen = twilio.health().operations["download_media"]
        assert seen.breaker is not None
        assert seen.breaker.failure_rate == 0
    async with messaging(replace(INSTANT, media_not_ready=4)) as (world, twilio):
        ref = await note(world, twilio)
        with no_waits(), pytest.raises(InvalidRequestError):
            await twilio.download_media(ref)
        assert posted(world, "media.content") == 4


async def test_the_first_wait_is_half_a_second() -> None:
    """As the design has it, and not a busy loop."""
    async with messaging(replace(INSTANT, media_not_ready=1)) as (world, twilio):
        ref = await note(world, twilio)
        async with twilio.stream_media(ref) as stream:
            assert await whole(stream) == DATA
        first, second = world.journal.requests_for("twilio", "media.content")
        assert second.received_at - first.received_at >= 0.49


@pytest.mark.parametrize("provider", ["deepgram", "openai", "elevenlabs"])
@pytest.mark.parametrize("how", ["whole", "stream", "opened"])
async def test_straight_into_a_transcription(provider: str, how: str) -> None:
    """As it is, without a copy in between: the provider gets every byte and its type."""
    kinds: dict[str, Any] = {
        "deepgram": DeepgramClient, "openai": OpenAIClient, "elevenlabs": ElevenLabsClient,
    }  # fmt: skip
    async with messaging(providers=(provider,)) as (world, twilio):
        ref = await note(world, twilio)
        url = world.endpoint(provider).url
        if provider == "openai":
            made = OpenAIClient(API_KEY, base_url=url, transcription={"model": "whisper-1"})
        else:
            made = kinds[provider](API_KEY, base_url=url)
        async with made as stt:
            if how == "whole":
                heard = await stt.transcribe(await twilio.download_media(ref))
            elif how == "stream":
                heard = await stt.transcribe(twilio.stream_media(ref))
            else:
                async with twilio.stream_media(ref) as stream:
                    heard = await stt.transcribe(stream)
        assert heard.text
        [request] = [each for each in world.journal.requests_for(provider) if each.method == "POST"]
        assert DATA in request.body
        assert b"audio/ogg" in request.body or "audio/ogg" in str(request.headers)
        assert await eventually(lambda: twilio.stats().leased == 0)


async def test_a_stream_that_breaks_off_is_no_fault_of_the_transcriber() -> None:
    """Its error says which of both it was; no breaker opens for it, and nothing is left."""
    async with messaging(providers=("deepgram",)) as (world, twilio):
        ref = await note(world, twilio)
        async with DeepgramClient(API_KEY, base_url=world.deepgram.url) as stt:
            world.inject(STORE, Fault("reset", after_bytes=5000))
            with pytest.raises(LocalProtocolError) as caught:
                await stt.transcribe(twilio.stream_media(ref))
            assert isinstance(caught.value.__cause__, StreamInterruptedError)
            world.inject("twilio", Fault("status", status=401, operation="media.content"))
            with pytest.raises(LocalProtocolError) as caught:
                await stt.transcribe(twilio.stream_media(ref))
            assert stt.health().credential.state == "closed"
            health = stt.health().operations["transcribe"]
            assert health.breaker is not None
            assert health.breaker.failure_rate == 0
            assert await eventually(lambda: twilio.stats().leased == 0)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset"),
        Fault("close"),
        Fault("reset", after_bytes=5000),
        Fault("close", after_bytes=5000),
        Fault("empty"),
        Fault("status", status=500),
        Fault("status", status=503, body="<html>"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.after_bytes}",
)
@pytest.mark.parametrize("where", ["twilio", STORE])
async def test_a_download_survives(fault: Fault, where: str) -> None:
    """It is read again from its start: every byte, once."""
    async with messaging() as (world, twilio):
        ref = await note(world, twilio)
        world.inject(where, fault)
        with no_waits():
            assert bytes(await twilio.download_media(ref)) == DATA
        assert await eventually(lambda: twilio.stats().leased == 0)


@pytest.mark.parametrize("how", ["stall", "silence", "drip"])
async def test_a_store_that_stands_still(how: Any) -> None:
    """Ended by the limit, typed, and its connection is gone."""
    async with messaging() as (world, twilio):
        ref = await note(world, twilio)
        fault = Fault(how, after_bytes=500 if how == "stall" else 0, times=None, delay=0.05)
        world.inject(STORE, fault)
        with pytest.raises((TotalTimeout, VoicekitError)):
            await twilio.download_media(ref, limits=Limits(first_output=0.3, total=0.5))
        stream = twilio.stream_media(ref, limits=Limits(first_output=0.3, gap=0.3, total=1.0))
        with pytest.raises(VoicekitError):
            await whole(stream)
        assert await eventually(lambda: twilio.stats().leased == 0)


async def test_a_stream_that_breaks_says_what_was_delivered() -> None:
    """After its first bytes it is not asked for again."""
    async with messaging() as (world, twilio):
        ref = await note(world, twilio)
        world.inject(STORE, Fault("reset", after_bytes=5000))
        stream = twilio.stream_media(ref)
        got = bytearray()

        async def read() -> None:
            async for each in stream:
                got.extend(each)

        with pytest.raises(StreamInterruptedError) as caught:
            await read()
        assert stream.delivered_bytes == len(got) <= 5000
        assert DATA.startswith(bytes(got))
        assert isinstance(caught.value.__cause__, ConnectionLostError)


async def test_what_is_too_large() -> None:
    """Refused by its length, before it is read; a hundred megabytes as well."""
    async with messaging() as (world, twilio):
        ref = await note(world, twilio)
        with pytest.raises(LocalProtocolError, match="max_bytes=1000"):
            await twilio.download_media(ref, max_bytes=1000)
        world.inject(STORE, Fault("huge"))
        with pytest.raises((LocalProtocolError, RemoteProtocolError)):
            await twilio.download_media(ref)
        assert posted(world, "media.content") == 2


async def test_entered_iterated_and_closed_in_three_tasks() -> None:
    """Nothing belongs to a task between two calls of a handle."""
    async with messaging() as (world, twilio):
        ref = await note(world, twilio)
        stream = twilio.stream_media(ref)
        await asyncio.create_task(stream.__aenter__())
        first = await asyncio.create_task(stream.__anext__())
        rest = await asyncio.create_task(whole(stream))
        await asyncio.create_task(stream.aclose())
        assert first + rest == DATA
        unread = twilio.stream_media(ref)
        await asyncio.create_task(unread.__aenter__())
        await asyncio.create_task(unread.aclose())
        assert await whole(unread) == b""
        assert await eventually(lambda: twilio.stats().leased == 0)


async def test_a_store_that_fails_throughout() -> None:
    """Typed, after the repeats; never taken for a file."""
    async with messaging() as (world, twilio):
        ref = await note(world, twilio)
        world.inject(STORE, Fault("status", status=500, times=None))
        with no_waits(), pytest.raises(UnavailableError) as caught:
            await twilio.download_media(ref)
        assert caught.value.attempts == 4
