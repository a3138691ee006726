"""What the handles of members say: who opened, and everything that its own handle says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from voicekit.timing import ConnectionInfo, Timings

if TYPE_CHECKING:
    from voicekit.errors import VoicekitError
    from voicekit.resilience.members.trail import Trail


class FromMember:
    """Mixed in before the handle's kind, whose evidence it takes from the member's own handle.

    What only that member's handles have is found here as well, once one is open.
    """

    _inner: Any = None
    _trail: Trail[Any]
    _cancelled: bool
    _ended: bool

    @property
    def member(self) -> str | None:
        """Who has it; None before it is open. A member of a member stands behind a slash."""
        if self._trail.member is None:
            return None
        below = getattr(self._inner, "member", None)
        name = self._trail.member.name
        return f"{name}/{below}" if isinstance(below, str) else name

    @property
    def errors(self) -> Mapping[str, VoicekitError]:
        """Why other members failed, by name."""
        return dict(self._trail.errors)

    def _of(self, name: str, otherwise: Any) -> Any:
        return otherwise if self._inner is None else getattr(self._inner, name, otherwise)

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel()`` ended it."""
        return bool(self._of("cancelled", self._cancelled))

    @property
    def ended(self) -> bool:
        """Whether everything was handed out, so that iterating would only stop."""
        return bool(self._of("ended", self._ended))

    @property
    def timings(self) -> Timings:
        """Where the time has gone, members that failed included."""
        timings: Timings = self._of("timings", Timings())
        first, total, before = timings.first_output, timings.total, self._trail.before_s
        return replace(
            timings,
            first_output=None if first is None else first + before,
            total=None if total is None else total + before,
        )

    @property
    def connection(self) -> ConnectionInfo | None:
        """Which connection carries it."""
        return cast("ConnectionInfo | None", self._of("connection", None))

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request or session, when it gives one."""
        return cast("str | None", self._of("request_id", None))

    @property
    def attempts(self) -> int:
        """How often it was put on a wire, at all members together."""
        return self._trail.attempts_before + int(self._of("attempts", 0))

    @property
    def cache(self) -> str | None:
        """``"hit"`` or ``"joined"`` when the member is a cache that had it, else None."""
        return cast("str | None", self._of("cache", None))

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the response, or of the handshake; empty before it is open."""
        return cast("Mapping[str, str]", self._of("headers", {}))

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__.get("_inner")
        if inner is None or name.startswith("_"):
            msg = f"{type(self).__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(inner, name)
