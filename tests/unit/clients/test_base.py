"""What every client does around its calls, on a client of nothing."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any, ClassVar

import pytest

from voicekit import checks, events
from voicekit.clients.base import Client, Credential
from voicekit.clients.settings import Settings
from voicekit.errors import (
    ClosedError,
    ConnectError,
    InvalidArgumentError,
    MissingCredentialError,
    WrongLoopError,
)
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.testing import RecordingObserver
from voicekit.transport.config import PoolConfig, WarmReport
from voicekit.transport.transport import Transport

pytestmark = pytest.mark.anyio

KEY = "sk-marked-key-7d1f"
SPEAK = Operation(
    provider="testing", name="speak", kind=OperationClass.COMPUTE, limits=Limits(total=9.0)
)


class Speaking(Settings):
    purpose = "speaking"
    option_checks: ClassVar = {"voice": checks.text}


class Listening(Settings):
    purpose = "listening"
    option_checks: ClassVar = {"language": checks.text}


class TestingClient(Client):
    provider = "testing"
    families: ClassVar = {"speech": Speaking, "transcription": Listening}
    operations: ClassVar = {"speak": SPEAK}
    __test__ = False

    def __init__(self, **options: Any) -> None:
        api_key = options.pop("api_key", KEY)
        settings: dict[str, Any] = {
            "base_url": "http://127.0.0.1:9/v1/",
            "transport": None,
            "pool": None,
            "ca": None,
            "proxy": None,
            "limits": None,
            "policies": None,
            "observers": (),
            "options": {},
        }
        super().__init__(
            credential=Credential(api_key, env="TESTING_API_KEY", provider="testing"),
            **{**settings, **options},
        )


# -- credentials ------------------------------------------------------------------------


async def test_where_the_key_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, else the environment, read when it is made; a callable is asked each time."""
    monkeypatch.setenv("TESTING_API_KEY", "from-environment")
    made = Credential(None, env="TESTING_API_KEY", provider="testing")
    monkeypatch.setenv("TESTING_API_KEY", "later")
    assert await made.get() == "from-environment"
    assert await Credential(KEY, env="TESTING_API_KEY", provider="testing").get() == KEY
    keys = iter(["first-key", "second-key"])

    async def ask() -> str:
        return next(keys)

    asked = Credential(ask, env="TESTING_API_KEY", provider="testing")
    assert [await asked.get(), await asked.get()] == ["first-key", "second-key"]


@pytest.mark.parametrize("api_key", [None, ""])
def test_no_key(api_key: Any) -> None:
    """Says which variable would hold it."""
    with pytest.raises(MissingCredentialError, match="TESTING_API_KEY"):
        Credential(api_key, env="TESTING_API_KEY", provider="testing")


@pytest.mark.parametrize("api_key", ["k\nX-Evil: 1", "schlüssel", b"bytes", 7])
async def test_a_key_that_no_header_can_hold(api_key: Any) -> None:
    """Refused without being shown, from an argument or from a callable."""
    with pytest.raises(InvalidArgumentError, match="api_key") as caught:
        Credential(api_key, env="TESTING_API_KEY", provider="testing")
    assert str(api_key) not in str(caught.value)

    async def ask() -> Any:
        return api_key

    with pytest.raises(InvalidArgumentError):
        await Credential(ask, env="TESTING_API_KEY", provider="testing").get()


def test_the_key_is_never_shown() -> None:
    """Neither by the credential nor by the client."""
    client = TestingClient()
    assert KEY not in f"{client!r} {client._credential!r} {client.transport!r} {client.stats()!r}"


# -- construction -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "host",
        KEY,
        "ftp://host",
        "http://",
        "http://[::1",
        "http://h:x",
        "http://h/?a=1",
        f"http://h/?key={KEY}",
        "http://h/\na",
        "http://ü.example",
        None,
        7,
    ],
)
def test_a_wrong_base_url(base_url: Any) -> None:
    """Before any I/O, naming the argument. What it is is not shown: it may be a key."""
    with pytest.raises(InvalidArgumentError, match="base_url") as caught:
        TestingClient(base_url=base_url)
    assert KEY not in str(caught.value)


