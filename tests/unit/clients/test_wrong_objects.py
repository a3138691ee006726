"""Objects of a wrong kind, where a client or its parts are made: refused there, and by name."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import voicekit.sync
from voicekit import (
    AgentforceClient,
    AzureOpenAIClient,
    DeepgramClient,
    ElevenLabsClient,
    HttpxTransport,
    InvalidArgumentError,
    Limits,
    LogObserver,
    OpenAIClient,
    PoolConfig,
    Transport,
    TwilioClient,
)
from voicekit.cache.response import ResponseCache
from voicekit.own_engine import EngineSpeech
from voicekit.testing import RecordingObserver, ScriptedTransport

pytestmark = pytest.mark.anyio

MARK = "sk-marked"
CLIENTS: list[Callable[..., Any]] = [
    lambda **given: ElevenLabsClient("k", voice="v", **given),
    lambda **given: DeepgramClient("k", **given),
    lambda **given: OpenAIClient("k", model="m", **given),
    lambda **given: AzureOpenAIClient(
        api_key="k", azure_endpoint="https://x", api_version="1", **given
    ),
    lambda **given: AgentforceClient("k", domain="acme", agent_id="0Xx" + 12 * "a", **given),
    lambda **given: TwilioClient("AC" + 32 * "a", "t", **given),
]
FACADES: list[Callable[..., Any]] = [
    lambda **given: voicekit.sync.ElevenLabsClient("k", voice="v", **given),
    lambda **given: voicekit.sync.DeepgramClient("k", **given),
    lambda **given: voicekit.sync.OpenAIClient("k", model="m", **given),
    voicekit.sync.Transport,
]
NO_OBSERVERS = [LogObserver(), 5, None, [5], "abc", {"log": LogObserver()}, [LogObserver(), None]]


def refused(argument: str, make: Callable[[], object], hint: str = "") -> None:
    """It is, at once, and whatever was made before has nothing to say about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidArgumentError, match=argument) as caught:
            make()
        assert caught.value.argument == argument
        assert hint in str(caught.value)
        assert MARK not in str(caught.value)
        gc.collect()


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize("given", NO_OBSERVERS)
def test_no_observers(make: Callable[..., Any], given: Any) -> None:
    """One observer alone is the mistake that everybody makes once, so the hint shows the list."""
    refused("observers", lambda: make(observers=given), "[LogObserver()]")
    if given is not None:  # which leaves them, there
        refused("observers", lambda: make().with_options(observers=given), "[LogObserver()]")


def test_an_observer_is_what_has_its_method() -> None:
    """Of whatever class, in whatever holds several."""
    seen = RecordingObserver()

    class Own:
        def on_event(self, event: Any, /) -> None:
            seen.on_event(event)

    for observers in ([Own()], (Own(),), {Own()}, iter([Own()])):
        client = ElevenLabsClient("k", observers=observers)  # type: ignore[arg-type]
        client._begin()
        client._used = False  # so that nobody need close it
    assert len(seen.events) == 4


async def chunks() -> Any:
    yield b""


@pytest.mark.parametrize(
    "make",
    [
        lambda observers: EngineSpeech(chunks(), format="pcm_16000", observers=observers),
        lambda observers: ResponseCache(OpenAIClient("k", model="m"), observers=observers),
    ],
)
@pytest.mark.parametrize("given", NO_OBSERVERS)
def test_no_observers_of_what_is_around_a_client(make: Callable[..., Any], given: Any) -> None:
    """Caches and engines of one's own take them by the same rule."""
    refused("observers", lambda: make(given))


@pytest.mark.parametrize("make", CLIENTS)
def test_no_transport(make: Callable[..., Any]) -> None:
    """An HTTP client or a seam is none yet, and a blocking one is for blocking clients."""
    hint = "Transport(http=HttpxTransport(client))"
    for given in (5, {}, httpx.AsyncClient(), HttpxTransport(), voicekit.sync.Transport()):
        refused("transport", lambda given=given: make(transport=given), hint)  # type: ignore[misc]


