"""The rooms of the package import in one direction."""

from pathlib import Path

import pytest

import fastapi_stackauth
from tests.ranks import violations


def test_no_file_imports_upward_and_each_has_a_rank():
    """No file of the package imports upward and each has a rank."""
    assert violations(Path(fastapi_stackauth.__file__).parent) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("kinds.py", "settings/fields.py", "plugin.py", "verification/claims.py", "verification/jwks.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "line", "fault"),
    [
        (
            "settings/fields.py",
            "from fastapi_stackauth.plugin import StackAuth",
            "settings/fields.py (rank 1) imports plugin.py",
        ),
        ("settings/fields.py", "import fastapi_stackauth.plugin", "settings/fields.py (rank 1) imports plugin.py"),
        ("kinds.py", "from .settings import fields", "kinds.py (rank 0) imports settings/fields.py"),
        (
            "kinds.py",
            "def f():\n    from .settings.fields import Settings",
            "kinds.py (rank 0) imports settings/fields.py",
        ),
        ("verification/claims.py", "from .jwks import KeyStore", "verification/claims.py (rank 1) imports"),
        ("verification/claims.py", "from fastapi import Request", "imports fastapi.Request below the rank"),
        ("plugin.py", "from fastapi_stackauth.emulator import app", "plugin.py: imports the emulator"),
        ("emulator/app.py", "from fastapi_stackauth.errors import AuthError", "emulator/app.py: the emulator imports"),
        ("stray.py", "", "stray.py: has no rank"),
    ],
)
def test_an_import_upward_or_a_file_without_a_rank_is_named(tree: Path, path: str, line: str, fault: str):
    (tree / "emulator").mkdir()
    (tree / "emulator/__init__.py").write_text("")
    (tree / path).write_text(line)
    assert [found for found in violations(tree) if fault in found], violations(tree)


def test_imports_downward_and_within_a_folder_are_fine(tree: Path):
    (tree / "plugin.py").write_text("from fastapi_stackauth.settings.fields import Settings\nfrom . import kinds\n")
    (tree / "verification/jwks.py").write_text("from .claims import bind\n")
    assert violations(tree) == []
