"""Runs the vendor's JavaScript SDK against an emulator: `make interop`.

Law: needs Node; where it is missing this says so and succeeds, but in CI (env CI=true) it fails. No address of a
package registry is written anywhere here: npm knows its own.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from fastapi_stackauth.emulator import emulator

HERE = Path(__file__).resolve().parent
PACKAGES = ("stack-new", "stack-old")


async def run(*command: str, environment: dict[str, str] | None = None) -> int:
    """Run a command here; return its exit status."""
    process = await asyncio.create_subprocess_exec(*command, cwd=HERE, env={**os.environ, **(environment or {})})
    return await process.wait()


async def flows(package: str) -> int:
    """Run every flow with one version of the SDK, on an emulator of its own."""
    async with emulator() as running:
        return await run("node", "flows.mjs", package, environment=running.environment())


async def main() -> int:
    """Install what package-lock.json names; run each version's flows, the guide's page, the clients of our schema."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        sys.stderr.write("Node and npm are missing: the vendor's SDK is not tried.\n")
        return 1 if os.environ.get("CI") == "true" else 0
    if await run("npm", "ci", "--no-progress", "--silent") != 0:
        sys.stderr.write("npm could not install the vendor's SDK.\n")
        return 1
    results = [await flows(package) for package in PACKAGES]
    results.append(await run(sys.executable, "guide.py"))
    results.append(await run(sys.executable, "clients.py"))
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
