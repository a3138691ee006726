"""The `openai` SDK, unmodified, judges the twin's speech, transcriptions and Azure addresses.

Sync and async, over TCP and TLS.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from vendors import sdk_of

from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.emulator.material import check_tones
from voicekit.emulator.providers.openai_azure import UNKNOWN_DEPLOYMENT
from voicekit.emulator.providers.openai_refusals import UNKNOWN_MODEL
from voicekit.emulator.scenario import SCENARIOS
from voicekit.speech import AudioClip, AudioFormat
from voicekit.speech.wav import parse_wav

openai = sdk_of("openai")

pytestmark = [pytest.mark.sdk, pytest.mark.emulated]

TEXT = "Hello there, this is a test."
SPEECH = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": TEXT}
HEARD = "what are your opening hours today"


def recording(seconds: float = 2.0) -> tuple[str, bytes, str]:
    clip = AudioClip(data=bytes(round(32_000 * seconds)), format=AudioFormat.parse("pcm_16000"))
    return ("call.wav", clip.wav(), "audio/wav")


class SyncSdk:
    """The blocking client."""

    kinds = (openai.OpenAI, openai.AzureOpenAI)

    def __init__(self, world: Any) -> None:
        self.world = world
        self.client = self.kinds[0](**world.sdk("openai"), max_retries=0)
        self.azure = self.kinds[1](
            azure_endpoint=world.openai.url.removesuffix("/v1"),
            api_key="key",
            api_version="2025-04-01-preview",
            max_retries=0,
        )

    def run(self, call: Callable[[Any], Any], client: Any = None) -> Any:
        return call(client or self.client)

    def speak(self, **options: Any) -> Any:
        return self.run(lambda client: client.audio.speech.create(**{**SPEECH, **options}))

    def speak_streamed(self, **options: Any) -> tuple[Any, list[bytes]]:
        create = self.client.audio.speech.with_streaming_response.create
        with create(**{**SPEECH, **options}) as response:
            return response.headers, list(response.iter_bytes())

    def transcribe(self, **options: Any) -> Any:
        made = {"model": "whisper-1", "file": recording(), **options}
        return self.run(lambda client: client.audio.transcriptions.create(**made))

    def transcribe_streamed(self, **options: Any) -> list[Any]:
        return list(self.transcribe(model="gpt-4o-transcribe", stream=True, **options))

    def close(self) -> None:
        self.client.close()
        self.azure.close()


class AsyncSdk(SyncSdk):
    """The asynchronous client, on a loop of its own."""

    kinds = (openai.AsyncOpenAI, openai.AsyncAzureOpenAI)

    def __init__(self, world: Any) -> None:
        self.runner = asyncio.Runner()
        super().__init__(world)

    def run(self, call: Callable[[Any], Any], client: Any = None) -> Any:
        async def finish() -> Any:
            return await call(client or self.client)

        return self.runner.run(finish())

    def speak_streamed(self, **options: Any) -> tuple[Any, list[bytes]]:
        create = self.client.audio.speech.with_streaming_response.create

        async def finish() -> tuple[Any, list[bytes]]:
            async with create(**{**SPEECH, **options}) as response:
                return response.headers, [piece async for piece in response.iter_bytes()]

        return self.runner.run(finish())

    def transcribe_streamed(self, **options: Any) -> list[Any]:
        made = {"model": "gpt-4o-transcribe", "file": recording(), "stream": True, **options}

        async def finish() -> list[Any]:
            return [event async for event in await self.client.audio.transcriptions.create(**made)]

        return self.runner.run(finish())

    def close(self) -> None:
        self.runner.run(self.client.close())
        self.runner.run(self.azure.close())
        self.runner.close()


@pytest.fixture(scope="module", params=["tcp", "tls"])
def world(request: pytest.FixtureRequest) -> Iterator[Any]:
    tls = request.param == "tls"
    with Emulator.in_thread(providers=("openai",), tls=tls, scenario="instant") as emulator:
        yield emulator


@pytest.fixture(scope="module", params=[SyncSdk, AsyncSdk], ids=["sync", "async"])
def client(request: pytest.FixtureRequest, world: Any) -> Iterator[SyncSdk]:
    with pytest.MonkeyPatch.context() as patch:
        trust(world, patch)
        sdk = request.param(world)
    yield sdk
    sdk.close()


def trust(world: Any, patch: pytest.MonkeyPatch) -> None:
    """The SDK reads the variable whenever it builds a client."""
    if world.ca_file is not None:
        patch.setenv("SSL_CERT_FILE", str(world.ca_file))


@pytest.fixture
def sdk(client: SyncSdk, monkeypatch: pytest.MonkeyPatch) -> SyncSdk:
    trust(client.world, monkeypatch)
    client.world.set_scenario("instant")
    client.world.clear_faults()
    client.world.clear_journal()
    return client


def scripted(sdk: SyncSdk, heard: str) -> None:
    scenario: Scenario = replace(SCENARIOS["instant"], heard=heard)
    sdk.world.set_scenario(scenario)


# -- speech ------------------------------------------------------------------------------------


def test_whole_speech(sdk: SyncSdk) -> None:
    """PCM at 24 kHz, every sample of it, with the vendor's type and headers."""
    answer = sdk.speak(response_format="pcm")
    fault = check_tones(answer.content, [TEXT], voice_id="alloy", sample_rate=24_000)
    assert fault is None
    headers = answer.response.headers
    assert headers["content-type"] == "audio/pcm"
    assert "content-length" not in headers
    assert headers["x-request-id"].startswith("req_")
    assert "x-ratelimit-remaining-tokens" in headers
    assert sdk.world.journal.speech_texts() == [TEXT]


