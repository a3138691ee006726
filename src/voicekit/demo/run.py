"""The demo as a command: emulator (or live providers), two turns, report, ``answer.wav``."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from voicekit.clients.deepgram import DeepgramClient
from voicekit.clients.elevenlabs import ElevenLabsClient
from voicekit.clients.openai import OpenAIClient
from voicekit.demo.question import Question, load_question
from voicekit.demo.report import Handshakes, as_json, show
from voicekit.demo.turn import Clients, Progress, Turn, run_turn
from voicekit.errors import VoicekitError
from voicekit.speech import AudioClip

RTT_S = 0.040
"""Round trip of the emulated link, seconds: a caller and an API on one continent."""

_VOICE = "21m00Tcm4TlvDq8ikWAM"
_SCENARIO = "typical"
_PROVIDERS = ("deepgram", "openai", "elevenlabs")


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``python -m voicekit demo``."""
    parser.add_argument("--question", metavar="FILE.wav", help="your own recording (PCM16 WAV)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, no more")
    parser.add_argument("--output", default="answer.wav", metavar="FILE.wav", help="spoken answer")
    parser.add_argument("--seed", type=int, default=0, help="of the emulator's scenario")
    parser.add_argument("--live", action="store_true", help="the real providers, with your keys")
    parser.add_argument("--model", help="OpenAI model, needed with --live")
    parser.add_argument("--voice", default=_VOICE, help="ElevenLabs voice id")


def run(options: Namespace) -> int:
    """Run it; 0 when the question was answered, 2 when it could not be asked."""
    from voicekit.emulator.errors import EmulatorError

    def progress(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    try:
        question = load_question(options.question)
        if options.live and not options.model:
            progress("--live needs --model: name an OpenAI chat model that your key may use")
            return 2
        turns = (
            asyncio.run(_live(options, question, progress))
            if options.live
            else _emulated(options, question, progress)
        )
        turn = turns[-1][0]
        assert turn.format is not None  # noqa: S101 - a turn that ended has its format
        AudioClip(data=turn.audio, format=turn.format).save(Path(options.output))
    except (VoicekitError, EmulatorError) as error:
        progress(f"{type(error).__name__}: {error}")
        return 2
    except ExceptionGroup as group:
        for each in group.exceptions:
            progress(f"{type(each).__name__}: {each}")
        return 2
    document = as_json(question, turns, options.output)
    if options.json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        show(document)
    return 0


def _emulated(
    options: Namespace, question: Question, progress: Progress
) -> list[tuple[Turn, Handshakes]]:
    from voicekit.emulator import EmulatorProcess, Link

    progress("starting the emulator: TLS, 40 ms round trip, a real voice and real ears")
    with EmulatorProcess(
        providers=_PROVIDERS,
        tls=True,
        link=Link(rtt=RTT_S),
        scenario=_SCENARIO,
        speech="real",
        seed=options.seed,
    ) as world:
        ca = str(world.ca_file)

        def clients() -> Clients:
            return Clients(
                DeepgramClient(api_key="emulated", base_url=world.deepgram.url, ca=ca),
                OpenAIClient(
                    api_key="emulated",
                    base_url=world.openai.url,
                    model=options.model or "emulated",
                    ca=ca,
                ),
                ElevenLabsClient(
                    api_key="emulated",
                    base_url=world.elevenlabs.url,
                    voice=options.voice,
                    ca=ca,
                ),
            )

        turns = []
        for label in ("cold", "warm"):
            world.set_scenario(_SCENARIO)  # the same draws for both, so that only warmth differs
            turn = asyncio.run(_one(clients(), question, label, progress))
            journal = world.journal
            opened = [
                connection
                for connection in journal.connections
                if turn.speech_ended <= connection.opened_at <= (turn.first_audio or 0.0)
            ]
            trips = sum(connection.handshake_round_trips for connection in opened)
            turns.append((turn, Handshakes(len(opened), trips)))
        return turns


async def _one(clients: Clients, question: Question, label: str, progress: Progress) -> Turn:
    async with clients:
        if label == "warm":
            await clients.warm()
        return await run_turn(clients, question, label, progress)


async def _live(
    options: Namespace, question: Question, progress: Progress
) -> list[tuple[Turn, Handshakes]]:
    """Against the providers themselves, with the keys of the environment.

    No server's journal here: a connection counts when its own stage had to wait for it.
    """
    turns = []
    for label in ("cold", "warm"):
        clients = Clients(
            DeepgramClient(),
            OpenAIClient(model=options.model),
            ElevenLabsClient(voice=options.voice),
        )
        turn = await _one(clients, question, label, progress)
        waited = [s for s in turn.stages[1:] if s.connection is None or not s.connection.reused]
        turns.append((turn, Handshakes(len(waited), 2 * len(waited))))  # TCP and TLS 1.3
    return turns
