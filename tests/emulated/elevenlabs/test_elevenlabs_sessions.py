"""Text in pieces over pooled sockets: early audio, barge-in, pauses, dead and hung peers."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from speaking import INSTANT, VOICE, heard, right, speaking

from fault_limits import SHORT, limits_for
from settling import call_tasks, eventually, library_tasks
from voicekit.clients.elevenlabs import VoiceSettings
from voicekit.clients.elevenlabs.live import DIAL
from voicekit.emulator import Emulator, Fault, Link, Scenario
from voicekit.errors import (
    AuthenticationError,
    DeadlineError,
    FirstOutputTimeout,
    GapTimeout,
    InvalidRequestError,
    LocalProtocolError,
    PoolTimeout,
    QuotaError,
    RateLimitError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Call, Limits
from voicekit.resilience import NO_POLICIES
from voicekit.transport.config import PoolConfig
from voicekit.transport.messages import Request

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

SOCKET = "speech.socket"
ANSWER = (
    "We are open from nine until six, Monday through Friday, and on Saturdays from ten. "
    "Is there anything else that I can do for you today? "
)


async def say(tts: Any, *texts: str, **options: Any) -> bytes:
    async with tts.open_speech(**options) as speech:
        for text in texts:
            await speech.send(text)
        await speech.finish()
        return await heard(speech)


def sent(world: Emulator) -> list[Any]:
    """The client's messages on all sockets, in order."""
    return [frame.data for frame in world.journal.frames if frame.direction == "in"]


def sockets(tts: Any) -> Any:
    """The statistics of the client's one pool of sockets."""
    (pool,) = tts.transport._sockets.values()
    return pool.stats()


async def test_audio_before_character_sixty_of_a_slow_text() -> None:
    """The schedule begins at 50: speech starts while most of the text is not yet written."""
    async with speaking() as (world, tts):
        audible = asyncio.Event()
        given = 0

        async def slow() -> AsyncIterator[str]:
            nonlocal given
            for letter in ANSWER:
                if given == 60:
                    await audible.wait()  # for ever, unless speech begins before
                given += 1
                yield letter

        parts = []
        async with asyncio.timeout(5), tts.stream_speech(slow()) as speech:
            async for chunk in speech:
                if not parts:
                    assert given <= 60
                    audible.set()
                parts.append(chunk)
        assert given == len(ANSWER)
        assert world.journal.speech_texts() == [ANSWER.strip()]
        spoken = [m["text"] for m in sent(world) if m.get("text", " ").strip()]
        assert all(text.endswith(" ") for text in spoken)
        assert "".join(spoken) == ANSWER


async def test_an_utterance_is_what_was_said() -> None:
    """Pieces of any size, one utterance, every byte of it, with its words."""
    async with speaking() as (world, tts):
        audio = await say(tts, "Hel", "lo the", "re, my ", "friend.")
        assert right(audio, "Hello there, my friend. ")
        first, *_ = sent(world)
        assert first["text"] == " "
        assert first["generation_config"] == {"chunk_length_schedule": [50, 120, 160, 250]}
        assert [m.get("flush") for m in sent(world)[-2:]] == [True, None]
        record = world.journal.requests_for("elevenlabs", SOCKET)[0]
        assert record.query["inactivity_timeout"] == ["180"]
        assert record.notes == []
        async with tts.open_speech(voice_settings=VoiceSettings.fast()) as speech:
            await speech.send("Two words. ")
            await speech.finish()
            clip = await speech.clip()
        assert [word.text for word in clip.words] == ["Two", "words."]
        assert clip.request_id == f"req_{record.id:012d}", "its socket's"
        assert clip.headers["request-id"] == clip.request_id
        assert clip.words[1].start == pytest.approx(0.24)
        assert sent(world)[-4]["voice_settings"]["stability"] == 0.35


@pytest.mark.parametrize("auto_mode", [False, True])
async def test_words_have_their_times_however_the_audio_is_cut(auto_mode: bool) -> None:
    """With ``sync_alignment`` each frame has its own part of the text: the words are the same."""
    async with speaking(Scenario(name="cut", speech_chunk_bytes=700)) as (_, tts):
        async with tts.open_speech(sync_alignment=True, auto_mode=auto_mode) as speech:
            await speech.send(ANSWER)
            await speech.finish()
            clip = await speech.clip()
        assert [word.text for word in clip.words] == ANSWER.split()
        for word in clip.words:
            at = ANSWER.index(word.text) * 0.06
            if ANSWER.count(word.text) == 1:
                assert word.start == pytest.approx(at, abs=0.01)


