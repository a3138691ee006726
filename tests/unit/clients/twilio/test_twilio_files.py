"""Files of messages: where they are fetched, when, with whose credential, and how much."""

from __future__ import annotations

from typing import Any

import pytest
from scripting import (
    CDN,
    FILE,
    answer,
    client,
    closed,
    refused,
)

from voicekit import Limits
from voicekit.clients.twilio import (
    Media,
    MediaRef,
)
from voicekit.errors import (
    ConnectionLostError,
    InvalidArgumentError,
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamInterruptedError,
    UnavailableError,
)
from voicekit.resilience import NO_POLICIES
from voicekit.resilience.waiting import no_waits
from voicekit.testing.transport import Answer

__all__ = ["closed"]

pytestmark = pytest.mark.anyio


async def read(stream: Any) -> bytes:
    async with stream:
        return b"".join([each async for each in stream])


def redirect(to: str = CDN, status: int = 307) -> Answer:
    return answer(None, status, Location=to)


def file(data: bytes = b"OggS-data", **headers: str) -> Answer:
    said = {"Content-Type": "audio/ogg", "Content-Length": str(len(data)), **headers}
    return Answer(headers=said, chunks=[data[:4], data[4:]] if data else [])


async def test_a_file_is_fetched_where_it_lies() -> None:
    """The credential goes to Twilio and no further; the type comes through."""
    for code in (307, 302):
        http, twilio = client(redirect(status=code), file())
        media = await twilio.download_media(MediaRef(url=FILE, content_type="audio/ogg"))
        assert isinstance(media, Media)
        assert media == media.data == b"OggS-data"
        assert media.content_type == "audio/ogg"
        assert (media.request_id, media.attempts) == ("RQ01", 1)
        assert media.timings is not None
        assert "OggS" not in f"{media} {media!r}"
        asked, fetched = http.requests
        assert "Authorization" in asked.headers
        assert (fetched.url, "Authorization" in fetched.headers) == (CDN, False)


async def test_extra_headers_stay_at_the_api() -> None:
    """They are meant for Twilio; a store could refuse what it does not know."""
    http, twilio = client(redirect(), file())
    await twilio.download_media(FILE, extra_headers={"X-Mine": "1"})
    assert ["x-mine" in each.headers for each in http.requests] == [True, False]


async def test_a_file_that_is_not_there_yet() -> None:
    """Asked for again, three times, without spending a repeat or counting as a failure."""
    missing = refused(20404, 404)
    http, twilio = client(missing, missing, redirect(), Answer(status=403), redirect(), file())
    before = twilio.health
    with no_waits():
        media = await twilio.download_media(FILE)
    assert media == b"OggS-data"
    assert media.attempts == 4
    assert [each.url for each in http.requests] == [FILE, FILE, FILE, CDN, FILE, CDN]
    seen = before().operations["download_media"]
    assert (seen.breaker.calls, seen.breaker.failure_rate) == (1, 0.0)
    assert seen.retry.taken == 0
    http, twilio = client(*[missing] * 5)
    with no_waits(), pytest.raises(InvalidRequestError) as caught:
        await twilio.download_media(FILE)
    assert (caught.value.status, caught.value.attempts, len(http.requests)) == (404, 4, 4)
    http, twilio = client(*[missing] * 5)
    with pytest.raises(InvalidRequestError):
        await twilio.download_media(FILE, fresh=False)
    assert len(http.requests) == 1


async def test_no_wait_beyond_the_limit() -> None:
    """What would not fit any more is not waited for."""
    http, twilio = client(*[refused(20404, 404)] * 5)
    with pytest.raises(InvalidRequestError):
        await twilio.download_media(FILE, limits=Limits(total=0.4))
    assert len(http.requests) == 1


async def test_waits_are_no_silence_of_the_server() -> None:
    """A first-output limit that is shorter than a wait does not count in it."""
    _http, twilio = client(refused(20404, 404), file(), policies=NO_POLICIES)
    media = await twilio.download_media(FILE, limits=Limits(first_output=0.3, total=5.0))
    assert media.attempts == 2


