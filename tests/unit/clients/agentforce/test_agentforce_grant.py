"""The token: how long it lives, who fetches it, and who waits for that."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from voicekit.clients.agentforce.grant import LIFETIME, Grant, claims_of, read_grant, token_request
from voicekit.clients.agentforce.tokens import Tokens
from voicekit.errors import RemoteProtocolError, UnavailableError
from voicekit.tasks import Background
from voicekit.testing.clock import VirtualLoop

ORG = "https://acme.my.salesforce.com"
WALL = 1_764_000_000.0


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt(**claims: Any) -> str:
    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"


def grant(token: str, headers: dict[str, str] | None = None, **facts: Any) -> Grant:
    value = {"access_token": token, "api_instance_url": "https://api.salesforce.com", **facts}
    return read_grant(value, headers or {}, domain=ORG, now=100.0, wall=WALL)


def dated(at: float) -> dict[str, str]:
    return {"Date": formatdate(at, usegmt=True)}


@pytest.mark.parametrize(
    ("claims", "headers", "facts", "lifetime"),
    [
        ({"exp": WALL + 1800, "iat": WALL}, {}, {}, 1800),
        ({"exp": WALL + 1800}, {}, {}, 1800),
        # Our clock is an hour late or early: the server's is of the same time as its claims.
        ({"exp": WALL + 5400, "iat": WALL + 3600}, dated(WALL + 3600), {}, 1800),
        ({"exp": WALL - 1800, "iat": WALL - 3600}, dated(WALL - 3600), {}, 1800),
        ({"exp": WALL + 5400, "iat": WALL + 3600}, {}, {}, 1800),
        # Handed out again when a third of it was over.
        ({"exp": WALL + 1200, "iat": WALL - 600}, dated(WALL), {}, 1200),
        ({}, {}, {"issued_at": str(int(WALL * 1000))}, LIFETIME),
        ({}, dated(WALL), {"issued_at": str(int((WALL - 300) * 1000))}, LIFETIME - 300),
        ({}, {}, {"issued_at": "soon"}, LIFETIME),
        ({"exp": "never"}, {}, {}, LIFETIME),
        ({"exp": True}, {}, {}, LIFETIME),
        ({"exp": 1e300, "iat": 1}, {}, {}, 24 * 3600),
        ({"exp": WALL - 9, "iat": WALL - 99}, dated(WALL), {}, 1.0),
    ],
)
def test_how_long_a_token_lives(
    claims: Any, headers: dict[str, str], facts: Any, lifetime: float
) -> None:
    """From its own ``exp``, by the server's clock; converted to monotonic time at once."""
    found = grant(jwt(**claims), headers, **facts)
    assert found.expires_at == pytest.approx(100 + lifetime, abs=1.0)
    margin = min(max(60.0, 0.2 * lifetime), lifetime / 2)
    assert found.refresh_at == pytest.approx(found.expires_at - margin, abs=1.0)
    assert found.jwt


@pytest.mark.parametrize("token", ["00Dxx!opaque", "a.b", "a.b.c", f"a.{part([1])}.c", "a.!.c"])
def test_a_token_that_is_no_jwt_is_tried_all_the_same(token: str) -> None:
    """It lives as long as one is taken to."""
    assert claims_of(token) is None
    found = grant(token)
    assert (found.jwt, found.expires_at) == (False, 100 + LIFETIME)


@pytest.mark.parametrize("token", [None, "", 7, "two words", "li\nne", "ü"])
def test_an_answer_without_a_token(token: Any) -> None:
    """Nothing that a header can hold."""
    with pytest.raises(RemoteProtocolError):
        grant(token)


def test_the_request_of_a_token() -> None:
    """A form, with the secret in its body and nowhere else."""
    request = token_request(ORG, "id", "s&cret")
    assert request.url == f"{ORG}/services/oauth2/token"
    assert request.body == b"grant_type=client_credentials&client_id=id&client_secret=s%26cret"
    assert "cret" not in repr(request)


# -- who fetches ------------------------------------------------------------------------------


class Org:
    """Grants tokens that live ``lifetime`` seconds of the loop's clock."""

    def __init__(self, lifetime: float = 1800.0, takes: float = 0.3) -> None:
        self.lifetime = lifetime
        self.takes = takes
        self.asked: list[float] = []
        self.fail = 0
        self.background = Background()
        self.tokens = Tokens(self.background, "who", clock=now)
        self.tokens.fetch = self.fetch

    async def fetch(self) -> Grant:
        self.asked.append(now())
        await asyncio.sleep(self.takes)
        if self.fail:
            self.fail -= 1
            raise UnavailableError("marked")
        margin = min(max(60.0, 0.2 * self.lifetime), self.lifetime / 2)
        at = now()
        return Grant(
            token=f"token-{len(self.asked)}",
            api_url="",
            refresh_at=at + self.lifetime - margin,
            expires_at=at + self.lifetime,
            jwt=True,
        )


