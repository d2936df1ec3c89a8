"""The running demo, and people who use it: they see labels, buttons and texts, as people do."""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page, expect

from example_app.samples import PASSWORD
from fastapi_stackauth.settings import environment_names
from tests.support.real import RealServer
from tests.support.redis_server import free_port

ROOT = Path(__file__).parents[2]
ATTEMPTS = 3
_numbers, _run = count(1), secrets.token_hex(3)  # a real server keeps the users of earlier runs
_LINKS = {
    "sign_in": "/handler/magic-link-callback",
    "password_reset": "/handler/password-reset",
    "email_verification": "/handler/email-verification",
    "team_invitation": "/handler/team-invitation",
}
"""Where the links in the mails lead, by the kind of mail."""
expect.set_options(timeout=20_000)  # a busy machine is no failure


@dataclass(frozen=True)
class Demo:
    """Where the two servers are."""

    app: str
    auth_server: str
    real: RealServer | None = None

    @property
    def provider(self) -> str:
        """The provider whose sign-in page is a mock."""
        return (self.real and self.real.provider) or "github"

    @property
    def provider_name(self) -> str:
        """What the example calls it."""
        return {"github": "GitHub"}.get(self.provider, self.provider.capitalize())

    def mail(self, to: str, kind: str) -> dict[str, Any]:
        """The newest mail of a kind to an address."""
        if self.real is not None:
            assert self.real.mailbox
            return dict(self.real.mailbox.newest(to, _LINKS[kind]))
        answer = httpx.get(f"{self.auth_server}/emulator/outbox.json", params={"to": to, "kind": kind})
        return dict(answer.json()["items"][0])

    def new_person(self, *, verified: bool = False) -> str:
        """The address of somebody who has just signed up, from a program; perhaps they have verified it."""
        email = new_address()
        body = {"email": email, "password": PASSWORD}
        httpx.post(f"{self.app}/api/auth/password/sign-up", json=body).raise_for_status()
        if verified:
            code = self.mail(email, "email_verification")["code"]
            httpx.post(f"{self.app}/api/auth/verify-email", json={"code": code}).raise_for_status()
        return email


def new_address() -> str:
    """An address that nobody has used."""
    return f"visitor-{_run}-{next(_numbers)}@example.org"


@contextmanager
def running_demo(account_limit: str = "10000/minute", real: RealServer | None = None) -> Iterator[Demo]:
    """`make demo` as a process of its own, on free ports; attempts are not limited, because all come from here.

    With a real auth server, the app uses that one.
    """
    with TemporaryDirectory() as folder:
        for _ in range(ATTEMPTS):
            process, demo = _start(folder, account_limit, real)
            if _answers(f"{demo.app}/health/live", process):
                break
        else:
            raise AssertionError("the demo did not start")
        try:
            yield demo
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _start(folder: str, account_limit: str, real: RealServer | None) -> "tuple[subprocess.Popen[bytes], Demo]":
    ports = free_port(), free_port()
    others = {k: v for k, v in os.environ.items() if not k.startswith(("STACK_", "HEXCLAVE_", "DATABASE_URL"))}
    environment = {
        **others, "PORT": str(ports[0]), "EMULATOR_PORT": str(ports[1]),
        "STACK_RATE_LIMIT_ADDRESS": "10000/minute", "STACK_RATE_LIMIT_ACCOUNT": account_limit,
        "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/notes.sqlite3", **(real.environment if real else {}),
    }  # fmt: skip
    app, emulator = (f"http://localhost:{port}" for port in ports)
    for name in environment_names("app_url") if real else ():  # links and redirects lead to this demo
        environment.pop(name, None)
    command = [sys.executable, "-m", "example_app"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    return process, Demo(app, real.url if real else emulator, real)


def _answers(address: str, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until the demo answers; False if it ended, because another process had taken one of its ports."""
    for _ in range(600):
        if process.poll() is not None:
            return False
        try:
            if httpx.get(address).is_success:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"nothing answers at {address}")


class Visitor:
    """Somebody with a browser of their own."""

    def __init__(self, demo: Demo, context: BrowserContext, page: Page) -> None:
        self.demo = demo
        self.context = context
        self.page = page
        self.troubles: list[str] = []
        page.on("console", self._record_message)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))

    def _record_message(self, message: ConsoleMessage) -> None:
        # A refused request is an error to the console, and what many tests are about.
        if message.type == "error" and not re.match(r"Failed to load resource|WebSocket connection", message.text):
            self.troubles.append(message.text)

    async def open(self, path: str) -> None:
        """Go to a page."""
        await self.page.goto(path)

    async def fill(self, **fields: str) -> None:
        """Type into fields, by their label; underscores stand for blanks."""
        for label, text in fields.items():
            await self.page.get_by_label(re.compile(label.replace("_", "[ -]"), re.IGNORECASE)).first.fill(text)

    async def press(self, name: str, inside: str | None = None) -> None:
        """Press a button; `inside` is the title of the form or section where there are several."""
        scope: Page | Locator = self.page
        if inside is not None:
            titled = self.page.locator("form, section").filter(has=self.page.get_by_role("heading", name=inside))
            scope = titled.first
        await scope.get_by_role("button", name=name, exact=True).first.click()

    async def follow(self, name: str) -> None:
        """Follow a link."""
        await self.page.get_by_role("link", name=name, exact=True).first.click()

    async def sees(self, text: str) -> None:
        """Wait until a text is on the page."""
        await expect(self.page.get_by_text(text).filter(visible=True).first).to_be_visible()

    async def sees_no(self, text: str) -> None:
        """Wait until a text is not, or no longer, on the page."""
        await expect(self.page.get_by_text(text)).to_have_count(0)

    async def is_at(self, path: str) -> None:
        """Wait until a page is open, whatever its query."""
        await expect(self.page).to_have_url(re.compile(re.escape(self.demo.app + path) + r"(\?.*)?$"))

    async def title(self, text: str) -> None:
        """Wait until the page has this heading."""
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(text)

    async def sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Sign in with a password."""
        await self.open("/handler/sign-in?prompt=login")
        await self.fill(Email_address=email, Password=password)
        await self.press("Sign in")

    async def sign_up(self, email: str, password: str = PASSWORD) -> None:
        """Sign up with a password on the open page, and go on."""
        await self.fill(Email_address=email, Password=password)
        await self.press("Sign up")
        await self.title("Verify your email address")
        await self.press("Continue")

    async def sign_out(self) -> None:
        """Sign out on a page of the app."""
        await self.open("/")
        await self.press("Sign out")
        await self.title("Notes for you and your team")

    async def sign_in_at_provider(self, email: str) -> None:
        """Type an address into the provider's mock page, and press its first button."""
        field = "input[type=email], input[type=text], input:not([type])"
        await self.page.locator(field).filter(visible=True).first.fill(email)
        await self.page.locator("button, input[type=submit]").filter(visible=True).first.click()

    async def signs_in(self, email: str, password: str = PASSWORD) -> None:
        """Sign in, and be in."""
        await self.sign_in(email, password)
        await self.is_at("/notes")

    async def write(self, text: str) -> None:
        """Write a note, and see it in the list."""
        await self.page.get_by_label("New note").last.fill(text)
        await self.press("Add note")
        await self.sees(text)
