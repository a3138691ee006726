"""Options of one call, as each member is to have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from voicekit.errors import InvalidArgumentError
from voicekit.events import Observer

Options = Sequence[Mapping[str, Any] | None]
"""What each member gets with every call that does not say otherwise, in their order."""

Table = Mapping[str, Mapping[Any, Sequence[Any]] | Sequence[str | None]]
"""By option: what a value becomes at each member, in their order: another value, or a mapping of
other options; or what the option is called at each, where only the name differs. None: that
member does without."""


class SharedOptions(TypedDict, total=False):
    """What ``fallback`` and ``spread`` both take beside the members."""

    names: Sequence[str] | None
    observers: Sequence[Observer]
    close: bool
    clock: Callable[[], float]


class MemberOptions:
    """Maps a call's options to each member's, by ``Options`` and ``Table``."""

    def __init__(self, names: Sequence[str], options: Options | None, table: Table | None) -> None:
        self._names = names
        self._defaults = [dict(each or {}) for each in self._each("options", options or ())]
        self._table = dict(table or {})
        for name, entry in self._table.items():
            if isinstance(entry, Mapping):
                for value in entry.values():
                    self._each(f"map[{name!r}]", value)
            else:
                self._each(f"map[{name!r}]", entry)

    def _each(self, argument: str, given: Any) -> Sequence[Any]:
        count = len(self._names)
        if argument == "options" and not given:
            return (None,) * count
        if isinstance(given, str | bytes) or not isinstance(given, Sequence) or len(given) != count:
            raise InvalidArgumentError(
                f"got a {type(given).__name__}",
                argument=argument,
                allowed=f"{count} entries, one for each of {', '.join(self._names)}",
            )
        if argument == "options" and not all(e is None or isinstance(e, Mapping) for e in given):
            raise InvalidArgumentError(
                "holds something else", argument=argument, allowed="mappings, or None"
            )
        return given

    def of(self, index: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the member gets: its defaults, and over them what the call says."""
        if not self._table:
            return {**self._defaults[index], **given}
        options = dict(self._defaults[index])
        for name, value in given.items():
            entry = self._table.get(name)
            if entry is None:
                options[name] = value
            elif isinstance(entry, Mapping):
                mapped = self._mapped(name, value, entry)[index]
                if isinstance(mapped, Mapping):
                    options.update(mapped)
                elif mapped is not None:
                    options[name] = mapped
            elif (own := entry[index]) is not None:
                options[own] = value
        return options

    @staticmethod
    def _mapped(name: str, value: Any, entry: Mapping[Any, Sequence[Any]]) -> Sequence[Any]:
        try:
            return entry[value]
        except (KeyError, TypeError):
            raise InvalidArgumentError(
                "has no entry in map=",
                argument=name,
                allowed=", ".join(repr(each) for each in list(entry)[:20]),
            ) from None
