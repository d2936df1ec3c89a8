"""Builds sdist and wheel, and tries the wheel where the source tree is not: `make dist-check`.

The wheel is built from the sdist, so both are tried. One environment has the package alone, one all extras and tests.
"""

import email
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "[cli,emulator,mcp,pages,redis]"
PLUGIN = "pytest_fastapi_stackauth.py"
TESTS = (
    "tests/dependencies", "tests/routers/test_router.py", "tests/sessions/test_sessions.py",
    "tests/emulator/test_dashboard.py", "tests/pages/test_languages.py", "tests/pages/test_sign_in.py",
    "tests/testing/test_docs.py", "tests/testing/test_plugin.py", "tests/docs/test_tutorial.py",
)  # fmt: skip

BARE = """
import asyncio, pathlib, sys
import httpx
from fastapi import FastAPI
import fastapi_stackauth
from fastapi_stackauth import CurrentUser, StackAuth, User

assert pathlib.Path(fastapi_stackauth.__file__).is_relative_to(sys.prefix), fastapi_stackauth.__file__
stack, app = StackAuth(), FastAPI()
stack.install(app)
app.include_router(stack.router(delivery="body"), prefix="/auth")

@app.get("/me")
async def me(user: CurrentUser) -> User:
    return user

async def call():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        answer = await client.get("/me")
        assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")
        assert len((await client.get("/openapi.json")).json()["paths"]) > 30

asyncio.run(call())
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> None:
    """Run a command; end here where it fails."""
    print("+", *command, flush=True)  # noqa: T201 - it tells what it does
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("STACK_", "HEXCLAVE_", "PYTHON"))
    }
    if subprocess.run(command, cwd=cwd, env=clean | environment, check=False).returncode:
        sys.exit(f"dist-check: failed: {' '.join(map(str, command))}")


def build(folder: Path) -> Path:
    """Build the sdist, and the wheel from it; return the wheel."""
    folder.mkdir(exist_ok=True)
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Compare what is in the wheel with what is in the repository, and its version with the package's."""
    names = ("git", "ls-files", "fastapi_stackauth", PLUGIN)
    listed = subprocess.run(names, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        (metadata,) = [name for name in packed if name.endswith(".dist-info/METADATA")]
        version = email.message_from_bytes(archive.read(metadata))["Version"]
    missing = [name for name in listed if name not in packed and (ROOT / name).exists()]
    foreign = [name for name in packed if not name.startswith(("fastapi_stackauth/", "fastapi_stackauth-", PLUGIN))]
    if missing or foreign:
        sys.exit(f"dist-check: missing from the wheel: {missing}; should not be there: {foreign}")
    if f'__version__ = "{version}"' not in (ROOT / "fastapi_stackauth/_version.py").read_text("utf-8"):
        sys.exit(f"dist-check: the wheel says version {version}, the package another one")


def environment(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment with these; return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--upgrade", "pip>=25.1", cwd=folder)
    run(*pip, "--constraint", ROOT / "constraints.txt", *requirements, cwd=folder)
    return python


def read_install_line() -> str:
    """Return what the README tells `pip install` to install."""
    (requirement,) = re.findall(
        r"^pip install '(fastapi-stackauth\[.*\])'$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    return str(requirement)


def main() -> None:
    """Build, and try what was built."""
    with tempfile.TemporaryDirectory() as name:
        check(build(Path(name)))


def check(wheel: Path) -> None:
    """Look inside a wheel, install it, try it."""
    check_contents(wheel)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = environment(folder / "bare", read_install_line().replace("fastapi-stackauth", str(wheel)))
        run(bare, "-c", BARE, cwd=folder)
        full = environment(folder / "full", f"{wheel}{EXTRAS}", "--group", f"{ROOT / 'pyproject.toml'}:test")
        work = folder / "work"
        shutil.copytree(
            ROOT / "tests", work / "tests", ignore=shutil.ignore_patterns("node_modules", "made", "__pycache__")
        )
        shutil.copy(ROOT / "pyproject.toml", work)  # for pytest's settings
        shutil.copytree(ROOT / "docs", work / "docs")  # some tests read what the docs promise
        shutil.copy(ROOT / "README.md", work)
        run(full, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, cwd=work)
        run(full, "-m", "fastapi_stackauth.emulator", "--help", cwd=work)
    print("dist-check: sdist and wheel are whole, and work without the source tree")  # noqa: T201


if __name__ == "__main__":
    main()
