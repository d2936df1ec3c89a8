"""A form under a strict Content-Security-Policy links an account: Chromium goes on to the provider and comes back."""

import re
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from playwright.async_api import Browser, Page, expect

from fastapi_stackauth import CurrentUser, StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import bind, run_servers

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
FORM = '<form method="post" action="{}"><input type="hidden" name="{}" value="{}">{}<button>{}</button></form>'


def app_with_forms(stack: StackAuth) -> FastAPI:
    """An app whose pages may post to the app alone."""
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")

    @app.middleware("http")
    async def strict(request: Request, call_next: object) -> Response:
        response: Response = await call_next(request)  # type: ignore[operator]  # Starlette's own types
        response.headers.setdefault("content-security-policy", "default-src 'none'; form-action 'self'")
        return response

    @app.get("/sign-in")
    async def sign_in() -> HTMLResponse:
        password = f'<input type="hidden" name="password" value="{PASSWORD}">'
        action = "/auth/password/sign-in?on_success=/account"
        return HTMLResponse(FORM.format(action, "email", EMAIL, password, "Sign in"))

    @app.get("/account")
    async def account(_: CurrentUser) -> HTMLResponse:
        accounts = await stack.client.as_server().oauth_providers.list(_.id)
        linked = "".join(f"<p>Linked: {each.type}</p>" for each in accounts)
        return HTMLResponse(linked + FORM.format("/auth/oauth/github/link", "return_to", "/account", "", "Connect"))

    return app


@pytest.fixture
async def page(server: Emulator, browser: Browser) -> AsyncIterator[Page]:
    listener = bind("127.0.0.1", 0)
    address = f"http://localhost:{listener.getsockname()[1]}"
    stack = StackAuth(
        project_id=server.project_id,
        base_url=server.url,
        publishable_client_key=server.publishable_client_key,
        secret_server_key=server.secret_server_key,
        app_url=address,
        insecure_cookies=True,
    )
    await stack.client.password.sign_up(email=EMAIL, password=PASSWORD)
    async with run_servers([(app_with_forms(stack), listener)]):
        context = await browser.new_context(base_url=address)
        yield await context.new_page()
        await context.close()
    await stack.aclose()


async def test_a_form_links_an_account_at_a_provider_on_another_origin(page: Page):
    await page.goto("/sign-in")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Connect").click()
    await expect(page).to_have_url(re.compile("/emulator/oauth/github/authorize"))
    await page.locator("input[name=email]").fill("work@example.com")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("Linked: github")).to_be_visible()
