"""``python -m voicekit``: demo, emulate."""

from __future__ import annotations

import sys
from argparse import REMAINDER, ArgumentParser
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of the library.

    Returns:
        The exit code: 0 for success, 2 for wrong arguments, a missing extra or a failed demo,
        130 after Ctrl-C.
    """
    try:
        return _main(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        return 130


def _main(arguments: list[str]) -> int:
    if arguments[:1] == ["emulate"]:
        from voicekit.emulator.__main__ import main as emulate

        return emulate(arguments[1:], prog="python -m voicekit emulate")

    parser = ArgumentParser(
        prog="python -m voicekit", description="Latency-optimized speech clients."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="a spoken question answered aloud: cold, warm, again")
    # For the list of commands only: its options are the emulator's own.
    commands.add_parser(
        "emulate", help="the providers, emulated, in the foreground", add_help=False
    ).add_argument("rest", nargs=REMAINDER)

    from voicekit.demo.run import add_arguments, run

    add_arguments(demo)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
