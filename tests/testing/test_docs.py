"""A stranger follows `docs/testing.md` to the letter, in an empty folder."""

import subprocess
import sys

import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.testing import emulate
from tests.docs.blocks import ROOT, blocks

pytest_plugins = ["pytester"]
LOADED = (Emulator, emulate)  # pytester forgets what an inner run imports first
PAGE = ROOT / "docs/testing.md"
TWENTY_LINES = 20


@pytest.fixture
def project(pytester: pytest.Pytester) -> list[str]:
    """The app, the settings and each further block as a test file; their names."""
    app, *tests = (block.text for block in blocks(PAGE, "python"))
    (settings,) = (block.text for block in blocks(PAGE, "toml"))
    pytester.makepyfile(myapp=app)
    pytester.path.joinpath("pyproject.toml").write_text(settings)
    names = [f"test_block_{number}.py" for number in range(len(tests))]
    for name, text in zip(names, tests, strict=True):
        pytester.path.joinpath(name).write_text(text)
    return names


def test_the_first_test_works_in_an_empty_folder(pytester: pytest.Pytester, project: list[str]):
    """The first test is short and works in a folder with nothing but the app."""
    first, *others = project
    for name in [*others, "pyproject.toml"]:
        pytester.path.joinpath(name).unlink()
    assert len(pytester.path.joinpath(first).read_text().splitlines()) <= TWENTY_LINES
    pytester.runpytest_inprocess("-W", "error", "-p", "no:asyncio").assert_outcomes(passed=1)


def test_every_block_of_the_page_runs(pytester: pytest.Pytester, project: list[str]):
    result = pytester.runpytest_inprocess("-W", "error", "-p", "no:asyncio")
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert all(f"{name} ." in result.stdout.str() for name in project)


def test_the_unittest_runs_without_pytest(pytester: pytest.Pytester, project: list[str]):
    (name,) = [name for name in project if "unittest" in pytester.path.joinpath(name).read_text()]
    command = [sys.executable, "-W", "error", "-c", WITHOUT_PYTEST, name.removesuffix(".py")]
    done = subprocess.run(command, cwd=pytester.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


WITHOUT_PYTEST = """
import sys, unittest
sys.modules["pytest"] = None
sys.path.insert(0, "")
unittest.main(sys.argv[1], argv=sys.argv[:1])
"""
