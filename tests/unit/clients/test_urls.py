"""What callers put into a URL: written as vendors read it, or refused by name before any I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from voicekit import (
    AgentforceClient,
    AudioClip,
    AudioFormat,
    AzureOpenAIClient,
    DeepgramClient,
    ElevenLabsClient,
    InvalidArgumentError,
    OpenAIClient,
    Transport,
    TwilioClient,
)
from voicekit.clients.deepgram.protocol import configure_fields
from voicekit.clients.urls import query_of, segment_of
from voicekit.testing import ScriptedTransport

pytestmark = pytest.mark.anyio

HALF = "marked \ud83d"
AGENT = "0Xx" + 12 * "a"
CLIP = AudioClip(data=bytes(3200), format=AudioFormat.parse("pcm_16000"))
QUERY: Any = {"extra_query": {"own": HALF}}
NAME: Any = {"extra_query": {HALF: "own"}}


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ({}, ""),
        ({"a": None, "b": []}, ""),
        ({"a": True, "b": False, "c": [True, "x y"]}, "a=true&b=false&c=true&c=x+y"),
        ({"a": 1.5, "ü": "&=", "b": "😀"}, "a=1.5&%C3%BC=%26%3D&b=%F0%9F%98%80"),
        ({"a": ("x", None), "b": {"y"}}, "a=x&a=None&b=y"),
    ],
)
def test_a_query(parameters: dict[str, Any], query: str) -> None:
    """Sequences repeat their name, booleans are in small letters, None is left out."""
    assert query_of(parameters) == query


def test_a_segment() -> None:
    """Nothing in it ends the path, or climbs it."""
    assert segment_of("id", "a/../b?c#d é") == "a%2F..%2Fb%3Fc%23d%20%C3%A9"


def client(kind: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """One whose transport answers nothing, and fails the test that asks it."""
    return kind(*given, transport=Transport(http=ScriptedTransport([])), **options)


def eleven() -> Any:
    return client(ElevenLabsClient, "k", voice="v")


def deepgram() -> Any:
    return client(DeepgramClient, "k")


def openai() -> Any:
    return client(
        OpenAIClient,
        "k",
        model="m",
        speech={"model": "tts-1", "voice": "alloy"},
        transcription={"model": "whisper-1"},
    )


def azure(**options: Any) -> Any:
    return client(AzureOpenAIClient, azure_endpoint="https://x", api_key="k", **options)


def agents() -> Any:
    return client(AgentforceClient, "k", domain="acme", agent_id=AGENT)


def twilio(**options: Any) -> Any:
    return client(TwilioClient, "AC" + 32 * "a", "t", **options)


@pytest.mark.parametrize(
    ("argument", "ask"),
    [
        ("voice", lambda: eleven().synthesize("hi", voice=HALF)),
        ("own", lambda: eleven().synthesize("hi", **QUERY)),
        ("own", lambda: eleven().open_speech(**QUERY)),
        ("language_code", lambda: eleven().open_speech(language_code=HALF)),
        ("own", lambda: eleven().transcribe(CLIP, **QUERY)),
        ("search", lambda: eleven().voices(search=HALF)),
        ("voice_ids", lambda: eleven().voices(voice_ids=["a", HALF])),
        ("voice_id", lambda: eleven().voice(HALF)),
        ("voice_id", lambda: eleven().voice_settings(HALF)),
        ("own", lambda: eleven().models(**QUERY)),
        ("marked ?", lambda: eleven().models(**NAME)),
        ("keyterm", lambda: deepgram().transcribe(CLIP, keyterm=["a", HALF])),
        ("search", lambda: deepgram().open_transcription(search=HALF)),
        ("own", lambda: deepgram().open_transcription(**QUERY)),
        ("own", lambda: deepgram().grant_token(30, **QUERY)),
        ("tag", lambda: deepgram().synthesize("hi", tag=HALF)),
        ("callback", lambda: deepgram().submit_speech("hi", callback=f"https://x/{HALF}")),
        ("keyterms", lambda: configure_fields([HALF], None)),
        ("own", lambda: openai().chat("hi", **QUERY)),
        ("own", lambda: openai().respond("hi", **QUERY)),
        ("own", lambda: openai().embed("hi", model="e", **QUERY)),
        ("own", lambda: openai().synthesize("hi", **QUERY)),
        ("own", lambda: openai().transcribe(CLIP, **QUERY)),
        ("own", lambda: openai().models(**QUERY)),
        ("id", lambda: openai().model(HALF)),
        ("api_version", lambda: azure(api_version=HALF)),
        ("azure_deployment", lambda: azure(api_version="1", azure_deployment=HALF)),
        ("own", lambda: agents().session_request(**QUERY)),
        ("own", lambda: agents().status(**QUERY)),
        ("agent_id", lambda: agents().session_request(agent_id=HALF)),
        ("id", lambda: agents().resume_session(HALF)),
        ("client_id", lambda: AgentforceClient(client_id=HALF, client_secret="s", domain="acme")),
        ("messaging_base_url", lambda: twilio(messaging_base_url="https://x/\ud83d")),
        ("own", lambda: twilio().messages(**QUERY)),
        ("base_url", lambda: ElevenLabsClient("k", base_url=f"https://x/{HALF}")),
    ],
)
async def test_half_of_a_surrogate_pair(argument: str, ask: Callable[[], Any]) -> None:
    """No URL can hold it: refused before any I/O, neither quoted nor by the codec's own error."""

    async def asked() -> None:
        if hasattr(asking := ask(), "__await__"):
            await asking

    with pytest.raises(InvalidArgumentError) as caught:
        await asked()
    assert caught.value.argument == argument
    assert "marked" not in str(caught.value).removeprefix("marked ?: ")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("given", [5, "word", b"word", ["word", 5], iter(["word"])])
def test_words_of_a_stream_under_way(given: Any) -> None:
    """A sequence of texts, or nothing is changed."""
    with pytest.raises(InvalidArgumentError, match=r"keyterms: .*a sequence of str"):
        configure_fields(given, None)
    assert configure_fields(("word",), None) == {"keyterms": ["word"]}
