"""The ElevenLabs twin over the wire: what it accepts, refuses, speaks and when."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.emulator.material import check_tones
from voicekit.emulator.providers.elevenlabs import UNKNOWN_VOICE, ElevenLabs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

VOICE = "21m00Tcm4TlvDq8ikWAM"
KEY = {"xi-api-key": "k"}
INSTANT = Scenario(name="test", speech_chunk_bytes=4096)


@asynccontextmanager
async def emulator(
    scenario: Scenario = INSTANT,
) -> AsyncIterator[tuple[Emulator, aiohttp.ClientSession]]:
    async with (
        Emulator(providers=("elevenlabs",), scenario=scenario) as world,
        aiohttp.ClientSession(world.elevenlabs.url) as session,
    ):
        yield world, session


async def post(
    session: aiohttp.ClientSession, path: str = "/stream", **options: Any
) -> tuple[aiohttp.ClientResponse, bytes]:
    options.setdefault("headers", KEY)
    async with session.post(f"/v1/text-to-speech/{VOICE}{path}", **options) as response:
        return response, await response.read()


@asynccontextmanager
async def speaking(
    session: aiohttp.ClientSession, kind: str = "multi-stream-input", **query: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    params = {"model_id": "eleven_flash_v2_5", "output_format": "pcm_16000", **query}
    path = f"/v1/text-to-speech/{VOICE}/{kind}"
    async with session.ws_connect(path, params=params, headers=KEY, max_msg_size=0) as ws:
        yield ws


async def frames(ws: aiohttp.ClientWebSocketResponse, *, until: Any = None) -> list[dict[str, Any]]:
    """Read frames until one fulfils `until`, or the socket closes."""
    got: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        async for message in ws:
            got.append(json.loads(message.data))
            if until is not None and until(got[-1]):
                break
    return got


def audio_of(got: list[dict[str, Any]], context: str | None = None) -> bytes:
    return b"".join(
        base64.b64decode(frame["audio"])
        for frame in got
        if frame.get("audio") and (context is None or frame["contextId"] == context)
    )


def final_of(context: str) -> Any:
    return lambda frame: frame.get("isFinal") is True and frame["contextId"] == context


def text_of(got: list[dict[str, Any]]) -> str:
    return "".join("".join(frame["alignment"]["chars"]) for frame in got if frame.get("alignment"))


async def outcome(world: Emulator) -> str | None:
    """Return how the last request ended, once its handler has returned."""
    async with asyncio.timeout(5):
        while world.journal.requests[-1].finished_at is None:
            await asyncio.sleep(0.005)
    return world.journal.requests[-1].outcome


# -- HTTP ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/stream"])
async def test_http_speech_is_the_text_in_the_format(path: str) -> None:
    """The body is exactly the voice's audio; headers carry cost, concurrency and the request id."""
    async with emulator() as (world, session):
        response, body = await post(
            session,
            path,
            params={"output_format": "pcm_16000"},
            json={"text": "Hello there.", "model_id": "eleven_flash_v2_5"},
        )
        assert response.status == 200
        assert check_tones(body, ["Hello there."], voice_id=VOICE, sample_rate=16000) is None
        assert response.headers["Content-Type"] == "audio/pcm"
        assert response.headers["character-cost"] == "12"
        assert response.headers["current-concurrent-requests"] == "1"
        assert int(response.headers["maximum-concurrent-requests"]) >= 1
        assert response.headers["request-id"]
        record = world.journal.requests_for("elevenlabs")[0]
        assert world.journal.audio(record) == body
        assert record.outcome == "complete"


async def test_chunks_may_split_a_sample() -> None:
    """An odd chunk size is written as it is: network chunks do not respect samples."""
    async with emulator(Scenario(name="odd", speech_chunk_bytes=1001)) as (_, session):
        sizes = []
        async with session.post(
            f"/v1/text-to-speech/{VOICE}/stream",
            params={"output_format": "pcm_8000"},
            json={"text": "Odd."},
            headers=KEY,
        ) as response:
            async for chunk, _ in response.content.iter_chunks():
                sizes.append(len(chunk))
        assert sum(sizes) == 4 * 60 * 8 * 2
        assert 1001 in sizes


