"""The speech workers as processes: prompt, quiet, and gone when they should be."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from voicekit.emulator import speech_process
from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.speech_messages import Splitter, pack
from voicekit.emulator.speech_process import SpeechProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timing]

LONG = "This is a rather long story that takes its time to be told. " * 60


@pytest.fixture(autouse=True)
def _speaks():
    pytest.importorskip("espeakng_loader")


@pytest.fixture
async def worker():
    process = SpeechProcess("voice")
    await process.start()
    yield process
    await process.aclose()


async def speak(worker: SpeechProcess, text: str = "Hello", rate: int = 16000) -> bytes:
    return (await worker.ask("speak", text.encode(), voice_id="v", sample_rate=rate))[1]


async def gone(pid: int, *, within: float) -> bool:
    """Whether a process that is not our child has ended (or is a zombie of someone's)."""
    for _ in range(round(within / 0.02)):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except FileNotFoundError:
            return True
        if stat.rsplit(")", 1)[1].split()[0] in "ZX":
            return True
        await asyncio.sleep(0.02)
    return False


class TestMessages:
    def test_any_cut_gives_the_same_messages(self):
        """The byte stream may arrive in pieces of any size."""
        data = pack({"id": 1}, b"abc") + pack({"id": 2}) + pack({"id": 3}, bytes(300))
        for size in (1, 2, 7, 8, 50, len(data)):
            splitter = Splitter()
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            messages = [message for piece in pieces for message in splitter.feed(piece)]
            assert messages == [({"id": 1}, b"abc"), ({"id": 2}, b""), ({"id": 3}, bytes(300))]


class TestLife:
    async def test_closing_is_prompt_even_at_work(self, worker):
        """A long reading under way does not hold up the emulator's end; it fails, typed."""
        reading = asyncio.create_task(speak(worker, LONG))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await worker.aclose()
        await worker.aclose()
        assert time.monotonic() - began < 1.0
        with pytest.raises(EmulatorError, match="closed"):
            await reading
        with pytest.raises(EmulatorError, match="closed"):
            await speak(worker)

    async def test_nothing_is_left_behind(self):
        """No descriptor, no task, no thread, no child."""
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        tasks, threads = asyncio.all_tasks(), threading.active_count()
        worker = SpeechProcess("voice")
        await worker.start()
        await speak(worker)
        pid = worker.pid
        await worker.aclose()
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
        assert asyncio.all_tasks() == tasks
        assert threading.active_count() == threads
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_a_cancelled_start_leaves_nothing(self):
        """Whenever it is cancelled."""
        for delay in (0.0, 0.001, 0.05):
            worker = SpeechProcess("ears")
            starting = asyncio.create_task(worker.start())
            await asyncio.sleep(delay)
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            if worker.pid is not None:
                with pytest.raises(ProcessLookupError):
                    os.kill(worker.pid, 0)

    async def test_a_killed_worker_fails_those_who_wait(self, worker):
        """Nobody waits for ever for a process that is gone."""
        reading = asyncio.create_task(speak(worker, LONG))
        await asyncio.sleep(0.02)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(EmulatorError, match="voice worker failed"):
            await reading

    async def test_a_worker_that_cannot_load_says_why(self, monkeypatch, tmp_path, capfd):
        """Its standard output and error lead nowhere; the reason comes over the socket."""
        (tmp_path / "espeakng_loader.py").write_text(
            "import os\n"
            "os.write(1, b'engine chatter'); os.write(2, b'engine chatter')\n"
            "def get_library_path(): return '/nowhere.so'\n"
            "def get_data_path(): return '/nowhere'\n"
        )
        # Before the installed one, wherever that lies.
        (tmp_path / "sitecustomize.py").write_text(
            f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(EmulatorError, match=r"OSError: .*nowhere"):
            await SpeechProcess("voice").start()
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("role", ["voice", "ears"])
    async def test_without_the_extra_it_says_what_to_install(self, monkeypatch, role):
        """Before any process is started."""
        monkeypatch.setattr(speech_process.importlib.util, "find_spec", lambda name: None)
        worker = SpeechProcess(role)
        with pytest.raises(EmulatorError, match=r"pip install 'voicekit\[demo\]'"):
            await worker.start()
        assert worker.pid is None

    async def test_a_worker_that_was_never_started_says_so(self):
        """Asking it is an error of ours, not a hang."""
        with pytest.raises(EmulatorError, match="not running"):
            await speak(SpeechProcess("voice"))
        await SpeechProcess("voice").aclose()

    @pytest.mark.parametrize("how", ["SIGKILL", "exit"])
    async def test_the_worker_dies_with_its_parent(self, how):
        """However the parent ends, also without a chance to close, and while work is going on."""
        script = (
            "import asyncio, os, signal\n"
            "from voicekit.emulator.speech_process import SpeechProcess\n"
            "async def main():\n"
            "    worker = SpeechProcess('voice'); await worker.start()\n"
            "    print(worker.pid, flush=True)\n"
            "    worker.post('speak', b'One two three. ' * 200, id=9, voice_id='', "
            "sample_rate=24000)\n"
            "    await asyncio.sleep(0.05)\n"
            f"    os._exit(1) if {how == 'exit'} else os.kill(os.getpid(), signal.SIGKILL)\n"
            "asyncio.run(main())\n"
        )
        parent = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, timeout=30, check=False
        )
        assert await gone(int(parent.stdout), within=5.0)

    async def test_it_dies_even_if_a_forked_sibling_holds_the_socket(self):
        """A fork by multiprocessing copies every descriptor; the worker looks for its parent."""
        script = (
            "import asyncio, os, time\n"
            "from voicekit.emulator.speech_process import SpeechProcess\n"
            "async def main():\n"
            "    worker = SpeechProcess('voice'); await worker.start()\n"
            "    sibling = os.fork()\n"
            "    if not sibling: os.close(1); os.close(2); time.sleep(20); os._exit(0)\n"
            "    print(worker.pid, sibling, flush=True); os._exit(1)\n"
            "asyncio.run(main())\n"
        )
        parent = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            timeout=30,
            check=False,
        )
        pid, sibling = map(int, parent.stdout.split())
        try:
            assert await gone(pid, within=5.0)
        finally:
            os.kill(sibling, signal.SIGKILL)

    async def test_the_engines_print_nothing(self):
        """A demo's standard output is one JSON document, whatever the C libraries would say."""
        pytest.importorskip("pocketsphinx")
        script = (
            "import asyncio\n"
            "from voicekit.emulator.voice import RealSpeech\n"
            "async def main():\n"
            "    asyncio.get_running_loop().slow_callback_duration = 60\n"  # busy is no news
            "    async with RealSpeech() as speech:\n"
            "        pcm = await speech.voice.speak('Hello', voice_id='', sample_rate=16000)\n"
            "        hearing = speech.ears.open(sample_rate=16000)\n"
            "        hearing.feed(pcm); await hearing.interim(); await hearing.final()\n"
            "asyncio.run(main())\n"
        )
        run = subprocess.run(
            [sys.executable, "-X", "dev", "-c", script],
            capture_output=True,
            timeout=40,
            check=False,
        )
        assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


