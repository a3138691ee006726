"""The Deepgram twin over the wire: what it accepts, refuses, hears and when it says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from array import array
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from voicekit.emulator import Emulator, Fault, Scenario, g711
from voicekit.emulator.codecs import wav_header
from voicekit.emulator.providers.deepgram import Deepgram

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

KEY = {"Authorization": "Token k"}
RAW = {"model": "nova-3", "encoding": "linear16", "sample_rate": "16000"}
INSTANT = Scenario(name="test", heard="one two three four")


def tone(seconds: float, rate: int = 16000) -> bytes:
    samples = (round(8000 * math.sin(i / 5)) for i in range(round(seconds * rate)))
    return array("h", samples).tobytes()


def silence(seconds: float, rate: int = 16000) -> bytes:
    return bytes(2 * round(seconds * rate))


@asynccontextmanager
async def emulator(
    scenario: Scenario = INSTANT,
) -> AsyncIterator[tuple[Emulator, aiohttp.ClientSession]]:
    async with (
        Emulator(providers=("deepgram",), scenario=scenario) as world,
        aiohttp.ClientSession(world.deepgram.url) as session,
    ):
        yield world, session


@asynccontextmanager
async def listening(
    session: aiohttp.ClientSession, **query: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with session.ws_connect("/v1/listen", params={**RAW, **query}, headers=KEY) as ws:
        yield ws


async def send(ws: aiohttp.ClientWebSocketResponse, audio: bytes, *, frame: int = 640) -> None:
    for offset in range(0, len(audio), frame):
        await ws.send_bytes(audio[offset : offset + frame])


async def messages(
    ws: aiohttp.ClientWebSocketResponse, *, until: Any = None
) -> list[dict[str, Any]]:
    """Read messages until one fulfils `until`, or the socket closes."""
    got: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        async for message in ws:
            got.append(json.loads(message.data))
            if until is not None and until(got[-1]):
                break
    return got


async def closing(ws: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    await ws.send_json({"type": "CloseStream"})
    return await messages(ws)


def results(got: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in got if message["type"] == "Results"]


def said(got: list[dict[str, Any]]) -> str:
    finals = [each["channel"]["alternatives"][0] for each in results(got) if each["is_final"]]
    return " ".join(each["transcript"] for each in finals if each["transcript"])


async def outcome(world: Emulator) -> str | None:
    """Return how the last request ended, once its handler has returned."""
    async with asyncio.timeout(5):
        while world.journal.requests[-1].finished_at is None:
            await asyncio.sleep(0.005)
    return world.journal.requests[-1].outcome


async def test_close_stream_answers_everything() -> None:
    """CloseStream brings the final result, Metadata, and close 1000, in that order."""
    async with emulator() as (world, session), listening(session) as ws:
        await send(ws, tone(0.5))
        got = await closing(ws)
        assert [message["type"] for message in got] == ["Results", "Metadata"]
        final = got[0]
        assert (final["start"], final["duration"], final["is_final"]) == (0.0, 0.5, True)
        assert said(got) == "one two three four"
        words = final["channel"]["alternatives"][0]["words"]
        assert 0 <= words[0]["start"] < words[-1]["end"] <= 0.5
        assert got[1]["duration"] == 0.5
        assert got[1]["request_id"] == final["metadata"]["request_id"]
        assert ws.close_code == 1000
        assert await outcome(world) == "complete"


async def test_interims_every_second_replace_each_other() -> None:
    """Interims come about once a second for one start, and only when asked for."""
    async with emulator() as (_, session):
        async with listening(session, interim_results="true") as ws:
            await send(ws, tone(3.05))
            got = results(
                await messages(ws, until=lambda each: each["start"] + each["duration"] >= 3)
            )
            assert [each["is_final"] for each in got] == [False] * 3
            assert {each["start"] for each in got} == {0.0}
            assert [round(each["duration"]) for each in got] == [1, 2, 3]
        async with listening(session) as ws:
            await send(ws, tone(2.0))
            assert len(results(await closing(ws))) == 1


async def test_pause_ends_an_utterance() -> None:
    """Endpointing gives speech_final at a pause; word times go on counting in the stream."""
    async with emulator() as (_, session), listening(session) as ws:
        await send(ws, tone(0.6) + silence(0.6))
        first = (await messages(ws, until=lambda each: each["is_final"]))[-1]
        assert first["speech_final"]
        assert not first["from_finalize"]
        assert 0.9 <= first["duration"] <= 1.2
        await send(ws, tone(0.6) + silence(0.6))
        second = (await messages(ws, until=lambda each: each["is_final"]))[-1]
        assert second["start"] == pytest.approx(first["duration"])
        words = second["channel"]["alternatives"][0]["words"]
        assert words[0]["start"] >= second["start"]
        assert words[-1]["end"] <= second["start"] + second["duration"] + 0.001


async def test_endpointing_false_never_says_speech_final() -> None:
    """Without endpointing a pause freezes nothing."""
    async with emulator() as (_, session), listening(session, endpointing="false") as ws:
        await send(ws, tone(0.5) + silence(1.0) + tone(0.5))
        got = results(await closing(ws))
        assert [each["duration"] for each in got] == [2.0]


async def test_finalize() -> None:
    """Finalize answers what is buffered with from_finalize; with nothing buffered it is silent."""
    async with emulator() as (_, session), listening(session) as ws:
        await ws.send_json({"type": "Finalize"})
        await send(ws, tone(0.4), frame=700)
        await ws.send_json({"type": "Finalize"})
        got = await messages(ws, until=lambda each: each["from_finalize"])
        assert len(got) == 1
        assert (got[0]["is_final"], got[0]["duration"]) == (True, 0.4)
        await ws.send_json({"type": "Finalize"})
        assert [each["type"] for each in await closing(ws)] == ["Metadata"]


async def test_every_second_of_audio_is_covered_once() -> None:
    """Finals tile the stream without gap or overlap, also through unbroken speech."""
    async with emulator() as (_, session), listening(session) as ws:
        await send(ws, tone(11.0) + silence(1.0) + tone(0.7) + silence(6.5), frame=3200)
        got = results(await closing(ws))
        position = 0.0
        for each in got:
            assert each["start"] == pytest.approx(position)
            assert each["duration"] <= 10
            position += each["duration"]
        assert position == pytest.approx(19.2)
        assert said(got) == "one two three four one two three four"


async def test_latency_overlaps_decoding() -> None:
    """A final leaves after the scenario's latency, counted from when it fell due."""
    scenario = Scenario(name="slow", transcript_final=0.2)
    async with emulator(scenario) as (_, session), listening(session) as ws:
        await send(ws, tone(0.2))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await ws.send_json({"type": "Finalize"})
        await messages(ws, until=lambda each: each["is_final"])
        assert 0.2 <= loop.time() - began < 0.4


