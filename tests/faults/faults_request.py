"""Columns 16 to 21, 26 and 27: between the request's first byte and the answer's."""

from __future__ import annotations

import asyncio
import email.utils
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import scaled
from operations import KEY, Row

from faults import (
    OK,
    UNKNOWN,
    Fault,
    at_limit,
    by_kind,
    expect,
    fails,
    http,
    limits,
    sockets,
    uploads,
)
from voicekit.errors import (
    AuthenticationError,
    CircuitOpenError,
    FirstOutputTimeout,
    InvalidRequestError,
    OutcomeUnknownError,
    RateLimitError,
    RemoteProtocolError,
    TotalTimeout,
    UnavailableError,
    VoicekitError,
)

if TYPE_CHECKING:
    from cell import Cell
    from servers import Visit


_CALLERS = 4
_KEY = KEY.encode()


async def _reset_in_upload(cell: Cell) -> None:
    async def half(visit: Visit) -> None:
        await visit.read_some(cell.rng.choice([1_000, 100_000, 300_000]))
        visit.reset()

    cell.server.script = cell.first(half)
    result = await cell.call()
    expect(cell, result, by_kind(OK, UNKNOWN))
    if result.ok:
        torn, whole = cell.server.seen
        assert torn.body == whole.body[: len(torn.body)], "another body than the first time"


def _early(status: str, kind: type[BaseException], *, reads: bool) -> Any:
    """The server refuses at the upload's first bytes; then it reads on as nginx does, or not."""

    async def run(cell: Cell) -> None:
        async def refuse(visit: Visit) -> None:
            if not reads:
                visit.takes_little()
            await visit.read_some(1_000)
            await visit.say(
                status, b'{"error": {"message": "no"}}', headers="Connection: close\r\n"
            )
            if reads:
                await visit.hang()
            else:
                await asyncio.sleep(1.0)  # what is under way stays there

        cell.server.script = cell.first(refuse, 9)
        result = await cell.call()
        expect(cell, result, fails(kind))
        assert getattr(result.error, "status", None) == int(status[:3])
        assert result.elapsed < 0.1 + cell.canary.tolerance, f"took {result.elapsed:.3f} s"
        assert len(cell.server.seen) == 1, "it was repeated"
        (await cell.client()).rotate_key(KEY + "-2")  # a refused one is not asked with again

    return run


async def _silence(cell: Cell) -> None:
    async def silent(visit: Visit) -> None:
        await visit.read()
        await visit.hang()

    cell.server.script = silent
    result = await cell.call()
    expect(cell, result, by_kind(fails(FirstOutputTimeout, TotalTimeout), UNKNOWN))
    at_limit(cell, result, cell.row.limits.first_output or math.nan)
    if cell.row.uploads:
        assert len(cell.server.seen) == 1, "the provider has everything: it was repeated"
    elif cell.row.kind == "C":
        assert len(cell.server.seen) <= 2, "computed, and paid for, more than twice"


async def _one_failure(cell: Cell) -> None:
    """Each status in turn, on a client of its own: one failure, and then the right answer."""
    for status in ("500 Oops", "502 Bad Gateway", "503 Unavailable", "504 Timeout"):

        async def fail(visit: Visit, status: str = status) -> None:
            await visit.read()
            await visit.say(status, b'{"error": {"message": "oops"}}')

        cell.server.script = cell.first(fail)
        before = len(cell.server.seen)
        result = await cell.call(await cell.make())
        final = status[:3] in cell.row.final
        expect(cell, result, fails(UnavailableError) if final else by_kind(OK, UNKNOWN))
        requests = len(cell.server.seen) - before
        most = 1 if final or cell.row.kind == "E" else 2
        assert requests == most, f"{status}: {requests} requests"


async def _retry_after(cell: Cell) -> None:
    """Each spelling on a client of its own, all at the same time."""
    # A server whose clock is an hour ahead; dates are of whole seconds.
    hour = time.time() + 3600.0
    date, soon = (email.utils.formatdate(at, usegmt=True) for at in (hour, hour + 1.0))
    asked: dict[str, tuple[str, float, float]] = {
        "seconds": ("Retry-After: 1", 1.0, 1.1),
        "a date": (f"Date: {date}\r\nRetry-After: {soon}", 1.0, 1.1),
        "milliseconds": ("Retry-After-Ms: 150", 0.15, 0.17),
        "zero": ("Retry-After: 0", 0.0, 0.03),
        "negative": ("Retry-After: -5", 0.0, 0.03),
        "garbage": ("Retry-After: soon", 0.0, 0.03),
    }
    for name, (header, least, most) in asked.items():
        seen = len(cell.server.seen)
        cell.server.script = cell.first(_limited(header))
        result = await cell.call(await cell.make())
        expect(cell, result, OK)
        first, second = cell.server.seen[seen:]
        waited = second.at - first.at
        assert least - 0.002 <= waited <= most + cell.canary.tolerance, f"{name}: {waited:.3f} s"
    cell.server.script = cell.first(_limited("Retry-After: 3600"), 9)
    result = await cell.call(await cell.make())
    expect(cell, result, fails(RateLimitError, outcome="not_applied"))
    assert getattr(result.error, "retry_after", None) == 3600
    assert result.elapsed < 0.1 + cell.canary.tolerance, f"took {result.elapsed:.3f} s"
    await _too_long_to_wait(cell)


