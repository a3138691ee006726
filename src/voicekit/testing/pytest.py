"""A pytest plugin: the emulated providers as a fixture.

Not loaded by itself. In your ``conftest.py``::

    pytest_plugins = ["voicekit.testing.pytest"]

Then, in a test, sync or async::

    @pytest.mark.voicekit_emulator(providers=["openai"], scenario="instant")
    def test_answers(voicekit_emulator):
        with voicekit.sync.OpenAIClient(model="gpt-test") as llm:  # no key, no address
            assert llm.chat("Are you open?").text
        assert len(voicekit_emulator.journal.requests_for("openai")) == 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voicekit.emulator.thread import ThreadedEmulator

_MARKER = "voicekit_emulator"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known to ``--strict-markers``."""
    config.addinivalue_line(
        "markers", f"{_MARKER}(**options): options of voicekit.emulator.Emulator for this test"
    )


def emulator_options(node: pytest.Item) -> dict[str, Any]:
    """The options that the markers of a test give; the nearest one counts, option by option.

    Raises:
        pytest.UsageError: A marker has positional arguments.
    """
    options: dict[str, Any] = {}
    for marker in node.iter_markers(_MARKER):
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.{_MARKER} takes keywords only")
        options = {**marker.kwargs, **options}
    return options


@pytest.fixture
def voicekit_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ThreadedEmulator]:
    """The providers, emulated in a thread; clients made without arguments reach them.

    ``@pytest.mark.voicekit_emulator(providers=…, scenario=…, tls=…, …)`` gives its options.
    The environment holds addresses and keys (and, with ``tls=True``, ``SSL_CERT_FILE``)
    until the test ends.
    """
    from voicekit.emulator import Emulator

    # "instant", since a test that waits for a typical provider is mostly waiting.
    options = {"scenario": "instant", **emulator_options(request.node)}
    with Emulator.in_thread(**options) as world:
        for name, value in world.env().items():
            monkeypatch.setenv(name, value)
        yield world
