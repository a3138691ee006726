"""``Policies``, and the scopes in which they are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

import pytest

from voicekit.errors import InvalidArgumentError
from voicekit.operation import Operation, OperationClass
from voicekit.resilience import (
    DEFAULT_POLICIES,
    NO_POLICIES,
    Breaker,
    CredentialCircuit,
    Hedge,
    Limit,
    Policies,
    Retry,
)
from voicekit.resilience.scopes import Scopes

SPEAK = Operation(provider="testing", name="speak", kind=OperationClass.COMPUTE)
HEAR = Operation(provider="testing", name="hear", kind=OperationClass.COMPUTE)


def test_what_is_there_by_default() -> None:
    """A retry, a limit and a breaker; no hedge."""
    policies = Policies()
    assert policies == DEFAULT_POLICIES
    assert isinstance(policies.retry, Retry)
    assert policies.hedge is None
    assert isinstance(policies.limit, Limit)
    assert isinstance(policies.breaker, Breaker)
    assert (NO_POLICIES.retry, NO_POLICIES.hedge, NO_POLICIES.limit, NO_POLICIES.breaker) == (
        (None,) * 4
    )


def test_retry_or_hedge() -> None:
    """A hedge takes the place of the default retry; both at a time are refused, and told why."""
    hedged = Policies(hedge=Hedge(0.1))
    assert hedged.retry is None
    assert dataclasses.replace(Policies(), hedge=Hedge(0.1)) == hedged
    with pytest.raises(InvalidArgumentError, match=r"retry or hedge, not both.*retry-or-hedge\.md"):
        Policies(retry=Retry(), hedge=Hedge())


@pytest.mark.parametrize(
    "given", [{"retry": 3}, {"hedge": True}, {"limit": 10}, {"breaker": Retry()}]
)
def test_what_is_none(given: dict[str, Any]) -> None:
    """A number is no policy, and one policy is not another; said before anything is done."""
    [name] = given
    with pytest.raises(InvalidArgumentError, match=rf"^{name}: got .*allowed: an? [A-Z]"):
        Policies(**given)


def test_equal_by_their_settings() -> None:
    """So that two calls which name the same share what was seen; and may be looked up."""
    assert Policies(retry=Retry(1)) == Policies(retry=Retry(1))
    assert hash(Policies(limit=Limit(2))) == hash(Policies(limit=Limit(2)))
    assert Policies(retry=Retry(1)) != Policies(retry=Retry(2))
    assert Policies() != NO_POLICIES
    assert Policies() != "policies"
    with pytest.raises(dataclasses.FrozenInstanceError):
        Policies().retry = None  # type: ignore[misc]


def test_they_read_like_a_sentence() -> None:
    """In the order in which they stand around a call."""
    assert repr(Policies()) == " → ".join(map(repr, (Retry(), Limit(), Breaker())))
    assert repr(Policies(hedge=Hedge(0.1), limit=None, breaker=None)) == repr(Hedge(0.1))
    assert repr(NO_POLICIES) == "no policies"


# -- scopes ---------------------------------------------------------------------------------


class Registry:
    """As the transport keeps it."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, Any] = {}

    def __call__(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]


def scopes(
    registry: Registry | None = None,
    *,
    where: tuple[str, str] = ("testing", "http://host"),
    who: Callable[[], Hashable] = lambda: "digest",
) -> Scopes:
    return Scopes(registry or Registry(), where, credential=who, renewal=lambda: None)


def parts(made: Scopes, operation: Operation = SPEAK, policies: Policies = DEFAULT_POLICIES) -> Any:
    return made.pipeline(operation, policies).policies


def test_the_order() -> None:
    """Retry, limit, circuit of the credential, breaker; a hedge in the retry's place."""
    kinds = [type(part) for part in parts(scopes())]
    assert kinds == [Retry, Limit, CredentialCircuit, Breaker]
    hedged = [type(part) for part in parts(scopes(), policies=Policies(hedge=Hedge()))]
    assert hedged == [Hedge, Limit, CredentialCircuit, Breaker]
    assert parts(scopes(), policies=NO_POLICIES) == ()
    said = repr(scopes().pipeline(SPEAK, DEFAULT_POLICIES))
    order = ["deadline", "retry", "limit (", "credential circuit", "breaker", "attempt limits"]
    places = [said.index(each) for each in [*order, "transport"]]
    assert places == sorted(places)


def test_composed_once() -> None:
    """One pipeline for each operation and its policies, whoever asks, by equal policies too."""
    made = scopes()
    assert made.pipeline(SPEAK, DEFAULT_POLICIES) is made.pipeline(SPEAK, Policies())
    assert made.pipeline(SPEAK, DEFAULT_POLICIES) is not made.pipeline(HEAR, DEFAULT_POLICIES)


def test_what_is_by_operation_and_what_by_credential() -> None:
    """The limit and the credential's circuit are for all operations; the others for one."""
    registry = Registry()
    speak = parts(scopes(registry))
    hear = parts(scopes(registry), HEAR)
    again = parts(scopes(registry))
    assert all(one is other for one, other in zip(speak, again, strict=True))
    same = [one is other for one, other in zip(speak, hear, strict=True)]
    assert same == [False, True, True, False]


@pytest.mark.parametrize(
    "other",
    [
        {"where": ("testing", "http://other")},
        {"where": ("other", "http://host")},
        {"who": lambda: "another"},
    ],
    ids=["address", "provider", "credential"],
)
def test_scopes_are_apart(other: dict[str, Any]) -> None:
    """Another address, provider or credential has nothing to do with what was seen here."""
    registry = Registry()
    here, there = parts(scopes(registry)), parts(scopes(registry, **other))
    assert not any(one is each for one, each in zip(here, there, strict=True))


def test_other_settings_are_another_scope() -> None:
    """Equal settings share what they see; others begin anew, and only they."""
    registry = Registry()
    usual = parts(scopes(registry), policies=Policies(limit=Limit(2)))
    equal = parts(scopes(registry), policies=Policies(limit=Limit(2), retry=Retry(1)))
    assert equal[0] is not usual[0]
    assert all(one is other for one, other in zip(usual[1:], equal[1:], strict=True))


def test_a_rotated_key_begins_anew() -> None:
    """Nothing of the old key's is used for the new one; who still has the old one keeps it."""
    who = ["one"]
    registry = Registry()
    made = scopes(registry, who=lambda: who[0])
    before = parts(made)
    who[0] = "two"
    made.credential_changed()
    after = parts(made)
    assert not any(one is each for one, each in zip(before, after, strict=True))
    assert parts(scopes(registry, who=lambda: "one"))[0] is before[0]


def test_few_pipelines_are_kept() -> None:
    """A call that brings policies of its own each time must not leave one behind each time."""
    made = scopes()
    for wait in range(1000):
        made.pipeline(SPEAK, Policies(limit=Limit(max_wait=float(wait))))
    assert len(made.kept) <= 256
