"""Lists that come in pages, blocking."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from voicekit.clients import pages
from voicekit.errors import ClosedError
from voicekit.sync.delegation import Facade

if TYPE_CHECKING:
    from voicekit.clients.pages import Page
    from voicekit.sync.portal import Portal

T = TypeVar("T")


class Pages(Facade, Generic[T]):
    """See ``voicekit.clients.pages.Pages``: a list that has not been asked for yet.

    Makes no request before ``page()``, which gives the first page, or iteration, which goes
    on through all of them; nothing is open between two of them, so that one may stop anywhere.

    Example:
        >>> page = client.voices().page()
        >>> for voice in client.voices(search="calm"):
        ...     print(voice.name)
    """

    def __init__(self, client: Facade, inner: pages.Pages[T]) -> None:
        self._client = client
        self._inner = inner

    @property
    def _portal(self) -> Portal:
        return self._client._portal

    def page(self) -> Page[T]:
        """The first page.

        Raises:
            VoicekitError: The request failed.
        """

        async def first() -> Page[T]:
            page: Page[T] = await self._inner
            return page

        return self._portal.run(first)

    def __iter__(self) -> Iterator[T]:
        with contextlib.closing(cast("Any", self.pages())) as each:
            for page in each:
                yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """Page after page.

        Raises:
            RemoteProtocolError: A page names itself or an earlier one as the next.
            VoicekitError: A request failed; what came before it was handed out.
        """
        following = cast("AsyncGenerator[Page[T]]", self._inner.pages())

        async def another() -> Page[T] | None:
            return await anext(following, None)

        async def close() -> None:
            await following.aclose()

        try:
            while (page := self._portal.run(another)) is not None:
                yield page
                if page.next is None:
                    return
        finally:
            with contextlib.suppress(ClosedError):  # the client's end was its end
                self._portal.run(close)

    def __repr__(self) -> str:
        return "<blocking Pages>"
