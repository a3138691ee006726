"""``sync``: what the blocking facade adds: crossings to the event loop, and time.

A crossing is a hand-over between two threads. A whole value must take one; a stream at
most one to open and one for each piece that came from the network, however many
chunks it held.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.measure import MIN_PAIRS, Goal, Result, estimate
from voicekit.emulator import EmulatorProcess
from voicekit.emulator.scenario import SCENARIOS
from voicekit.sync import ElevenLabsClient, OpenAIClient
from voicekit.sync.portal import portal
from voicekit.transport.http_aiohttp import AiohttpResponse

CALLS = 50
MESSAGES = [{"role": "user", "content": "Hello"}]
VOICE = "21m00Tcm4TlvDq8ikWAM"
TEXT = "A sentence that takes a few seconds to say. " * 5


class Reads:
    """Counts how often a response is read, and so what an iterator may cross for."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Reads:  # noqa: PYI034
        self._chunk = AiohttpResponse.chunk

        async def chunk(response: AiohttpResponse) -> bytes:
            self.count += 1
            return await self._chunk(response)

        AiohttpResponse.chunk = chunk  # type: ignore[method-assign]
        return self

    def __exit__(self, *exc: object) -> None:
        AiohttpResponse.chunk = self._chunk  # type: ignore[method-assign]


def run() -> Result:
    from elevenlabs import ElevenLabs
    from openai import OpenAI

    result = Result("sync")
    paced = replace(SCENARIOS["instant"], chat_token_gap=0.002, speech_real_time_factor=0.02)
    with (
        EmulatorProcess(providers=("openai", "elevenlabs"), scenario=paced) as world,
        OpenAIClient(api_key="k", base_url=world.openai.url, model="m") as llm,
        ElevenLabsClient(api_key="k", base_url=world.elevenlabs.url, voice=VOICE) as tts,
        OpenAI(**world.sdk("openai")) as vendor_llm,
    ):
        vendor_tts = ElevenLabs(**world.sdk("elevenlabs"))

        def chat() -> int:
            return len(llm.chat(MESSAGES).text)

        def chat_stream() -> int:
            with llm.stream_chat(MESSAGES) as reply:
                return sum(1 for _ in reply)

        def speech() -> int:
            return len(tts.synthesize(TEXT).data)

        def speech_stream() -> int:
            with tts.stream_speech(TEXT) as stream:
                return sum(1 for _ in stream)

        for name, call, most in (
            ("chat, whole", chat, None),
            ("speech, whole", speech, None),
            ("chat, streamed", chat_stream, 1),
            ("speech, streamed", speech_stream, 1),
        ):
            _count(result, name, call, most)
        world.set_scenario("instant")
        _time(
            result,
            "chat, whole",
            chat,
            lambda: vendor_llm.chat.completions.create(model="m", messages=MESSAGES),  # type: ignore[arg-type]
        )
        _time(
            result,
            "speech, streamed",
            lambda: _drain(tts.stream_speech("Hi.")),
            lambda: _drain(
                vendor_tts.text_to_speech.stream(VOICE, text="Hi.", output_format="pcm_24000")
            ),
        )
    return result


def _drain(stream: Any) -> None:
    for _ in stream:
        pass


def _count(result: Result, name: str, call: Callable[[], int], beyond_reads: int | None) -> None:
    call()
    excess, crossings, items = [], [], []
    for _ in range(MIN_PAIRS):
        with Reads() as reads:
            before = portal().crossings
            items.append(call())
            crossed = portal().crossings - before
        crossings.append(crossed)
        excess.append(crossed - (0 if beyond_reads is None else reads.count))
    worst = max(excess)
    what = "crossings" if beyond_reads is None else "crossings beyond network reads"
    result.goals.append(
        Goal(f"{name}: {what}", worst, (min(excess), worst), 1, "lower", worst <= 1)
    )
    result.rows.append(
        {
            "call": name,
            "crossings": statistics.median(crossings),
            "items": statistics.median(items) if beyond_reads is not None else 1,
        }
    )


def _time(result: Result, name: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
    times: dict[str, list[float]] = {"voicekit": [], "vendor": []}
    for _ in range(MIN_PAIRS):
        for side, call in (("voicekit", ours), ("vendor", theirs)):
            call()
            started = time.perf_counter()
            for _ in range(CALLS):
                call()
            times[side].append((time.perf_counter() - started) / CALLS)
    result.rows.append(
        {
            "call": f"{name}, wall time",
            **{f"{side}_us": round(estimate(seen).value * 1e6) for side, seen in times.items()},
        }
    )
