"""Many conversations at once, one provider down for a while: who is outside of it notices nothing.

``--full`` is 200 people and half a minute; the quick variant is scaled.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

if any(find_spec(name) is None for name in ("starlette", "uvicorn", "ddsketch", "lameenc")):
    pytest.skip(
        "starlette or uvicorn of the docs group, or an extra, is not installed",
        allow_module_level=True,
    )

sys.path.insert(0, str(Path(__file__).parent))
from load_whatsapp import QUICK, Load, Told, run

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("docs"), pytest.mark.timeout(300)]


def _keeps_its_promises(told: Told, load: Load) -> None:
    """What acceptance asks of the system, whichever provider is down."""
    assert told.messages >= load.people
    assert told.doubled == 0
    assert told.wrong == 0
    assert told.text_share >= 0.99, told
    assert told.voice_share >= 0.95, told
    assert told.unreported == 0, "a message without an answer and without an excuse"
    assert told.voiceless_unreported == 0, "an answer without a voice and without an excuse"
    assert told.caches["once"] > 0, "nothing was delivered again"
    assert told.webhook_p95_s < 5.0, "Twilio waits for 15 s"
    assert told.exit_code == 0
    assert "Traceback" not in told.log
    # Memory is flat once everybody has come, but for what the caches say that they hold, which
    # is bounded: what grows by message would show here.
    settled, last = told.own_mib[len(told.own_mib) // 3], told.own_mib[-1]
    assert last <= settled * 1.05, (told.own_mib, told.cached_mib)
    assert told.tasks[-1] <= 20, told.tasks


@pytest.mark.parametrize("down", ["agentforce"])
def test_one_provider_down(down: str, full: bool) -> None:
    """≥ 99 % of the others get their text once, ≥ 95 % their voice; the rest is told."""
    load = replace(Load() if full else QUICK, down=down)
    told = asyncio.run(run(load))
    _keeps_its_promises(told, load)
    assert told.failed["answering"] > 0, "the outage was none"
    assert told.states[0] == "ok"
    assert {"degraded", "down"} & set(told.states)
    assert f"firing: unwell ({down})" in told.alerts
    if full:
        assert told.states[-1] == "ok"
        assert f"resolved: unwell ({down})" in told.alerts


@pytest.mark.slow
@pytest.mark.parametrize("down", ["deepgram", "elevenlabs", "twilio"])
def test_another_provider_down(down: str, full: bool) -> None:
    """The same promises, whoever it is; without the messenger nobody can be told but us."""
    if not full:
        pytest.skip("--full runs it")
    load = replace(QUICK, down=down)
    told = asyncio.run(run(load))
    in_metrics = 0
    if down == "twilio":
        in_metrics = told.failed["replying"] + told.failed["excusing"] + told.failed["speaking"]
    assert told.doubled == 0
    assert told.text_share >= 0.99, told
    assert told.voice_share >= 0.95, told
    assert told.unreported + told.voiceless_unreported <= in_metrics, told
