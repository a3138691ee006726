"""A chat model with a memory: what is found again, what is shared, what is never kept."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from scripted_agent import Recorder, ScriptedAgent, turns_of_the_loop
from scripted_chat import Said, ScriptedChat
from troubled import Troubled

from interleaving import interleavings
from voicekit import ResponseCache, deadline, fallback
from voicekit.cache import MemoryStorage
from voicekit.cache.rules import LONGEST_TTL
from voicekit.errors import (
    ClosedError,
    InvalidArgumentError,
    StreamInterruptedError,
    TotalTimeout,
    UnavailableError,
)
from voicekit.interfaces import Agent, ChatModel
from voicekit.speech import ToolCall

pytestmark = pytest.mark.anyio

QUESTION = "When are you open?"
CALL = ToolCall(id="1", name="look_up", arguments="{}")


async def stored(cache: Any) -> None:
    """Everything that ended is kept."""
    await turns_of_the_loop()


async def streamed(cache: Any, asked: Any, **options: Any) -> tuple[str, str | None]:
    async with cache.stream_chat(asked, **options) as reply:
        text = "".join([delta async for delta in reply])
        return text, reply.cache


async def test_it_is_what_it_wraps() -> None:
    """A ``ChatModel`` around a ``ChatModel``, and no ``Agent``; the other way round as well."""
    chat, agent = ResponseCache(ScriptedChat()), ResponseCache(ScriptedAgent())
    assert isinstance(chat, ChatModel)
    assert not isinstance(chat, Agent)
    assert isinstance(agent, Agent)
    assert not isinstance(agent, ChatModel)
    assert isinstance(chat, ResponseCache)
    assert isinstance(agent, ResponseCache)
    with pytest.raises(InvalidArgumentError, match="inner"):
        ResponseCache(object())  # type: ignore[call-overload]
    await chat.aclose()
    await agent.aclose()


async def test_another_spelling_is_answered_from_the_cache() -> None:
    """No call, the same words, and evidence that says so: no attempt, no usage, no time."""
    inner = ScriptedChat()
    async with ResponseCache(inner) as llm:
        first = await llm.chat(QUESTION)
        await stored(llm)
        again = await llm.chat("  WHEN are you open…")
        assert (first.cache, first.attempts) == (None, 1)
        assert again.text == first.text == f"You said {QUESTION}"
        assert (again.cache, again.attempts, again.usage) == ("hit", 0, None)
        assert (again.model, again.finish_reason) == ("scripted-1", "stop")
        assert again.connection is again.request_id is None
        assert again.timings is not None
        assert 0 < (again.timings.total or 0) < 1
        assert await streamed(llm, "when are you open") == (first.text, "hit")
        assert inner.asked == [QUESTION]
        stats = llm.stats()
        assert (stats.hits, stats.misses, stats.stored, stats.calls_saved) == (2, 1, 1, 2)


async def test_a_stream_plays_while_it_is_kept() -> None:
    """The one who asks gets each piece as it comes; afterwards it is there as one."""
    inner = ScriptedChat()
    async with ResponseCache(inner) as llm:
        async with llm.stream_chat(QUESTION) as reply:
            assert [delta async for delta in reply] == ["You ", "said ", QUESTION]
            assert reply.cache is None
            assert reply.attempts == 1
            assert reply.usage is not None
            assert reply.finish_reason == "stop"
        await stored(llm)
        async with llm.stream_chat(QUESTION) as reply:
            assert [delta async for delta in reply] == [f"You said {QUESTION}"]
            assert (reply.cache, reply.attempts, reply.usage) == ("hit", 0, None)
            assert (await llm.stream_chat(QUESTION).result()).cache == "hit"
        assert inner.kinds == ["stream"]


async def test_one_call_for_all_who_ask_meanwhile() -> None:
    """A hundred at once, whole and streamed; those who come in the middle get all of it."""
    gate = asyncio.Event()
    inner = ScriptedChat(Said("Nine ", "to ", "six.", gate=gate))
    async with ResponseCache(inner) as llm:
        leader = llm.stream_chat(QUESTION)
        opening = asyncio.create_task(leader.__aenter__())
        await turns_of_the_loop()
        others = [asyncio.create_task(streamed(llm, QUESTION)) for _ in range(50)]
        wholes = [asyncio.create_task(llm.chat("when are you open")) for _ in range(49)]
        await turns_of_the_loop()
        gate.set()
        await opening
        assert [delta async for delta in leader] == ["Nine ", "to ", "six."]
        assert set(await asyncio.gather(*others)) == {("Nine to six.", "joined")}
        answers = await asyncio.gather(*wholes)
        assert {(a.text, a.cache, a.attempts, a.usage) for a in answers} == {
            ("Nine to six.", "joined", 0, None)
        }
        assert len(inner.asked) == 1
        assert llm.stats().joined == 99


async def test_a_stream_never_waits_for_a_whole_answer() -> None:
    """Whole answers are shared among those who want one; a stream begins for itself."""
    gate = asyncio.Event()
    inner = ScriptedChat(Said("whole", gate=gate))
    async with ResponseCache(inner) as llm:
        wholes = [asyncio.create_task(llm.chat(QUESTION)) for _ in range(3)]
        await turns_of_the_loop()
        assert await streamed(llm, QUESTION) == (f"You said {QUESTION}", None)
        gate.set()
        answers = await asyncio.gather(*wholes)
        assert sorted(str(a.cache) for a in answers) == ["None", "joined", "joined"]
        assert inner.kinds == ["whole", "stream"]


@pytest.mark.parametrize("ask", ["chat", "stream"])
async def test_whoever_began_it_may_leave(ask: str) -> None:
    """Those who joined go on; when all have left, it is given up and nothing is kept."""
    gate = asyncio.Event()
    inner = ScriptedChat(Said("Nine ", "to six.", gate=gate), Said("x", gate=asyncio.Event()))
    begin: Callable[[Any], Any] = (
        (lambda llm: llm.chat(QUESTION)) if ask == "chat" else (lambda llm: streamed(llm, QUESTION))
    )
    async with ResponseCache(inner) as llm:
        first, second = asyncio.create_task(begin(llm)), asyncio.create_task(begin(llm))
        await turns_of_the_loop()
        first.cancel()
        await asyncio.wait([first])
        gate.set()
        await second
        assert len(inner.asked) == 1
        await stored(llm)
        assert llm.stats().stored == 1
        alone = asyncio.create_task(llm.chat("Something else?"))
        await turns_of_the_loop()
        alone.cancel()
        await asyncio.wait([alone])
        await turns_of_the_loop()
        assert inner.aborted == 1
        assert llm.stats().stored == 1
        assert (await llm.chat("Something else?")).cache is None


async def test_a_failure_is_everybodys_who_waited_and_not_kept() -> None:
    """Each has an error of his own; the next one asks again."""
    gate = asyncio.Event()
    inner = ScriptedChat(Said(gate=gate, error=UnavailableError("down")))
    async with ResponseCache(inner) as llm:
        tasks = [asyncio.create_task(llm.chat(QUESTION)) for _ in range(3)]
        await turns_of_the_loop()
        gate.set()
        failures = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(failure) for failure in failures] == [UnavailableError] * 3
        assert len({id(failure) for failure in failures}) == 3
        assert (await llm.chat(QUESTION)).text == f"You said {QUESTION}"


async def test_one_that_broke_off_is_not_kept() -> None:
    """What was heard is accounted for; the storage has nothing of it."""
    inner = ScriptedChat(Said("Nine ", "to", error=UnavailableError("down")))
    storage = Troubled()
    async with ResponseCache(inner, storage=storage) as llm:
        reply = llm.stream_chat(QUESTION)
        assert [await reply.__anext__(), await reply.__anext__()] == ["Nine ", "to"]
        with pytest.raises(StreamInterruptedError) as caught:
            await reply.__anext__()
        assert caught.value.delivered_characters == 7
        await stored(llm)
        assert not storage.values


async def test_a_deadline_bounds_one_and_not_the_answer() -> None:
    """A caller's budget is his own."""
    gate = asyncio.Event()
    inner = ScriptedChat(Said("Nine.", gate=gate))
    async with ResponseCache(inner) as llm:

        async def hasty() -> None:
            with deadline(0.02):
                await llm.chat(QUESTION)

        patient = asyncio.create_task(llm.chat(QUESTION))
        with pytest.raises(TotalTimeout):
            await hasty()
        gate.set()
        assert (await patient).text == "Nine."


