"""One refusal of a credential is enough, and a call now and then finds out that it is over."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import random
from dataclasses import replace
from typing import Any

import pytest
from by_hand import SPEAK, Clock, Doing, NoJitter, answered, failed, refused

from interleaving import interleavings
from voicekit.clients.agentforce.errors import read_error as read_agentforce
from voicekit.clients.deepgram.errors import read_error as read_deepgram
from voicekit.clients.elevenlabs.errors import error_of_frame
from voicekit.clients.elevenlabs.errors import read_error as read_elevenlabs
from voicekit.clients.openai.errors import read_error as read_openai
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    ConnectionLostError,
    InvalidArgumentError,
    InvalidRequestError,
    QuotaError,
    RateLimitError,
)
from voicekit.events import CredentialCircuitChanged
from voicekit.operation import Call, OperationClass
from voicekit.resilience.credential_circuit import CredentialCircuit, refuses_credential
from voicekit.testing import RecordingObserver

READ = replace(SPEAK, name="voices", kind=OperationClass.PURE)


def wrong_key() -> AuthenticationError:
    return AuthenticationError(
        "the provider refuses", status=401, code="invalid_api_key", detail="sk-abcdefghijk is wrong"
    )


def spent() -> QuotaError:
    return QuotaError("no credit", status=402)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> CredentialCircuit:
    return CredentialCircuit(clock=clock, rng=NoJitter())


def body(text: str) -> bytes:
    return text.encode()


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (
            read_elevenlabs(401, {}, body('{"detail": {"status": "invalid_api_key"}}')),
            True,
        ),
        (read_elevenlabs(401, {}, body('{"detail": {"status": "quota_exceeded"}}')), True),
        (read_elevenlabs(401, {}, body('{"detail": {"status": "missing_permissions"}}')), False),
        (read_elevenlabs(403, {}, body('{"detail": {"status": "only_for_creator+"}}')), False),
        (error_of_frame({"error": "invalid_api_key", "code": 1008}), True),
        (error_of_frame({"error": "missing_permissions", "code": 1008}), False),
        (read_deepgram(401, {}, body('{"err_code": "INVALID_AUTH"}')), True),
        (read_deepgram(401, {}, body('{"err_code": "INSUFFICIENT_PERMISSIONS"}')), False),
        (read_deepgram(402, {}, body('{"err_code": "ASR_PAYMENT_REQUIRED"}')), True),
        (read_deepgram(403, {}, body('{"category": "FORBIDDEN"}')), False),
        (read_openai(401, {}, body('{"error": {"code": "invalid_api_key"}}')), True),
        (read_openai(429, {}, body('{"error": {"code": "insufficient_quota"}}')), True),
        (read_openai(429, {}, body('{"error": {"code": "rate_limit_exceeded"}}')), False),
        (read_openai(403, {}, b""), False),
        (read_openai(500, {}, b""), False),
        *(
            (read_agentforce(400, {}, body(f'{{"error": "{code}"}}'), asked="token"), True)
            for code in ("invalid_client", "invalid_client_id", "invalid_grant", "inactive_org")
        ),
        (read_agentforce(400, {}, b"<html>", asked="token"), False),
        (read_agentforce(403, {}, body('{"error": "Forbidden"}'), asked="turn"), False),
        (ConnectionLostError("lost"), False),
        (OSError(), False),
    ],
    ids=lambda value: f"{value}"[:40] if isinstance(value, Exception) else str(value),
)
def test_what_refuses_a_credential(error: BaseException, refused: bool) -> None:
    """A wrong key and a spent quota do; a scope or a plan that lacks something does not."""
    assert refuses_credential(error) is refused


@pytest.mark.parametrize("refusal", [wrong_key(), spent()], ids=["wrong key", "spent quota"])
def test_one_refusal_opens_it(refusal: Exception, circuit: CredentialCircuit, clock: Clock) -> None:
    """The first call raises the provider's own; later ones are not made, of any operation."""
    failed(circuit, refusal)
    clock.pass_(1)
    answer = refused(circuit, operation=replace(SPEAK, name="transcribe"))
    assert answer.retryable is False
    assert answer.retry_after == pytest.approx(4)
    assert type(refusal).__name__ in str(answer)
    assert str(refusal.status) in str(answer)  # type: ignore[attr-defined]
    assert circuit.stats().rejected == 1


def test_its_cause_is_the_refusal_without_the_vendors_words(circuit: CredentialCircuit) -> None:
    """Which may quote the key or a text; nor does it keep the frames of the refused call."""
    original = wrong_key()
    failed(circuit, original)
    answer = refused(circuit)
    cause = answer.__cause__
    assert isinstance(cause, AuthenticationError)
    assert cause is not original
    assert (cause.status, cause.code, cause.detail) == (401, "invalid_api_key", None)
    assert cause.__traceback__ is None
    assert original.detail
    assert "sk-abc" not in f"{answer!r} {answer} {cause!r} {vars(cause)} {circuit.stats()}"
    assert pickle.loads(pickle.dumps(cause)).status == 401


def test_a_missing_permission_opens_nothing(circuit: CredentialCircuit) -> None:
    """The key may do other things."""
    failed(circuit, AuthenticationError("no", status=403))
    failed(circuit, AuthenticationError("no", status=401, code="missing_permissions"))
    assert circuit.state == "closed"


def test_after_its_period_one_call_goes_through(circuit: CredentialCircuit, clock: Clock) -> None:
    """And closes it, if it succeeds."""
    failed(circuit, wrong_key())
    clock.pass_(5)
    probe = Doing(circuit)
    assert refused(circuit).retry_after == pytest.approx(5)
    probe.returns()
    assert circuit.state == "closed"
    assert circuit.stats().reason is None
    answered(circuit)


