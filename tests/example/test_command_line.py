"""A tool with an OAuth client that is not ours signs in to the example: the code of docs/guides/command-line.md."""

import asyncio
import re
from typing import Any

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.example.visitors import Demo, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the browser and the demo are shared
GUIDE = ROOT / "docs" / "guides" / "command-line.md"


async def test_the_tool_of_the_guide_gets_tokens(visitor: Visitor, demo: Demo, capsys: pytest.CaptureFixture[str]):
    """Authlib starts, polls and refreshes; the user types the code, reads who asks, and presses Allow."""
    _, block = blocks(GUIDE, "python")
    namespace: dict[str, Any] = {"__name__": "tool"}
    exec(compile(block.text, str(GUIDE), "exec"), namespace)
    allowed = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The pause between two polls lasts until the user has decided: real seconds would only be waited for.
    namespace["sleep"] = lambda _: asyncio.run_coroutine_threadsafe(allowed.wait(), loop).result()
    email = demo.new_person()
    await visitor.signs_in(email)
    tool = asyncio.create_task(asyncio.to_thread(namespace["sign_in"], demo.app))
    shown = None
    while shown is None and not tool.done():
        await asyncio.sleep(0.05)
        shown = re.search(r"Open (\S+) and type (\S+)", capsys.readouterr().out)
    assert shown is not None
    await visitor.open(shown[1])
    await visitor.sees(email)
    await visitor.fill(Code=shown[2].lower())
    await visitor.press("Continue")
    await visitor.sees("Its name is not verified")
    await visitor.press("Allow")
    await visitor.sees("You can close this page.")
    allowed.set()
    client = await tool
    with client:
        me = client.get(f"{demo.app}/api/me")
        assert me.status_code == 200, me.text
        before = client.token["access_token"]
        client.refresh_token(f"{demo.app}/auth/device/token", client.token["refresh_token"])
        assert client.token["access_token"] != before
    await visitor.open("/handler/account-settings")