# -- the rules, one by one --------------------------------------------------------------------


async def twice(llm: Any, asked: Any, **options: Any) -> tuple[str | None, str | None]:
    """What the cache says of the same question, asked twice."""
    first = await llm.chat(asked, **options)
    await stored(llm)
    return first.cache, (await llm.chat(asked, **options)).cache


USER = {"role": "user", "content": QUESTION}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("asked", "options", "reason"),
    [
        ([USER], {"tools": [{"type": "function"}]}, "tools"),
        ([USER], {"functions": [{"name": "f"}]}, "tools"),
        ([USER], {"web_search_options": {}}, "tools"),
        ([USER], {"web_search_options": {"search_context_size": "low"}}, "tools"),
        ([USER], {"n": 2}, "tools"),
        ([USER], {"logprobs": True}, "tools"),
        ([USER], {"previous_response_id": "resp_1"}, "tools"),
        ([USER, {"role": "assistant", "content": "Nine."}, USER], {}, "turns"),
        ([USER, USER], {}, "turns"),
        ([{"role": "assistant", "content": "Hello."}, USER], {}, "turns"),
        ([USER, {"role": "assistant", "content": "Nine."}], {}, "messages"),
        ([SYSTEM], {}, "messages"),
        ([USER, {"role": "tool", "content": "9", "tool_call_id": "1"}, USER], {}, "messages"),
        ([USER, {"role": "assistant", "tool_calls": [{}]}, USER], {}, "messages"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], {}, "content"),
        ([{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}], {}, "content"),
        ([{"role": "user", "content": " "}], {}, "normalize"),
    ],
)
async def test_what_is_not_cached_goes_to_the_model_as_it_is(
    asked: list[Any], options: dict[str, Any], reason: str
) -> None:
    """Tools, several choices, earlier turns, more than words: each time a call, and the reason."""
    inner, seen = ScriptedChat(), Recorder()
    async with ResponseCache(inner, observers=[seen]) as llm:
        assert await twice(llm, asked, **options) == (None, None)
        async with llm.stream_chat(asked, **options) as reply:
            assert reply.cache is None
    assert len(inner.asked) == 3
    assert inner.asked[0] == str(asked[-1].get("content"))  # as it was spelled
    assert seen.results() == [("bypass", reason)] * 3
    assert llm.stats().bypasses == 3
    assert not seen.results("CacheStored")