@pytest.mark.parametrize(
    ("wanted", "kind", "begins"),
    [
        ("mp3", "audio/mpeg", b"\xff"),
        ("wav", "audio/wav", b"RIFF\xff\xff\xff\xffWAVE"),
        ("pcm", "audio/pcm", b""),
    ],
)
def test_the_formats(sdk: SyncSdk, wanted: str, kind: str, begins: bytes) -> None:
    """Each is what it is called; a WAV has no sizes."""
    headers, pieces = sdk.speak_streamed(response_format=wanted)
    audio = b"".join(pieces)
    assert headers["content-type"] == kind
    assert audio.startswith(begins)
    if wanted == "wav":
        info = parse_wav(audio)
        assert (info.streamed, info.sample_rate_hz, info.channels) == (True, 24_000, 1)
        assert info.data_offset == 44


def test_speech_as_events(sdk: SyncSdk) -> None:
    """CRLF, no names, 4,096 bytes in each, usage at the end: the same audio as without."""
    headers, pieces = sdk.speak_streamed(response_format="pcm", stream_format="sse")
    body = b"".join(pieces)
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    *events, end, nothing = body.split(b"\r\n\r\n")
    assert (end, nothing) == (b"data: [DONE]", b"")
    *deltas, done = (json.loads(event.removeprefix(b"data: ")) for event in events)
    audio = [base64.b64decode(delta["audio"]) for delta in deltas]
    assert {len(each) for each in audio[:-1]} == {4096}
    assert b"".join(audio) == sdk.speak(response_format="pcm").content
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["total_tokens"] > done["usage"]["output_tokens"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"voice": "bob"}, "'enum', 'loc': ('body', 'voice')"),
        ({"input": "x" * 4097}, "at most 4096 characters"),
        ({"input": ""}, "at least 1 character"),
        ({"speed": 4.5}, "less than or equal to 4"),
        ({"speed": 0.1}, "greater than or equal to 0.25"),
        ({"response_format": "ulaw"}, "'loc': ('body', 'response_format')"),
        ({"extra_body": {"unknown": 1}}, "extra_forbidden"),
    ],
)
def test_what_speech_refuses(sdk: SyncSdk, options: dict[str, Any], said: str) -> None:
    """With 400, and the list of the validation as its text."""
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.speak(**options)
    assert said in refused.value.body["message"]
    assert refused.value.body["message"].startswith("[{'type': ")
    assert (refused.value.code, refused.value.param) == (None, None)


def test_other_refusals_of_speech(sdk: SyncSdk) -> None:
    """An unknown model, events of an older model, and what the emulator cannot make."""
    with pytest.raises(openai.NotFoundError):
        sdk.speak(model=UNKNOWN_MODEL)
    with pytest.raises(openai.BadRequestError):
        sdk.speak(model="tts-1", stream_format="sse")
    with pytest.raises(openai.BadRequestError, match="no opus encoder"):
        sdk.speak(response_format="opus")


def test_a_cut_speech_is_an_error(sdk: SyncSdk) -> None:
    """Of the connection's."""
    sdk.world.inject("openai", Fault("close", after_bytes=1000))
    with pytest.raises(openai.APIConnectionError):
        sdk.speak(response_format="pcm")


# -- transcriptions ----------------------------------------------------------------------------


