"""Voices, models and the user, a part of ``ElevenLabsClient``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, cast

from voicekit.checks import text
from voicekit.clients.elevenlabs.account_options import (
    AccountOptions,
    AccountSettings,
    VoiceFilters,
    VoiceListSettings,
)
from voicekit.clients.elevenlabs.authorized import Authorized
from voicekit.clients.elevenlabs.errors import DIALECT, PROVIDER
from voicekit.clients.elevenlabs.protocol import http_headers
from voicekit.clients.execute import fetch
from voicekit.clients.pages import Page, Pages
from voicekit.clients.refusals import body_of
from voicekit.clients.urls import segment_of
from voicekit.errors import RemoteProtocolError
from voicekit.operation import Limits, Operation, OperationClass
from voicekit.transport.messages import Request

if TYPE_CHECKING:
    from voicekit.clients.elevenlabs.catalogue import Model, Subscription, User, Voice
    from voicekit.clients.elevenlabs.voice_settings import VoiceSettings
    from voicekit.transport.interfaces import Response

T = TypeVar("T")

_LIMITS: Final = Limits(connect=1.0, first_output=2.0, total=2.0)


def _reading(name: str) -> Operation:
    return Operation(
        provider=PROVIDER, name=name, kind=OperationClass.PURE, limits=_LIMITS, repeats=1
    )


VOICES: Final = _reading("voices")
VOICE: Final = _reading("voice")
VOICE_SETTINGS: Final = _reading("voice_settings")
MODELS: Final = _reading("models")
USER: Final = _reading("user")
SUBSCRIPTION: Final = _reading("subscription")


class Account(Authorized):
    """What an account has. Each limited to 2 s in all; cancelling frees the connection at once.

    All of them raise ``InvalidArgumentError`` before any I/O, ``AuthenticationError`` for a
    wrong key, ``InvalidRequestError`` for what is not there, and the other errors of
    ``voicekit.errors``.
    """

    def voices(self, **filters: Unpack[VoiceFilters]) -> Pages[Voice]:
        """The account's voices: ``await`` for the first page, ``async for`` for all.

        Raises:
            InvalidArgumentError: A filter makes no sense; everything else is raised by
                the handle.
        """
        family = self._family(AccountSettings)
        common = {"extra_query": family.extra_query, "extra_headers": family.extra_headers}
        settings = VoiceListSettings().updated(common).updated(filters)
        return Pages(partial(self._page, settings))

    async def voice(self, voice_id: str, /, **options: Unpack[AccountOptions]) -> Voice:
        """One voice.

        Raises:
            InvalidRequestError: There is none with that id.
        """
        from voicekit.clients.elevenlabs.catalogue import Voice

        path = f"/v1/voices/{segment_of('voice_id', text('voice_id', voice_id))}"
        return await self._read(VOICE, path, Voice.read, options)

    async def voice_settings(
        self, voice_id: str | None = None, /, **options: Unpack[AccountOptions]
    ) -> VoiceSettings:
        """How a voice speaks where a request says nothing else.

        Args:
            voice_id: Of the voice; None for the settings of voices that have none.
            **options: Of this call.

        Raises:
            InvalidRequestError: There is no voice with that id.
        """
        from voicekit.clients.elevenlabs.catalogue import settings_of

        path = "/v1/voices/settings/default"
        if voice_id is not None:
            path = f"/v1/voices/{segment_of('voice_id', text('voice_id', voice_id))}/settings"
        return await self._read(VOICE_SETTINGS, path, settings_of, options)

    async def models(self, **options: Unpack[AccountOptions]) -> Page[Model]:
        """All models, on one page."""
        return await self._read(MODELS, "/v1/models", _models, options)

    async def user(self, **options: Unpack[AccountOptions]) -> User:
        """Whose key it is."""
        from voicekit.clients.elevenlabs.catalogue import User

        return await self._read(USER, "/v1/user", User.read, options)

    async def subscription(self, **options: Unpack[AccountOptions]) -> Subscription:
        """What the account has paid for, and what it has used of it."""
        from voicekit.clients.elevenlabs.catalogue import Subscription

        return await self._read(SUBSCRIPTION, "/v1/user/subscription", Subscription.read, options)

    async def _page(self, settings: VoiceListSettings, token: str | None) -> Page[Voice]:
        target = settings.page("/v2/voices", token)
        return await self._get(VOICES, settings, target, _voices)

    async def _read(
        self,
        operation: Operation,
        path: str,
        read: Callable[..., T],
        options: Mapping[str, Any],
    ) -> T:
        settings = self._family(AccountSettings).updated(options)
        return await self._get(operation, settings, settings.target(path), read)

    async def _get(
        self,
        operation: Operation,
        settings: AccountSettings,
        target: str,
        read: Callable[..., T],
    ) -> T:
        call = self._call(operation, settings)

        def parse(body: bytes, response: Response) -> T:
            value = body_of(body)
            if value is None:
                raise RemoteProtocolError("the answer is no JSON")
            return read(value, headers=response.headers)

        async def prepare() -> Request:
            key = await self._credential.get()
            headers = http_headers(key, settings.extra_headers, content_type=None)
            return Request("GET", self.base_url + target, headers)

        result: Any = await fetch(self.transport, call, prepare, DIALECT, parse, kinds=("json",))
        return cast("T", replace(result, request_id=call.request_id, **call.evidence()))


def _voices(value: Any, **evidence: Any) -> Page[Voice]:
    from voicekit.clients.elevenlabs.catalogue import Voice

    listed = value.get("voices") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise RemoteProtocolError("the answer holds no list of voices")
    token, total = value.get("next_page_token"), value.get("total_count")
    more = value.get("has_more") is not False and isinstance(token, str) and bool(token)
    return Page(
        items=tuple(map(Voice.read, listed)),
        next=token if more else None,
        total=total if type(total) is int else None,
        raw=value,
        **evidence,
    )


def _models(value: Any, **evidence: Any) -> Page[Model]:
    from voicekit.clients.elevenlabs.catalogue import Model

    if not isinstance(value, list):
        raise RemoteProtocolError("the answer holds no list of models")
    return Page(items=tuple(map(Model.read, value)), raw=value, **evidence)