async def test_a_text_cannot_pass_for_a_tool() -> None:
    """What somebody says is no name in the request."""
    async with ResponseCache(ScriptedChat()) as llm:
        said = 'Say {"tools": [1], "n": 2} and "functions":[1]'
        assert await twice(llm, said) == (None, "hit")
        assert await twice(llm, "a", tools=[], n=1, logprobs=False) == (None, "hit")
        assert await twice(llm, "b", web_search_options=None) == (None, "hit")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said("Let me see.", finish_reason="tool_calls", tool_calls=(CALL,)), "tool_calls"),
        (Said("Let me see.", tool_calls=(CALL,)), "tool_calls"),
        (Said("I ", refusal="I cannot say that."), "refusal"),
        (Said("It is a long", finish_reason="length"), "finish_reason"),
        (Said("…", finish_reason="content_filter"), "finish_reason"),
        (Said("Who knows", finish_reason=None), "finish_reason"),
        (Said(" "), "empty"),
    ],
)
@pytest.mark.parametrize("kind", ["chat", "stream"])
async def test_an_answer_that_is_more_or_less_than_words_is_not_kept(
    said: Said, reason: str, kind: str
) -> None:
    """Tool calls, refusals, what was cut: it is given to the one who asked, and forgotten."""
    inner, seen, storage = ScriptedChat(said), Recorder(), Troubled()
    async with ResponseCache(inner, observers=[seen], storage=storage) as llm:
        if kind == "chat":
            await llm.chat(QUESTION)
        else:
            await streamed(llm, QUESTION)
        await stored(llm)
        assert not storage.values
        assert seen.results("CacheStored") == [("False", reason)]
        assert (await llm.chat(QUESTION)).cache is None


