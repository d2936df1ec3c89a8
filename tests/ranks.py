"""The import rule: a file imports from lower ranks, and within its folder from its own; the design page ranks files."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "fastapi_stackauth"
APART = "emulator"  # a room of its own: it imports nothing of the package outside itself

DESIGN = Path(__file__).parents[1] / "docs" / "design.md"
RANKS: Mapping[str, int] = {
    name: int(rank)
    for rank, names in re.findall(r"^\| (\d+) \| ([^|]+) \|", DESIGN.read_text("utf-8"), re.MULTILINE)
    for name in re.findall(r"`([^`]+)`", names)
}
"""The table of the design page: the rank of each file or folder."""
WITHOUT_FASTAPI = 5  # up to this rank nothing knows of FastAPI
MAY_IMPORT_EMULATOR = ("testing/", "cli/")


def violations(root: Path) -> list[str]:
    """What breaks the rule in the package at this folder; empty where nothing does."""
    return [fault for path in sorted(root.rglob("*.py")) for fault in _faults(root, path.relative_to(root))]


def _faults(root: Path, path: Path) -> Iterator[str]:
    imports = list(_imports(root, path))
    if path.parts[0] == APART:
        yield from (f"{path}: the emulator imports {name}" for name in imports if _room(root, name, path))
        return
    rank = find_rank(path.as_posix())
    if rank is None:
        yield f"{path}: has no rank"
        return
    for name in imports:
        if rank <= WITHOUT_FASTAPI and name.split(".")[0] == "fastapi":
            yield f"{path}: imports {name} below the rank where FastAPI begins"
        target = _room(root, name, path)
        if target is not None:
            yield from _upward(path, rank, target)


def _upward(path: Path, rank: int, target: Path) -> Iterator[str]:
    if target.parts[0] == APART:
        if not path.as_posix().startswith(MAY_IMPORT_EMULATOR):
            yield f"{path}: imports the emulator"
        return
    target_rank = find_rank(target.as_posix())
    same_folder = len(path.parts) > 1 and path.parts[0] == target.parts[0]
    if target_rank is None or (target_rank >= rank and not (same_folder and target_rank == rank)):
        yield f"{path} (rank {rank}) imports {target} (rank {target_rank})"


def find_rank(path: str) -> int | None:
    """The rank of a file: its own, or that of the folder at the top of its path."""
    return RANKS.get(path, RANKS.get(path.split("/", maxsplit=1)[0] + "/"))


def _imports(root: Path, path: Path) -> Iterator[str]:
    tree = ast.parse((root / path).read_text("utf-8"))
    package = [PACKAGE, *path.parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _room(root: Path, name: str, importer: Path) -> Path | None:
    """The file of the package that an import reaches; None for other packages, and within the emulator."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return None
    inside = parts[1:]
    for length in range(len(inside), -1, -1):
        stem = Path(*inside[:length])
        for candidate in (stem.with_suffix(".py") if length else Path("__init__.py"), stem / "__init__.py"):
            if (root / candidate).is_file():
                own = importer.parts[0] == APART and candidate.parts[0] == APART
                return None if own else candidate
    return Path(*inside)
