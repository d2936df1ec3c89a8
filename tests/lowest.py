"""Prints the lowest version of each dependency that pyproject.toml allows, as constraints: `make test-lowest`."""

import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)(?:\[[^\]]*\])?>=(?P<version>[0-9.]+)")


def lowest() -> Iterator[str]:
    """`name==version` of each dependency, those of the extras included.

    Raises:
        ValueError: a dependency has no lower bound, or says more than that.
    """
    project = tomllib.loads(Path(__file__).parent.parent.joinpath("pyproject.toml").read_text("utf-8"))["project"]
    for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise ValueError(f"not a lower bound alone: {requirement}")
        yield f"{match['name']}=={match['version']}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest()) + "\n")
