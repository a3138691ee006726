"""Voices, models and the user: values, pages, evidence, and every way in which they go wrong."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from speaking import KEY, VOICE, right, speaking

from fault_limits import limits_for
from settling import call_tasks, eventually
from voicekit.clients.elevenlabs import VoiceSettings
from voicekit.clients.pages import Page
from voicekit.emulator import Fault
from voicekit.errors import (
    AuthenticationError,
    ClosedError,
    ConnectionLostError,
    FirstOutputTimeout,
    InvalidArgumentError,
    InvalidRequestError,
    RateLimitError,
    RemoteProtocolError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)
from voicekit.operation import Limits
from voicekit.resilience import NO_POLICIES

pytestmark = [pytest.mark.anyio, pytest.mark.emulated]


async def all_of(pages: Any) -> list[Any]:
    return [each async for each in pages]


async def test_all_voices_page_by_page() -> None:
    """``await`` is one request and one page; ``async for`` goes through all of them."""
    async with speaking() as (world, tts):
        page = await tts.voices()
        assert isinstance(page, Page)
        assert (len(page), page.total) == (10, None)
        assert page[0].id == VOICE
        assert page.next
        assert page.request_id == "req_000000000001"
        assert page.connection is not None
        assert page.timings is not None
        assert page.timings.total is not None
        assert page.headers["x-region"] == "us-central1"
        assert page.raw["has_more"] is True
        names = [voice.name async for voice in tts.voices()]
        assert len(names) == len(set(names)) == 25
        queries = [record.query for record in world.journal.requests_for("elevenlabs", "voices")]
        assert len(queries) == 4
        assert queries[0] == {"include_total_count": ["false"]}
        assert queries[2]["next_page_token"] == [page.next]
        assert len(world.connections("elevenlabs")) == 1


async def test_filters_reach_the_wire() -> None:
    """Each under its own name, on every page."""
    filters: dict[str, Any] = {
        "search": "clone",
        "page_size": 9,
        "sort": "name",
        "sort_direction": "desc",
        "voice_type": "personal",
        "category": "cloned",
        "fine_tuning_state": "fine_tuned",
        "collection_id": "c",
        "gender": "female",
        "age": "young",
        "language": "en",
        "accent": "irish",
        "use_cases": ["a", "b"],
        "min_notice_period_days": 30,
        "include_custom_rates": True,
        "include_live_moderated": False,
        "high_quality": True,
        "include_total_count": True,
    }
    async with speaking() as (world, tts):
        pages = [page async for page in tts.voices(**filters).pages()]
        assert [len(page) for page in pages] == [9, 9, 5]
        assert [page.total for page in pages] == [23, 23, 23]
        assert pages[0][0].name == "Clone 23"
        for record in world.journal.requests_for("elevenlabs", "voices"):
            query = {name: values for name, values in record.query.items() if name in filters}
            assert query == {
                name: [str(each).lower() if isinstance(each, bool) else str(each)]
                if not isinstance(each, list)
                else each
                for name, each in filters.items()
            }
        two = await tts.voices(voice_ids=[VOICE, pages[0][0].id])
        assert {voice.id for voice in two} == {VOICE, pages[0][0].id}
        assert two.next is None


async def test_one_voice_and_its_settings() -> None:
    """As values that go back into a request as they are."""
    async with speaking() as (world, tts):
        voice = await tts.voice(VOICE)
        assert (voice.name, voice.category) == ("Rachel", "premade")
        assert voice.settings == VoiceSettings(
            stability=0.5, similarity_boost=0.75, style=0, use_speaker_boost=True, speed=1.0
        )
        assert voice.high_quality_models == ("eleven_flash_v2_5",)
        assert voice.raw["voice_id"] == VOICE
        assert voice.request_id
        assert voice.timings is not None
        settings = await tts.voice_settings(VOICE)
        assert settings == voice.settings == await tts.voice_settings()
        assert settings.raw == voice.raw["settings"] == voice.settings.raw
        assert settings.headers["request-id"] == settings.request_id == "req_000000000002"
        assert (settings.attempts, settings.hedged) == (1, False)
        assert settings.timings is not None
        assert settings.connection is not None
        clip = await tts.synthesize("Hello.", voice=voice.id, voice_settings=settings)
        assert right(clip.data, "Hello.")
        (spoken,) = world.journal.requests_for("elevenlabs", "speech.stream")
        assert json.loads(spoken.body)["voice_settings"] == settings.raw
        await tts.voice("a/b c")
        paths = [record.path for record in world.journal.requests_for("elevenlabs")]
        assert paths[:3] == [
            f"/v1/voices/{VOICE}",
            f"/v1/voices/{VOICE}/settings",
            "/v1/voices/settings/default",
        ]
        with pytest.raises(InvalidRequestError) as caught:
            await tts.voice("no-such-voice")
        assert caught.value.code == "voice_not_found"


async def test_models_user_and_subscription() -> None:
    """Each as a value of its own, with what the vendor sent beside it."""
    async with speaking() as (_, tts):
        models = await tts.models()
        flash = next(model for model in models if model.id == "eleven_flash_v2_5")
        assert (flash.max_characters, flash.concurrency_group) == (40_000, "turbo")
        assert flash.speaks
        assert flash.character_cost == 0.5
        assert "en" in flash.languages
        assert models.request_id
        user = await tts.user()
        assert user.id == "u1"
        assert user.subscription is not None
        assert user.subscription.tier == "creator"
        assert user.timings is not None
        subscription = await tts.subscription()
        assert subscription.characters_left == 99_900
        assert subscription == user.subscription, "evidence is no part of what it is"
        assert subscription.raw["currency"] == "usd"


async def test_the_extras_of_the_client_go_with_them() -> None:
    """Flat extras with every request; those of ``account=`` and of a call on top."""
    async with speaking(
        extra_headers={"X-A": "1"}, extra_query={"q": "1"}, account={"extra_headers": {"X-B": "2"}}
    ) as (world, tts):
        await tts.voices(extra_query={"r": "2"}, extra_headers={"x-a": "3"})
        await tts.models()
        await tts.with_options(account={"extra_query": {"s": "4"}}).user()
        first, second, third = world.journal.requests
        assert (first.headers["x-a"], first.headers["x-b"]) == ("3", "2")
        assert (first.query["q"], first.query["r"]) == (["1"], ["2"])
        assert (second.headers["x-a"], second.query) == ("1", {"q": ["1"]})
        assert third.query == {"q": ["1"], "s": ["4"]}
        assert "content-type" not in first.headers


CALLS = {
    "voices": lambda tts, **options: all_of(tts.voices(**options)),
    "voice": lambda tts, **options: tts.voice(VOICE, **options),
    "voice_settings": lambda tts, **options: tts.voice_settings(VOICE, **options),
    "models": lambda tts, **options: tts.models(**options),
    "user": lambda tts, **options: tts.user(**options),
    "subscription": lambda tts, **options: tts.subscription(**options),
}
FAULTS: list[tuple[Fault, type[VoicekitError]]] = [
    (Fault("html"), RemoteProtocolError),
    (Fault("half_json"), RemoteProtocolError),
    (Fault("wrong_type"), RemoteProtocolError),
    (Fault("empty"), RemoteProtocolError),
    (Fault("empty", body=b"null"), RemoteProtocolError),
    (Fault("empty", body=b'"text"'), RemoteProtocolError),
    (Fault("empty", body=b"[5]"), RemoteProtocolError),
    (Fault("huge"), RemoteProtocolError),
    (Fault("silence"), FirstOutputTimeout),
    (Fault("stall"), FirstOutputTimeout),
    (Fault("drip", delay=0.02), FirstOutputTimeout),
    (Fault("reset"), ConnectionLostError),
    (Fault("close"), ConnectionLostError),
    (Fault("close", after_bytes=20), ConnectionLostError),
    (Fault("status", status=401), AuthenticationError),
    (Fault("status", status=404), InvalidRequestError),
    (Fault("status", status=429), RateLimitError),
    (Fault("status", status=503), UnavailableError),
    (Fault("status", status=307, body="x"), RemoteProtocolError),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=lambda each: getattr(each, "kind", ""))
@pytest.mark.parametrize("name", CALLS)
async def test_a_bad_server(name: str, fault: Fault, kind: type[VoicekitError]) -> None:
    """A typed error within the limits that names the operation; nothing is left."""
    async with speaking(policies=NO_POLICIES) as (world, tts):
        world.inject("elevenlabs", fault)
        started = time.monotonic()
        with pytest.raises(kind) as caught:
            await CALLS[name](tts, limits=limits_for(fault))
        assert time.monotonic() - started < 5.0
        assert (caught.value.provider, caught.value.operation) == ("elevenlabs", name)
        assert KEY not in str(caught.value) + repr(caught.value)
        await CALLS[name](tts)
        assert await eventually(lambda: not call_tasks())


async def test_two_seconds_in_all() -> None:
    """Small readings, small limits: by the constructor for one, by the call for one."""
    async with speaking(limits={"models": Limits(first_output=1.0, total=0.2)}) as (world, tts):
        world.inject("elevenlabs", Fault("silence"))
        with pytest.raises(TotalTimeout):
            await tts.models()
        world.inject("elevenlabs", Fault("silence"))
        started = time.monotonic()
        with pytest.raises((TotalTimeout, FirstOutputTimeout)):
            await tts.user()
        assert 1.5 < time.monotonic() - started < 3.5


async def test_pages_that_go_round_are_refused() -> None:
    """A server that names an old page again never makes an endless list."""
    page = b'{"voices":[{"voice_id":"v"}],"has_more":true,"next_page_token":"again"}'
    async with speaking() as (world, tts):
        world.inject("elevenlabs", Fault("empty", body=page, times=None))
        seen = []

        async def read() -> None:
            async for voice in tts.voices():
                seen.append(voice.id)

        with pytest.raises(RemoteProtocolError, match="circle"):
            await read()
        assert seen == ["v", "v"]


async def test_a_later_page_that_fails() -> None:
    """What came before it was handed out; the error is the page's own."""
    async with speaking(policies=NO_POLICIES) as (world, tts):
        seen: list[Any] = []

        async def read() -> None:
            async for voice in tts.voices():
                seen.append(voice)
                if len(seen) == 10:
                    world.inject("elevenlabs", Fault("status", status=503))

        with pytest.raises(UnavailableError):
            await read()
        assert len(seen) == 10