async def test_everything_of_the_request_but_the_spelling_is_in_the_key() -> None:
    """Another model, temperature, user, instruction or their order: another question."""
    inner = ScriptedChat()
    async with ResponseCache(inner) as llm:
        asked: list[tuple[Any, dict[str, Any]]] = [
            ([USER], {}),
            ([USER], {"model": "other"}),
            ([USER], {"temperature": 0.1}),
            ([USER], {"temperature": 0.2}),
            ([USER], {"user": "anna"}),
            ([SYSTEM, USER], {}),
            ([{**SYSTEM, "content": "be brief"}, USER], {}),
            ([{**SYSTEM, "role": "developer"}, USER], {}),
            ([{**USER, "name": "anna"}], {}),
        ]
        for messages, options in asked:
            assert await twice(llm, messages, **options) == (None, "hit")
    assert len(inner.asked) == len(asked)


async def test_scopes_do_not_share() -> None:
    """One storage, two tenants: neither hears what was said to the other."""
    inner, storage = ScriptedChat(), MemoryStorage()
    caches = [
        ResponseCache(inner, storage=storage, close=False, scope=scope)
        for scope in ({"tenant": "a"}, {"tenant": "b"}, {"tenant": "a", "language": "it"}, None)
    ]
    for cache in caches:
        assert await twice(cache, QUESTION) == (None, "hit")
    languages = iter(["it", "it", "de"])
    async with ResponseCache(
        inner, close=False, scope=lambda question: {"language": next(languages), "q": 1}
    ) as llm:
        assert await twice(llm, QUESTION) == (None, "hit")
        assert (await llm.chat(QUESTION)).cache is None
    for cache in caches:
        await cache.aclose()


async def test_context_puts_earlier_turns_into_the_key() -> None:
    """With it, a follow-up is found again where what came before is the same to its user."""
    seen: list[Any] = []

    def context(question: Any) -> Any:
        seen.append(question)
        if len(question.turns) > 2:
            return None
        return question.turns[-1]["content"] if question.turns else ""

    before = [{"role": "user", "content": "Shop?"}, {"role": "assistant", "content": "Rome."}]
    other = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Rome."}]
    third = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Oslo."}]
    async with ResponseCache(ScriptedChat(), context=context) as llm:
        assert await twice(llm, [*before, USER]) == (None, "hit")
        assert (await llm.chat([*other, USER])).cache == "hit"
        assert (await llm.chat([*third, USER])).cache is None
        assert (await llm.chat([USER])).cache is None
        assert await twice(llm, [*before, *other, USER]) == (None, None)
    assert seen[0].turns == tuple(before)
    assert seen[0].text == QUESTION
    assert QUESTION not in repr(seen[0])


async def test_its_user_has_the_last_word() -> None:
    """``store=`` may refuse; ``ttl=`` may be a function, and 0 keeps nothing."""
    inner, seen, storage = ScriptedChat(), Recorder(), Troubled()
    async with ResponseCache(
        inner,
        storage=storage,
        store=lambda question, answer: "secret" not in answer.text,
        ttl=lambda question, _answer: {"zero": 0, "minus": -1, "long": 90}.get(question.text, 5),
        observers=[seen],
    ) as llm:
        for text in ("a secret", "zero", "minus", "long", "short"):
            await llm.chat(text)
            await stored(llm)
    reasons = [("False", "store"), ("False", "ttl"), ("False", "ttl"), ("True", None)]
    assert seen.results("CacheStored") == [*reasons, ("True", None)]
    assert sorted(storage.ttls.values()) == [5, 90]
    assert storage.closed == 0  # it is its owner's


@pytest.mark.parametrize("told", ["60", timedelta(hours=1), float("nan"), True, None])
async def test_a_time_to_live_that_is_no_number_keeps_nothing(told: Any) -> None:
    """The answer is given all the same, and the reason told."""
    seen = Recorder()
    async with ResponseCache(ScriptedChat(), ttl=lambda *_: told, observers=[seen]) as llm:
        assert await twice(llm, QUESTION) == (None, None)
    assert seen.results("CacheStored") == [("False", "ttl")] * 2


