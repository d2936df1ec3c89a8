"""An app that has the prebuilt pages and nothing else, and users who fill in their forms without scripts."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI

from fastapi_stackauth import CurrentUser, StackAuth, Theme
from fastapi_stackauth.emulator import Emulator
from tests.routers.callers import new_stack

ORIGIN = "http://localhost:8000"
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
WEB_FORM = "application/x-www-form-urlencoded"


class Document(HTMLParser):
    """A page as a program sees it: its text, its tags with their attributes, its forms with their fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.heading = "", ""
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: list[dict[str, Any]] = []
        self._inside = self._select = ""
        self._header: set[int] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if not any(name == "main" for name, _ in self.tags):
            self._header.add(id(found))
        if tag == "form":
            self.forms.append({"action": found["action"], "method": found["method"], "fields": {}})
        elif tag in ("input", "select") and "name" in found and self.forms:
            box = found.get("type") == "checkbox"
            self.forms[-1]["fields"][found["name"]] = "" if box else found.get("value", "")
            self._select = found["name"] if tag == "select" else ""
        elif tag == "option" and "selected" in found:
            self.forms[-1]["fields"][self._select] = found["value"]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside == "h1":
            self.heading += data

    def find(self, **attributes: str) -> dict[str, str]:
        """Return the attributes of the first tag that has these."""
        wanted = attributes.items()
        return next(found for _, found in self.tags if wanted <= found.items())

    def links(self) -> list[str]:
        """Return the targets of all links, but not that of the logo, which leads home."""
        return [found["href"] for tag, found in self.tags if tag == "a" and id(found) not in self._header]


class Visitor:
    """A browser without scripts, on one page at a time."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.response: httpx.Response
        self.page: Document

    async def open(self, address: str, **headers: str) -> Document:
        """Open a page, and follow redirects within the app."""
        return await self.show(await self.client.get(address, headers={"accept": "text/html", **headers}))

    async def submit(self, **typed: str) -> Document:
        """Fill in the form of the page, and send it."""
        (chosen,) = self.page.forms
        assert chosen["method"] == "post"
        assert typed.keys() <= chosen["fields"].keys(), (typed.keys(), chosen)
        headers = {"accept": "text/html", "content-type": WEB_FORM}
        fields = httpx.QueryParams({**chosen["fields"], **typed})
        sent = await self.client.post(chosen["action"], content=str(fields), headers=headers)
        return await self.show(sent)

    async def send(self, action: str, **typed: str) -> Document:
        """Fill in the form of the page whose action matches a pattern, and send it."""
        self.page.forms = [next(form for form in self.page.forms if re.fullmatch(action, form["action"]))]
        return await self.submit(**typed)

    def actions(self) -> list[str]:
        """Where the forms of the page post to."""
        return [form["action"] for form in self.page.forms]

    async def show(self, response: httpx.Response) -> Document:
        """Follow redirects within the app, and read the page."""
        while response.status_code == 303 and response.headers["location"].startswith(("/", ORIGIN)):
            response = await self.client.get(response.headers["location"], headers={"accept": "text/html"})
        self.response, self.page = response, Document(response.text)
        return self.page

    @property
    def path(self) -> str:
        """The path of the page."""
        return urlsplit(str(self.response.url)).path

    async def sign_up(self, email: str = EMAIL) -> None:
        """Make an account with a password."""
        await self.open("/handler/sign-up?return_to=/notes")
        await self.submit(email=email, password=PASSWORD)

    async def sign_out(self) -> None:
        """Forget the session."""
        self.client.cookies.clear()


class Site:
    """An app with the pages under `/handler`, and a page of its own under `/notes`."""

    def __init__(
        self, server: Emulator, theme: Theme | None = None, *, pages: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        self.server = server
        self.stack: StackAuth = new_stack(server, **settings)
        self.app = FastAPI()
        self.stack.install(self.app)
        self.app.include_router(self.stack.pages_router(prefix="/handler", theme=theme, **(pages or {})))

        @self.app.get("/notes")
        async def notes(user: CurrentUser) -> str:
            return f"notes of {user.id}"

    @asynccontextmanager
    async def visitor(self) -> AsyncIterator[Visitor]:
        """Somebody with a browser of their own."""
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
            yield Visitor(client)

    def mail(self, kind: str, to: str = EMAIL) -> dict[str, Any]:
        """The newest email of a kind."""
        return self.server.emails(to, kind)[0]