@pytest.mark.parametrize(
    ("output_format", "content_type"),
    [
        ("ulaw_8000", "audio/basic"),
        ("mp3_44100_128", "audio/mpeg"),
        ("pcm_48000", "audio/pcm"),
        ("wav_16000", "audio/wav"),
    ],
)
async def test_formats(output_format: str, content_type: str) -> None:
    """Every format that is served carries its own content type."""
    if output_format.startswith("mp3"):
        pytest.importorskip("lameenc")
    async with emulator() as (_, session):
        response, body = await post(
            session, "", params={"output_format": output_format}, json={"text": "Hello."}
        )
        assert (response.status, response.headers["Content-Type"]) == (200, content_type)
        assert body


@pytest.mark.parametrize(
    ("path", "output_format", "status"),
    [("", "opus_48000_32", 400), ("/stream", "wav_16000", 422), ("", "flac_16000", 422)],
)
async def test_a_format_that_cannot_be_made_is_refused(
    path: str, output_format: str, status: int
) -> None:
    """Opus, a container on the stream and a made-up name get a 4xx, never another format."""
    async with emulator() as (_, session):
        response, body = await post(
            session, path, params={"output_format": output_format}, json={"text": "Hello."}
        )
        assert response.status == status
        assert "detail" in json.loads(body)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["body", "text"]),
        ({"text": 5}, ["body", "text"]),
        ({"text": "a", "seed": -1}, ["body", "seed"]),
        (
            {"text": "a", "voice_settings": {"stability": 7}},
            ["body", "voice_settings", "stability"],
        ),
        ({"text": "a", "apply_text_normalization": "maybe"}, ["body", "apply_text_normalization"]),
        ({"text": "a", "previous_request_ids": list("abcd")}, ["body", "previous_request_ids"]),
        (
            {"text": "a", "pronunciation_dictionary_locators": [{}] * 4},
            ["body", "pronunciation_dictionary_locators"],
        ),
        ([], ["body"]),
    ],
)
async def test_schema_failures_are_422_lists(body: Any, where: list[str]) -> None:
    """A schema failure is the vendor's 422 with a list that names the place."""
    async with emulator() as (world, session):
        response, answer = await post(session, json=body)
        assert response.status == 422
        assert json.loads(answer)["detail"][0]["loc"] == where
        assert world.journal.requests[0].outcome == "refused"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"text": " "}, "invalid_parameters"),
        ({"text": "a" * 10_001}, "max_character_limit_exceeded"),
        ({"text": "a" * 40_001, "model_id": "eleven_flash_v2_5"}, "max_character_limit_exceeded"),
        ({"text": "a", "model_id": "eleven_v3", "previous_text": "b"}, "unsupported_parameter"),
        (
            {"text": "a", "model_id": "eleven_flash_v2_5", "apply_text_normalization": "on"},
            "unsupported_parameter",
        ),
    ],
)
async def test_limits_are_400_objects(body: Any, code: str) -> None:
    """A documented limit is a 400 whose detail has code, status, message and request id."""
    async with emulator() as (_, session):
        response, answer = await post(session, json=body)
        detail = json.loads(answer)["detail"]
        assert response.status == 400
        assert detail["code"] == detail["status"] == code
        assert detail["request_id"] == response.headers["request-id"]


async def test_ignored_advice_is_noted_not_refused() -> None:
    """Deprecated options, a disputed speed and unknown fields are answered, and noted."""
    async with emulator() as (world, session):
        response, _ = await post(
            session,
            params={"output_format": "pcm_8000", "optimize_streaming_latency": "3", "shiny": "1"},
            json={"text": "a", "voice_settings": {"speed": 2.0}, "sparkle": True},
        )
        assert response.status == 200
        notes = " ".join(world.journal.requests[0].notes)
        for word in ("optimize_streaming_latency", "shiny", "speed", "sparkle", "model_id"):
            assert word in notes


async def test_keys_and_voices() -> None:
    """No key and the bad key get 401; a voice that does not exist gets voice_not_found."""
    async with emulator() as (world, session):
        for headers in ({}, {"xi-api-key": "bad-key"}, {"Authorization": "bearer bad-key"}):
            response, answer = await post(session, json={"text": "a"}, headers=headers)
            assert response.status == 401
            assert json.loads(answer)["detail"]["status"]
        async with session.post(
            f"/v1/text-to-speech/{UNKNOWN_VOICE}", json={"text": "a"}, headers=KEY
        ) as response:
            assert (response.status, (await response.json())["detail"]["code"]) == (
                400,
                "voice_not_found",
            )
        assert "bad-key" not in json.dumps(world.journal.to_json())


