"""The plugin, as a user's own test run has it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import os
import pytest
import voicekit
from voicekit.sync import OpenAIClient

SAID = [{"role": "user", "content": "Hello"}]

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.voicekit_emulator(providers=["openai"])
def test_blocking(voicekit_emulator):
    with OpenAIClient(model="gpt-test") as llm:
        assert llm.chat(SAID).text
    assert len(voicekit_emulator.journal.requests_for("openai")) == 1
    assert list(voicekit_emulator.endpoints) == ["openai"]

@pytest.mark.anyio
@pytest.mark.voicekit_emulator(providers=["openai"], tls=True)
async def test_async(voicekit_emulator):
    assert os.environ["SSL_CERT_FILE"]
    async with voicekit.OpenAIClient(model="gpt-test") as llm:
        assert (await llm.chat(SAID)).text
        assert llm.base_url.startswith("https:")

def test_plain(voicekit_emulator):
    all_of_them = {"openai", "deepgram", "elevenlabs", "agentforce", "twilio"}
    assert all_of_them <= set(voicekit_emulator.endpoints)
    assert os.environ["TWILIO_BASE_URL"] == voicekit_emulator.twilio.url

def test_nothing_stays():
    assert "OPENAI_BASE_URL" not in os.environ

@pytest.mark.voicekit_emulator("openai")
def test_wrong(voicekit_emulator):
    pass
"""


@pytest.mark.skipif(
    importlib.util.find_spec("trustme") is None, reason="trustme of an extra is not installed"
)
def test_fixture_for_sync_and_async(pytester: pytest.Pytester) -> None:
    """Clients without arguments reach it; markers give its options; the environment is restored."""
    pytester.makeconftest('pytest_plugins = ["voicekit.testing.pytest"]')
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("--strict-markers", "-p", "no:randomly", "-q")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*takes keywords only*"])


def test_needs_no_pytest() -> None:
    """``import voicekit.testing`` loads neither pytest nor an HTTP library nor the emulator."""
    code = (
        "import sys, voicekit.testing, voicekit.testing.conformance\n"
        "heavy = {'pytest', '_pytest', 'aiohttp', 'httpx', 'voicekit.emulator'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
