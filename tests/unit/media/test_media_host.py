"""What is published is served to whoever has the address, until it expires, and to nobody else."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from media_fakes import BASE, SECRET, DictStorage, ask, mp3, ogg

from voicekit import ClosedError, InvalidArgumentError, UnavailableError
from voicekit.media import Channel, MediaHost
from voicekit.speech.audio_format import AudioFormat
from voicekit.speech.clip import AudioClip

pytestmark = pytest.mark.anyio


class Clock:
    """The two clocks of the process, which a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.steady = 1_800_000_000.0, 500.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "monotonic", lambda: self.steady)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def storage() -> DictStorage:
    return DictStorage()


@pytest.fixture
def host(storage: DictStorage) -> MediaHost:
    return MediaHost(BASE, secret=SECRET, storage=storage, ttl=60)


@pytest.mark.parametrize(
    ("clip", "content_type", "suffix"),
    [(ogg(), "audio/ogg", "ogg"), (mp3(), "audio/mpeg", "mp3")],
    ids=["ogg", "mp3"],
)
async def test_what_is_published_is_served(
    host: MediaHost, clip: AudioClip, content_type: str, suffix: str
) -> None:
    """The bytes as they were, with the type and the length that a provider checks."""
    url = await host.publish(clip)
    assert re.fullmatch(rf"{BASE}/[A-Za-z0-9_-]{{52}}\.{suffix}", url)
    got = await ask(host, url)
    assert (got.status, got.body) == (200, clip.data)
    assert got.headers["content-type"] == content_type
    assert got.headers["content-length"] == str(len(clip.data))
    assert "no-store" in got.headers["cache-control"]
    assert "expires" in got.headers


async def test_head_tells_the_same_without_the_bytes(host: MediaHost) -> None:
    """Twilio asks for the headers first; a range is no matter of theirs."""
    url = await host.publish(mp3())
    whole = await ask(host, url)
    head = await ask(host, url, method="HEAD", headers={"range": "bytes=0-9"})
    assert (head.status, head.body) == (200, b"")
    assert head.headers == whole.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_no_other_method(host: MediaHost, method: str) -> None:
    """It only gives."""
    got = await ask(host, await host.publish(mp3()), method=method)
    assert got.status == 405
    assert got.headers["allow"] == "GET, HEAD"


async def test_a_changed_address_is_refused(host: MediaHost) -> None:
    """Any character of it changed: not one is served, and none is looked up."""
    url = await host.publish(mp3())
    name = url.rpartition("/")[2]
    for at in range(52):
        for other in "Aa0-_z":
            if other != name[at]:
                got = await ask(host, f"{BASE}/{name[:at]}{other}{name[at + 1 :]}")
                assert got.status == 403
    assert (await ask(host, url.replace(".mp3", ".ogg"))).status == 403
    assert (await ask(host, url.replace(".mp3", ".html"))).status == 403


@pytest.mark.parametrize(
    "path",
    ["/media/", "/media/x.mp3", "/media/" + "A" * 51 + ".mp3", "/media/é.mp3", "/", "/media/%00"],
)
async def test_what_is_no_address_is_not_found(host: MediaHost, path: str) -> None:
    """A scanner learns nothing, and costs nothing."""
    assert (await ask(host, path)).status == 404


async def test_another_secret_is_another_host(host: MediaHost, storage: DictStorage) -> None:
    """Only who shares the secret (and the storage) serves an address; by default nobody does."""
    url = await host.publish(mp3())
    same = MediaHost(BASE, secret=SECRET.encode(), storage=storage)
    assert (await ask(same, url)).status == 200
    for other in (MediaHost(BASE, storage=storage), MediaHost(BASE, storage=storage)):
        assert (await ask(other, url)).status == 403
    empty = MediaHost(BASE, secret=SECRET, storage=DictStorage())
    assert (await ask(empty, url)).status == 404


async def test_an_address_expires(clock: Clock, storage: DictStorage) -> None:
    """To the second, though the clip is still there; the storage lets go of it soon after."""
    host = MediaHost(BASE, storage=storage, ttl=60)
    url = await host.publish(mp3())
    (kept_for,) = storage.ttls.values()
    assert 60 < kept_for <= 65
    clock.pass_(59)
    assert (await ask(host, url)).status == 200
    clock.pass_(1)
    got = await ask(host, url)
    assert (got.status, got.body.count(b"\xff")) == (410, 0)


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_clock_that_is_set_changes_nothing(
    clock: Clock, storage: DictStorage, jump: float
) -> None:
    """An address lives for its seconds, not until a time that the clock skips or repeats."""
    host = MediaHost(BASE, storage=storage, ttl=60)
    url = await host.publish(mp3())
    clock.wall += jump
    clock.pass_(30)
    assert (await ask(host, url)).status == 200
    clock.pass_(30)
    assert (await ask(host, url)).status == 410


