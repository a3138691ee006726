"""The endpoints as any ASGI server sees them; and what Starlette and FastAPI make of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("ddsketch", reason="ddsketch of an extra is not installed")

from voicekit import (
    ConfigurationError,
    InvalidArgumentError,
    Metrics,
    WarmReport,
    background,
    health,
)
from voicekit.testing.clock import VIRTUAL
from voicekit.web import Endpoints, HealthEndpoint, MetricsEndpoint, lifespan, routes

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-ours"


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL


class Client:
    """Is well, or is not."""

    provider = "elevenlabs"

    def __init__(self) -> None:
        self.fails = False
        self.asked = 0

    async def warm(self, n: int) -> WarmReport:
        self.asked += 1
        if self.fails:
            raise ConnectionError("what it said")
        return WarmReport(opened=n, reused=0)


class Answer:
    def __init__(self, messages: list[Any]) -> None:
        start, *bodies = messages
        self.status: int = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body = b"".join(each.get("body", b"") for each in bodies)

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any, path: str, *, method: str = "GET", query: str = "", **headers: str
) -> Answer:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "app": None,
    }
    await app(scope, receive, send)
    return Answer(sent)


async def media(scope: Any, receive: Any, send: Any) -> None:
    del receive
    text = f"{scope['root_path']} {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


@contextlib.asynccontextmanager
async def apps(client: Client, **options: Any) -> AsyncIterator[list[Any]]:
    """The same endpoints as plain ASGI, in Starlette and in FastAPI, where they are installed."""
    async with contextlib.AsyncExitStack() as stack:
        status = health(client, every=0)
        stack.push_async_callback(status.aclose)
        given = {"health": status, "metrics": Metrics(), "media": media} | options
        found: list[Any] = [Endpoints(**given)]
        with contextlib.suppress(ImportError):
            from starlette.applications import Starlette

            found.append(Starlette(routes=routes(**given)))
        with contextlib.suppress(ImportError):
            from fastapi import FastAPI

            fastapi = FastAPI()
            fastapi.router.routes.extend(routes(**given))
            found.append(fastapi)
        yield found


async def test_health_is_200_or_503() -> None:
    """With the report as JSON, which no cache keeps; degraded serves."""
    client = Client()
    async with apps(client) as all_of_them:
        for app in all_of_them:
            client.fails = False
            answer = await ask(app, "/health")
            assert answer.status == 200
            assert answer.json()["clients"]["elevenlabs"]["state"] == "ok"
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["cache-control"] == "no-store"
            client.fails = True
            answer = await ask(app, "/health")
            assert answer.status == 503
            assert answer.json()["clients"]["elevenlabs"]["reasons"] == ["probe: ConnectionError"]
            assert b"what it said" not in answer.body
            assert (await ask(app, "/health/live")).status == 200
    optional = health(client, optional=[client])
    assert (await ask(HealthEndpoint(optional), "/")).status == 200
    await optional.aclose()


async def test_a_storm_of_requests_is_one_look() -> None:
    """Whoever asks for health asks no provider."""
    client = Client()
    status = health(client)
    app = Endpoints(health=status)
    await asyncio.gather(*(ask(app, "/health") for _ in range(50)))
    assert client.asked == 1
    await status.aclose()
    answer = await ask(app, "/health")
    assert (answer.status, answer.json()["state"]) == (503, "down")


async def test_metrics_as_json_and_as_text() -> None:
    """By what is asked for; JSON for browsers and for everybody else."""
    pytest.importorskip("prometheus_client", reason="prometheus_client of an extra is missing")
    scraper = (
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    )
    async with apps(Client()) as all_of_them:
        for app in all_of_them:
            for accept in ("", "*/*", "application/json", "text/html,*/*;q=0.8", "text/plain;q=x"):
                answer = await ask(app, "/metrics", accept=accept)
                assert answer.json()["calls"]["count"] == 0
            for accept in (scraper, "text/plain", "application/json;q=0.1, text/plain"):
                answer = await ask(app, "/metrics", accept=accept)
                assert answer.headers["content-type"].startswith("text/plain")
                assert b"# TYPE voicekit_calls_total counter" in answer.body
            assert (await ask(app, "/metrics?format=prometheus")).body.startswith(b"# HELP")
            assert (await ask(app, "/metrics?format=json", accept="text/plain")).json()


async def test_the_last_report_is_beside_the_metrics() -> None:
    """Without a look of its own: a scrape asks no provider."""
    client = Client()
    status = health(client)
    app = MetricsEndpoint(Metrics(), health=status)
    assert "health" not in (await ask(app, "/")).json()
    await status.check()
    assert (await ask(app, "/")).json()["health"]["state"] == "ok"
    assert client.asked == 1
    await status.aclose()


async def test_metrics_want_the_token() -> None:
    """A wrong one, none, or another scheme is refused; health stays open, but for its details."""
    async with apps(Client(), token=TOKEN) as all_of_them:
        for app in all_of_them:
            for given in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", "Bearer é"):
                answer = await ask(app, "/metrics", authorization=given)
                assert answer.status == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert TOKEN.encode() not in answer.body
            for given in (f"Bearer {TOKEN}", f"bearer  {TOKEN} "):
                assert (await ask(app, "/metrics", authorization=given)).status == 200
            assert (await ask(app, "/health")).status == 200


async def test_details_of_health_want_it_too() -> None:
    """Also those of a wrapper's members."""

    class Told(Client):
        def health(self) -> Any:
            return WarmReport(opened=1, reused=1)

    class Wrapper:
        provider = "fallback"
        members = {"a": Told()}  # noqa: RUF012 - of a test

    status = health(Told(), Wrapper())
    app = HealthEndpoint(status, token=TOKEN)
    assert b"detail" not in (await ask(app, "/")).body
    shown = (await ask(app, "/", authorization=f"Bearer {TOKEN}")).json()
    assert shown["clients"]["elevenlabs"]["detail"]["opened"] == 1
    assert shown["clients"]["fallback"]["members"]["a"]["detail"]["opened"] == 1
    await status.aclose()


