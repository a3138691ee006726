"""The blocking classes against their asynchronous twins: nothing missing, nothing different."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
import types
import typing
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import cache
from typing import Any, TypeVar

import pytest

from voicekit import interfaces, streams, sync
from voicekit.clients import (
    agentforce,
    deepgram,
    elevenlabs,
    openai,
    pages,
    roles,
    twilio,
    utterance,
)
from voicekit.clients.base import ApiKey
from voicekit.clients.openai.azure import TokenProvider
from voicekit.sync import agentforce as sync_agentforce
from voicekit.sync import deepgram as sync_deepgram
from voicekit.sync import elevenlabs as sync_elevenlabs
from voicekit.sync import handles, keys, utterances
from voicekit.sync import openai as sync_openai
from voicekit.sync import pages as sync_pages
from voicekit.sync import roles as sync_roles
from voicekit.sync import twilio as sync_twilio
from voicekit.sync.delegation import Evidence
from voicekit.transport import transport

CLIENTS: dict[type, type] = {
    elevenlabs.ElevenLabsClient: sync.ElevenLabsClient,
    deepgram.DeepgramClient: sync.DeepgramClient,
    openai.OpenAIClient: sync.OpenAIClient,
    openai.AzureOpenAIClient: sync.AzureOpenAIClient,
    agentforce.AgentforceClient: sync.AgentforceClient,
    twilio.TwilioClient: sync.TwilioClient,
}
OWNERS: dict[type, type] = {**CLIENTS, transport.Transport: sync.Transport}
HANDLES: dict[type, type] = {
    streams.SpeechStream: handles.SpeechStream,
    streams.TextStream: handles.TextStream,
    streams.AgentReply: handles.AgentReply,
    agentforce.OpeningSession: sync_agentforce.OpeningSession,
    agentforce.AgentforceSession: sync_agentforce.AgentforceSession,
    openai.TranscriptStream: sync_openai.TranscriptStream,
    elevenlabs.Utterance: sync_elevenlabs.Utterance,
    elevenlabs.FedUtterance: sync_elevenlabs.FedUtterance,
    deepgram.Utterance: sync_deepgram.Utterance,
    deepgram.FedUtterance: sync_deepgram.FedUtterance,
    deepgram.TranscriptionSession: sync_deepgram.TranscriptionSession,
    pages.Pages: sync_pages.Pages,
    twilio.MediaStream: sync_twilio.MediaStream,
    roles.SynthesizerRole: sync_roles.SynthesizerRole,
    roles.SpeakingRole: sync_roles.SpeakingRole,
    roles.TranscriberRole: sync_roles.TranscriberRole,
}
TWINS = {**OWNERS, **HANDLES}

RENAMED = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}

ELSEWHERE = {
    # name: (where it is missing, why)
    "__await__": (tuple(HANDLES), "opening is entering or iterating; of pages, page()"),
    "abandon": (tuple(OWNERS), "for an owner who cannot wait; a blocking one can"),
    "in_use": (tuple(OWNERS), "for an owner's destructor"),
    "families": (tuple(CLIENTS), "how a class of clients is built"),
    "operations": (tuple(CLIENTS), "how a class of clients is built"),
    "transport": (tuple(CLIENTS), "lives on the loop; shared by handing in a sync.Transport"),
    "background": ((transport.Transport,), "owns tasks of the loop"),
    "dial": ((transport.Transport,), "for clients, on the loop"),
    "dial_socket": ((transport.Transport,), "for clients, on the loop"),
    "retire": ((transport.Transport,), "for clients, on the loop"),
    "send": ((transport.Transport,), "for clients, on the loop"),
    "shared": ((transport.Transport,), "for clients, on the loop"),
    "socket_pool": ((transport.Transport,), "for clients, on the loop"),
    "warm": ((transport.Transport,), "for clients, which know what to warm"),
    "hear": ((elevenlabs.Utterance, deepgram.Utterance), "for the socket's reader"),
    "told": ((deepgram.Utterance,), "for the socket's reader"),
    "lost": ((utterance.SpokenSession,), "for the socket's reader"),
}
"""Public names that the blocking class has not."""

ADDED = {"page": (sync_pages.Pages, "what await gives of the asynchronous pages")}
"""Public names that only the blocking class has."""

TYPES: dict[Any, Any] = {
    **TWINS,
    ApiKey: keys.ApiKey,
    TokenProvider: keys.Ask,
    interfaces.SpeechSession: utterances.SpokenSession,
    utterance.SpokenSession: utterances.SpokenSession,
    AsyncIterable: Iterable,
    AsyncIterator: Iterator,
}
"""What stands in a blocking signature for what is in the asynchronous one."""

_DUNDERS = {"__init__", "__await__", *RENAMED}


def public(of: type) -> set[str]:
    """The public names of a class, attributes that only methods set among them."""
    names = {name for name in dir(of) if not name.startswith("_") or name in _DUNDERS}
    names |= {name for name in RENAMED.values() if hasattr(of, name)}
    for base in of.__mro__:
        if base.__module__.startswith(("voicekit.", __name__)):
            names |= assigned(base)
    if not issubclass(of, (*OWNERS, *OWNERS.values())):
        names.discard("__init__")  # clients make them
    return names


@cache
def assigned(of: type) -> frozenset[str]:
    """The public attributes that a class's own methods set on ``self``."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    targets = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )
    return frozenset(node.attr for node in targets if not node.attr.startswith("_"))


