"""The files of users' messages: where the Twilio twin keeps them, and who hears what in them."""

from __future__ import annotations

import base64
import http.server
import ssl
import threading
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from webhooked import listening

from voicekit.emulator import Emulator, Fault, Link, Scenario, voice_note
from voicekit.emulator.__main__ import main
from voicekit.emulator.endpoints import ACCOUNT_SID, AUTH_TOKEN
from voicekit.emulator.providers import twilio_media
from voicekit.emulator.voice_notes import VoiceNoteError, check_voice_note, said_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

TEXT = "what are your opening hours today"


def basic(name: str = ACCOUNT_SID, password: str = AUTH_TOKEN) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
async def world() -> AsyncIterator[Emulator]:
    async with Emulator(providers=("twilio",), scenario="instant") as served:
        yield served


async def told(world: Any, **options: Any) -> str:
    """The address of a file that a user has just sent."""
    async with listening() as app:
        calling = await world.calls_back.message(f"{app.url}/", **{"voice": TEXT, **options})
    return str(calling.media[0])


async def get(session: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, Any, bytes]:
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        return response.status, response.headers, await response.read()


async def test_a_download(world: Emulator, session: aiohttp.ClientSession) -> None:
    """A redirect to another origin, which gives the bytes without credentials."""
    url = await told(world)
    status, headers, _ = await get(session, url, **basic())
    assert status == 307
    location = headers["Location"]
    assert location.startswith(world.endpoint("twilio_media").url)
    assert not location.startswith(world.twilio.url)
    status, headers, data = await get(session, location)
    assert (status, headers["Content-Type"]) == (200, "audio/ogg")
    assert headers["Content-Length"] == str(len(data))
    check_voice_note(data, TEXT)
    (record,) = world.journal.requests_for("twilio_media", "media.bytes")
    assert world.journal.audio(record) == data


async def test_leaked_credentials(world: Emulator, session: aiohttp.ClientSession) -> None:
    """The other origin refuses what is not for it, and the journal tells."""
    _, headers, _ = await get(session, await told(world), **basic())
    status, _, body = await get(session, headers["Location"], **basic())
    assert (status, b"InvalidArgument" in body) == (400, True)
    (record,) = world.journal.requests_for("twilio_media")
    assert record.notes == ["Authorization leaked to another host"]
    assert AUTH_TOKEN not in str(record.headers)


@pytest.mark.parametrize("change", ["Signature=0&", "Expires=1&", ""])
async def test_addresses_are_signed(
    world: Emulator, session: aiohttp.ClientSession, change: str
) -> None:
    """Only as long and for what they were made."""
    _, headers, _ = await get(session, await told(world), **basic())
    path, _, query = headers["Location"].partition("?")
    asked = f"{path}?{change}{query}" if change else path
    assert (await get(session, asked))[0] == 403