async def test_unknown_and_missing_fields() -> None:
    """What is new is in ``raw``, what is missing is None: never an error."""
    body = (
        b'{"voices":[{"voice_id":"v","name":5,"labels":{"a":"b","c":7},"settings":{"stability":9,'
        b'"speed":1.1,"new":1},"verified_languages":[{"language":"en"},5],"future":{"x":1}}],'
        b'"has_more":true,"next_page_token":null}'
    )
    async with speaking() as (world, tts):
        world.inject("elevenlabs", Fault("empty", body=body))
        (voice,) = await all_of(tts.voices())
        assert (voice.id, voice.name, voice.labels) == ("v", "", {"a": "b"})
        assert voice.settings == VoiceSettings(speed=1.1)
        assert voice.languages == ("en",)
        assert voice.raw["future"] == {"x": 1}
        world.inject("elevenlabs", Fault("empty", body=b'[{"model_id":"m","languages":null}]'))
        (model,) = await tts.models()
        assert (model.id, model.max_characters, model.speaks) == ("m", None, False)
        secret = b'{"user_id":"u","xi_api_key":"marked-secret","xi_api_key_preview":"arked"}'
        world.inject("elevenlabs", Fault("empty", body=secret))
        user = await tts.user()
        assert user.subscription is None
        assert "arked" not in repr(user) + repr(user.raw)


