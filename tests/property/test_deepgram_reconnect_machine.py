"""Whatever is sent, said and lost, in any order: each word once, or its span is a reported gap."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "unit" / "clients" / "deepgram"))

import itertools

from deepgram_fakes import METADATA, FakeSocket, VirtualLoop, results

from voicekit.clients.deepgram import DeepgramClient, TranscriptionSession
from voicekit.emulator.spoken import Spoken, SpokenEar, SpokenWord
from voicekit.errors import ConnectionLostError, GapTimeout, UnavailableError, VoicekitError
from voicekit.operation import Call
from voicekit.speech import TranscriptionGap, TranscriptionResult
from voicekit.tasks import Background
from voicekit.transport.ws_aiohttp import SocketClosed

RATE = 8000
SECONDS = 30.0


class Vendor(FakeSocket):
    """One socket that hears a recording, and says what it has heard when it is told to."""

    def __init__(self, spoken: Spoken) -> None:
        super().__init__()
        self._ear = SpokenEar(spoken, RATE)
        self._waiting = b""
        self._heard = self._frozen = 0.0
        self.hung = False
        self._last = False

    async def send(self, data: str | bytes) -> None:
        await super().send(data)
        if isinstance(data, bytes):
            self._waiting += data
            return
        kind = json.loads(data)["type"]
        if kind == "Finalize":
            self.freeze(from_finalize=True)
        elif kind == "Configure":
            self._tell({"type": "ConfigureSuccess"})
        elif kind == "CloseStream":
            self._last = True
            self.freeze()
            self._tell(METADATA)

    def _tell(self, *messages: dict[str, Any]) -> None:
        if not self.hung:
            self.say(*messages)

    def _hear(self, lag: float = 0.0) -> None:
        size = max(0, len(self._waiting) - 2 * round(lag * RATE))
        self._ear.feed(self._waiting[:size])
        self._waiting = self._waiting[size:]
        self._heard += size / 2 / RATE

    def interim(self) -> None:
        self._hear()
        if self._heard > self._frozen:
            self._say(self._ear.words(final=False), is_final=False)

    def freeze(self, lag: float = 0.0, **fields: Any) -> None:
        self._hear(lag)
        if self.hung or self._heard <= self._frozen:
            return
        self._say(self._ear.words(final=True), is_final=True, **fields)
        self._frozen = self._heard

    def _say(self, words: list[tuple[str, float, float, float]], **fields: Any) -> None:
        message = results("", self._frozen, self._heard - self._frozen, **fields)
        best = message["channel"]["alternatives"][0]
        best["transcript"] = " ".join(word for word, *_ in words)
        best["words"] = [
            {
                "word": word,
                "start": max(start, self._frozen),
                "end": min(end, self._heard),
                "confidence": confidence,
            }
            for word, start, end, confidence in words
        ]
        self._tell(message)


class Run:
    """One session against such sockets, driven step by step."""

    def __init__(self, spoken: Spoken, max_replay_s: float) -> None:
        self.spoken = spoken
        self.pcm = spoken.pcm(RATE, SECONDS)
        self.sent = 0
        self.sockets: list[Vendor] = []
        self.refusals = 0
        self.dial_s = 0.0
        self.background = Background()
        self.client = DeepgramClient("marked-key")
        self.session = TranscriptionSession(
            self.client.live_request(format="pcm_8000", max_replay_s=max_replay_s),
            make_call=self.make_call,
            dial=self.dial,
            background=lambda: self.background,
        )
        self.events: list[Any] = []

    def make_call(self) -> Call:
        call = self.client._listen_call()
        self.client._used = False
        return call

    async def dial(self, call: Call) -> FakeSocket:
        await asyncio.sleep(self.dial_s)
        if self.refusals and self.sockets:
            self.refusals -= 1
            raise UnavailableError("refused", status=503)
        socket = Vendor(self.spoken)
        call.connection = socket.connection
        self.sockets.append(socket)
        return socket

    @property
    def socket(self) -> Vendor:
        return self.sockets[-1]

    async def step(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("send", seconds, size):
                end = min(len(self.pcm), self.sent + 2 * round(seconds * RATE))
                while self.sent < end:
                    piece = self.pcm[self.sent : min(end, self.sent + size)]
                    self.sent += len(piece)
                    await self.session.send(piece)
            case ("interim",):
                self.socket.interim()
            case ("final", lag):
                self.socket.freeze(lag)
            case ("finalize",):
                await self.session.finalize()
            case ("configure",):
                with contextlib.suppress(GapTimeout):
                    await self.session.configure(keyterms=["a"])
            case ("lose", error):
                self.socket.lose(error())
            case ("refuse", count, seconds):
                self.refusals, self.dial_s = count, seconds
            case ("hang",):
                self.socket.hung = True
            case ("wait", seconds):
                await asyncio.sleep(seconds)

    async def read(self) -> VoicekitError | None:
        try:
            async for event in self.session:
                self.events.append(event)
        except VoicekitError as error:
            return error
        return None

    async def run(self, steps: list[tuple[Any, ...]]) -> VoicekitError | None:
        async with self.session:
            reading = asyncio.create_task(self.read())
            try:
                for step in steps:
                    await self.step(step)
                await self.session.finish()
            except VoicekitError:
                if self.session._error is None and not self.session._closed:
                    raise
            error = await reading
        for _ in range(10):
            await asyncio.sleep(0)
        await asyncio.sleep(1.0)
        assert len(self.background) == 0
        return error

    def check(self, error: VoicekitError | None) -> None:
        session = self.session
        gaps = session.gaps
        assert [e for e in self.events if isinstance(e, TranscriptionGap)] == list(gaps)
        assert all(a.end <= b.start + 1e-6 for a, b in itertools.pairwise(gaps))
        said = [word.text for word in session._state.finals.words]
        assert said == [
            word.text
            for event in self.events
            if isinstance(event, TranscriptionResult) and event.is_final
            for word in event.words
        ]
        assert session.transcript.split() == said
        order = [word.text for word in self.spoken.words]
        torn = {
            word.text
            for word in self.spoken.words
            if any(g.start < word.end and word.start < g.end for g in gaps)
        }  # in part before a gap and in part after it, a word may be understood twice
        whole = [text for text in said if text not in torn]
        assert whole == [text for text in order if text in set(whole)], "twice, or out of order"
        until = self.sent / 2 / RATE
        for word in self.spoken.words:
            lost = word.text in torn
            if word.end <= until and not lost:
                assert word.text in said, (word, gaps, error)
        starts = [
            event.start
            for event in self.events
            if isinstance(event, TranscriptionResult) and event.is_final
        ]
        assert starts == sorted(starts)
        if error is None:
            assert not gaps or max(g.end for g in gaps) <= until + 1e-6


def recording(seed: int, recognised: float) -> Spoken:
    """Words and pauses of any length."""
    rng, words, at = random.Random(seed), [], 0.05
    while at < SECONDS - 1:
        length = rng.choice((0.08, 0.2, 0.35, 0.7))
        words.append(SpokenWord(f"w{len(words)}", at, at + length))
        at += length + rng.choice((0.0, 0.02, 0.1, 0.6))
    return Spoken(tuple(words), recognised)


recordings = st.builds(recording, st.integers(0, 99), st.sampled_from((0.15, 0.5, 0.95)))

LOSSES = (
    lambda: ConnectionLostError("gone"),
    lambda: SocketClosed("x", status=1011, detail="NET-0001"),
    lambda: SocketClosed("x", status=1000, detail=""),
)

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.floats(min_value=0.01, max_value=3.0),
            st.sampled_from((320, 321, 1000, 9000)),
        ),
        st.tuples(st.just("interim")),
        st.tuples(st.just("final"), st.sampled_from((0.0, 0.05, 0.3, 1.1))),
        st.tuples(st.just("finalize")),
        st.tuples(st.just("configure")),
        st.tuples(st.just("lose"), st.sampled_from(LOSSES)),
        st.tuples(
            st.just("refuse"), st.integers(min_value=0, max_value=4), st.sampled_from((0.0, 0.5))
        ),
        st.tuples(st.just("hang")),
        st.tuples(st.just("wait"), st.sampled_from((0.0, 0.01, 0.2, 2.0, 11.0))),
    ),
    max_size=30,
)

LOSE = ("lose", LOSSES[0])
EVEN = Spoken.evenly([f"w{number}" for number in range(70)])


@settings(max_examples=150)
@given(recordings, steps, st.sampled_from((0.3, 2.0, 60.0)))
@example(recording(0, 0.15), [("send", 2.0, 320), ("final", 0.0), LOSE, ("send", 2.0, 320)], 2.0)
@example(EVEN, [("send", 3.0, 320), ("final", 0.05), LOSE, ("send", 1.0, 320)], 60.0)
@example(EVEN, [("send", 3.0, 320), LOSE, ("wait", 2.0), LOSE, ("send", 1.0, 320)], 60.0)
@example(EVEN, [("send", 3.0, 320), ("hang",), ("send", 1.0, 320)], 60.0)
@example(EVEN, [("refuse", 4, 0.5), LOSE, ("send", 3.0, 320), ("send", 3.0, 320)], 0.3)
def test_each_word_once_or_a_gap(
    spoken: Spoken, steps: list[tuple[Any, ...]], max_replay_s: float
) -> None:
    """For any sequence of sends, results and losses, nothing is doubled or silently lost."""

    async def main() -> None:
        run = Run(spoken, max_replay_s)
        run.check(await run.run(steps))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
