"""The guide's examples run, one after the other, against the emulator."""

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest

from fastapi_stackauth.emulator import emulator

GUIDE = Path(__file__).parents[2] / "docs" / "client.md"


async def test_the_examples_of_the_guide_run(monkeypatch: pytest.MonkeyPatch):
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    names: dict[str, object] = {}
    async with emulator() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        for block in blocks:
            code = compile(block, str(GUIDE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, names)
            if inspect.isawaitable(result):
                await result
        await asyncio.wait_for(names["client"].aclose(), 10)  # type: ignore[attr-defined]  # the guide's own client
