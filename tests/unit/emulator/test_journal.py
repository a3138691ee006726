"""The journal: what it keeps, what it never keeps, and that it stays bounded."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from voicekit.emulator import journal as journal_module
from voicekit.emulator.journal import Journal, RequestRecord, digest


def request(
    journal: Journal, operation: str = "chat", body: bytes = b"", **facts: Any
) -> RequestRecord:
    record = journal.open_request(
        connection=1,
        provider=facts.pop("provider", "openai"),
        operation=operation,
        method="POST",
        path=facts.pop("path", "/v1/x"),
        **facts,
    )
    journal.set_body(record, body)
    return record


def test_credentials_are_kept_as_digests_only() -> None:
    """No key is in the journal, but equal keys can be told from different ones."""
    journal = Journal()
    headers = [("Authorization", "Bearer marked-key"), ("xi-api-key", "marked-key"), ("X-A", "b")]
    record = request(journal, headers=headers)
    assert "marked-key" not in json.dumps(journal.to_json())
    assert record.headers["authorization"] == digest("Bearer marked-key")
    assert record.headers["authorization"] != record.headers["xi-api-key"]
    assert record.headers["x-a"] == "b"


def test_audio_is_kept_counted_and_digested_in_order() -> None:
    """The audio of a request is what was written, piece after piece."""
    journal = Journal()
    record, other = request(journal, "speech.stream"), request(journal, "speech.stream")
    journal.sent_audio(record, b"ab")
    journal.sent_audio(other, b"xx")
    journal.sent_audio(record, b"c")
    journal.close_request(record, "complete")
    assert journal.audio(record) == b"abc"
    assert journal.audio(record.id) == b"abc"
    assert record.audio_bytes_sent == 3
    assert record.audio_sha256 == hashlib.sha256(b"abc").hexdigest()
    assert record.first_byte_at is not None
    assert record.finished_at is not None


def test_audio_beyond_the_bound_is_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; the count and the digest still cover everything."""
    monkeypatch.setattr(journal_module, "MAX_AUDIO_BYTES", 4)
    journal = Journal()
    record = request(journal, "speech.stream")
    for _ in range(3):
        journal.sent_audio(record, b"abc")
    journal.close_request(record, "complete")
    assert journal.audio(record) == b"abc"
    assert record.audio_bytes_sent == 9
    assert record.audio_sha256 == hashlib.sha256(b"abc" * 3).hexdigest()


def test_bodies_are_cut_and_say_so() -> None:
    """A body of more than a mebibyte is kept in part, with a note."""
    record = request(Journal(), body=b"x" * (journal_module.MAX_BODY_BYTES + 1))
    assert len(record.body) == journal_module.MAX_BODY_BYTES
    assert "cut" in record.notes[0]


def test_bodies_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many bodies share one bound; beyond it the oldest are let go."""
    monkeypatch.setattr(journal_module, "MAX_BODIES_BYTES", 100)
    journal = Journal()
    records = [request(journal, body=b"x" * 40) for _ in range(4)]
    assert [len(record.body) for record in records] == [0, 0, 40, 40]


def test_records_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full list lets its older half go, counts it, and frees its audio."""
    monkeypatch.setattr(journal_module, "MAX_RECORDS", 10)
    journal = Journal()
    for _ in range(25):
        record = request(journal, "speech.stream", b"body")
        journal.sent_audio(record, b"aa")
        journal.close_request(record, "complete")
    assert len(journal.requests) <= 10
    assert journal.dropped == 25 - len(journal.requests)
    assert [r.id for r in journal.requests] == list(range(26 - len(journal.requests), 26))
    assert journal.audio(1) == b""
    assert journal.audio(25) == b"aa"
    assert len(journal._bodies) == len(journal.requests)