async def test_vad_events_and_utterance_end() -> None:
    """SpeechStarted when speech begins; UtteranceEnd after the gap asked for, past its result."""
    options = {"vad_events": "true", "interim_results": "true", "utterance_end_ms": "1000"}
    async with emulator() as (_, session), listening(session, **options) as ws:
        await send(ws, silence(0.5) + tone(0.5) + silence(1.5))
        got = await messages(ws, until=lambda each: each["type"] == "UtteranceEnd")
        kinds = [each["type"] for each in got]
        assert kinds.index("SpeechStarted") < kinds.index("UtteranceEnd")
        started = got[kinds.index("SpeechStarted")]
        assert started["timestamp"] == pytest.approx(0.5, abs=0.05)
        assert any(each["speech_final"] for each in results(got))
        words = [
            word for each in results(got) for word in each["channel"]["alternatives"][0]["words"]
        ]
        assert got[-1]["last_word_end"] == pytest.approx(words[-1]["end"], abs=0.01)


@pytest.mark.parametrize("encoding", ["linear16", "linear32", "mulaw", "alaw", "wav"])
async def test_encodings(encoding: str) -> None:
    """Every raw encoding and a WAV are as long as the speech in them."""
    pcm = tone(0.5, 8000)
    query = {"encoding": encoding, "sample_rate": "8000"}
    match encoding:
        case "linear32":
            data = b"".join(b"\0\0" + pcm[at : at + 2] for at in range(0, len(pcm), 2))
        case "mulaw" | "alaw":
            data = g711.encode(encoding, pcm)
        case "wav":
            data, query = wav_header(8000, len(pcm)) + pcm, {}
        case _:
            data = pcm
    async with emulator() as (_, session):
        params = {"model": "nova-3", **query}
        async with session.ws_connect("/v1/listen", params=params, headers=KEY) as ws:
            await send(ws, data, frame=333)
            got = await closing(ws)
            assert results(got)[0]["duration"] == 0.5


async def test_multichannel_keeps_channels_apart() -> None:
    """With multichannel each channel has its results; without, channels are mixed."""
    left, right = array("h", tone(0.5)), array("h", silence(0.5))
    stereo = array("h", [sample for pair in zip(left, right, strict=True) for sample in pair])
    async with emulator() as (_, session):
        async with listening(session, channels="2", multichannel="true", vad_events="true") as ws:
            await send(ws, stereo.tobytes(), frame=1001)
            got = await closing(ws)
            assert [each["channel_index"] for each in results(got)] == [[0, 2], [1, 2]]
            started = [each["channel"] for each in got if each["type"] == "SpeechStarted"]
            assert started == [[0, 2]]
            assert got[-1]["channels"] == 2
        async with listening(session, channels="2") as ws:
            await send(ws, stereo.tobytes())
            got = await closing(ws)
            assert [each["duration"] for each in results(got)] == [0.5]