@pytest.mark.parametrize(
    "token", ["", "short", "with a space", "umläute-in-it", "new\nline-token", 5]
)
def test_a_token_that_is_none_is_refused(token: Any) -> None:
    """An environment variable that is not set must not leave the door open; it is never shown."""
    for make in (
        lambda: Endpoints(token=token),
        lambda: MetricsEndpoint(Metrics(), token=token),
        lambda: HealthEndpoint(None, token=token),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            make()
        assert not token or str(token) not in str(caught.value)


async def test_other_methods_and_paths() -> None:
    """HEAD is GET without a body; nothing else is done; nothing else is there."""
    async with apps(Client()) as all_of_them:
        for app in all_of_them:
            answer = await ask(app, "/metrics", method="HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert int(answer.headers["content-length"]) > 100
            answer = await ask(app, "/metrics", method="POST")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
            assert (await ask(app, "/other")).status == 404
            assert (await ask(app, "/media/x.ogg")).body == b"/media /media/x.ogg"
    assert (await ask(Endpoints(), "/health")).status == 404
    assert (await ask(Endpoints(), "/media/x")).status == 404


async def test_it_is_a_whole_application() -> None:
    """Lifespan is answered; a socket is refused; mounted, it finds its paths."""
    app = Endpoints(metrics=Metrics())
    sent: list[Any] = []
    coming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    assert [each["type"] for each in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    for path in ("/metrics", "/other"):
        await app({"type": "websocket", "path": path}, receive, send)
        assert sent[-1]["type"] == "websocket.close"
    with pytest.raises(ValueError, match="lifespan"):
        await MetricsEndpoint(Metrics())({"type": "lifespan"}, receive, send)
    scope = {
        "type": "http", "method": "GET", "path": "/inner/metrics", "root_path": "/inner",
        "headers": [],
    }  # fmt: skip
    await app(scope, receive, send)
    assert sent[-2]["status"] == 200


def test_without_starlette_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And that there is another way."""
    monkeypatch.setitem(sys.modules, "starlette.routing", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'voicekit\[web\]'.*Endpoints"):
        routes()


async def test_without_prometheus_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """406 with what to install; JSON goes on."""
    monkeypatch.setitem(sys.modules, "prometheus_client.metrics_core", None)
    app = MetricsEndpoint(Metrics())
    answer = await ask(app, "/", accept="text/plain")
    assert answer.status == 406
    assert "voicekit[prometheus]" in answer.json()["error"]
    assert (await ask(app, "/")).status == 200


def test_nothing_of_a_framework_is_imported() -> None:
    """Plain ASGI: importing it and serving needs no Starlette."""
    code = (
        "import sys, voicekit.web\n"
        "voicekit.web.Endpoints()\n"
        "print(sorted({'starlette', 'fastapi', 'prometheus_client', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- starting and stopping ------------------------------------------------------------------------


class Resource:
    """Notes what is done with it."""

    def __init__(self, name: str, log: list[str], **has: Any) -> None:
        self.name, self.log = name, log
        vars(self).update(has)

    async def __aenter__(self) -> None:
        self.log.append(f"{self.name} opens")

    async def __aexit__(self, *exc: object) -> None:
        self.log.append(f"{self.name} closes")


async def test_everything_ends_in_order() -> None:
    """Work in the background has its clients until it is done; the last one opened closes first."""
    log: list[str] = []

    async def work() -> None:
        await asyncio.sleep(5)
        log.append("work is done")

    @contextlib.asynccontextmanager
    async def inner(app: Any) -> AsyncIterator[None]:
        log.append(f"{app} starts")
        yield
        log.append(f"{app} stops")

    living = lifespan(Resource("a", log), Resource("b", log), drain=10, inner=inner)
    async with living("app"):
        background(work())
        log.append("serves")
    assert log == [
        "a opens", "b opens", "app starts", "serves", "app stops", "work is done", "b closes",
        "a closes",
    ]  # fmt: skip


async def test_a_slow_provider_does_not_keep_it_from_starting() -> None:
    """Warming goes on in the background, and its failure is no failure to start."""
    loop = asyncio.get_running_loop()
    log: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(5)
        log.append("warm")

    async def fails() -> None:
        raise ConnectionError

    began = loop.time()
    slow_one, broken = Resource("a", log, warm=slow), Resource("b", log, warm=fails)
    async with lifespan(slow_one, broken)(None):
        assert loop.time() == began
        await asyncio.sleep(6)
        assert "warm" in log
    async with lifespan(slow_one, warm=False)(None):
        await asyncio.sleep(6)
    assert log.count("warm") == 1


async def test_the_end_is_bounded() -> None:
    """Work that takes too long is cut off, and the clients are closed."""
    loop = asyncio.get_running_loop()
    log: list[str] = []
    began = loop.time()
    async with lifespan(Resource("a", log), drain=3)(None):
        background(asyncio.sleep(100))
    assert loop.time() - began == 3
    assert log[-1] == "a closes"


async def test_who_drained_before_gives_the_rest() -> None:
    """The bound is not paid twice: it is asked for when the application stops."""
    loop = asyncio.get_running_loop()
    left = 3.0
    async with lifespan(drain=lambda: left)(None):
        background(asyncio.sleep(100))
        left, began = 1.0, loop.time()
    assert loop.time() - began == 1


async def test_what_cannot_open_closes_the_others() -> None:
    """And the application does not start."""
    log: list[str] = []

    class Broken(Resource):
        async def __aenter__(self) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        async with lifespan(Resource("a", log), Broken("b", log))(None):
            raise AssertionError
    assert log == ["a opens", "a closes"]


def test_bad_resources() -> None:
    """Refused when the application is written."""
    for given, options in (((object(),), {}), ((), {"drain": -1})):
        with pytest.raises(InvalidArgumentError):
            lifespan(*given, **options)