async def test_models_and_voices() -> None:
    """The warm-up GETs list what speech accepts."""
    async with emulator() as (_, session):
        async with session.get("/v1/models", headers=KEY) as response:
            models = {model["model_id"]: model for model in await response.json()}
        assert models["eleven_flash_v2_5"]["maximum_text_length_per_request"] == 40_000
        async with session.get("/v1/voices", headers=KEY) as response:
            assert (await response.json())["voices"][0]["voice_id"]


async def test_beyond_plan_and_queue_is_429(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests above the limit wait their turn; above the queue they get 429 at once."""
    monkeypatch.setattr(ElevenLabs, "maximum_concurrent", 1)
    monkeypatch.setattr(ElevenLabs, "queue_depth", 1)
    async with emulator(Scenario(name="slow", speech_first_audio=0.1)) as (_, session):
        speech: Any = {"params": {"output_format": "pcm_16000"}, "json": {"text": "a"}}
        answers = await asyncio.gather(*(post(session, **speech) for _ in range(3)))
        assert sorted(response.status for response, _ in answers) == [200, 200, 429]
        refused = next(
            json.loads(body)["detail"] for response, body in answers if response.status == 429
        )
        assert refused["code"] == "concurrent_limit_exceeded"
        assert refused["status"] == "too_many_concurrent_requests"
        response, _ = await post(session, **speech)
        assert response.status == 200


async def test_whole_speech_is_sent_when_all_of_it_is_there() -> None:
    """The plain endpoint answers after whole synthesis, with a WAV header that knows its length."""
    scenario = Scenario(name="paced", speech_real_time_factor=0.25, speech_chunk_bytes=1600)
    async with emulator(scenario) as (_, session):
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with session.post(
            f"/v1/text-to-speech/{VOICE}",
            params={"output_format": "wav_16000"},
            json={"text": "a" * 40},
            headers=KEY,
        ) as response:
            first = loop.time() - began
            body = await response.read()
            rest = loop.time() - began - first
        assert first >= 0.6  # 2.4 s of audio at 0.25
        assert rest < 0.5
        assert int.from_bytes(body[40:44], "little") == len(body) - 44 == 40 * 60 * 16 * 2


async def test_pace_of_the_scenario() -> None:
    """First audio waits for its latency; the rest comes at the real-time factor."""
    scenario = Scenario(
        name="paced",
        speech_first_audio=0.05,
        speech_first_audio_cold=0.5,
        speech_real_time_factor=0.2,
        speech_chunk_bytes=1600,
    )
    async with emulator(scenario) as (world, session):
        loop = asyncio.get_running_loop()
        firsts, totals = [], []
        for _ in range(2):
            began = loop.time()
            async with session.post(
                f"/v1/text-to-speech/{VOICE}/stream",
                params={"output_format": "pcm_16000"},
                json={"text": "a" * 20},
                headers=KEY,
            ) as response:
                await response.content.readany()
                firsts.append(loop.time() - began)
                await response.read()
                totals.append(loop.time() - began)
        assert len(world.journal.connections) == 1
        assert 0.5 <= firsts[0] < 1.0
        assert 0.05 <= firsts[1] < 0.45
        assert totals[1] - firsts[1] >= 0.15  # 1.2 s of audio at 0.2


# -- stream-input --------------------------------------------------------------------------


async def test_single_context_to_the_end() -> None:
    """Init with null settings, text, empty text: all audio in order, final, close 1000."""
    async with emulator() as (world, session), speaking(session, "stream-input") as ws:
        await ws.send_json(
            {
                "text": " ",
                "voice_settings": None,
                "generation_config": {"chunk_length_schedule": [50]},
            }
        )
        first = "The quick brown fox jumps over the lazy dog, twice. "
        await ws.send_json({"text": first})
        await ws.send_json({"text": "And rests. "})
        await ws.send_json({"text": ""})
        got = await frames(ws)
        assert got[-1] == {"audio": None, "isFinal": True}
        assert ws.close_code == 1000
        assert (
            check_tones(audio_of(got), [first, "And rests. "], voice_id=VOICE, sample_rate=16000)
            is None
        )
        assert all(frame["isFinal"] is None for frame in got[:-1])
        assert text_of(got) == first + "And rests. "
        assert await outcome(world) == "complete"


async def test_first_audio_before_character_sixty_of_a_slow_text() -> None:
    """With a schedule that starts at 50, audio comes while the text is still being written."""
    async with emulator() as (_, session), speaking(session) as ws:
        await ws.send_json(
            {
                "text": " ",
                "context_id": "c",
                "generation_config": {"chunk_length_schedule": [50, 120]},
            }
        )
        for _ in range(11):
            await ws.send_json({"text": "word ", "context_id": "c"})
        got = await frames(ws, until=lambda frame: frame.get("audio"))
        assert text_of(got) == "word " * 10


async def test_default_schedule_holds_back_119_characters() -> None:
    """Without a schedule of its own, a context waits for 120 characters."""
    async with emulator() as (world, session), speaking(session) as ws:
        await ws.send_json({"text": " ", "context_id": "c"})
        await ws.send_json({"text": "a" * 118 + " ", "context_id": "c"})
        await ws.send_json({"text": " ", "context_id": "d"})
        await ws.send_json({"text": "Go. ", "context_id": "d", "flush": True})
        got = await frames(ws, until=lambda frame: frame["contextId"] == "d")
        assert all(frame["contextId"] == "d" for frame in got)
        await ws.send_json({"text": "b", "context_id": "c"})
        got = await frames(ws, until=lambda frame: frame["contextId"] == "c")
        assert got
        assert world.journal.speech_texts() == ["a" * 118 + " b", "Go."]


async def test_alignment_per_frame() -> None:
    """With sync_alignment each frame carries its own characters, timed from its own start."""
    async with emulator() as (_, session), speaking(session, sync_alignment="true") as ws:
        await ws.send_json({"text": " ", "context_id": "c"})
        await ws.send_json({"text": "Hello there, you. ", "context_id": "c", "flush": True})
        await ws.send_json({"context_id": "c", "close_context": True})
        got = await frames(ws, until=final_of("c"))
        aligned = [frame["alignment"] for frame in got if frame.get("alignment")]
        assert len(aligned) > 3
        assert "".join("".join(each["chars"]) for each in aligned) == "Hello there, you. "
        assert all(each["charStartTimesMs"][0] < 128 for each in aligned)


async def test_auto_mode_speaks_every_message() -> None:
    """With auto_mode no schedule holds anything back."""
    async with emulator() as (_, session), speaking(session, auto_mode="true") as ws:
        await ws.send_json({"text": " ", "context_id": "c"})
        await ws.send_json({"text": "Hi. ", "context_id": "c"})
        got = await frames(ws, until=lambda frame: frame.get("audio"))
        assert text_of(got) == "Hi. "


@pytest.mark.parametrize("kind", ["stream-input", "multi-stream-input"])
async def test_changed_settings_close_the_socket(kind: str) -> None:
    """Settings that come after the first message are an error frame and 1008."""
    async with emulator() as (_, session), speaking(session, kind) as ws:
        await ws.send_json({"text": " "})
        await ws.send_json({"text": "a ", "voice_settings": {"stability": 0.1}})
        got = await frames(ws)
        assert "voice_settings" in got[-1]["message"]
        assert (got[-1]["code"], ws.close_code) == (1008, 1008)


@pytest.mark.parametrize("kind", ["stream-input", "multi-stream-input"])
async def test_silent_client_is_closed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a message for the inactivity timeout: an error frame, then 1008."""
    monkeypatch.setattr(ElevenLabs, "time_scale", 0.01)
    async with emulator() as (_, session), speaking(session, kind) as ws:
        got = await frames(ws)
        assert got[-1]["error"] == "input_timeout_exceeded"
        assert "20.0 seconds" in got[-1]["message"]
        assert ws.close_code == 1008


async def test_key_in_the_first_message() -> None:
    """A socket opened without a key takes it from the first message, and refuses without."""
    async with emulator() as (_, session):
        path = f"/v1/text-to-speech/{VOICE}/stream-input?output_format=pcm_16000"
        for message, code in (
            ({"text": " ", "xi_api_key": "k"}, 1000),
            ({"text": " ", "authorization": "Bearer j"}, 1000),
            ({"text": " "}, 1008),
            ({"text": " ", "xi-api-key": "bad-key"}, 1008),
        ):
            async with session.ws_connect(path) as ws:
                await ws.send_json(message)
                await ws.send_json({"text": ""})
                await frames(ws)
                assert ws.close_code == code


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ({}, {"xi-api-key": "bad-key"}, 401),
        ({"output_format": "pcm_48000"}, KEY, 422),
        ({"output_format": "opus_48000_32"}, KEY, 400),
        ({"inactivity_timeout": "181"}, KEY, 422),
        ({"auto_mode": "perhaps"}, KEY, 422),
        ({"model_id": "eleven_v3"}, KEY, 400),
    ],
)
async def test_refused_handshakes(
    query: dict[str, str], headers: dict[str, str], status: int
) -> None:
    """What cannot work is refused before the upgrade, with the vendor's body."""
    async with emulator() as (_, session):
        path = f"/v1/text-to-speech/{VOICE}/multi-stream-input"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(path, params=query, headers=headers)
        assert refused.value.status == status


