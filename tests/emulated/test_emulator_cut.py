"""Connections that are cut on demand, and a recording that tells what was heard of it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from voicekit.emulator import Emulator, EmulatorError, EmulatorProcess, Link
from voicekit.emulator.spoken import Spoken, SpokenEar, SpokenWord

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]


async def connect(world: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has been used once."""
    endpoint = world.endpoint("deepgram")
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Token k\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    await reader.readexactly(int(length.partition(b":")[2]))
    return reader, writer


async def fate(reader: asyncio.StreamReader) -> str:
    try:
        async with asyncio.timeout(0.2):
            return "fin" if await reader.read(1) == b"" else "data"
    except TimeoutError:
        return "nothing"
    except ConnectionResetError:
        return "rst"


@pytest.mark.parametrize("link", [None, Link(), Link(rtt=0.01)], ids=["bare", "link", "far"])
@pytest.mark.parametrize("how", ["fin", "rst", "blackhole"])
async def test_cut(how: Any, link: Link | None) -> None:
    """Every connection that is open ends that way, or in silence; new ones are served."""
    async with Emulator(providers=("deepgram",), link=link) as world:
        pairs = [await connect(world) for _ in range(3)]
        if how == "blackhole" and link is None:
            with pytest.raises(EmulatorError):
                world.cut("deepgram", how=how)
            expected = "nothing"
        else:
            assert world.cut("deepgram", how=how) == 3
            expected = "nothing" if how == "blackhole" else how
        assert [await fate(reader) for reader, _ in pairs] == [expected] * 3
        if how == "blackhole":
            pairs[0][1].write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await fate(pairs[0][0]) == ("nothing" if link is not None else "data")
        for _, writer in [*pairs, await connect(world)]:
            writer.close()


async def test_cut_from_elsewhere() -> None:
    """From another thread, and in another process."""
    for world in (
        Emulator.in_thread(providers=("deepgram",), link=Link()),
        EmulatorProcess(providers=("deepgram",), link=Link()),
    ):
        with world:
            reader, writer = await connect(world)
            assert world.cut("deepgram", how="rst") == 1
            assert await fate(reader) == "rst"
            writer.close()


def test_a_recording_tells_its_places() -> None:
    """However it is cut and wherever one begins, an ear knows which words it has heard."""
    spoken = Spoken.evenly([f"w{number}" for number in range(50)])
    pcm = spoken.pcm(16_000, 20.5)
    rng = random.Random(1)
    for _ in range(20):
        begin, end = sorted(rng.randrange(0, len(pcm), 2) for _ in range(2))
        ear, at = SpokenEar(spoken, 16_000), begin
        while at < end:
            size = 2 * rng.randint(8, 500)
            ear.feed(pcm[at : min(end, at + size)])
            at += size
        low, high = begin / 32_000, end / 32_000
        heard = {word: (start, stop) for word, start, stop, _ in ear.words(final=True)}
        for word in spoken.words:
            part = (min(high, word.end) - max(low, word.start)) / 0.3
            if abs(part - 0.5) > 0.01:
                assert (word.text in heard) is (part > 0.5)
            if word.text in heard:
                start, stop = heard[word.text]
                assert start == pytest.approx(max(low, word.start) - low, abs=0.001)
                assert stop == pytest.approx(min(high, word.end) - low, abs=0.001)
        assert ear.words(final=True) == []


def test_an_ear_knows_a_jump() -> None:
    """Parts that were left out or come again are where they are."""
    spoken = Spoken((SpokenWord("a", 0.1, 0.4), SpokenWord("b", 1.0, 1.4)), recognised=0.9)
    pcm = spoken.pcm(8000, 2.0)
    ear = SpokenEar(spoken, 8000)
    ear.feed(pcm[: 2 * 2000] + bytes(2 * 80) + pcm[2 * 1500 : 2 * 4000] + pcm[2 * 7000 :])
    ear.feed(pcm[2 * 7900 : 2 * 11_300])
    assert [word for word, *_ in ear.words(final=False)] == ["a", "b"]
    assert len(ear.words(final=True)) == 2