async def test_equal_clips_are_kept_once(host: MediaHost, storage: DictStorage) -> None:
    """The answer that everybody gets takes its bytes once; another life is another entry."""
    urls = [await host.publish(mp3()) for _ in range(5)]
    assert len(storage.kept) == 1
    short = await host.publish(mp3(), ttl=5)
    assert len(storage.kept) == 2
    for url in [*urls, short]:
        assert (await ask(host, url)).status == 200
    assert all(key.startswith("media:") for key in storage.kept)


async def test_it_tells_when_a_clip_was_fetched(host: MediaHost) -> None:
    """By the last byte: not by the headers, a first part, or another address of the same clip."""
    url, other = await host.publish(mp3()), await host.publish(mp3())
    assert url != other
    await ask(host, other)
    await ask(host, url, method="HEAD")
    await ask(host, url, headers={"range": "bytes=0-9"})
    assert not await host.fetched(url, within=0)
    waiting = asyncio.ensure_future(host.fetched(url, within=10))
    await asyncio.sleep(0)
    await ask(host, url, headers={"range": "bytes=10-"})
    assert await waiting
    assert await host.fetched(url, within=0)
    assert await host.fetched(other, within=0)
    assert not await host.fetched(f"{BASE}/nothing", within=10)


async def test_what_is_remembered_is_bounded(host: MediaHost) -> None:
    """A process that publishes for a year holds some thousand names."""
    first = await host.publish(mp3())
    for _ in range(4096):
        url = await host.publish(mp3())
    assert len(host._served) == 4096
    assert not await host.fetched(first, within=10)
    assert (await ask(host, first)).status == 200
    assert (await ask(host, url)).status == 200


async def test_a_forgotten_clip_is_not_found(host: MediaHost, storage: DictStorage) -> None:
    """Its address was good; there is nothing to give."""
    url = await host.publish(mp3())
    storage.kept.clear()
    assert (await ask(host, url)).status == 404


async def test_a_storage_that_fails(host: MediaHost, storage: DictStorage) -> None:
    """Who fetches may come again; who publishes learns it by type."""
    url = await host.publish(mp3())
    storage.broken = True
    got = await ask(host, url)
    assert (got.status, got.headers["retry-after"]) == (503, "1")
    with pytest.raises(UnavailableError):
        await host.publish(mp3())


@pytest.mark.parametrize(
    ("clip", "why"),
    [
        (AudioClip(data=bytes(4800), format=AudioFormat.parse("pcm_24000")), "pcm_24000"),
        (AudioClip(data=bytes(4800), format=AudioFormat.parse("mulaw_8000")), "mulaw_8000"),
        (AudioClip(data=b"RIFF" + bytes(4800), format=AudioFormat.parse("wav_24000")), "wav_24000"),
        (AudioClip(data=ogg().data, format=AudioFormat.parse("opus_48000_64_2ch")), "2 channels"),
        (AudioClip(data=b"<html>" * 90, format=AudioFormat.parse("mp3_44100_128")), "are not"),
        (AudioClip(data=mp3().data, format=AudioFormat.parse("ogg_opus")), "are not"),
        (AudioClip(data=ogg().data, format=AudioFormat.parse("aac_22050_48")), "are not"),
        (AudioClip(data=b"", format=AudioFormat.parse("mp3_44100_128")), "no sound"),
        (mp3((16 << 20) + 1), "too many"),
    ],
    ids=["pcm", "mulaw", "wav", "stereo", "html", "mislabelled", "not-aac", "empty", "too-large"],
)
async def test_what_the_channel_does_not_play_is_refused(
    host: MediaHost, storage: DictStorage, clip: AudioClip, why: str
) -> None:
    """Before anything is kept, with the formats that it does play."""
    with pytest.raises(InvalidArgumentError, match=why) as caught:
        await host.publish(clip)
    assert caught.value.argument == "clip"
    for name in ("ogg_opus", "mp3", "aac", "16777216 bytes"):
        assert name in str(caught.value)
    assert not storage.kept


