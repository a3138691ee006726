"""Every status that an emulator can be told to answer with, and what a plain client makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from voicekit import AudioClip, AudioFormat, DeepgramClient, ElevenLabsClient, OpenAIClient
from voicekit.emulator import Emulator, Fault
from voicekit.errors import (
    AuthenticationError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    RateLimitError,
    UnavailableError,
)
from voicekit.resilience import no_waits

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]

CLIP = AudioClip(data=bytes(3200), format=AudioFormat.parse("pcm_16000"))
CALLS: dict[str, tuple[Any, Any]] = {
    "elevenlabs": (ElevenLabsClient, lambda client: client.synthesize("Hi.", voice="v")),
    "deepgram": (DeepgramClient, lambda client: client.transcribe(CLIP)),
    "openai": (OpenAIClient, lambda client: client.chat("hi", model="gpt-5.5")),
}
KINDS: dict[type[ProviderError], tuple[int, ...]] = {
    InvalidRequestError: (400, 404, 409, 411, 413, 414, 415, 422),
    AuthenticationError: (401, 403),
    QuotaError: (402,),
    RateLimitError: (429,),
    UnavailableError: (408, 425, 500, 502, 503, 504, 529),
}
EXPECTED = {status: kind for kind, statuses in KINDS.items() for status in statuses}
LOCKED = {("openai", 409): UnavailableError}
"""Another request holds it; the vendor's own SDK asks again."""


@pytest.mark.parametrize("provider", CALLS)
async def test_a_status_is_what_the_sheet_says(provider: str) -> None:
    """One class for each; what would be refused again is asked once, the rest repeated."""
    kind, ask = CALLS[provider]
    async with Emulator(providers=(provider,), scenario="instant") as world:
        url = getattr(world, provider).url
        for status, usual in EXPECTED.items():
            expected = LOCKED.get((provider, status), usual)
            world.inject(provider, Fault("status", status=status, times=9))
            before = len(world.journal.requests_for(provider))
            async with kind("key", base_url=url) as client:
                with no_waits(), pytest.raises(ProviderError) as caught:
                    await ask(client)
            asked = len(world.journal.requests_for(provider)) - before
            error = caught.value
            again = expected in (UnavailableError, RateLimitError)
            assert type(error) is expected, status
            assert (error.retryable, asked > 1) == (again, again), status
            assert status >= 499 or "internal" not in (error.code or "").lower(), status
            world.clear_faults(provider)


async def test_a_schema_failure_has_the_vendors_list() -> None:
    """An injected 422 of ElevenLabs' names the field, as a real one does."""
    async with Emulator(providers=("elevenlabs",), scenario="instant") as world:
        world.inject("elevenlabs", Fault("status", status=422))
        async with ElevenLabsClient("key", base_url=world.elevenlabs.url, voice="v") as tts:
            with pytest.raises(InvalidRequestError) as caught:
                await tts.synthesize("Hi.")
        error = caught.value
        assert (error.code, error.param, error.detail) == ("missing", "text", "Field required")
