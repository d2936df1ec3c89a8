"""A reader who types the tutorial into a shell."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

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
