"""Policies around a client's calls: given, shared, told; over a scripted network."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import pytest

from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient, Transport, deadline
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    InvalidArgumentError,
    OutcomeUnknownError,
    OverloadedError,
    UnavailableError,
)
from voicekit.events import BreakerChanged, Queued, RetryScheduled
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES, Breaker, Budget, Hedge, Limit, Policies, Retry
from voicekit.testing import Answer, RecordingObserver, ScriptedTransport, no_waits

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
MESSAGES = [{"role": "user", "content": "Hi"}]
HI = Answer(
    headers=JSON,
    chunks=[
        json.dumps(
            {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
        ).encode()
    ],
)
MODELS = Answer(headers=JSON, chunks=[b'{"data": [{"id": "gpt-x"}]}'])


def refused(status: int, *, retry_after: str | None = None, **facts: Any) -> Answer:
    headers = JSON if retry_after is None else {**JSON, "Retry-After": retry_after}
    code = b'{"error": {"code": "rate_limit_exceeded"}}' if status == 429 else b"{}"
    return Answer(status=status, headers=headers, chunks=[code], **facts)


class World:
    """Clients over one scripted network."""

    made: ClassVar[list[World]] = []

    def __init__(self, *answers: Answer, say: Callable[..., Any] | None = None) -> None:
        self.made.append(self)
        self.http = ScriptedTransport(say or list(answers))
        self.transport = Transport(http=self.http)
        self.seen = RecordingObserver()

    def client(self, key: Any = "key-one", **options: Any) -> OpenAIClient:
        return OpenAIClient(
            key,
            **{
                "model": "m",
                "base_url": "http://host/v1",
                "transport": self.transport,
                "observers": [self.seen],
                **options,
            },
        )

    @property
    def sent(self) -> int:
        return len(self.http.requests)

    @property
    def keys(self) -> list[str]:
        return [each.headers["authorization"].split()[-1] for each in self.http.requests]


@pytest.fixture(autouse=True)
async def closed(anyio_backend: Any) -> AsyncIterator[None]:
    yield
    for world in World.made:
        await world.transport.aclose()
    World.made.clear()


# -- how they are given ---------------------------------------------------------------------


async def test_tests_need_not_wait_for_what_a_provider_asks() -> None:
    """Neither the repeat nor the limit, which would have the next call pause as well."""
    world = World(refused(429, retry_after="3"), HI, HI)
    client = world.client()
    with no_waits():
        assert (await client.chat(MESSAGES)).attempts == 2
        await client.chat(MESSAGES)
    assert not world.seen.of(Queued)
    assert [event.wait >= 3.0 for event in world.seen.of(RetryScheduled)] == [True]


async def test_by_default_a_failure_is_made_up_for() -> None:
    """The evidence says that it was, on the value and in the events."""
    world = World(refused(503), HI)
    with no_waits():
        answer = await world.client().chat(MESSAGES)
    assert (answer.text, answer.attempts, answer.hedged) == ("Hi", 2, False)
    assert [event.attempts for event in world.seen.ended] == [2]


@pytest.mark.parametrize("where", ["constructor", "view", "operation", "call", "request"])
async def test_policies_may_be_given_everywhere(where: str) -> None:
    """To all operations, to one by its name, to a view, to a call, to a request."""
    world = World(refused(503))
    by_name = {"chat": NO_POLICIES}
    client = world.client(
        policies=NO_POLICIES
        if where == "constructor"
        else by_name
        if where == "operation"
        else None
    )
    if where == "view":
        client = client.with_options(policies=NO_POLICIES)
    options: Any = {"policies": NO_POLICIES} if where == "call" else {}
    asked: Any = MESSAGES
    if where == "request":
        asked = client.request(MESSAGES, policies=NO_POLICIES)
    with pytest.raises(UnavailableError) as caught:
        await client.chat(asked, **options)
    assert caught.value.attempts == world.sent == 1


async def test_a_view_adds_to_what_was_given_by_name() -> None:
    """By name on top of the source's; one for all replaces them all."""
    client = World().client(policies={"chat": NO_POLICIES})
    view = client.with_options(policies={"embed": NO_POLICIES})
    plain = "deadline → attempt limits → transport"
    assert repr(view.pipeline("chat")) == repr(view.pipeline("embed")) == plain
    assert repr(client.pipeline("embed")) != plain
    assert repr(view.with_options(policies=Policies()).pipeline("chat")) != plain


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ({"chatter": NO_POLICIES}, "'chatter' is no operation of this client"),
        ({"chat": Retry()}, "by operation"),
        (Retry(), "by operation"),
        (3, "by operation"),
    ],
)
def test_wrong_policies(policies: Any, said: str) -> None:
    """In the constructor, in a view and in a call; each names the argument."""
    client = World().client()
    for make in (
        lambda: World().client(policies=policies),
        lambda: client.with_options(policies=policies),
    ):
        with pytest.raises(InvalidArgumentError, match=said) as caught:
            make()
        assert caught.value.argument == "policies"
    with pytest.raises(InvalidArgumentError, match="policies"):
        client.request(MESSAGES, policies=policies)


