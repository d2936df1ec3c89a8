"""The programs that tests rest on are there and do what the other tests take for granted."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.support.redis_server import RedisServer


async def test_a_browser_runs_a_script(browser: Browser):
    page = await browser.new_page()
    await page.set_content("<p id=sum></p><script>sum.textContent = 1 + 1</script>")
    assert await page.inner_text("#sum") == "2"


async def test_a_redis_server_that_was_killed_starts_again_on_its_port(redis_server: RedisServer):
    port = redis_server.port
    redis_server.kill()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await redis_server.start()
    assert redis_server.port == port


def test_no_program_of_the_tests_is_run_by_its_path():
    """Python puts a program's folder first on its path, where `tests/typing` would hide the standard library's."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text("utf-8")
    assert re.findall(r"[Pp][Yy][Tt][Hh][Oo][Nn]\)? tests/\w+\.py", makefile) == []
