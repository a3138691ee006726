"""The program that ``test_soak.py`` runs in a process of its own; prints what it held, as JSON.

Alone in its process, so that what it holds is the clients' and nobody else's.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import resource
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import tenacity  # noqa: F401 - comes with a process's first failure, and is not to look like a leak

import voicekit.resilience.breaker_states  # noqa: F401 - as that
from voicekit import AudioClip, AudioFormat, DeepgramClient, ElevenLabsClient, OpenAIClient, sync
from voicekit.observe.process import open_sockets
from voicekit.resilience.breaker_window import Window

CALLERS = 20
VOICE = "21m00Tcm4TlvDq8ikWAM"
AUDIO = bytes(6400)  # 0.2 s
RECORDING = AudioClip(data=AUDIO, format=AudioFormat.parse("pcm_16000"))
LONG = "The first thing is here. And the second one as well."
WARMING = 5  # one part in that many comes before the first look

Look = dict[str, Any]
Job = Callable[[], Awaitable[None]]


class MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc 2.33 and later."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated() -> int | None:
    """Bytes that the process has and has not freed: what leaks, without what an allocator keeps.

    Python's own allocator must be switched off for it (``PYTHONMALLOC=malloc``).
    """
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:  # an older glibc, or another C library
        return None
    mallinfo2.restype = MallocInfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)


def look(*, tasks: int = 0, **more: Any) -> Look:
    """What the process holds when nothing is going on."""
    gc.collect()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # of glibc: pages that only hold what was freed
    objects = gc.get_objects()
    # A breaker's window has a list for each second in which there were calls: how many depends on
    # how long it took, until it is full.
    seconds = sum(sum(map(bool, each._ring)) for each in objects if type(each) is Window)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "bytes": pages * resource.getpagesize(),
        "allocated": allocated(),
        "objects": len(objects) - seconds,
        "sockets": open_sockets(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "tasks": tasks,
        **more,
    }


# -- calls -----------------------------------------------------------------------------------------


class Mix:
    """What a voice agent does, in the shares in which it does it; now and then it leaves early."""

    def __init__(self, tts: ElevenLabsClient, stt: DeepgramClient, llm: OpenAIClient) -> None:
        self.tts, self.stt, self.llm = tts, stt, llm
        self.done = self.said_so_far = 0
        shares: list[tuple[Job, int]] = [
            (self.speech, 39),
            (self.chat, 28),
            (self.barge_in, 2),
            (self.leave_chat, 2),
            (self.session, 6),
            (self.cancel, 2),
            (self.live, 4),
            # What there is besides, each now and then.
            *((job, 1) for job in (self.timed, self.split, self.single, self.cancel_single)),
            *((job, 1) for job in (self.upload, self.voices)),
            *((job, 1) for job in (self.recording, self.spoken, self.said)),
            *((job, 1) for job in (self.respond, self.stream_response, self.leave_response)),
            *((job, 1) for job in (self.embed, self.written, self.leave_written)),
            *((job, 1) for job in (self.transcribe, self.read_aloud)),
        ]
        self.jobs = [job for job, share in shares for _ in range(share)]

    async def run(self, count: int) -> None:
        """That many calls by all callers."""
        numbers = iter(range(count))

        async def caller() -> None:
            for number in numbers:
                await self.jobs[number * 37 % len(self.jobs)]()  # 37: shares side by side
                self.done += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(caller())

    async def speech(self) -> None:
        async with self.tts.stream_speech("Hi.") as speech:
            assert [chunk async for chunk in speech]

    async def chat(self) -> None:
        async with self.llm.stream_chat("Hello") as reply:
            assert [piece async for piece in reply]

    async def barge_in(self) -> None:
        async with self.tts.stream_speech("A text that nobody hears to its end.") as speech:
            async for _ in speech:
                break

    async def leave_chat(self) -> None:
        async with self.llm.stream_chat("Hello") as reply:
            async for _ in reply:
                break

    async def session(self) -> None:
        async with self.tts.open_speech() as utterance:
            await utterance.send("Hi. ")
            await utterance.finish()
            assert [chunk async for chunk in utterance]

    async def cancel(self) -> None:
        async with self.tts.open_speech() as utterance:
            await utterance.send("A text that is interrupted. ")
            await utterance.cancel()

    async def live(self) -> None:
        async with self.stt.open_transcription() as session:
            await session.send(AUDIO)
            await session.finish()
            await session.result()

    # -- ElevenLabs, the rest

    async def timed(self) -> None:
        async with self.tts.stream_speech("Hi there.", timestamps=True) as speech:
            assert any([chunk.words async for chunk in speech])

    async def split(self) -> None:
        assert (await self.tts.synthesize(LONG, split=30, format="pcm_16000")).data

    async def single(self) -> None:
        async with self.tts.open_speech(socket="stream-input") as utterance:
            await utterance.send("Hi. ")
            await utterance.finish()
            assert [chunk async for chunk in utterance]

    async def cancel_single(self) -> None:
        async with self.tts.open_speech(socket="stream-input") as utterance:
            await utterance.send("A text that is interrupted. ")
            await utterance.cancel()

    async def upload(self) -> None:
        assert (await self.tts.transcribe(RECORDING)).text

    async def voices(self) -> None:
        assert [voice async for voice in self.tts.voices(page_size=10)]

    # -- Deepgram, the rest

    async def recording(self) -> None:
        assert (await self.stt.transcribe(RECORDING)).text

    async def spoken(self) -> None:
        async with self.stt.stream_speech("Hi.") as speech:
            assert [chunk async for chunk in speech]

    async def said(self) -> None:
        # One of 20 is heard, the others are interrupted: the vendor speaks 20 texts of a socket in
        # a minute, and ten sockets are all there are.
        self.said_so_far += 1
        async with self.stt.open_speech() as utterance:
            await utterance.send("Hi. ")
            if self.said_so_far % 20 == 1:
                await utterance.finish()
                assert [chunk async for chunk in utterance]
            else:
                await utterance.cancel()

    # -- OpenAI, the rest

    async def respond(self) -> None:
        assert (await self.llm.respond("Hello")).text

    async def stream_response(self) -> None:
        async with self.llm.stream_response("Hello") as reply:
            assert [piece async for piece in reply]

    async def leave_response(self) -> None:
        async with self.llm.stream_response("Hello") as reply:
            async for _ in reply:
                break

    async def embed(self) -> None:
        assert (await self.llm.embed(["one", "two"])).vectors

    async def transcribe(self) -> None:
        assert (await self.llm.transcribe(RECORDING)).text

    async def written(self) -> None:
        async with self.llm.stream_transcription(RECORDING) as transcript:
            assert [piece async for piece in transcript]

    async def leave_written(self) -> None:
        async with self.llm.stream_transcription(RECORDING) as transcript:
            async for _ in transcript:
                break

    async def read_aloud(self) -> None:
        async with self.llm.stream_speech("Hi.") as speech:
            assert [chunk async for chunk in speech]


def clients(urls: dict[str, str], kinds: Any) -> tuple[Any, Any, Any]:
    return (
        kinds.ElevenLabsClient("k" * 20, base_url=urls["elevenlabs"], voice=VOICE),
        kinds.DeepgramClient("k" * 20, base_url=urls["deepgram"], format="pcm_16000"),
        kinds.OpenAIClient(
            "k" * 20,
            base_url=urls["openai"],
            model="gpt-x",
            embedding={"model": "text-embedding-3-small", "dimensions": 8},
            speech={"model": "gpt-4o-mini-tts", "voice": "alloy"},
            transcription={"model": "gpt-transcribe"},
        ),
    )


def held(all_of_them: tuple[Any, ...]) -> dict[str, Any]:
    stats = [each.stats() for each in all_of_them]
    return {
        "open": sum(each.open for each in stats),
        "leased": sum(each.leased for each in stats),
        "pooled": sum(each.sockets.open for each in stats if each.sockets),
        "waiting": sum(each.waiting for each in stats),
        "dialing": sum(each.dialing for each in stats),
    }


async def settled(all_of_them: tuple[Any, ...], before: int) -> dict[str, Any]:
    """Once nothing is being dialled or closed; as it is, if that takes more than 10 s."""
    for _ in range(200):
        now = held(all_of_them)
        quiet = not now["dialing"] and now["leased"] == now["pooled"]
        if quiet and open_sockets() - before == now["open"]:
            break
        await asyncio.sleep(0.05)
    return now


async def calls(urls: dict[str, str], count: int) -> list[Look]:
    import voicekit

    looks = []
    async with AsyncExitStack() as stack:
        before = open_sockets()
        all_of_them = clients(urls, voicekit)
        for each in all_of_them:
            await stack.enter_async_context(each)
        mix = Mix(*all_of_them)
        for part in (count // WARMING, count - count // WARMING):
            await mix.run(part)
            now = await settled(all_of_them, before)
            tasks = sorted(task.get_name() for task in asyncio.all_tasks())
            looks.append(look(tasks=len(tasks), names=tasks, done=mix.done, **now))
            looks[-1]["sockets"] -= before
    await asyncio.sleep(0.05)  # the event loop closes a socket a turn after it is told to
    looks.append(look(tasks=len(asyncio.all_tasks()), done=mix.done))
    looks[-1]["sockets"] -= before
    return looks


# -- open and close --------------------------------------------------------------------------------


async def cycles(urls: dict[str, str], count: int) -> list[Look]:
    import voicekit

    looks = []
    before = open_sockets()
    for part in (count // WARMING, count - count // WARMING):
        for _ in range(part):
            tts, stt, llm = clients(urls, voicekit)
            async with tts, stt, llm:
                await asyncio.gather(tts.warm(1), stt.warm(1), llm.warm(1))
                mix = Mix(tts, stt, llm)
                await asyncio.gather(
                    *(mix.speech(), mix.chat(), mix.session(), mix.live()),
                    *(mix.single(), mix.said()),  # each with sockets of its own
                )
        # As above, and a timer of the last cycle may still hold what it was to end.
        await asyncio.sleep(1.5)
        looks.append(look(tasks=len(asyncio.all_tasks())))
        looks[-1]["sockets"] -= before
    return looks


def blocking_cycles(urls: dict[str, str], count: int) -> list[Look]:
    looks = []
    before = open_sockets()
    for part in (count // WARMING, count - count // WARMING):
        for _ in range(part):
            tts, stt, llm = clients(urls, sync)
            with tts, stt, llm:
                assert llm.chat("Hello").text
                with llm.stream_chat("Hello") as reply:
                    assert "".join(reply)
                with tts.stream_speech("Hi.") as speech:
                    assert list(speech)
                with stt.open_transcription() as session:
                    session.send(AUDIO)
                    session.finish()
                    session.result()
        looks.append(look())
        looks[-1]["sockets"] -= before
    return looks


if __name__ == "__main__":
    what, addresses, number = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    seen: Any
    if what == "blocking":
        seen = blocking_cycles(addresses, number)
    else:
        seen = asyncio.run({"calls": calls, "cycles": cycles}[what](addresses, number))
    print(json.dumps(seen))
