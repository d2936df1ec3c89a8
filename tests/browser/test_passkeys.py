"""`passkey.js` in Chromium with its virtual authenticator, on localhost, under a strict Content-Security-Policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, Route

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import bind, run_servers

POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'"
PAGE = """<!doctype html><html lang="en"><title>Passkeys</title>
<label>E-mail <input autocomplete="username webauthn"></label>
<script type="module" src="/page.js"></script></html>"""
SCRIPT = """import * as passkey from "/auth/passkey.js";
window.passkey = passkey;
window.tried = (call) => call.then((value) => ({ value }), (error) => ({ name: error.name, code: error.code }));
document.documentElement.dataset.ready = "";
"""
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@asynccontextmanager
async def app_on_localhost(server: Emulator) -> AsyncIterator[str]:
    """A real server with a page that uses the module; its address."""
    listener = bind("127.0.0.1", 0)
    address = f"http://localhost:{listener.getsockname()[1]}"
    stack = StackAuth(project_id=server.project_id, base_url=server.url, app_url=address)
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers={"content-security-policy": POLICY})

    @app.get("/page.js")
    async def script() -> HTMLResponse:
        return HTMLResponse(SCRIPT, media_type="text/javascript")

    async with run_servers([(app, listener)]):
        yield address
    await stack.aclose()


@pytest.fixture
async def address(server: Emulator) -> AsyncIterator[str]:
    async with app_on_localhost(server) as address:
        yield address


async def open_page(context: BrowserContext, address: str) -> Page:
    page = await context.new_page()
    await page.goto(address)
    await page.wait_for_selector("html[data-ready]", state="attached")
    return page


async def with_authenticator(page: Page, **changes: Any) -> tuple[CDPSession, str]:
    """Chromium's virtual authenticator, and its id."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    added = await session.send("WebAuthn.addVirtualAuthenticator", {"options": {**AUTHENTICATOR, **changes}})
    return session, added["authenticatorId"]


async def sign_up(page: Page) -> str:
    answer = await page.request.post(
        "/auth/password/sign-up",
        data={"email": "ada@example.com", "password": "correct horse battery"},
        headers={"origin": page.url.rstrip("/")},
    )
    assert answer.ok, await answer.text()
    return str((await answer.json())["user_id"])


async def test_a_person_registers_a_passkey_signs_out_and_in_again(browser: Browser, address: str):
    context = await browser.new_context(base_url=address)
    page = await open_page(context, address)
    await with_authenticator(page)
    user_id = await sign_up(page)
    assert await page.evaluate("passkey.supported()") is True
    registered = await page.evaluate("tried(passkey.register())")
    assert registered["value"]["user_handle"]
    await page.request.post("/auth/sign-out", headers={"origin": address})
    assert (await page.request.get("/auth/me")).status == 401
    signed_in = await page.evaluate("tried(passkey.signIn())")
    assert signed_in == {"value": {"user_id": user_id, "is_new_user": False}}
    assert (await (await page.request.get("/auth/me")).json())["id"] == user_id
    cookies = await context.cookies()
    assert {cookie["httpOnly"] for cookie in cookies} == {True}


async def test_a_passkey_is_picked_from_a_fields_autofill(browser: Browser, address: str):
    context = await browser.new_context(base_url=address)
    page = await open_page(context, address)
    await with_authenticator(page)
    user_id = await sign_up(page)
    await page.evaluate("tried(passkey.register())")
    assert await page.evaluate("passkey.conditionalSupported()") is True
    signed_in = await page.evaluate("tried(passkey.signIn({ conditional: true }))")
    assert signed_in["value"]["user_id"] == user_id


