"""A release is stopped by each thing that would be wrong in it."""

import pytest

from tests.release_check import find_faults

READY = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n\n### Added\n\n- All of it.\n"


def test_a_tagged_commit_with_its_changelog_is_released():
    """Also if older releases follow."""
    for changelog in (READY, READY + "\n## [0.0.9] - 2026-01-01\n"):
        assert list(find_faults("0.1.0", changelog, ["v0.1.0", "latest"], clean=True)) == []


@pytest.mark.parametrize(("version", "changelog", "tags", "clean", "fault"), [
    ("0.1.0", READY, ["v0.1.0"], False, "The work tree has changes"),
    ("0.1.0", READY, [], True, "git tag v0.1.0"),
    ("0.1.0", READY, ["v0.1"], True, "git tag v0.1.0"),
    ("0.2.0", READY, ["v0.2.0"], True, "must be 0.2.0"),
    ("0.1.0", READY.replace(" - 2026-12-01", ""), ["v0.1.0"], True, "needs its date"),
    ("0.1.0", READY.replace("## [0.1.0] - 2026-12-01\n\n", ""), ["v0.1.0"], True, "under [Unreleased]"),
    ("0.1.0", READY.replace("## [Unreleased]\n\n", ""), ["v0.1.0"], True, "must begin with [Unreleased]"),
    ("0.1.0", "", ["v0.1.0"], True, "must begin with [Unreleased]"),
])  # fmt: skip
def test_each_fault_is_named(version: str, changelog: str, tags: list[str], clean: bool, fault: str):
    """With what to do about it."""
    assert any(fault in found for found in find_faults(version, changelog, tags, clean=clean))
