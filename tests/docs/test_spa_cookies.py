"""The guide for a single-page app on another port: its API and its script, in a browser."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from fastapi_stackauth.emulator import Emulator
from tests.docs.blocks import ROOT, blocks
from tests.docs.reader import Reader
from tests.support.redis_server import free_port

PAGE = ROOT / "docs/guides/spa-cookies.md"
CREDENTIALS = "'ada@example.com', 'correct horse battery'"


class FrontEnd(Reader):
    """The guide's API on one port, and its page on another."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports = {"8000": str(free_port()), "5173": str(free_port())}
        (self.api,) = blocks(PAGE, "python")
        (self.link,) = blocks(PAGE, "html")
        self.script = blocks(PAGE, "js")[0]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.ports['5173']}/"

    def write(self) -> None:
        """Write the app, and the page with the script and the link."""
        (self.folder / "main.py").write_text(self.type_text(self.api.text))
        (self.folder / "auth.js").write_text(self.type_text(self.script.text))
        module = '<script type="module">import * as auth from "/auth.js"; window.auth = auth;</script>'
        (self.folder / "index.html").write_text(f"<!doctype html>{module}{self.type_text(self.link.text)}")

    def serve_files(self) -> None:
        """Serve the page as a development server does."""
        command = [sys.executable, "-m", "http.server", "--bind", "localhost", self.ports["5173"]]
        quiet = subprocess.DEVNULL
        self.processes.append(subprocess.Popen(command, cwd=self.folder, stdout=quiet, stderr=quiet))


@pytest.fixture
def front_end(tmp_path: Path) -> Iterator[FrontEnd]:
    front_end = FrontEnd(tmp_path)
    yield front_end
    while front_end.processes:
        front_end.stop()


async def test_a_page_on_another_port_signs_in_with_cookies(front_end: FrontEnd, server: Emulator, browser: Browser):
    """The page signs up, stays signed in after a reload, signs out, and signs in with a provider."""
    front_end.write()
    (front_end.folder / ".env").write_text("".join(f"{k}={v}\n" for k, v in server.environment().items()))
    front_end.start(".venv/bin/uvicorn main:app --env-file .env --port 8000")
    front_end.serve_files()
    front_end.until_up("/docs", "8000")
    front_end.until_up("/", "5173")

    page = await browser.new_page()
    await page.goto(front_end.url)
    await page.wait_for_function("window.auth")
    assert await page.evaluate("auth.currentUser()") is None
    await page.evaluate(f"auth.signUp({CREDENTIALS})")
    assert await page.evaluate("auth.currentUser()") == "ada@example.com"
    assert await page.evaluate("document.cookie") == ""
    await page.reload()
    await page.wait_for_function("window.auth")
    assert await page.evaluate("auth.currentUser()") == "ada@example.com"
    await page.evaluate("auth.signOut()")
    assert await page.evaluate("auth.currentUser()") is None
    error = await page.evaluate("auth.signIn('ada@example.com', 'wrong').catch((error) => [error.status, error.code])")
    assert error == [400, "EMAIL_PASSWORD_MISMATCH"]

    await page.get_by_role("link", name="Sign in with GitHub").click()
    await page.locator("input").first.fill("bob@example.com")
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(front_end.url)
    await page.wait_for_function("window.auth")
    assert await page.evaluate("auth.currentUser()") == "bob@example.com"
    await page.close()
