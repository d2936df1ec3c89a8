"""Check the library as its users do: a project of their own, strict checkers, no plugin.

`python -m tests.typing.check` runs mypy and pyright on `consumer/` and on the Python of the docs, and lets pyright look
for unknown types in what the library exports.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.docs.blocks import PAGES, ROOT, blocks
from tests.typing.pages import modules

CONSUMER = Path(__file__).parent / "consumer"
CACHE = ROOT / ".mypy_cache/consumer"
_ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def documented_code() -> dict[str, str]:
    """Return the modules of all pages by name, and the app that the tests of docs/testing.md import."""
    found = {module.name: module.text for page in PAGES for module in modules(page)}
    app = blocks(ROOT / "docs/testing.md", "python")[0]
    return found | {"myapp": app.text}


@contextmanager
def project(sources: Mapping[str, str]) -> Iterator[Path]:
    """Yield a folder outside this repository that holds the consumer's settings and these modules."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for settings in ("mypy.ini", "pyrightconfig.json"):
            shutil.copy(CONSUMER / settings, folder)
        for module, text in sources.items():
            (folder / f"{module}.py").write_text(text, "utf-8")
        yield folder


def run_mypy(folder: Path) -> str:
    """Return what mypy reports; nothing if it finds no error."""
    return _run(folder, "mypy", "--cache-dir", str(CACHE), "--no-error-summary", ".")


def run_pyright(folder: Path) -> str:
    """Return what pyright reports; nothing if it finds no error."""
    output = _run(folder, "basedpyright", "--pythonpath", sys.executable, "--project", ".")
    return "" if output.startswith("0 errors, 0 warnings") else output


def find_unknown_types(folder: Path) -> str:
    """Return the exported names whose type pyright does not know; nothing if it knows all."""
    arguments = ("--verifytypes", "fastapi_stackauth", "--ignoreexternal", "--outputjson")
    found = json.loads(_run(folder, "basedpyright", *arguments))["typeCompleteness"]
    if not found["exportedSymbolCounts"]["withKnownType"]:
        return "pyright did not find the package"
    return "\n".join(f"{symbol['name']}: unknown type" for symbol in found["symbols"] if is_unknown(symbol))


def is_unknown(symbol: Mapping[str, object]) -> bool:
    """Whether pyright cannot tell a public name's type. A type that it infers is fine, if ambiguous."""
    return bool(symbol["isExported"]) and not symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]


def _run(folder: Path, module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def main() -> int:
    """Run all checks at once; the number of those that found something."""
    sources = {path.stem: path.read_text("utf-8") for path in sorted(CONSUMER.glob("*.py"))} | documented_code()
    with project(sources) as folder, ThreadPoolExecutor() as pool:
        reports = list(pool.map(lambda check: check(folder), (run_mypy, run_pyright, find_unknown_types)))
    for report in filter(None, reports):
        print(report, file=sys.stderr)
    return sum(map(bool, reports))


if __name__ == "__main__":
    sys.exit(main())