async def _too_long_to_wait(cell: Cell) -> None:
    """Longer than anybody shall wait for a provider; longer than the call has left.

    An effect needs time to be answered, too: else nobody would know whether it happened.
    """
    short = {cell.row.name: replace(cell.row.limits, total=0.6)}
    for header, longest, options in (
        ("Retry-After: 0.4", 0.3, {}),
        ("Retry-After: 3", 9.0, {}),
        ("Retry-After: 0.39", 9.0, {"limits": short} if cell.row.kind == "E" else None),
    ):
        if options is None:
            continue
        cell.server.script = cell.first(_limited(header), 9)
        policies = scaled.policies(retry=scaled.retry(longest_wait=longest))
        result = await cell.call(await cell.make(policies=policies, **options))
        expect(cell, result, fails(RateLimitError, outcome="not_applied"))
        assert result.elapsed < 0.1 + cell.canary.tolerance, f"{header}: it was waited for"


def _limited(header: str) -> Any:
    async def limited(visit: Visit) -> None:
        await visit.read()
        await visit.say("429 Slow Down", b'{"error": {"message": "slow"}}', headers=header + "\r\n")

    return limited


async def _expired(cell: Cell) -> None:
    """Callers whose token ends at the same moment: one asks for another, each repeats once."""
    refused = asyncio.Event()
    loop = asyncio.get_running_loop()
    renewals = 0

    async def token() -> str:
        nonlocal renewals
        if not refused.is_set():
            return KEY + "-old"
        renewals += 1
        await asyncio.sleep(0.02)
        return KEY + "-new"

    async def checked(visit: Visit) -> None:
        await visit.read()
        if b"-old" not in cell.row.secret(visit.seen):
            return await cell.good(visit)
        while len(cell.server.seen) < _CALLERS:
            await asyncio.sleep(0.002)
        loop.call_soon_threadsafe(refused.set)
        await asyncio.sleep(0.01)
        return await visit.say("401 Unauthorized", b'{"error": {"message": "expired"}}')

    cell.server.script = checked
    client = await cell.make(api_key=token)
    for result in await cell.together(_CALLERS, client):
        expect(cell, result, OK)
    assert renewals == 1, f"{renewals} times asked for another token"
    assert len(cell.server.seen) == 2 * _CALLERS, "each is repeated once"


async def _refused_key(cell: Cell) -> None:
    """A key that is wrong is said to be wrong once; whoever asks next is not sent there."""

    async def refuse(visit: Visit) -> None:
        await visit.read()
        await visit.say("401 Unauthorized", b'{"error": {"message": "no such key: %s"}}' % _KEY)

    cell.server.script = refuse
    result = await cell.call()
    expect(cell, result, fails(AuthenticationError))
    for _ in range(3):
        expect(cell, await cell.call(), fails(CircuitOpenError, outcome="not_applied"))
    assert len(cell.server.seen) == 1, "it was asked again with a refused key"
    (await cell.client()).rotate_key(KEY + "-2")


async def _redirects(cell: Cell) -> None:
    elsewhere = "127.0.0.4"
    for status, target in (
        ("307 Elsewhere", f"http://{elsewhere}:{cell.server.port}/"),
        ("308 Elsewhere", "/loop"),
        ("301 Elsewhere", f"http://{elsewhere}:{cell.server.port}/"),
    ):

        async def redirect(visit: Visit, status: str = status, target: str = target) -> None:
            await visit.read()
            await visit.say(status, b"", headers=f"Location: {target}\r\n")

        with cell.another(elsewhere) as other:
            before = len(cell.server.seen)
            cell.server.script = redirect
            result = await cell.call(await cell.make())
            expect(cell, result, fails(RemoteProtocolError, OutcomeUnknownError))
            assert other.seen == [], "the credential followed a redirect"
            for seen in cell.server.seen[before:]:
                assert seen.method == cell.row.method
                assert "/loop" not in seen.path


async def _redirected_handshake(cell: Cell) -> None:
    elsewhere = "127.0.0.4"
    target = f"http://{elsewhere}:{cell.server.port}/"

    async def redirect(visit: Visit) -> None:
        await visit.read()
        visit.seen.refused = True  # no socket was opened
        await visit.say("307 Elsewhere", b"", headers=f"Location: {target}\r\n")

    with cell.another(elsewhere) as other:
        cell.server.script = redirect
        result = await cell.call()
        expect(cell, result, fails(VoicekitError))
        assert other.seen == [], "the credential followed a redirect"
    assert len(cell.server.seen) == 1, "it was repeated"


def _stays(row: Row) -> str:
    if row.follows:
        return "it is redirected to where the file lies, without the credential: column 27c"
    return http(row)


COLUMNS = (
    Fault(
        number="16", title="reset during the upload", run=_reset_in_upload, applies=uploads,
        racy=True,
    ),
    Fault(
        number="17a", title="early 401 while uploading",
        run=_early("401 Unauthorized", AuthenticationError, reads=True), applies=uploads,
    ),
    Fault(
        number="17b", title="early 413 while uploading",
        run=_early("413 Too Large", InvalidRequestError, reads=False), applies=uploads,
    ),
    Fault(number="18", title="reads, never answers", run=_silence, applies=http),
    Fault(number="20", title="one 5xx, then ok", run=_one_failure, applies=http),
    Fault(
        number="21", title="429 with each Retry-After", run=_retry_after,
        applies=limits,
    ),
    Fault(number="26", title="401 from an expired token", run=_expired, applies=http),
    Fault(number="26b", title="401 that quotes a wrong key", run=_refused_key, applies=http),
    Fault(number="27", title="redirects", run=_redirects, applies=_stays),
    Fault(
        number="27b", title="redirected handshake", run=_redirected_handshake, applies=sockets
    ),
)  # fmt: skip