def test_no_password_in_the_base_url() -> None:
    """It would be in every repr, so it is refused, and not shown."""
    with pytest.raises(InvalidArgumentError, match="base_url") as caught:
        TestingClient(base_url=f"https://user:{KEY}@host/")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("extra", [{"pool": PoolConfig()}, {"ca": "ca.pem"}])
def test_a_shared_transport_has_its_own_settings(extra: dict[str, Any]) -> None:
    """They are not a client's to change."""
    with pytest.raises(InvalidArgumentError, match="transport"):
        TestingClient(transport=Transport(), **extra)


def test_constructing_needs_no_loop() -> None:
    """And does no I/O: one that was never used need not be closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = TestingClient()
        assert client.stats().open == 0
        del client
        gc.collect()


def test_limits_are_by_operation_and_by_call() -> None:
    """The call's win over the client's, and those over the operation's."""
    client, plain = TestingClient(limits={"speak": Limits(total=3.0)}), TestingClient()
    assert client._call(SPEAK).limits.total == 3.0
    assert client._call(SPEAK, Speaking(limits=Limits(total=1.0))).limits.total == 1.0
    assert plain._call(SPEAK).limits.total == 9.0
    client._used = plain._used = False  # so that nobody need close them


# -- warming ---------------------------------------------------------------------------------


async def test_warm_reports_and_is_observed() -> None:
    """A host that refuses is in the report; strictly, it is an error."""
    recorder = RecordingObserver()
    async with TestingClient(observers=[recorder]) as client:
        report = await client.warm(2)
        assert report.failures == ("ConnectError",) * 2
        with pytest.raises(ConnectError) as caught:
            await client.warm(1, strict=True)
        assert (caught.value.provider, caught.value.operation) == ("testing", "warm")
        seen = [event for event in recorder.events if isinstance(event, events.Warmed)]
        assert [event.failed for event in seen] == [2, 1]


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True])
async def test_warm_takes_a_count(n: Any) -> None:
    """Also when it is only started: the mistake is not lost in the background."""
    async with TestingClient() as client:
        with pytest.raises(InvalidArgumentError, match="n:"):
            await client.warm(n)
        with pytest.raises(InvalidArgumentError, match="n:"):
            client.start_warming(n)


async def test_start_warming_returns_at_once() -> None:
    """It is the transport's task, and ends with it."""
    began = asyncio.Event()

    class Slow(TestingClient):
        async def _warm(self, n: int) -> WarmReport:
            began.set()
            await asyncio.sleep(3600)
            raise AssertionError

    async with Slow() as client:
        client.start_warming()
        assert not began.is_set()
        await began.wait()


async def test_a_broken_observer_does_not_break_warming() -> None:
    """It is logged and dropped."""

    class Broken:
        def on_event(self, event: events.Event, /) -> None:
            raise RuntimeError

    async with TestingClient(observers=[Broken()]) as client:
        assert (await client.warm(1)).failures


# -- closing -----------------------------------------------------------------------------------


async def test_closed() -> None:
    """Twice is once; afterwards everything says so."""
    client = TestingClient()
    await client.warm(1)
    await client.aclose()
    await client.aclose()
    assert repr(client) == "<TestingClient http://127.0.0.1:9/v1 closed>"
    for use in (client.warm, client.__aenter__):
        with pytest.raises(ClosedError):
            await use()
    with pytest.raises(ClosedError):
        client._call(SPEAK)
    with pytest.raises(ClosedError):
        client.start_warming()


async def test_a_shared_transport_stays_open() -> None:
    """Whoever made it closes it."""
    async with Transport() as transport:
        async with TestingClient(transport=transport) as client:
            await client.warm(1)
        assert "open" in repr(transport)
        await transport.warm("http://127.0.0.1:9", 1)
    assert "closed" in repr(transport)


def test_closed_in_the_wrong_loop() -> None:
    """Refused there, and still to be closed where it was opened."""
    client = TestingClient()
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(client.warm(1))
        with pytest.raises(WrongLoopError):
            second.run(client.warm(1))
        with pytest.raises(WrongLoopError):
            second.run(client.aclose())
        first.run(client.aclose())
    assert "closed" in repr(client)


