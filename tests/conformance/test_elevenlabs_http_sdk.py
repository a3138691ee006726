"""The vendor's SDK reads our timestamps, WAV, voices, models and user, unmodified."""

from __future__ import annotations

import base64
import inspect
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.emulator.material import check_tones

elevenlabs = sdk_of("elevenlabs")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:elevenlabs.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
]

VOICE = "21m00Tcm4TlvDq8ikWAM"
TEXT = "Room 5 is ready."
SPOKEN = "Room five is ready."
SPEECH: dict[str, Any] = {
    "text": TEXT,
    "model_id": "eleven_flash_v2_5",
    "output_format": "pcm_8000",
}


@pytest.fixture(scope="module", params=["plain", "tls"])
def world(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator in a thread, for blocking and asynchronous clients alike."""
    if request.param == "tls":
        pytest.importorskip("trustme", reason="no throw-away authority")
    scenario = Scenario(name="fast", speech_chunk_bytes=1501)
    with Emulator.in_thread(
        providers=("elevenlabs",), scenario=scenario, tls=request.param == "tls"
    ) as served:
        yield served


@pytest.fixture(params=["sync", "async"])
async def client(world: Emulator, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """The blocking client and the asynchronous one."""
    world.journal.clear()
    world.clear_faults()
    options = {"base_url": world.elevenlabs.url, "api_key": "key"}
    verify = ssl.create_default_context(cafile=world.ca_file) if world.ca_file else True
    if request.param == "sync":
        with httpx.Client(verify=verify) as connections:
            yield elevenlabs.ElevenLabs(**options, httpx_client=connections)
        return
    async with httpx.AsyncClient(verify=verify) as connections:
        yield elevenlabs.AsyncElevenLabs(**options, httpx_client=connections)


async def value(result: Any) -> Any:
    """What either client returns."""
    return await result if inspect.isawaitable(result) else result


async def items(result: Any) -> list[Any]:
    """All that either client iterates."""
    if hasattr(result, "__aiter__"):
        return [item async for item in result]
    return list(result)


def is_right(audio: bytes) -> bool:
    return check_tones(audio, [TEXT], voice_id=VOICE, sample_rate=8000) is None


async def test_wav_is_for_whole_speech(client: Any) -> None:
    """`convert` makes WAV; `stream` refuses it as the vendor does."""
    from elevenlabs.errors import UnprocessableEntityError

    options = {**SPEECH, "output_format": "wav_8000"}
    audio = b"".join(await items(client.text_to_speech.convert(VOICE, **options)))
    assert audio[:4] == b"RIFF"
    assert is_right(audio[44:])
    with pytest.raises(UnprocessableEntityError):
        await items(client.text_to_speech.stream(VOICE, **options))


async def test_whole_speech_with_timestamps(client: Any) -> None:
    """One object: the audio, and both alignments over all of it."""
    answer = await value(client.text_to_speech.convert_with_timestamps(VOICE, **SPEECH))
    audio = base64.b64decode(answer.audio_base_64)
    assert is_right(audio)
    assert "".join(answer.alignment.characters) == TEXT
    assert "".join(answer.normalized_alignment.characters) == SPOKEN
    ends = answer.alignment.character_end_times_seconds
    assert ends[-1] == pytest.approx(len(audio) / 16000, abs=0.001)
    assert answer.alignment.character_start_times_seconds[1:] == ends[:-1]


async def test_streamed_speech_with_timestamps(world: Emulator, client: Any) -> None:
    """A line per chunk; the times go on over all of them."""
    chunks = await items(client.text_to_speech.stream_with_timestamps(VOICE, **SPEECH))
    assert len(chunks) > 3
    audio = b"".join(base64.b64decode(chunk.audio_base_64) for chunk in chunks)
    assert is_right(audio)
    aligned = [chunk.alignment for chunk in chunks if chunk.alignment]
    assert "".join(char for each in aligned for char in each.characters) == TEXT
    starts = [at for each in aligned for at in each.character_start_times_seconds]
    assert starts == sorted(starts)
    assert starts[-1] > 0.5
    (record,) = world.journal.requests_for("elevenlabs")
    assert record.operation == "speech.stream.timed"
    assert world.journal.audio(record) == audio
    assert record.notes == []


async def test_pages_of_voices(world: Emulator, client: Any) -> None:
    """`search` goes through all pages by their tokens."""
    found: list[str] = []
    token: str | None = None
    pages = 0
    while pages < 10:
        page = await value(client.voices.search(page_size=10, next_page_token=token))
        found += [voice.voice_id for voice in page.voices]
        pages += 1
        token = page.next_page_token
        if not page.has_more:
            break
    assert (pages, len(found), len(set(found)), token) == (3, 25, 25, None)
    assert page.total_count == 25
    whole = await value(client.voices.get_all())
    assert [voice.voice_id for voice in whole.voices] == found
    few = await value(client.voices.search(search="clone 0", sort="name", sort_direction="asc"))
    assert [voice.name for voice in few.voices][:2] == ["Clone 01", "Clone 02"]
    two = await value(client.voices.search(voice_ids=found[:2], include_total_count=False))
    assert ([voice.voice_id for voice in two.voices], two.total_count) == (found[:2], None)


async def test_filters_are_checked(client: Any) -> None:
    """What the vendor documents is refused beyond its bounds."""
    from elevenlabs.errors import UnprocessableEntityError

    for filters in ({"page_size": 101}, {"sort": "size"}, {"category": "nice"}):
        with pytest.raises(UnprocessableEntityError):
            await value(client.voices.search(**filters))


async def test_one_voice_and_its_settings(client: Any) -> None:
    """A voice, its settings, and the defaults; a voice that is not there is refused."""
    from elevenlabs.core.api_error import ApiError

    assert (await value(client.voices.get(VOICE))).name == "Rachel"
    for settings in (
        await value(client.voices.settings.get(VOICE)),
        await value(client.voices.settings.get_default()),
    ):
        assert (settings.stability, settings.speed) == (0.5, 1.0)
    with pytest.raises(ApiError) as refused:
        await value(client.voices.get("no-such-voice"))
    assert refused.value.body["detail"]["code"] == "voice_not_found"


async def test_models_user_and_subscription(client: Any) -> None:
    """They parse into the SDK's own types."""
    models = {model.model_id: model for model in await value(client.models.list())}
    assert models["eleven_flash_v2_5"].maximum_text_length_per_request == 40_000
    user = await value(client.user.get())
    assert (user.user_id, user.subscription.tier) == ("u1", "creator")
    subscription = await value(client.user.subscription.get())
    assert (subscription.character_count, subscription.character_limit) == (100, 100_000)


async def test_an_error_between_two_lines(world: Emulator, client: Any) -> None:
    """The SDK takes an error line for a chunk without audio: why ours looks for it."""
    world.inject("elevenlabs", Fault("in_stream_error", after_events=2))
    try:
        chunks = await items(client.text_to_speech.stream_with_timestamps(VOICE, **SPEECH))
    except Exception:
        return
    assert len(chunks) == 3
    assert getattr(chunks[-1], "audio_base_64", None) is None