async def test_a_time_to_live_without_an_end_has_one() -> None:
    """Ten years, which is as long as a number may be."""
    storage = Troubled()
    async with ResponseCache(ScriptedChat(), ttl=lambda *_: math.inf, storage=storage) as llm:
        await twice(llm, QUESTION)
    assert list(storage.ttls.values()) == [LONGEST_TTL]


async def test_who_comes_right_after_an_answer_that_is_not_kept_asks_again() -> None:
    """Even before it is put away: what is not for everybody is joined only while it is made."""
    inner, asked = ScriptedChat(), []

    def store(question: Any, _answer: Any) -> bool:
        asked.append(question.text)
        return False

    async with ResponseCache(inner, store=store) as llm:
        assert (await llm.chat(QUESTION)).cache is None
        assert (await llm.chat(QUESTION)).cache is None
        assert await streamed(llm, QUESTION) == (f"You said {QUESTION}", None)
        assert await streamed(llm, QUESTION) == (f"You said {QUESTION}", None)
        await stored(llm)
    assert len(inner.asked) == len(asked) == 4


@pytest.mark.parametrize("name", ["store", "ttl", "scope", "normalize", "context"])
async def test_a_function_that_fails_costs_the_cache_and_not_the_call(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer comes as if there were no cache; the log names the function, not the content."""

    def fails(*_: Any) -> Any:
        raise KeyError("marked-content")

    async with ResponseCache(ScriptedChat(), **{name: fails}) as llm:  # type: ignore[arg-type]
        assert await twice(llm, QUESTION) == (None, None)
    assert f"{name}= of a cache failed: KeyError" in caplog.text
    assert "marked-content" not in caplog.text


async def test_another_spelling_of_ones_own() -> None:
    """``normalize=`` decides what is the same question; an empty one is none."""
    async with ResponseCache(ScriptedChat(), normalize=lambda text: text[:4]) as llm:
        assert await twice(llm, "open on Monday?") == (None, "hit")
        assert (await llm.chat("open on Tuesday?")).cache == "hit"
        assert await twice(llm, "    x") == (None, None)


@pytest.mark.parametrize("trouble", ["raises", "hangs", "lies"])
async def test_a_storage_in_trouble_is_a_miss(trouble: str) -> None:
    """The answer is the same, a moment later at most; an event says why."""
    inner, seen = ScriptedChat(), Recorder()
    cache = ResponseCache(inner, storage=Troubled(trouble), observers=[seen], storage_timeout=0.02)
    async with cache as llm:
        assert (await llm.chat(QUESTION)).text == f"You said {QUESTION}"
        text, said = await streamed(llm, "Another one?")
        assert (text, said) == ("You said Another one?", None)
        if trouble == "raises":
            await stored(llm)
            assert ("False", "storage") in seen.results("CacheStored")
    expected = None if trouble == "lies" else "storage"
    assert seen.results() == [("miss", expected)] * 2
    assert (llm.stats().trouble > 0) is (trouble != "lies")


async def test_what_is_too_large_for_the_storage_is_not_kept() -> None:
    """That is no error."""
    async with ResponseCache(ScriptedChat(), storage=MemoryStorage(200)) as llm:
        assert await twice(llm, "x" * 400) == (None, None)


async def test_a_slow_look_does_not_ask_twice() -> None:
    """One who looked too early joins what was begun meanwhile, even when that has ended."""
    inner, storage = ScriptedChat(), Troubled()
    storage.reading = asyncio.Event()
    async with ResponseCache(inner, storage=storage, storage_timeout=5) as llm:
        slow = [asyncio.create_task(llm.chat(QUESTION)) for _ in range(3)]
        await turns_of_the_loop()
        storage.reading.set()
        answers = await asyncio.gather(*slow)
        assert len(inner.asked) == 1
        assert sum(answer.cache is None for answer in answers) == 1


# -- requests, members, lifecycle -------------------------------------------------------------


async def test_a_request_may_be_made_before() -> None:
    """It is the model's own inside; another cache's is refused; the model's own is taken."""
    inner = ScriptedChat()
    async with ResponseCache(inner) as llm, ResponseCache(inner) as other:
        request = llm.request(QUESTION, temperature=0.1)
        assert request.identity == inner.request(QUESTION, temperature=0.1).identity
        assert request.messages == [USER]
        assert QUESTION not in repr(request)
        assert await twice(llm, request) == (None, "hit")
        assert (await llm.chat("when are you open", temperature=0.1)).cache == "hit"
        assert await twice(llm, inner.request("exactly this")) == (None, "hit")
        for wrong in (lambda: other.chat(request), lambda: llm.chat(request, temperature=1)):
            with pytest.raises(InvalidArgumentError):
                await wrong()
        with pytest.raises(InvalidArgumentError):
            llm.stream_chat([])


async def test_an_entry_is_its_producers() -> None:
    """Inside a fallback, the second member's answer is kept under its own name."""
    one = ScriptedChat(Said(error=UnavailableError("down")), provider="one")
    two = ScriptedChat(provider="two")
    storage = MemoryStorage()
    async with (
        ResponseCache(fallback(one, two, names=("one", "two")), storage=storage) as both,
        ResponseCache(ScriptedChat(provider="one"), storage=storage) as only_one,
        ResponseCache(ScriptedChat(provider="two"), storage=storage) as only_two,
    ):
        answer = await both.chat(QUESTION)
        assert answer.member == "two"  # type: ignore[attr-defined]
        await stored(both)
        assert (await only_two.chat("when are you open")).cache == "hit"
        assert (await only_one.chat("when are you open")).cache is None
        # One who may be answered by both is answered by what there is of either.
        assert (await both.chat(QUESTION)).cache == "hit"
        assert await streamed(both, "Streamed?") == ("You said Streamed?", None)
        await stored(both)
        assert (await only_two.chat("streamed")).cache == "hit"


async def test_an_answer_of_nobody_knows_whom_is_not_kept() -> None:
    """A stranger's wrapper that does not say which of its members gave it."""

    class Either:
        def __init__(self, *of: Any) -> None:
            self.of = of
            self.messages, self.identity = of[0].messages, of[0].identity

    class Stranger(ScriptedChat):
        def request(self, messages: Any, /, **options: Any) -> Any:
            one = super().request(messages, **options)
            return Either(one, replace(one, by="other"))

        async def chat(self, messages: Any, /, **options: Any) -> Any:
            return await super().chat(messages.of[0])

    seen = Recorder()
    async with ResponseCache(Stranger(), observers=[seen]) as llm:
        assert await twice(llm, QUESTION) == (None, None)
    assert seen.results("CacheStored") == [("False", "producer")] * 2


async def test_it_may_be_a_member_itself() -> None:
    """A fallback around caches: a hit counts as an answer of that member."""
    cached = ResponseCache(ScriptedChat(provider="one"))
    async with fallback(cached, ScriptedChat(provider="two"), names=("one", "two")) as llm:
        await llm.chat(QUESTION)
        await turns_of_the_loop()
        async with llm.stream_chat(QUESTION) as reply:
            assert [delta async for delta in reply] == [f"You said {QUESTION}"]
            assert (reply.member, reply.cache) == ("one", "hit")
        assert (await llm.chat(QUESTION)).cache == "hit"


async def test_what_another_cache_kept_is_not_kept_again() -> None:
    """Its time has been running: a cache around a cache does not begin it anew."""
    storage, seen = Troubled(), Recorder()
    async with ResponseCache(ScriptedChat()) as below:
        await below.chat(QUESTION)
        await stored(below)
        async with ResponseCache(below, storage=storage, observers=[seen], close=False) as llm:
            assert (await llm.chat(QUESTION)).cache == "hit"
            assert (await streamed(llm, QUESTION))[0] == f"You said {QUESTION}"
            await stored(llm)
            await llm.chat("Another one?")
            await stored(llm)
    assert seen.results("CacheStored") == [("False", "cached")] * 2 + [("True", None)]
    assert len(storage.values) == 1


async def test_it_closes_what_it_wraps_unless_told_otherwise() -> None:
    """And gives up what is under way."""
    inner = ScriptedChat(Said("never", gate=asyncio.Event()))
    async with ResponseCache(inner) as llm:
        task = asyncio.create_task(llm.chat(QUESTION))
        await turns_of_the_loop()
    with pytest.raises(ClosedError):
        await task
    assert (inner.entered, inner.closed, inner.aborted) == (1, 1, 1)
    with pytest.raises(ClosedError):
        await llm.chat(QUESTION)
    with pytest.raises(ClosedError):
        llm.stream_chat(QUESTION)
    await llm.aclose()
    kept = ScriptedChat()
    async with ResponseCache(kept, close=False) as llm:
        assert (await llm.warm(2)).opened == 2
    assert (kept.entered, kept.closed) == (0, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": -1},
        {"ttl": "1"},
        {"scope": "tenant"},
        {"scope": {"a": object()}},
        {"scope": {1: 2}},
        {"normalize": 1},
        {"context": 1},
        {"store": 1},
        {"close": 1},
        {"storage_timeout": 0},
        {"secret": ""},
    ],
)
async def test_arguments_that_make_no_sense(options: dict[str, Any]) -> None:
    """Refused before anything happens."""
    with pytest.raises(InvalidArgumentError):
        ResponseCache(ScriptedChat(), **options)
    with pytest.raises(TypeError):
        ResponseCache(ScriptedChat(), nothing=1)  # type: ignore[call-arg]