@pytest.mark.parametrize(
    ("filters", "argument"),
    [
        ({"page_size": 0}, "page_size"),
        ({"page_size": 101}, "page_size"),
        ({"sort_direction": "up"}, "sort_direction"),
        ({"search": ""}, "search"),
        ({"voice_ids": ["v"] * 101}, "voice_ids"),
        ({"voice_ids": "v"}, "voice_ids"),
        ({"use_cases": [1]}, "use_cases"),
        ({"min_notice_period_days": -1}, "min_notice_period_days"),
        ({"high_quality": 1}, "high_quality"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_bad_filter_is_named(filters: dict[str, Any], argument: str) -> None:
    """At once, before any I/O."""
    async with speaking() as (world, tts):
        with pytest.raises(InvalidArgumentError) as caught:
            tts.voices(**filters)
        assert caught.value.argument == argument
        assert world.journal.requests == []


async def test_a_voice_has_an_id() -> None:
    """An empty one would be another endpoint."""
    async with speaking() as (world, tts):
        for call in (tts.voice, tts.voice_settings):
            with pytest.raises(InvalidArgumentError) as caught:
                await call("")
            assert caught.value.argument == "voice_id"
        assert world.journal.requests == []


@pytest.mark.parametrize("name", CALLS)
async def test_cancelled_after_k_steps(name: str) -> None:
    """For growing k until it completes: nothing left, and the next one is right."""
    async with speaking() as (_, tts):
        step = completed = 0
        while completed < 3:
            task = asyncio.create_task(CALLS[name](tts))
            for _ in range(step):
                if task.done():
                    break
                await asyncio.sleep(0)
            step += 1
            if task.done():
                completed += 1
                await task
                continue
            completed = 0
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await CALLS[name](tts)
        assert await eventually(lambda: not call_tasks())


async def test_a_closed_client() -> None:
    """Says so."""
    async with speaking() as (_, tts):
        await tts.aclose()
        for call in CALLS.values():
            with pytest.raises(ClosedError):
                await call(tts)


async def test_another_task_reads_on() -> None:
    """Nothing is open between two pages, so they may come in different tasks."""
    async with speaking() as (_, tts):
        voices = tts.voices().__aiter__()
        names = [await asyncio.create_task(anext(voices)) for _ in range(12)]
        assert len({voice.id for voice in names}) == 12
        assert repr(tts.voices()) == "<Pages>"


async def test_over_tls() -> None:
    """The same over TLS."""
    pytest.importorskip("trustme")
    async with speaking(emulator={"tls": True}) as (_, tts):
        assert (await tts.user()).id == "u1"
