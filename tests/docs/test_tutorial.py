"""The tutorial, typed as it stands: two real servers and curl."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser

from tests.docs.blocks import ROOT, blocks
from tests.support.redis_server import free_port

PAGE = ROOT / "docs/tutorial.md"
TOOLS = Path(sys.executable).parent


class Reader:
    """Somebody who types the tutorial, in a folder of their own, on ports that are free."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"8000": str(free_port()), "8102": str(free_port())}
        self.python, self.console = blocks(PAGE, "python"), blocks(PAGE, "console")
        self.processes: list[subprocess.Popen[bytes]] = []

    def type_text(self, text: str) -> str:
        """What is typed: tools of this very environment, ports that are free."""
        for port, free in self.ports.items():
            text = text.replace(port, free)
        return text.replace(".venv/bin/", f"{TOOLS}/")

    def start(self, command: str) -> None:
        """Start a server and leave it running."""
        if "--port" not in command:
            command += " --port 8102" if "emulator" in command else " --port 8000"
        with (self.folder / "output.txt").open("ab") as output:
            words = self.type_text(command).split()
            self.processes.append(subprocess.Popen(words, cwd=self.folder, env=_plain(), stdout=output, stderr=output))

    def stop(self) -> None:
        """Stop the server that was started last."""
        process = self.processes.pop()
        process.terminate()
        process.wait(30)

    def run(self, commands: str) -> str:
        """Type commands into one shell; what they print."""
        words = ["bash", "-ec", self.type_text(commands)]
        return subprocess.run(words, cwd=self.folder, env=_plain(), check=True, capture_output=True, text=True).stdout

    def until_up(self, path: str, port: str) -> None:
        for _ in range(600):
            try:
                httpx.get(f"http://localhost:{self.ports[port]}{path}")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError((self.folder / "output.txt").read_text())


def _plain() -> dict[str, str]:
    names = ("STACK_", "HEXCLAVE_", "NEXT_PUBLIC_")
    return {name: value for name, value in os.environ.items() if not name.startswith(names)}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    while reader.processes:
        reader.stop()


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="the tutorial is typed with curl")
async def test_the_tutorial_leads_from_nothing_to_signed_in(reader: Reader, browser: Browser):
    install, emulator, serve, sign_up, refused, serve_site = (block.text.strip() for block in reader.console)
    assert "pip install" in install  # `make dist-check` installs the package
    main, addition = (block.text for block in reader.python)
    (reader.folder / "main.py").write_text(main)
    reader.start(emulator)
    reader.until_up("/", "8102")
    reader.start(serve)
    reader.until_up("/docs", "8000")

    said = reader.run(sign_up)
    assert '"email":"ada@example.com"' in said
    assert '"Hello, ada@example.com"' in said
    assert '"Hello, stranger"' in said
    token = sign_up.splitlines()[1]
    codes = reader.run(f"{token}\n{refused}")
    for status, code in (("401", "authentication_required"), ("401", "token_malformed"), ("403", "email_not_verified")):
        assert f"HTTP/1.1 {status}" in codes
        assert f'"code":"{code}"' in codes

    reader.stop()
    (reader.folder / "main.py").write_text(reader.type_text(main + addition))
    reader.start(serve_site)
    reader.until_up("/", "8000")
    page = await browser.new_page()
    for address, outcome in (("ada@example.com", "That did not work."), ("bob@example.com", "Hello, ")):
        await page.goto(f"http://localhost:{reader.ports['8000']}/")
        await page.get_by_role("link", name="Sign in with GitHub").click()
        await page.get_by_label("Email address").fill(address)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_text(outcome).wait_for()
    await page.close()