def test_a_misspelt_operation_of_the_limits() -> None:
    """Would have had no effect, and nobody would have known."""
    with pytest.raises(InvalidArgumentError, match=r"limits: 'stream_chats'.*stream_chat, chat"):
        World().client(limits={"stream_chats": Limits()})


@pytest.mark.parametrize(
    "request_of",
    [
        lambda **o: OpenAIClient("k", model="m").request("Hi", **o),
        lambda **o: OpenAIClient("k", model="m").response_request("Hi", **o),
        lambda **o: OpenAIClient("k").embedding_request("Hi", model="m", **o),
        lambda **o: OpenAIClient("k").speech_request("Hi", model="m", voice="v", **o),
        lambda **o: OpenAIClient("k").transcription_request(b"RIFF", model="m", **o),
        lambda **o: ElevenLabsClient("k", voice="v").request("Hi", **o),
        lambda **o: ElevenLabsClient("k").transcription_request(b"RIFF", **o),
        lambda **o: DeepgramClient("k").request(b"RIFF", **o),
        lambda **o: DeepgramClient("k").speech_request("Hi", **o),
    ],
)
def test_the_identity_does_not_change(request_of: Callable[..., Any]) -> None:
    """How a call is made is nothing of what was asked for: a cache must find it again."""
    given = request_of(policies=NO_POLICIES)
    assert given.policies is NO_POLICIES
    assert request_of().policies is None
    assert given.identity == request_of().identity


@pytest.mark.parametrize("kind", [OpenAIClient, ElevenLabsClient, DeepgramClient])
def test_every_operation_has_its_pipeline(kind: Any) -> None:
    """By its name, as it is called; and the docs of the constructor name it."""
    client = kind("key")
    for name in client.operations:
        assert hasattr(client, name)
        assert f'``"{name}"``' in kind.__doc__
        assert "retry" in repr(client.pipeline(name))
        assert client.breaker(name).state == "closed"
    with pytest.raises(InvalidArgumentError, match="operation"):
        client.pipeline("sing")


# -- what is shared ---------------------------------------------------------------------------


async def test_who_shares_a_breaker() -> None:
    """Provider, address and credential, on one transport; a view is its client."""
    world = World(HI)
    client = world.client()
    client.breaker("chat").force_open()
    for other in (
        world.client(),
        client.with_options(model="n"),
        world.client(policies=Policies()),
    ):
        with pytest.raises(CircuitOpenError):
            await other.chat(MESSAGES)
    assert world.sent == 0
    for other in (
        world.client("key-two"),
        world.client(base_url="http://other/v1"),
        World().client(),
        world.client(policies=Policies(breaker=Breaker(least_calls=5))),
    ):
        assert other.breaker("chat").state == "closed"
    assert client.breaker("stream_chat").state == "closed"
    assert (await client.chat(MESSAGES, policies=NO_POLICIES)).text == "Hi"


async def test_a_breaker_can_be_disabled() -> None:
    """Then it lets everything through, whatever it sees; and it may be taken back."""
    world = World(say=lambda _: refused(500))
    client = world.client(policies=Policies(retry=None, breaker=Breaker(least_calls=2)))
    client.breaker("chat").disable()
    for _ in range(5):
        with pytest.raises(UnavailableError):
            await client.chat(MESSAGES)
    client.breaker("chat").reset()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await client.chat(MESSAGES)
    with pytest.raises(CircuitOpenError):
        await client.chat(MESSAGES)
    with pytest.raises(InvalidArgumentError, match="without a breaker"):
        client.with_options(policies=NO_POLICIES).breaker("chat")


async def test_one_limit_for_all_operations_of_a_key() -> None:
    """The account counts them together."""
    asked = asyncio.Event()
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def say(_: Any) -> Answer:
        asked.set()
        return await answer

    world = World(say=say)
    client = world.client(policies=Policies(limit=Limit(1, queue=0)))
    first = asyncio.create_task(client.chat(MESSAGES))
    await asked.wait()
    with pytest.raises(OverloadedError):
        await client.models()
    health = client.health()
    assert health.limit is not None
    assert (health.limit.in_flight, health.limit.rejected) == (1, 1)
    answer.set_result(HI)
    await first
    assert client.health().limit.in_flight == 0  # type: ignore[union-attr]