def test_duplicates_are_equal_path_and_body() -> None:
    """A request sent twice shows; different bodies, or none, do not."""
    journal = Journal()
    twice = [request(journal, body=b"one") for _ in range(2)]
    request(journal, body=b"two")
    request(journal, body=b"one", provider="deepgram")
    request(journal), request(journal)
    assert journal.duplicates() == [twice]


def test_new_connections_count_from_a_moment() -> None:
    """What was open before the mark is not new."""
    journal = Journal()
    old = journal.open_connection("openai")
    mark = journal.mark("end of speech")
    new = journal.open_connection("openai")
    other = journal.open_connection("deepgram")
    assert journal.new_connections("openai", since=mark) == [new]
    assert journal.new_connections(since=mark) == [new, other]
    assert journal.new_connections("openai") == [old, new]
    assert journal.marks["end of speech"] == mark


def test_clear_keeps_open_connections_and_goes_on_counting() -> None:
    """After clear a benchmark's journal is empty, and ids stay unique."""
    journal = Journal()
    closed, still = journal.open_connection("openai"), journal.open_connection("openai")
    closed.closed_at = journal.now()
    first = request(journal, "speech.stream", b"{}")
    journal.sent_audio(first, b"aa")
    journal.frame(first, "in", "binary", size=3)
    journal.clear()
    assert journal.connections == [still]
    assert not journal.requests
    assert not journal.frames
    assert journal.audio(first) == b""
    assert request(journal).id == first.id + 1


def test_speech_texts_join_pieces_per_context() -> None:
    """HTTP bodies and socket pieces, one text per utterance, in order of appearance."""
    journal = Journal()
    request(journal, "speech.stream", b'{"text": "Whole."}')
    socket = request(journal, "speech.socket")
    sent = [("a", " "), ("a", "One "), ("b", "Two "), ("a", "more. "), ("b", "too. "), ("a", "")]
    for context, text in sent:
        journal.frame(
            socket,
            "in",
            "text",
            size=9,
            data={"text": text, "context_id": context},
            context=context,
        )
    journal.frame(socket, "in", "text", size=2, data={"close_socket": True})
    request(journal, "speech.stream", b"not json")
    refused = request(journal, "speech.stream", b'{"text": "Refused."}')
    journal.close_request(refused, "refused")
    request(journal, "chat", b'{"text": "never spoken"}')
    request(journal, "speech.stream", b'{"text": "Last."}')
    assert journal.speech_texts() == ["Whole.", "One more.", "Two too.", "Last."]


def test_requests_and_frames_are_found_by_whose_they_are() -> None:
    """By provider and operation; by request and direction."""
    journal = Journal()
    chat, models = request(journal, "chat"), request(journal, "models")
    request(journal, "chat", provider="other")
    journal.frame(chat, "in", "text", size=1, data="a")
    journal.frame(chat, "out", "text", size=1, data="b")
    assert journal.requests_for("openai") == [chat, models]
    assert journal.requests_for("openai", "chat") == [chat]
    assert [frame.data for frame in journal.frames_for(chat)] == ["a", "b"]
    assert [frame.data for frame in journal.frames_for(chat.id, "out")] == ["b"]


def test_the_journal_survives_json() -> None:
    """A snapshot taken in another process is the same journal."""
    journal = Journal()
    connection = journal.open_connection("openai", tls="TLSv1.3", handshake_round_trips=2)
    record = request(journal, "speech.stream", b'{"text":"\xc3\xa4"}', headers=[("A", "b")])
    journal.sent_audio(record, b"\x00\xff")
    journal.close_request(record, "complete")
    journal.frame(record, "out", "text", size=4, data={"x": [1, None]}, context="c")
    journal.mark("m")
    copy = Journal.from_json(json.loads(json.dumps(journal.to_json())))
    assert copy.connections == [connection]
    assert copy.requests == journal.requests
    assert copy.requests[0].json() == {"text": "ä"}
    assert copy.frames == journal.frames
    assert copy.marks == journal.marks
    assert copy.audio(record.id) == b"\x00\xff"
    assert request(copy).id == record.id + 1
