"""What the log says of each event, at which level, and when it says anything at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from voicekit import InvalidArgumentError, LogObserver, OpenAIClient, events
from voicekit.observe.log import observers_of_environment
from voicekit.timing import ConnectionInfo, Timings

WHERE: dict[str, Any] = {"at": 1.0, "provider": "openai", "operation": "chat", "call": 3}


@pytest.fixture(autouse=True)
def own_logger() -> Iterator[logging.Logger]:
    """The library's logger, as a fresh process has it."""
    logger = logging.getLogger("voicekit")
    before = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(before[0])
    logger.handlers[:] = before[1]


@pytest.mark.parametrize(
    ("event", "level", "words"),
    [
        (
            events.CallEnded(
                **WHERE,
                result="ok",
                outcome="applied",
                timings=Timings(first_output=0.1, total=0.25),
                attempts=1,
                connection=ConnectionInfo(reused=True),
                request_id="req_1",
            ),
            "INFO",
            "ok in 250 ms, first output 100 ms, warm connection, request req_1",
        ),
        (
            events.CallEnded(
                **WHERE,
                result="error",
                outcome="not_applied",
                error="RateLimitError",
                status=429,
                timings=Timings(connect=0.04, tls=0.02, total=0.25),
                attempts=2,
                connection=ConnectionInfo(reused=False),
            ),
            "WARNING",
            "RateLimitError 429 in 250 ms, outcome not_applied, new connection (60 ms), 2 attempts",
        ),
        (
            events.Warmed(**WHERE, opened=2, reused=0, failed=1, elapsed=0.5),
            "INFO",
            "2 opened, 0 ready before, 1 failed, in 500 ms",
        ),
        (
            events.PoolOpened(**WHERE, host="api.openai.com", max_connections=20, shared=False),
            "INFO",
            "opened to api.openai.com, at most 20 connections",
        ),
        (events.CallStarted(**WHERE), "DEBUG", "CallStarted"),
        (events.AttemptStarted(**WHERE, attempt=1), "DEBUG", "attempt 1"),
        (events.FirstOutput(**WHERE, after=0.1), "DEBUG", "first output after 100 ms"),
        (
            events.SpeechResumed(
                **WHERE, sentence=2, delivered_bytes=10, error="ConnectionLostError"
            ),
            "INFO",
            "resumed at segment 2 after ConnectionLostError",
        ),
    ],
)
def test_each_event_is_a_line(
    event: events.Event, level: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, with the provider and the operation in front."""
    caplog.set_level(logging.DEBUG, "voicekit")
    LogObserver().on_event(event)
    [record] = caplog.records
    assert (record.levelname, record.getMessage()) == (level, f"openai chat: {words}")


def test_the_environment_switches_it_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_logger: logging.Logger
) -> None:
    """``VOICEKIT_LOG=info`` prints, without a line of code."""
    own_logger.handlers[:] = []
    own_logger.propagate = False
    try:
        monkeypatch.setenv("VOICEKIT_LOG", "info")
        client = OpenAIClient("key", model="m")
        client._begin()
        client.abandon()
        assert "INFO voicekit openai pool: opened to api.openai.com" in capsys.readouterr().err
    finally:
        own_logger.propagate = True


def test_the_environment_must_name_a_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo is not silence."""
    monkeypatch.setenv("VOICEKIT_LOG", "loud")
    with pytest.raises(InvalidArgumentError, match="debug, info, warning"):
        observers_of_environment()


def test_silence_is_the_default() -> None:
    """No variable, no observer, no cost."""
    assert observers_of_environment() == ()
    assert OpenAIClient("key", model="m")._observer is None