async def test_a_transport_forgets_what_was_asked_for_longest_ago() -> None:
    """Keys that change every hour must not pile up."""
    transport = Transport()
    for n in range(3000):
        assert isinstance(transport.shared(n, Breaker), Breaker)
        assert transport.shared("often", Breaker) is transport.shared("often", Breaker)
    assert len(transport._shared) <= 1024
    gc.collect()
    assert len(transport._alive) <= 1024


async def test_what_a_client_uses_is_not_forgotten() -> None:
    """However many others came since it was composed: a client asks but once."""
    world = World(HI)
    client = world.client()
    client.breaker("chat").force_open()
    for n in range(2000):
        client.transport.shared(n, Breaker)
    assert world.client().breaker("chat") is client.breaker("chat")


@pytest.mark.parametrize("spelling", ["HTTP://host/v1", "http://HOST/v1", "http://host:80/v1/"])
async def test_an_address_is_one_however_it_is_spelt(spelling: str) -> None:
    """Case of scheme and host, and the port that goes without saying, make no other server."""
    world = World(HI)
    client = world.client(base_url="http://host/v1")
    assert world.client(base_url=spelling).breaker("chat") is client.breaker("chat")
    for other in ("https://host/v1", "http://host:81/v1", "http://host/v2"):
        assert world.client(base_url=other).breaker("chat") is not client.breaker("chat")


async def test_nothing_is_hashed_for_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline is composed once; a call looks it up."""
    world = World(say=lambda _: HI)
    client = world.client()
    await client.chat(MESSAGES)
    pipeline = client._call(client.operations["chat"]).pipeline

    def never(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(type(client._scopes), "_of", never)
    monkeypatch.setattr(Transport, "shared", never)
    await client.chat(MESSAGES)
    assert client._call(client.operations["chat"]).pipeline is pipeline


# -- a hedge ------------------------------------------------------------------------------------


async def test_a_hedged_answer_says_so() -> None:
    """On the value, with the evidence of the attempt that won."""
    world = World(refused(503, delays=(9.0,)), HI)
    client = world.client(policies=Policies(hedge=Hedge(0.01)))
    answer = await client.chat(MESSAGES)
    assert (answer.text, answer.attempts, answer.hedged) == ("Hi", 2, True)
    health = client.health().operations["chat"]
    assert health.hedge is not None
    assert (health.hedge.calls, health.hedge.wins) == (1, 1)
    assert health.retry is None


# -- effects --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        lambda stt, _: stt.submit_transcription(b"RIFF", callback="https://example.com"),
        lambda stt, _: stt.submit_speech("Hi", callback="https://example.com"),
        lambda _, tts: tts.submit_transcription(b"RIFF"),
    ],
    ids=["deepgram-transcription", "deepgram-speech", "elevenlabs-transcription"],
)
async def test_an_effect_of_unknown_outcome(act: Callable[..., Any]) -> None:
    """Is not repeated; the error says how to find out."""
    world = World(refused(503))
    stt = DeepgramClient("key", base_url="http://host", transport=world.transport)
    tts = ElevenLabsClient("key", base_url="http://host", transport=world.transport)
    with pytest.raises(OutcomeUnknownError) as caught:
        await act(stt, tts)
    assert world.sent == 1
    assert "callback" in caught.value.hint or "webhook" in caught.value.hint
    assert caught.value.retry_stopped == "unknown_outcome"


# -- keys -----------------------------------------------------------------------------------------


async def test_a_refused_key_is_not_asked_with_again() -> None:
    """By no operation; a rotated one is another matter, and so is no policy at all."""
    world = World(refused(401), refused(401), HI)
    client = world.client()
    with pytest.raises(AuthenticationError):
        await client.chat(MESSAGES)
    with pytest.raises(CircuitOpenError) as caught:
        await client.models()
    assert isinstance(caught.value.__cause__, AuthenticationError)
    credential = client.health().credential
    assert credential is not None
    assert credential.state == "open"
    with pytest.raises(AuthenticationError):
        await client.chat(MESSAGES, policies=NO_POLICIES)
    client.rotate_key("key-two")
    assert (await client.chat(MESSAGES)).text == "Hi"
    assert world.keys == ["key-one", "key-one", "key-two"]


class Tokens:
    """Hands out a token until it is told that another one is in force."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)
        self.current = self._tokens.pop(0)
        self.valid = tokens[-1]
        self.asked = 0
        self.renewals = 0
        self.hold: asyncio.Event | None = None

    async def __call__(self) -> str:
        self.asked += 1
        return self.current

    async def renew(self) -> str:
        """As a callable that caches would do it: asked once more, it looks again."""
        self.asked += 1
        if self.asked > 1 and self._tokens:
            self.renewals += 1
            if self.hold is not None:
                await self.hold.wait()
            self.current = self._tokens.pop(0)
        return self.current

    def say(self, request: Any) -> Answer:
        key = request.headers["authorization"].split()[-1]
        if key != self.valid:
            return refused(401)
        return MODELS if request.url.endswith("/models") else HI


