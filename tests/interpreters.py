"""Prints the Python interpreters of this machine that the package supports, one for each version: `make test-all`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def candidates(version: str) -> Iterator[Path]:
    """Where an interpreter may be: on the path, under pyenv, under uv."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield Path(folder, f"python{version}")
    home = Path.home()
    yield from sorted(home.glob(f".pyenv/versions/{version}.*/bin/python{version}"), reverse=True)
    yield from sorted(home.glob(f".local/share/uv/python/cpython-{version}.*/bin/python{version}"), reverse=True)


def works(python: Path, version: str) -> bool:
    """Whether it is there and is what its name says; shims of version managers may be neither."""
    if not python.is_file():
        return False
    program = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    asked = subprocess.run([python, "-c", program], check=False, capture_output=True, text=True)
    return asked.stdout.strip() == version


def find_interpreters() -> dict[str, Path]:
    """The first working interpreter of each version."""
    first = {
        version: next((path for path in candidates(version) if works(path, version)), None) for version in VERSIONS
    }
    return {version: path for version, path in first.items() if path}


if __name__ == "__main__":
    interpreters = find_interpreters()
    for absent in [version for version in VERSIONS if version not in interpreters]:
        sys.stderr.write(f"Python {absent} is not on this machine: left out.\n")
    sys.stdout.write("".join(f"{path}\n" for path in interpreters.values()))
