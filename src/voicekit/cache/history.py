"""How exchanges that a cache answered are told to the agent, with its next message.

As JSON, so that nothing that was said can pass for the agent's words: in a variable, the list
alone; without one, before the message::

    Earlier in this conversation, already answered: [{"user": "…", "agent": "…"}]

    And tomorrow?

The last 20 at most; without ``context=`` there is only one. Each that had to go is an event
(``CacheStored``, ``stored=False``, ``"history"``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

MOST_EXCHANGES: Final = 20
"""How many are kept for the agent; the oldest go first."""

PREAMBLE: Final = "Earlier in this conversation, already answered: "


def with_history(
    text: str,
    options: Mapping[str, Any],
    exchanges: Sequence[tuple[str, str]],
    variable: str | None,
) -> tuple[str, dict[str, Any]]:
    """A message and its options, which tell the agent what it has not heard.

    Where the caller sends the variable himself, the history stands before the message.
    """
    if not exchanges:
        return text, dict(options)
    told = json.dumps(
        [{"user": user, "agent": agent} for user, agent in exchanges], ensure_ascii=False
    )
    given = options.get("variables")
    if variable is None or not isinstance(given, Mapping | None) or variable in (given or {}):
        return f"{PREAMBLE}{told}\n\n{text}", dict(options)
    return text, {**options, "variables": {**(given or {}), variable: told}}
