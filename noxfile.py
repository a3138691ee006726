"""Every check of the project, each in an environment of its own: ``python3 -m nox -s NAME``."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import nox
from nox.command import CommandFailed

# Where it is set, each worker compiles and rewrites every test again: 20 s of each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = True

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())
PYTHONS = [
    found[1]
    for line in PROJECT["project"]["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
]
EVERYTHING = ".[demo,speed,metrics,prometheus,web]"
# With every extra installed nothing is skipped but what has a session of its own or takes minutes.
ONLY_SKIPS = "--only-skips=livekit|npm|--full{}"
# Four at a time: most tests wait for sockets. A worker that dies is a failure: xdist would
# wait for ever with another one.
WORKERS = ["-n", "4", "--dist", "loadgroup", "--max-worker-restart", "0"]
MATRIX = [(python, extras) for python in PYTHONS for extras in ("none", "all", "lowest")]


def group(name: str) -> list[str]:
    """The requirements of a dependency group."""
    return list(PROJECT["dependency-groups"][name])


def lowest() -> list[str]:
    """Pins of the lowest versions that pyproject.toml declares."""
    declared = list(PROJECT["project"]["dependencies"])
    for extra in PROJECT["project"]["optional-dependencies"].values():
        declared += [line for line in extra if not line.startswith("voicekit")]
    return [re.sub(r"^([\w.-]+)>=([\w.]+).*", r"\1==\2", line) for line in declared]


def run_tests(session: nox.Session, *arguments: str, files: tuple[str, ...] = ()) -> None:
    """All of them; what failed must then pass three times alone (``tests/second_round.py``)."""
    try:
        session.run("pytest", *files, "--cache-clear", *arguments, *session.posargs)
    except CommandFailed as failure:
        if failure.reason != "Returned code 1" or "--full" in session.posargs:
            raise  # it did not get to its end, or nobody is in a hurry
        again = ["--lf", "--last-failed-no-failures", "none", "--second-round"]
        only = [each for each in arguments if each.startswith("--only-skips")]
        session.run("pytest", *files, *again, *only)


@nox.session
def tests(session: nox.Session) -> None:
    """What is promised, on this interpreter, against the built package.

    ``-- -m slow``: what takes minutes. ``-- --full``: everything, with the long repeats.
    """
    session.install(EVERYTHING, *group("tests"), *group("sdks"), *group("docs"))
    full = "--full" in session.posargs
    which = [] if full or "-m" in session.posargs else ["-m", "not slow"]
    workers = [] if full else WORKERS
    run_tests(session, *which, *workers, ONLY_SKIPS.format(""))


@nox.session
@nox.parametrize(
    ("python", "extras"), MATRIX, ids=[f"{python}-{extras}" for python, extras in MATRIX]
)
def tests_all(session: nox.Session, extras: str) -> None:
    """Each Python × no extras, all extras, lowest versions; no vendors' SDKs, no docs group.

    Without what is slow.
    """
    if extras == "lowest":
        session.install(EVERYTHING, *lowest(), *group("tests"))
    else:
        session.install(EVERYTHING if extras == "all" else ".", *group("tests"))
    only = [] if extras == "none" else [ONLY_SKIPS.format("|SDK|docs group")]
    run_tests(session, "-m", "not slow", *WORKERS, *only)


@nox.session
def conformance_livekit(session: nox.Session) -> None:
    """livekit-plugins-elevenlabs, unmodified, against the multi-stream-input twin."""
    session.install(".[emulator]", *group("tests"), "livekit-plugins-elevenlabs>=1.8")
    session.run("pytest", "tests/conformance/livekit", "--require-livekit", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Every operation × every fault, each cell once; ``-- --full``: the repeats. See build/."""
    session.install(".[emulator,speed]", *group("tests"))
    files = ("tests/faults/grid.py", "tests/faults/against_baselines.py")
    # More at a time than elsewhere: cells wait for limits, and leave the processors idle. What a
    # busy machine may have failed has a second round (``tests/faults/rounds.py``), nothing else.
    run_tests(session, "-n", "6", *WORKERS[2:], files=files)


@nox.session
def mutation(session: nox.Session) -> None:
    """Each protection taken away, alone: a cell of the grid must turn red. See build/."""
    session.install(".[emulator,speed]", *group("tests"))
    session.run("pytest", "tests/faults/against_mutations.py", *WORKERS, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The notebook, executed in place; then every page, as `tests` runs them."""
    session.install(EVERYTHING, *group("tests"), *group("sdks"), *group("docs"))
    notebook = "docs/notebooks/first-calls.ipynb"
    session.run("python", "tests/docs/execute_notebook.py", notebook, notebook)
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """What pre-commit runs, over every file."""
    session.install(".", *group("lint"))
    session.run("ruff", "check", "--no-cache", ".")
    session.run("ruff", "format", "--no-cache", "--check", ".")
    folders = ("src", "tests", "docs", "benchmarks", "examples")
    session.run("codespell", *folders, "README.md", "CONTRIBUTING.md")
    session.run("validate-pyproject", "pyproject.toml")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict; the public API as users write it, besides."""
    # Our plugin is pytest's; the example is served by uvicorn.
    session.install(EVERYTHING, *group("types"), *group("tests"), *group("docs"))
    session.run("mypy")
    session.run("mypy", "--strict", "tests/typing", "examples")


@nox.session
def imports(session: nox.Session) -> None:
    """The bare install imports, every module of it that needs no extra."""
    session.install(".")
    session.run(
        "python",
        "-W",
        "error",
        "-c",
        "import voicekit; [getattr(voicekit, n) for n in voicekit.__all__]",
    )


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, with the vendors' SDKs beside ours."""
    session.install(EVERYTHING, *group("sdks"))
    session.run("python", "-m", "benchmarks", "--check", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """The wheel and the source archive."""
    session.install("build")
    session.run("python", "-m", "build")
