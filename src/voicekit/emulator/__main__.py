"""`python -m voicekit.emulator`: the emulator in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
import signal
import sys
from collections.abc import Sequence

from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.link import Link
from voicekit.emulator.providers import PROVIDERS
from voicekit.emulator.providers.twilio_calls_back import USER
from voicekit.emulator.scenario import SCENARIOS
from voicekit.emulator.server import Emulator


def parser(prog: str = "python -m voicekit.emulator") -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Serve emulated speech providers until interrupted, "
        "and print what to export so that clients find them.",
    )
    parser.add_argument("--tls", action="store_true", help="https and wss, throw-away authority")
    parser.add_argument("--rtt-ms", type=float, default=0.0, metavar="MS", help="round-trip time")
    parser.add_argument("--jitter-ms", type=float, default=0.0, metavar="MS", help="per direction")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="typical")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--speech",
        choices=("tones", "real"),
        default="tones",
        help="tones: self-checking audio, nothing is heard; real: speaks and listens (demo extra)",
    )
    parser.add_argument(
        "--port-base", type=int, metavar="PORT", help="first port, one more per provider"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--provider",
        action="append",
        choices=sorted(PROVIDERS),
        dest="providers",
        help="serve only this one; repeat for more",
    )
    calling = parser.add_argument_group(
        "calling back",
        "sign and send a webhook as Twilio does, print what comes of it, and end; start the "
        "application before, with what is exported here: --port-base keeps it the same",
    )
    calling.add_argument("--call-webhook", metavar="URL", help="an application's messaging webhook")
    calling.add_argument("--body", default="", metavar="TEXT", help="what the user writes")
    calling.add_argument("--media", action="append", metavar="FILE", help="a file with it; repeat")
    calling.add_argument("--voice", metavar="TEXT", help="a voice note in which this is heard")
    calling.add_argument("--from", dest="from_", default=USER, metavar="NUMBER", help=USER)
    calling.add_argument(
        "--wait",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long messages to the user are waited for; default 20",
    )
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _call_webhook(world: Emulator, options: argparse.Namespace, stop: asyncio.Event) -> int:
    """Tell an application of a message; print its answer and what the user then got."""
    told = await world.calls_back.message(
        options.call_webhook,
        body=options.body,
        media=options.media or (),
        voice=options.voice,
        from_=options.from_,
    )
    for record in told.webhooks:
        came = f"{record.status}" if record.status else "no answer"
        wrong = f", error {record.error}" if record.error else ""
        _say(f"{record.url}: {came} after {record.seconds:.3f} s{wrong}")
        for note in record.notes:
            _say(f"  {note}")
        if record.body:
            _say(record.body)
    shown = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.wait):
            while not stop.is_set():
                got = world.journal.delivered_to(options.from_)
                for each in got[shown:]:
                    _say(f"to {each.recipient}, by {each.source}: {each.body}")
                    for media in each.media:
                        _say("  " + " ".join(f"{name}={value}" for name, value in media.items()))
                shown = len(got)
                await asyncio.sleep(0.05)
    for each in world.journal.sent_to(options.from_):
        if each.error is not None:
            _say(f"to {each.recipient}, by {each.source}: {each.status}, error {each.error}")
    return 0 if told.error is None else 1


async def _serve(options: argparse.Namespace) -> int:
    link = None
    if options.rtt_ms or options.jitter_ms:
        link = Link(rtt=options.rtt_ms / 1e3, jitter=options.jitter_ms / 1e3)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    async with Emulator(
        providers=options.providers or tuple(PROVIDERS),
        tls=options.tls,
        scenario=options.scenario,
        link=link,
        seed=options.seed,
        speech=options.speech,
        host=options.host,
        port_base=options.port_base,
    ) as world:
        for name, value in world.env().items():
            _say(f"export {name}={shlex.quote(value)}")
        if options.call_webhook is not None:
            return await _call_webhook(world, options, stop)
        _say("# serving until interrupted; any key but bad-key is accepted")
        await stop.wait()
    return 0


def main(argv: Sequence[str] | None = None, *, prog: str = "python -m voicekit.emulator") -> int:
    """Run the emulator until interrupted and return the exit status.

    Args:
        argv: Arguments without the program's name; None takes the process's own.
        prog: The name that usage messages show.
    """
    options = parser(prog).parse_args(argv)
    try:
        return asyncio.run(_serve(options))
    except KeyboardInterrupt:
        pass
    except (EmulatorError, OSError, ValueError) as wrong:
        sys.stderr.write(f"{prog}: {wrong}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
