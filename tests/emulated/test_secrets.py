"""A marked key and marked speech text: nothing that fails, or works, may show them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import get_args

import pytest
from echoing import HTTP, SECRET, SOCKETS, echoing
from secrecy import KEY, LIMITS, QUICK, TEXT, WORDS, Addresses, Evidence, listening, run_all

from voicekit import AuthenticationError, InvalidArgumentError, ProviderError, VoicekitError
from voicekit.emulator import EmulatorProcess, Fault, Scenario
from voicekit.emulator.faults import FaultKind
from voicekit.operation import Limits

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

_BODY = {"error": {"message": SECRET, "code": "x y"}, "detail": {"message": SECRET}}
_FAULTS = {
    **{kind: Fault(kind) for kind in get_args(FaultKind)},
    "status": Fault("status", status=401, body=json.dumps(_BODY), headers=(("x-echo", KEY),)),
    "status-500": Fault("status", status=500, body=SECRET),
    "html": Fault("html", body=f"<html>{SECRET}</html>"),
    "stall-later": Fault("stall", after_bytes=300, after_events=2),
    "reset-later": Fault("reset", after_bytes=300, after_events=2),
    "close-later": Fault("close", after_bytes=300, after_events=2),
    "in_stream_error": Fault("in_stream_error", body=_BODY),
    "in_stream_error-later": Fault("in_stream_error", body=_BODY, after_events=2),
    "ws_refuse": Fault("ws_refuse", status=403, body=json.dumps(_BODY)),
    "ws_close": Fault("ws_close", code=1008, reason=SECRET[:120]),
    "ws_close-later": Fault("ws_close", code=1011, reason=SECRET[:120], after_events=1),
    "ws_garbage-text": Fault("ws_garbage", body="{" + SECRET),
}


@pytest.fixture(scope="module")
def world() -> Iterator[EmulatorProcess]:
    scenario = Scenario(name="marked", replies=TEXT, heard=TEXT)
    with EmulatorProcess(scenario=scenario) as world:
        yield world


def _run(
    addresses: Addresses,
    before: Callable[[str], None] = lambda _: None,
    limits: Limits = QUICK,
) -> Evidence:
    with listening() as evidence:
        asyncio.run(run_all(addresses, evidence, before, limits))
    return evidence


def _check(evidence: Evidence) -> None:
    strangers = [error for error in evidence.errors if not isinstance(error, VoicekitError)]
    assert [repr(error) for error in strangers] == []
    assert evidence.leaks() == []


def _addresses(world: EmulatorProcess) -> Addresses:
    return Addresses(world.deepgram.url, world.openai.url, world.elevenlabs.url)


def test_calls_that_succeed_tell_nothing(world) -> None:
    """Handles, requests, results and events of good calls; asyncio in debug mode beside them."""
    evidence = _run(_addresses(world), limits=LIMITS)
    assert evidence.errors == []
    assert any(where == "event" for where, _ in evidence.said)
    assert any(where == "log asyncio" for where, _ in evidence.said)
    _check(evidence)


@pytest.mark.parametrize("name", _FAULTS)
def test_the_emulators_faults_tell_nothing(world, name: str) -> None:
    """Each fault on each operation, the vendor's words quoting key and text where it speaks."""

    def inject(provider: str) -> None:
        world.clear_faults(provider)
        world.inject(provider, _FAULTS[name])

    try:
        _check(_run(_addresses(world), inject))
    finally:
        world.clear_faults()


@pytest.mark.parametrize("name", HTTP)
def test_a_server_that_echoes_tells_nothing(name: str) -> None:
    """Key and text in bodies, headers, reasons, codes, ids, types, and in broken HTTP."""
    with echoing(HTTP[name]) as url:
        evidence = _run(Addresses(url, url, url))
    assert evidence.errors
    _check(evidence)


@pytest.mark.parametrize("name", SOCKETS)
def test_a_socket_that_echoes_tells_nothing(name: str) -> None:
    """Key and text in frames, close reasons and handshake headers."""
    with echoing(None, SOCKETS[name]()) as url:
        evidence = _run(Addresses(url, url, url))
    assert evidence.errors
    _check(evidence)


def test_nobody_is_there(unused_tcp_port_url: str) -> None:
    """A refused connection names neither."""
    evidence = _run(Addresses(unused_tcp_port_url, unused_tcp_port_url, unused_tcp_port_url))
    assert len(evidence.errors) >= 6
    _check(evidence)


@pytest.fixture
def unused_tcp_port_url() -> str:
    with echoing(b"") as url:
        pass
    return url


def test_what_the_vendor_said_is_kept_but_for_the_key() -> None:
    """``detail`` has the vendor's own words, which may quote the text and never the key."""
    from voicekit import OpenAIClient

    async def ask(url: str) -> ProviderError:
        async with OpenAIClient(KEY, base_url=url, model="m") as llm:
            with pytest.raises(AuthenticationError) as caught:
                await llm.chat(TEXT)
            return caught.value

    with echoing(HTTP["401-openai"]) as url:
        error = asyncio.run(ask(url))
    assert error.detail is not None
    assert WORDS[0] in error.detail
    assert KEY not in error.detail
    assert "You sent" in error.detail


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}é", f"{KEY}\0"])
def test_a_key_that_no_header_can_hold_is_not_quoted(key: str) -> None:
    """The refusal names the argument, not what was given."""
    from voicekit import DeepgramClient, ElevenLabsClient, OpenAIClient

    for make in (DeepgramClient, ElevenLabsClient, OpenAIClient):
        with pytest.raises(InvalidArgumentError) as caught:
            make(api_key=key)
        assert KEY not in f"{caught.value} {caught.value!r} {caught.value.args}"