async def test_auto_mode_speaks_each_piece() -> None:
    """Without a schedule; flush does the same once."""
    async with speaking() as (world, tts):
        async with tts.open_speech(auto_mode=True) as speech:
            await speech.send("One. ")
            assert await anext(speech)
            await speech.send("Two. ")
            assert await anext(speech)
        async with tts.open_speech() as speech:
            await speech.send("Three")
            await speech.flush()
            assert await anext(speech)
        assert world.journal.requests_for("elevenlabs", SOCKET)[0].query["auto_mode"] == ["true"]


async def test_fifty_cancelled_utterances() -> None:
    """Back at the minimum, no socket or task more than before, and not a byte left over."""
    slow = Scenario(name="slow", speech_chunk_bytes=800, speech_real_time_factor=0.3)
    async with speaking(slow) as (world, tts):
        await tts.warm(2)
        assert await eventually(lambda: len(world.connections("elevenlabs")) == 4)
        tasks = len(library_tasks())
        for number in range(50):
            async with tts.open_speech() as speech:
                await speech.send(f"Utterance number {number} is cancelled. " + ANSWER)
                await speech.flush()
                if number % 3:
                    await anext(speech)
                await speech.cancel()
                assert [chunk async for chunk in speech] == []
                assert speech.cancelled
        said = f"The one after them. {ANSWER}"
        world.set_scenario(INSTANT)
        assert right(await say(tts, said), said)
        assert await eventually(
            lambda: (sockets(tts).open, sockets(tts).ready, sockets(tts).dialing) == (2, 2, 0)
        )
        assert await eventually(lambda: len(world.connections("elevenlabs")) == 4)
        assert await eventually(lambda: len(library_tasks()) <= tasks)
        assert call_tasks() == []


async def test_the_turn_after_a_barge_in_is_warm() -> None:
    """The socket of a cancelled utterance serves the next one: no handshake."""
    async with speaking() as (world, tts):
        for number in range(20):
            speech = await tts.open_speech()
            await speech.send(f"Number {number}. ")
            await speech.flush()
            await anext(speech)
            await speech.cancel()
            said = f"Turn {number}. "
            assert right(await say(tts, said), said)
        assert len(world.journal.requests_for("elevenlabs", SOCKET)) == 1


async def test_a_consumer_that_pauses_loses_nothing() -> None:
    """The reader never pauses, and limits do not count while nobody waits."""
    async with speaking(limits={"open_speech": Limits(first_output=5.0, gap=0.5)}) as (world, tts):
        text = ANSWER * 3
        async with tts.open_speech() as speech:
            await speech.send(text)
            await speech.finish()
            parts = [await anext(speech)]
            await asyncio.sleep(1.5)
            parts += [chunk async for chunk in speech]
        assert right(b"".join(parts), text)
        assert right(await say(tts, "And again. "), "And again. ")
        assert len(world.journal.requests_for("elevenlabs", SOCKET)) == 1


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("after", [0, 3])
async def test_a_hung_peer_is_noticed_within_the_limit(after: int, finished: bool) -> None:
    """Before any audio and in the middle of it; the socket is not used again."""
    limits = {"open_speech": SHORT}
    async with speaking(limits=limits) as (world, tts):
        world.inject("elevenlabs", Fault("ws_hang", after_events=after))
        async with tts.open_speech() as speech:
            await speech.send(ANSWER)
            if finished:
                await speech.finish()
            started = time.monotonic()
            with pytest.raises(VoicekitError) as caught:
                await heard(speech)
            assert time.monotonic() - started < 5.0
        error = caught.value
        if after:
            assert isinstance(error, StreamInterruptedError)
            assert isinstance(error.__cause__, GapTimeout)
            assert error.delivered_bytes > 0
        else:
            assert isinstance(error, FirstOutputTimeout)
        assert right(await say(tts, "Next. "), "Next. ")
        assert len(world.journal.requests_for("elevenlabs", SOCKET)) == 2


async def test_silence_is_fine_while_nothing_is_owed() -> None:
    """A model that thinks for longer than the gap limit is no fault of the voice."""
    async with speaking(limits={"open_speech": Limits(first_output=0.4, gap=0.4)}) as (_, tts):

        async def thinking() -> AsyncIterator[str]:
            await asyncio.sleep(0.6)
            yield "First. "
            await asyncio.sleep(0.6)
            yield ANSWER
            await asyncio.sleep(0.3)
            yield "Last. "

        clip = await tts.stream_speech(thinking()).clip()
        assert clip.duration == pytest.approx(len("First. " + ANSWER + "Last. ") * 0.06)


