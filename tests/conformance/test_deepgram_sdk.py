"""The vendor's own SDK, unmodified, is the judge of the Deepgram twin."""

from __future__ import annotations

import math
import threading
from array import array
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Scenario

deepgram = sdk_of("deepgram")

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.sdk,
    # The asynchronous client still uses the deprecated half of websockets.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:deepgram.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:websockets.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic.*"),
    pytest.mark.filterwarnings("ignore:.*websockets.legacy.*:DeprecationWarning"),
]

HEARD = "what are your opening hours today"
FAST = Scenario(name="fast", heard=HEARD)
LISTEN: dict[str, Any] = {
    "model": "nova-3",
    "encoding": "linear16",
    "sample_rate": 16000,
    "interim_results": True,
    "smart_format": True,
}


@pytest.fixture(scope="module")
def world() -> Iterator[Emulator]:
    """An emulator in a thread, for blocking and asynchronous clients alike."""
    with Emulator.in_thread(providers=("deepgram",), scenario=FAST) as served:
        yield served


@pytest.fixture(autouse=True)
def fresh(world: Emulator) -> None:
    """Every test begins with an empty journal."""
    world.journal.clear()


def frames() -> list[bytes]:
    samples = (round(8000 * math.sin(i / 5)) for i in range(2 * 16000))
    pcm = array("h", samples).tobytes()
    return [pcm[at : at + 640] for at in range(0, len(pcm), 640)]


def transcript(messages: list[Any]) -> str:
    finals = [m for m in messages if m.type == "Results" and m.is_final]
    return " ".join(m.channel.alternatives[0].transcript for m in finals).strip()


def check(messages: list[Any]) -> None:
    """Interims came, the final was asked for, and the stream ended with its metadata."""
    from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results

    results = [m for m in messages if isinstance(m, ListenV1Results)]
    assert [m for m in results if not m.is_final]
    assert [m for m in results if m.from_finalize and m.is_final]
    assert transcript(messages) == "What are your opening hours today."
    words = next(m for m in results if m.from_finalize).channel.alternatives[0].words
    assert words[0].punctuated_word == "What"
    assert isinstance(messages[-1], ListenV1Metadata)
    assert messages[-1].duration == 2.0
    assert messages[-1].request_id == results[0].metadata.request_id


def test_sync_listen(world: Emulator) -> None:
    """connect, media, KeepAlive, Finalize, CloseStream: read by iteration until the close."""
    client = deepgram.DeepgramClient(**world.sdk("deepgram"))
    with client.listen.v1.connect(**LISTEN) as connection:
        for frame in frames():
            connection.send_media(frame)
        connection.send_keep_alive()
        messages = [connection.recv()]
        while not (messages[-1].type == "Results" and messages[-1].duration >= 2):
            messages.append(connection.recv())
        connection.send_finalize()
        while not messages[-1].from_finalize:
            messages.append(connection.recv())
        connection.send_close_stream()
        messages.extend(connection)
    check(messages)
    (record,) = world.journal.requests_for("deepgram", "listen.socket")
    assert record.notes == []


def test_sync_events(world: Emulator) -> None:
    """The callback interface sees open, messages and close, in a thread of the user's."""
    from deepgram.core.events import EventType

    client = deepgram.DeepgramClient(**world.sdk("deepgram"))
    seen: list[Any] = []
    final = threading.Event()
    with client.listen.v1.connect(**LISTEN) as connection:
        connection.on(EventType.OPEN, lambda _: seen.append("open"))
        connection.on(EventType.CLOSE, lambda _: seen.append("close"))
        connection.on(EventType.ERROR, seen.append)

        def message(each: Any) -> None:
            seen.append(each)
            if getattr(each, "from_finalize", False):
                final.set()

        connection.on(EventType.MESSAGE, message)
        listener = threading.Thread(target=connection.start_listening)
        listener.start()
        for frame in frames():
            connection.send_media(frame)
        connection.send_finalize()
        assert final.wait(10)
        connection.send_close_stream()
        listener.join(10)
        assert not listener.is_alive()
    assert (seen[0], seen[-1]) == ("open", "close")
    assert not [each for each in seen if isinstance(each, Exception)]
    assert transcript(seen[1:-1]) == "What are your opening hours today."


