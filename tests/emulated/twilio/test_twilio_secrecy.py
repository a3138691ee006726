"""What fails says nothing of who wrote what to whom, nor with which token."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from messaging import BUSINESS, messaging, received

from voicekit import Limits
from voicekit.clients.twilio import Once
from voicekit.emulator import Fault
from voicekit.emulator.endpoints import AUTH_TOKEN
from voicekit.errors import VoicekitError
from voicekit.resilience.waiting import no_waits

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

USER, TEXT = "whatsapp:+390998877665", "quetzalmark " * 200
MARKS = ("0998877665", "quetzalmark", AUTH_TOKEN, "14155238886")
LIMITS = Limits(connect=0.5, first_output=0.2, gap=0.2, total=0.5)


class Seen(list[str]):
    def on_event(self, event: Any, /) -> None:
        self.append(repr(event))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=400, body={"code": 21211, "message": f"Invalid: {USER} {TEXT}"}),
        Fault("status", status=401, body={"code": 20003, "detail": f"no {AUTH_TOKEN}"}),
        Fault("status", status=500, body=f"<html>{USER} {TEXT}"),
        Fault("reset"),
        Fault("half_json"),
        Fault("silence"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
async def test_nothing_is_told(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    """In no message, repr, log or event, of none of the operations."""
    caplog.set_level(logging.DEBUG)
    seen = Seen()
    said: list[str] = []
    async with messaging(observers=[seen]) as (world, twilio):
        message = await received(world, twilio, body=TEXT, from_=USER, media=b"OggS")
        operations: list[Any] = [
            lambda: twilio.send_message(to=USER, from_=BUSINESS, body=TEXT, limits=LIMITS),
            lambda: twilio.place_call(
                to="+390998877665", from_="+14155238886", twiml="<a/>", limits=LIMITS
            ),
            lambda: twilio.messages(to=USER, limits=LIMITS),
            lambda: twilio.fetch_message(message.sid, limits=LIMITS),
            lambda: twilio.download_media(message.media[0], limits=LIMITS),
            lambda: twilio.stream_media(message.media[0], limits=LIMITS),
            lambda: twilio.typing(message.sid, strict=True, limits=LIMITS),
        ]
        for operation in operations:
            twilio.rotate_key(AUTH_TOKEN)
            world.clear_faults()
            world.inject("twilio", Fault(**{**fault.to_json(), "times": None, "headers": ()}))
            with no_waits(), pytest.raises(VoicekitError) as caught:
                await operation()
            error: BaseException | None = caught.value
            while error is not None:
                said += [repr(error), str(error), repr(error.args)]
                said += ["".join(traceback.format_exception_only(error))]
                error = error.__cause__
        async with Once(Kept(), observers=[seen])(message.key) as first:
            said += [repr(first), repr(message), repr(message.media), repr(twilio)]
    said += [record.getMessage() for record in caplog.records if "voicekit" in record.name]
    for mark in MARKS:
        assert not [each for each in [*said, *seen] if mark in each]


class Kept(dict[str, bytes]):
    async def add(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        raise OSError(key)

    async def put(self, key: str, value: bytes, /, *, ttl: float) -> None:
        raise OSError(key)

    async def get(self, key: str, /) -> bytes | None:  # type: ignore[override]
        raise OSError(key)

    async def delete(self, key: str, /) -> bool:
        raise OSError(key)

    def stats(self) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass
