"""Our request beside a vendor SDK's, as the journal has them: what differs, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from voicekit.emulator.forms import Form, read_form
from voicekit.emulator.journal import RequestRecord

# What says who asks, or how the bytes travel, and nothing of what is asked.
_OF_THE_LIBRARY = (
    "user-agent",
    "x-fern-",
    "x-stainless-",
    "x-deepgram-session-id",
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "transfer-encoding",
    "host",
    "sec-websocket-",
    "upgrade",
)


def differences(ours: RequestRecord, theirs: RequestRecord) -> dict[str, tuple[Any, Any]]:
    """What differs: "method", "path", "query.NAME", "header.NAME", "body.NAME" (or "body").

    Each with our value and theirs; None where it is absent. The headers with which a library
    names itself or chooses an encoding are left out. A form's fields are ``body.NAME``; of its
    files there are ``body.NAME.filename``, ``.type`` and ``.data``.
    """
    pairs: dict[str, tuple[Any, Any]] = {
        "method": (ours.method, theirs.method),
        "path": (ours.path, theirs.path),
    }
    _compare(pairs, "query.", _flat(ours.query), _flat(theirs.query))
    _compare(pairs, "header.", _asked(ours.headers), _asked(theirs.headers))
    mine, other = _body(ours), _body(theirs)
    if isinstance(mine, Mapping) and isinstance(other, Mapping):
        _compare(pairs, "body.", mine, other)
    else:
        pairs["body"] = (mine, other)
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _compare(
    pairs: dict[str, tuple[Any, Any]],
    prefix: str,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
) -> None:
    for name in {*ours, *theirs}:
        pairs[prefix + name] = (ours.get(name), theirs.get(name))


def _flat(query: Mapping[str, list[str]]) -> dict[str, Any]:
    return {name: values[0] if len(values) == 1 else values for name, values in query.items()}


def _asked(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        # A boundary is drawn anew for each form.
        name: value.partition(";")[0] if name == "content-type" else value
        for name, value in headers.items()
        if not name.startswith(_OF_THE_LIBRARY)
    }


def _body(record: RequestRecord) -> Any:
    kind = record.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        return _filled_in(read_form(kind, record.body))
    try:
        return json.loads(record.body)
    except ValueError:
        return record.body


def _filled_in(form: Form) -> dict[str, Any]:
    values: dict[str, Any] = _flat({name: form.all(name) for name, _ in form.fields})
    for file in form.files:
        values[f"{file.name}.filename"] = file.filename
        values[f"{file.name}.type"] = file.content_type
        values[f"{file.name}.data"] = file.data
    return values
