"""The pages on which a user confirms a command-line tool, without scripts."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import CliPage
from tests.pages.site import EMAIL, ORIGIN, PASSWORD, Site, Visitor

PAGE = "/handler/cli-auth-confirm"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Tool:
    """A command-line tool at an app with pages and `cli_router()`."""

    def __init__(self, server: Emulator, *, pages: dict[CliPage, str] | None = None, shares: bool = False) -> None:
        server.add_user(primary_email=EMAIL, primary_email_verified=True, password=PASSWORD, display_name="Ada")
        self.site = Site(server, secret_server_key=server.secret_server_key)
        router = self.site.stack.cli_router(pages=pages, share_browser_session=shares)
        self.site.app.include_router(router, prefix="/auth")
        self.codes: dict[str, Any] = {}

    async def start(self, visitor: Visitor, name: str = "notes-cli") -> str:
        """Ask for codes, and return the link that the tool shows."""
        answer = await visitor.client.post("/auth/device/authorization", data={"client_id": name})
        self.codes = dict(answer.json())
        link: str = self.codes["verification_uri_complete"]
        return link

    async def poll(self, visitor: Visitor) -> httpx.Response:
        """Ask for tokens."""
        fields = {"grant_type": GRANT, "client_id": "notes-cli", "device_code": self.codes["device_code"]}
        return await visitor.client.post("/auth/device/token", data=fields)


@pytest.fixture
async def tool(server: Emulator) -> AsyncIterator[Tool]:
    tool = Tool(server)
    yield tool
    await tool.site.stack.aclose()


async def confirm(tool: Tool, visitor: Visitor) -> None:
    """Sign in by the link of the tool, and type the rest of its code."""
    link = await tool.start(visitor)
    assert link == f"{ORIGIN}{PAGE}?code={tool.codes['user_code'][:4]}"
    await visitor.open(link)
    assert visitor.path == "/handler/sign-in"
    await visitor.submit(email=EMAIL, password=PASSWORD)
    assert visitor.path == PAGE
    await visitor.submit(user_code=tool.codes["user_code"][-4:].lower())


@pytest.mark.parametrize("shares", [True, False])
async def test_a_tool_is_allowed_once(server: Emulator, shares: bool):
    """The choices of `cli_router` hold here. Sending the form twice does no harm, and says why."""
    tool = Tool(server, shares=shares)
    async with tool.site.visitor() as visitor:
        await confirm(tool, visitor)
        assert visitor.page.heading == "Allow this device?"
        assert "A device that calls itself notes-cli asks for access" in visitor.page.text
        assert "127.0.0.1" in visitor.page.text
        form = visitor.page.forms[0]
        page = await visitor.submit()
        assert "The device is signed in." in page.text
        assert page.forms == []
        again = await visitor.client.post(form["action"], data=form["fields"], headers={"accept": "text/html"})
        assert again.status_code == 303 if shares else "It may have expired or been used." in again.text
        assert (await tool.poll(visitor)).status_code == 200
    await tool.site.stack.aclose()


async def test_a_tool_is_denied(tool: Tool):
    async with tool.site.visitor() as visitor:
        await confirm(tool, visitor)
        deny = visitor.page.find(formaction=f"{PAGE}/deny")["formaction"]
        visitor.page.forms[0]["action"] = deny
        page = await visitor.submit()
        assert "Access was denied." in page.text
        assert (await tool.poll(visitor)).json()["error"] == "access_denied"


async def test_a_wrong_code_is_said_beside_the_field(tool: Tool):
    async with tool.site.visitor() as visitor:
        await tool.start(visitor)
        await visitor.open(f"/handler/sign-in?return_to={PAGE}")
        await visitor.submit(email=EMAIL, password=PASSWORD)
        for typed in ("BBBB-BBBB", "", "<b>"):
            page = await visitor.submit(user_code=typed)
            assert visitor.response.status_code in (404, 422)
            assert "autofocus" in page.find(name="user_code", **{"aria-invalid": "true"})
            assert visitor.page.forms
        await visitor.open(f"{PAGE}/verify")
        assert visitor.path == PAGE


async def test_an_old_sign_in_is_repeated(tool: Tool):
    async with tool.site.visitor() as visitor:
        await visitor.open(f"/handler/sign-in?return_to={PAGE}")
        await visitor.submit(email=EMAIL, password=PASSWORD)
        tool.site.server.clock.advance(601)
        await visitor.open(PAGE)
        assert re.search(r"/sign-in\?return_to=%2Fhandler%2Fcli-auth-confirm&prompt=login", str(visitor.response.url))
        await visitor.submit(password=PASSWORD)
        assert visitor.path == PAGE


async def test_a_page_of_the_app_beats_the_prebuilt_one(server: Emulator):
    tool = Tool(server, pages={"device": "/mine"})
    async with tool.site.visitor() as visitor:
        assert (await tool.start(visitor)).startswith(f"{ORIGIN}/mine?code=")
    await tool.site.stack.aclose()


async def test_without_a_cli_router_there_is_no_such_page(site: Site):
    """And no setting is missing for it."""
    assert site.stack.missing_settings() == {}
    async with site.visitor() as visitor:
        for method, path in (("GET", PAGE), ("POST", f"{PAGE}/verify"), ("POST", f"{PAGE}/confirm")):
            answer = await visitor.client.request(method, path)
            assert answer.status_code == 404, path
