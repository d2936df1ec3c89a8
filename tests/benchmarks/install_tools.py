"""`make bench` needs wrk, and counts instructions with Valgrind where it is: on Debian, as root, both are installed."""

import os
import shutil
import subprocess
import sys

TOOLS = ("wrk", "valgrind")


def main() -> None:
    """Install what is missing; say what could not be."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            subprocess.run(["apt-get", "-qq", *command], check=False, stdout=subprocess.DEVNULL, env=environment)
    if shutil.which("wrk") is None:
        sys.exit("The served benchmarks need wrk. Install it so that `wrk` is on the path, and run this again.")


if __name__ == "__main__":
    main()
