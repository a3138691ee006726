"""Which request a fault strikes, and how often."""

from __future__ import annotations

import json
import threading

import pytest

from voicekit.emulator import Fault
from voicekit.emulator.faults import Faults


def test_a_fault_strikes_the_next_request_once() -> None:
    """Without more said, one request and no other."""
    faults = Faults()
    faults.inject(Fault("reset"))
    assert faults.take("chat") == Fault("reset")
    assert faults.take("chat") is None


def test_a_fault_waits_for_its_operation() -> None:
    """Requests of other operations pass it by."""
    faults = Faults()
    faults.inject(Fault("reset", operation="chat"))
    assert faults.take("models") is None
    assert faults.take("chat") is not None


def test_faults_strike_in_the_order_injected() -> None:
    """First in, first taken; each as often as it says."""
    faults = Faults()
    faults.inject(Fault("status", status=503, times=2))
    faults.inject(Fault("html"))
    taken = [faults.take("chat") for _ in range(4)]
    assert [fault and fault.kind for fault in taken] == ["status", "status", "html", None]


def test_a_fault_without_a_number_strikes_until_cleared() -> None:
    """`times=None` is every request."""
    faults = Faults()
    faults.inject(Fault("silence", times=None))
    assert all(faults.take("chat") for _ in range(100))
    faults.clear()
    assert faults.take("chat") is None


def test_a_share_of_the_requests_is_struck_and_always_the_same() -> None:
    """Two of a hundred, drawn with a seed; those it passes by are struck by the next fault."""

    def struck(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.inject(Fault("late", share=0.02, times=None))
        faults.inject(Fault("html", times=None))
        taken = [faults.take("chat") for _ in range(5000)]
        assert {fault and fault.kind for fault in taken} == {"late", "html"}
        return [fault is not None and fault.kind == "late" for fault in taken]

    first = struck(1)
    assert first == struck(1) != struck(2)
    assert 70 < sum(first) < 130


def test_a_share_counts_only_what_it_struck() -> None:
    """Three times is three requests, however many it passes by."""
    faults = Faults()
    faults.inject(Fault("reset", share=0.1, times=3))
    assert sum(faults.take("chat") is not None for _ in range(1000)) == 3


def test_injecting_from_other_threads_loses_nothing() -> None:
    """Each injected strike is taken exactly once, whoever injects."""
    faults = Faults()

    def inject() -> None:
        for _ in range(200):
            faults.inject(Fault("html"))

    threads = [threading.Thread(target=inject) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(faults.take("x") is not None for _ in range(1000)) == 800


@pytest.mark.parametrize(
    ("kind", "times", "says"), [("sulk", 1, "unknown fault"), ("reset", 0, "times")]
)
def test_a_fault_that_cannot_be_is_refused(kind: str, times: int, says: str) -> None:
    """Misspelt kinds and impossible counts fail where they are written."""
    with pytest.raises(ValueError, match=says):
        Fault(kind, times=times)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    """It is a probability, and a fault that never strikes is a mistake."""
    with pytest.raises(ValueError, match="share"):
        Fault("reset", share=share)


@pytest.mark.parametrize("body", [None, "text", b"\xff\x00", {"error": {"message": "m"}}])
def test_faults_survive_json(body: object) -> None:
    """A fault can be written down and read back."""
    fault = Fault("status", status=429, body=body, headers=(("retry-after", "1"),))  # type: ignore[arg-type]
    assert Fault.from_json(json.loads(json.dumps(fault.to_json()))) == fault
