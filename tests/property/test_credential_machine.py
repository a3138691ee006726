"""One asks for another key, whoever else was refused: under every order of events."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voicekit.clients.credential import Credential
from voicekit.errors import MissingCredentialError
from voicekit.tasks import Background
from voicekit.testing.clock import VirtualLoop

_WITHIN = 1.0
"""Seconds that some callers have; the callable may take ten."""


class CredentialMachine(RuleBasedStateMachine):
    """Plays callers who were refused, and the callable that they wait for."""

    def __init__(self):
        super().__init__()
        self.loop = VirtualLoop()
        self.background = Background()
        self.asked: list[asyncio.Future[str]] = []
        self.times = 0
        self.key = "key-0"
        self.keys = 0
        self.old: list[str] = []
        self.waiting: dict[asyncio.Task[bool], bool] = {}  # whether it has all the time
        self.told: list[str] = []
        self.credential = Credential(self._ask, env="NONE", provider="acme")
        first = self.loop.create_task(self.credential.get())
        self._turn()
        self.asked.pop().set_result(self.key)
        self.loop.run_until_complete(first)
        self.credential.on_change = lambda: self.told.append(self.credential.last())
        self.times = 0

    async def _ask(self):
        self.times += 1
        future = self.loop.create_future()
        self.asked.append(future)
        return await future

    def _turn(self, seconds=0.0):
        async def turns():
            await asyncio.sleep(seconds)
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def _pending(self):
        return [future for future in self.asked if not future.done()]

    def _results(self):
        """Of those who wait no longer."""
        ended, self.waiting = self.waiting, {}
        assert all(task.done() for task in ended), "somebody is not told"
        return list(ended)

    # -- events ------------------------------------------------------------------

    @rule(count=st.integers(1, 3), patient=st.booleans())
    def refused(self, count, patient):
        """Who joins gets the answer of whom somebody asks already."""
        before, asking = self.times, bool(self._pending())
        for _ in range(count):
            renewed = self.credential.renew(self.key, self.background, None if patient else _WITHIN)
            self.waiting[self.loop.create_task(renewed)] = patient
        self._turn()
        assert self.times == before + (not asking)

    @rule(data=st.data())
    @precondition(lambda self: self.old)
    def refused_with_an_older_key(self, data):
        """Somebody else was quicker."""
        before = self.times
        renewed = self.credential.renew(data.draw(st.sampled_from(self.old)), self.background)
        assert self.loop.run_until_complete(renewed)
        assert self.times == before

    @rule(another=st.booleans())
    @precondition(lambda self: self._pending())
    def answered(self, another):
        if another:
            self.old.append(self.key)
            self.keys += 1
            self.key = f"key-{self.keys}"
        (asked,) = self._pending()
        asked.set_result(self.key)
        self._turn()
        assert {task.result() for task in self._results()} <= {another}

    @rule()
    @precondition(lambda self: self._pending())
    def broken(self):
        """The application's own error reaches all who wait; the next one asks again."""
        (asked,) = self._pending()
        asked.set_exception(OSError("no token today"))
        self._turn()
        for task in self._results():
            with pytest.raises(OSError, match="no token today"):
                task.result()

    @rule(data=st.data())
    @precondition(lambda self: self.waiting)
    def left(self, data):
        """Nothing is taken from the others, nor from whoever comes later."""
        task = data.draw(st.sampled_from(list(self.waiting)))
        del self.waiting[task]
        asking = len(self._pending())
        task.cancel()
        self._turn()
        assert task.cancelled()
        assert len(self._pending()) == asking

    @rule()
    def in_a_hurry(self):
        """Who has a second waits for no more; the asking goes on."""
        asking = len(self._pending())
        self._turn(_WITHIN)
        for task in [task for task, patient in self.waiting.items() if not patient]:
            del self.waiting[task]
            assert task.result() is False
        # The callable has ten seconds in all, and whoever waits hears of that.
        if asking and not self._pending():
            for task in self._results():
                with pytest.raises(MissingCredentialError):
                    task.result()

    @rule()
    def replaced(self):
        """By hand: an answer that is still on its way changes nothing any more."""
        self.old.append(self.key)
        self.keys += 1
        self.key = f"key-{self.keys}"
        self.credential.replace(self.key)
        late = self._pending()
        for asked in late:
            asked.set_result("key-of-yesterday")
        self._turn()
        assert {task.result() for task in self._results()} <= {True}
        assert self.credential.last() == self.key
        self.credential.replace(self._ask)

    # -- always ------------------------------------------------------------------

    @invariant()
    def one_asks(self):
        assert len(self._pending()) <= 1
        assert self.credential.renewing == bool(self._pending())

    @invariant()
    def the_key_is_known(self):
        assert self.credential.last() == self.key

    @invariant()
    def none_waits_in_vain(self):
        assert not self.waiting or self._pending()

    def teardown(self):
        for task in self.waiting:
            task.cancel()
        self.loop.run_until_complete(self.background.aclose())
        self._turn()
        self.loop.close()


TestCredential = CredentialMachine.TestCase
TestCredential.settings = settings(max_examples=150, stateful_step_count=30)
