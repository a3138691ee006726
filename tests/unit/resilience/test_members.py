"""What members must have in common, and what a call's options mean at each."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_members import Ears, Mind, Voice

from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.errors import InvalidArgumentError
from voicekit.interfaces import (
    ChatModel,
    SpeechSessions,
    Synthesizer,
    Transcriber,
    TranscriptionSessions,
)
from voicekit.resilience.members.fallback import fallback
from voicekit.resilience.members.spread import spread
from voicekit.testing.conformance.watching import no_dialling

pytestmark = pytest.mark.anyio


def elevenlabs() -> Any:
    return ElevenLabsClient("key-of-eleven", voice="v")


def deepgram() -> Any:
    return DeepgramClient("key-of-deepgram")


def openai() -> Any:
    return OpenAIClient("key-of-openai", model="m", speech={"model": "tts-1", "voice": "alloy"})


async def test_the_wrapper_is_what_its_members_are() -> None:
    """A client of several roles counts with its main one; sessions only when all have them."""
    for made, kind, sessions in (
        (fallback(elevenlabs(), deepgram().as_synthesizer()), Synthesizer, SpeechSessions),
        (fallback(elevenlabs(), openai().as_synthesizer()), Synthesizer, None),
        (fallback(elevenlabs(), elevenlabs()), Synthesizer, SpeechSessions),
        (fallback(elevenlabs().as_transcriber(), deepgram()), Transcriber, None),
        (spread(deepgram(), deepgram()), Transcriber, TranscriptionSessions),
        (spread(openai(), openai()), ChatModel, None),
        (fallback(Mind("a"), openai()), ChatModel, None),
    ):
        assert isinstance(made, kind)
        assert isinstance(made, SpeechSessions) is (sessions is SpeechSessions)
        assert isinstance(made, TranscriptionSessions) is (sessions is TranscriptionSessions)
        await made.aclose()


def test_members_without_a_common_interface() -> None:
    """Refused at once, with what they have in common, and the way to it."""
    with pytest.raises(InvalidArgumentError) as caught:
        fallback(elevenlabs(), openai())
    said = str(caught.value)
    assert "elevenlabs is a Synthesizer; openai is a ChatModel" in said
    assert "Synthesizers, by way of openai.as_synthesizer()" in said
    assert "Transcribers, by way of elevenlabs.as_transcriber(), openai.as_transcriber()" in said
    for members in ((), (Voice("a"),), (Voice("a"), object()), (Voice("a"), Voice), ("a", "b")):
        with pytest.raises(InvalidArgumentError, match="members"):
            fallback(*members)  # type: ignore[call-overload]
    one = Voice("a")
    with pytest.raises(InvalidArgumentError, match="twice"):
        spread(one, one)


def test_names() -> None:
    """The providers', numbered where they are equal; or one's own."""
    assert repr(fallback(Voice("x"), Voice("y"), Voice("x"))) == "fallback(x-1, y, x-2)"
    assert repr(spread(Ears("x"), Ears("x"), names=("left", "right"))) == "spread(left, right)"
    for names in (("a",), ("a", "a"), "ab", (1, 2)):
        with pytest.raises(InvalidArgumentError, match="names"):
            fallback(Voice("x"), Voice("y"), names=names)  # type: ignore[arg-type]


async def test_common_options_go_to_all_and_others_are_refused() -> None:
    """Before any I/O, by name of the member; an own engine refuses in its own way."""
    tts = fallback(elevenlabs(), deepgram().as_synthesizer(), names=("eleven", "deep"))
    async with tts:
        with no_dialling("no I/O"):
            assert tts.request("Hello", format="pcm_16000").format.name == "pcm_16000"
            with pytest.raises(InvalidArgumentError, match=r"deep.*stability|deep.*voice_settings"):
                tts.request("Hello", voice_settings={"stability": 0.5})
            with pytest.raises(InvalidArgumentError, match="format"):
                tts.stream_speech("Hello", format="pcm_22050")
            with pytest.raises(InvalidArgumentError):
                await tts.synthesize("")


async def test_formats_must_agree() -> None:
    """Who plays must not notice who speaks; files that say what they are may differ in rates."""
    with pytest.raises(InvalidArgumentError, match="pcm_16000 and pcm_8000"):
        fallback(Voice("a"), Voice("b", made_of="pcm_8000")).request("Hello")
    assert fallback(Voice("a"), Voice("b", made_of="pcm_8000")).request("Hi", format="pcm_24000")
    assert fallback(Voice("a", made_of="mp3_44100_128"), Voice("b", made_of="mp3")).request("Hi")
    with pytest.raises(InvalidArgumentError, match="format"):
        fallback(Voice("a", made_of="wav_16000"), Voice("b", made_of="mp3")).request("Hi")


async def test_options_of_members_and_what_they_become() -> None:
    """Defaults by member, over which the call's win; tables of values; names by member."""
    a, b = Voice("a"), Voice("b")
    tts = fallback(
        a,
        b,
        options=({"voice": "a-default"}, None),
        map={"speaker": {"anna": ("a-anna", "b-anna"), "bert": ("a-bert", None)}},
    )
    assert [each.voice for each in tts.request("Hi").of] == ["a-default", "plain"]
    assert [each.voice for each in tts.request("Hi", voice="own").of] == ["own", "own"]
    with pytest.raises(InvalidArgumentError, match="'anna', 'bert'"):
        tts.request("Hi", speaker="carl")
    tts = fallback(a, b, map={"voice": {"anna": ("a-anna", "b-anna"), "bert": ("a-bert", None)}})
    assert [each.voice for each in tts.request("Hi", voice="anna").of] == ["a-anna", "b-anna"]
    assert [each.voice for each in tts.request("Hi", voice="bert").of] == ["a-bert", "plain"]
    tts = fallback(a, b, map={"who": {"anna": ({"voice": "x", "format": "pcm_8000"}, None)}})
    with pytest.raises(InvalidArgumentError, match="pcm_8000 and pcm_16000"):
        tts.request("Hi", who="anna")
    tts = fallback(a, b, map={"speaker": ("voice", None)})
    assert [each.voice for each in tts.request("Hi", speaker="x").of] == ["x", "plain"]
    tts.open_speech(speaker="y")
    assert (a.given[-1], b.given[-1]) == ({"voice": "y"}, {})
    for bad in (
        {"options": ({},)},
        {"options": "ab"},
        {"options": (1, 2)},
        {"map": {"voice": ("voice",)}},
        {"map": {"voice": {"anna": "ab"}}},
        {"on": (ValueError,)},
        {"timeout": 0},
        {"timeout": True},
    ):
        with pytest.raises(InvalidArgumentError):
            fallback(a, b, **bad)  # type: ignore[call-overload]