async def test_who_cancels_is_told_so_and_can_try_again(browser: Browser, address: str):
    context = await browser.new_context(base_url=address)
    page = await open_page(context, address)
    await with_authenticator(page, automaticPresenceSimulation=False)
    await sign_up(page)
    for call in ("register", "signIn"):
        outcome = await page.evaluate(
            f"""async () => {{
              const stop = new AbortController();
              setTimeout(() => stop.abort(), 300);
              return tried(passkey.{call}({{ signal: stop.signal }}));
            }}"""
        )
        assert outcome == {"name": "PasskeyError", "code": "canceled"}


@pytest.mark.parametrize("pending", ["the request", "the answer's body"])
async def test_cancelling_while_the_route_is_asked_is_told_as_well(browser: Browser, address: str, pending: str):
    """`fetch` is a stand-in: nothing else stops in the midst of an answer at will."""
    context = await browser.new_context(base_url=address)
    page = await open_page(context, address)
    for call in ("register", "signIn"):
        outcome = await page.evaluate(
            f"""async (pending) => {{
              const stop = new AbortController();
              const {{ signal }} = stop;
              const aborted = new Promise((_, no) => signal.addEventListener("abort", () => no(signal.reason)));
              const body = new ReadableStream({{ pull: () => aborted }});
              window.fetch = () => pending === "the request" ? aborted : Promise.resolve(new Response(body));
              setTimeout(() => stop.abort(), 50);
              return tried(passkey.{call}({{ signal }}));
            }}""",
            pending,
        )
        assert outcome == {"name": "PasskeyError", "code": "canceled"}


async def test_without_a_passkey_on_the_device_nobody_is_signed_in(browser: Browser, address: str):
    context = await browser.new_context(base_url=address)
    page = await open_page(context, address)
    await with_authenticator(page)
    outcome = await page.evaluate("tried(passkey.signIn())")
    assert outcome == {"name": "PasskeyError", "code": "not_allowed"}
    assert not [cookie for cookie in await context.cookies() if "access" in cookie["name"]]


async def test_at_another_address_passkeys_do_not_work(browser: Browser, address: str):
    elsewhere = address.replace("localhost", "127.0.0.1")
    context = await browser.new_context(base_url=elsewhere)
    page = await open_page(context, elsewhere)
    await with_authenticator(page)
    outcome = await page.evaluate("tried(passkey.signIn())")
    assert outcome == {"name": "PasskeyError", "code": "wrong_origin"}


async def test_without_a_secure_context_the_page_is_told(browser: Browser, address: str):
    context = await browser.new_context()

    async def ask_the_app(route: Route) -> None:
        answer = await route.fetch(url=route.request.url.replace("http://app.test", address))
        await route.fulfill(response=answer)

    await context.route("http://app.test/**", ask_the_app)
    page = await open_page(context, "http://app.test/")
    assert await page.evaluate("[isSecureContext, passkey.supported()]") == [False, False]
    for call in ("register", "signIn"):
        outcome = await page.evaluate(f"tried(passkey.{call}())")
        assert outcome == {"name": "PasskeyError", "code": "not_supported"}


async def test_what_the_route_refuses_arrives_as_its_code(browser: Browser, address: str, server: Emulator):
    context = await browser.new_context(base_url=address)
    page = await open_page(context, address)
    assert await page.evaluate("tried(passkey.register())") == {
        "name": "PasskeyError",
        "code": "authentication_required",
    }
    server.configure(passkey_enabled=False)
    outcome = await page.evaluate("tried(passkey.signIn())")
    assert outcome["code"] == "PASSKEY_AUTHENTICATION_NOT_ENABLED"


async def test_a_passkey_that_the_device_has_already_is_told(browser: Browser, address: str):
    """The auth server names none to exclude, so the browser's refusal is made here."""
    context = await browser.new_context(base_url=address)
    page = await open_page(context, address)
    await sign_up(page)
    outcome = await page.evaluate(
        """async () => {
          navigator.credentials.create = () => Promise.reject(new DOMException("there is one", "InvalidStateError"));
          return tried(passkey.register());
        }"""
    )
    assert outcome == {"name": "PasskeyError", "code": "already_registered"}