@pytest.mark.anyio
async def test_async_listen(world: Emulator) -> None:
    """The asynchronous client, the same way."""
    client = deepgram.AsyncDeepgramClient(**world.sdk("deepgram"))
    async with client.listen.v1.connect(**LISTEN) as connection:
        for frame in frames():
            await connection.send_media(frame)
        await connection.send_keep_alive()
        messages = [await connection.recv()]
        while not (messages[-1].type == "Results" and messages[-1].duration >= 2):
            messages.append(await connection.recv())
        await connection.send_finalize()
        while not messages[-1].from_finalize:
            messages.append(await connection.recv())
        await connection.send_close_stream()
        messages += [message async for message in connection]
    check(messages)


def test_events_of_voice_activity(world: Emulator) -> None:
    """SpeechStarted, UtteranceEnd and Configure parse into the SDK's own types."""
    from deepgram.listen.v1.types import (
        ListenV1Configure,
        ListenV1ConfigureSuccess,
        ListenV1SpeechStarted,
        ListenV1UtteranceEnd,
    )

    client = deepgram.DeepgramClient(**world.sdk("deepgram"))
    with client.listen.v1.connect(**LISTEN, vad_events=True, utterance_end_ms=1000) as connection:
        connection.send_configure(ListenV1Configure(type="Configure", keyterms=["voicekit"]))
        for frame in [*frames(), bytes(32000), bytes(32000)]:
            connection.send_media(frame)
        connection.send_close_stream()
        kinds = [type(message) for message in connection]
    for kind in (ListenV1ConfigureSuccess, ListenV1SpeechStarted, ListenV1UtteranceEnd):
        assert kinds.count(kind) == 1


def test_unsigned_parameters_and_bearer(world: Emulator) -> None:
    """`no_delay` passes by request options, and an access token by `bearer`."""
    arguments = {**world.sdk("deepgram"), "access_token": "jwt"}
    del arguments["api_key"]
    client = deepgram.DeepgramClient(**arguments)
    extra = {"additional_query_parameters": {"no_delay": "true"}}
    with client.listen.v1.connect(**LISTEN, request_options=extra) as connection:
        connection.send_close_stream()
        assert [message.type for message in connection] == ["Metadata"]
    (record,) = world.journal.requests_for("deepgram", "listen.socket")
    assert record.query["no_delay"] == ["true"]


def test_refused_handshakes(world: Emulator) -> None:
    """A wrong key and a wrong model do not open a stream; the reason is in the headers."""
    from websockets.exceptions import InvalidStatus

    for arguments, listen, status in (
        ({"api_key": "bad-key"}, {}, 401),
        ({}, {"model": "flux-general-en"}, 400),
    ):
        client = deepgram.DeepgramClient(**{**world.sdk("deepgram"), **arguments})
        with (
            pytest.raises(InvalidStatus) as refused,
            client.listen.v1.connect(**{**LISTEN, **listen}),
        ):
            pass
        assert refused.value.response.status_code == status
        assert refused.value.response.headers["dg-error"]
        assert refused.value.response.headers["dg-request-id"]


@pytest.mark.anyio
async def test_async_refused_handshake(world: Emulator) -> None:
    """The asynchronous client maps the refusal to its ApiError."""
    from deepgram.core.api_error import ApiError

    client = deepgram.AsyncDeepgramClient(**{**world.sdk("deepgram"), "api_key": "bad-key"})
    with pytest.raises(ApiError) as refused:
        async with client.listen.v1.connect(**LISTEN):
            pass
    assert refused.value.status_code == 401


def test_models(world: Emulator) -> None:
    """The models parse into the SDK's own types."""
    with httpx.Client() as connections:  # the SDK's client has no close
        client = deepgram.DeepgramClient(**world.sdk("deepgram"), httpx_client=connections)
        models = client.manage.v1.models.list()
    assert "nova-3-general" in {model.canonical_name for model in models.stt}
