"""The emulator in a thread, in a process and from a shell: one surface, and it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from voicekit.emulator import (
    Emulator,
    EmulatorError,
    EmulatorProcess,
    Fault,
    Link,
    Reply,
    Scenario,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.emulated

RUNNERS = {"thread": Emulator.in_thread, "process": EmulatorProcess}


@pytest.fixture(params=sorted(RUNNERS))
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return RUNNERS[request.param]


def get(world: Any, path: str = "/models") -> int:
    request = urllib.request.Request(
        world.openai.url + path, headers={"Authorization": "Bearer marked-key"}
    )
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_the_surface_works_from_blocking_code(run: Callable[..., Any]) -> None:
    """Addresses, faults, scenarios, idle drops and the journal, all without a loop."""
    with run(providers=("openai",), scenario="instant", seed=3) as world:
        assert world.env()["OPENAI_BASE_URL"] == world.openai.url
        assert world.sdk("openai")["base_url"] == world.openai.url
        world.inject("openai", Fault("status", status=503))
        assert [get(world), get(world)] == [503, 200]
        world.inject("openai", Fault("status", status=503))
        world.clear_faults()
        assert get(world) == 200
        world.set_scenario("phone")
        world.set_scenario(Scenario(name="own", replies=Reply(text="yes")))
        assert [record.outcome for record in world.journal.requests_for("openai", "models")] == [
            "fault",
            "complete",
            "complete",
        ]
        assert "marked-key" not in str(world.journal.to_json())
        assert world.drop_idle("openai") == 0
        assert world.connections("openai") == []
        world.clear_journal()
        assert world.journal.requests == []
        with pytest.raises(EmulatorError, match="not served"):
            world.drop_idle("deepgram")
    with pytest.raises(EmulatorError):
        world.drop_idle("openai")


def test_idle_connections_drop_from_outside(run: Callable[..., Any]) -> None:
    """A kept connection is counted and dropped while the caller's own code blocks."""
    import http.client

    with run(providers=("openai",)) as world:
        connection = http.client.HTTPConnection("127.0.0.1", world.openai.port)
        connection.request("GET", "/v1/models", headers={"Authorization": "Bearer k"})
        connection.getresponse().read()
        assert len(world.connections("openai")) == 1
        connection.sock.setblocking(False)
        assert world.drop_idle("openai", how="rst") == 1
        with pytest.raises(
            ConnectionResetError
        ):  # there when the call returns, not some time later
            connection.sock.recv(1)
        connection.close()


def test_a_start_that_fails_raises_here(run: Callable[..., Any]) -> None:
    """A wrong option is the caller's exception, and nothing keeps running."""
    with pytest.raises(ValueError, match="unknown provider"), run(providers=("nobody",)):
        pytest.fail("started")
    assert not [t for t in threading.enumerate() if t.name.startswith("voicekit-emulator")]


def test_tls_in_another_thread_or_process(run: Callable[..., Any]) -> None:
    """The authority's file is there for the caller, and goes with the emulator."""
    with run(providers=("openai",), tls=True, link=Link(rtt=0.001)) as world:
        assert world.ca_file.read_text().startswith("-----BEGIN CERTIFICATE")
    assert not world.ca_file.exists()


def hang_on(world: Any) -> None:
    with contextlib.suppress(OSError):
        get(world)


def test_stopping_a_process_is_quick() -> None:
    """Leaving takes well under a second, also with a request that hangs."""
    with EmulatorProcess(providers=("openai",)) as world:
        world.inject("openai", Fault("silence"))
        hung = threading.Thread(target=hang_on, args=(world,), daemon=True)
        hung.start()
        pid = world.pid
        time.sleep(0.1)
        start = time.monotonic()
    assert time.monotonic() - start < 1.0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    hung.join(5)


@pytest.mark.anyio
async def test_a_process_serves_asynchronous_callers() -> None:
    """`async with` starts and stops it without blocking the loop."""
    lag = 0.0

    async def watch() -> None:
        nonlocal lag
        while True:
            start = time.monotonic()
            await asyncio.sleep(0.005)
            lag = max(lag, time.monotonic() - start)

    watching = asyncio.create_task(watch())
    async with EmulatorProcess(providers=("openai",)) as world:
        assert await asyncio.to_thread(get, world) == 200
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert lag < 0.3


def test_functions_that_cannot_travel_are_named() -> None:
    """A lambda in a scenario is refused in words, at once."""
    with EmulatorProcess(providers=("openai",)) as world:
        with pytest.raises(EmulatorError, match="lambdas"):
            world.set_scenario(Scenario(name="own", replies=lambda said: said))
        world.set_scenario(Scenario(name="own", replies=str.upper))


def chatty(said: str) -> str:
    print("noise on standard output")
    return "yes"


def test_what_the_child_prints_does_not_disturb_it() -> None:
    """Standard output carries the answers to calls, and nothing else gets between them."""
    with EmulatorProcess(
        providers=("openai",), scenario=Scenario(name="own", replies=chatty)
    ) as world:
        body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
        request = urllib.request.Request(
            world.openai.url + "/chat/completions",
            data=body,
            headers={"Authorization": "Bearer k", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            assert b'"yes"' in response.read()
        assert len(world.journal.requests) == 1


def test_an_interrupt_is_the_parents_business() -> None:
    """Ctrl-C reaches the whole group; the child serves on until its parent ends it."""
    with EmulatorProcess(providers=("openai",)) as world:
        assert world.pid is not None
        os.kill(world.pid, signal.SIGINT)
        assert get(world) == 200


def test_a_process_that_died_says_so() -> None:
    """A call to a killed child is an error, not a wait."""
    with EmulatorProcess(providers=("openai",)) as world:
        assert world.pid is not None
        os.kill(world.pid, signal.SIGKILL)
        with pytest.raises(EmulatorError, match=r"ended|gone|not running"):
            world.clear_faults()


def test_the_child_ends_with_its_parent() -> None:
    """A parent killed without a chance to clean up leaves no emulator behind."""
    program = (
        "from voicekit.emulator import EmulatorProcess\n"
        "import time\n"
        "world = EmulatorProcess(providers=('openai',)).__enter__()\n"
        "print(world.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
        parent.wait()
        for _ in range(500):
            try:
                os.kill(child, 0)
            except ProcessLookupError:
                return
            if _is_zombie(child):
                return
            time.sleep(0.01)
        pytest.fail("the child outlived its parent")


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_interrupted(number: signal.Signals) -> None:
    """It prints what to export, serves, and ends in peace."""
    pytest.importorskip("trustme")
    command = [sys.executable, "-m", "voicekit.emulator", "--provider", "openai", "--tls"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        lines = [shell.stdout.readline().decode() for _ in range(4)]
        shell.send_signal(number)
        _, errors = shell.communicate(timeout=5)
    exported = dict(line.removeprefix("export ").split("=", 1) for line in lines[:3])
    assert exported["OPENAI_BASE_URL"].startswith("https://localhost:")
    assert set(exported) == {"OPENAI_API_KEY", "OPENAI_BASE_URL", "SSL_CERT_FILE"}
    assert shell.returncode == 0
    assert errors == b""


def test_the_command_explains_what_it_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A missing extra is one line and status 2, not a traceback."""
    import voicekit.emulator.__main__ as command

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        assert command.main(["--tls"], prog="voicekit emulate") == 2
    assert "voicekit emulate: TLS needs the emulator extra" in capsys.readouterr().err
