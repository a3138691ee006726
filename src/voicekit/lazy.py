"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # importing typing takes longer than all of this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def loader(package: str, where: Mapping[str, str]) -> Callable[[str], object]:
    """The ``__getattr__`` of a package: each name is imported once, from where it stands.

    Assign it where type checkers do not see it (``if not TYPE_CHECKING``), so that they still
    find a misspelt name; they read the imports beside it.

    Args:
        package: Its ``__name__``.
        where: The module of each name; one that begins with a dot is in the package.
    """

    def get(name: str) -> object:
        module = where.get(name)
        if module is None:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(import_module(module, package), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
