"""``sync.OpenAIClient`` and Azure's: every family, and a model's answer that speaks."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest
from blocking_world import (
    HEARD,
    PACED,
    crossing,
    ears_of,
    emulated,
    eventually,
    marked,
    model_of,
    once,
    voice_of,
)

from interrupts import interruptible
from voicekit import AudioClip, AudioFormat
from voicekit.emulator import Fault
from voicekit.sync import AzureOpenAIClient

pytestmark = pytest.mark.emulated

CLIP = AudioClip(data=bytes(32_000), format=AudioFormat.parse("pcm_16000"))


def test_every_value_takes_one_crossing() -> None:
    """Chat, responses, embeddings, models, speech, recordings: each goes over once."""
    with emulated("openai") as world, model_of(world) as llm:
        assert once(lambda: llm.chat(llm.request("Hello"))).text
        assert once(lambda: llm.respond(llm.response_request("Hello"))).text
        request = llm.embedding_request(["a", "b"], model="text-embedding-3-small")
        assert len(once(lambda: llm.embed(request)).vectors) == 2
        models = once(llm.models)
        assert once(lambda: llm.model(models[0].id)).id == models[0].id
        assert once(lambda: llm.synthesize(llm.speech_request("Hello."))).data
        assert once(lambda: llm.as_synthesizer().synthesize("Hello.")).data
        assert once(lambda: llm.transcribe(CLIP)).text.lower().strip(".") == HEARD
        assert once(lambda: llm.as_transcriber().transcribe(CLIP)).text


def test_streams_of_every_family() -> None:
    """Text deltas, events, chunks of speech, a transcript as it is written."""
    with emulated("openai") as world, model_of(world) as llm:
        with llm.stream_response("Hello") as reply:
            assert "".join(reply) == reply.text
            assert reply.usage is not None
        with llm.stream_speech("Hello.") as speech:
            assert len(b"".join(speech)) == speech.delivered_bytes
        with llm.stream_transcription(CLIP) as heard:
            assert "".join(heard) == heard.text == heard.transcript.text == heard.raw["text"]
        assert llm.stream_transcription(CLIP).result().text == heard.text


def test_text_and_events_are_one_order() -> None:
    """What crossed over with the text is not lost to ``events()``, nor the other way round."""
    with emulated("openai") as world, model_of(world) as llm, llm.stream_chat("Hello") as reply:
        first = next(reply)
        assert reply.delivered_characters == len(first)
        second = next(reply.events())
        rest = reply.take()
        everything = [first, second, *rest, *reply]
        assert "".join(each for each in everything if isinstance(each, str)) == reply.text
        assert reply.delivered_characters == len(reply.text)
        assert list(reply.events()) == []


def test_what_arrives_after_cancel_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crossing that was under way when another thread cancelled ends quietly."""
    with emulated("openai") as world, model_of(world) as llm, llm.stream_chat("Hello") as reply:

        def late() -> list[str]:
            reply.cancel()
            return ["late"]

        monkeypatch.setattr(reply, "_ask", late)
        assert list(reply) == []


def test_events_are_more_than_text() -> None:
    """What else the model's protocol says comes with its text, in order."""
    with emulated("openai") as world, model_of(world) as llm:
        everything = list(llm.stream_response("Hello").events())
        assert {type(each) is str for each in everything} == {True, False}


def test_leaving_events_early_closes_the_stream() -> None:
    """As leaving a ``for`` over its text does."""
    with emulated("openai") as world, model_of(world) as llm:
        reply = llm.stream_chat("Hello")
        for _ in reply.events():
            break
        assert reply.ended


def said(world: Any) -> str:
    """What a voice was told to say."""
    frames = [each.data for each in world.journal.frames if each.direction == "in"]
    return "".join(each.get("text", "") for each in frames if isinstance(each, dict))


@pytest.mark.parametrize("speaker", ["elevenlabs", "deepgram"])
@pytest.mark.parametrize("begun", [False, True])
def test_an_answer_is_spoken_as_it_is_written(speaker: str, begun: bool) -> None:
    """A blocking text stream goes to the voice without crossing over; none of it is lost."""
    with (
        emulated("openai", speaker, scenario=PACED) as world,
        model_of(world) as llm,
        voice_of(world) if speaker == "elevenlabs" else ears_of(world) as voice,
    ):
        reply = llm.stream_chat("Hello")
        first = ""
        if begun:
            first = next(reply)
            assert eventually(lambda: world.journal.requests[-1].outcome == "complete")
            first += next(reply)
            while not reply._here:  # until more has crossed over than was asked for
                first += next(reply)
        with voice.stream_speech(reply) as speech:
            assert speech.clip().data
        assert reply.ended
        assert said(world).split() == reply.text.removeprefix(first).split()
        assert eventually(lambda: llm.stats().leased == 0)


def test_an_interrupt_ends_a_stream() -> None:
    """Ctrl-C while iterating: the stream is closed on the way out."""
    with interruptible(), emulated("openai") as world, model_of(world) as llm:
        world.inject("openai", Fault("stall", after_events=3))

        def interrupt() -> None:
            while not world.journal.requests_for("openai", "chat"):
                time.sleep(0.01)
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        reply = llm.stream_chat("Hello")
        with pytest.raises(KeyboardInterrupt), reply:
            list(reply)
        thread.join()
        assert eventually(lambda: llm.stats().leased == 0)
        assert llm.chat("Hello").text


def test_azure_asks_a_blocking_token_provider() -> None:
    """``azure.identity``'s blocking providers do I/O: off the event loop."""
    asked: list[str] = []

    def provider() -> str:
        asked.append(threading.current_thread().name)
        return "token"

    with (
        emulated("openai") as world,
        AzureOpenAIClient(
            azure_endpoint=world.openai.url.removesuffix("/v1"),
            api_version="2025-04-01-preview",
            azure_ad_token_provider=provider,
            model="m",
        ) as llm,
    ):
        assert llm.chat("Hello").text
        view = llm.with_options(temperature=0.5)
        assert type(view) is AzureOpenAIClient
        with crossing(1):
            assert view.chat("Hello").text
        record = world.journal.requests_for("openai", "chat")[-1]
        assert record.headers["authorization"] == marked("Bearer token")
    assert len(asked) == 2
    assert "voicekit-sync" not in asked
