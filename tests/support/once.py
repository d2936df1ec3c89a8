"""What takes long to make is made once for a run of the tests, and all its worker processes share it."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that the first worker which needs it makes, while the others wait.

    Args:
        factory: pytest's own folder; each worker of pytest-xdist has one below that of the run.
        name: the folder's name, one for each thing that is made.
        make: fills the folder. If it raises, the next worker tries again.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, finished = root / name, root / f"{name}.finished"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # closing the file releases it
        if not finished.exists():
            make(folder)
            finished.touch()
    return folder