def expected(of: type) -> set[str]:
    """What the blocking twin of a class must have."""
    kept = {
        name
        for name in public(of)
        if not (name in ELSEWHERE and issubclass(of, ELSEWHERE[name][0]))
    }
    added = {name for name, (where, _why) in ADDED.items() if issubclass(TWINS[of], where)}
    return {RENAMED.get(name, name) for name in kept} | added


@cache
def names_of(module: str) -> dict[str, Any]:
    """A module's names, with those that only a type checker imports."""
    loaded = sys.modules[module]
    names = dict(vars(loaded))
    for node in ast.parse(inspect.getsource(loaded)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for inner in node.body:
                if isinstance(inner, ast.ImportFrom):
                    source = importlib.import_module(str(inner.module))
                    for each in inner.names:
                        value = getattr(source, each.name, None)
                        if value is None:
                            value = importlib.import_module(f"{inner.module}.{each.name}")
                        names[each.asname or each.name] = value
    return names


def is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in {typing.Union, types.UnionType}


def bound(of: type) -> dict[Any, Any]:
    """What the type variables of a class stand for."""
    known: dict[Any, Any] = {}
    for base in of.__mro__:
        for each in getattr(base, "__orig_bases__", ()):
            variables = getattr(typing.get_origin(each), "__parameters__", ())
            for variable, value in zip(variables, typing.get_args(each), strict=False):
                if not isinstance(value, TypeVar):
                    known.setdefault(variable, value)
    return known


def normal(hint: Any, mapped: dict[Any, Any]) -> Any:
    """A type, comparable, with other types in place of those that are mapped."""
    if isinstance(hint, list | tuple):
        return tuple(normal(each, mapped) for each in hint)
    if is_union(hint):
        members = set(typing.get_args(hint))
        found: set[Any] = set()
        for each, other in mapped.items():  # a union in a union is flat, and so not in it
            if is_union(each) and members >= set(typing.get_args(each)):
                members -= set(typing.get_args(each))
                found |= members_of(normal(other, {}))
        for each in members:
            found |= members_of(normal(each, mapped))
        return ("union", frozenset(found))
    try:
        if hint in mapped:
            return normal(mapped[hint], {})
    except TypeError:
        pass  # no hash, so it is none of them
    if isinstance(hint, TypeVar):
        return hint.__name__
    origin = typing.get_origin(hint)
    if origin is None:
        return hint
    return (mapped.get(origin, origin), normal(typing.get_args(hint), mapped))


def members_of(hint: Any) -> frozenset[Any]:
    return hint[1] if isinstance(hint, tuple) and hint[0] == "union" else frozenset({hint})


def unwrapped(method: Any) -> Any:
    return inspect.unwrap(method)


def hints(method: Any) -> dict[str, Any]:
    method = unwrapped(method)
    names = names_of(method.__module__)
    return typing.get_type_hints(method, globalns=names, localns=names)


def differences(
    theirs: Callable[..., Any],
    ours: Callable[..., Any],
    classes: tuple[type, type] = (object, object),
) -> list[str]:
    """How a blocking method's signature differs from what the asynchronous one's demands."""
    there, here = (inspect.signature(unwrapped(each)).parameters for each in (theirs, ours))
    said = []
    shape = [(each.name, each.kind, each.default) for each in there.values()]
    if shape != [(each.name, each.kind, each.default) for each in here.values()]:
        said.append(f"parameters {list(map(str, here.values()))}, not {list(map(str, shape))}")
        return said
    wanted, given = hints(theirs), hints(ours)
    if wanted.keys() != given.keys():
        said.append(f"annotated are {sorted(given)}, not {sorted(wanted)}")
        return said
    same = unwrapped(theirs) is unwrapped(ours)
    for name, hint in wanted.items():
        want = normal(hint, {**TYPES, **bound(classes[0])})
        got = normal(given[name], bound(classes[0 if same else 1]))
        if want != got:
            said.append(f"{name}: {given[name]}, not {hint}")
    return said


def cases() -> list[Any]:
    return [
        pytest.param(*pair, id=f"{pair[0].__module__}.{pair[0].__name__}") for pair in TWINS.items()
    ]


@pytest.mark.parametrize(("theirs", "ours"), cases())
def test_names_are_the_same(theirs: type, ours: type) -> None:
    """What one side has, the other has, but for what is listed with its reason."""
    assert public(ours) == expected(theirs)


def methods_of(theirs: type, ours: type) -> list[tuple[str, Any, Any]]:
    """The methods that both have, under their blocking name."""
    found = []
    for name in sorted(public(theirs)):
        here = RENAMED.get(name, name)
        if here in expected(theirs):
            there, mine = (
                inspect.getattr_static(theirs, name, None),
                inspect.getattr_static(ours, here, None),
            )
            if callable(there) and not isinstance(there, type):
                found.append((here, there, mine))
    return found


@pytest.mark.parametrize(("theirs", "ours"), cases())
def test_parameters_are_the_same(theirs: type, ours: type) -> None:
    """Names, kinds, defaults and types, after the mapping of types; overloads too."""
    said = []
    for name, there, here in methods_of(theirs, ours):
        if name == "__iter__":
            continue  # returns what is iterated, on each side in its way
        said += [f"{name}: {each}" for each in differences(there, here, (theirs, ours))]
        overloads = typing.get_overloads(there), typing.get_overloads(here)
        if len(overloads[0]) != len(overloads[1]):
            said.append(f"{name}: {len(overloads[1])} overloads, not {len(overloads[0])}")
        for one, other in zip(*overloads, strict=False):
            said += [f"{name}, overloaded: {each}" for each in differences(one, other)]
    assert said == []


@pytest.mark.parametrize(("theirs", "ours"), cases())
def test_docs_are_there(theirs: type, ours: type) -> None:
    """The same where a method is taken over, and never none."""
    missing = []
    for name, there, here in methods_of(theirs, ours):
        if name.startswith("__"):
            continue
        doc = getattr(here, "__doc__", None)
        taken_over = hasattr(here, "__wrapped__")
        if not doc or (taken_over and doc != there.__doc__):
            missing.append(name)
        if taken_over and unwrapped(here) is not there:
            missing.append(f"{name} is {unwrapped(here).__qualname__}")
    assert missing == []
    assert ours.__doc__


@pytest.mark.parametrize(("theirs", "ours"), cases())
def test_evidence_is_the_same(theirs: type, ours: type) -> None:
    """An attribute is read from the twin's attribute of that name, with its docs and type."""
    wrong = []
    for name in sorted(public(theirs) & expected(theirs)):
        there, here = (
            inspect.getattr_static(theirs, name, None),
            inspect.getattr_static(ours, name, None),
        )
        if callable(there):
            continue
        if not getattr(here, "__doc__", None):
            wrong.append(f"{name} has no docs")
        elif isinstance(there, property):
            mine = here.of if isinstance(here, Evidence) else here
            if not isinstance(mine, property):
                wrong.append(f"{name} does not say of what it is")
            elif hints(mine.fget) != hints(there.fget):
                wrong.append(f"{name} is of another type")
            elif isinstance(here, Evidence) and getattr(mine.fget, "__name__", "") != name:
                wrong.append(f"{name} reads {getattr(mine.fget, '__name__', '')}")
    assert wrong == []


def test_what_is_left_out_exists() -> None:
    """A reason for a name that is gone would hide the next of that name."""
    for name, (where, why) in ELSEWHERE.items():
        assert why
        for each in where:
            assert name in public(each) | {"__await__"}, (name, each)
            assert not hasattr(TWINS.get(each, object), name)


@pytest.mark.parametrize("theirs", list(TWINS))
@pytest.mark.parametrize("added", ["method", "property", "attribute"])
def test_an_addition_on_one_side_is_seen(theirs: type, added: str) -> None:
    """The judge itself: a name that only the asynchronous side has fails."""
    more: type
    if added == "method":

        class WithMethod(theirs):  # type: ignore[misc]
            async def sing(self) -> None:
                """Sing."""

        more = WithMethod
    elif added == "property":

        class WithProperty(theirs):  # type: ignore[misc]
            @property
            def sing(self) -> int:
                return 1

        more = WithProperty
    else:

        class WithAttribute(theirs):  # type: ignore[misc]
            def __init__(self) -> None:
                self.sing = 1

        more = WithAttribute
    assert public(more) - public(theirs) == {"sing"}


def test_a_parameter_on_one_side_is_seen() -> None:
    """The judge itself: one more, another default, another type."""

    async def now(self: Any, text: str, /, *, voice: str = "a") -> str:
        return voice + text

    def same(self: Any, text: str, /, *, voice: str = "a") -> str:
        return voice + text

    def fewer(self: Any, text: str, /) -> str:
        return text

    def other(self: Any, text: str, /, *, voice: str = "b") -> str:
        return voice + text

    def typed(self: Any, text: str, /, *, voice: str | None = "a") -> str:
        return text

    def returns(self: Any, text: str, /, *, voice: str = "a") -> bytes:
        return b""

    assert differences(now, same) == []
    assert all(differences(now, each) for each in (fewer, other, typed, returns))