def now() -> float:
    return asyncio.get_running_loop().time()


def virtually(scenario: Callable[[Org], Any], **facts: float) -> Org:
    """Run a scenario in virtual time; nothing of it is left."""
    orgs = []

    async def run() -> None:
        org = Org(**facts)
        orgs.append(org)
        try:
            await scenario(org)
        finally:
            await org.background.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
    return orgs[0]


def test_many_wait_for_one_fetch() -> None:
    """Also when the first of them goes away."""

    async def scenario(org: Org) -> None:
        first = asyncio.create_task(org.tokens())
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(org.tokens()) for _ in range(20)]
        await asyncio.sleep(0)
        first.cancel()
        assert set(await asyncio.gather(*others)) == {"token-1"}
        assert await org.tokens() == "token-1"

    assert len(virtually(scenario).asked) == 1


def test_a_token_is_renewed_before_it_ends() -> None:
    """In the background, at 80 % of its life, hour after hour: nobody ever waits."""

    async def scenario(org: Org) -> None:
        await org.tokens()
        for _ in range(40):
            await asyncio.sleep(300)
            before = now()
            await org.tokens()
            assert now() == before

    org = virtually(scenario, lifetime=1800.0)
    gaps = [b - a for a, b in zip(org.asked, org.asked[1:], strict=False)]
    assert len(gaps) >= 7
    assert all(gap == pytest.approx(1440.3, abs=0.5) for gap in gaps)


def test_a_refresh_that_fails_keeps_the_token_and_makes_no_loop() -> None:
    """It is tried again after half of what is left; the one at hand is good meanwhile."""

    async def scenario(org: Org) -> None:
        await org.tokens()
        org.fail = 3
        await asyncio.sleep(1750)
        assert await org.tokens() == "token-1"
        assert len(org.asked) == 4
        await asyncio.sleep(60)
        assert await org.tokens() != "token-1"

    assert len(virtually(scenario).asked) == 5


def test_a_token_that_ended_is_fetched_by_who_needs_it() -> None:
    """All refreshes failed, and nobody asked for hours."""

    async def scenario(org: Org) -> None:
        await org.tokens()
        org.fail = 100
        await asyncio.sleep(7200)
        failed = len(org.asked)
        assert failed < 20
        with pytest.raises(UnavailableError) as caught:
            await org.tokens()
        assert caught.value.outcome == "not_applied"
        org.fail = 0
        assert (await org.tokens()).startswith("token-")
        await asyncio.sleep(1700)
        assert org.tokens.grant is not None
        assert org.tokens.grant.expires_at > now() + 60  # somebody renews again

    virtually(scenario)


def test_a_failure_is_told_to_each_by_itself() -> None:
    """What one call writes into its error shows in no other's."""

    async def scenario(org: Org) -> None:
        org.fail = 1
        tasks = [asyncio.create_task(org.tokens()) for _ in range(2)]
        await asyncio.wait(tasks)
        one, other = (task.exception() for task in tasks)
        assert one is not other
        assert type(one) is type(other) is UnavailableError

    virtually(scenario)


def test_a_refused_token_is_dropped_once() -> None:
    """By whoever used it last; one that came meanwhile stays."""

    async def scenario(org: Org) -> None:
        old = await org.tokens()
        org.tokens.drop(old)
        new = await org.tokens()
        org.tokens.drop(old)
        assert await org.tokens() == new
        org.tokens.clear()
        assert await org.tokens() != new

    assert len(virtually(scenario).asked) == 3


def test_what_was_asked_for_with_the_last_secret_is_nobody_elses_token() -> None:
    """Cleared while it is being fetched: who waits has it, whoever comes later another one."""

    async def scenario(org: Org) -> None:
        waits = asyncio.create_task(org.tokens())
        await asyncio.sleep(0.1)
        org.tokens.clear()
        later = asyncio.create_task(org.tokens())
        await asyncio.gather(waits, later)
        assert await org.tokens() == later.result()

    assert len(virtually(scenario).asked) == 2


def test_who_has_no_time_does_not_wait() -> None:
    """The fetch goes on for the others."""

    async def scenario(org: Org) -> None:
        with pytest.raises(TimeoutError):
            await org.tokens.get(0.1)
        assert await org.tokens() == "token-1"

    assert len(virtually(scenario).asked) == 1


def test_a_short_token_is_no_reason_to_fetch_all_the_time() -> None:
    """A minute is the shortest that an org can choose; half of it is the margin then."""

    async def scenario(org: Org) -> None:
        await org.tokens()
        await asyncio.sleep(600)

    org = virtually(scenario, lifetime=60.0)
    assert len(org.asked) <= 21


def test_equal_apps_are_one_credential() -> None:
    """Their breakers and limits are shared."""
    background = Background()
    assert Tokens(background, ("org", "id")) == Tokens(Background(), ("org", "id"))
    assert Tokens(background, ("org", "id")) != Tokens(background, ("org", "other"))
