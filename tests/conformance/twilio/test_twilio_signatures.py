"""The vendor's own validator judges what the Twilio twin signs."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from multidict import MultiDict

from voicekit.emulator import Emulator, Scenario
from voicekit.emulator.endpoints import AUTH_TOKEN
from voicekit.emulator.providers.twilio_signing import body_url, sign

sys.path.insert(0, str(Path(__file__).parents[1]))

from vendors import sdk_of

sdk_of("twilio")

RequestValidator: Any = importlib.import_module("twilio.request_validator").RequestValidator

pytestmark = [pytest.mark.sdk, pytest.mark.anyio]

LETTERS = "abcXYZ019-_.~!*'() &=+%/?ÄöüßñЖ日本👋\n"


class Getall(MultiDict[str]):
    """What the validator takes a multidict for."""


def test_random_requests() -> None:
    """300 random addresses and forms, with repeated and empty values: the validator agrees."""
    rng = random.Random(20261121)

    def text(most: int) -> str:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randint(0, most)))

    for _ in range(300):
        host = rng.choice(["hooks.example.com", "127.0.0.1", "a.b"])
        port = rng.choice(["", ":8443", ":80"])
        query = rng.choice(["", "?x=1", "?b=2&a=%20%2B", "?"])
        url = f"{rng.choice(['http', 'https'])}://{host}{port}/p{rng.randint(0, 9)}{query}"
        names = [text(5) or "A" for _ in range(rng.randint(0, 8))]
        fields = [(rng.choice(names), text(20)) for _ in names for _ in range(rng.randint(1, 3))]
        token = text(12) or "t"
        validator = RequestValidator(token)
        assert sign(url, fields, token) == validator.compute_signature(url, Getall(fields))
        assert sign(url, fields, token, algorithm="sha256") == validator.compute_signature(
            url, Getall(fields), "HMAC_SHA256"
        )


def test_json_bodies() -> None:
    """A JSON body's hash goes into the address; the validator checks both."""
    rng = random.Random(7)
    for _ in range(20):
        body = "{" + "".join(rng.choice(LETTERS) for _ in range(rng.randint(0, 50))) + "}"
        url = body_url("https://x.example/hook?a=1", body.encode())
        signature = sign(url, (), AUTH_TOKEN)
        assert RequestValidator(AUTH_TOKEN).validate(url, body, signature)
        assert not RequestValidator(AUTH_TOKEN).validate(url, body + " ", signature)


async def test_what_is_sent_validates() -> None:
    """Messages, statuses, calls and GETs as they arrive, raw: the validator accepts each."""
    judged: list[tuple[str, bool]] = []

    async def judge(request: web.Request) -> web.Response:
        fields: Any = MultiDict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        url = f"http://{request.headers['Host']}{request.raw_path}"
        signature = request.headers["X-Twilio-Signature"]
        judged.append((request.path, RequestValidator(AUTH_TOKEN).validate(url, fields, signature)))
        return web.Response(
            text=f"<Response><Message statusCallback='{base}/status'>Ciao</Message></Response>",
            content_type="text/xml",
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", judge)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    scenario = Scenario(name="two", message_statuses=(("sent", -1), ("delivered", -1)))
    try:
        async with Emulator(providers=("twilio",), scenario=scenario) as world:
            call = world.calls_back
            text = "Zoë & Co, 1+1=2 👋 %2B"
            await call.message(f"{base}/message?tenant=7#rc=2&rp=all", body=text, voice="hi")
            await call.message(f"{base}/sms", body=text, from_="+390212345678")
            await call.message(f"{base}/get?b=2&a=%20", body=text, method="GET")
            await call.call(f"{base}/call")
            await call.status(f"{base}/status", "SM" + "0" * 32, "read")
    finally:
        await runner.cleanup()
    assert {path for path, _ in judged} == {"/message", "/sms", "/get", "/call", "/status"}
    assert [path for path, good in judged if not good] == []
    assert len(judged) == 5 + 3 * 2
