"""Twilio as users write it. Never run: mypy --strict reads it.

A ``type: ignore`` here is an assertion: strict mode complains of one that is not needed.
"""

from __future__ import annotations

from typing import assert_type

from voicekit import (
    DeepgramClient,
    InboundMessage,
    MessageStatus,
    Once,
    ProviderError,
    Storage,
    Transcript,
    TwilioClient,
    sync,
)
from voicekit.clients.pages import Page
from voicekit.clients.twilio import Media, MediaStream, Message, PhoneCall, SentMessage, twiml


async def conversation(
    twilio: TwilioClient, stt: DeepgramClient, storage: Storage, body: bytes
) -> None:
    came = twilio.parse_webhook("https://a/b", {"X-Twilio-Signature": "…"}, body)
    assert_type(came, InboundMessage | MessageStatus)
    twilio.parse_webhook("https://a/b", [(b"x-twilio-signature", b"x")], body.decode())
    if isinstance(came, MessageStatus):
        assert_type(came.error, ProviderError | None)
        assert_type(came.after(None), str)
        return
    async with Once(storage)(came.token) as first:
        if first:
            media = await twilio.download_media(came.media[0], max_bytes=1)
            assert_type(media, Media)
            assert_type(await stt.transcribe(media), Transcript)
            stream = twilio.stream_media(came.media[0])
            assert_type(stream, MediaStream)
            assert_type(await stt.transcribe(stream), Transcript)
            async for piece in stream:
                assert_type(piece, bytes)
    sent = await twilio.send_message(to=came.from_, body="a", media="https://a/b", from_="+1")
    assert_type(sent, SentMessage)
    assert_type(sent.parts, tuple[SentMessage, ...])
    await twilio.send_message(to="+1", no_such=1)  # type: ignore[call-arg]
    assert_type(await twilio.messages(to="+1"), Page[Message])
    async for message in twilio.messages():
        assert_type(message, Message)
    call = await twilio.place_call(to="+1", twiml=twiml.voice(twiml.say("a")), async_amd=True)
    assert_type(call, PhoneCall)
    assert_type(await twilio.hang_up(call.sid), PhoneCall | None)
    assert_type(await twilio.typing(came.sid), bool)


def blocking(twilio: sync.TwilioClient) -> None:
    assert_type(twilio.send_message(to="+1", body="a"), SentMessage)
    assert_type(twilio.download_media("https://a/b"), Media)
    for message in twilio.messages():
        assert_type(message, Message)
    with twilio.stream_media("https://a/b") as stream:
        for piece in stream:
            assert_type(piece, bytes)


with_defaults = TwilioClient("AC1", "t", from_="+1", calls={"timeout": 20}, media={"fresh": False})
TwilioClient("AC1", "t", calls={"no_such": 1})  # type: ignore[typeddict-unknown-key]