async def test_a_refused_token_is_asked_for_again() -> None:
    """Once; the repeat goes out with the other one, and nothing of it stays in the circuit."""
    tokens = Tokens("expired", "fresh")
    world = World(say=tokens.say)
    client = world.client(tokens.renew)
    answer = await client.chat(MESSAGES)
    assert (answer.attempts, world.keys) == (2, ["expired", "fresh"])
    assert tokens.asked == 2
    assert client.health().credential.state == "closed"  # type: ignore[union-attr]
    assert "a refused key once asked for again" in repr(client.pipeline("chat"))
    assert "a refused key" not in repr(world.client().pipeline("chat"))


async def test_many_callers_have_one_refresh() -> None:
    """All who were refused wait for one answer, and each is repeated once."""
    tokens = Expiring()
    world = World(say=tokens.say)
    client = world.client(tokens, policies=Policies(limit=None))
    await client.chat(MESSAGES)
    tokens.expire()
    answers = await asyncio.gather(*(client.chat(MESSAGES) for _ in range(20)))
    assert tokens.refreshes == 1
    assert {answer.attempts for answer in answers} <= {1, 2}
    assert world.keys.count("token-0") - 1 <= 20
    assert all(answer.text == "Hi" for answer in answers)


class Expiring:
    """A token cache as applications write them: it renews when it is asked after a refusal."""

    def __init__(self) -> None:
        self.number = 0
        self.valid = "token-0"
        self.refreshes = 0
        self._refused = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> str:
        if self._refused:
            self._refused = False
            self.refreshes += 1
            await asyncio.sleep(0.01)
            await self.gate.wait()
            self.number += 1
        return f"token-{self.number}"

    def expire(self) -> None:
        self.valid = f"token-{self.number + 1}"

    async def say(self, request: Any) -> Answer:
        await asyncio.sleep(0.001)
        if request.headers["authorization"] == f"Bearer {self.valid}":
            return HI
        self._refused = True
        return refused(401)


async def test_a_token_that_stays_the_same_is_refused_for_good() -> None:
    """One more question, no more requests; then the circuit is open, without any question."""
    tokens = Tokens("expired", "expired", "never")
    world = World(say=tokens.say)
    client = world.client(tokens)
    with pytest.raises(AuthenticationError) as caught:
        await client.chat(MESSAGES)
    assert caught.value.attempts == world.sent == 1
    assert tokens.asked == 2
    with pytest.raises(CircuitOpenError):
        await client.chat(MESSAGES)
    assert (tokens.asked, world.sent) == (2, 1)


async def test_a_callable_that_fails_leaves_the_refusal() -> None:
    """The provider's error is raised, and what the callable raised is its cause."""
    asked = 0

    async def once() -> str:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise LookupError("the vault is closed")
        return "expired"

    world = World(refused(401))
    with pytest.raises(AuthenticationError) as caught:
        await world.client(once).chat(MESSAGES)
    assert isinstance(caught.value.__cause__, LookupError)


async def test_who_is_cancelled_takes_nothing_from_the_others() -> None:
    """The one who began the refresh leaves; those who wait for it get their answer."""
    tokens = Tokens("expired", "fresh")
    tokens.hold = asyncio.Event()
    world = World(say=tokens.say)
    client = world.client(tokens.renew, policies=Policies(limit=None))
    leader = asyncio.create_task(client.chat(MESSAGES))
    while not tokens.renewals:
        await asyncio.sleep(0)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    tokens.asked = 0
    follower = asyncio.create_task(client.chat(MESSAGES))
    for _ in range(20):
        await asyncio.sleep(0)
    tokens.hold.set()
    assert (await follower).text == "Hi"
    assert tokens.renewals == 1


