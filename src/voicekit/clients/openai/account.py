"""Where an operation is, and as whom it is asked: what every request shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from voicekit import __version__
from voicekit.transport.messages import Request, merge_headers

if TYPE_CHECKING:
    from voicekit.transport.messages import Upload

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"


class Account:
    """Addresses and credentials, in the vendor's own manner; a variant has another."""

    __slots__ = ("base_url", "chosen")

    agent: ClassVar[str] = f"voicekit/{__version__}"

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        self.base_url = base_url
        self.chosen = headers

    def url(self, path: str, model: str, query: str) -> str:  # noqa: ARG002 - a variant's path holds it
        """The address of an operation."""
        return f"{self.base_url}{path}?{query}" if query else self.base_url + path

    def credential(self, key: str) -> dict[str, str]:
        """The headers that say who asks, in a new dict."""
        return {"Authorization": f"Bearer {key}"}

    def request(
        self,
        key: str,
        path: str,
        *,
        model: str = "",
        method: str = "POST",
        accept: str = JSON,
        content_type: str | None = JSON,
        body: bytes | Upload | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """One HTTP request; the caller's own headers stand over ours in any case of letters."""
        ours = self.credential(key)
        if content_type is not None:
            ours["Content-Type"] = content_type
        ours["Accept"] = accept
        ours["Accept-Encoding"] = "identity"  # A compressed stream comes late and costs CPU.
        ours["User-Agent"] = self.agent
        ours.update(self.chosen)
        url = self.url(path, model, query)
        return Request(method, url, merge_headers(ours, headers), body)