async def test_a_stale_pooled_socket_just_works() -> None:
    """The peer has gone while the event loop was busy: the session notices nothing of it."""
    with Emulator.in_thread(providers=("elevenlabs",), scenario=INSTANT) as world:
        async with speaking(base_url=world.elevenlabs.url) as (_, tts):
            for _ in range(5):
                assert (await tts.warm(3)).failures == ()
                before = sockets(tts).ready
                assert before >= 3
                _drop(world)
                time.sleep(0.05)  # blocks the loop, so that nobody can have noticed
                assert sockets(tts).ready == before
                assert right(await say(tts, "Hello again. "), "Hello again. ")


def _drop(world: Any) -> None:
    """Reset every connection at the server, sockets too."""

    def reset() -> None:
        for handler in list(world._world._ports["elevenlabs"].handlers):
            handler.drop("rst")

    world._call(reset)


async def test_idle_sockets_are_replaced_behind_the_scenes() -> None:
    """A network that drops what idles costs no turn a handshake."""
    link = Link(rtt=0.005, idle_cutoff=0.3)
    async with speaking(emulator={"link": link}) as (_, tts):
        await tts.warm(2)
        await asyncio.sleep(0.5)
        assert await eventually(lambda: sockets(tts).ready == 2)
        async with tts.open_speech() as speech:
            await speech.send("Warm. ")
            await speech.finish()
            assert right(await heard(speech), "Warm. ")
            assert speech.connection is not None
            assert speech.connection.reused


REFUSALS: list[tuple[Fault, type[VoicekitError]]] = [
    (Fault("ws_refuse", status=401), AuthenticationError),
    (Fault("ws_refuse", status=403), AuthenticationError),
    (Fault("ws_refuse", status=429), RateLimitError),
    (Fault("ws_refuse", status=503), UnavailableError),
    (Fault("status", status=401, body={"detail": {"status": "quota_exceeded"}}), QuotaError),
    (Fault("html"), InvalidRequestError),
    (Fault("silence"), DeadlineError),
]


