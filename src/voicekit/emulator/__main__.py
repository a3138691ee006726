"""`python -m voicekit.emulator`: the emulator in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
import signal
import sys
from typing import TYPE_CHECKING

from voicekit.emulator.errors import EmulatorError
from voicekit.emulator.link import Link
from voicekit.emulator.providers import PROVIDERS
from voicekit.emulator.scenario import SCENARIOS
from voicekit.emulator.server import Emulator

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "parser"]


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
    return parser


async def _serve(options: argparse.Namespace) -> None:
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
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
        sys.stdout.write("# serving until interrupted; any key but bad-key is accepted\n")
        sys.stdout.flush()
        await stop.wait()


def main(argv: Sequence[str] | None = None, *, prog: str = "python -m voicekit.emulator") -> int:
    """Run the emulator until interrupted and return the exit status.

    Args:
        argv: Arguments without the program's name; None takes the process's own.
        prog: The name that usage messages show.
    """
    options = parser(prog).parse_args(argv)
    try:
        asyncio.run(_serve(options))
    except KeyboardInterrupt:
        pass
    except (EmulatorError, OSError, ValueError) as wrong:
        sys.stderr.write(f"{prog}: {wrong}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
