"""The demo without keys: its turns against the emulator, and what its journal says of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.demo.turn import Clients, Memory, Progress, Turn, run_turn

if TYPE_CHECKING:
    from voicekit.demo.question import Question
    from voicekit.emulator import EmulatorProcess, Journal

RTT_S = 0.040
"""Round trip of the emulated link, seconds: a caller and an API on one continent."""

SCENARIO = "typical"
PROVIDERS = ("deepgram", "openai", "elevenlabs")

_EXTRA = ("trustme", "espeakng_loader", "pocketsphinx")
_HEAVY = (
    "voicekit.transport.http_aiohttp",
    "voicekit.transport.ws_aiohttp",
    "voicekit.transport.pool",
)


@dataclass(frozen=True, slots=True)
class Handshakes:
    """What was dialled between the end of the speech and the first audio of a turn."""

    new_connections: int
    round_trips: int


def missing() -> list[str]:
    """Packages of the demo extra that are needed here and not installed."""
    return [name for name in _EXTRA if find_spec(name) is None]


def make_world(seed: int) -> EmulatorProcess:
    """The three providers, in a process of their own; enter it before use.

    Imports what the turns will need: that is no part of a turn, and a Ctrl-C that strikes
    inside the import of an extension module can be lost in it.
    """
    for module in _HEAVY:
        import_module(module)
    from voicekit.emulator import EmulatorProcess, Link

    return EmulatorProcess(
        providers=PROVIDERS,
        tls=True,
        link=Link(rtt=RTT_S),
        scenario=SCENARIO,
        speech="real",
        seed=seed,
    )


def take_turns(
    world: EmulatorProcess, question: Question, progress: Progress, *, voice: str, model: str | None
) -> list[tuple[Turn, Handshakes]]:
    """One cold turn, one whose connections were opened before the first word, and that one again.

    The last one finds in memory what the warm one was answered.

    Each has clients and an event loop of its own, and the same draws of latency.

    Raises:
        VoicekitError: A stage failed; perhaps inside an ``ExceptionGroup``.
        EmulatorError: The emulator failed.
    """
    turns = []
    memories = memory_by_turn()
    for label, memory in memories.items():
        world.set_scenario(SCENARIO)  # begins the seeded draws again
        clients = _clients(world, memory, voice=voice, model=model)
        turn = asyncio.run(take_turn(clients, question, label, progress))
        turns.append((turn, handshakes(world.journal, turn)))
    return turns


def memory_by_turn() -> dict[str, Memory]:
    """Of each turn, by its label: only the last one remembers another, the one before it."""
    kept = Memory()
    return {"cold": Memory(), "warm": kept, "again": kept}


async def take_turn(clients: Clients, question: Question, label: str, progress: Progress) -> Turn:
    """One turn, warmed up unless it is the cold one; closes the clients."""
    async with clients:
        if label != "cold":
            await clients.warm()
        turn = await run_turn(clients, question, label, progress)
        if label == "warm" and turn.answer.strip():
            await clients.keep(turn.answer)
            progress("warm: the answer is kept, and how it sounds")
        return turn


def handshakes(journal: Journal, turn: Turn) -> Handshakes:
    """What the servers saw being dialled while the caller waited for the answer."""
    until = turn.first_audio if turn.first_audio is not None else float("inf")
    opened = [
        connection
        for connection in journal.connections
        if turn.speech_ended <= connection.opened_at <= until
    ]
    return Handshakes(len(opened), sum(each.handshake_round_trips for each in opened))


def _clients(world: EmulatorProcess, memory: Memory, *, voice: str, model: str | None) -> Clients:
    key, ca = "emulated", str(world.ca_file)
    return Clients.remembering(
        memory,
        DeepgramClient(key, base_url=world.deepgram.url, ca=ca),
        OpenAIClient(key, base_url=world.openai.url, ca=ca, model=model or "emulated"),
        ElevenLabsClient(key, base_url=world.elevenlabs.url, ca=ca, voice=voice),
    )