async def test_addresses_expire(
    world: Emulator, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address is good for a while only."""
    monkeypatch.setattr(twilio_media, "LIFETIME_S", -1)
    _, headers, _ = await get(session, await told(world), **basic())
    assert (await get(session, headers["Location"]))[0] == 403


async def test_parts(world: Emulator, session: aiohttp.ClientSession) -> None:
    """A range, and a HEAD."""
    _, headers, _ = await get(session, await told(world), **basic())
    whole = voice_note(TEXT)
    status, headers_of_part, part = await get(session, headers["Location"], Range="bytes=10-19")
    assert (status, part) == (206, whole[10:20])
    assert headers_of_part["Content-Range"] == f"bytes 10-19/{len(whole)}"
    async with session.head(headers["Location"]) as response:
        assert response.headers["Content-Length"] == str(len(whole))


async def test_not_there_yet(world: Emulator, session: aiohttp.ClientSession) -> None:
    """A file is missing as often as scripted, each file for itself."""
    world.set_scenario(Scenario(name="late", media_not_ready=2))
    first, second = await told(world), await told(world)
    for url in (first, second):
        answers = [await get(session, url, **basic()) for _ in range(4)]
        assert [status for status, _, _ in answers] == [404, 404, 307, 307]
        assert b"<Code>20404</Code>" in answers[0][2]


async def test_how_long_it_takes(world: Emulator, session: aiohttp.ClientSession) -> None:
    """A third of a download until the redirect, the rest until the first byte."""
    world.set_scenario(Scenario(name="slow", media_download=0.06))
    _, headers, _ = await get(session, await told(world), **basic())
    await get(session, headers["Location"])
    (asked,) = world.journal.requests_for("twilio", "media.content")
    (sent,) = world.journal.requests_for("twilio_media")
    assert (asked.first_byte_at or 0.0) - asked.received_at >= 0.02
    assert (sent.first_byte_at or 0.0) - sent.received_at >= 0.04


async def test_who_may(world: Emulator, session: aiohttp.ClientSession) -> None:
    """Nobody without credentials; the account's token or any key of it."""
    url = await told(world)
    status, headers, body = await get(session, url)
    assert (status, b"20003" in body) == (401, True)
    assert headers["WWW-Authenticate"].startswith("Basic")
    assert (await get(session, url, **basic(password="bad-key")))[0] == 401
    assert (await get(session, url, **basic("AC" + "1" * 32)))[0] == 401
    assert (await get(session, url, **basic("someone")))[0] == 401
    assert (await get(session, url, Authorization="Basic ???"))[0] == 401
    assert (await get(session, url, **basic("SK" + "1" * 32)))[0] == 307


async def test_deleted(world: Emulator, session: aiohttp.ClientSession) -> None:
    """A deleted file is gone from both hosts; so is that of a deleted message."""
    for cut in ("", "/Media"):
        url = await told(world)
        _, headers, _ = await get(session, url, **basic())
        resource = url if cut else url.partition("/Media")[0]
        async with session.delete(f"{resource}.json", headers=basic()) as response:
            assert response.status == 204
        assert (await get(session, url, **basic()))[0] == 404
        assert (await get(session, headers["Location"]))[0] == 404


async def test_xml(world: Emulator, session: aiohttp.ClientSession) -> None:
    """A path without .json answers in XML, errors too."""
    url = (await told(world)).partition("/Media")[0]
    _, headers, body = await get(session, url, **basic())
    assert headers["Content-Type"] == "application/xml"
    root = ET.fromstring(body)
    assert root.tag == "TwilioResponse"
    assert root.findtext("Message/Status") == "received"
    listed = ET.fromstring((await get(session, url.rpartition("/")[0], **basic()))[2])
    assert [each.findtext("Sid") for each in listed.findall("Messages/Message")] == [
        url.rpartition("/")[2]
    ]
    page = listed.find("Messages")
    assert page is not None
    assert (page.get("page"), page.get("pagesize")) == ("0", "50")
    wrong = ET.fromstring((await get(session, f"{url}0", **basic()))[2])
    assert wrong.findtext("RestException/Code") == "20404"


async def test_faults_of_each_host(world: Emulator, session: aiohttp.ClientSession) -> None:
    """Either host can be made to fail, in the middle of the bytes too."""
    url = await told(world, voice="x" * 200)
    world.inject("twilio", Fault("status", status=429, headers=(("Retry-After", "1"),)))
    status, headers, _ = await get(session, url, **basic())
    assert (status, headers["Retry-After"]) == (429, "1")
    location = (await get(session, url, **basic()))[1]["Location"]
    world.inject("twilio_media", Fault("close", after_bytes=100))
    with pytest.raises(aiohttp.ClientPayloadError):
        await get(session, location)
    assert (await get(session, location))[0] == 200
    outcomes = [each.outcome for each in world.journal.requests_for("twilio_media")]
    assert outcomes == ["fault", "complete"]


async def test_under_tls_and_a_link() -> None:
    """Both hosts are behind them, and the application, which trusts the same authority, too."""
    async with Emulator(
        providers=("twilio",), scenario="instant", tls=True, link=Link(rtt=0.001)
    ) as world:
        url = await told(world)
        assert url.startswith("https://localhost:")
        trust = ssl.create_default_context(cafile=str(world.ca_file))
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session,
            session.get(url, headers=basic()) as response,
        ):
            check_voice_note(await response.read(), TEXT)
        assert len(world.journal.crossings) > 0
        elsewhere = world.endpoint("twilio_media").url
        reached = await world.calls_back.message(f"{elsewhere}/hook", body="Hi")
        assert (reached.status, reached.last.failure) == (404, "4xx")
        assert world.journal.requests_for("twilio_media")[0].headers.get("authorization") is None


