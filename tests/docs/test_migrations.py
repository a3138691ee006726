"""The migration pages: every block runs, theirs and ours, and both get the same.

A block is one side's where its first line says so, ``# elevenlabs`` or ``# voicekit``. What the
pages take for granted is provided: ``vendor`` is the SDK's asynchronous client, ``recording`` and
``microphone()`` are audio, and so on; everything else is as a user would write it.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.metadata
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from voicekit import (
    NO_POLICIES,
    AudioClip,
    AudioFormat,
    DeepgramClient,
    ElevenLabsClient,
    OpenAIClient,
    Policies,
    Retry,
    UnavailableError,
    VoicekitError,
)
from voicekit.emulator import Emulator, Fault, Scenario
from voicekit.resilience import no_waits

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.sdk,
    pytest.mark.emulated,
    *(
        pytest.mark.filterwarnings(f"ignore::DeprecationWarning:{module}.*")
        for module in ("elevenlabs", "deepgram", "pydantic", "websockets")
    ),
    pytest.mark.filterwarnings("ignore:.*websockets.legacy.*:DeprecationWarning"),
]

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VENDORS = ("elevenlabs", "deepgram", "openai")
COMPARED = ("audio", "text", "names", "vector")
"""What a block leaves under these names is the same on both sides of a section."""

VOICE = "21m00Tcm4TlvDq8ikWAM"
SPEECH = AudioClip(data=bytes(range(256)) * 250, format=AudioFormat.parse("pcm_16000"))
SCENARIO = Scenario(name="migration", heard="good morning", replies="We open at nine.")


@dataclass(frozen=True)
class Block:
    """One block of code: whose, under which heading, and its line on the page."""

    side: str
    heading: str
    line: int
    code: str


def sdk_of(vendor: str) -> Any:
    """The SDK; by its distribution, since a folder of tests of that name can be imported too."""
    try:
        importlib.metadata.version("deepgram-sdk" if vendor == "deepgram" else vendor)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the vendor's SDK is not installed")
    return importlib.import_module(vendor)


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        before = text[: match.start()]
        headings = re.findall(r"^#+ (.+)$", re.sub(BLOCK, "", before), re.MULTILINE)
        side = re.match(r"# (\w+)", match[1])
        found.append(Block(side[1] if side else "", headings[-1], before.count("\n") + 1, match[1]))
    return found


def page_of(vendor: str) -> Path:
    return PAGES / f"migrate-from-{vendor}-sdk.md"


async def execute(block: Block, page: Path, names: dict[str, Any]) -> None:
    """As in an asynchronous function; an error names the page and the line."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile("\n" * block.line + block.code, str(page), "exec", flags=flags)
    result = eval(code, names)
    if inspect.isawaitable(result):
        await result


async def microphone() -> AsyncIterator[bytes]:
    """Two seconds of 16 kHz PCM, in frames of 100 ms."""
    for at in range(0, len(SPEECH.data), 3200):
        yield SPEECH.data[at : at + 3200]
        await asyncio.sleep(0)


async def written() -> AsyncIterator[str]:
    """A text that is still being written."""
    for word in ("We ", "open ", "at ", "nine. "):
        yield word
        await asyncio.sleep(0)


@contextmanager
def served(vendor: str) -> Iterator[Any]:
    with Emulator.in_thread(providers=(vendor,), scenario=SCENARIO) as world:
        yield world


