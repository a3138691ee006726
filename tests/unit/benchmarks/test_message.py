"""The arithmetic of the benchmark ``message``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from voicekit.emulator import Journal
from voicekit.emulator.scenario import SCENARIOS


@pytest.fixture
def message() -> Any:
    from benchmarks import message

    return message


@pytest.mark.parametrize(("opening", "seconds"), [(1.0, 0.45 + 1.23 + 2.15), (2.0, 2.0 + 2.15)])
def test_the_bound_is_the_longer_way_to_the_agent_and_the_agent(
    message, opening: float, seconds: float
) -> None:
    """By the seconds of the scenario that runs, which are those of the named one."""
    assert message.whatsapp().transcript_final == SCENARIOS["whatsapp"].transcript_final
    told = SimpleNamespace(
        media_download=0.45, transcript_final=1.23, agent_session_open=opening,
        agent_first_text=2.15,
    )  # fmt: skip
    assert message.bound(told) == pytest.approx(seconds)


def _journal(*sent: dict[str, Any]) -> Journal:
    journal = Journal()
    for each in sent:
        journal.open_delivery("twilio", sid="SM", sender="b", recipient="a", source="rest", **each)
    return journal


TEXT = {"body": "We are open."}
NOTE = {"media": [{"url": "u", "size": 9, "error": None}]}


def test_a_text_and_a_voice_note_each_once(message) -> None:
    """When they were accepted, in whatever order."""
    journal = _journal(NOTE, TEXT)
    note, text = journal.sent_to("a")
    assert message._sent(journal, "a") == (text.accepted_at, note.accepted_at)


@pytest.mark.parametrize(
    "sent",
    [
        (TEXT,),
        (TEXT, TEXT, NOTE),
        (TEXT, {"media": [{"url": "u"}]}),
        (TEXT, {"media": [{"url": "u", "size": 9, "error": 63019}]}),
    ],
    ids=["no voice", "twice", "not fetched", "refused"],
)
def test_anything_else_is_no_figure(message, sent: tuple[dict[str, Any], ...]) -> None:
    """A turn that failed, or was answered twice, ends the benchmark."""
    with pytest.raises(RuntimeError):
        message._sent(_journal(*sent), "a")


def test_the_emulators_lateness_is_what_its_requests_took_beyond_the_script(message) -> None:
    """Parts in the median, added up; an empty journal is an error."""
    journal = Journal()
    script = message.whatsapp()
    for provider, operation, took in (
        ("twilio", "media.content", 0.151),
        ("twilio_media", "media.bytes", 0.302),
        ("agentforce", "messages", 2.153),
    ):
        record = journal.open_request(
            connection=1, provider=provider, operation=operation, method="GET", path="/"
        )
        record.finished_at = record.received_at + took
    assert message.lateness(journal, script) == pytest.approx(6.0, abs=0.01)
    with pytest.raises(LookupError):
        message.lateness(Journal(), script)
