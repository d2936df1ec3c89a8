"""The security page: the tests it names exist, no row lacks one without a reason, no bound lets in what it lists."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from tests.audit import ACCEPTED, findings
from tests.support.rows import rows

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")]
CHECKS = [row for row in ROWS if len(row) == 3 and row[0] != "item"]
ADVISORIES = [row for row in ROWS if len(row) == 4 and row[0] != "package"]
NO_FIX = "never: see the threat model"


def test_every_test_that_it_names_exists():
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE))
    assert len(named) > 80
    missing = [
        f"{path}::{name}"
        for path, name in sorted(named)
        if not re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []


@rows("row", CHECKS, ids=lambda row: row[0][:40])
def test_a_row_without_a_test_says_why(row: list[str]):
    _, how, test = row
    reasons = ("the auth server's", "the app's", "not met", "none", "not read", "authenticator's", "apart", "this page")
    assert "::" in test or (test == "\N{EN DASH}" and any(reason in how.lower() for reason in reasons))


def test_every_section_is_there():
    assert [f"3.{number}" for number in range(1, 13)] == [row[0].split()[0] for row in CHECKS[:12]]
    for standard in ("RFC 8725", "RFC 9700", "RFC 6750", "V6 ", "V7 ", "V9 ", "V10 ", "WebAuthn Level 3"):
        assert re.search(rf"^## .*{standard}", PAGE, re.MULTILINE), standard


def bounds() -> dict[str, Version]:
    """The lower bound of everything that the package and its extras depend on."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    requirements = [Requirement(each) for each in wanted]
    return {each.name: Version(next(iter(each.specifier)).version) for each in requirements}


def read_pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return {name.lower(): Version(version) for name, _, version in (line.partition("==") for line in lines) if version}


@rows("row", ADVISORIES, ids=lambda row: f"{row[0].split()[0]} {row[1]}")
def test_no_release_with_a_known_advisory_is_let_in(row: list[str]):
    name, _, fixed = row[0].split()[0].strip("`"), row[1], row[3]
    if fixed == NO_FIX:
        assert name == "ecdsa"
        return
    lowest = bounds().get(name)
    assert (lowest or read_pins()[name]) >= Version(fixed)
    assert (lowest is None) == ("(by " in row[0])


def test_every_dependency_is_listed():
    listed = {row[0].split()[0].strip("`") for row in ADVISORIES} | set(re.findall(r"`([a-z0-9-]+)`", PAGE))
    assert set(bounds()) <= listed


def test_the_audit_reports_all_but_explained_findings():
    """The audit tells what it found and passes over what the page explains."""

    def package(name: str, *vulns: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "version": "1.0", "vulns": list(vulns)}

    timing = {"id": "GHSA-wj6h-64fc-37mp", "aliases": ["CVE-2024-23342"], "fix_versions": []}
    bad = {"id": "CVE-1", "aliases": [], "fix_versions": ["1.1"]}
    report = {"dependencies": [package("ecdsa", timing), package("fine"), package("poor", bad), {"name": "skipped"}]}
    assert findings(json.dumps(report)) == ["poor 1.0: CVE-1, mended in 1.1"]
    assert all(accepted in PAGE for accepted in ACCEPTED)