@pytest.mark.parametrize(
    "failure",
    [
        answer({"code": 1}, 500),
        refused(20429, 429),
        Answer(status=0, error=ConnectionLostError("reset")),
    ],
)
async def test_a_download_is_repeated(failure: Answer) -> None:
    """Reading is free."""
    for answers in ((failure, redirect(), file()), (redirect(), failure, redirect(), file())):
        http, twilio = client(*answers)
        with no_waits():
            assert await twilio.download_media(FILE) == b"OggS-data"
        assert len(http.requests) == len(answers)


async def test_a_store_s_refusal_is_not_the_account_s() -> None:
    """403 there says nothing of our credential: no circuit opens for it."""
    _http, twilio = client(
        lambda request: redirect() if request.url == FILE else Answer(status=403)
    )
    with no_waits(), pytest.raises(InvalidRequestError):
        await twilio.download_media(FILE)
    assert twilio.health().credential.state == "closed"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com/x",
        "https://twiliocdn.com.evil.example.com/x",
        "https://eviltwiliocdn.com/x",
        "http://mms.twiliocdn.com/x",
        "https://mms.twiliocdn.com:8443/x",
        "https://user@mms.twiliocdn.com/x",
        "https://s3-external-1.amazonaws.com/evil/x",
        "https://169.254.169.254/latest",
        "http://localhost/x",
        "file:///etc/passwd",
        "//evil.example.com/x",
        "https://[::1/x",
        "https://evil.example.com\\.twiliocdn.com/x",
        "https://mms.twiliocdn.com/a b",
        "https://mms.twiliocdn.com:port/x",
    ],
)
async def test_no_file_from_elsewhere(target: str) -> None:
    """Whoever sends us there: nothing is asked for, and no repeat helps."""
    http, twilio = client(redirect(target), file())
    with pytest.raises(RemoteProtocolError) as caught:
        await twilio.download_media(FILE)
    assert len(http.requests) == 1
    assert "evil" not in str(caught.value)
    http, twilio = client(file())
    with pytest.raises(InvalidArgumentError):
        await twilio.download_media(target)
    with pytest.raises(InvalidArgumentError):
        twilio.stream_media(MediaRef(url=target))
    assert http.requests == []


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("https://media.twiliocdn.com/x", []),
        ("https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC/x?a", []),
        ("https://cdn.example.com/x", ["cdn.example.com"]),
        ("https://a.example.com/x", ["*.example.com"]),
        ("https://a.example.com:8443/x", ["a.example.com:8443"]),
    ],
)
async def test_files_from_allowed_hosts(target: str, hosts: list[str]) -> None:
    """Twilio's own, and those that were allowed; none of them sees the credential."""
    http, twilio = client(redirect(target), file(), file(), media_hosts=hosts)
    assert await twilio.download_media(FILE) == b"OggS-data"
    assert "Authorization" not in http.requests[1].headers
    assert await twilio.download_media(target) == b"OggS-data"
    assert "Authorization" not in http.requests[2].headers


async def test_other_hosts_of_twilio_are_not_asked_with_the_credential_by_redirect() -> None:
    """It stays where it was sent to first."""
    http, twilio = client(redirect("https://api.dublin.ie1.twilio.com/x"), file())
    await twilio.download_media(FILE)
    assert "Authorization" not in http.requests[1].headers
    http, twilio = client(redirect(f"{FILE}2"), redirect(), file())
    await twilio.download_media(FILE)
    assert ["Authorization" in each.headers for each in http.requests] == [True, True, False]


async def test_redirects_end() -> None:
    """Round in a circle, or ever onwards: refused, not followed."""
    http, twilio = client(lambda request: redirect(FILE))
    with pytest.raises(RemoteProtocolError, match="round"):
        await twilio.download_media(FILE)
    assert len(http.requests) == 1
    http, twilio = client(lambda request: redirect(f"{request.url}x"))
    with pytest.raises(RemoteProtocolError, match="round"):
        await twilio.download_media(FILE)
    assert len(http.requests) <= 4