# -- multi-stream-input --------------------------------------------------------------------


async def test_contexts_are_independent() -> None:
    """Two contexts interleave; each gets exactly its own audio and its own final."""
    async with emulator() as (_, session), speaking(session) as ws:
        texts = {"one": "First context here. ", "two": "Second context there. "}
        for context, text in texts.items():
            await ws.send_json({"text": " ", "context_id": context})
            await ws.send_json({"text": text, "context_id": context, "flush": True})
        for context in texts:
            await ws.send_json({"context_id": context, "close_context": True})
        await ws.send_json({"close_socket": True})
        got = await frames(ws)
        for context, text in texts.items():
            assert (
                check_tones(audio_of(got, context), [text], voice_id=VOICE, sample_rate=16000)
                is None
            )
            assert sum(final_of(context)(frame) for frame in got) == 1
        assert ws.close_code == 1000


async def test_empty_text_is_a_keepalive_here() -> None:
    """Empty text neither ends a context nor the socket; without an id it opens nothing."""
    async with emulator() as (_, session), speaking(session) as ws:
        await ws.send_json({"text": ""})
        for number in range(4):
            await ws.send_json({"text": " ", "context_id": f"other{number}"})
        await ws.send_json({"text": " ", "context_id": "c"})
        await ws.send_json({"text": "", "context_id": "c"})
        await ws.send_json({"text": "Still here. ", "context_id": "c", "flush": True})
        got = await frames(ws, until=lambda frame: frame.get("audio"))
        assert got[0]["contextId"] == "c"