@pytest.fixture(params=VENDORS)
async def setting(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[tuple[str, Any, dict[str, Any]]]:
    """The vendor, the emulator, and the names that a page begins with."""
    vendor = request.param
    sdk = sdk_of(vendor)
    (tmp_path / "call.wav").write_bytes(SPEECH.wav())
    monkeypatch.chdir(tmp_path)
    with served(vendor) as world:
        for name, value in world.env().items():
            monkeypatch.setenv(name, value)
        async with sdk_clients(vendor, sdk, world) as clients:
            names: dict[str, Any] = {
                "__name__": "page",
                "voice": VOICE,
                "recording": SPEECH.wav(),
                "pcm": SPEECH.data,
                "microphone": microphone,
                "written": written,
                "play": lambda _chunk: None,
                "show": lambda _text: None,
            }
            yield vendor, world, names | clients


@asynccontextmanager
async def sdk_clients(vendor: str, sdk: Any, world: Any) -> AsyncIterator[dict[str, Any]]:
    """The SDK's clients, by the names that the pages have for them."""
    given = world.sdk(vendor)
    if vendor == "openai":
        async with sdk.AsyncOpenAI(**given) as client:
            yield {"vendor": client}
        return
    httpx = importlib.import_module("httpx")
    kind = {"elevenlabs": "ElevenLabs", "deepgram": "DeepgramClient"}[vendor]
    with httpx.Client() as http:  # neither has a close
        async with httpx.AsyncClient() as async_http:
            blocking = getattr(sdk, kind)(**given, httpx_client=http)
            if vendor == "elevenlabs":
                # It insists on TLS for its socket, whatever the address says.
                blocking.text_to_speech._ws_base_url = world.elevenlabs.url
            client = getattr(sdk, f"Async{kind}")(**given, httpx_client=async_http)
            yield {"vendor": client, "blocking_vendor": blocking}


@pytest.mark.timeout(120)
async def test_the_page_runs(setting: tuple[str, Any, dict[str, Any]]) -> None:
    """All of it, in order; what both sides of a section get is equal, and came by the wire."""
    vendor, world, names = setting
    page = page_of(vendor)
    got: dict[tuple[str, str, str], Any] = {}
    for block in blocks(page):
        for name in COMPARED:
            names.pop(name, None)
        before = len(world.journal.requests_for(vendor))
        await execute(block, page, names)
        assert len(world.journal.requests_for(vendor)) > before or "client = " in block.code, block
        for name in COMPARED:
            if name in names:
                got[block.heading, name, block.side] = names[name]
    assert got
    for (heading, name, side), value in got.items():
        assert value, f"{heading}: {side}'s {name} is empty"
        other = vendor if side == "voicekit" else "voicekit"
        assert got.get((heading, name, other)) == value, f"{heading}: {name} differs"


async def test_an_answer_without_its_end() -> None:
    """As the page says: an end to the SDK, an error to us."""
    sdk = sdk_of("openai")
    with served("openai") as world:
        world.inject("openai", Fault("no_end_marker", times=2))
        async with sdk.AsyncOpenAI(**world.sdk("openai")) as theirs:
            asked: Any = [{"role": "user", "content": "hi"}]
            stream = await theirs.chat.completions.create(
                model="gpt-5.5", messages=asked, stream=True
            )
            assert [chunk async for chunk in stream]
        async with OpenAIClient(**world.sdk("openai"), model="gpt-5.5") as client:
            with pytest.raises(VoicekitError):
                await client.stream_chat("hi").result()


ASKED: dict[str, tuple[Any, Any]] = {
    "elevenlabs": (ElevenLabsClient, lambda client: client.synthesize("Hi.", voice=VOICE)),
    "deepgram": (DeepgramClient, lambda client: client.transcribe(SPEECH)),
    "openai": (OpenAIClient, lambda client: client.chat("hi", model="gpt-5.5")),
}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_the_pages_say_of_retries(vendor: str) -> None:
    """A client that is told nothing repeats after a 503, and does as ``policies`` says."""
    kind, ask = ASKED[vendor]

    async def attempts(**options: Any) -> int:
        with served(vendor) as world, no_waits():
            world.inject(vendor, Fault("status", status=503, times=1))
            async with kind("key", base_url=getattr(world, vendor).url, **options) as client:
                answer = await ask(client)
            assert len(world.journal.requests_for(vendor)) == answer.attempts
            return int(answer.attempts)

    assert await attempts() == 2
    assert await attempts(policies=Policies(retry=Retry(1))) == 2
    for once in (NO_POLICIES, Policies(retry=None)):
        with pytest.raises(UnavailableError):
            await attempts(policies=once)
    said = page_of(vendor).read_text(encoding="utf-8")
    assert "`policies=Policies(retry=Retry(n))`" in said
    assert "`NO_POLICIES`" in said


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_section_shows_both_sides(vendor: str) -> None:
    """Their call, then ours; a block that is nobody's is of neither."""
    sides: dict[str, set[str]] = {}
    for block in blocks(page_of(vendor)):
        sides.setdefault(block.heading, set()).add(block.side)
    assert {side for each in sides.values() for side in each} <= {vendor, "voicekit"}
    compared = [heading for heading, each in sides.items() if each == {vendor, "voicekit"}]
    assert len(compared) >= 5
    for heading, each in sides.items():
        assert "voicekit" in each, heading