async def test_formatting_options() -> None:
    """smart_format punctuates, diarize adds speakers, replace replaces, multi names languages."""
    options = {
        "smart_format": "true",
        "diarize_model": "latest",
        "replace": "two:2",
        "language": "multi",
    }
    async with emulator() as (_, session), listening(session, **options) as ws:
        await send(ws, tone(0.5))
        alternative = results(await closing(ws))[0]["channel"]["alternatives"][0]
        assert alternative["transcript"] == "One 2 three four."
        assert alternative["languages"] == ["en"]
        assert alternative["words"][-1]["punctuated_word"] == "four."
        assert {word["speaker"] for word in alternative["words"]} == {0}


async def test_silence_without_frames_is_net_0001(monkeypatch: pytest.MonkeyPatch) -> None:
    """No audio and no text: 1011 with the prose that names net0001."""
    monkeypatch.setattr(Deepgram, "time_scale", 0.02)
    async with emulator() as (_, session), listening(session) as ws:
        await send(ws, tone(0.1))
        await messages(ws)
        assert ws.close_code == 1011


async def test_keepalive_needs_audio_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """KeepAlive holds a stream open once audio has come, and not before."""
    monkeypatch.setattr(Deepgram, "time_scale", 0.03)
    async with emulator() as (_, session):
        for audio_first in (True, False):
            async with listening(session) as ws:
                if audio_first:
                    await ws.send_bytes(silence(0.02))
                for _ in range(6):
                    await asyncio.sleep(0.1)
                    if not ws.closed:
                        with contextlib.suppress(ConnectionError):
                            await ws.send_json({"type": "KeepAlive"})
                with contextlib.suppress(ConnectionError):
                    await ws.send_json({"type": "CloseStream"})
                await messages(ws)
                assert ws.close_code == (1000 if audio_first else 1011)


async def test_empty_frame_ends_the_stream() -> None:
    """A zero-length binary frame closes, as a CloseStream would."""
    async with emulator() as (_, session), listening(session) as ws:
        await send(ws, tone(0.2))
        await ws.send_bytes(b"")
        assert [each["type"] for each in await messages(ws)] == ["Results", "Metadata"]
        assert ws.close_code == 1000


async def test_undecodable_payloads_are_1008() -> None:
    """JSON in a binary frame, and a container that is none, close with DATA-0000."""
    async with emulator() as (_, session):
        async with listening(session) as ws:
            await ws.send_bytes(b'{"type": "KeepAlive"}')
            await messages(ws)
            assert ws.close_code == 1008
        async with session.ws_connect("/v1/listen", params={"model": "nova-3"}, headers=KEY) as ws:
            await ws.send_bytes(b"OggS" + bytes(100))
            await messages(ws)
            assert ws.close_code == 1008


async def test_unknown_text_is_an_error_message() -> None:
    """A text frame outside the grammar is answered with an Error and changes nothing."""
    async with emulator() as (_, session), listening(session) as ws:
        await ws.send_str("hello")
        await ws.send_json({"type": "Dance"})
        got = await closing(ws)
        assert [each["type"] for each in got] == ["Error", "Error", "Metadata"]


async def test_configure() -> None:
    """Configure replaces key terms on nova-3 and fails on others, by the documented codes."""
    async with emulator() as (_, session):
        async with listening(session) as ws:
            await ws.send_json({"type": "Configure", "keyterms": ["voicekit"]})
            await ws.send_json({"type": "Configure", "features": {"numerals": True}})
            await ws.send_json({"type": "Configure", "keyterms": ["a b"] * 251})
            got = await closing(ws)
            assert [each["type"] for each in got[:3]] == [
                "ConfigureSuccess",
                "ConfigureSuccess",
                "ConfigureFailure",
            ]
            assert got[1]["keyterms"] == ["voicekit"]
            assert got[2]["code"] == "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
        async with listening(session, model="nova-2") as ws:
            await ws.send_json({"type": "Configure", "keyterms": ["voicekit"]})
            assert (await closing(ws))[0]["code"] == "CONFIGURE_KEYTERMS_NOT_SUPPORTED"