async def test_sixth_context_ends_the_socket() -> None:
    """Five contexts may live; the sixth gets max_active_conversations and kills all."""
    async with emulator() as (_, session), speaking(session) as ws:
        for number in range(6):
            await ws.send_json({"text": " ", "context_id": f"c{number}"})
        got = await frames(ws)
        assert got[-1]["error"] == "max_active_conversations"
        assert ws.close_code == 1008


async def test_closed_contexts_free_their_places() -> None:
    """Twenty contexts in a row are fine as long as five are open at most."""
    async with emulator() as (_, session), speaking(session) as ws:
        for number in range(20):
            await ws.send_json({"text": " ", "context_id": f"c{number}"})
            await ws.send_json({"context_id": f"c{number}", "close_context": True})
        await ws.send_json({"close_socket": True})
        got = await frames(ws)
        assert [frame["contextId"] for frame in got] == [f"c{number}" for number in range(20)]
        assert ws.close_code == 1000


async def test_closing_a_context_lets_its_piece_come_but_no_more() -> None:
    """After close_context the audio under way still arrives; unflushed text is never spoken."""
    scenario = Scenario(name="slow", speech_first_audio=0.1, speech_chunk_bytes=3200)
    async with emulator(scenario) as (_, session), speaking(session) as ws:
        await ws.send_json({"text": " ", "context_id": "c"})
        await ws.send_json({"text": "a" * 120, "context_id": "c"})
        await ws.send_json({"text": "never spoken ", "context_id": "c"})
        await asyncio.sleep(0.02)
        await ws.send_json({"context_id": "c", "close_context": True})
        await ws.send_json({"text": " ", "context_id": "d"})
        await ws.send_json({"text": "Next. ", "context_id": "d", "flush": True})
        await ws.send_json({"context_id": "d", "close_context": True})
        got = await frames(ws, until=final_of("d"))
        got += (
            []
            if any(final_of("c")(frame) for frame in got)
            else await frames(ws, until=final_of("c"))
        )
        late = check_tones(audio_of(got, "c"), ["a" * 120], voice_id=VOICE, sample_rate=16000)
        assert late is None
        assert (
            check_tones(audio_of(got, "d"), ["Next. "], voice_id=VOICE, sample_rate=16000) is None
        )