@pytest.mark.parametrize(("fault", "kind"), REFUSALS, ids=lambda each: getattr(each, "kind", ""))
async def test_a_refused_handshake_is_typed(
    fault: Fault, kind: type[VoicekitError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over HTTP, raised where the session is opened, and the next one is fine."""
    from dataclasses import replace

    from voicekit.clients.elevenlabs import live

    quick = replace(live.DIAL, limits=limits_for(fault))
    monkeypatch.setattr(live, "DIAL", quick)
    async with speaking(policies=NO_POLICIES) as (world, tts):
        world.inject("elevenlabs", fault)
        with pytest.raises(kind) as caught:
            await tts.open_speech()
        assert caught.value.provider == "elevenlabs"
        assert right(await say(tts, "Fine. "), "Fine. ")
        assert await eventually(lambda: call_tasks() == [])


async def test_a_wrong_key_is_an_authentication_error() -> None:
    """Whatever the session was to do."""
    async with speaking() as (world, tts):
        from voicekit.clients.elevenlabs import ElevenLabsClient

        async with ElevenLabsClient("bad-key", base_url=world.elevenlabs.url, voice=VOICE) as wrong:
            with pytest.raises(AuthenticationError):
                await wrong.open_speech()
            report = await wrong.warm(1)
            assert report.failures == ("AuthenticationError",)
        assert right(await say(tts, "Fine. "), "Fine. ")


LOSSES: list[tuple[Fault, type[VoicekitError] | None]] = [
    (Fault("ws_close", code=1000), None),
    (Fault("ws_close", code=1011), None),
    (Fault("reset"), None),
    (Fault("close"), None),
    (Fault("in_stream_error"), None),
    (Fault("in_stream_error", body={"error": "quota_exceeded"}, code=1008), QuotaError),
    (Fault("in_stream_error", body={"error": "invalid_api_key"}, code=1008), AuthenticationError),
]


@pytest.mark.parametrize(("fault", "kind"), LOSSES, ids=lambda each: getattr(each, "kind", ""))
async def test_a_socket_lost_before_the_first_audio(
    fault: Fault, kind: type[VoicekitError] | None
) -> None:
    """The server's failures are said again, once, on a fresh socket; refusals are typed."""
    async with speaking() as (world, tts):
        world.inject("elevenlabs", fault)
        if kind is None:
            assert right(await say(tts, "Said twice. "), "Said twice. ")
            assert len(world.journal.requests_for("elevenlabs", SOCKET)) == 2
        else:
            with pytest.raises(kind) as caught:
                await say(tts, "Said twice. ")
            assert "Said" not in str(caught.value)
        assert right(await say(tts, "Fine. "), "Fine. ")
        assert await eventually(lambda: call_tasks() == [])


@pytest.mark.parametrize(
    "fault",
    [
        Fault("ws_close", code=1008, reason="quota_exceeded"),
        Fault("ws_garbage"),
        Fault("ws_garbage", body="not json"),
        Fault("ws_garbage", body=b"\x00\x01"),
        Fault("ws_huge_frame"),
        Fault("ws_close", code=1011),
        Fault("reset"),
    ],
    ids=lambda each: each.kind,
)
async def test_trouble_on_an_idle_socket_is_nobodys(fault: Fault) -> None:
    """It is replaced, or goes on if it can; the session that comes next is right."""
    async with speaking() as (world, tts):
        world.inject("elevenlabs", fault)
        await tts.warm(1)
        if fault.body is None:  # it cannot go on
            assert await eventually(lambda: sockets(tts).closed, within=10)
        assert await eventually(lambda: sockets(tts).ready == 1 and not sockets(tts).dialing)
        await asyncio.sleep(0.05)
        assert right(await say(tts, "Said once. "), "Said once. ")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("ws_garbage"),
        Fault("ws_garbage", body="not json"),
        Fault("ws_garbage", body=b"\x00\x01"),
        Fault("ws_huge_frame"),
    ],
    ids=lambda each: f"{each.kind}-{each.body}",
)
async def test_garbage_in_the_middle_is_typed(fault: Fault) -> None:
    """Memory stays bounded and the socket is not used again."""
    from dataclasses import replace

    async with speaking() as (world, tts):
        world.inject("elevenlabs", replace(fault, after_events=1))
        with pytest.raises(StreamInterruptedError) as caught:
            await say(tts, ANSWER)
        assert isinstance(caught.value.__cause__, RemoteProtocolError)
        assert right(await say(tts, "Fine. "), "Fine. ")
        assert len(world.journal.requests_for("elevenlabs", SOCKET)) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("ws_close", code=1000, after_events=3),
        Fault("ws_close", code=1011, after_events=3),
        Fault("reset", after_events=3),
        Fault("close", after_events=3),
        Fault("in_stream_error", after_events=3),
        Fault("ws_garbage", after_events=3),
        Fault("no_end_marker"),
    ],
    ids=lambda each: f"{each.kind}-{each.code}",
)
async def test_a_socket_lost_after_the_first_audio(fault: Fault) -> None:
    """Never said twice; what came is delivered and counted exactly."""
    async with speaking(limits={"open_speech": Limits(first_output=5.0, gap=1.0)}) as (world, tts):
        whole = await say(tts, ANSWER)
        world.inject("elevenlabs", fault)
        async with tts.open_speech(seed=1) as speech:  # another seed, hence another socket
            await speech.send(ANSWER)
            await speech.finish()
            got: list[bytes] = []

            async def read() -> None:
                async for chunk in speech:
                    got.append(chunk)

            with pytest.raises(StreamInterruptedError) as caught:
                await read()
        audio = b"".join(got)
        assert audio
        assert whole.startswith(audio)
        assert caught.value.delivered_bytes == len(audio)
        assert caught.value.delivered_s == pytest.approx(len(audio) / 16000)
        assert len(world.journal.requests_for("elevenlabs", SOCKET)) == 2


async def test_long_silence_before_the_text_keeps_the_context() -> None:
    """A sign of life goes out before the server loses patience."""
    async with speaking() as (world, tts):
        async with tts.open_speech(inactivity_timeout=1) as speech:
            await asyncio.sleep(1.3)
            await speech.send("Still here. ")
            await speech.finish()
            assert right(await heard(speech), "Still here. ")
        assert any(message.get("text") == "" for message in sent(world))
        assert len(world.journal.requests_for("elevenlabs", SOCKET)) == 1