async def test_a_refresh_is_waited_for_within_the_deadline() -> None:
    """A callable that hangs costs a caller no more than the caller has."""
    tokens = Tokens("expired", "fresh")
    tokens.hold = asyncio.Event()
    world = World(say=tokens.say)
    client = world.client(tokens.renew)
    began = asyncio.get_running_loop().time()
    with deadline(0.05), pytest.raises(AuthenticationError):
        await client.chat(MESSAGES)
    assert asyncio.get_running_loop().time() - began < 1.0
    tokens.hold.set()
    assert (await client.chat(MESSAGES, policies=NO_POLICIES)).attempts == 1


async def test_a_refresh_cancelled_at_every_await() -> None:
    """Promptly, and the next call finds everything as it was."""
    for steps in range(60):
        tokens = Expiring()
        world = World(say=tokens.say)
        client = world.client(tokens)
        assert (await client.chat(MESSAGES)).text == "Hi"
        tokens.expire()
        call = asyncio.create_task(client.chat(MESSAGES))
        for _ in range(steps):
            if call.done():
                break
            await asyncio.sleep(0.0005 if steps % 2 else 0)
        finished = call.done()
        call.cancel()
        if not finished:
            with pytest.raises(asyncio.CancelledError):
                await call
        health = client.health()
        assert health.limit is not None
        assert (health.limit.in_flight, health.limit.queued) == (0, 0)
        assert (await client.chat(MESSAGES)).text == "Hi"
        assert client.health().credential.state == "closed"  # type: ignore[union-attr]
        assert not client._credential.renewing


async def test_closing_ends_a_refresh() -> None:
    """A callable that hangs does not outlive the client; its callers get the refusal."""
    tokens = Tokens("expired", "fresh")
    tokens.hold = asyncio.Event()
    world = World(say=tokens.say)
    client = world.client(tokens.renew)
    waiting = asyncio.create_task(client.chat(MESSAGES))
    while not tokens.renewals:
        await asyncio.sleep(0)
    await world.transport.aclose()
    with pytest.raises(AuthenticationError):
        await waiting


async def test_an_unhashable_callable() -> None:
    """Is one credential all the same."""

    class Vault:
        __hash__ = None  # type: ignore[assignment]

        async def __call__(self) -> str:
            return "key"

    world = World(HI)
    assert (await world.client(Vault()).chat(MESSAGES)).text == "Hi"


# -- health --------------------------------------------------------------------------------


async def test_a_budget_that_is_given_is_shared() -> None:
    """By operations, by retry and hedge, by clients; the default is each operation's own."""
    budget = Budget(2.0, 0.0)
    policies = {"chat": Policies(retry=Retry(budget=budget)), "models": Policies(retry=Retry())}
    world = World(say=lambda _: refused(503))
    for client in (world.client(policies=policies), world.client("key-two", policies=policies)):
        with no_waits(), pytest.raises(UnavailableError):
            await client.chat(MESSAGES)
        (first, *_), (other, *_) = (client.pipeline(each).policies for each in ("chat", "models"))
        assert isinstance(first, Retry)
        assert isinstance(other, Retry)
        assert first.budget is budget is not other.budget
    assert budget.stats().calls == 2
    hedged = world.client(policies=Policies(hedge=Hedge(budget=budget)))
    hedge, *_ = hedged.pipeline("stream_chat").policies
    assert isinstance(hedge, Hedge)
    assert hedge.budget is budget


async def test_a_breaker_that_is_forced_is_an_event() -> None:
    """Maintenance shows where outages do, also before the first call."""
    world = World(HI)
    client = world.client()
    for act in ("force_open", "disable", "reset"):
        getattr(client.breaker("chat"), act)()
    told = world.seen.of(BreakerChanged)
    assert [event.state for event in told] == ["forced_open", "disabled", "closed"]
    assert {(event.provider, event.operation) for event in told} == {("openai", "chat")}


async def test_health() -> None:
    """A snapshot without I/O: before the first call there is nothing to tell."""
    world = World(refused(503), HI, MODELS)
    client = world.client()
    before = client.health()
    assert (before.provider, dict(before.operations)) == ("openai", {})
    assert before.limit is None
    assert before.credential is None
    with no_waits():
        await client.chat(MESSAGES)
    await client.models(policies=Policies(retry=Retry(1)))
    health = client.health()
    assert world.sent == 3
    assert list(health.operations) == ["chat"]  # models() had policies of its own
    chat = health.operations["chat"]
    assert chat.breaker is not None
    assert (chat.breaker.state, chat.breaker.calls) == ("closed", 2)
    assert chat.retry is not None
    assert (chat.retry.calls, chat.retry.taken) == (1, 1)
    assert chat.hedge is None
    assert health.pool == client.stats()
    assert dict(before.operations) == {}
    assert "key-one" not in repr(health)