async def test_a_channel_of_ones_own(host: MediaHost) -> None:
    """A web page plays WAV; the host says so per call as well."""
    page = Channel(name="the page", encodings=("wav",), most_bytes=1000)
    clip = AudioClip(data=b"RIFF....WAVE" + bytes(800), format=AudioFormat.parse("wav_24000"))
    got = await ask(host, await host.publish(clip, channel=page))
    assert (got.status, got.headers["content-type"]) == (200, "audio/wav")
    with pytest.raises(InvalidArgumentError, match="the page"):
        await host.publish(mp3(), channel=page)


async def test_more_than_the_storage_holds_is_refused() -> None:
    """It would be dropped without a word, and the address would lead nowhere."""
    host = MediaHost(BASE, storage=DictStorage(most=2024))
    with pytest.raises(InvalidArgumentError, match="at most 1000 bytes"):
        await host.publish(mp3(1001))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("base_url", "bot.example.com/media"),
        ("base_url", "ftp://bot.example.com"),
        ("base_url", "https://bot.example.com/media?x=1"),
        ("base_url", "https://user:word@bot.example.com"),
        ("base_url", "https://bot.example.com:x/"),
        ("base_url", 7),
        ("secret", "short"),
        ("secret", 1234567890123456),
        ("ttl", 0),
        ("ttl", float("nan")),
        ("ttl", 8 * 86_400),
        ("channel", "telegraph"),
        ("channel", None),
    ],
)
def test_bad_arguments(argument: str, value: object) -> None:
    """Named, with what is allowed and without what was given."""
    options: dict[str, Any] = {"base_url": BASE, "storage": DictStorage(), argument: value}
    with pytest.raises(InvalidArgumentError, match="allowed") as caught:
        MediaHost(**options)
    assert caught.value.argument == argument
    assert "word" not in str(caught.value)
    assert "short" not in str(caught.value)


async def test_closing(host: MediaHost, storage: DictStorage) -> None:
    """No address works afterwards; a storage that was given is its giver's."""
    async with host:
        url = await host.publish(mp3())
    await host.aclose()
    assert (await ask(host, url)).status == 404
    assert storage.closed == 0
    with pytest.raises(ClosedError):
        await host.publish(mp3())


def test_a_repr_tells_no_secret(host: MediaHost) -> None:
    assert SECRET not in repr(host) + repr(host._names)
    assert BASE in repr(host)


async def test_a_storage_of_ones_own_is_bounded_and_closed() -> None:
    """By default clips are in memory: the oldest go when there are too many, all at the end."""
    async with MediaHost(BASE) as host:
        first = await host.publish(mp3(8 << 20))
        second = await host.publish(ogg(8 << 20))
        assert (await ask(host, first)).status == 200
        for fill in (b"1", b"2", b"3", b"4", b"5", b"6", b"7"):
            last = await host.publish(ogg(8 << 20, fill))
        assert (await ask(host, second)).status == 404
        assert (await ask(host, last)).status == 200
        stats = host._storage.stats()
        assert stats.size is not None
        assert stats.most is not None
        assert stats.size <= stats.most <= 64 << 20
    assert (await ask(host, last)).status == 404


async def test_its_bytes_are_in_the_metrics() -> None:
    """A clip is memory of the process like that of any cache; what grows must be seen."""
    pytest.importorskip("ddsketch")
    from voicekit import Metrics

    async with MediaHost(BASE, secret=SECRET) as host:
        metrics = Metrics(caches=[host])
        clip = mp3()
        await host.publish(clip)
        assert metrics.snapshot()["cache_bytes"] >= len(clip.data)
        assert metrics.snapshot()["storages"]["MediaHost"]["entries"] == 1


async def test_cancelled_it_has_published_nothing(host: MediaHost, storage: DictStorage) -> None:
    """Wherever it is cancelled: no address was given out, and the host goes on."""

    class Slow(DictStorage):
        async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
            await asyncio.Event().wait()

    slow = MediaHost(BASE, storage=Slow())
    publishing = asyncio.ensure_future(slow.publish(mp3()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    assert not slow._served
    assert (await ask(host, await host.publish(mp3()))).status == 200


async def test_names_tell_nothing_and_are_not_alike(host: MediaHost) -> None:
    """Nothing of what is in a clip can be read off, or tried out, without the secret."""
    names = {(await host.publish(mp3())).rpartition("/")[2] for _ in range(20)}
    assert len(names) == 20
    other = MediaHost(BASE, storage=DictStorage())
    mine, theirs = await host.publish(mp3()), await other.publish(mp3())
    assert mine.rpartition("/")[2][:16] != theirs.rpartition("/")[2][:16]