def test_each_further_refusal_doubles_the_period(circuit: CredentialCircuit, clock: Clock) -> None:
    """5, 10, 20, 40, 60, 60 s; and 5 again once it was accepted."""
    periods = []
    for _ in range(6):
        failed(circuit, wrong_key())
        periods.append(circuit.stats().retry_in or 0)
        clock.pass_(periods[-1])
    assert periods == pytest.approx([5, 10, 20, 40, 60, 60])
    answered(circuit)
    failed(circuit, wrong_key())
    assert circuit.stats().retry_in == pytest.approx(5)


def test_the_refusals_of_calls_under_way_are_one(circuit: CredentialCircuit) -> None:
    """Ten at once with a wrong key are no reason to wait ten times as long."""
    calls = [Doing(circuit) for _ in range(10)]
    for call in calls:
        call.raises(wrong_key())
    assert circuit.stats().retry_in == pytest.approx(5)
    assert circuit.stats().opened == 1


def test_a_success_of_before_does_not_close_it(circuit: CredentialCircuit) -> None:
    """It was let in before the key was taken back."""
    early = Doing(circuit)
    failed(circuit, wrong_key())
    early.returns()
    assert circuit.state == "open"


@pytest.mark.parametrize(
    "end",
    [
        asyncio.CancelledError(),
        ConnectionLostError("lost"),
        RateLimitError("slowly", status=429),
        InvalidRequestError("no", status=400),
    ],
    ids=repr,
)
def test_a_probe_that_says_nothing_leaves_the_next_one_to_try(
    end: BaseException, circuit: CredentialCircuit, clock: Clock
) -> None:
    failed(circuit, wrong_key())
    clock.pass_(5)
    for _ in range(3):
        Doing(circuit).raises(end)
        assert circuit.state == "half_open"
    answered(circuit)
    assert circuit.state == "closed"


def test_a_probe_that_never_returns_is_replaced(circuit: CredentialCircuit, clock: Clock) -> None:
    """And is late when it does, for good or ill."""
    failed(circuit, wrong_key())
    clock.pass_(5)
    hanging = Doing(circuit)
    clock.pass_(30)
    replacing = Doing(circuit)
    hanging.raises(wrong_key())
    assert circuit.state == "half_open"
    assert refused(circuit)
    replacing.returns()
    assert circuit.state == "closed"


def test_reads_go_through_a_spent_quota(circuit: CredentialCircuit, clock: Clock) -> None:
    """They cost nothing, and say nothing of credit: the circuit stays as it is."""
    failed(circuit, spent())
    answered(circuit, operation=READ)
    assert circuit.state == "open"
    clock.pass_(5)
    answered(circuit, operation=READ)
    assert circuit.state == "open"
    answered(circuit)
    assert circuit.state == "closed"


def test_reads_do_not_go_through_a_wrong_key(circuit: CredentialCircuit) -> None:
    failed(circuit, wrong_key())
    assert refused(circuit, operation=READ)


def test_reset_and_fresh(circuit: CredentialCircuit) -> None:
    """By hand, when the account was topped up; and for another credential."""
    failed(circuit, spent())
    assert circuit.fresh().state == "closed"
    assert repr(circuit.fresh()) == repr(circuit) == "credential circuit (open 5–60 s)"
    circuit.reset()
    answered(circuit)
    failed(circuit, spent())
    assert circuit.stats().retry_in == pytest.approx(5)


def test_circuits_with_equal_settings_are_one_in_their_scope() -> None:
    assert CredentialCircuit().settings == CredentialCircuit().fresh().settings
    assert CredentialCircuit(open_for=1).settings != CredentialCircuit().settings


def test_changes_are_events(circuit: CredentialCircuit, clock: Clock) -> None:
    """With the reason, in names and numbers."""
    seen = RecordingObserver()
    failed(circuit, wrong_key(), observer=seen)
    clock.pass_(5)
    answered(circuit, observer=seen)
    changes = [event for event in seen.events if isinstance(event, CredentialCircuitChanged)]
    assert [(change.previous, change.state) for change in changes] == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]
    assert changes[0].reason == "AuthenticationError 401 invalid_api_key"
    assert changes[2].reason is None


@pytest.mark.parametrize(
    "wrong", [{"open_for": 0}, {"open_for": "5"}, {"longest_open": 1}], ids=str
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        CredentialCircuit(**wrong)
    assert refusal.value.argument == next(iter(wrong))


def test_in_any_order_one_probe_at_a_time_and_none_is_lost() -> None:
    """Callers that are refused, cancelled and answered, in 1,000 orders."""

    async def scenario(rng: random.Random) -> None:
        loop = asyncio.get_running_loop()
        circuit = CredentialCircuit(clock=loop.time, rng=NoJitter())
        good = False
        inside = 0

        async def step(_: Call) -> None:
            nonlocal inside
            probing = circuit.state == "half_open"
            inside += probing
            try:
                assert inside <= 1
                await asyncio.sleep(rng.choice([0, 0, 0.5]))
            finally:
                inside -= probing
            if not good:
                raise wrong_key()

        async def caller() -> None:
            await asyncio.sleep(rng.uniform(0, 30))
            with contextlib.suppress(AuthenticationError, CircuitOpenError):
                await circuit(Call(SPEAK), step)

        await asyncio.gather(circuit(Call(SPEAK), step), return_exceptions=True)
        assert circuit.state == "open"
        tasks = [asyncio.create_task(caller()) for _ in range(12)]
        for task in tasks[:4]:
            loop.call_later(rng.uniform(0, 30), task.cancel)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}
        good = True
        await asyncio.sleep(60)
        await circuit(Call(SPEAK), step)
        assert circuit.state == "closed"

    interleavings(scenario, range(1000))
