"""Clients that others' tools make of the example app's schema: linted, type-checked, and used on the running app.

Law: what is made lies in `made/` and is made anew each time.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi_stackauth.emulator import emulator
from fastapi_stackauth.emulator.serving import bind, run_servers

HERE = Path(__file__).resolve().parent
MADE = HERE / "made"
TOOLS = Path(sys.executable).parent
TSC = (
    "tsc", "client.ts", "--outDir", "made", "--strict", "--skipLibCheck", "--target", "es2022", "--types", "node",
    "--module", "nodenext", "--moduleResolution", "nodenext", "--allowImportingTsExtensions",
    "--rewriteRelativeImportExtensions",
)  # fmt: skip


@asynccontextmanager
async def example() -> AsyncIterator[str]:
    """The example app on an emulator of its own; its schema lies in `made/openapi.json`."""
    async with emulator() as server:
        listener = bind("127.0.0.1", 0)
        address = f"http://localhost:{listener.getsockname()[1]}"
        os.environ.update(server.environment(), STACK_APP_URL=address, STACK_INSECURE_COOKIES="true")
        from example_app.main import app

        (MADE / "openapi.json").write_text(json.dumps(app.openapi()), "utf-8")
        async with run_servers([(app, listener)]):
            yield address


async def step(*command: str, folder: Path = HERE, quiet: bool = True) -> None:
    """Run a command; end with what it said where it fails."""
    environment = {**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "MYPYPATH": str(MADE / "client")}
    environment["PYTHONPATH"] = str(MADE / "client")
    pipe = asyncio.subprocess.PIPE if quiet else None
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    if process.returncode != 0:
        sys.stderr.write(
            f"{' '.join(command[:3])} failed:\n{(out or b'').decode()[-5000:]}{(err or b'').decode()[-5000:]}"
        )
        raise SystemExit(1)


async def main() -> None:
    """Lint the schema, make both clients, check their types, and let them call the app."""
    shutil.rmtree(MADE, ignore_errors=True)
    MADE.mkdir()
    async with example() as address:
        await step("npx", "redocly", "lint", "made/openapi.json")
        sys.stdout.write("ok redocly: no errors\n")
        sys.stdout.flush()
        await step("npx", "openapi-typescript", "made/openapi.json", "-o", "made/schema.d.ts")
        await step("npx", *TSC)
        await step("node", "made/client.js", address, quiet=False)
        await step("openapi-python-client", "generate", "--path", "made/openapi.json", "--output-path", "made/client")
        # What is imported is checked: where a body may be JSON or a form, the generator itself forgets an import.
        await step("mypy", "--strict", "--config-file", os.devnull, "client.py")
        await step(sys.executable, "client.py", address, quiet=False)


if __name__ == "__main__":
    asyncio.run(main())