def test_the_json_answers(sdk: SyncSdk) -> None:
    """Text, with tokens or seconds by model, and languages of the newest."""
    scripted(sdk, HEARD)
    old, new = sdk.transcribe(), sdk.transcribe(model="gpt-transcribe", prompt="A prompt.")
    assert old.text == new.text == "What are your opening hours today."
    assert (old.usage.type, old.usage.seconds) == ("duration", 2)
    assert new.usage.type == "tokens"
    assert new.usage.input_token_details.audio_tokens == 17
    assert new.usage.input_token_details.text_tokens > 0
    assert new.usage.total_tokens == new.usage.input_tokens + new.usage.output_tokens
    assert [language.code for language in new.languages] == ["en"]
    raw = sdk.run(
        lambda client: client.audio.transcriptions.with_raw_response.create(
            model="whisper-1", file=recording()
        )
    )
    assert "x-ratelimit-remaining-requests" in raw.headers
    assert "x-ratelimit-remaining-tokens" not in raw.headers


def test_the_plain_answers(sdk: SyncSdk) -> None:
    """Text and subtitles, a cue for each line of the script."""
    scripted(sdk, "good morning\nhow are you")
    assert sdk.transcribe(response_format="text") == "Good morning. How are you.\n"
    srt = sdk.transcribe(response_format="srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:00,800\nGood morning.\n\n2\n")
    vtt = sdk.transcribe(response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.800\nGood morning.\n\n")


def test_times(sdk: SyncSdk) -> None:
    """Segments by default; words, where they are asked for, without segments."""
    verbose = sdk.transcribe(response_format="verbose_json")
    assert (verbose.duration, verbose.language) == (2.0, "english")
    (segment,) = verbose.segments
    assert (segment.start, segment.end, segment.text) == (0.0, 2.0, f" {verbose.text}")
    assert verbose.words is None
    timed = sdk.transcribe(response_format="verbose_json", timestamp_granularities=["word"])
    assert timed.segments is None
    assert [word.word for word in timed.words] == HEARD.split()
    assert timed.words[-1].end == 2.0
    assert timed.usage.seconds == 2


def test_speakers(sdk: SyncSdk) -> None:
    """Letters, or the names given; each line of the script is the next one's."""
    scripted(sdk, "good morning\nhow are you")
    diarize = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json"}
    plain = sdk.transcribe(**diarize)
    assert [(each.speaker, each.text) for each in plain.segments] == [
        ("A", "Good morning."),
        ("B", "How are you."),
    ]
    named = sdk.transcribe(
        **diarize, known_speaker_names=["Ann"], known_speaker_references=["data:audio/wav;base64,x"]
    )
    assert [each.speaker for each in named.segments] == ["Ann", "B"]
    assert (named.duration, named.task, named.usage.type) == (2.0, "transcribe", "tokens")


def test_a_streamed_transcription(sdk: SyncSdk) -> None:
    """Deltas whose sum is the text of the end, with probabilities and usage."""
    *deltas, done = sdk.transcribe_streamed(include=["logprobs"])
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text
    assert len(deltas) == len(HEARD.split())
    assert deltas[0].logprobs[0].token == "What"
    assert len(done.logprobs) == len(deltas)
    assert done.usage.total_tokens > 0
    framing = sdk.run(
        lambda client: client.audio.transcriptions.with_raw_response.create(
            model="gpt-4o-transcribe", file=recording(), stream=True
        )
    )
    assert framing.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert framing.headers["cache-control"] == "no-store"
    closed = framing.parse().close()
    if closed is not None:
        sdk.run(lambda _: closed)


def test_silence(sdk: SyncSdk) -> None:
    """Nothing is an answer, too."""
    scripted(sdk, "")
    assert sdk.transcribe(model="gpt-transcribe").text == ""
    (done,) = sdk.transcribe_streamed()
    assert (done.type, done.text) == ("transcript.text.done", "")


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"file": ("call.txt", b"words")}, "file", "unsupported_value"),
        ({"file": ("call.wav", b"RIFFwhatever")}, "file", "invalid_value"),
        ({"response_format": "diarized_json"}, "response_format", "unsupported_value"),
        (
            {"model": "gpt-4o-transcribe", "response_format": "srt"},
            "response_format",
            "unsupported_value",
        ),
        ({"temperature": 1.5}, "temperature", "decimal_above_max_value"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities", "unsupported_value"),
        ({"include": ["logprobs"]}, "include", "unsupported_value"),
        ({"keywords": ["x"]}, "keywords", "unsupported_value"),
        ({"known_speaker_names": ["x"]}, "known_speaker_names", "unsupported_value"),
        ({"model": "gpt-4o-transcribe-diarize", "prompt": "x"}, "prompt", "unsupported_value"),
        (
            {"model": "gpt-4o-transcribe-diarize", "file": recording(31)},
            "chunking_strategy",
            "missing_required_parameter",
        ),
    ],
)
def test_what_a_transcription_refuses(
    sdk: SyncSdk, options: dict[str, Any], param: str, code: str
) -> None:
    """What is documented of models and fields."""
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.transcribe(**options)
    assert (refused.value.param, refused.value.code) == (param, code)


