"""How long a server asks us to wait, in every spelling seen."""

from __future__ import annotations

import time

import pytest

from voicekit.wire.retry_after import MAX_WAIT_S, parse_go_duration, parse_retry_after

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"Retry-After": " 3 "}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": ".5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "9" * 60}, MAX_WAIT_S),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT"}, 10.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:49:47 GMT"}, 10.0),
        ({"retry-after": "Sun Nov  6 08:49:47 1994"}, 10.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:07 GMT"}, 0.0),
        ({"retry-after": "Sun, 06 Nov 9994 08:49:07 GMT"}, MAX_WAIT_S),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250.5", "retry-after": "3"}, 0.2505),
        ({"Retry-After-Ms": "-1"}, 0.0),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"x-ratelimit-reset-requests": "3s"}, None),
    ],
)
def test_waits(headers, seconds):
    """Milliseconds go before seconds, dates are measured from now, the past is no wait."""
    assert parse_retry_after(headers, now_wall=NOW) == seconds


@pytest.mark.parametrize("skew", [-3600.0, -20.0, 0.0, 20.0, 3600.0])
def test_a_date_is_by_the_servers_clock(skew):
    """What lies 10 s after the answer's own date is 10 s off, whatever our clock says."""
    headers = {"Retry-After": "Sun, 06 Nov 1994 08:49:47 GMT"}
    for date in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"):
        assert parse_retry_after({**headers, "Date": date}, now_wall=NOW + skew) == 10.0
    headers["date"] = "yesterday"
    assert parse_retry_after(headers, now_wall=NOW) == 10.0


@pytest.mark.parametrize(
    "garbage",
    ["", "soon", "nan", "inf", "-inf", "1e3", "1_000", "٣", "3s", "0x3", "3,5", "9" * 400,
     "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
     "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 99999999 08:49:37 GMT", "\x00", ", ,", "GMT"],
)  # fmt: skip
def test_garbage_is_as_good_as_absent(garbage):
    """A header that says nothing must neither raise nor delay."""
    for name in ("retry-after", "retry-after-ms"):
        assert parse_retry_after({name: garbage}, now_wall=NOW) is None


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be set here")
def test_a_date_without_a_zone_is_utc(monkeypatch):
    """The machine's own time zone has no part in it."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        headers = {"retry-after": "Sun Nov  6 08:49:47 1994"}
        assert parse_retry_after(headers, now_wall=NOW) == 10.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("0", 0.0),
        ("6ms", 0.006),
        ("1m13.588s", 73.588),
        ("23h55m16.126s", 86_116.126),
        ("1.5h", 5_400.0),
        ("500µs", 0.0005),
        ("500us", 0.0005),
        ("7ns", 7e-9),
        (" 1s ", 1.0),
        ("+1s", 1.0),
        ("-1m", 0.0),
        ("99999999999h", MAX_WAIT_S),
        ("", None),
        ("s", None),
        ("1", None),
        ("1 s", None),
        ("1s!", None),
        ("1x", None),
        ("1d", None),
        ("1.2.3s", None),
        ("1s" * 40, None),
    ],
)
def test_go_durations(text, seconds):
    """OpenAI's reset headers are written by Go."""
    assert parse_go_duration(text) == (None if seconds is None else pytest.approx(seconds))
