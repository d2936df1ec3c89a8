"""Swagger UI in Chromium: “Authorize” signs in with e-mail and password, and a protected route is then called."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import fastapi_offline
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Page, Route, expect

from fastapi_stackauth import CurrentUser, StackAuth, User
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import bind, run_servers

ASSETS = Path(fastapi_offline.__file__).parent / "static"
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"


@asynccontextmanager
async def api(server: Emulator) -> AsyncIterator[str]:
    """An app with both routers and its docs, as `make demo` has it; its address."""
    listener = bind("127.0.0.1", 0)
    address = f"http://localhost:{listener.getsockname()[1]}"
    stack = StackAuth(
        project_id=server.project_id,
        base_url=server.url,
        publishable_client_key=server.publishable_client_key,
        app_url=address,
        insecure_cookies=True,
    )
    app = FastAPI(title="Example app")
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")

    @app.get("/api/me", tags=["example"])
    async def me(user: CurrentUser) -> User:
        """Who is calling."""
        return user

    await stack.client.password.sign_up(email=EMAIL, password=PASSWORD)
    async with run_servers([(app, listener)]):
        yield address
    await stack.aclose()


async def local(route: Route) -> None:
    """Serve Swagger UI's own files, which FastAPI's page takes from the network."""
    path = ASSETS / route.request.url.rpartition("/")[2]
    if path.is_file():
        await route.fulfill(path=path)
    else:
        await route.abort()


@pytest.fixture
async def docs(server: Emulator, browser: Browser) -> AsyncIterator[Page]:
    async with api(server) as address:
        context = await browser.new_context(base_url=address, viewport={"width": 1280, "height": 1000})
        page = await context.new_page()
        await page.route(re.compile("^https://"), local)
        await page.goto("/docs")
        await expect(page.get_by_role("button", name="Authorize", exact=True)).to_be_visible()
        yield page
        await context.close()


async def execute_me(page: Page) -> None:
    """Open the protected route, and execute it."""
    operation = page.locator("#operations-example-me_api_me_get")
    await operation.scroll_into_view_if_needed()
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()


async def test_authorize_signs_in_with_email_and_password(docs: Page, tmp_path: Path):
    await docs.get_by_role("button", name="Authorize", exact=True).first.click()
    form = docs.locator(".auth-container", has_text="StackAuthPassword")
    await form.locator("#oauth_username").fill(EMAIL)
    await form.locator("#oauth_password").fill(PASSWORD)
    await form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    await expect(form.get_by_role("button", name="Remove authorization")).to_be_visible()
    await docs.get_by_role("button", name="Close").first.click()
    await execute_me(docs)
    answer = docs.locator(".live-responses-table .response").first
    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    await expect(answer).to_contain_text(EMAIL)


async def test_a_wrong_password_is_said_in_the_dialog(docs: Page):
    await docs.get_by_role("button", name="Authorize", exact=True).first.click()
    form = docs.locator(".auth-container", has_text="StackAuthPassword")
    await form.locator("#oauth_username").fill(EMAIL)
    await form.locator("#oauth_password").fill("wrong horse battery")
    await form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    await expect(form.locator(".errors")).to_be_visible()


async def test_a_pasted_token_does(docs: Page, server: Emulator):
    token = server.issue_token()["access_token"]
    await docs.get_by_role("button", name="Authorize", exact=True).first.click()
    form = docs.locator(".auth-container", has_text="StackAuth (http, Bearer)")
    await form.locator("#auth-bearer-value").fill(token)
    await form.get_by_role("button", name="Apply credentials").click()
    await docs.get_by_role("button", name="Close").first.click()
    await execute_me(docs)
    status = docs.locator(".live-responses-table .response .response-col_status").first
    await expect(status).to_contain_text("200")


async def test_a_signed_in_browser_needs_nothing_more(docs: Page):
    """Cookie delivery: signing in by a route of the docs is enough, the browser does the rest."""
    signed_in = await docs.evaluate(
        """([email, password]) => fetch("/auth/password/sign-in", {
            method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({email, password})
        }).then((answer) => answer.status)""",
        [EMAIL, PASSWORD],
    )
    assert signed_in == 200
    await execute_me(docs)
    status = docs.locator(".live-responses-table .response .response-col_status").first
    await expect(status).to_contain_text("200")
