"""What every test shares: a clean environment, one event loop, and nothing left behind.

Also what a run may leave out: a test that asks the emulator for an extra which is not
installed is skipped, and ``--only-skips`` says which reasons a run accepts.
"""

from __future__ import annotations

import asyncio
import asyncio.runners
import gc
import importlib.util
import os
import re
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from settling import SOON, open_sockets
from voicekit.emulator.errors import EmulatorError

pytest_plugins = ["second_round"]

_KEYS = (
    "ELEVENLABS_", "DEEPGRAM_", "OPENAI_", "AGENTFORCE_", "TWILIO_", "VOICEKIT_", "SSL_CERT_",
)  # fmt: skip
_left_behind: list[str] = []
_find_spec = importlib.util.find_spec  # tests replace it

# The packages of an extra, by the words with which the emulator asks for it.
_EXTRAS = {
    "pip install 'voicekit[emulator]'": ("trustme", "lameenc"),
    "pip install 'voicekit[demo]'": ("espeakng_loader", "pocketsphinx"),
}

# A gate draws the same examples every time and never measures how long they take; new ones are
# for a person who looks for them: ``-- --hypothesis-profile=explore``.
settings.register_profile(
    "gate",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("gate"), derandomize=False)
settings.load_profile("gate")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the long repeats as well")
    parser.addoption(
        "--only-skips", metavar="REGEX", help="fail what is skipped for any other reason"
    )
    parser.addoption(
        "--require-livekit", action="store_true", help="fail where the livekit judge is missing"
    )


def _skip_without_extra(error: EmulatorError) -> None:
    """Skip, if what was asked for is not installed; with all extras nothing is skipped."""
    for words, packages in _EXTRAS.items():
        if words in str(error):
            missing = [name for name in packages if _find_spec(name) is None]
            if missing:
                pytest.skip(f"{' and '.join(missing)} of an extra is not installed")


def _skipping() -> Generator[None]:
    try:
        return (yield)
    except EmulatorError as error:
        _skip_without_extra(error)
        raise
    except ModuleNotFoundError as error:
        if error.name == "uvloop":  # asked for by a test's `anyio_backend`
            pytest.skip("uvloop of an extra is not installed")
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    return (yield from _skipping())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    return (yield from _skipping())


def _refuse_skip(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> None:
    accepted = config.getoption("--only-skips")
    if accepted is None or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if re.search(accepted, reason) is None:
        report.outcome = "failed"
        report.longrepr = f"must not be skipped in this session. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    _refuse_skip(item.config, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    _refuse_skip(collector.config, report)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a vendor's SDK leaves to the collector is its own affair."""
    unraisable = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    for item in items:
        if item.get_closest_marker("sdk") is not None:
            item.add_marker(unraisable)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: nobody who collects garbage looks at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long repeats were asked for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key or address of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(_KEYS):
            monkeypatch.delenv(name)


_cancel_all_tasks = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]


def _note_tasks(loop: asyncio.AbstractEventLoop) -> Any:
    """When an event loop ends, every task of ours must have been awaited by its owner."""
    for task in asyncio.all_tasks(loop):
        if task.get_name().startswith("voicekit") and not task.done():
            _left_behind.append(task.get_name())
    return _cancel_all_tasks(loop)


asyncio.runners._cancel_all_tasks = _note_tasks  # type: ignore[attr-defined]


def _threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith(("voicekit", "emulator"))}


@pytest.fixture(scope="module", autouse=True)
def sdks_are_collected(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a vendor's SDK left is collected before another module would be blamed for it."""
    yield
    items = [
        each for each in request.session.items if each.getparent(pytest.Module) is request.node
    ]
    if any(each.get_closest_marker("sdk") is not None for each in items):
        gc.collect()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """A leaked task, socket or thread of ours fails the test that leaked it."""
    sockets, threads = open_sockets(), _threads()
    _left_behind.clear()
    yield
    if request.node.get_closest_marker("sdk") is not None:
        return  # a vendor's SDK closes its sockets when it is collected
    until = time.monotonic() + SOON
    # One moment without them is enough: an emulator in a thread may still accept, and then
    # close, what the test has long closed.
    while more := _more_than(sockets, threads):
        assert time.monotonic() < until, f"left behind: {more}"
        gc.collect()
        time.sleep(0.01)
    if request.node.get_closest_marker("forgets") is None:
        assert not _left_behind, f"tasks left behind: {_left_behind}"


def _more_than(sockets: int, threads: set[str]) -> list[str]:
    """What there is now and was not."""
    more = open_sockets() - sockets
    return [*sorted(_threads() - threads), *([f"{more} sockets"] if more > 0 else [])]
