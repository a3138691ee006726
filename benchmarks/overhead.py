"""``overhead``: client CPU of a warm 8 KB speech call, beside bare aiohttp and the vendor's SDK."""

from __future__ import annotations

from benchmarks import bare
from benchmarks.measure import Bench, Result, cpu_rows, goal
from voicekit import NO_POLICIES, ElevenLabsClient
from voicekit.emulator import EmulatorProcess

TEXT = "Hi."  # 60 ms of tones a character: 8,640 bytes of pcm_24000
VOICE = "21m00Tcm4TlvDq8ikWAM"
MODEL = "eleven_flash_v2_5"
CALLS = 200


class Silent:
    """An observer that does nothing, as cheaply as one can."""

    def on_event(self, event: object) -> None:
        pass


def run() -> Result:
    from elevenlabs import AsyncElevenLabs, ElevenLabs

    with EmulatorProcess(providers=("elevenlabs",), scenario="instant") as world, Bench() as bench:
        url = world.elevenlabs.url
        path = f"{url}/v1/text-to-speech/{VOICE}/stream?output_format=pcm_24000"
        headers = {
            "xi-api-key": "emulated",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }

        async def setup() -> tuple[ElevenLabsClient, ElevenLabsClient, object]:
            settings = {"api_key": "emulated", "base_url": url, "voice": VOICE}
            return (
                ElevenLabsClient(**settings, policies=NO_POLICIES),  # with limits only
                ElevenLabsClient(**settings, observers=[Silent()]),
                bare.session(),
            )

        client, observed, http = bench.runner.run(setup())
        vendor, vendor_sync = (
            kind(**world.sdk("elevenlabs")) for kind in (AsyncElevenLabs, ElevenLabs)
        )

        async def ours() -> None:
            async with client.stream_speech(TEXT) as speech:
                async for _ in speech:
                    pass

        async def ours_observed() -> None:
            async with observed.stream_speech(TEXT) as speech:
                async for _ in speech:
                    pass

        async def aiohttp_bare() -> None:
            await bare.speech(http, path, headers, {"text": TEXT, "model_id": MODEL})

        async def sdk() -> None:
            async for _ in vendor.text_to_speech.stream(
                VOICE, text=TEXT, model_id=MODEL, output_format="pcm_24000"
            ):
                pass

        def sdk_sync() -> None:
            for _ in vendor_sync.text_to_speech.stream(
                VOICE, text=TEXT, model_id=MODEL, output_format="pcm_24000"
            ):
                pass

        pairs = bench.ratios(
            ours,
            {
                "bare aiohttp": (aiohttp_bare, 1.15),
                "elevenlabs SDK, async": (sdk, 0.4),
                "elevenlabs SDK, sync": (sdk_sync, 0.6),
            },
            calls=CALLS,
        )
        with_observer = bench.ratios(
            ours_observed, {"bare aiohttp": (aiohttp_bare, 1.30)}, calls=CALLS
        )

        async def close() -> None:
            await client.aclose()
            await observed.aclose()
            await http.close()

        bench.runner.run(close())

    def ratio(name: str) -> list[float]:
        return [mine / other for mine, other in pairs[name]]

    return Result(
        "overhead",
        [
            goal("CPU ÷ bare aiohttp, limits only", ratio("bare aiohttp"), 1.15),
            goal(
                "CPU ÷ bare aiohttp, all policies, one observer",
                [mine / other for mine, other in with_observer["bare aiohttp"]],
                1.30,
            ),
            goal("CPU ÷ elevenlabs SDK, async", ratio("elevenlabs SDK, async"), 0.4),
            goal("CPU ÷ elevenlabs SDK, sync", ratio("elevenlabs SDK, sync"), 0.6),
        ],
        cpu_rows(pairs, "voicekit"),
    )