# -- voice notes ---------------------------------------------------------------------------


async def test_voice_notes_are_ogg() -> None:
    """Pages with right checksums; one changed byte anywhere shows."""
    note = voice_note("Grüezi", seconds=1.5)
    assert note == voice_note("Grüezi", seconds=1.5)
    assert said_in(note) == ("Grüezi", 1.5)
    assert note.count(b"OggS") == 4
    for at in range(0, len(note), 7):
        changed = note[:at] + bytes([note[at] ^ 1]) + note[at + 1 :]
        assert said_in(changed) is None
        with pytest.raises(VoiceNoteError, match=f"byte {at} differs"):
            check_voice_note(changed, "Grüezi", seconds=1.5)
    assert said_in(note[:-1]) is None
    assert said_in(b"") is None
    assert said_in(b"OggS" + bytes(100)) is None
    with pytest.raises(ValueError, match="more than 0"):
        voice_note("x", seconds=0)


@pytest.mark.parametrize("provider", ["deepgram", "elevenlabs", "openai"])
async def test_all_ears_hear_them(session: aiohttp.ClientSession, provider: str) -> None:
    """What a voice note says is heard, whatever the scenario's script is."""
    script = Scenario(name="else", heard="something else")
    async with Emulator(providers=(provider,), scenario=script) as world:
        base, note = world.endpoint(provider).url, voice_note("send me the bill")
        form = aiohttp.FormData()
        form.add_field("file", note, filename="a.ogg", content_type="audio/ogg")
        if provider == "deepgram":
            headers = {"Authorization": "Token k", "Content-Type": "audio/ogg"}
            asked = session.post(f"{base}/v1/listen?model=nova-3", data=note, headers=headers)
        elif provider == "elevenlabs":
            form.add_field("model_id", "scribe_v2")
            asked = session.post(
                f"{base}/v1/speech-to-text", data=form, headers={"xi-api-key": "k"}
            )
        else:
            form.add_field("model", "gpt-4o-mini-transcribe")
            headers = {"Authorization": "Bearer k"}
            asked = session.post(f"{base}/audio/transcriptions", data=form, headers=headers)
        async with asked as response:
            assert response.status == 200
            assert "send me the bill" in (await response.text()).lower()


# -- the command ---------------------------------------------------------------------------


def test_call_webhook_command(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`emulate --call-webhook` prints what came back and what the user then got."""

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reply = b"<Response><Message>You wrote Hello</Message></Response>"
            good = b"Body=Hello" in body and b"NumMedia=1" in body
            self.send_response(200 if good else 500)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *args: Any) -> None:
            pass

    (tmp_path / "a.ogg").write_bytes(voice_note("hi"))
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/"
            arguments = ["--provider", "twilio", "--scenario", "instant", "--wait", "0.2"]
            arguments += ["--call-webhook", url, "--body", "Hello"]
            code = main([*arguments, "--media", str(tmp_path / "a.ogg")])
        finally:
            server.shutdown()
            thread.join()
    printed = capsys.readouterr().out
    assert code == 0
    assert ": 200 after" in printed
    assert "to whatsapp:+390212345678, by twiml: You wrote Hello" in printed


def test_call_webhook_in_vain(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody there: the debugger's code, and an exit status that says so."""
    arguments = ["--provider", "twilio", "--call-webhook", "http://127.0.0.1:9/", "--wait", "0"]
    assert main(arguments) == 1
    assert "no answer" in capsys.readouterr().out
