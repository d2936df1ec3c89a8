"""Install the programs that `make test` needs and no Python package brings.

These are a Chromium for the browser tests, and the servers of docker-compose.yml that tests start by hand: Redis,
PostgreSQL and nginx.

On Debian and Ubuntu, as root, all come from the distribution's packages. Elsewhere Playwright's own installer brings
Chromium. The servers are left to the user; the tests that need them say so when they skip.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
SERVERS = {"redis-server": "redis-server", "nginx": "nginx", "initdb": "postgresql"}
"""Programs, and Debian's packages that bring them."""


def server_program(name: str) -> str | None:
    """Where a server's program is: on the path, or where Debian puts those of PostgreSQL; None where there is none."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return shutil.which(name) or shutil.which(name, path="/usr/sbin") or (str(versions[-1]) if versions else None)


def find_chromium(own: str) -> str | None:
    """A Chromium: Playwright's own, where it would be, else one on the path; None where there is none."""
    if Path(own).exists():
        return own
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


def _chromium() -> str | None:
    with sync_playwright() as playwright:
        return find_chromium(playwright.chromium.executable_path)


def _run(*command: str) -> bool:
    print("+", " ".join(command), flush=True)  # noqa: T201 - it tells what it installs
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0


def _install_packages(*names: str) -> None:
    if names and shutil.which("apt-get") and os.geteuid() == 0:
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        os.environ["RUNLEVEL"] = "1"  # the packages must not start servers of their own
        _run("apt-get", "-qq", "update")
        _run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *names)


def main() -> None:
    """Install what is missing; say what could not be."""
    missing = [] if _chromium() else ["chromium"]
    missing += [package for name, package in SERVERS.items() if not server_program(name)]
    _install_packages(*missing)
    if not _chromium() and not _run(sys.executable, "-m", "playwright", "install", "chromium"):
        sys.exit(
            "The browser tests need Chromium, and neither Debian's packages (as root) nor Playwright's installer could "
            "bring it. Install Chromium so that `chromium` is on the path, and run this again."
        )
    for name in SERVERS:
        if not server_program(name):
            print(f"No {name}: the tests that need it are skipped.")  # noqa: T201


if __name__ == "__main__":
    main()
