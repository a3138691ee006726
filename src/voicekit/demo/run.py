"""The demo as a command: emulator (or live providers), three turns, report, ``answer.wav``."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentParser, Namespace
from io import TextIOWrapper
from pathlib import Path

from voicekit import AudioClip, DeepgramClient, ElevenLabsClient, OpenAIClient, VoicekitError
from voicekit.demo.emulated import (
    Handshakes,
    make_world,
    memory_by_turn,
    missing,
    take_turn,
    take_turns,
)
from voicekit.demo.question import Question, load_question
from voicekit.demo.report import as_json, show
from voicekit.demo.turn import Clients, Progress, Turn

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""

_VOICE = "21m00Tcm4TlvDq8ikWAM"


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``python -m voicekit demo``."""
    parser.add_argument("--question", metavar="FILE.wav", help="your own recording (PCM16 WAV)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, no more")
    parser.add_argument("--output", default="answer.wav", metavar="FILE.wav", help="spoken answer")
    parser.add_argument("--seed", type=int, default=0, help="of the emulator's latencies")
    parser.add_argument("--live", action="store_true", help="the real providers, with your keys")
    parser.add_argument("--model", help="OpenAI model, needed with --live")
    parser.add_argument("--voice", default=_VOICE, help="ElevenLabs voice id")


def run(options: Namespace) -> int:
    """Run it.

    Returns:
        0 when the question was answered, 2 when it could not be (one line on stderr says why),
        130 after Ctrl-C.
    """
    from voicekit.emulator.errors import EmulatorError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without “ and █ is no reason to fail
    try:
        return _run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (VoicekitError, EmulatorError, OSError) as error:
        _progress(f"{type(error).__name__}: {error}")
    except ExceptionGroup as group:
        first = _first(group)
        if not isinstance(first, VoicekitError | OSError):
            raise
        _progress(f"{type(first).__name__}: {first}")
    return 2


def _run(options: Namespace) -> int:
    question = load_question(options.question)
    output = Path(options.output)
    if output.suffix.lower() != ".wav" or not output.absolute().parent.is_dir():
        _progress(f"--output {output}: must be a .wav file in a directory that exists")
        return 2
    if options.live:
        if not options.model:
            _progress("--live needs --model: name an OpenAI chat model that your key may use")
            return 2
        turns = asyncio.run(_live(options, question, _progress))
    else:
        if lacking := missing():
            _progress(f"the demo needs {', '.join(lacking)}: pip install 'voicekit[demo]'")
            return 2
        emulator = make_world(options.seed)
        _progress("starting the emulator: TLS, 40 ms round trip, a real voice and real ears")
        with emulator as world:
            turns = take_turns(world, question, _progress, voice=options.voice, model=options.model)
    turn = turns[-1][0]
    if turn.format is None or not turn.audio:
        _progress("the answer had no words to speak")
        return 2
    AudioClip(data=turn.audio, format=turn.format).save(output)
    document = as_json(question, turns, str(output))
    if options.json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        show(document)
    return 0


def _progress(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _first(error: BaseException) -> BaseException:
    """The first error of a group, however deep: the others mostly follow from it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _live(
    options: Namespace, question: Question, progress: Progress
) -> list[tuple[Turn, Handshakes]]:
    """Against the providers themselves, with the keys of the environment.

    No server's journal here: a connection counts when its own stage had to wait for it.
    """
    turns = []
    for label, memory in memory_by_turn().items():
        clients = Clients.remembering(
            memory,
            DeepgramClient(),
            OpenAIClient(model=options.model),
            ElevenLabsClient(voice=options.voice),
        )
        turn = await take_turn(clients, question, label, progress)
        asked = [stage for stage in turn.stages[1:] if stage.cache != "hit"]
        waited = [s for s in asked if s.connection is None or not s.connection.reused]
        turns.append((turn, Handshakes(len(waited), 2 * len(waited))))  # TCP and TLS 1.3
    return turns
