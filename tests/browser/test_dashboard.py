"""The emulator's dashboard in Chromium: used as a person does, by keyboard alone too, and readable for everybody."""

from collections.abc import AsyncIterator
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator, emulator
from fastapi_stackauth.emulator.dashboard.dashboard import VIEWS

Scheme = Literal["light", "dark"]
SEED = {
    "permissions": [{"id": "posts:delete", "scope": "team"}, {"id": "reports:see", "scope": "project"}],
    "users": [
        {"primary_email": "ada@example.com", "display_name": "Ada"},
        {"primary_email": "bob@example.com"},
    ],
    "teams": [{"display_name": "Red", "members": [{"email": "ada@example.com"}]}],
}


@pytest.fixture
async def full_emulator() -> AsyncIterator[Emulator]:
    """A server with people, a team, a mail, sessions and webhooks."""
    async with emulator() as server:
        server.seed(SEED)
        stack = StackAuth(
            project_id=server.project_id, base_url=server.url, publishable_client_key=server.publishable_client_key
        )
        await stack.client.password.sign_up(email="eve@example.com", password="correct horse battery")
        await stack.client.otp.send_sign_in_code(email="new@example.com", callback_url="http://localhost:8000/landing")
        server.store.cli_logins.create(server.project_id, 60_000, None)
        yield server
        await stack.aclose()


@pytest.fixture
async def page(full_emulator: Emulator, browser: Browser) -> AsyncIterator[Page]:
    """A page without scripts of its own; the browser runs none either."""
    context = await browser.new_context(base_url=full_emulator.url, java_script_enabled=False)
    yield await context.new_page()
    await context.close()


async def test_a_newcomer_makes_a_user_and_signs_in_as_them(page: Page):
    await page.goto("/")
    await page.get_by_role("link", name="Users", exact=True).click()
    await page.get_by_label("Email address").fill("carol@example.com")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("carol@example.com")
    await expect(page.get_by_role("status")).to_have_text("Done.")
    await page.get_by_role("button", name="Sign in as").click()
    assert (await page.get_by_label("Access token").input_value()).startswith("eyJ")


async def test_a_code_is_read_in_the_outbox(page: Page, full_emulator: Emulator):
    await page.goto("/")
    await page.get_by_role("link", name="Outbox", exact=True).click()
    await expect(page.locator(".otp").first).to_have_text(full_emulator.emails("new@example.com")[0]["otp"])


async def test_keys_are_rotated(page: Page, full_emulator: Emulator):
    await page.goto("/dashboard/settings")
    before = await page.locator("text=Tokens are signed with >> code").text_content()
    await page.get_by_role("button", name="Rotate the keys").click()
    await expect(page.get_by_role("status")).to_have_text("Done.")
    assert await page.locator("text=Tokens are signed with >> code").text_content() != before


async def test_a_session_is_revoked(page: Page):
    await page.goto("/dashboard/sessions")
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.get_by_role("button", name="Revoke the session").click()
    await expect(page.get_by_text("No user is signed in.")).to_be_visible()


async def test_a_cli_login_is_completed(page: Page):
    await page.goto("/")
    await page.get_by_role("link", name="Command line", exact=True).click()
    await page.get_by_label("User who gets a new session for it").select_option("bob@example.com")
    await page.get_by_role("button", name="Complete").click()
    await expect(page.get_by_role("status")).to_have_text("Done.")
    await expect(page.get_by_role("cell", name="the tool has not polled yet")).to_be_visible()
    await page.goto("/dashboard/sessions")
    await expect(page.get_by_role("link", name="bob@example.com")).to_be_visible()


async def test_a_method_is_switched_off(page: Page, full_emulator: Emulator):
    await page.goto("/dashboard/settings")
    await page.get_by_label("Sign-in with a passkey").uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_label("Sign-in with a passkey")).not_to_be_checked()
    assert not full_emulator.project.config["passkey_enabled"]
    assert full_emulator.project.config["magic_link_enabled"]


async def test_a_mistake_is_said_in_words(page: Page):
    await page.goto("/dashboard/users")
    await page.get_by_label("Email address").fill("ada@example.com")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("status")).to_contain_text("Another user signs in")


async def test_the_keyboard_alone_does(full_emulator: Emulator, browser: Browser):
    context = await browser.new_context(base_url=full_emulator.url)
    page = await context.new_page()
    await page.goto("/dashboard/users")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("To the content")).to_be_focused()
    await page.get_by_label("Email address").focus()
    await page.keyboard.type("dave@example.com")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Create")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("dave@example.com")
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_readable_for_everybody(full_emulator: Emulator, browser: Browser, scheme: Scheme):
    """The pages pass axe in light and dark mode, and fit the width of a phone."""
    context = await browser.new_context(
        base_url=full_emulator.url, color_scheme=scheme, viewport={"width": 360, "height": 740}, bypass_csp=True
    )
    page = await context.new_page()
    store, project_id = full_emulator.store, full_emulator.project_id
    user, team = store.users.in_order(project_id)[0], store.teams.list_for_project(project_id)[0]
    paths = [path.format(user_id=user["id"], team_id=team["id"]) for path, _, _ in VIEWS]
    for path in [*paths, "/emulator/outbox", "/dashboard/users/unknown"]:
        await page.goto(path)
        found = await Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    await context.close()


async def test_a_page_of_another_site_posts_in_vain(full_emulator: Emulator, browser: Browser):
    """A form that posts itself, as an attacker's page would have it, in the browser of who runs the server."""
    context = await browser.new_context()
    page = await context.new_page()
    form = f"<form method=post action='{full_emulator.url}/dashboard/settings/rotate-keys'></form>"
    body = f"<!doctype html><title>Evil</title>{form}<script>document.forms[0].submit()</script>"
    await page.route("http://evil.example/", lambda route: route.fulfill(content_type="text/html", body=body))
    secret = full_emulator.store.projects.server_secret()
    async with page.expect_response(f"{full_emulator.url}/**") as refused:
        await page.goto("http://evil.example/")
    assert (await refused.value).status == 403
    assert full_emulator.store.projects.server_secret() == secret
    await context.close()
