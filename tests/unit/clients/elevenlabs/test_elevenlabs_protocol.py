"""The HTTP body is audio in whole samples, or a typed error; never something else."""

from __future__ import annotations

import json

import pytest

from voicekit.clients.audio_body import AudioDecoder, most_bytes
from voicekit.clients.elevenlabs import ElevenLabsClient
from voicekit.clients.elevenlabs.protocol import (
    audio_decoder,
    http_headers,
    http_request,
    usage_of,
)
from voicekit.clients.urls import socket_url
from voicekit.errors import (
    ConnectionLostError,
    QuotaError,
    RemoteProtocolError,
    UnavailableError,
    VoicekitError,
)
from voicekit.speech import AudioFormat

PCM = AudioFormat.parse("pcm_24000")


def decoder(name: str = "pcm_24000", **headers: str) -> AudioDecoder:
    plain = {key.replace("_", "-"): value for key, value in headers.items()}
    return audio_decoder(AudioFormat.parse(name), plain, most=1 << 20)


def test_samples_stay_whole() -> None:
    """An odd byte waits for its other half, and a chunk knows its format."""
    read = decoder()
    first = list(read.feed(bytes(range(1, 60))))
    second = list(read.feed(b"\xaa"))
    assert [len(chunk) for chunk in first + second] == [58, 2]
    assert second[0] == b"\x3b\xaa"
    assert second[0].format == PCM


def test_progress_counts_audio_not_bytes() -> None:
    """10 ms make an output (480 bytes here): one byte per second never does."""
    read = decoder()
    for _ in range(479):
        list(read.feed(b"\1"))
    assert read.progress == 0
    list(read.feed(b"\1"))
    assert read.progress == 1
    list(read.feed(b"\1" * 478))
    assert read.progress == 1
    list(read.feed(b"\1" * 5000))
    assert read.progress == 2


def test_the_end() -> None:
    """A framed end after whole samples is the end, asked once or twice."""
    read = decoder()
    list(read.feed(b"\1\2" * 50))
    assert list(read.eof(delimited=True)) == []
    assert read.done
    assert list(read.eof(delimited=True)) == []


def test_short_audio_that_was_held_back_is_delivered() -> None:
    """Fewer bytes than it takes to recognise an error are audio all the same."""
    read = decoder("mulaw_8000")
    assert list(read.feed(b"abc")) == []
    assert [bytes(chunk) for chunk in read.eof(delimited=True)] == [b"abc"]


@pytest.mark.parametrize(
    ("body", "delimited", "kind"),
    [
        (b"", True, RemoteProtocolError),
        (b"\1\2\3" * 33, True, ConnectionLostError),
        (b"\1\2" * 50, False, ConnectionLostError),
        (b"", False, ConnectionLostError),
    ],
)
def test_an_early_end_is_an_error(body: bytes, delimited: bool, kind: type[VoicekitError]) -> None:
    """Nothing at all, half a sample, or an end that nothing proves: never a success."""
    read = decoder()
    if body:
        list(read.feed(body))
    with pytest.raises(kind):
        read.eof(delimited=delimited)
    assert not read.done


@pytest.mark.parametrize("kind", ["text/html", "text/plain; charset=utf-8", "application/xml"])
def test_a_page_is_refused_by_its_type(kind: str) -> None:
    """A proxy's page is known by its headers, before any of it is read."""
    with pytest.raises(RemoteProtocolError, match="type"):
        decoder(Content_Type=kind)


def test_compression_is_refused() -> None:
    """We never ask for it, and a bomb would hide in it."""
    with pytest.raises(RemoteProtocolError, match="compressed"):
        decoder(Content_Encoding="gzip")


@pytest.mark.parametrize("kind", ["", "audio/mpeg", "audio/pcm", "application/octet-stream", "x/y"])
def test_any_other_type_may_be_audio(kind: str) -> None:
    """The vendor documents the type of MP3 only."""
    assert list(decoder(Content_Type=kind).feed(b"\1" * 100))


@pytest.mark.parametrize("kind", ["application/json", "audio/mpeg", ""])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_error_in_place_of_audio_is_mapped(kind: str, size: int) -> None:
    """A 200 whose body is the vendor's error is that error, cut however it may be."""
    body = json.dumps({"detail": {"code": "quota_exceeded", "message": "Words."}})
    body = body.replace(": ", ":", 1)  # as the vendor writes it: {"detail":
    read = decoder(Content_Type=kind)
    for start in range(0, len(body), size):
        assert list(read.feed(body[start : start + size].encode())) == []
    with pytest.raises(QuotaError) as caught:
        read.eof(delimited=True)
    assert caught.value.detail == "Words."
    assert caught.value.status == 200
    assert read.progress == 0


def test_json_that_says_nothing_is_still_no_audio() -> None:
    """Half a document, or one of another kind."""
    half = decoder(Content_Type="application/json")
    list(half.feed(b'{"audio_ba'))
    with pytest.raises(RemoteProtocolError):
        half.eof(delimited=True)
    other = decoder(Content_Type="application/json")
    list(other.feed(b"{}"))
    with pytest.raises(UnavailableError):
        other.eof(delimited=True)


def test_a_page_in_place_of_audio_is_refused() -> None:
    """Also where its type claims to be audio."""
    read = decoder(Content_Type="audio/mpeg")
    list(read.feed(b"<!DOCTYPE html><title>Sign in"))
    with pytest.raises(RemoteProtocolError, match="document"):
        read.eof(delimited=True)


def test_a_huge_document_ends_early() -> None:
    """Memory is bounded: what is no audio is not gathered without end."""
    read = decoder(Content_Type="application/json")
    list(read.feed(b"x" * 65536))
    with pytest.raises(VoicekitError):
        read.feed(b"x")


def test_more_audio_than_the_text_can_take_is_refused() -> None:
    """A body that never ends is no speech: a minute and a second per character is the most."""
    pcm = AudioFormat.parse("pcm_24000")
    most = most_bytes(pcm, 10)
    assert most == 70 * 48_000
    assert most_bytes(AudioFormat.parse("opus_48000_64"), 0) == 60 * 8_000
    read = audio_decoder(pcm, {}, most=1000)
    list(read.feed(b"\1" * 1000))
    with pytest.raises(RemoteProtocolError, match="more audio"):
        read.feed(b"\1\1")


def test_the_request() -> None:
    """Method, address, headers, body: and the key in its header only."""
    tts = ElevenLabsClient("the-key", voice="v")
    headers = http_headers("the-key", {"accept-encoding": "br", "X-More": "1"})
    request = http_request("http://h", tts.request("Hello."), headers)
    assert (request.method, request.url) == (
        "POST",
        "http://h/v1/text-to-speech/v/stream?output_format=pcm_24000",
    )
    assert request.headers == {
        "xi-api-key": "the-key",
        "Content-Type": "application/json",
        "accept-encoding": "br",
        "X-More": "1",
    }
    assert "the-key" not in repr(request)
    assert http_headers("k", {})["Accept-Encoding"] == "identity"


def test_addresses_of_sockets() -> None:
    """Http becomes ws, https wss."""
    assert socket_url("http://h:1", "/x?y") == "ws://h:1/x?y"
    assert socket_url("https://h", "/x") == "wss://h/x"


@pytest.mark.parametrize(
    ("cost", "characters"), [("12", 12), ("", None), ("many", None), ("-1", None), ("1²", None)]
)
def test_usage(cost: str, characters: int | None) -> None:
    """Characters as the vendor counts them, where it says so."""
    usage = usage_of({"character-cost": cost})
    assert (None if usage is None else usage.characters) == characters
