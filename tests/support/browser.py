"""A headless Chromium for browser tests: `tests/install_tools.py` brings it, this starts it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

from tests.install_tools import chromium

# As root Chromium has no sandbox; the rest keeps it from calling home, which a closed network answers with noise.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """A browser, closed at the end."""
    async with async_playwright() as playwright:
        path = chromium(playwright.chromium.executable_path)
        if path is None:
            pytest.skip("no Chromium: run `python -m tests.install_tools`")
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser of its own for each test; contexts and pages are the test's to open."""
    async with running_chromium() as browser:
        yield browser
