"""The page of docs/guides/spa.md, as it stands there, with the vendor's SDK, calling the app of the same guide.

Law: Node is no browser, so `tokenStore: "cookie"` becomes `"memory"`; that, and where things are, is all that differs.
"""

import asyncio
import os
import sys
from pathlib import Path

from fastapi import FastAPI

from fastapi_stackauth.emulator import emulator
from fastapi_stackauth.emulator.serving import bind, run_servers

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.docs.blocks import ROOT, blocks, run  # noqa: E402 - the repository's root must be on the path first

GUIDE = ROOT / "docs/guides/spa.md"
MADE = HERE / "guide.made.mjs"

BEFORE = """
import assert from "node:assert/strict";
const { API, STACK_PROJECT_ID: PROJECT_ID, STACK_API_URL: AUTH_SERVER } = process.env;
const PUBLISHABLE_CLIENT_KEY = process.env.STACK_PUBLISHABLE_CLIENT_KEY;
"""
AFTER = """
await assert.rejects(call("/notes"), { code: "authentication_required", status: 401 });
const signedUp = await stack.signUpWithCredential({
  email: "ada@example.com", password: "Correct-Horse-7", noRedirect: true, noVerificationCallback: true,
});
assert.equal(signedUp.status, "ok");
const user = await stack.getUser({ or: "throw" });
assert.deepEqual(await call("/notes"), [`A note of ${user.id}`]);
console.log("ok guide: a single-page app calls the API with the SDK's token");
process.exit(0);
"""  # fmt: skip


async def main() -> int:
    """Serve an auth server and the guide's app, and let the guide's page call it."""
    (page,) = blocks(GUIDE, "js")
    script = page.text.replace("@stackframe/js", "stack-new").replace('"cookie"', '"memory"')
    MADE.write_text(BEFORE + script + AFTER, "utf-8")
    async with emulator() as server:
        os.environ.update(server.environment())
        app = (await run(GUIDE))["app"]
        assert isinstance(app, FastAPI)
        listener = bind("127.0.0.1", 0)
        address = f"http://localhost:{listener.getsockname()[1]}"
        async with run_servers([(app, listener)]):
            node = await asyncio.create_subprocess_exec("node", MADE.name, cwd=HERE, env={**os.environ, "API": address})
            return await node.wait()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    finally:
        MADE.unlink(missing_ok=True)