async def test_a_length_that_nobody_can_count_to() -> None:
    """More digits than Python converts: a file that is too large, as any other."""
    headers = {"Content-Type": "audio/ogg", "Content-Length": "9" * 5000}
    _, twilio = client(Answer(headers=headers, chunks=[b"x"]))
    with pytest.raises(LocalProtocolError, match="max_bytes"):
        await twilio.download_media(FILE)


@pytest.mark.parametrize("told", [True, False])
async def test_a_file_that_is_too_large(told: bool) -> None:
    """Refused before it is read where its size is told, else at the bound; never repeated."""
    headers = {"Content-Type": "audio/ogg", **({"Content-Length": "40"} if told else {})}
    large = Answer(headers=headers, chunks=[b"x" * 10] * 4)
    http, twilio = client(*[large] * 4, media={"max_bytes": 25})
    with pytest.raises(LocalProtocolError, match="max_bytes=25"):
        await twilio.download_media(FILE)
    if told:
        with pytest.raises(LocalProtocolError):
            await twilio.stream_media(FILE)
    else:
        stream = twilio.stream_media(FILE)
        with pytest.raises(StreamInterruptedError):
            await read(stream)
        assert stream.delivered_bytes == 20
    assert len(http.requests) == 2


@pytest.mark.parametrize(
    "answers",
    [
        file(b""),
        file(**{"Content-Type": "text/html"}),
        file(**{"Content-Encoding": "gzip"}),
        Answer(headers={"Content-Type": "audio/ogg"}, chunks=[b"Ogg"], delimited=False),
        Answer(status=204),
    ],
)
async def test_what_is_no_file(answers: Answer) -> None:
    """A page, nothing, an end that proves nothing: a typed error, never a short file."""
    _http, twilio = client(*[answers] * 8)
    ref = MediaRef(url=FILE, content_type="audio/ogg")
    with no_waits(), pytest.raises((RemoteProtocolError, ConnectionLostError)):
        await twilio.download_media(ref)


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "application/json"])
async def test_a_page_is_no_file_unless_it_was_expected(kind: str) -> None:
    """Also where nobody said what to expect: by its address alone, or by a reference of no type."""
    page = file(b"<html>", **{"Content-Type": kind})
    for ref in (FILE, MediaRef(url=FILE), MediaRef(url=FILE, content_type="audio/ogg")):
        _http, twilio = client(*[page] * 8)
        with no_waits(), pytest.raises(RemoteProtocolError):
            await twilio.download_media(ref)
        with no_waits(), pytest.raises(RemoteProtocolError):
            await twilio.stream_media(ref)
    _http, twilio = client(page)
    media = await twilio.download_media(MediaRef(url=FILE, content_type=kind))
    assert (bytes(media), media.content_type) == (b"<html>", kind)


async def test_types_come_through() -> None:
    """With parameters; the message's word where the store has none."""
    for said, expected in (
        ("audio/ogg; codecs=opus",) * 2,
        ("binary/octet-stream",) * 2,
        ("application/octet-stream", "audio/amr"),
        ("", "audio/amr"),
    ):
        headers = {"Content-Type": said} if said else {}
        _http, twilio = client(Answer(headers=headers, chunks=[b"a"]))
        media = await twilio.download_media(MediaRef(url=FILE, content_type="audio/amr"))
        assert media.content_type == expected


async def test_a_stream_of_a_file() -> None:
    """No request before it is opened; bytes as they come; the same rules."""
    http, twilio = client(refused(20404, 404), redirect(), file())
    stream = twilio.stream_media(MediaRef(url=FILE, content_type="audio/amr"))
    assert http.requests == []
    assert (stream.content_type, stream.size) == ("audio/amr", None)
    with no_waits():
        async with stream:
            assert (stream.content_type, stream.size) == ("audio/ogg", 9)
            assert [bytes(each) async for each in stream] == [b"OggS", b"-data"]
    assert (stream.delivered_bytes, stream.request_id, stream.attempts) == (9, "RQ01", 2)
    assert stream.ended
    _http, twilio = client(lambda _request: answer({"code": 1}, 500))
    with no_waits(), pytest.raises(UnavailableError):
        await twilio.stream_media(FILE)
