"""A headless Chromium for browser tests: `tests/install_tools.py` brings it, this starts it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.install_tools import find_chromium
from tests.support.redis_server import free_port

# As root Chromium has no sandbox; the rest keeps it from calling home, which a closed network answers with noise.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@asynccontextmanager
async def running_chromium(*arguments: str) -> AsyncIterator[Browser]:
    """A browser, closed at the end."""
    async with async_playwright() as playwright:
        path = find_chromium(playwright.chromium.executable_path)
        if path is None:
            pytest.skip("no Chromium: run `python -m tests.install_tools`")
        browser = await playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture(scope="session")
def debugging_port() -> int:
    """Return the port on which the one Chromium of this process takes connections of tests."""
    return free_port()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium(debugging_port: int) -> AsyncIterator[Browser]:
    """One Chromium for all tests of this process that run in the session's event loop; each opens its own contexts."""
    async with running_chromium(f"--remote-debugging-port={debugging_port}") as browser:
        yield browser


@pytest.fixture
async def browser(chromium: Browser, debugging_port: int) -> AsyncIterator[Browser]:
    """The same Chromium, for a test with an event loop of its own; closing it closes the test's contexts alone."""
    assert chromium.is_connected()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{debugging_port}")
        try:
            yield browser
        finally:
            await browser.close()
