"""The programs that tests rest on are there and do what the other tests take for granted."""

import asyncio

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
