"""Says whether this commit can be released: `make release-check`.

The version, the changelog and the tag must agree; then sdist and wheel are built into `dist/`, checked and tried
(`dist_check.py`). Those very files are what is published.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator

from tests import dist_check
from tests.dist_check import ROOT

_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_HEADING = re.compile(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def find_faults(version: str, changelog: str, tags: Collection[str], *, clean: bool) -> Iterator[str]:
    """Return what stands against releasing a commit.

    Args:
        version: that of the package.
        changelog: the text of CHANGELOG.md.
        tags: the tags of the commit.
        clean: whether the work tree has no changes.
    """
    if not clean:
        yield "The work tree has changes. Commit them, or put them away."
    if f"v{version}" not in tags:
        yield f"The commit has no tag v{version}. Write: git tag v{version}"
    headings = list(_HEADING.finditer(changelog))
    names = [heading[1] for heading in headings]
    if names[:1] != ["Unreleased"]:
        yield "CHANGELOG.md must begin with [Unreleased]."
        return
    following = headings[1].start() if len(headings) > 1 else len(changelog)
    if changelog[headings[0].end() : following].strip():
        yield f"CHANGELOG.md has changes under [Unreleased]. Move them under: ## [{version}] - YYYY-MM-DD"
    if len(headings) < 2 or headings[1][1] != version:
        yield f"The newest release in CHANGELOG.md must be {version}."
    elif headings[1][2] is None:
        yield f"The heading of {version} in CHANGELOG.md needs its date: ## [{version}] - YYYY-MM-DD"


def main() -> None:
    """Check the commit, then build and try what would be published."""
    text = (ROOT / "fastapi_stackauth/_version.py").read_text("utf-8")
    (version,) = _VERSION.findall(text)
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    tags = _git("tag", "--points-at", "HEAD").split()
    faults = list(find_faults(version, changelog, tags, clean=not _git("status", "--porcelain").strip()))
    if faults:
        sys.exit("\n".join(f"release-check: {fault}" for fault in faults))
    folder = ROOT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    wheel = dist_check.build(folder)
    packages = sorted(folder.glob("fastapi_stackauth-*"))
    dist_check.run(sys.executable, "-m", "twine", "check", "--strict", *packages, cwd=folder)
    dist_check.check(wheel)
    print(f"release-check: {version} can be published")  # noqa: T201


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