async def test_too_slow_a_consumer_is_told() -> None:
    """Memory is bounded; what was buffered is delivered before the error."""
    async with speaking() as (_, tts), tts.open_speech(max_buffered_s=2.0) as speech:
        await speech.send(ANSWER)
        await speech.finish()
        await asyncio.sleep(0.2)
        got: list[bytes] = []

        async def read() -> None:
            async for chunk in speech:
                got.append(chunk)

        with pytest.raises(StreamInterruptedError) as caught:
            await read()
        assert isinstance(caught.value.__cause__, LocalProtocolError)
        assert sum(map(len, got)) == caught.value.delivered_bytes > 16_000


async def test_sessions_never_share_a_socket() -> None:
    """Twenty at once, each its own audio; beyond the bound they wait their turn."""
    async with speaking(pool=PoolConfig(max_connections=30, max_idle=30)) as (world, tts):
        texts = [f"This is speaker number {number}. " for number in range(20)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(say(tts, text)) for text in texts]
        for task, text in zip(tasks, texts, strict=True):
            assert right(task.result(), text)
        assert len(world.journal.requests_for("elevenlabs", SOCKET)) <= 20


async def test_all_sockets_taken() -> None:
    """The sixth of a small plan waits, a second at most."""
    async with speaking(pool=PoolConfig(max_connections=1, max_wait=0.05)) as (_, tts):
        first = await tts.open_speech()
        with pytest.raises(PoolTimeout):
            await tts.open_speech()
        await first.cancel()
        assert right(await say(tts, "Now. "), "Now. ")


async def test_idle_sockets_give_way() -> None:
    """Warmed sockets that serve nobody never keep a call out, and come back after it."""
    async with speaking(pool=PoolConfig(max_connections=4, max_wait=0.05)) as (_, tts):
        await tts.warm(4)
        assert sockets(tts).ready == 4
        async with asyncio.TaskGroup() as group:
            clips = [group.create_task(tts.synthesize(ANSWER)) for _number in range(4)]
        assert all(right(clip.result().data, ANSWER) for clip in clips)
        assert await eventually(lambda: sockets(tts).ready == 4)


async def test_a_spare_takes_no_warm_connection_over() -> None:
    """With every place taken, a socket that nobody waits for is not dialled at all."""
    async with speaking(pool=PoolConfig(max_connections=2)) as (world, tts):
        await tts.warm(2)
        await asyncio.gather(*(tts.synthesize(ANSWER) for _number in range(2)))
        assert await eventually(lambda: sockets(tts).ready == 2)
        assert tts.transport.stats().ready == 2, "idle connections that it could take"
        url = f"{world.elevenlabs.url.replace('http', 'ws')}/v1/text-to-speech/{VOICE}/stream-input"
        with pytest.raises(PoolTimeout):
            await tts.transport.dial_socket(Request("GET", url, {}), Call(DIAL), apart=True)
        assert tts.transport.stats().ready == 2


async def test_the_account_says_how_many() -> None:
    """Five sockets until a response says that the account has more; HTTP keeps its places."""
    async with speaking() as (_, tts):
        held = [await tts.open_speech() for _number in range(5)]
        sixth = asyncio.create_task(tts.open_speech().__aenter__())
        await asyncio.sleep(0.05)
        assert not sixth.done()
        assert (await tts.synthesize("Hello. ")).headers["maximum-concurrent-requests"] == "100"
        held.append(await sixth)
        held += [await tts.open_speech() for _number in range(9)]
        assert right((await tts.synthesize("Hello. ")).data, "Hello. ")
        for speech in held:
            await speech.cancel()


async def test_three_tasks() -> None:
    """Entered, fed, iterated and closed in different tasks: the same result."""
    async with speaking() as (_, tts):
        speech = tts.open_speech()
        await asyncio.create_task(speech.__aenter__())
        await asyncio.create_task(speech.send("Hello. "))
        await asyncio.create_task(speech.finish())
        audio = await asyncio.create_task(heard(speech))
        await asyncio.create_task(speech.__aexit__(None, None, None))
        assert right(audio, "Hello. ")


async def test_a_client_closed_under_its_sessions() -> None:
    """They end with an error; nothing waits for ever, nothing is left."""
    async with speaking() as (_, tts):
        speech = await tts.open_speech()
        await speech.send(ANSWER)
        waiting = asyncio.create_task(heard(tts.open_speech()))
        await asyncio.sleep(0.05)
        await tts.aclose()
        with pytest.raises(VoicekitError):
            await waiting
        with pytest.raises(VoicekitError):
            await speech.send("More. ")
        await speech.aclose()
        del speech, waiting
        gc.collect()
