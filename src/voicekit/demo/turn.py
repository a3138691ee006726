"""One turn: hear the question, ask the model, speak the answer while it is being written.

This is what an application built from the library looks like: three clients, two of them with a
memory, and the stages overlapping as far as the words allow. Every turn runs this same code; what
was asked and said before is answered from memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from voicekit import ConnectionInfo, DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.cache import MemoryStorage, ResponseCache, SpeechCache
from voicekit.demo.question import FRAME_S, Question
from voicekit.speech import AudioFormat, TranscriptionResult
from voicekit.streams import TextStream

if TYPE_CHECKING:
    from voicekit.cache.response_chat import CachedChat

INSTRUCTIONS = "You answer the phone of a small shop. Answer in two or three short sentences."

SPEAKABLE = 50
"""Characters with which speaking starts: with fewer the voice would not begin either.

Source: ElevenLabs' lowest count in ``chunk_length_schedule``, which is the client's default for
the first piece. The stage, and with it the dial of a cold turn, starts when there is something
to speak; an application may open its utterance at the first word instead, which hides a part of
a cold dial behind the model's writing and changes nothing on a warm socket.
"""

Progress = Callable[[str], None]


@dataclass(slots=True)
class Stage:
    """One provider's part of a turn; points in time are ``time.monotonic()``, in seconds."""

    name: str
    start: float
    first_output: float | None = None
    end: float | None = None
    connection: ConnectionInfo | None = None
    cache: str | None = None

    def output(self, now: float) -> None:
        """Something useful arrived; only the first counts."""
        if self.first_output is None:
            self.first_output = now


@dataclass(slots=True)
class Turn:
    """What happened in one turn.

    Attributes:
        label: ``"cold"``, ``"warm"`` or ``"again"``.
        started: When the speech began, in ``time.monotonic()``.
        speech_ended: When its last frame had been spoken.
        stages: Listening, answering, speaking.
        heard: The final transcript.
        answer: The model's words.
        audio: The spoken answer.
        format: What ``audio`` is; None before there was any.
    """

    label: str
    started: float
    speech_ended: float
    stages: list[Stage] = field(default_factory=list)
    heard: str = ""
    answer: str = ""
    audio: bytes = b""
    format: AudioFormat | None = None

    def stage(self, name: str, now: float) -> Stage:
        """Begin the next stage."""
        stage = Stage(name, now)
        self.stages.append(stage)
        return stage

    @property
    def first_audio(self) -> float | None:
        """When the first audio of the answer was in hand."""
        return self.stages[-1].first_output if self.audio else None

    @property
    def first_audio_ms(self) -> float | None:
        """From the end of the speech to the first audio of the answer."""
        first = self.first_audio
        return None if first is None else (first - self.speech_ended) * 1000

    @property
    def transcript_to_audio_ms(self) -> float | None:
        """From the transcript in hand to the first audio of the answer."""
        first, heard = self.first_audio, self.stages[0].end
        return None if first is None or heard is None else (first - heard) * 1000


@dataclass(frozen=True, slots=True)
class Memory:
    """What was answered and spoken before; it outlives the clients."""

    answers: MemoryStorage = field(default_factory=MemoryStorage)
    speech: MemoryStorage = field(default_factory=MemoryStorage)


@dataclass(frozen=True, slots=True)
class Clients:
    """The three that a turn needs. Leaving ``async with`` closes them."""

    stt: DeepgramClient
    llm: CachedChat
    tts: SpeechCache

    @classmethod
    def remembering(
        cls, memory: Memory, stt: DeepgramClient, llm: OpenAIClient, tts: ElevenLabsClient
    ) -> Self:
        """Those, with what ``memory`` holds."""
        return cls(
            stt,
            ResponseCache(llm, storage=memory.answers),
            SpeechCache(tts, storage=memory.speech),
        )

    async def keep(self, answer: str) -> None:
        """Have an answer spoken as a whole, for whoever asks again.

        Speech that is made while its text is being written is nobody's to keep: of which text
        it is was not known when it was asked for. So this is a request of its own.

        Raises:
            VoicekitError: It could not be spoken.
        """
        report = await self.tts.preload([answer])
        for phrase in report.phrases:
            if phrase.error is not None:
                raise phrase.error

    async def warm(self) -> None:
        """Open what a turn uses, one connection of each kind, before the first word."""
        async with asyncio.TaskGroup() as group:
            for client in (self.stt, self.llm, self.tts):
                group.create_task(client.warm(1, strict=True))

    async def __aenter__(self) -> Clients:  # noqa: PYI034 - frozen, never subclassed
        return self

    async def __aexit__(self, *exc: object) -> None:
        for client in (self.stt, self.llm, self.tts):
            await client.aclose()