@pytest.mark.parametrize("flush", [False, True])
async def test_flushed_text_goes_on_after_close_context(flush: bool) -> None:
    """Pieces that wait their turn are dropped with their context, unless a flush promised them."""
    scenario = Scenario(name="slow", speech_real_time_factor=0.1, speech_chunk_bytes=3200)
    schedule = {"chunk_length_schedule": [50]}
    texts = [letter * 50 for letter in "abc"]
    async with emulator(scenario) as (_, session), speaking(session) as ws:
        await ws.send_json({"text": " ", "context_id": "c", "generation_config": schedule})
        for text in texts:
            await ws.send_json({"text": text, "context_id": "c"})
        if flush:
            await ws.send_json({"context_id": "c", "flush": True})
        got = await frames(ws, until=lambda frame: frame.get("audio"))
        await ws.send_json({"context_id": "c", "close_context": True})
        got += await frames(ws, until=final_of("c"))
        spoken = texts if flush else texts[:1]
        assert check_tones(audio_of(got), spoken, voice_id=VOICE, sample_rate=16000) is None


async def test_audio_interleaves_with_reading() -> None:
    """While one context speaks slowly the socket goes on reading and answers another at once."""
    scenario = Scenario(name="slow", speech_real_time_factor=0.5, speech_chunk_bytes=1600)
    async with emulator(scenario) as (_, session), speaking(session) as ws:
        await ws.send_json({"text": " ", "context_id": "long"})
        await ws.send_json({"text": "b" * 200, "context_id": "long", "flush": True})
        await frames(ws, until=lambda frame: frame.get("audio"))
        await ws.send_json({"text": " ", "context_id": "short"})
        await ws.send_json({"text": "Hi. ", "context_id": "short", "flush": True})
        got = await frames(ws, until=lambda frame: frame["contextId"] == "short")
        assert len(got) < 20


async def test_inactive_context_is_closed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A context without messages times out with its id while its neighbour lives on."""
    monkeypatch.setattr(ElevenLabs, "time_scale", 0.01)
    async with emulator() as (_, session), speaking(session) as ws:
        await ws.send_json({"text": " ", "context_id": "idle"})
        for _ in range(4):
            await asyncio.sleep(0.1)
            await ws.send_json({"text": "", "context_id": "busy"})
        await ws.send_json({"text": "Here. ", "context_id": "busy", "flush": True})
        got = await frames(ws, until=lambda frame: frame.get("audio"))
        errors = [frame for frame in got if "error" in frame]
        assert [frame["contextId"] for frame in errors] == ["idle"]


async def test_leaving_client_leaves_nothing_running() -> None:
    """When the client drops the socket mid-speech, every task of it ends."""
    scenario = Scenario(name="slow", speech_first_audio=30.0)
    async with emulator(scenario) as (_, session):
        async with speaking(session) as ws:
            await ws.send_json({"text": "Hello. ", "context_id": "c", "flush": True})
            await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            name = "voicekit emulator elevenlabs"
            while any(task.get_name().startswith(name) for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)


async def test_injected_faults_strike_inside_a_socket() -> None:
    """A scripted 1011, a missing final and a refused handshake look as the vendor's would."""
    async with emulator() as (world, session):
        world.inject("elevenlabs", Fault("ws_close", after_events=1, code=1011))
        async with speaking(session) as ws:
            await ws.send_json({"text": "Hello there. ", "context_id": "c", "flush": True})
            assert len(await frames(ws)) == 1
            assert ws.close_code == 1011
        assert await outcome(world) == "fault"
        world.inject("elevenlabs", Fault("no_end_marker"))
        async with speaking(session, "stream-input") as ws:
            await ws.send_json({"text": "Hello. "})
            await ws.send_json({"text": ""})
            got = await frames(ws)
            assert audio_of(got)
            assert not any(frame.get("isFinal") for frame in got)
        world.inject("elevenlabs", Fault("in_stream_error", after_events=1))
        async with speaking(session) as ws:
            await ws.send_json({"text": "Hello there. ", "context_id": "c", "flush": True})
            got = await frames(ws)
            assert got[-1]["code"] == 1011
            assert ws.close_code == 1011
