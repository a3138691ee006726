"""``python -m voicekit``: demo, emulate."""

from __future__ import annotations

import sys
from argparse import REMAINDER, ArgumentParser
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of the library.

    Returns:
        The exit code: 0 for success, 2 for wrong arguments or a missing extra.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = ArgumentParser(prog="voicekit", description="Latency-optimized speech clients.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="a spoken question answered aloud, cold and then warm")
    emulate = commands.add_parser(
        "emulate", help="the providers, emulated, in the foreground", add_help=False
    )
    emulate.add_argument("rest", nargs=REMAINDER)
    if arguments[:1] == ["emulate"]:
        from voicekit.emulator.__main__ import main as emulator

        return emulator(arguments[1:])

    from voicekit.demo.run import add_arguments, run

    add_arguments(demo)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
