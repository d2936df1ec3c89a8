"""The fenced code of the docs: where it stands, and how its Python runs."""

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The blocks of a page, of one language or of all."""
    text = page.read_text("utf-8")
    found = [
        Block(page, text.count("\n", 0, match.start()) + 1, match["language"], match["text"])
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if language in (None, block.language)]


async def run(page: Path) -> dict[str, object]:
    """Run a page's Python from top to bottom, as a reader would who types it all; what it defined.

    `await` at the top level works, as in a notebook.
    """
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        made = eval(_compile(block), names)
        if inspect.isawaitable(made):
            await made
    return names


def _compile(block: Block) -> CodeType:
    # the newlines let a traceback name the line in the page
    source = "\n" * block.line + block.text
    code: CodeType = compile(source, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code