async def run_turn(clients: Clients, question: Question, label: str, progress: Progress) -> Turn:
    """Ask ``question`` in real time and collect the spoken answer.

    Cancelled, it closes its streams and sessions first.

    Raises:
        VoicekitError: A provider or the network failed; inside an ``ExceptionGroup`` while
            listening.
    """
    started = asyncio.get_running_loop().time()
    turn = Turn(label, started, started + question.duration_s)
    progress(f"{label}: the question is being spoken ({question.duration_s:.1f} s)")
    await _listen(clients.stt, question, turn)
    progress(f"{label}: heard “{turn.heard}”")
    await _answer(clients, turn, progress)
    progress(f"{label}: answered “{turn.answer.strip()}”")
    return turn


async def _listen(stt: DeepgramClient, question: Question, turn: Turn) -> None:
    """Send the question frame by frame, as it is spoken; collect what is heard."""
    loop = asyncio.get_running_loop()
    stage = turn.stage("listening", loop.time())
    async with stt.open_transcription(format=question.format, interim_results=True) as session:
        stage.connection = session.connection

        async def microphone() -> None:
            for number, frame in enumerate(question.frames, 1):
                # A frame exists once it has been spoken; what the dial held up goes at once.
                await asyncio.sleep(turn.started + number * FRAME_S - loop.time())
                await session.send(frame)
            await session.finish()

        heard: list[str] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(microphone())
            async for result in session:
                if not isinstance(result, TranscriptionResult) or not result.text:
                    continue
                stage.output(loop.time())
                if result.is_final:
                    heard.append(result.text)
    turn.heard = " ".join(heard).strip()
    stage.end = loop.time()


async def _answer(clients: Clients, turn: Turn, progress: Progress) -> None:
    """Stream the model's answer into the voice; collect the audio."""
    now = asyncio.get_running_loop().time
    answering = turn.stage("answering", now())
    messages = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": turn.heard},
    ]
    words: list[str] = []
    parts: list[bytes] = []
    async with clients.llm.stream_chat(messages) as reply:
        answering.output(now())
        answering.connection, answering.cache = reply.connection, reply.cache

        async def text() -> AsyncIterator[str]:
            yield "".join(words)
            async for delta in reply:
                words.append(delta)
                yield delta
            answering.end = now()

        said: str | AsyncIterator[str]
        if reply.cache == "hit":
            # All of it is there, so that its speech can be, too.
            words += [delta async for delta in reply]
            said, answering.end = "".join(words), now()
        else:
            await _speakable(reply, words)
            said = text()
        speaking = turn.stage("speaking", now())
        # Speech of a text, or of one that is still being written: two kinds, used alike.
        handle: Any = clients.tts.stream_speech(said)
        async with handle as speech:
            speaking.connection = speech.connection
            speaking.cache = getattr(speech, "cache", None)
            async for chunk in speech:
                if not parts:
                    speaking.output(now())
                    after = (now() - turn.speech_ended) * 1000
                    progress(f"{turn.label}: first audio {after:.0f} ms after the speech")
                parts.append(chunk)
            turn.format = speech.format
        speaking.end = now()
    turn.answer = "".join(words)
    turn.audio = b"".join(parts)


async def _speakable(reply: TextStream, words: list[str]) -> None:
    """Read until there is enough for the voice to begin with, or no more."""
    characters = 0
    async for delta in reply:
        words.append(delta)
        characters += len(delta)
        if characters >= SPEAKABLE:
            return