class TestAsking:
    @pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])
    async def test_it_works_on_uvloop(self, worker, anyio_backend):
        """The same worker under the other event loop."""
        pytest.importorskip("uvloop")
        assert len(await speak(worker)) > 3200

    def test_it_works_in_a_thread_of_its_own(self):
        """The emulator may serve blocking callers from a second thread's loop."""

        async def run() -> int:
            worker = SpeechProcess("voice")
            await worker.start()
            try:
                return len(await speak(worker))
            finally:
                await worker.aclose()

        lengths: list[int] = []
        thread = threading.Thread(target=lambda: lengths.append(asyncio.run(run())))
        thread.start()
        thread.join()
        assert lengths[0] > 3200

    async def test_many_may_ask_at_once(self, worker):
        """Every answer finds its question."""
        texts = [f"Number {number}" for number in range(20)]
        together = await asyncio.gather(*(speak(worker, text) for text in texts))
        assert list(together) == [await speak(worker, text) for text in texts]

    async def test_a_cancelled_request_is_dropped(self, worker):
        """It costs those behind it nothing, and its answer goes to nobody."""
        blocking = asyncio.create_task(speak(worker, LONG))
        await asyncio.sleep(0.05)
        unwanted = [asyncio.create_task(speak(worker, LONG * 5)) for _ in range(20)]
        await asyncio.sleep(0)
        for task in unwanted:
            task.cancel()
        await asyncio.gather(*unwanted, return_exceptions=True)
        blocking.cancel()
        async with asyncio.timeout(10):  # twenty readings of an hour together would take minutes
            assert await speak(worker, "Hello") == await speak(worker, "Hello")
