"""Reads the Python blocks out of a page of documentation."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(
    r"(?:^<!-- no-run: (?P<reason>[^\n]+?) -->\n\n?)?^```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block: what it says, and whether it runs by itself.

    Attributes:
        line: Of the page, on which its code begins.
        no_run: Why it is only compiled, or None.
        file: The name in its first line, of the file that it is.
    """

    page: Path
    line: int
    code: str
    no_run: str | None
    file: str | None

    def compiled(self) -> CodeType:
        """Its code, whose tracebacks lead to the page."""
        return compile(
            "\n" * (self.line - 1) + self.code,
            str(self.page),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )


def blocks_of(page: Path) -> list[Block]:
    """The Python blocks of a page, in order."""
    text = page.read_text("utf-8")
    blocks = []
    for found in _BLOCK.finditer(text):
        code = found["code"]
        file = _FILE.match(code)
        blocks.append(
            Block(
                page=page,
                line=text.count("\n", 0, found.start("code")) + 1,
                code=code,
                no_run=found["reason"],
                file=file[1] if file else None,
            )
        )
    return blocks


def pages() -> list[Path]:
    """Every page that has Python in it."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in found if "```python" in page.read_text("utf-8")]