def test_other_refusals_of_transcriptions(sdk: SyncSdk) -> None:
    """An unknown model; a language with usage beside the error; too many bytes."""
    with pytest.raises(openai.NotFoundError):
        sdk.transcribe(model=UNKNOWN_MODEL)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.transcribe(language="english")
    assert refused.value.code == "invalid_language_format"
    assert refused.value.response.json()["usage"] == {"type": "duration", "seconds": 0}
    name, _, kind = recording()
    with pytest.raises(openai.APIStatusError) as large:
        sdk.transcribe(file=(name, bytes(26_214_401), kind))
    assert large.value.status_code == 413
    assert large.value.body["type"] == "server_error"


def test_compressed_audio_is_heard_by_script(sdk: SyncSdk) -> None:
    """The emulator decodes none, but ears that follow a script need none of it."""
    assert sdk.transcribe(file=("call.mp3", b"ID3" + bytes(32_000))).usage.seconds == 3


def test_an_error_inside_a_stream(sdk: SyncSdk) -> None:
    """Raised by the SDK, as the chat's."""
    sdk.world.inject("openai", Fault("in_stream_error", after_events=2))
    with pytest.raises(openai.APIError):
        sdk.transcribe_streamed()


# -- Azure -------------------------------------------------------------------------------------


def test_azure(sdk: SyncSdk) -> None:
    """Every operation that a deployment has, and one that needs none."""
    asked = [{"role": "user", "content": "When are you open?"}]
    chat = sdk.run(
        lambda client: client.chat.completions.create(model="chat", messages=asked), sdk.azure
    )
    assert "nine in the morning" in chat.choices[0].message.content
    audio = sdk.run(
        lambda client: client.audio.speech.create(**{**SPEECH, "response_format": "pcm"}),
        sdk.azure,
    ).content
    assert check_tones(audio, [TEXT], voice_id="alloy", sample_rate=24_000) is None
    heard = sdk.run(
        lambda client: client.audio.transcriptions.create(model="ears", file=recording()),
        sdk.azure,
    )
    assert heard.text == "What are your opening hours today."
    embedding = sdk.run(
        lambda client: client.embeddings.create(model="numbers", input="Hello"), sdk.azure
    )
    assert len(embedding.data[0].embedding) > 100
    response = sdk.run(
        lambda client: client.responses.create(model="words", input="Hello"), sdk.azure
    )
    assert response.output_text
    assert [(each.path, each.operation) for each in sdk.world.journal.requests] == [
        ("/openai/deployments/chat/chat/completions", "chat"),
        ("/openai/deployments/gpt-4o-mini-tts/audio/speech", "speech"),
        ("/openai/deployments/ears/audio/transcriptions", "transcriptions"),
        ("/openai/deployments/numbers/embeddings", "embeddings"),
        ("/openai/responses", "responses"),
    ]
    for each in sdk.world.journal.requests:
        assert each.query == {"api-version": ["2025-04-01-preview"]}
        assert each.headers["api-key"].startswith("sha256:")


def test_what_azure_refuses(sdk: SyncSdk) -> None:
    """A deployment that does not exist, a call without a version, a wrong key."""
    asked = [{"role": "user", "content": "Hello"}]
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.run(
            lambda client: client.chat.completions.create(model=UNKNOWN_DEPLOYMENT, messages=asked),
            sdk.azure,
        )
    assert missing.value.code == "DeploymentNotFound"
    plain = sdk.client.with_options(
        base_url=sdk.world.openai.url.removesuffix("/v1") + "/openai/deployments/chat"
    )
    with pytest.raises(openai.NotFoundError):
        sdk.run(lambda c: c.chat.completions.create(model="chat", messages=asked), plain)
    wrong = sdk.azure.with_options(api_key="bad-key")
    with pytest.raises(openai.AuthenticationError):
        sdk.run(lambda c: c.chat.completions.create(model="chat", messages=asked), wrong)
