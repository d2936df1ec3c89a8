"""Runs several versions of the vendor's JavaScript SDK against an emulator: `make interop`.

Law: needs Node; where it is missing this says so and succeeds, but in CI (env CI=true) it fails. No address of a
package registry is written anywhere here: npm knows its own.

package-lock.json pins three versions under the old name. The newest has a new name, and some registries do not have
it: it is installed beside them if npm finds it. INTEROP_SDK chooses another version; then it must be there.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from fastapi_stackauth.emulator import emulator

HERE = Path(__file__).resolve().parent
PACKAGES = ("stack-new", "stack-old", "stack-oldest")
NEWEST = "stack-newest"  # the name in node_modules
NEWEST_SDK = "@hexclave/js@1.0.126"


async def run(*command: str, environment: dict[str, str] | None = None) -> int:
    """Run a command here; return its exit status."""
    process = await asyncio.create_subprocess_exec(*command, cwd=HERE, env={**os.environ, **(environment or {})})
    return await process.wait()


async def flows(package: str) -> int:
    """Run every flow with one version of the SDK, on an emulator of its own."""
    async with emulator() as running:
        return await run("node", "flows.mjs", package, environment=running.environment())


async def newest() -> int:
    """Install the newest SDK and run every flow with it; say so if npm does not find it."""
    chosen = os.environ.get("INTEROP_SDK")
    sdk = chosen or NEWEST_SDK
    options = ("--no-save", "--no-package-lock", "--no-progress", "--silent")
    if await run("npm", "install", *options, f"{NEWEST}@npm:{sdk}") == 0:
        return await flows(NEWEST)
    sys.stderr.write(f"npm could not install {sdk}: NOT TRIED. Set INTEROP_SDK to a version that your registry has.\n")
    return 1 if chosen else 0


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
    results.append(await newest())  # last: it changes what is installed
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
