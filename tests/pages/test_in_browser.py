"""The pages in Chromium: with and without scripts, by keyboard, light and dark, on a phone, with a passkey."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from fastapi_stackauth import CurrentUser, StackAuth, Theme
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import bind, run_servers
from tests.pages.catalogs import write_compiled
from tests.pages.site import EMAIL, PASSWORD

PHONE = 320
STATES = (
    "/sign-in?return_to=/notes", "/sign-in?by=code", "/sign-up", "/sign-in/code?done=code", "/mfa", "/forgot-password",
    "/forgot-password?done=reset", "/password-reset?code=abc", "/password-reset", "/magic-link-callback?code=abc",
    "/magic-link-callback", "/email-verification?code=abc", "/oauth-callback?error=OAUTH_PROVIDER_ACCESS_DENIED",
    "/sign-out", "/error",
)  # fmt: skip
SIGNED_IN = (
    "/sign-in", "/sign-in?prompt=login", "/sign-out", "/email-verification?step=sent",
    "/email-verification?step=verified&done=verified", "/account-settings", "/account-settings?done=saved",
    "/account-settings/two-factor", "/teams", "/team-invitation",
)  # fmt: skip
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@asynccontextmanager
async def running_site(server: Emulator, theme: Theme | None = None, **pages: Any) -> AsyncIterator[str]:
    """An app on a real port, and its address."""
    listener = bind("127.0.0.1", 0)
    address = f"http://localhost:{listener.getsockname()[1]}"
    stack = StackAuth(
        project_id=server.project_id, base_url=server.url, app_url=address, after_sign_in="/notes",
        publishable_client_key=server.publishable_client_key, rate_limit_address=None, rate_limit_account=None,
    )  # fmt: skip
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.cli_router(share_browser_session=True), prefix="/cli")
    app.include_router(stack.pages_router(prefix="/handler", theme=theme, **pages))

    @app.get("/notes")
    async def notes(user: CurrentUser) -> HTMLResponse:
        return HTMLResponse(f"<!doctype html><title>Notes</title><h1>Notes of {user.email}</h1>")

    async with run_servers([(app, listener)]):
        yield address
    await stack.aclose()


@pytest.fixture
async def address(server: Emulator) -> AsyncIterator[str]:
    async with running_site(server, Theme(name="Acme", accent="#7c3aed")) as address:
        yield address


@asynccontextmanager
async def open_page(browser: Browser, address: str, **options: Any) -> AsyncIterator[Page]:
    """A page in a fresh browser; in the end neither a script nor the policy has complained."""
    context = await browser.new_context(base_url=address, **options)
    page = await context.new_page()
    troubles: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            troubles.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    await context.close()
    assert troubles == []


async def sign_up(page: Page) -> None:
    await page.goto("/handler/sign-up?return_to=/notes")
    await page.get_by_label("Email address").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Verify your email address")


async def find_issues(page: Page) -> list[str]:
    found = await Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    return [f"{each['id']}: {node['html']}" for each in found.response["violations"] for node in each["nodes"]]


async def check_page(page: Page, path: str) -> None:
    """Axe finds nothing on a desk and on a small phone, in light and in dark, and the page fits."""
    for scheme, width in (("light", 1280), ("dark", PHONE)):
        await page.set_viewport_size({"width": width, "height": 700})
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
        assert await find_issues(page) == [], (path, scheme)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


async def test_every_page_is_accessible_and_fits_320_pixels(browser: Browser, server: Emulator, address: str):
    server.configure(client_team_creation_enabled=True, allow_team_api_keys=True, allow_user_api_keys=True)
    async with open_page(browser, address, bypass_csp=True) as page:  # the checker is a script within the page
        for path in STATES:
            await page.goto(f"/handler{path}")
            await check_page(page, path)
        await page.goto("/handler/sign-in")
        await page.get_by_label("Email address").fill(EMAIL)
        await page.get_by_label("Password").fill("wrong horse")
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_text("The email address or the password is wrong.")).to_be_visible()
        await check_page(page, "error")
        await sign_up(page)
        for path in SIGNED_IN:
            await page.goto(f"/handler{path}")
            await check_page(page, path)
        await check_team(page, server, address)
        await check_device(page)


async def check_team(page: Page, server: Emulator, address: str) -> None:
    """The page of a team with everything that it can show, a new key of it, and an invitation to it."""
    await page.goto(server.emails(EMAIL, "email_verification")[0]["link"])
    await page.get_by_role("button", name="Verify").click()
    await page.goto("/handler/teams")
    await page.get_by_label("Name of the team").fill("Engineering " + "and maintenance " * 4)
    await page.get_by_role("button", name="Create team").click()
    await expect(page.get_by_text("The team has been created.")).to_be_visible()
    team = page.url
    await page.get_by_label("Email address of the new member").fill(f"{'grace' * 10}@example.com")
    await page.get_by_role("button", name="Send invitation").click()
    await expect(page.get_by_text("We have sent the invitation.")).to_be_visible()
    await page.get_by_label("What is the key for?").fill("backup")
    await page.get_by_role("button", name="Create API key").click()
    await expect(page.get_by_role("textbox", name="API key")).to_be_focused()
    await check_page(page, "new key")
    await page.goto(team)
    await expect(page.get_by_text("backup").first).to_be_visible()
    await check_page(page, team)
    await page.goto(server.emails(f"{'grace' * 10}@example.com", "team_invitation")[0]["link"])
    await expect(page.get_by_text("You have been invited to join the team")).to_be_visible()
    assert page.url == f"{address}/handler/team-invitation"
    await check_page(page, "invitation")


async def test_german_and_hebrew_pages_fit_and_are_accessible(browser: Browser, server: Emulator, tmp_path: Path):
    """Long words, and a language that is written from right to left: its catalog is that of the app."""
    write_compiled(tmp_path, "he", {"Sign in": "כניסה", "Email address": "כתובת דואר אלקטרוני", "Password": "סיסמה"})
    async with running_site(server, languages=["en", "de", "he"], catalogs=tmp_path) as address:
        for tag, direction in (("de", "ltr"), ("he", "rtl")):
            async with open_page(browser, address, bypass_csp=True, locale=tag) as page:
                for path in ("/sign-in", "/sign-up", "/forgot-password"):
                    await page.goto(f"/handler{path}")
                    await check_page(page, f"{path} ({tag})")
                assert await page.evaluate("getComputedStyle(document.body).direction") == direction
        async with open_page(browser, address, bypass_csp=True) as page:
            await sign_up(page)
            for tag in ("de", "he"):
                await page.goto(f"/handler/language/{tag}?page=/account-settings")
                await check_page(page, f"/account-settings ({tag})")


async def check_device(page: Page) -> None:
    """The pages that confirm a tool: the field, and the buttons to allow and deny it."""
    started = await page.request.post("/cli/device/authorization", form={"client_id": "notes-cli " * 6})
    codes = await started.json()
    await page.goto(codes["verification_uri_complete"])
    await check_page(page, "device")
    await page.get_by_label("The last four letters").fill(codes["user_code"][-4:])
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Allow this device?")
    await check_page(page, "decision")


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_browser_signs_up_out_and_in_by_keyboard(browser: Browser, address: str, scripts: bool):
    """With and without scripts; the focus starts in the first field, and after an error in the one that is wrong."""
    async with open_page(browser, address, java_script_enabled=scripts) as page:
        await page.goto("/notes")
        assert page.url == f"{address}/handler/sign-in?return_to=%2Fnotes"
        await page.goto("/handler/sign-up?return_to=/notes")
        await expect(page.get_by_label("Email address")).to_be_focused()
        await page.keyboard.type(EMAIL)
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("We have sent an email to")).to_be_visible()
        await page.get_by_role("button", name="Continue").press("Enter")
        await expect(page.get_by_role("heading", name=f"Notes of {EMAIL}")).to_be_visible()
        await page.goto("/handler/sign-out")
        await page.get_by_role("button", name="Sign out").press("Enter")
        await expect(page.get_by_text("You are signed out.")).to_be_visible()
        await page.goto("/handler/sign-in?return_to=/notes")
        await expect(page.get_by_label("Email address")).to_be_focused()
        await page.keyboard.type(EMAIL)
        await page.keyboard.press("Tab")
        await page.keyboard.type("wrong horse")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("The email address or the password is wrong.")).to_be_visible()
        await expect(page.get_by_label("Password")).to_be_focused()
        await expect(page.get_by_label("Email address")).to_have_value(EMAIL)
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name=f"Notes of {EMAIL}")).to_be_visible()


async def test_a_code_leaves_neither_history_nor_referrer(browser: Browser, server: Emulator, address: str):
    """The address loses the code once the page is there, and what the page loads does not get it as a referrer."""
    referrers: list[str] = []
    async with open_page(browser, address) as page:
        page.on("request", lambda request: referrers.append(request.headers.get("referer", "")))
        await page.goto("/handler/password-reset?code=abc123secret&return_to=/notes")
        await page.wait_for_url(f"{address}/handler/password-reset?return_to=%2Fnotes")
        await expect(page.get_by_label("New password")).to_be_focused()
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_role("button", name="Save password").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        assert "abc123secret" not in await page.evaluate("location.href + document.referrer")
    assert len(referrers) >= 4
    assert "abc123secret" not in "".join(referrers)


async def test_a_form_is_sent_once(browser: Browser, address: str):
    async with open_page(browser, address) as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        await page.goto("/handler/forgot-password")
        await page.get_by_label("Email address").fill(EMAIL)
        await page.get_by_role("button", name="Send link").dblclick()
        await expect(page.get_by_text("If there is an account")).to_be_visible()
        assert len(sent) == 1


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_browser_uploads_a_picture(browser: Browser, address: str, scripts: bool):
    """The policy of the page allows it. A photograph of a telephone is too large, which the page says."""
    async with open_page(browser, address, java_script_enabled=scripts) as page:
        await sign_up(page)
        await page.goto("/handler/account-settings")
        field, rule = page.get_by_label("New picture"), "Choose a PNG, JPEG, GIF or WebP image of at most 700 KB."
        large = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff" + bytes(6_000_000)}
        await field.set_input_files(large)  # type: ignore[arg-type]  # a payload
        await page.get_by_role("button", name="Save picture").click()
        if scripts:
            assert await field.evaluate("field => field.validationMessage") == rule
        else:
            await expect(page.get_by_text(rule)).to_be_visible()
        picture = {"name": "a.png", "mimeType": "image/png", "buffer": PIXEL}
        await field.set_input_files(picture)  # type: ignore[arg-type]  # as above
        await page.get_by_role("button", name="Save picture").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        assert await page.get_by_alt_text("Your picture").evaluate("image => image.naturalWidth") == 1


async def test_a_slow_form_shows_that_it_is_busy(browser: Browser, address: str):
    async with open_page(browser, address) as page:
        await page.goto("/handler/forgot-password")
        await page.get_by_label("Email address").fill(EMAIL)
        stay = "document.body.addEventListener('submit', (event) => event.preventDefault())"
        await page.evaluate(stay)
        button = page.get_by_role("button", name="Send link")
        await button.click()
        await expect(button).to_have_attribute("aria-busy", "true")


async def test_a_passkey_signs_in_and_is_offered_next_time(browser: Browser, address: str):
    """From the autofill of the email field at first; the button appears on a device that has used one."""
    async with open_page(browser, address) as page:
        await sign_up(page)
        session = await page.context.new_cdp_session(page)
        await session.send("WebAuthn.enable")
        added = await session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        await page.goto("/handler/account-settings")
        await page.get_by_role("button", name="Add a passkey").click()
        await expect(page.get_by_text("The passkey has been added.")).to_be_visible()
        await page.evaluate("localStorage.clear()")  # as on a device that has not used it
        simulation = {"authenticatorId": added["authenticatorId"]}
        await session.send("WebAuthn.setAutomaticPresenceSimulation", {**simulation, "enabled": False})
        await page.context.clear_cookies()
        await page.goto("/handler/sign-in?return_to=/notes")
        await expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
        await session.send("WebAuthn.setAutomaticPresenceSimulation", {**simulation, "enabled": True})
        await page.reload()
        await expect(page.get_by_role("heading", name=f"Notes of {EMAIL}")).to_be_visible()
        await page.context.clear_cookies()
        # Without autofill, which would win: the authenticator responds at once.
        await page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
        await page.goto("/handler/sign-in?return_to=/notes")
        await page.get_by_role("button", name="Sign in with a passkey").press("Enter", no_wait_after=True)
        await expect(page.get_by_role("heading", name=f"Notes of {EMAIL}")).to_be_visible()


async def test_the_pages_load_nothing_from_elsewhere(browser: Browser, address: str):
    """One stylesheet and one script, both from the app."""
    async with open_page(browser, address) as page:
        loaded: list[str] = []
        page.on("request", lambda request: loaded.append(request.url))
        await page.goto("/handler/sign-in", wait_until="networkidle")
        files = [url for url in loaded if "/passkey/" not in url and "favicon" not in url]
        assert len(files) == 3
        assert all(url.startswith(address) for url in loaded)
