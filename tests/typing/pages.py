"""The Python of the docs as modules that a type checker reads."""

import ast
import builtins
import inspect
import symtable
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import ROOT, Block, blocks

_BUILT_IN = frozenset(dir(builtins))


@dataclass
class Module:
    """Blocks of one page that belong together: a block follows the one before it whose names it uses."""

    blocks: list[Block]
    names: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """A module name that says where the text stands."""
        first = self.blocks[0]
        page = first.page.relative_to(ROOT).with_suffix("")
        return f"{page}_line_{first.line}".replace("/", "_").replace("-", "_")

    @property
    def text(self) -> str:
        """The source. Each statement has the line number that it has in the page."""
        lines: list[str] = []
        for block in self.blocks:
            lines += [""] * (block.line - len(lines))
            lines += block.text.splitlines()
        if any(_awaits(block) for block in self.blocks):
            lines = [f"    {line}" if line else "" for line in lines]
            lines[self.blocks[0].line - 1] = "async def page() -> None:"  # instead of the fence
        return "\n".join(lines) + "\n"


def modules(page: Path) -> list[Module]:
    """Return the modules of a page, in their order."""
    found: list[Module] = []
    for block in blocks(page, "python"):
        defined, used = _names(block)
        missing = used - defined - _BUILT_IN
        earlier = [module for module in found if missing & module.names]
        module = earlier[-1] if earlier else Module([])
        if not earlier:
            found.append(module)
        module.blocks.append(block)
        module.names |= defined
    return found


def _names(block: Block) -> tuple[set[str], set[str]]:
    """Return the names that a block defines at its top level, and the global names that it uses anywhere."""
    top = symtable.symtable(block.text, str(block), "exec")
    tables = [top]
    for table in tables:
        tables += table.get_children()
    defined = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used = {
        symbol.get_name()
        for table in tables
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (table is top or symbol.is_global())
    }
    return defined, used


def _awaits(block: Block) -> bool:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return bool(compile(block.text, str(block), "exec", flags=flags).co_flags & inspect.CO_COROUTINE)
