"""Lists that come in pages: one page by ``await``, everything by ``async for``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from voicekit.errors import RemoteProtocolError
from voicekit.speech.evidence import Evidence

if TYPE_CHECKING:
    from voicekit.timing import ConnectionInfo, Timings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Evidence, Generic[T]):
    """Some of a list, with the evidence of how it came about. Iterates over its items.

    Attributes:
        items: What is on it.
        next: Names the page after it; None on the last.
        total: How many there are on all pages, where the provider was asked and says so.
    """

    items: tuple[T, ...]
    next: str | None = None
    total: int | None = None
    timings: Timings | None = field(default=None, compare=False, repr=False)
    connection: ConnectionInfo | None = field(default=None, compare=False, repr=False)
    attempts: int = field(default=0, compare=False, repr=False)
    hedged: bool = field(default=False, compare=False, repr=False)
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    raw: Any = field(default=None, compare=False, repr=False)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> T:
        return self.items[index]


class Pages(Generic[T]):
    """A list that has not been asked for yet.

    Makes no request before it is awaited, which gives the first page, or iterated, which
    goes on through all of them. Each page is a request of its own, with limits of its own;
    nothing is open between two of them, so that one may stop anywhere. May be awaited and
    iterated again, which asks again.

    Args:
        fetch: Asks for the page of that name, None for the first.

    Example:
        >>> page = await client.voices()
        >>> async for voice in client.voices(search="calm"):
        ...     print(voice.name)
    """

    __slots__ = ("_fetch",)

    def __init__(self, fetch: Callable[[str | None], Awaitable[Page[T]]]) -> None:
        self._fetch = fetch

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._fetch(None).__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Page after page.

        Raises:
            RemoteProtocolError: A page names itself or an earlier one as the next.
            VoicekitError: A request failed; what came before it was handed out.
        """
        name: str | None = None
        known: set[str] = set()
        while True:
            page = await self._fetch(name)
            yield page
            name = page.next
            if name is None:
                return
            if name in known:
                raise RemoteProtocolError("the pages of the list go round in a circle")
            known.add(name)

    def __repr__(self) -> str:
        return "<Pages>"