@pytest.mark.parametrize("make", FACADES[:-1])
def test_no_blocking_transport(make: Callable[..., Any]) -> None:
    """Also not an asynchronous one, whose event loop another thread could not use."""
    for given in (5, httpx.Client(), Transport()):
        refused("transport", lambda given=given: make(transport=given), "voicekit.sync.Transport")  # type: ignore[misc]


@pytest.mark.parametrize("make", [*CLIENTS, *FACADES, Transport])
@pytest.mark.parametrize(
    ("argument", "given", "hint"),
    [
        ("pool", {"max_connections": 3}, "PoolConfig("),
        ("pool", {}, "PoolConfig("),
        ("pool", 5, "PoolConfig("),
        ("ca", 5, "PEM"),
        ("ca", b"ca.pem", "PEM"),
        ("proxy", 5, "http://"),
        ("proxy", f"http://{MARK}\ud83d:p@host:1", "http://"),
    ],
)
def test_no_settings_of_a_transport(
    make: Callable[..., Any], argument: str, given: Any, hint: str
) -> None:
    """Said by the constructor, not by the first call."""
    refused(argument, lambda: make(**{argument: given}), hint)


@pytest.mark.parametrize("make", [Transport, voicekit.sync.Transport])
async def test_no_http_transport(make: Callable[..., Any]) -> None:
    """What would send and could not be closed; anything with the seam's methods may."""
    async with httpx.AsyncClient() as client:
        for given in (5, client, httpx.MockTransport(lambda _: httpx.Response(200))):
            refused("http", lambda given=given: make(http=given), "HttpxTransport(client)")  # type: ignore[misc]

    class Own:
        """Not of our classes, and all behind ``__getattr__``."""

        def __init__(self) -> None:
            self._inner = ScriptedTransport([])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    for fine in (HttpxTransport(), ScriptedTransport([]), Own()):
        assert make(http=fine)


@pytest.mark.parametrize("given", [5, "client", httpx.Client(), httpx.AsyncClient])
def test_no_httpx_client(given: Any) -> None:
    """A blocking client, or its class, would fail with the first request."""
    refused("client", lambda: HttpxTransport(given), "httpx.AsyncClient")


@pytest.mark.parametrize("given", ["x", b"1", [], True, 0, -1.0, float("nan")])
def test_no_seconds(given: Any) -> None:
    """Of limits and of a pool; None is no limit, and infinity is one that never comes."""
    for name in ("connect", "first_output", "gap", "total"):
        refused(name, lambda name=name: Limits(**{name: given}))  # type: ignore[misc]
    for name in ("max_wait", "idle_cutoff", "idle_ceiling"):
        refused(name, lambda name=name: PoolConfig(**{name: given}))  # type: ignore[misc]
    assert Limits(connect=None, total=float("inf"))


@pytest.mark.parametrize("given", ["x", None, 1.0, True, -1])
def test_no_size(given: Any) -> None:
    """A pool's are whole numbers."""
    for name in ("max_connections", "min_ready", "max_idle"):
        refused(name, lambda name=name: PoolConfig(**{name: given}))  # type: ignore[misc]


@pytest.mark.parametrize("given", ["x", None, True, -1, float("nan")])
async def test_no_drain(given: Any) -> None:
    """Nothing is closed by the mistake, and everything by the next word."""
    for make in (*CLIENTS, Transport):
        owner = make()
        with pytest.raises(InvalidArgumentError, match="drain"):
            await owner.aclose(given)
        assert "closed" not in repr(owner)
        await owner.aclose(0)
        assert "closed" in repr(owner)
    for make in FACADES:
        facade = make()
        with pytest.raises(InvalidArgumentError, match="drain"):
            facade.close(given)
        with facade:  # not closed
            pass
