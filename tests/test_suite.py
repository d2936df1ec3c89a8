"""Rules of the tests themselves: where helpers live, and how long names are."""

import ast
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
LONGEST = 60


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(FOLDER.rglob("test_*.py")):
        if "node_modules" not in path.parts:
            yield from ((path, node) for node in ast.walk(ast.parse(path.read_text("utf-8"))))


def test_no_test_module_imports_another():
    """What test modules share is in a module of its own, such as those of tests/support."""
    imports = [
        f"{path.name}: {node.module}"
        for path, node in nodes()
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2].startswith("test_")
    ]
    assert imports == []


def test_names_of_tests_are_short():
    """A docstring has room for the rest of the promise."""
    functions = (node for _, node in nodes() if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    assert [each.name for each in functions if each.name.startswith("test_") and len(each.name) > LONGEST] == []