async def test_nothing_that_was_said_is_in_a_name_an_event_or_a_repr() -> None:
    """Names of entries are keyed digests; two processes with one secret agree on them."""
    storages = [Troubled() for _ in range(3)]
    seen = Recorder()
    for storage, secret in zip(storages, ("one", "one", "two"), strict=True):
        async with ResponseCache(
            ScriptedChat(),
            storage=storage,
            secret=secret,
            scope={"tenant": "acme"},
            observers=[seen],
        ) as llm:
            await llm.chat("marked question")
            await stored(llm)
            assert "marked" not in repr(llm) + repr(llm.stats())
    first, second, third = (list(storage.values) for storage in storages)
    assert first == second != third
    assert "marked" not in repr(seen.events) + repr(first)
    assert "acme" not in repr(first)


async def crowd(draw: random.Random, one: Callable[[], Any]) -> None:
    """Eight of them, at different times, some of which are cancelled."""
    tasks = []
    for _ in range(8):
        tasks.append(asyncio.create_task(one()))
        await turns_of_the_loop(draw.randrange(6))
        if draw.random() < 0.2:
            draw.choice(tasks).cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
    await turns_of_the_loop()


def test_any_order_of_joins_leaves_and_failures() -> None:
    """Followers get a prefix of the answer or all of it; the storage has all of it or nothing."""
    whole = "Nine to six, on Sundays from ten."
    pieces = ["Nine ", "to ", "six, ", "on ", "Sundays ", "from ", "ten."]

    async def scenario(draw: random.Random) -> None:
        storage = Troubled()
        inner = ScriptedChat()

        def next_one(request: Any, kind: str) -> Said:
            inner.asked.append("")
            if draw.random() < 0.3:
                cut = draw.randrange(len(pieces))
                return Said(*pieces[:cut], error=UnavailableError("down"))
            return Said(*pieces)

        inner._next = next_one  # type: ignore[method-assign]
        async with ResponseCache(inner, storage=storage) as llm:

            async def one() -> None:
                heard = ""
                try:
                    if draw.random() < 0.3:
                        heard = (await llm.chat(QUESTION)).text
                        assert heard == whole
                        return
                    async with llm.stream_chat(QUESTION) as reply:
                        async for delta in reply:
                            heard += delta
                            if draw.random() < 0.1:
                                return
                        assert heard == whole
                except (UnavailableError, StreamInterruptedError):
                    pass
                finally:
                    assert whole.startswith(heard)

            await crowd(draw, one)
            for value in storage.values.values():
                assert whole in value.decode()
            assert not len(llm._streams)
            assert not len(llm._wholes)

    interleavings(scenario, range(300))
