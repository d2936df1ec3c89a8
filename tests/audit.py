"""`make audit`: the pinned versions against the advisories that are published now, where these can be reached.

pip-audit stays in a folder of its own. Asked of a package index that knows no advisories it finds nothing and calls
that well, so the OSV database is asked, whose silence is an error.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / ".venv" / "audit"
ACCEPTED = {"CVE-2024-23342": "ecdsa: nothing of it is used (docs/security.md)"}
NOT_REACHED = (
    "The advisory service cannot be reached from here, so nothing was looked up.\n"
    "What is known of the dependencies stands in docs/security.md; `make test` holds the lower bounds and\n"
    "constraints.txt to it (tests/test_security_page.py)."
)


def pip_audit() -> Path:
    """The program, installed on first use."""
    program = PLACE / "bin" / "pip-audit"
    if not program.exists():
        venv.create(PLACE, with_pip=True)
        pip = [str(PLACE / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "pip-audit"], check=True)
    return program


def findings(report: str) -> list[str]:
    """What a report says against the pinned versions, but for what is accepted."""
    found = []
    for package in json.loads(report)["dependencies"]:
        for advisory in package.get("vulns", ()):
            if not ACCEPTED.keys() & {advisory["id"], *advisory["aliases"]}:
                fixed = ", ".join(advisory["fix_versions"]) or "no release"
                found.append(f"{package['name']} {package['version']}: {advisory['id']}, mended in {fixed}")
    return found


def main() -> int:
    """0: nothing is known against the pinned versions; 1: something is; 2: it could not be looked up."""
    options = [
        "--vulnerability-service",
        "osv",
        "--disable-pip",
        "--no-deps",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    command = [str(pip_audit()), "--requirement", str(ROOT / "constraints.txt"), *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = findings(run.stdout)
    except ValueError:
        print(NOT_REACHED, file=sys.stderr)
        return 2
    print("\n".join(found) or "No advisory is known against constraints.txt, but for what docs/security.md explains.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
