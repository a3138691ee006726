"""The list of models, a part of ``OpenAIClient``.

Source: OpenAI fact sheet of 2026-11, §8 (SDK openai 3.52.0, recorded traffic).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, Unpack

from voicekit import checks
from voicekit.clients.base import CallOptions, Extras
from voicekit.clients.execute import fetch_json
from voicekit.clients.openai.authorized import Authorized
from voicekit.clients.openai.errors import DIALECT, PROVIDER, error_of
from voicekit.clients.openai.protocol import count_of, token_of
from voicekit.clients.pages import Page
from voicekit.clients.record import Record
from voicekit.clients.settings import Settings
from voicekit.clients.urls import query_of, segment_of
from voicekit.errors import RemoteProtocolError
from voicekit.operation import Limits, Operation, OperationClass

if TYPE_CHECKING:
    from voicekit.transport.interfaces import Response

M = TypeVar("M", "Model", Page["Model"])

MODELS_PATH: Final = "/models"

_LIMITS: Final = Limits(connect=1.0, first_output=2.0, total=2.0)

MODELS: Final = Operation(
    provider=PROVIDER, name="models", kind=OperationClass.PURE, limits=_LIMITS, repeats=1
)
MODEL: Final = replace(MODELS, name="model")


class ModelDefaults(Extras, total=False):
    """Options of what is asked about models, in the constructor (under ``models``).

    There are none but the extras; ``extra_body`` has no effect.
    """


class ModelOptions(ModelDefaults, CallOptions, total=False):
    """The same for one call, its limits and its policies."""


class ModelSettings(Settings):
    """Checked options of what is asked about models."""

    purpose = "the list of models"
    option_checks: ClassVar[Mapping[str, checks.Check]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Record):
    """A model.

    Attributes:
        id: For the option ``model``.
        owned_by: Whose it is.
        created_at: Seconds of the Unix clock.
        shutdown_date: The day on which it ends, where one is announced.
    """

    id: str
    owned_by: str | None = None
    created_at: int | None = None
    shutdown_date: dt.date | None = None

    @classmethod
    def read(cls, value: Any) -> Model:
        """The model in a JSON object; fields that are not as documented are None.

        Raises:
            RemoteProtocolError: It is no object with an id.
        """
        name = token_of(value, "id")
        if not name:
            raise RemoteProtocolError("a model has no id")
        return cls(
            id=name,
            owned_by=token_of(value, "owned_by"),
            created_at=count_of(value, "created"),
            shutdown_date=_date(token_of(value, "shutdown_date")),
            raw=value,
        )


class Models(Authorized):
    """What the vendor has. Each limited to 2 s in all; cancelling frees the connection at once.

    Both raise ``AuthenticationError`` for a wrong key and the other errors of
    ``voicekit.errors``; neither counts towards the account's limits.
    """

    async def models(self, **options: Unpack[ModelOptions]) -> Page[Model]:
        """All models that the key may use, on one page.

        It takes the vendor some 350 ms: to open connections, ``warm()`` is cheaper.
        """
        return await self._models(MODELS, MODELS_PATH, _page, options)

    async def model(self, id: str, /, **options: Unpack[ModelOptions]) -> Model:  # noqa: A002
        """One model.

        Raises:
            InvalidRequestError: There is none with that id, or not for this key.
        """
        path = f"{MODELS_PATH}/{segment_of('id', checks.text('id', id))}"
        return await self._models(MODEL, path, Model.read, options)

    async def _models(
        self,
        operation: Operation,
        path: str,
        read: Callable[[Any], M],
        options: Mapping[str, Any],
    ) -> M:
        settings = self._family(ModelSettings).updated(options)
        query = query_of(settings.extra_query)
        call = self._call(operation, settings)

        def parse(value: dict[str, Any], response: Response) -> tuple[M, Response]:
            if value.get("error"):
                raise error_of(value, 200, response.headers)
            return read(value), response

        made, response = await fetch_json(
            self.transport,
            call,
            partial(
                self._prepare,
                path,
                method="GET",
                content_type=None,
                query=query,
                headers=settings.extra_headers,
            ),
            DIALECT,
            parse,
        )
        return replace(
            made,
            request_id=call.request_id,
            headers=response.headers,
            **call.evidence(),
        )


def _page(value: dict[str, Any]) -> Page[Model]:
    data = value.get("data")
    if not isinstance(data, list):
        raise RemoteProtocolError("the answer holds no list of models")
    return Page(items=tuple(Model.read(each) for each in data), raw=value)


def _date(text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        return None
