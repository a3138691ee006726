"""A body of raw audio: what passes for it, what does not, and how it may end."""

from __future__ import annotations

import json

import pytest

from voicekit.clients.audio_body import AudioDecoder, most_bytes
from voicekit.clients.openai.errors import error_of
from voicekit.errors import (
    ConnectionLostError,
    QuotaError,
    RemoteProtocolError,
    UnavailableError,
    VoicekitError,
)
from voicekit.speech import AudioFormat
from voicekit.wire.wav import wav_header

PCM = AudioFormat.parse("pcm_24000")
SOUND = bytes(range(256)) * 4


def decoder(name: str = "pcm_24000", kind: str | None = None, **more: object) -> AudioDecoder:
    headers = {} if kind is None else {"Content-Type": kind}
    most = more.pop("most", 1 << 20)
    return AudioDecoder(
        AudioFormat.parse(name),
        {**headers, **more},  # type: ignore[dict-item]
        most=most,  # type: ignore[arg-type]
        error_of=error_of,
    )


def read(body: bytes, name: str = "pcm_24000", kind: str | None = None) -> bytes:
    reading = decoder(name, kind)
    return b"".join([*reading.feed(body), *reading.eof(delimited=True)])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pcm_24000", None),
        ("pcm_24000", "audio/pcm"),
        ("pcm_24000", "audio/pcm;rate=24000;channels=1"),
        ("pcm_24000", "audio/L16"),
        ("pcm_24000", "application/octet-stream"),
        ("pcm_24000", "audio/something-new"),
        ("mp3", "audio/mpeg"),
        ("mp3", "audio/mp3"),
        ("flac", "audio/x-flac"),
        ("ogg_opus", "audio/opus"),
        ("ogg_opus", "audio/ogg; codecs=opus"),
        ("aac", "audio/aac"),
    ],
)
def test_types_that_may_be_the_audio(name, kind) -> None:
    """None at all, bytes, the format's own, and what nobody knows."""
    assert read(SOUND, name, kind) == SOUND


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pcm_24000", "text/html"),
        ("pcm_24000", "text/event-stream"),
        ("pcm_24000", "application/xml"),
        ("pcm_24000", "application/x-unexpected"),
        # To whoever plays it as samples, this would be noise.
        ("pcm_24000", "audio/mpeg"),
        ("pcm_24000", "audio/wav"),
        ("mp3", "audio/wav"),
        ("wav_24000", "audio/pcm"),
    ],
)
def test_types_that_cannot_be_the_audio(name, kind) -> None:
    """Refused before a byte is played."""
    with pytest.raises(RemoteProtocolError, match="the answer is"):
        decoder(name, kind)


def test_a_compressed_answer_is_refused() -> None:
    """We never ask for one."""
    with pytest.raises(RemoteProtocolError, match="compressed"):
        decoder(**{"Content-Encoding": "gzip"})


@pytest.mark.parametrize("kind", ["application/json", None, "audio/pcm"])
@pytest.mark.parametrize("spaces", [None, 2])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_error_in_audios_place_is_that_error(kind, spaces, size) -> None:
    """Whatever its type says, and however it is cut."""
    value = {"error": {"message": "no credit", "type": "insufficient_quota", "code": None}}
    body = json.dumps(value, indent=spaces).encode()
    reading = decoder(kind=kind)
    for at in range(0, len(body), size):
        assert not list(reading.feed(body[at : at + size]))
    with pytest.raises(QuotaError):
        reading.eof(delimited=True)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"detail":{"error":"validation_error"}}', UnavailableError),  # of no known type
        (b'{"error": {"mess', RemoteProtocolError),
        (b"<!DOCTYPE html><title>Sign in", RemoteProtocolError),
        (b"<html>", RemoteProtocolError),
        (b'data: {"type":"speech.audio.delta"}\r\n\r\n', RemoteProtocolError),
        (b"", RemoteProtocolError),
        (b"\x00", ConnectionLostError),
        (bytes(481), ConnectionLostError),
    ],
)
def test_bodies_that_are_no_audio(body, error) -> None:
    """A document, events nobody asked for, nothing, half a sample."""
    with pytest.raises(VoicekitError) as caught:
        read(body)
    assert type(caught.value) is error


def test_a_long_document_is_not_kept() -> None:
    """What claims to be an error and does not end is a fault of the server."""
    reading = decoder(kind="application/json")
    with pytest.raises(RemoteProtocolError, match="document"):
        _ = [reading.feed(b" " * 1024) for _ in range(80)]


def test_too_much_audio_is_refused() -> None:
    """Speech of a text has an end."""
    reading = decoder(most=1000)
    list(reading.feed(bytes(1000)))
    with pytest.raises(RemoteProtocolError, match="more audio"):
        reading.feed(bytes(2))


def test_an_end_without_a_framing_is_no_end() -> None:
    """A connection that dropped would pass for one."""
    reading = decoder()
    list(reading.feed(SOUND))
    with pytest.raises(ConnectionLostError):
        reading.eof(delimited=False)


def test_progress_is_ten_milliseconds_of_sound() -> None:
    """A drip does not count, nor does a WAV's header."""
    reading = decoder()
    reading.feed(bytes(478))
    assert reading.progress == 0
    reading.feed(bytes(2))
    assert reading.progress == 1
    wav = decoder("wav_24000", "audio/wav")
    header = wav_header(PCM, None)
    assert len(header) == 44
    wav.feed(header + bytes(478))
    assert wav.progress == 0
    wav.feed(bytes(2))
    assert wav.progress == 1


@pytest.mark.parametrize("header", [44, 78])
def test_a_wav_comes_as_it_is(header) -> None:
    """Header included, however long it is, and odd sizes in it are nobody's business here."""
    body = wav_header(PCM, None)
    if header == 78:  # as a server writes it that adds a list
        body = body[:36] + b"LIST" + (26).to_bytes(4, "little") + bytes(26) + body[36:]
    assert len(body) == header
    assert read(body + SOUND, "wav_24000", "audio/wav") == body + SOUND


def test_a_wav_without_sound_is_no_audio() -> None:
    """A header and its end."""
    with pytest.raises(RemoteProtocolError, match="no audio"):
        read(wav_header(PCM, None), "wav_24000", "audio/wav")


def test_the_bound_grows_with_the_text() -> None:
    """A minute, and a second per character, at the format's rate."""
    assert most_bytes(PCM, 0) == 60 * 48_000
    assert most_bytes(PCM, 100) == 160 * 48_000
    assert most_bytes(AudioFormat.parse("ogg_opus"), 0) == 60 * 24_000


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "multipart/form-data", "font/woff2"])
def test_what_can_be_no_audio_is_none_even_where_types_tell_nothing(kind: str) -> None:
    """A provider may say what it likes about its audio, but not that it is a picture."""
    with pytest.raises(RemoteProtocolError, match=kind):
        AudioDecoder(PCM, {"Content-Type": kind}, most=1 << 20, error_of=error_of, type_tells=False)
