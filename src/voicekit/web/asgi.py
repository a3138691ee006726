"""The little of ASGI that a handful of endpoints need: answers, a token, a table of paths."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from voicekit.asgi import App, Receive, Scope, Send, idle_lifespan
from voicekit.errors import InvalidArgumentError

if TYPE_CHECKING:
    from voicekit.observe.health_check import Health
    from voicekit.observe.metrics import Metrics

__all__ = ["Endpoint", "Endpoints", "Token", "reply"]

_SHORTEST_TOKEN: Final = 8


def header(scope: Scope, name: bytes) -> bytes:
    """The headers of that name, with commas between them."""
    return b",".join(value for key, value in scope.get("headers", ()) if key.lower() == name)


async def reply(
    scope: Scope,
    send: Send,
    status: int,
    body: bytes,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> None:
    """One whole answer, without its body for HEAD; never to be kept by a cache."""
    fields = {
        "content-type": content_type,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **(headers or {}),
    }
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }
    )
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def as_json(value: Any) -> bytes:
    """``value`` as JSON, on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


class Token:
    """What a caller must know: ``Authorization: Bearer …``. Compared in constant time.

    Args:
        token: The secret; at least 8 printable characters, so that an environment variable which
            is not set leaves nothing open. None asks for nothing.

    Raises:
        InvalidArgumentError: It is none.
    """

    __slots__ = ("_expected",)

    def __init__(self, token: str | None) -> None:
        if token is not None and not (
            isinstance(token, str)
            and len(token) >= _SHORTEST_TOKEN
            and token.isascii()
            and token.isprintable()
            and " " not in token
        ):
            raise InvalidArgumentError(  # which does not show it
                "is no secret",
                argument="token",
                allowed=f"≥ {_SHORTEST_TOKEN} printable ASCII characters without spaces, or None",
            )
        self._expected = None if token is None else token.encode()

    def fits(self, scope: Scope) -> bool:
        """Whether the caller knows it, or need not."""
        if self._expected is None:
            return True
        scheme, _, given = header(scope, b"authorization").partition(b" ")
        same = hmac.compare_digest(given.strip(), self._expected)
        return scheme.lower() == b"bearer" and same

    def __repr__(self) -> str:
        return "Token(None)" if self._expected is None else "Token(…)"


class Endpoint:
    """Base of the endpoints: an ASGI application that answers GET and HEAD.

    An object and not a function, since Starlette takes functions for something else.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive  # none of them reads a body
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            msg = f"an endpoint answers HTTP, not {scope['type']!r}"
            raise ValueError(msg)
        if scope["method"] not in {"GET", "HEAD"}:
            await reply(
                scope, send, 405, b'{"error": "GET or HEAD"}', headers={"allow": "GET, HEAD"}
            )
            return
        await self.answer(scope, send)

    async def answer(self, scope: Scope, send: Send) -> None:
        """Answer a GET or a HEAD."""
        raise NotImplementedError


class Endpoints:
    """All of them as one plain ASGI application, for a server of its own or to be mounted.

    Args:
        health: Answers ``/health``; ``/health/live`` answers as long as the process does.
        metrics: Answers ``/metrics``.
        media: An ASGI application for everything under ``/media``, such as ``host.asgi`` of a
            ``MediaHost``.
        token: Opens ``/metrics``, and the details of ``/health``; None leaves both open.

    Raises:
        InvalidArgumentError: ``token`` is none.

    Example:
        >>> app = voicekit.web.Endpoints(health=status, metrics=metrics, token=os.environ["TOKEN"])
        >>> uvicorn.run(app, port=9090)
    """

    def __init__(
        self,
        *,
        health: Health | None = None,
        metrics: Metrics | None = None,
        media: App | None = None,
        token: str | None = None,
    ) -> None:
        from voicekit.web.endpoints import paths_of

        self._paths = paths_of(health=health, metrics=metrics, token=token)
        self._media = media

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one lifespan."""
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        root = scope.get("root_path", "")
        path = scope["path"]
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        endpoint: App | None = self._paths.get(path.rstrip("/") or "/")
        if endpoint is not None:
            await endpoint(scope, receive, send)
        elif self._media is not None and path.startswith("/media/"):
            await self._media({**scope, "root_path": f"{root}/media"}, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await reply(scope, send, 404, b'{"error": "not found"}')