@pytest.mark.parametrize(
    "query",
    [
        {"model": "flux-general-en"},
        {"model": "whisper-large"},
        {"model": "nova-3-phonecall"},
        {"shiny": "1"},
        {"encoding": "wax"},
        {"encoding": "opus"},
        {"sample_rate": "fast"},
        {"interim_results": "maybe"},
        {"endpointing": "-1"},
        {"utterance_end_ms": "1000"},
        {"diarize_model": "v2"},
        {"redact": "faces"},
        {"language": "klingon is fun"},
        {"tag": "t" * 129},
        {"model": "nova-2", "keyterm": "voicekit"},
        {"callback_method": "GET"},
        {"channels": "99"},
    ],
)
async def test_refused_parameters(query: dict[str, str]) -> None:
    """What the vendor documents as invalid is a 400 with dg-error and dg-request-id."""
    async with emulator() as (world, session):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect("/v1/listen", params={**RAW, **query}, headers=KEY)
        assert refused.value.status == 400
        assert refused.value.headers is not None
        assert refused.value.headers["dg-error"]
        assert refused.value.headers["dg-request-id"]
        assert await outcome(world) == "refused"


async def test_raw_encoding_needs_a_sample_rate() -> None:
    """An encoding without its sample rate is refused."""
    async with emulator() as (_, session):
        params = {"model": "nova-3", "encoding": "linear16"}
        with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
            await session.ws_connect("/v1/listen", params=params, headers=KEY)


@pytest.mark.parametrize(
    ("headers", "protocols", "chosen"),
    [
        ({"Authorization": "token k"}, (), None),
        ({"Authorization": "BEARER jwt"}, (), None),
        ({}, ("token", "k"), "token"),
        ({}, ("bearer", "jwt"), "bearer"),
    ],
)
async def test_credentials(
    headers: dict[str, str], protocols: tuple[str, ...], chosen: str | None
) -> None:
    """Token and bearer, in any case, by header or by subprotocol, which is echoed."""
    async with (
        emulator() as (_, session),
        session.ws_connect("/v1/listen", params=RAW, headers=headers, protocols=protocols) as ws,
    ):
        assert ws.protocol == chosen
        await closing(ws)


async def test_bad_credentials() -> None:
    """No key and the bad key are 401 with the legacy body, at a handshake and on a GET."""
    async with emulator() as (world, session):
        for headers in ({}, {"Authorization": "Token bad-key"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect("/v1/listen", params=RAW, headers=headers)
            assert refused.value.status == 401
            async with session.get("/v1/auth/token", headers=headers) as response:
                assert response.status == 401
                assert (await response.json())["err_code"] == "INVALID_AUTH"
        assert "bad-key" not in json.dumps(world.journal.to_json())


async def test_health_endpoints() -> None:
    """The GETs used for warm-up and health answer with a request id."""
    async with emulator() as (_, session):
        for path in ("/v1/auth/token", "/v1/models"):
            async with session.get(path, headers=KEY) as response:
                assert response.status == 200
                assert response.headers["dg-request-id"]
        async with session.get("/v1/nothing", headers=KEY) as response:
            assert (response.status, await response.text()) == (404, "Not Found")
        async with session.get("/v1/listen", headers=KEY) as response:
            assert response.status == 400


async def test_one_stream_too_many_is_429(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the project's limit a handshake is refused at once; a closed stream frees a place."""
    monkeypatch.setattr(Deepgram, "max_streams", 1)
    async with emulator() as (world, session):
        async with listening(session) as ws:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                await session.ws_connect("/v1/listen", params=RAW, headers=KEY)
            await closing(ws)
        async with asyncio.timeout(5):
            while world.journal.requests[0].finished_at is None:
                await asyncio.sleep(0.005)
        async with listening(session) as ws:
            assert not ws.closed


async def test_faults_inside_a_stream() -> None:
    """An Error with 1011, a stream without its Metadata, and a scripted close code."""
    async with emulator() as (world, session):
        world.inject("deepgram", Fault("in_stream_error"))
        async with listening(session) as ws:
            await send(ws, tone(0.2))
            got = await closing(ws)
            assert [each["type"] for each in got] == ["Error"]
            assert ws.close_code == 1011
        world.inject("deepgram", Fault("no_end_marker"))
        async with listening(session) as ws:
            await send(ws, tone(0.2))
            assert [each["type"] for each in await closing(ws)] == ["Results"]
        world.inject("deepgram", Fault("ws_close", after_events=1, code=1011, reason="NET-0000"))
        async with listening(session) as ws:
            await send(ws, tone(0.2))
            got = await closing(ws)
            assert len(got) == 1
            assert ws.close_code == 1011
        assert await outcome(world) == "fault"


async def test_leaving_client_leaves_nothing_running() -> None:
    """When the client drops the socket, every task of its session ends."""
    async with emulator(Scenario(name="slow", transcript_final=30.0)) as (_, session):
        async with listening(session, interim_results="true") as ws:
            await send(ws, tone(1.5))
            await ws.send_json({"type": "Finalize"})
            await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            name = "voicekit emulator deepgram"
            while any(task.get_name().startswith(name) for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)