async def test_a_forgotten_client() -> None:
    """Warns once, and its transport ends without another word."""
    client = TestingClient()
    await client.warm(1)
    pool = client.transport._http
    assert pool is not None
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()
        await asyncio.sleep(0.01)
    assert [str(each.message) for each in caught] == ["TestingClient was never closed"]
    assert pool.connector.closed


def test_flat_options_are_the_first_familys_and_common_extras_everybodys() -> None:
    """The other families' options stand under their names; headers go with every request."""
    client = TestingClient(
        options={
            "voice": "v",
            "extra_headers": {"X-Team": "a"},
            "extra_body": {"own": 1},
            "transcription": {"language": "en", "extra_headers": {"X-More": "b"}},
        }
    )
    speech, listening = client._family(Speaking), client._family(Listening)
    assert dict(speech.options) == {"voice": "v"}
    assert dict(listening.options) == {"language": "en"}
    assert dict(speech.extra_headers) == {"X-Team": "a"}
    assert dict(listening.extra_headers) == {"X-Team": "a", "X-More": "b"}
    assert (dict(speech.extra_body), dict(listening.extra_body)) == ({"own": 1}, {})


@pytest.mark.parametrize("options", [{"language": "en"}, {"transcription": {"voice": "v"}}])
def test_a_familys_option_is_refused_elsewhere(options: dict[str, Any]) -> None:
    """An option has one place."""
    with pytest.raises(InvalidArgumentError):
        TestingClient(options=options)


async def test_a_view_has_other_defaults_and_shares_the_rest() -> None:
    """``with_options`` costs no connection, and closing the view closes nothing."""
    async with TestingClient(options={"voice": "v"}) as client:
        view = client._view({"voice": "w"}, {"speak": Limits(total=1.0)}, None, None)
        assert view.transport is client.transport
        assert view._family(Speaking).options["voice"] == "w"
        assert client._family(Speaking).options["voice"] == "v"
        assert view._call(SPEAK).limits.total == 1.0
        assert client._call(SPEAK).limits.total == 9.0
        await view.aclose()
        client.transport._opened()


def test_a_view_alone_uses_nothing() -> None:
    """A client of which only a view was made need not be closed: nothing was opened."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = TestingClient(options={"voice": "v"})
        view = client._view({"voice": "w"}, None, None, None)
        assert not client.in_use
        del client, view
        gc.collect()


async def test_what_a_view_uses_its_source_must_close() -> None:
    """The use of a view, and of its view, counts for the client that made the transport."""
    recorder, other = RecordingObserver(), RecordingObserver()
    async with TestingClient(observers=[recorder]) as client:
        view = client._view({}, None, None, None)
        inner = view._view({}, None, None, [other])
        inner._call(SPEAK)
        assert client.in_use
        assert not view.in_use
        assert not inner.in_use
        view._call(SPEAK)
        client._call(SPEAK)
        for each in (recorder, other):
            assert sum(isinstance(event, events.PoolOpened) for event in each.events) == 1


async def test_a_forgotten_client_whose_view_was_used() -> None:
    """Is warned of, once."""
    client = TestingClient()
    await client._view({}, None, None, None).warm(1)
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()
        await asyncio.sleep(0.01)
    assert [str(each.message) for each in caught] == ["TestingClient was never closed"]


async def test_another_key_retires_what_the_old_one_opened() -> None:
    """A key that changes, by itself or by hand, starts a new generation of connections."""
    keys = ["key-number-one", "key-number-one", "key-number-two"]

    async def next_key() -> str:
        return keys.pop(0)

    async with TestingClient(api_key=next_key) as client:
        retired = 0

        def retire() -> None:
            nonlocal retired
            retired += 1

        client._credential.on_change = retire
        assert await client._credential.get() == "key-number-one"
        await client._credential.get()
        assert retired == 0
        assert await client._credential.get() == "key-number-two"
        assert retired == 1
        client.rotate_key("key-number-three")
        assert await client._credential.get() == "key-number-three"
        assert retired == 2
        with pytest.raises(InvalidArgumentError):
            client.rotate_key("no\nheader")
